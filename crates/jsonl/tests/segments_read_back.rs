//! A compressed segment is read back before the plain one goes. Here the disk gives back another one, which is sound by itself and of the same length.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::*;
use minutebook_fs::{Durability, OpKind, SimFs, create_dir_all};
use minutebook_jsonl::{EntryQuery, JsonlConfig, JsonlTimeSeriesRepository};

const SEALED: &str = "/ticks/btcusd~sealed/00000001.jsonl.zst";
const PLAIN: &str = "/ticks/btcusd~sealed/00000001.jsonl";

fn open(disk: &SimFs) -> JsonlTimeSeriesRepository {
    let config = JsonlConfig::default().fs(Arc::new(disk.clone()));
    JsonlTimeSeriesRepository::open("/ticks", config).unwrap()
}

async fn with(numbers: Range<usize>) -> (SimFs, JsonlTimeSeriesRepository) {
    let disk = SimFs::new();
    create_dir_all(&disk, Path::new("/ticks"), Durability::Synced).unwrap();
    let repo = open(&disk);
    repo.append_entries(&btc(), &entries(numbers))
        .await
        .unwrap();
    (disk, repo)
}

#[test]
fn a_segment_that_reads_back_as_another_takes_nothing_away() {
    run(async {
        let (other, repo) = with(20..30).await;
        repo.rotate(&btc()).await.unwrap().unwrap();
        let other = other.get(SEALED).unwrap();

        let (disk, repo) = with(10..20).await;
        let lines = entries(10..20).join("\n") + "\n";
        let process = disk.new_process();
        let replaced = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&replaced);
        let written = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&written);
        let is_written = AtomicBool::new(false);
        disk.on_op(move |event| {
            let is_there = event.path == Path::new(SEALED);
            if is_there && matches!(event.kind, OpKind::Rename | OpKind::RenameNoReplace) {
                is_written.store(true, Ordering::Relaxed);
            }
            let is_read = is_there && event.kind == OpKind::Open;
            if is_read && is_written.swap(false, Ordering::Relaxed) {
                *kept.lock().unwrap() = process.get(SEALED).unwrap();
                process.put(SEALED, &other).unwrap();
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let error = repo.rotate(&btc()).await.unwrap_err();
        assert!(error.to_string().contains("does not read back"), "{error}");
        assert!(replaced.load(Ordering::Relaxed) > 0);
        assert_eq!(disk.get(PLAIN).as_deref(), Some(lines.as_bytes()));

        // All is there; and once the disk gives back what was written, the segment is finished.
        disk.clear_hook();
        let all = EntryQuery::new();
        let (found, report) = texts(&open(&disk), &btc(), &all).await.unwrap();
        assert_eq!((found, report.total()), (entries(10..20), 0));
        disk.put(SEALED, &written.lock().unwrap()).unwrap();
        let repo = open(&disk);
        repo.append_entries(&btc(), &entries(20..21)).await.unwrap();
        repo.rotate(&btc()).await.unwrap().unwrap();
        assert_eq!(disk.get(PLAIN), None);
        let (found, report) = texts(&open(&disk), &btc(), &all).await.unwrap();
        assert_eq!((found, report.total()), (entries(10..21), 0));
    });
}
