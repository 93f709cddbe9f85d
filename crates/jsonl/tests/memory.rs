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
use minutebook_core::{ScanQuery, TimeSeriesRepository};
use minutebook_jsonl::{
    EntryQuery, FollowFrom, FollowQuery, JsonlConfig, JsonlTimeSeriesRepository,
};

/// The file has one and a half times the bytes that a reader may take.
const FILE_BYTES: usize = 150 << 20;
const MOST_BYTES: u64 = 100 << 20;
const LINE_BYTES: usize = 256;
const LINES: usize = FILE_BYTES / LINE_BYTES;

fn write_lines(dir: &Path) {
    let file = std::fs::File::create(dir.join("btcusd_timeseries.jsonl")).unwrap();
    let mut out = BufWriter::new(file);
    for n in 0..LINES {
        let (second, minute) = (n % 60, n / 60 % 60);
        let mut line = format!(
            "{{\"timestamp\":\"2025-01-01T00:{minute:02}:{second:02}.{n:06}Z\",\"price\":{n}.25,\"n\":{n},\"side\":\"buy\",\"note\":\""
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

#[test]
#[ignore = "a process that the other test starts"]
fn one_reader() {
    let how = std::env::var("READER").unwrap();
    let dir = std::env::var("READER_DIR").unwrap();
    let repo = JsonlTimeSeriesRepository::open(dir, JsonlConfig::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let read = runtime.block_on(async {
        let mut read = 0;
        match how.as_str() {
            "scan" => {
                let mut batches = repo.scan(&btc(), &ScanQuery::new()).await.unwrap();
                while let Some(batch) = batches.next().await {
                    read += batch.unwrap().num_rows();
                }
            }
            "entries" => {
                let mut entries = repo.entries(&btc(), &EntryQuery::new()).await.unwrap();
                while let Some(entry) = entries.next().await {
                    entry.unwrap();
                    read += 1;
                }
            }
            "tail" => {
                let query = EntryQuery::new().last(1_000);
                let (entries, _) = repo
                    .entries(&btc(), &query)
                    .await
                    .unwrap()
                    .collect()
                    .await
                    .unwrap();
                read = entries.len() + LINES - 1_000;
            }
            "follow" => {
                let query = FollowQuery::new().from(FollowFrom::Start);
                let mut entries = repo.follow(&btc(), &query);
                while read < LINES {
                    entries.next().await.unwrap().unwrap();
                    read += 1;
                }
            }
            other => panic!("{other}"),
        }
        read
    });
    assert_eq!(read, LINES);
    println!("peak={}", peak());
}

#[test]
fn reading_a_long_file_takes_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    write_lines(dir.path());
    for how in ["scan", "entries", "tail", "follow"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["one_reader", "--exact", "--ignored", "--nocapture"])
            .env("READER", how)
            .env("READER_DIR", dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let peak = text.lines().find_map(|line| line.split_once("peak="));
        let peak = peak.unwrap_or_else(|| panic!("{how}: {text}")).1.trim();
        let peak: u64 = peak.parse().unwrap();
        assert!(
            output.status.success() && peak < MOST_BYTES,
            "{how} took {peak} bytes"
        );
    }
}
