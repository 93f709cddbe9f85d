//! Sealed segments: one series with the plain file, whatever happens in between.

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

use arrow_array::{Float64Array, Int64Array, RecordBatch};
use common::{Place, append, batch, btc, floats, id, names, nanos, places, run, scan, texts};
use futures_util::StreamExt;
use minutebook_core::{
    Clock, ErrorKind, ManualClock, ProblemKind, ScanQuery, SeriesFilter, SystemClock, TimeRange,
    TimeSeriesRepository, WriteMode,
};
use minutebook_fs::Durability;
use minutebook_jsonl::{
    EntryQuery, EpochUnit, JsonlConfig, JsonlTimeSeriesRepository, Rotation, TimeField,
};

fn entry(n: usize) -> String {
    format!(
        "{{\"timestamp\":\"2025-01-01T00:{:02}:{:02}\",\"n\":{n}}}",
        n / 60,
        n % 60
    )
}

fn range(from: &str, to: &str) -> TimeRange {
    let time = |text| minutebook_core::time::parse_timestamp(text).unwrap();
    TimeRange::new(time(from), time(to)).unwrap()
}

/// A series of three segments and a plain file, ten entries each.
async fn four(place: &Place) {
    for part in 0..4 {
        let entries: Vec<_> = (part * 10..part * 10 + 10).map(entry).collect();
        place.repo.append_entries(&btc(), &entries).await.unwrap();
        if part < 3 {
            place.repo.rotate(&btc()).await.unwrap().unwrap();
        }
    }
}

#[test]
fn segments_and_the_plain_file_are_one_series() {
    let place = Place::new();
    run(async {
        four(&place).await;
        let all: Vec<_> = (0..40).map(entry).collect();
        let (found, report) = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(found, all);
        assert!(report.is_clean());
        for n in [0, 1, 9, 10, 11, 25, 39, 40, 99] {
            let (first, _) = texts(&place.repo, &btc(), &EntryQuery::new().first(n))
                .await
                .unwrap();
            assert_eq!(first, all[..n.min(40)]);
            let (last, _) = texts(&place.repo, &btc(), &EntryQuery::new().last(n))
                .await
                .unwrap();
            assert_eq!(last, all[40 - n.min(40)..]);
            let (rows, _) = scan(&place.repo, &btc(), &ScanQuery::new().last(n))
                .await
                .unwrap();
            assert_eq!(rows.num_rows(), n.min(40));
        }
        let within = range("2025-01-01T00:00:08", "2025-01-01T00:00:22");
        let (found, _) = texts(&place.repo, &btc(), &EntryQuery::new().range(within))
            .await
            .unwrap();
        assert_eq!(found, all[8..22]);
        let (found, _) = texts(
            &place.repo,
            &btc(),
            &EntryQuery::new().range(within).last(5),
        )
        .await
        .unwrap();
        assert_eq!(found, all[17..22]);
        let summary = place.repo.summary(&btc()).await.unwrap().unwrap();
        assert_eq!(summary.rows, 40);
        let bytes: usize = all.iter().map(|line| line.len() + 1).sum();
        assert_eq!(summary.version.0, bytes as u64);
        let segments = place.repo.segments(&btc()).await.unwrap();
        let shape: Vec<_> = segments
            .iter()
            .map(|s| (s.number, s.rows, s.lines, s.flaws))
            .collect();
        assert_eq!(shape, [(1, 10, 10, 0), (2, 10, 10, 0), (3, 10, 10, 0)]);
        // What another process finds is the same.
        let other =
            JsonlTimeSeriesRepository::open(place.dir.path(), JsonlConfig::default()).unwrap();
        assert_eq!(other.summary(&btc()).await.unwrap().unwrap(), summary);
        assert_eq!(
            texts(&other, &btc(), &EntryQuery::new()).await.unwrap().0,
            all
        );
    });
    assert_eq!(
        names(&place.file("btcusd~sealed")),
        [
            "00000001.jsonl.zst",
            "00000002.jsonl.zst",
            "00000003.jsonl.zst",
            "manifest.json"
        ]
    );
}

#[test]
fn any_zstd_program_shows_the_lines_as_they_were() {
    let place = Place::new();
    let mut bytes = b"\xEF\xBB\xBF{\"timestamp\":\"2025-01-01\",\"n\":1}\r\n\n  \nnot json\n\xff\xfe\n{\"n\":1}\n".to_vec();
    // More than one frame.
    for n in 0..20_000 {
        bytes.extend_from_slice(entry(n % 3_600).as_bytes());
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(b"{\"timestamp\":\"2025-01-01\",\"torn\":");
    place.put("btcusd_timeseries.jsonl", &bytes);
    run(async {
        let before = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        let rows = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        let sealed = std::fs::File::open(place.file("btcusd~sealed/00000001.jsonl.zst")).unwrap();
        let shown = zstd::stream::decode_all(sealed).unwrap();
        bytes.push(b'\n');
        assert_eq!(shown, bytes);
        let after = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(after.0, before.0);
        let again = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(again.0, rows.0);
        let malformed = places(&again.1);
        let torn_at = (bytes.len() - "{\"timestamp\":\"2025-01-01\",\"torn\":\n".len()) as u64;
        assert_eq!(malformed[0], (ProblemKind::Malformed, Some(4), Some(41)));
        assert_eq!(
            malformed.last().unwrap(),
            &(ProblemKind::Malformed, Some(20_007), Some(torn_at))
        );
        let resource = &again.1.problems()[0].resource;
        assert!(
            resource.ends_with("btcusd~sealed/00000001.jsonl.zst"),
            "{resource}"
        );
        let strict = place
            .repo
            .scan(&btc(), &ScanQuery::new().strict())
            .await
            .unwrap_err();
        assert_eq!(strict.kind(), ErrorKind::Corrupt);
    });
}

#[test]
fn a_range_reads_no_other_segment_and_damage_is_named() {
    let place = Place::new();
    run(async {
        four(&place).await;
        let path = place.file("btcusd~sealed/00000002.jsonl.zst");
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, b"gone").unwrap();
        let fresh =
            || JsonlTimeSeriesRepository::open(place.dir.path(), JsonlConfig::default()).unwrap();
        let outside = range("2025-01-01T00:00:00", "2025-01-01T00:00:10");
        let (rows, _) = scan(&fresh(), &btc(), &ScanQuery::new().range(outside))
            .await
            .unwrap();
        assert_eq!(rows.num_rows(), 10);
        assert_eq!(fresh().summary(&btc()).await.unwrap().unwrap().rows, 40);
        assert_eq!(
            scan(&fresh(), &btc(), &ScanQuery::new().last(25))
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::Corrupt
        );
        // Every single bit.
        for bit in (0..good.len()).map(|byte| byte * 8 + byte % 8) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bad).unwrap();
            let repo = fresh();
            match scan(&repo, &btc(), &ScanQuery::new()).await {
                Ok((rows, _)) => {
                    assert_eq!(rows.num_rows(), 40, "bit {bit}");
                    let (found, _) = texts(&repo, &btc(), &EntryQuery::new()).await.unwrap();
                    assert_eq!(found, (0..40).map(entry).collect::<Vec<_>>(), "bit {bit}");
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}: {error}");
                    assert!(error.to_string().contains("00000002.jsonl.zst"), "{error}");
                }
            }
        }
        for len in (0..good.len()).step_by(7) {
            std::fs::write(&path, &good[..len]).unwrap();
            let error = scan(&fresh(), &btc(), &ScanQuery::new()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{len} bytes");
        }
    });
}

#[test]
fn a_manifest_that_is_lost_or_damaged_is_put_together_again() {
    let place = Place::new();
    run(async {
        four(&place).await;
        let path = place.file("btcusd~sealed/manifest.json");
        let good = std::fs::read(&path).unwrap();
        let damaged = String::from_utf8(good.clone())
            .unwrap()
            .replace("\"rows\":10", "\"rows\":11");
        for state in [
            None,
            Some(damaged.into_bytes()),
            Some(Vec::new()),
            Some(b"{}".to_vec()),
        ] {
            match state {
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            for repo in [
                place.repo.clone(),
                JsonlTimeSeriesRepository::open(place.dir.path(), JsonlConfig::default()).unwrap(),
            ] {
                let (rows, report) = scan(&repo, &btc(), &ScanQuery::new()).await.unwrap();
                assert_eq!(rows.num_rows(), 40);
                assert_eq!(places(&report), [(ProblemKind::DigestMismatch, None, None)]);
            }
            // Nothing to seal but the ten entries of the plain file the first time; the manifest is written anew.
            place.repo.rotate(&btc()).await.unwrap();
            let (rows, report) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
            assert_eq!((rows.num_rows(), report.is_clean()), (40, true));
        }
        let newer = String::from_utf8(good)
            .unwrap()
            .replace("\"version\":1", "\"version\":9");
        let inner = newer.split_once("\"manifest\":").unwrap().1.trim_end();
        let inner = &inner[..inner.len() - 1];
        let text = format!(
            "{{\"blake3\":\"{}\",\"manifest\":{inner}}}",
            blake3::hash(inner.as_bytes()).to_hex()
        );
        std::fs::write(&path, text).unwrap();
        let error = scan(&place.repo, &btc(), &ScanQuery::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("newer release"), "{error}");
    });
}

#[test]
fn reads_that_began_before_a_rotation_go_on() {
    let place = Place::new();
    run(async {
        let entries: Vec<_> = (0..3_000).map(entry).collect();
        place.repo.append_entries(&btc(), &entries).await.unwrap();
        let mut rows = place
            .repo
            .scan(&btc(), &ScanQuery::new().batch_size(100))
            .await
            .unwrap();
        let mut lines = place
            .repo
            .entries(&btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(rows.next().await.unwrap().unwrap().num_rows(), 100);
        assert_eq!(lines.next().await.unwrap().unwrap().text(), entries[0]);
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        place
            .repo
            .append_entries(&btc(), &["{\"timestamp\":\"2026-01-01\"}"])
            .await
            .unwrap();
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        let (rest, _) = rows.collect().await.unwrap();
        assert_eq!(rest.iter().map(RecordBatch::num_rows).sum::<usize>(), 2_900);
        let (rest, _) = lines.collect().await.unwrap();
        assert_eq!(rest.len(), 2_999);
    });
}

#[test]
fn what_the_columns_are_is_known_beyond_a_rotation() {
    let place = Place::new();
    run(async {
        let rows = |at: i64| {
            batch(
                &[at],
                vec![("price", Arc::new(Float64Array::from(vec![1.5])))],
            )
        };
        append(&place.repo, &btc(), rows(0)).await.unwrap();
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        let ints = batch(&[1], vec![("price", Arc::new(Int64Array::from(vec![2])))]);
        let error = append(&place.repo, &btc(), ints).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
        let receipt = append(&place.repo, &btc(), rows(2)).await.unwrap();
        let summary = place.repo.summary(&btc()).await.unwrap().unwrap();
        assert_eq!((summary.version, summary.rows), (receipt.version, 2));
        // An empty batch changes nothing, and an empty plain file is no segment.
        let empty = place
            .repo
            .write(&btc(), rows(0).slice(0, 0), WriteMode::Append)
            .await
            .unwrap();
        assert_eq!(empty.version, receipt.version);
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        assert_eq!(place.repo.rotate(&btc()).await.unwrap(), None);
        let (found, _) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(floats(&found, "price"), [Some(1.5), Some(1.5)]);
    });
}

#[test]
fn a_series_without_a_plain_file_is_there_and_is_deleted_whole() {
    let place = Place::new();
    run(async {
        place
            .repo
            .append_entries(&btc(), &[entry(1)])
            .await
            .unwrap();
        place
            .repo
            .append_entries(&id("BTCUSD@1h"), &[entry(2)])
            .await
            .unwrap();
        place
            .repo
            .append_entries(&id("@btcusd"), &[entry(3)])
            .await
            .unwrap();
        for series in [btc(), id("BTCUSD@1h"), id("@btcusd")] {
            place.repo.rotate(&series).await.unwrap().unwrap();
        }
        let (listed, report) = place
            .repo
            .list_with_report(&SeriesFilter::new())
            .await
            .unwrap();
        assert_eq!(listed.len(), 3, "{listed:?}");
        assert!(report.is_clean(), "{report:?}");
        // No name there looks like a series to the original, which takes what ends in `_timeseries.jsonl`.
        assert!(
            names(place.dir.path())
                .iter()
                .all(|name| !name.contains("_timeseries"))
        );
        assert_eq!(place.repo.delete(&btc(), None).await.unwrap(), 1);
        assert_eq!(
            place.repo.list(&SeriesFilter::new()).await.unwrap().len(),
            2
        );
        assert!(place.repo.summary(&btc()).await.unwrap().is_none());
        assert_eq!(place.repo.delete(&btc(), None).await.unwrap(), 0);
        assert!(!place.file("btcusd~sealed").exists());
        place
            .repo
            .append_entries(&btc(), &[entry(4)])
            .await
            .unwrap();
        assert_eq!(
            texts(&place.repo, &btc(), &EntryQuery::new())
                .await
                .unwrap()
                .0,
            [entry(4)]
        );
        let missing = place.repo.rotate(&id("NOPE@ticks")).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn settings_that_differ_from_those_of_the_sealing_are_heeded() {
    let place = Place::new();
    place.put("btcusd_timeseries.jsonl", "{\"timestamp\":1735689600}\n{\"timestamp\":1735689601,\"pad\":\"xxxxxxxxxxxxxxxxxxxxx\"}\n");
    run(async {
        let segment = place.repo.rotate(&btc()).await.unwrap().unwrap();
        assert_eq!((segment.rows, segment.flaws), (0, 2));
        let seconds = JsonlConfig::default().time(TimeField::timestamp().epoch(EpochUnit::Seconds));
        let repo = JsonlTimeSeriesRepository::open(place.dir.path(), seconds.clone()).unwrap();
        let (rows, report) = scan(&repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(
            nanos(&rows),
            [1_735_689_600_000_000_000, 1_735_689_601_000_000_000]
        );
        assert!(report.is_clean());
        let repo =
            JsonlTimeSeriesRepository::open(place.dir.path(), seconds.max_line_bytes(30)).unwrap();
        let (rows, report) = scan(&repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(rows.num_rows(), 1);
        assert_eq!(places(&report)[0].0, ProblemKind::TooLarge);
    });
}

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
        for n in 0..40 {
            place
                .repo
                .append_entries(&btc(), &[entry(n)])
                .await
                .unwrap();
            if n % 8 == 7 {
                compressed(&place).await;
            }
        }
        let segments = place.repo.segments(&btc()).await.unwrap();
        assert!(segments.len() >= 2, "{segments:?}");
        assert!(segments.iter().all(|s| s.bytes >= 200), "{segments:?}");
        let (found, _) = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(found, (0..40).map(entry).collect::<Vec<_>>());
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
