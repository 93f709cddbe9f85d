//! Failed syncs, writes that are cut short, full disks.

use std::io;
use std::path::Path;
use std::sync::Arc;

use minutebook_fs::{Durability, Fault, Fs, Images, OpKind, OpenMode, SimFs, TornTail};

use super::{LOG, line, lines, log, setup};

#[test]
fn a_failed_sync_poisons_the_handle_until_it_is_opened_again() {
    for durable_name in [false, true] {
        let disk = SimFs::new();
        setup(&disk).unwrap();
        let log1 = log(&disk);
        if durable_name {
            log1.append(&line(0), Durability::Synced).unwrap();
        }
        disk.inject(
            Fault::on(if durable_name {
                OpKind::SyncData
            } else {
                OpKind::SyncAll
            })
            .errno(5),
        );
        let error = log1.append(&line(1), Durability::Synced).unwrap_err();
        assert!(!error.nothing_applied());
        assert!(log1.poisoned().is_some());
        for durability in [Durability::Synced, Durability::Buffered] {
            let error = log1.append(&line(2), durability).unwrap_err();
            assert!(error.nothing_applied());
            assert!(
                error.source.to_string().contains("open the log again"),
                "{}",
                error.source
            );
        }
        log1.sync().unwrap_err();
        log1.release().unwrap_err();
        // A new handle works; what the failed sync lost stays lost, and no line of it is taken for whole.
        let log2 = log(&disk);
        log2.append(&line(3), Durability::Synced).unwrap();
        for image in disk.images_after_crash(&Images::default()) {
            let (found, _) = lines(&image.fs).unwrap();
            assert!(!found.contains(&1) && !found.contains(&2), "{found:?}");
            assert_eq!(found.contains(&0), durable_name);
        }
    }
}

#[test]
fn a_handle_that_is_told_of_another_ones_failure_refuses_everything() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let told = log(&disk);
    told.append(&line(0), Durability::Buffered).unwrap();
    told.poison("somebody else's sync failed");
    told.poison("a later reason");
    assert_eq!(told.poisoned(), Some("somebody else's sync failed"));
    let error = told.append(&line(1), Durability::Buffered).unwrap_err();
    assert!(error.nothing_applied());
    told.sync().unwrap_err();
    assert_eq!(lines(&disk).unwrap().0, [0]);
}

#[test]
fn a_failed_sync_fails_all_who_waited_for_it() {
    // The first sync of a log is that of its name, too.
    a_sync_that_fails(OpKind::SyncData, Durability::Synced);
    a_sync_that_fails(OpKind::SyncDir, Durability::Buffered);
}

fn a_sync_that_fails(kind: OpKind, before: Durability) {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let log = Arc::new(log(&disk));
    log.append(&line(0), before).unwrap();
    let all: usize = (0..10).map(|n| line(n).len()).sum();
    disk.inject(Fault::on(kind).errno(5));
    // The sync that fails is held until everybody wrote, and waits for it.
    let watched = disk.clone();
    disk.on_op(move |event| {
        while event.kind == kind && watched.get(LOG).unwrap().len() < all {
            std::thread::yield_now();
        }
    });
    let results: Vec<_> = std::thread::scope(|scope| {
        let append = |n| {
            let log = &log;
            scope.spawn(move || log.append(&line(n), Durability::Synced))
        };
        let threads: Vec<_> = (1..10).map(append).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(results.iter().all(Result::is_err), "{results:?}");
    assert!(
        results
            .iter()
            .filter_map(|result| result.as_ref().err())
            .all(|e| !e.nothing_applied() && e.lost_names() == (kind == OpKind::SyncDir))
    );
}

#[test]
fn a_write_that_is_cut_short_is_taken_back() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let log1 = log(&disk);
    log1.append(&line(0), Durability::Synced).unwrap();
    let long = line(3);
    for n in 0..long.len() {
        disk.inject(Fault::on(OpKind::Append).short(n));
        let error = log1.append(&long, Durability::Synced).unwrap_err();
        assert_eq!(
            (error.kind(), error.nothing_applied()),
            (io::ErrorKind::StorageFull, true)
        );
        assert_eq!(disk.get(LOG).unwrap(), line(0));
    }
    disk.inject(Fault::on(OpKind::Append).errno(5));
    assert!(
        log1.append(&long, Durability::Synced)
            .unwrap_err()
            .nothing_applied()
    );
    log1.append(&long, Durability::Synced).unwrap();
    assert_eq!(disk.get(LOG).unwrap(), [line(0), long].concat());
}

#[test]
fn a_full_disk_keeps_every_line_and_tears_none() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let log1 = log(&disk);
    disk.set_capacity(Some(100));
    let mut kept = Vec::new();
    for n in 0..30 {
        match log1.append(&line(n), Durability::Synced) {
            Ok(_) => kept.push(n),
            Err(e) => assert_eq!(
                (e.kind(), e.nothing_applied()),
                (io::ErrorKind::StorageFull, true)
            ),
        }
    }
    assert!(kept.len() > 3 && kept.len() < 30);
    assert_eq!(lines(&disk).unwrap(), (kept, 0));
    assert!(disk.get(LOG).unwrap().ends_with(b"\n"));
}

#[test]
fn a_failed_sync_while_taking_back_poisons_as_any_other() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let log1 = log(&disk);
    log1.append(&line(0), Durability::Synced).unwrap();
    log1.append(&line(1), Durability::Buffered).unwrap();
    disk.inject(Fault::on(OpKind::Append).short(3));
    disk.inject(Fault::on(OpKind::SyncData).errno(5));
    assert!(
        !log1
            .append(&line(2), Durability::Buffered)
            .unwrap_err()
            .nothing_applied()
    );
    // What was buffered before is lost with it: nobody may be told otherwise.
    assert!(log1.poisoned().is_some());
    log1.sync().unwrap_err();
}

#[test]
fn what_cannot_be_taken_back_is_closed_by_the_next_append() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let log1 = log(&disk);
    log1.append(&line(0), Durability::Synced).unwrap();
    disk.inject(Fault::on(OpKind::Append).short(3));
    disk.inject(Fault::on(OpKind::SetLen).errno(5));
    assert!(
        !log1
            .append(&line(5), Durability::Synced)
            .unwrap_err()
            .nothing_applied()
    );
    let appended = log1.append(&line(1), Durability::Synced).unwrap();
    let at = line(0).len() as u64;
    assert_eq!(appended.repaired, Some(TornTail { offset: at, len: 3 }));
    assert_eq!(lines(&disk).unwrap(), (vec![0, 1], 1));
}

#[test]
fn bytes_of_a_program_without_lock_are_not_cut_away() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let log1 = log(&disk);
    log1.append(&line(0), Durability::Synced).unwrap();
    let foreign = disk.new_process();
    disk.inject(Fault::on(OpKind::Append).short(3));
    disk.on_op(move |event| {
        // Between the short write and the look at what it left.
        if event.kind == OpKind::Metadata && event.path == Path::new(LOG) && event.before == 6 {
            let file = foreign.open(Path::new(LOG), OpenMode::Append).unwrap();
            file.append(b"foreign\n").unwrap();
        }
    });
    let before = disk.operations();
    assert_eq!(before, 5, "the hook counts on it: {:?}", disk.trace());
    let _ = log1.append(&line(5), Durability::Synced);
    disk.clear_hook();
    assert!(
        String::from_utf8(disk.get(LOG).unwrap())
            .unwrap()
            .contains("foreign\n")
    );
}
