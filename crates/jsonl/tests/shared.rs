//! Many writers: threads, processes, series.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use minutebook_core::{ScanQuery, SeriesFilter, TimeSeriesRepository};
use minutebook_fs::Durability;
use minutebook_jsonl::{AppenderOptions, EntryQuery, JsonlConfig, JsonlTimeSeriesRepository};

/// Lengths from one byte of padding to a mebibyte.
fn pad(n: usize) -> usize {
    [1, 200, 4_095, 8_300, 70_000, 1 << 20][n % 6]
}

fn entry(writer: usize, n: usize) -> String {
    let letter = char::from(b'a' + u8::try_from(writer % 26).unwrap());
    let padding = letter.to_string().repeat(pad(n));
    format!(
        "{{\"timestamp\":\"2025-01-01T00:00:00\",\"writer\":{writer},\"n\":{n},\"pad\":\"{padding}\"}}"
    )
}

/// Checks that the entries are whole and each writer's in order, and gives how many each has.
fn check(entries: &[String]) -> HashMap<usize, usize> {
    let mut next: HashMap<usize, usize> = HashMap::new();
    for text in entries {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let number = |key: &str| usize::try_from(value[key].as_u64().unwrap()).unwrap();
        let (writer, n) = (number("writer"), number("n"));
        assert_eq!(value["pad"].as_str().unwrap().len(), pad(n));
        let expected = next.entry(writer).or_default();
        assert_eq!(n, *expected, "writer {writer}");
        *expected += 1;
    }
    next
}

fn writer_process(dir: &std::path::Path, writer: usize, count: usize) -> Child {
    // This program again, with the one test that writes.
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "one_writer", "--nocapture"])
        .env("WRITER_DIR", dir)
        .env("WRITER", writer.to_string())
        .env("COUNT", count.to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "a process that the other tests start"]
fn one_writer() {
    let number = |name: &str| std::env::var(name).unwrap().parse::<usize>().unwrap();
    let dir = std::env::var("WRITER_DIR").unwrap();
    let config = JsonlConfig::default().durability(Durability::Buffered);
    let repo = JsonlTimeSeriesRepository::open(dir, config).unwrap();
    run(async {
        for n in 0..number("COUNT") {
            repo.append_entries(&btc(), &[entry(number("WRITER"), n)])
                .await
                .unwrap();
        }
    });
}

#[test]
fn processes_and_threads_append_while_a_reader_reads() {
    const COUNT: usize = 60;
    let place = Place::new();
    let mut children: Vec<_> = (0..2)
        .map(|writer| writer_process(place.dir.path(), writer, COUNT))
        .collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (2..4)
            .map(|writer| {
                let repo = place.repo.clone();
                scope.spawn(move || {
                    run(async {
                        for n in 0..COUNT {
                            repo.append_entries(&btc(), &[entry(writer, n)])
                                .await
                                .unwrap();
                        }
                    });
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            run(async {
                let mut reads = 0;
                while !done.load(Ordering::Acquire) || reads == 0 {
                    if place.repo.summary(&btc()).await.unwrap().is_none() {
                        continue;
                    }
                    let (entries, report) = texts(&place.repo, &btc(), &EntryQuery::new().last(20))
                        .await
                        .unwrap();
                    if entries.is_empty() {
                        // The file is there before its first line, and has no column to ask for.
                        continue;
                    }
                    assert!(report.is_clean(), "{report:?}");
                    for text in &entries {
                        serde_json::from_str::<serde_json::Value>(text).unwrap();
                    }
                    let (_, report) = scan(&place.repo, &btc(), &ScanQuery::new().columns(["n"]))
                        .await
                        .unwrap();
                    assert!(report.is_clean(), "{report:?}");
                    reads += 1;
                }
            });
        });
        for writer in writers {
            writer.join().unwrap();
        }
        for child in &mut children {
            assert!(child.wait().unwrap().success());
        }
        done.store(true, Ordering::Release);
        reader.join().unwrap();
    });
    let (entries, report) = run(texts(&place.repo, &btc(), &EntryQuery::new())).unwrap();
    assert!(report.is_clean());
    let counts = check(&entries);
    assert_eq!(counts, (0..4).map(|writer| (writer, COUNT)).collect());
}

#[test]
fn killed_writers_tear_nobody_elses_line() {
    let place = Place::new();
    for round in 0..6 {
        let mut children: Vec<_> = (0..2)
            .map(|i| writer_process(place.dir.path(), round * 2 + i, 100_000))
            .collect();
        let before = place.repo.path().join("btcusd_timeseries.jsonl");
        let grown = |than: u64| std::fs::metadata(&before).map_or(0, |m| m.len()) > than;
        let start = std::fs::metadata(&before).map_or(0, |m| m.len());
        while !grown(start + (3 << 20)) {
            std::thread::yield_now();
        }
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    run(async {
        place
            .repo
            .append_entries(&btc(), &[entry(99, 0)])
            .await
            .unwrap();
        let (entries, report) = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        // Each killed process may leave one line that is cut short, and nothing else.
        assert!(report.total() <= 12, "{report:?}");
        let counts = check(&entries);
        assert_eq!(counts[&99], 1);
        assert_eq!(counts.len(), 13);
    });
}

#[test]
fn five_thousand_series_need_few_handles() {
    let config = JsonlConfig::default()
        .durability(Durability::Buffered)
        .max_open_series(NonZeroUsize::new(16).unwrap());
    let place = Place::with(config);
    let series: Vec<_> = (0..5_000).map(|n| id(&format!("S{n}@ticks"))).collect();
    run(async {
        for round in 0..2 {
            // Each of them, and some of them again when their files were closed long ago.
            for series in series.iter().step_by(1 + round * 7) {
                let text = format!("{{\"timestamp\":\"2025-01-01\",\"n\":{round}}}");
                place.repo.append_entries(series, &[text]).await.unwrap();
            }
            if cfg!(target_os = "linux") {
                let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
                // Those of this test and of the others that run beside it.
                assert!(open < 200, "{open} handles are open");
            }
        }
        assert_eq!(
            place.repo.list(&SeriesFilter::new()).await.unwrap().len(),
            5_000
        );
        for series in series.iter().step_by(400) {
            let (rows, _) = scan(&place.repo, series, &ScanQuery::new()).await.unwrap();
            assert_eq!(ints(&rows, "n"), [Some(0), Some(1)]);
        }
    });
}

#[test]
fn an_appender_of_many_series_needs_few_handles() {
    let config = JsonlConfig::default()
        .durability(Durability::Buffered)
        .max_open_series(NonZeroUsize::new(16).unwrap());
    let place = Place::with(config);
    let series: Vec<_> = (0..1_000).map(|n| id(&format!("A{n}@ticks"))).collect();
    let appender = place.repo.appender(AppenderOptions::new()).unwrap();
    for n in 0..2 {
        for series in &series {
            let text = format!("{{\"timestamp\":\"2025-01-01\",\"n\":{n}}}");
            appender.push_blocking(series, &text).unwrap();
        }
        appender.flush_blocking().unwrap();
        if cfg!(target_os = "linux") {
            let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
            assert!(open < 200, "{open} handles are open");
        }
    }
    appender.close_blocking().unwrap();
    assert_eq!(appender.status().durable, 2_000);
    for series in series.iter().step_by(90) {
        let (rows, _) = run(scan(&place.repo, series, &ScanQuery::new())).unwrap();
        assert_eq!(ints(&rows, "n"), [Some(0), Some(1)]);
    }
}

#[test]
fn appenders_never_write_into_a_deleted_file() {
    let place = Place::new();
    let other = JsonlTimeSeriesRepository::open(place.dir.path(), JsonlConfig::default()).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            run(async {
                let mut appended = 0_u64;
                while !stop.load(Ordering::Acquire) {
                    place
                        .repo
                        .append_entries(&btc(), &[entry(0, 0)])
                        .await
                        .unwrap();
                    appended += 1;
                }
                appended
            })
        });
        let mut deleted = 0;
        run(async {
            for _ in 0..200 {
                deleted += other.delete(&btc(), None).await.unwrap();
            }
        });
        stop.store(true, Ordering::Release);
        let appended = writer.join().unwrap();
        deleted += run(other.delete(&btc(), None)).unwrap();
        assert_eq!(deleted, appended);
    });
}

#[test]
fn a_sync_reaches_series_whose_files_were_closed_meanwhile() {
    run(async {
        let disk = minutebook_fs::SimFs::new();
        let open = |disk: minutebook_fs::SimFs| {
            let config = JsonlConfig::default()
                .fs(std::sync::Arc::new(disk))
                .durability(Durability::Buffered)
                .max_open_series(NonZeroUsize::new(2).unwrap());
            JsonlTimeSeriesRepository::open("/ticks", config).unwrap()
        };
        minutebook_fs::create_dir_all(&disk, std::path::Path::new("/ticks"), Durability::Synced)
            .unwrap();
        let repo = open(disk.clone());
        let all: Vec<_> = (0..6).map(|n| id(&format!("S{n}@ticks"))).collect();
        for series in &all {
            repo.append_entries(series, &["{\"timestamp\":\"2025-01-01\"}"])
                .await
                .unwrap();
        }
        let lost = |image: minutebook_fs::SimFs| {
            let (repo, all) = (open(image), all.clone());
            async move {
                let mut lost = 0;
                for series in &all {
                    let summary = repo.summary(series).await.unwrap();
                    lost += usize::from(summary.is_none_or(|summary| summary.rows == 0));
                }
                lost
            }
        };
        let images = || disk.images_after_crash(&minutebook_fs::Images::default());
        let mut worst = 0;
        for image in images() {
            worst = worst.max(lost(image.fs).await);
        }
        assert_eq!(worst, 6, "without a sync a power cut may take everything");
        repo.sync().await.unwrap();
        for image in images() {
            assert_eq!(lost(image.fs).await, 0, "{}", image.what);
        }
        // A sync that failed is not tried again as if nothing had been.
        for series in &all {
            repo.append_entries(series, &["{\"timestamp\":\"2025-01-01\"}"])
                .await
                .unwrap();
        }
        disk.fail_next(minutebook_fs::OpKind::SyncAll, std::io::ErrorKind::Other);
        for _ in 0..2 {
            let error = repo.sync().await.unwrap_err();
            assert_eq!(error.kind(), minutebook_core::ErrorKind::Unavailable);
        }
    });
}
