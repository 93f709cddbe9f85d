//! What is waited for when the last handle of a store is dropped.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use minutebook_fs::{Durability, OpKind, SimFs, create_dir_all};
use minutebook_jsonl::{AppenderOptions, JsonlConfig, JsonlTimeSeriesRepository};

const INDEX: &str = "/ticks/.btcusd.index";

/// Holds the thread that writes the index when it comes to sync the lines. Gives whether it is there, and what lets it go.
fn hold_index(disk: &SimFs) -> [Arc<AtomicBool>; 2] {
    let [held, go] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (there, may_go) = (Arc::clone(&held), Arc::clone(&go));
    disk.on_op(move |event| {
        let thread = std::thread::current();
        if event.kind == OpKind::SyncAll && thread.name() == Some("minutebook-index") {
            there.store(true, Ordering::SeqCst);
            while !may_go.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
    });
    [held, go]
}

#[test]
fn an_appender_that_outlives_its_repository_waits_for_the_index() {
    for appender_first in [false, true] {
        let disk = SimFs::new();
        create_dir_all(&disk, Path::new("/ticks"), Durability::Synced).unwrap();
        let [held, go] = hold_index(&disk);
        let config = JsonlConfig::default()
            .fs(Arc::new(disk.clone()))
            .durability(Durability::Buffered)
            .index_bytes(1 << 20);
        let repo = JsonlTimeSeriesRepository::open("/ticks", config).unwrap();
        let appender = repo.appender(AppenderOptions::new()).unwrap();
        let mut repo = Some(repo);
        if !appender_first {
            repo = None;
        }
        let pad = "x".repeat(1 << 16);
        let entry = format!("{{\"timestamp\":\"2025-01-01\",\"pad\":\"{pad}\"}}");
        while !held.load(Ordering::SeqCst) {
            appender.push_blocking(&btc(), &entry).unwrap();
            appender.flush_blocking().unwrap();
        }
        assert!(disk.get(INDEX).is_none());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Whoever does not wait is done by then.
                std::thread::sleep(std::time::Duration::from_millis(100));
                go.store(true, Ordering::SeqCst);
            });
            drop(appender);
            drop(repo);
            assert!(disk.get(INDEX).is_some(), "it is waited for");
        });
    }
}
