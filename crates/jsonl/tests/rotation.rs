//! When the plain file is sealed by itself, and what others see meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::case_sensitive_file_extension_comparisons,
    clippy::too_many_lines,
    reason = "a test program"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::*;
use minutebook_core::{Clock, ErrorKind, ManualClock, SystemClock, TimeSeriesRepository};
use minutebook_fs::{Durability, Fs, LockMode, LockWait, OsFs};
use minutebook_jsonl::{EntryQuery, JsonlConfig, JsonlTimeSeriesRepository, Rotation};

const WRITERS: usize = 3;
const EACH: usize = 60;

/// Waits until nothing is left to be compressed.
async fn compressed(place: &Place) {
    // What a thread has left over is finished here; this waits for its lock.
    let dir = place.file("btcusd~sealed");
    for _ in 0..1_000 {
        let raw = |name: &String| name.ends_with(".jsonl") || name.ends_with(".part");
        if !names(&dir).iter().any(raw) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("not compressed: {:?}", names(&dir));
}

#[test]
fn a_full_file_is_sealed_by_the_next_append() {
    let config = JsonlConfig::default()
        .durability(Durability::Buffered)
        .rotation(Rotation::at_bytes(200));
    let place = Place::with(config);
    run(async {
        // An append does not wait for the thread that compresses, so on a busy machine sealing may be left to a later one.
        let mut written = 0;
        let segments = loop {
            for n in written..written + 8 {
                place
                    .repo
                    .append_entries(&btc(), &[entry(n)])
                    .await
                    .unwrap();
            }
            written += 8;
            compressed(&place).await;
            let segments = place.repo.segments(&btc()).await.unwrap();
            if segments.len() >= 3 {
                break segments;
            }
            assert!(written < 4_000, "{segments:?}");
        };
        assert!(segments.iter().all(|s| s.bytes >= 200), "{segments:?}");
        let (found, _) = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(found, (0..written).map(entry).collect::<Vec<_>>());
        compressed(&place).await;
    });
}

#[test]
fn the_first_append_of_a_day_seals_the_days_before() {
    // The file's own time is that of the system, so the clock stands later.
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let config = JsonlConfig::default()
        .durability(Durability::Buffered)
        .clock(clock.clone())
        .rotation(Rotation::default().daily());
    let place = Place::with(config);
    run(async {
        place
            .repo
            .append_entries(&btc(), &[entry(0)])
            .await
            .unwrap();
        place
            .repo
            .append_entries(&btc(), &[entry(1)])
            .await
            .unwrap();
        assert!(place.repo.segments(&btc()).await.unwrap().is_empty());
        clock.advance(chrono::TimeDelta::days(1));
        place
            .repo
            .append_entries(&btc(), &[entry(2)])
            .await
            .unwrap();
        compressed(&place).await;
        place
            .repo
            .append_entries(&btc(), &[entry(3)])
            .await
            .unwrap();
        let segments = place.repo.segments(&btc()).await.unwrap();
        assert_eq!(segments.iter().map(|s| s.rows).collect::<Vec<_>>(), [2]);
        let (found, _) = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(found, (0..4).map(entry).collect::<Vec<_>>());
    });
}

#[test]
fn a_day_that_could_not_be_sealed_at_once_is_sealed_later() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let config = JsonlConfig::default()
        .durability(Durability::Buffered)
        .clock(clock.clone())
        .rotation(Rotation::default().daily());
    let place = Place::with(config);
    let append = async |n| {
        place
            .repo
            .append_entries(&btc(), &[entry(n)])
            .await
            .unwrap();
    };
    run(async {
        append(0).await;
        clock.advance(chrono::TimeDelta::days(1));
        let lock = place.file(".btcusd.seal");
        let busy = OsFs.lock(&lock, LockMode::Exclusive, LockWait::Try);
        // Somebody compacts, say: appends go on.
        append(1).await;
        append(2).await;
        drop(busy.unwrap());
        assert!(place.repo.segments(&btc()).await.unwrap().is_empty());
        append(3).await;
        compressed(&place).await;
        let rows = async || {
            let segments = place.repo.segments(&btc()).await.unwrap();
            segments.iter().map(|s| s.rows).collect::<Vec<_>>()
        };
        assert_eq!(rows().await, [3]);
        // The new file is of this day.
        append(4).await;
        compressed(&place).await;
        assert_eq!(rows().await, [3]);
        let (found, _) = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(found, entries(0..5));
    });
}

#[test]
fn nobody_misses_or_doubles_a_line_while_others_write_and_rotate() {
    let place = Place::new();
    let acknowledged: Vec<AtomicUsize> = (0..WRITERS).map(|_| AtomicUsize::new(0)).collect();
    let (done, acknowledged) = (AtomicBool::new(false), &acknowledged);
    let rotations = AtomicUsize::new(0);
    let open = || {
        let config = JsonlConfig::default().durability(Durability::Buffered);
        JsonlTimeSeriesRepository::open(place.dir.path(), config).unwrap()
    };
    let line = |writer: usize, n: usize| {
        format!("{{\"timestamp\":\"2025-01-01\",\"w\":{writer},\"n\":{n}}}")
    };
    let rotations = &rotations;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let repo = open();
                scope.spawn(move || {
                    run(async {
                        let mut n = 0;
                        while n < EACH || rotations.load(Ordering::SeqCst) < 3 {
                            repo.append_entries(&btc(), &[line(writer, n)])
                                .await
                                .unwrap();
                            n += 1;
                            acknowledged[writer].store(n, Ordering::SeqCst);
                        }
                    });
                })
            })
            .collect();
        let rotator = open();
        let done = &done;
        scope.spawn(move || {
            run(async {
                while !done.load(Ordering::SeqCst) {
                    match rotator.rotate(&btc()).await {
                        Ok(segment) => {
                            rotations.fetch_add(usize::from(segment.is_some()), Ordering::SeqCst);
                        }
                        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
                    }
                }
            });
        });
        let readers: Vec<_> = [true, false]
            .into_iter()
            .map(|whole| {
                let repo = open();
                scope.spawn(move || {
                    run(async {
                        loop {
                            let last = done.load(Ordering::SeqCst);
                            let least: Vec<_> = acknowledged
                                .iter()
                                .map(|n| n.load(Ordering::SeqCst))
                                .collect();
                            let query = if whole {
                                EntryQuery::new()
                            } else {
                                EntryQuery::new().last(usize::MAX)
                            };
                            let found = match texts(&repo, &btc(), &query).await {
                                Ok((found, report)) => {
                                    assert!(report.is_clean(), "{report:?}");
                                    found
                                }
                                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                                Err(error) => panic!("{error}"),
                            };
                            let rows = repo.summary(&btc()).await.unwrap().map_or(0, |s| s.rows);
                            assert!(rows >= found.len() as u64);
                            for (writer, least) in least.into_iter().enumerate() {
                                let mark = format!("\"w\":{writer},");
                                let of_it: Vec<_> = found
                                    .iter()
                                    .filter(|text| text.contains(&mark))
                                    .cloned()
                                    .collect();
                                assert!(of_it.len() >= least, "{} of {least}", of_it.len());
                                let expected: Vec<_> =
                                    (0..of_it.len()).map(|n| line(writer, n)).collect();
                                assert_eq!(of_it, expected, "each once and in order");
                            }
                            if last {
                                break;
                            }
                        }
                    });
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.join().unwrap();
        }
    });
    run(async {
        assert!(place.repo.segments(&btc()).await.unwrap().len() > 1);
        let written: usize = acknowledged.iter().map(|n| n.load(Ordering::SeqCst)).sum();
        assert_eq!(
            place.repo.summary(&btc()).await.unwrap().unwrap().rows,
            written as u64
        );
    });
}
