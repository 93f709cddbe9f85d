//! What is refused, and what does not stay locked.

use std::io;
use std::path::Path;
use std::sync::Arc;

use minutebook_fs::{
    AppendLog, AppendOptions, Durability, Fs, FsError, Images, LockMode, LockWait, OpKind, SimFs,
};

use super::{LOCK, LOG, line, lines, log, setup};

#[test]
fn lines_beyond_the_limits_are_refused() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let options = AppendOptions::default()
        .max_record_bytes(10)
        .max_batch_bytes(25);
    let log1 = AppendLog::open(Arc::new(disk.clone()), LOG, LOCK, options);
    for bad in [
        &b""[..],
        b"no newline",
        b"12345678901\n",
        b"a\n12345678901\nb\n",
        b"123456789\n123456789\n12345\n",
    ] {
        let error = log1.append(bad, Durability::Synced).unwrap_err();
        assert_eq!(
            (error.kind(), error.nothing_applied()),
            (io::ErrorKind::InvalidInput, true)
        );
    }
    log1.append(b"123456789\n123456789\n1234\n", Durability::Synced)
        .unwrap();
    assert_eq!(log1.len().unwrap(), 25);
}

#[test]
fn a_lock_that_another_holds_is_an_error_of_its_own() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let guard = disk
        .new_process()
        .lock(Path::new(LOCK), LockMode::Exclusive, LockWait::Block)
        .unwrap();
    for wait in [
        LockWait::Try,
        LockWait::Timeout(std::time::Duration::from_millis(5)),
    ] {
        let log1 = AppendLog::open(
            Arc::new(disk.clone()),
            LOG,
            LOCK,
            AppendOptions::default().lock_wait(wait),
        );
        let error = log1.append(&line(0), Durability::Synced).unwrap_err();
        assert!(error.is_locked() && error.nothing_applied());
    }
    drop(guard);
    log(&disk).append(&line(0), Durability::Synced).unwrap();
}

#[test]
fn a_panic_under_the_lock_releases_it() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let log1 = Arc::new(log(&disk));
    let inner = Arc::clone(&log1);
    let result = std::thread::spawn(move || {
        let _ = inner.with_lock::<(), FsError>(Durability::Synced, |log| {
            log.append(&line(0))?;
            panic!("in the middle");
        });
    })
    .join();
    assert!(result.is_err());
    log1.append(&line(1), Durability::Synced).unwrap();
    log(&disk.new_process())
        .append(&line(2), Durability::Synced)
        .unwrap();
    assert_eq!(lines(&disk).unwrap(), (vec![0, 1, 2], 0));
}

#[test]
fn release_closes_and_the_next_append_opens() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let log1 = log(&disk);
    log1.release().unwrap();
    log1.append(&line(0), Durability::Buffered).unwrap();
    log1.release().unwrap();
    for image in disk.images_after_crash(&Images::default()) {
        assert_eq!(lines(&image.fs).unwrap().0, [0]);
    }
    log1.append(&line(1), Durability::Synced).unwrap();
    assert_eq!(lines(&disk).unwrap().0, [0, 1]);
}

#[test]
fn a_lock_file_that_was_replaced_is_noticed_when_the_log_is() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let options = AppendOptions::default().lock_wait(LockWait::Try);
    let log1 = AppendLog::open(Arc::new(disk.clone()), LOG, LOCK, options);
    log1.append(&line(0), Durability::Synced).unwrap();
    // A directory that was restored from a copy: both files are new, and somebody holds the new lock.
    for path in [LOG, LOCK] {
        disk.remove_file(Path::new(path)).unwrap();
        disk.put(path, b"").unwrap();
    }
    let other = disk.new_process();
    let guard = other
        .lock(Path::new(LOCK), LockMode::Exclusive, LockWait::Block)
        .unwrap();
    assert!(
        log1.append(&line(1), Durability::Synced)
            .unwrap_err()
            .is_locked()
    );
    assert_eq!(lines(&disk).unwrap().0, []);
    drop(guard);
    log1.append(&line(2), Durability::Synced).unwrap();
    assert_eq!(lines(&disk).unwrap().0, [2]);
}

#[test]
fn what_others_appended_while_the_lock_changed_hands_is_seen() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let log1 = log(&disk);
    log1.append(&line(0), Durability::Synced).unwrap();
    for path in [LOG, LOCK] {
        disk.remove_file(Path::new(path)).unwrap();
        disk.put(path, b"").unwrap();
    }
    // In the moment in which it turns to the new lock file.
    let other = disk.new_process();
    disk.on_op(move |event| {
        if event.kind == OpKind::Open && event.path == Path::new(LOCK) {
            log(&other).append(&line(1), Durability::Synced).unwrap();
        }
    });
    let appended = log1.append(&line(2), Durability::Synced).unwrap();
    assert_eq!(
        (appended.offset, appended.repaired),
        (line(1).len() as u64, None)
    );
    disk.clear_hook();
    assert_eq!(lines(&disk).unwrap(), (vec![1, 2], 0));
}
