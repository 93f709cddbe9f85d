//! A streamed read holds a few row groups, however long the series is: seen on a process of its own.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail the test, and one of them answers its parent"
)]

mod common;

use std::process::Command;

use common::{Row, batch, inline, series};
use futures_util::TryStreamExt as _;
use minutebook_core::{ScanQuery, TimeSeriesRepository, WriteMode};
use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository};

const ROWS: i64 = 1 << 21;
/// Times, numbers and prices of all rows take twice as much.
const ALLOWED: u64 = 24 << 20;
/// Tells the child where the series is.
const PLACE: &str = "MINUTEBOOK_TEST_MEMORY_OF";

fn open(dir: impl AsRef<std::path::Path>) -> ParquetTimeSeriesRepository {
    let config = ParquetConfig::default()
        .target_segment_rows(1 << 18)
        .row_group_rows(1 << 14);
    ParquetTimeSeriesRepository::open(dir, config).unwrap()
}

/// A line of this process's status, in bytes.
fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    kib << 10
}

#[test]
fn a_streamed_read_takes_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let repo = open(dir.path());
    for start in (0..ROWS).step_by(1 << 18) {
        let rows: Vec<Row> = (start..start + (1 << 18))
            .map(|i| (i * 60_000_000_000, i * 37 % 1_009))
            .collect();
        inline(repo.write(&series(), batch(&rows), WriteMode::Append)).unwrap();
    }
    for order in ["oldest", "newest"] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "streams_in_a_process_of_its_own",
                "--ignored",
                "--nocapture",
            ])
            .env(PLACE, dir.path())
            .env("MINUTEBOOK_TEST_MEMORY_ORDER", order)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&child.stdout).into_owned();
        assert!(child.status.success(), "{text}");
        let grown: u64 = text
            .lines()
            .find_map(|line| line.split("grown by ").nth(1))
            .unwrap_or_else(|| panic!("no answer in {text}"))
            .trim()
            .parse()
            .unwrap();
        assert!(grown > 0 && grown < ALLOWED, "{order} first: {grown} bytes");
    }
}

#[test]
#[ignore = "run by a_streamed_read_takes_little_memory, in a process of its own"]
fn streams_in_a_process_of_its_own() {
    let repo = open(std::env::var_os(PLACE).unwrap());
    let query = match std::env::var("MINUTEBOOK_TEST_MEMORY_ORDER")
        .unwrap()
        .as_str()
    {
        "newest" => ScanQuery::new().newest_first(),
        _ => ScanQuery::new(),
    };
    let before = status("VmRSS:");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let rows = runtime.block_on(async {
        let mut stream = repo.scan(&series(), &query).await.unwrap();
        let mut rows = 0;
        while let Some(batch) = stream.try_next().await.unwrap() {
            rows += batch.num_rows();
        }
        rows
    });
    assert_eq!(rows, usize::try_from(ROWS).unwrap());
    println!("grown by {}", status("VmHWM:").saturating_sub(before));
}
