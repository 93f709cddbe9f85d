//! Sealing, rotation, removal.

use std::io;
use std::path::Path;

use minutebook_fs::crash::{Options, enumerate};
use minutebook_fs::{Created, Durability, Fs, Images, SimFs};

use super::{LOG, holds, line, log, number, setup};

#[test]
fn a_sealed_log_is_never_lost_and_a_new_one_starts() {
    let sealed = Path::new("/store/log.000001.jsonl");
    enumerate(
        &Options::default(),
        setup,
        |disk| {
            let log = log(disk);
            let mut acknowledged = Vec::new();
            // The first is durable only because sealing makes it so.
            let first = log.append(&line(0), Durability::Buffered).is_ok();
            let result = log.with_lock(Durability::Synced, |log| log.seal(sealed));
            if first && matches!(result, Ok(Created::Created)) {
                acknowledged.push(0);
            }
            if log.append(&line(1), Durability::Synced).is_ok() {
                acknowledged.push(1);
            }
            acknowledged
        },
        |crashed| {
            let old = crashed.disk.get(sealed).unwrap_or_default();
            let now = crashed.disk.get(LOG).unwrap_or_default();
            let all = [old.clone(), now].concat();
            let found: Vec<usize> = all.split(|b| *b == b'\n').filter_map(number).collect();
            holds(&found, crashed.out, 2)?;
            if crashed.out.contains(&0) && old != line(0) {
                Err("the sealed log is not whole".to_owned())
            } else {
                Ok(())
            }
        },
    )
    .unwrap();
}

#[test]
fn other_writers_follow_a_rotation() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let (a, b) = (log(&disk), log(&disk.new_process()));
    a.append(&line(0), Durability::Buffered).unwrap();
    b.append(&line(1), Durability::Buffered).unwrap();
    assert!(
        a.with_lock(Durability::Synced, |log| log.seal(Path::new("/store/1")))
            .unwrap()
            .is_created()
    );
    assert_eq!(b.append(&line(2), Durability::Synced).unwrap().offset, 0);
    assert_eq!(
        a.append(&line(3), Durability::Synced).unwrap().offset,
        line(2).len() as u64
    );
    assert_eq!(disk.get("/store/1").unwrap(), [line(0), line(1)].concat());
    assert_eq!(disk.get(LOG).unwrap(), [line(2), line(3)].concat());
    // An occupied name changes nothing.
    assert_eq!(
        a.with_lock(Durability::Synced, |log| log.seal(Path::new("/store/1")))
            .unwrap(),
        Created::AlreadyExists
    );
    // A removed file starts anew.
    disk.remove_file(Path::new(LOG)).unwrap();
    assert_eq!(a.append(&line(4), Durability::Synced).unwrap().offset, 0);
    assert_eq!(disk.get(LOG).unwrap(), line(4));
    disk.remove_file(Path::new(LOG)).unwrap();
    let error = a
        .with_lock(Durability::Synced, |log| log.seal(Path::new("/store/2")))
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn buffered_lines_of_a_file_that_was_rotated_away_are_synced_before_it_is_forgotten() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let log = log(&disk);
    log.append(&line(0), Durability::Buffered).unwrap();
    // A foreign rotation, durable in its name only.
    disk.rename(Path::new(LOG), Path::new("/store/1")).unwrap();
    disk.sync_dir(Path::new("/store")).unwrap();
    log.append(&line(1), Durability::Buffered).unwrap();
    log.sync().unwrap();
    for image in disk.images_after_crash(&Images::default()) {
        assert_eq!(image.fs.get("/store/1").unwrap(), line(0));
        assert_eq!(image.fs.get(LOG).unwrap(), line(1));
    }
}
