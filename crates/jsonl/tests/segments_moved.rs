//! A segment that another process takes away between the look at a series and the opening of the segment: the call begins anew, and nobody sees it.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use minutebook_core::{ScanQuery, TimeSeriesRepository};
use minutebook_fs::{OpKind, SimFs};
use minutebook_jsonl::{EntryQuery, JsonlConfig, JsonlTimeSeriesRepository};

fn open(disk: &SimFs, limit: usize) -> JsonlTimeSeriesRepository {
    let config = JsonlConfig::default()
        .fs(Arc::new(disk.clone()))
        .max_line_bytes(limit);
    JsonlTimeSeriesRepository::open("/ticks", config).unwrap()
}

/// Two segments and a plain file of ten entries each, and a process that meets the first segment a moment before it is moved away. That
/// process has another limit of lines than the one that sealed them, so it has to read them to count their rows.
fn with_a_mover() -> (SimFs, JsonlTimeSeriesRepository, Arc<AtomicBool>) {
    let disk = SimFs::new();
    let first = open(&disk, 1 << 20);
    run(async {
        for part in 0..3 {
            let entries = entries(part * 10..part * 10 + 10);
            first.append_entries(&btc(), &entries).await.unwrap();
            if part < 2 {
                first.rotate(&btc()).await.unwrap().unwrap();
            }
        }
    });
    let (process, moved) = (disk.new_process(), Arc::new(AtomicBool::new(false)));
    let repo = open(&process, 1 << 19);
    let (other, once) = (disk.new_process(), Arc::clone(&moved));
    process.on_op(move |event| {
        let is_first = event.path.ends_with(Path::new("00000001.jsonl.zst"));
        if event.kind != OpKind::Open || !is_first || once.swap(true, Ordering::SeqCst) {
            return;
        }
        let other = other.clone();
        let work = std::thread::spawn(move || {
            run(async {
                let mover = open(&other, 1 << 20);
                let mut held = mover.hand_over(&btc()).await.unwrap().unwrap();
                held.remove(&[1]).await.unwrap();
            });
        });
        work.join().unwrap();
    });
    (disk, repo, moved)
}

#[test]
fn a_deletion_counts_what_is_left() {
    let (disk, repo, moved) = with_a_mover();
    assert_eq!(run(repo.delete(&btc(), None)).unwrap(), 20);
    assert!(moved.load(Ordering::SeqCst));
    let other = open(&disk.new_process(), 1 << 20);
    assert_eq!(run(other.summary(&btc())).unwrap(), None);
}

#[test]
fn so_do_reads_and_an_append_of_nothing() {
    let (_, repo, moved) = with_a_mover();
    assert_eq!(run(repo.summary(&btc())).unwrap().unwrap().rows, 20);
    assert!(moved.load(Ordering::SeqCst));

    let (_, repo, moved) = with_a_mover();
    let (rows, report) = run(scan(&repo, &btc(), &ScanQuery::new())).unwrap();
    assert_eq!((rows.num_rows(), report.total()), (20, 0));
    assert!(moved.load(Ordering::SeqCst));

    let (_, repo, moved) = with_a_mover();
    let (found, report) = run(texts(&repo, &btc(), &EntryQuery::new())).unwrap();
    assert_eq!((found, report.total()), (entries(10..30), 0));
    assert!(moved.load(Ordering::SeqCst));

    let (_, repo, moved) = with_a_mover();
    let none: [&str; 0] = [];
    let receipt = run(repo.append_entries(&btc(), &none)).unwrap();
    let version = run(repo.summary(&btc())).unwrap().unwrap().version;
    assert_eq!((receipt.inserted, receipt.version), (0, version));
    assert!(moved.load(Ordering::SeqCst));
}
