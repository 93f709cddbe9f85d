//! How much memory a tiered read takes: bounded, whatever the length of the files. The reader is a process of its own, whose peak is what the system says it was.
#![cfg(target_os = "linux")]

use std::fmt::Write;
use std::process::Command;

use futures_util::StreamExt;
use minutebook::{ScanQuery, TimeSeriesRepository};

use crate::{btc, on_disk, run};

/// The hot file alone has more bytes than a reader may take. Thirty of them are the program's own, without optimization; how much of the rest is waste between
/// threads differs by ten from run to run.
const MOST_BYTES: u64 = 112 << 20;
const LINE_BYTES: usize = 512;
const COLD: usize = (48 << 20) / LINE_BYTES;
const HOT: usize = (120 << 20) / LINE_BYTES;

/// Lines with times from 0 on, each far from the one before.
fn lines(count: usize) -> String {
    let mut text = String::with_capacity(count * LINE_BYTES);
    for n in 0..count {
        let time = n * 7_919 % count;
        let (second, minute) = (time / 1_000 % 60, time / 60_000);
        let from = text.len();
        write!(
            text,
            "{{\"timestamp\":\"2025-01-01T00:{minute:02}:{second:02}.{:03}Z\",\"n\":{n},\"note\":\"",
            time % 1_000
        )
        .unwrap();
        let pad = LINE_BYTES - 3 - (text.len() - from);
        text.extend(std::iter::repeat_n('x', pad));
        text.push_str("\"}\n");
    }
    text
}

#[test]
#[ignore = "a process that the other test starts"]
fn one_reader() {
    let dir = std::env::var("READER_DIR").unwrap();
    let (_, _, tiered) = on_disk(dir.as_ref());
    let rows = run(async {
        let mut batches = tiered.scan(&btc(), &ScanQuery::new()).await.unwrap();
        let (mut rows, mut last) = (0, i64::MIN);
        while let Some(batch) = batches.next().await {
            let batch = batch.unwrap();
            let times = minutebook::series::batch::timestamps(&batch).unwrap();
            assert!(times.values().is_sorted() && last <= times.value(0));
            last = times.value(times.len() - 1);
            rows += batch.num_rows();
        }
        rows
    });
    assert_eq!(rows, COLD + HOT);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    println!("peak={}", line.unwrap().split_whitespace().nth(1).unwrap());
}

#[test]
fn reading_long_files_takes_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (hot, _, tiered) = on_disk(dir.path());
    let file = dir.path().join("ticks/btcusd_timeseries.jsonl");
    std::fs::write(&file, lines(COLD)).unwrap();
    run(async {
        hot.rotate(&btc()).await.unwrap().unwrap();
        assert_eq!(tiered.compact(&btc(), false).await.unwrap().moved.len(), 1);
    });
    std::fs::write(&file, lines(HOT)).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["memory::one_reader", "--exact", "--ignored", "--nocapture"])
        .env("READER_DIR", dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let peak = text.lines().find_map(|line| line.split_once("peak="));
    let peak = peak.map(|(_, peak)| peak.trim().parse::<u64>().unwrap() * 1024);
    assert!(
        output.status.success() && peak.is_some_and(|peak| peak < MOST_BYTES),
        "{peak:?} bytes: {text}"
    );
}
