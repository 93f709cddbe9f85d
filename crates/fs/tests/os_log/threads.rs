//! Many threads on one log.

use std::path::Path;
use std::sync::Arc;

use minutebook_fs::{AppendLog, AppendOptions, Durability, Fs, OpKind, SimFs};

use super::{line, lines, open};

#[test]
fn lines_of_threads_are_whole_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Arc::new(open(dir.path()));
    std::thread::scope(|scope| {
        for writer in 0..6 {
            // Half of them share a handle.
            let log = if writer % 2 == 0 {
                Arc::clone(&shared)
            } else {
                Arc::new(open(dir.path()))
            };
            scope.spawn(move || {
                for n in 0..150 {
                    let durability = if n % 10 == 0 {
                        Durability::Synced
                    } else {
                        Durability::Buffered
                    };
                    log.append(&line(writer, n), durability).unwrap();
                }
            });
        }
        let log = open(dir.path());
        scope.spawn(move || {
            for _ in 0..50 {
                assert_eq!(lines(&log).1, 0, "a reader saw a line that is not whole");
            }
        });
    });
    let (whole, damaged) = lines(&shared);
    assert_eq!((whole.len(), damaged), (6, 0));
    assert!(
        whole
            .values()
            .all(|numbers| numbers.iter().copied().eq(0..150))
    );
}

#[test]
fn callers_that_wait_share_a_sync() {
    let disk = SimFs::new();
    let path = Path::new("/log");
    let log = AppendLog::open(
        Arc::new(disk.clone()),
        path,
        "/lock",
        AppendOptions::default(),
    );
    log.append(b"0\n", Durability::Synced).unwrap();
    let syncs = |disk: &SimFs| {
        disk.trace()
            .iter()
            .filter(|event| event.kind == OpKind::SyncData)
            .count()
    };
    assert_eq!(syncs(&disk), 0, "the first sync is a full one");
    // The first to sync is held until all others wrote.
    let watched = disk.clone();
    disk.on_op(move |event| {
        while event.kind == OpKind::SyncData && watched.get(path).unwrap().len() < 18 {
            std::thread::yield_now();
        }
    });
    std::thread::scope(|scope| {
        for n in 1..9 {
            let log = &log;
            scope.spawn(move || {
                log.append(format!("{n}\n").as_bytes(), Durability::Synced)
                    .unwrap()
            });
        }
    });
    // One for whoever came first, and one for all others.
    assert!((1..=2).contains(&syncs(&disk)), "{}", syncs(&disk));
    disk.sync_dir(Path::new("/")).unwrap();
    let images = disk.images_after_crash(&minutebook_fs::Images::default());
    assert!(
        images
            .iter()
            .all(|image| image.fs.get(path).unwrap().len() == 18)
    );
}
