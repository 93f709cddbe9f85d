//! What `Ok` of a sync covers, of series whose files are closed between appends: also beside other syncs, and after one that failed.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use minutebook_core::{ErrorKind, SeriesId, TimeSeriesRepository};
use minutebook_fs::{Durability, Fault, Images, OpKind, SimFs, create_dir_all};
use minutebook_jsonl::{AppenderOptions, JsonlConfig, JsonlTimeSeriesRepository};

const LINE: &str = "{\"timestamp\":\"2025-01-01\",\"n\":1}";

/// A disk with an empty directory.
fn disk() -> SimFs {
    let disk = SimFs::new();
    create_dir_all(&disk, Path::new("/ticks"), Durability::Synced).unwrap();
    disk
}

fn config(disk: &SimFs) -> JsonlConfig {
    JsonlConfig::default()
        .fs(Arc::new(disk.clone()))
        .durability(Durability::Buffered)
        .max_open_series(NonZeroUsize::MIN)
}

fn open(disk: &SimFs) -> JsonlTimeSeriesRepository {
    JsonlTimeSeriesRepository::open("/ticks", config(disk)).unwrap()
}

fn append_to(repo: &JsonlTimeSeriesRepository, series: &SeriesId) -> minutebook_core::Result<()> {
    run(repo.append_entries(series, &[LINE])).map(drop)
}

/// Whether a power cut now could take the rows of a series.
fn may_be_lost(disk: &SimFs, series: &SeriesId) -> bool {
    let images = disk.images_after_crash(&Images::default());
    images.into_iter().any(|image| {
        let summary = run(open(&image.fs).summary(series)).unwrap();
        summary.is_none_or(|summary| summary.rows == 0)
    })
}

/// Two series, of which the first has its file closed.
fn one_closed(repo: &JsonlTimeSeriesRepository) -> [SeriesId; 2] {
    let both = [id("CLOSED@ticks"), id("OPEN@ticks")];
    for series in &both {
        append_to(repo, series).unwrap();
    }
    both
}

/// Holds the first sync of a file until it is let go. Gives whether it is there, and what lets it go.
fn hold_sync(disk: &SimFs, of: &'static str) -> [Arc<AtomicBool>; 2] {
    let [held, go] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (there, may_go) = (Arc::clone(&held), Arc::clone(&go));
    disk.on_op(move |event| {
        let name = event.path.file_name().and_then(|name| name.to_str());
        let is_it = name.is_some_and(|name| name.starts_with(of));
        if event.kind == OpKind::SyncAll && is_it && !there.swap(true, Ordering::SeqCst) {
            wait_for(&may_go);
        }
    });
    [held, go]
}

fn wait_for(flag: &AtomicBool) {
    while !flag.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
}

/// Lets the one who is held go on when the other has had time to be done, which it may not be.
fn let_go_later(go: &AtomicBool) {
    std::thread::sleep(std::time::Duration::from_millis(50));
    go.store(true, Ordering::SeqCst);
}

#[test]
fn a_second_sync_waits_for_what_the_first_has_taken_up() {
    for by_appender in [false, true] {
        let disk = disk();
        let repo = open(&disk);
        let [closed, _] = one_closed(&repo);
        let [held, go] = hold_sync(&disk, "closed");
        std::thread::scope(|scope| {
            let first = scope.spawn(|| run(repo.sync()));
            wait_for(&held);
            let second = scope.spawn(|| {
                if by_appender {
                    let appender = repo.appender(AppenderOptions::new()).unwrap();
                    appender.push_blocking(&id("THIRD@ticks"), LINE).unwrap();
                    appender.sync_blocking().unwrap();
                } else {
                    run(repo.sync()).unwrap();
                }
                may_be_lost(&disk, &closed)
            });
            scope.spawn(|| let_go_later(&go));
            assert!(!second.join().unwrap(), "the second sync said too much");
            first.join().unwrap().unwrap();
        });
    }
}

#[test]
fn a_sync_of_other_series_is_not_made_to_wait_in_line() {
    let disk = disk();
    let repo = open(&disk);
    let [_, other] = one_closed(&repo);
    let [held, go] = hold_sync(&disk, "closed");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| run(repo.sync()));
        wait_for(&held);
        // Another one is closed, and taken up by the second sync.
        append_to(&repo, &id("THIRD@ticks")).unwrap();
        append_to(&repo, &other).unwrap();
        let before = syncs_of(&disk, "third");
        let second = scope.spawn(|| run(repo.sync()));
        // It is at work while the first is held.
        while syncs_of(&disk, "third") == before {
            std::thread::yield_now();
        }
        go.store(true, Ordering::SeqCst);
        first.join().unwrap().unwrap();
        second.join().unwrap().unwrap();
    });
    assert!(!may_be_lost(&disk, &id("THIRD@ticks")));
}

fn syncs_of(disk: &SimFs, name: &str) -> usize {
    let trace = disk.trace();
    let is_sync = |kind| matches!(kind, OpKind::SyncAll | OpKind::SyncData);
    let syncs = trace.iter().filter(|event| is_sync(event.kind));
    syncs
        .filter(|event| event.path.to_string_lossy().contains(name))
        .count()
}

#[test]
fn a_sync_that_fails_is_told_to_the_one_beside_it_too() {
    let disk = disk();
    let repo = open(&disk);
    let [closed, other] = one_closed(&repo);
    let [held, go] = hold_sync(&disk, "closed");
    disk.inject(Fault::on(OpKind::SyncAll).at("/closed"));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| run(repo.sync()));
        wait_for(&held);
        let second = scope.spawn(|| run(repo.sync()));
        scope.spawn(|| let_go_later(&go));
        for outcome in [first, second] {
            let error = outcome.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
        }
    });
    // Its lines are lost, so it is not written to as if nothing had been; others are.
    assert!(may_be_lost(&disk, &closed));
    assert!(append_to(&repo, &closed).is_err());
    append_to(&repo, &other).unwrap();
    assert!(run(repo.sync()).is_err());
    // Opened again, and checked, it goes on.
    append_to(&open(&disk), &closed).unwrap();
}

#[test]
fn a_file_that_could_not_be_opened_is_synced_by_the_next() {
    let disk = disk();
    let repo = open(&disk);
    let [closed, _] = one_closed(&repo);
    disk.inject(Fault::on(OpKind::Open).at("/closed").errno(24));
    assert!(run(repo.sync()).is_err());
    // Nothing was dropped, so nothing is refused; and it is not forgotten.
    assert!(may_be_lost(&disk, &closed));
    run(repo.sync()).unwrap();
    assert!(!may_be_lost(&disk, &closed));
    append_to(&repo, &closed).unwrap();
}

#[test]
fn names_that_could_not_be_synced_are_not_forgotten() {
    let disk = disk();
    let repo = open(&disk);
    let [closed, other] = one_closed(&repo);
    // The file that is open syncs the names first.
    disk.inject(Fault::on(OpKind::SyncDir).at("/ticks").after(1));
    assert!(run(repo.sync()).is_err());
    assert!(run(repo.sync()).is_err());
    for series in [closed, other, id("NEW@ticks")] {
        let error = append_to(&repo, &series).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}

#[test]
fn a_sync_that_failed_for_the_index_is_told() {
    for (series, aside) in [(0, false), (1, false), (0, true), (1, true)] {
        let disk = disk();
        let repo = if aside {
            JsonlTimeSeriesRepository::open("/ticks", config(&disk).index_bytes(100)).unwrap()
        } else {
            open(&disk)
        };
        let both = one_closed(&repo);
        let of = &both[series];
        disk.inject(Fault::on(OpKind::SyncAll).at(["/closed", "/open"][series]));
        if aside {
            // Whether its lines can be synced is no affair of a buffered append.
            for _ in 0..3 {
                let _ = append_to(&repo, of);
            }
        } else {
            run(repo.write_index(of)).unwrap_err();
        }
        assert!(may_be_lost(&disk, of), "{of}: the system has dropped them");
        for _ in 0..2 {
            let error = run(repo.sync()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{of}");
        }
        let error = append_to(&repo, of).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{of}");
        let appender = repo.appender(AppenderOptions::new()).unwrap();
        appender.push_blocking(&both[1 - series], LINE).unwrap();
        assert!(appender.sync_blocking().is_err(), "{of}");
    }
}
