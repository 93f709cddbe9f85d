//! Variants that are known to be bad: the harness must catch each.

use std::io;
use std::path::Path;

use minutebook_fs::crash::{Options, enumerate};
use minutebook_fs::{Fault, Fs, Images, OpKind, OpenMode, SimFs, Torn};

use super::{LOG, holds, line, lines, setup};

fn caught(append: impl Fn(&SimFs, &[u8]) -> io::Result<()>) -> String {
    enumerate(
        &Options::default().images(Images::default().torn(Torn::Bytes)),
        |disk| disk.put(LOG, b"[0::0]\n[1:torn").map_err(|e| e.to_string()),
        |disk| {
            (2..4)
                .take_while(|n| append(disk, &line(*n)).is_ok())
                .collect::<Vec<_>>()
        },
        |crashed| {
            let (found, _) = lines(&crashed.disk)?;
            holds(&found, crashed.out, 4)
        },
    )
    .unwrap_err()
    .to_string()
}

fn raw(disk: &SimFs, path: &str) -> io::Result<Box<dyn minutebook_fs::FsFile>> {
    disk.open(Path::new(path), OpenMode::Append)
}

#[test]
fn bad_append_without_tail_repair_is_caught() {
    let failure = caught(|disk, bytes| {
        let file = raw(disk, LOG)?;
        file.append(bytes)?;
        file.sync_all()
    });
    assert!(failure.contains("acknowledged [2]"), "{failure}");
}

#[test]
fn bad_append_without_sync_is_caught() {
    let failure = caught(|disk, bytes| raw(disk, LOG)?.append(&[b"\n", bytes].concat()).map(drop));
    assert!(failure.contains("power cut"), "{failure}");
}

#[test]
fn bad_new_log_without_directory_sync_is_caught() {
    let failure = enumerate(
        &Options::default(),
        setup,
        |disk| {
            let append = || {
                let file = raw(disk, LOG)?;
                file.append(&line(0))?;
                file.sync_all()
            };
            if append().is_ok() {
                vec![0]
            } else {
                Vec::new()
            }
        },
        |crashed| holds(&lines(&crashed.disk)?.0, crashed.out, 1),
    )
    .unwrap_err();
    assert!(
        failure.to_string().contains("create log.jsonl: lost"),
        "{failure}"
    );
}

#[test]
fn bad_second_sync_after_a_failed_one_is_caught() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let file = raw(&disk, LOG).unwrap();
    disk.sync_dir(Path::new("/store")).unwrap();
    file.append(&line(0)).unwrap();
    disk.inject(Fault::on(OpKind::SyncData).errno(5));
    file.sync_data().unwrap_err();
    file.sync_data().unwrap(); // as Linux does
    assert_eq!(lines(&disk).unwrap().0, [0]);
    assert!(
        disk.images_after_crash(&Images::default())
            .iter()
            .all(|image| lines(&image.fs).unwrap().0.is_empty())
    );
}

#[test]
fn bad_two_writes_for_a_line_are_caught() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let other = disk.new_process();
    disk.on_op(move |event| {
        if event.kind == OpKind::Append && event.before == 2 {
            raw(&other, LOG).unwrap().append(&line(1)).unwrap();
        }
    });
    let file = raw(&disk, LOG).unwrap();
    let bytes = line(0);
    let (first, second) = bytes.split_at(3);
    file.append(first).unwrap();
    file.append(second).unwrap();
    disk.clear_hook();
    assert!(!lines(&disk).unwrap().0.contains(&0));
}
