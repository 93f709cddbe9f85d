//! Whole files while another process is at work in the same directory, on the simulated disk.
#![allow(clippy::unwrap_used, reason = "a test stops where something fails")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use minutebook_fs::{
    Durability, Fault, OpKind, SimFs, create_new, remove_stray_temporaries, replace, replace_link,
};

const DOC: &str = "/store/doc.json";
const OLD: &[u8] = b"the old content";
const NEW: &[u8] = b"the new content";

#[test]
fn a_temporary_file_is_nobodys_left_over_until_it_has_its_name() {
    let disk = SimFs::new();
    disk.put(DOC, OLD).unwrap();
    let other = disk.new_process();
    disk.on_op(move |event| {
        if !matches!(event.kind, OpKind::Create | OpKind::Lock) {
            let found = remove_stray_temporaries(&other, Path::new("/store")).unwrap();
            assert_eq!(found, Vec::<PathBuf>::new(), "{event:?}");
        }
    });
    replace_link(&disk, Path::new(DOC), NEW, Durability::Synced).unwrap();
    assert_eq!(disk.get(DOC).as_deref(), Some(NEW));
}

#[test]
fn a_clean_up_beside_a_writer_takes_nothing_that_is_in_use() {
    // A clean-up at each operation of a writer.
    let undisturbed = SimFs::new();
    undisturbed.put(DOC, OLD).unwrap();
    let events = Arc::new(AtomicU64::new(0));
    let counter = events.clone();
    undisturbed.on_op(move |_| {
        counter.fetch_add(1, Relaxed);
    });
    replace(&undisturbed, Path::new(DOC), NEW, Durability::Synced).unwrap();
    let events = events.load(Relaxed);
    assert!(events >= 7);
    for at in 0..events {
        let disk = SimFs::new();
        disk.put(DOC, OLD).unwrap();
        let cleaner = disk.new_process();
        let count = AtomicU64::new(0);
        disk.on_op(move |_| {
            if count.fetch_add(1, Relaxed) == at {
                remove_stray_temporaries(&cleaner, Path::new("/store")).unwrap();
            }
        });
        replace(&disk, Path::new(DOC), NEW, Durability::Synced).unwrap();
        assert_eq!(
            disk.get(DOC).as_deref(),
            Some(NEW),
            "clean-up before event {at}"
        );
        assert_eq!(disk.tree().len(), 2);
    }
}

#[test]
fn of_two_creators_one_wins_at_every_interleaving() {
    for links in [false, true] {
        for at in 0..20 {
            let disk = SimFs::new();
            disk.put("/store/x", b"").unwrap();
            let other = disk.new_process();
            let wins = Arc::new(AtomicBool::new(false));
            let (count, won) = (AtomicU64::new(0), wins.clone());
            if links {
                disk.inject(
                    Fault::on(OpKind::RenameNoReplace)
                        .error(io::ErrorKind::Unsupported)
                        .forever(),
                );
            }
            disk.on_op(move |_| {
                if count.fetch_add(1, Relaxed) == at {
                    let created =
                        create_new(&other, Path::new(DOC), OLD, Durability::Synced).unwrap();
                    won.store(created.is_created(), Relaxed);
                }
            });
            let mine = create_new(&disk, Path::new(DOC), NEW, Durability::Synced)
                .unwrap()
                .is_created();
            let theirs = wins.load(Relaxed);
            let found = disk.get(DOC);
            assert_eq!(
                found.as_deref(),
                Some(if mine { NEW } else { OLD }),
                "at {at}"
            );
            assert!(!(mine && theirs), "at {at}");
        }
    }
}
