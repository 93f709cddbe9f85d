//! How much memory reading takes: bounded by the batch, whatever the length of the file. Each way of reading has a process of its own, whose peak is
//! what the system says it was.

#![allow(clippy::unwrap_used, reason = "a test program")]
#![cfg(target_os = "linux")]

mod common;

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use common::*;
use futures_util::StreamExt;
use minutebook_core::series::batch::timestamps;
use minutebook_core::time::from_nanos;
use minutebook_core::{BatchStream, ScanQuery, TimeRange, TimeSeriesRepository};
use minutebook_jsonl::{
    EntryQuery, FollowFrom, FollowQuery, JsonlConfig, JsonlTimeSeriesRepository,
};

/// The file has one and a half times the bytes that a reader may take.
const FILE_BYTES: usize = 150 << 20;
const MOST_BYTES: u64 = 100 << 20;
const LINE_BYTES: usize = 512;
const LINES: usize = FILE_BYTES / LINE_BYTES;

/// One file with its times in order, and one with every time far from the one before.
const FILES: [(&str, usize); 2] = [("ordered", 1), ("shuffled", 7_919)];

fn write_lines(dir: &Path, name: &str, step: usize) {
    let file = std::fs::File::create(dir.join(format!("{name}_timeseries.jsonl"))).unwrap();
    let mut out = BufWriter::new(file);
    for n in 0..LINES {
        let time = n * step % LINES;
        let (second, minute) = (time / 1_000 % 60, time / 60_000);
        let mut line = format!(
            "{{\"timestamp\":\"2025-01-01T00:{minute:02}:{second:02}.{:03}Z\",\"price\":{n}.25,\"n\":{n},\"side\":\"buy\",\"note\":\"",
            time % 1_000
        );
        line.extend(std::iter::repeat_n('x', LINE_BYTES - 3 - line.len()));
        line.push_str("\"}\n");
        out.write_all(line.as_bytes()).unwrap();
    }
    out.flush().unwrap();
}

/// The most memory that this process has had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

/// The rows of batches, which come in the order of time if so it is said.
async fn count(mut batches: BatchStream, in_order: bool) -> usize {
    let (mut rows, mut last) = (0, i64::MIN);
    while let Some(batch) = batches.next().await {
        let batch = batch.unwrap();
        let times = timestamps(&batch).unwrap().values();
        if in_order {
            assert!(times.is_sorted() && last <= times[0]);
            last = *times.last().unwrap();
        }
        rows += batch.num_rows();
    }
    rows
}

#[test]
#[ignore = "a process that the other test starts"]
fn one_reader() {
    let how = std::env::var("READER").unwrap();
    let dir = std::env::var("READER_DIR").unwrap();
    let (series, how) = how.split_once(' ').unwrap();
    let series = id(&format!("{series}@ticks"));
    let repo = JsonlTimeSeriesRepository::open(dir, JsonlConfig::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    // The minutes from the second to the fourth.
    let minute = |minute: i64| from_nanos(BASE + minute * 60_000_000_000);
    let range = TimeRange::new(minute(1), minute(4)).unwrap();
    let query = match how.split_once(" of ") {
        Some((_, "numbers")) => ScanQuery::new().columns(["price", "n"]),
        Some((_, "minutes")) => ScanQuery::new().range(range),
        _ => ScanQuery::new(),
    };
    let wanted = if how.ends_with("minutes") {
        180_000
    } else {
        LINES
    };
    let read = runtime.block_on(async {
        let mut read = 0;
        match how.split(" of ").next().unwrap() {
            "scan" => read = count(repo.scan(&series, &query).await.unwrap(), false).await,
            "in time order" => {
                let snapshot = repo.snapshot(&series).await.unwrap().unwrap();
                let batches = snapshot.scan_in_time_order(&query, None).await.unwrap();
                read = count(batches, true).await;
            }
            "entries" => {
                let mut entries = repo.entries(&series, &EntryQuery::new()).await.unwrap();
                while let Some(entry) = entries.next().await {
                    entry.unwrap();
                    read += 1;
                }
            }
            "tail" => {
                let query = EntryQuery::new().last(1_000);
                let entries = repo.entries(&series, &query).await.unwrap();
                let (entries, _) = entries.collect().await.unwrap();
                read = entries.len() + LINES - 1_000;
            }
            "follow" => {
                let query = FollowQuery::new().from(FollowFrom::Start);
                let mut entries = repo.follow(&series, &query);
                while read < LINES {
                    entries.next().await.unwrap().unwrap();
                    read += 1;
                }
            }
            other => panic!("{other}"),
        }
        read
    });
    assert_eq!(read, wanted);
    println!("peak={}", peak());
}

fn is_bounded(dir: &Path, how: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["one_reader", "--exact", "--ignored", "--nocapture"])
        .env("READER", how)
        .env("READER_DIR", dir)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let peak = text.lines().find_map(|line| line.split_once("peak="));
    let peak = peak.map(|(_, peak)| peak.trim().parse::<u64>().unwrap());
    assert!(
        output.status.success() && peak.is_some_and(|peak| peak < MOST_BYTES),
        "{how} took {peak:?} bytes: {text}"
    );
}

#[test]
fn reading_a_long_file_takes_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    for (name, step) in FILES {
        write_lines(dir.path(), name, step);
    }
    for how in [
        "ordered scan",
        "ordered entries",
        "ordered tail",
        "ordered follow",
        "ordered scan of minutes",
        "ordered scan of numbers",
        "ordered in time order",
        "shuffled scan of minutes",
        "shuffled in time order",
        "shuffled in time order of minutes",
        "shuffled in time order of numbers",
    ] {
        is_bounded(dir.path(), how);
    }
    let repo = JsonlTimeSeriesRepository::open(dir.path(), JsonlConfig::default()).unwrap();
    for (name, _) in FILES {
        let series = id(&format!("{name}@ticks"));
        run(repo.rotate(&series)).unwrap().unwrap();
    }
    for how in [
        "ordered scan",
        "ordered entries",
        "ordered follow",
        "shuffled in time order of minutes",
        "shuffled in time order of numbers",
    ] {
        is_bounded(dir.path(), how);
    }
}
