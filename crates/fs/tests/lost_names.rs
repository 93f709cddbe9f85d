//! Directories whose sync fails, and what is said of the names in them.
#![allow(clippy::unwrap_used, reason = "a test program")]

use std::path::Path;
use std::sync::Arc;

use minutebook_fs::{
    Durability, Fault, FsError, OpKind, Root, SimFs, create_dir_all, create_new, remove, rename,
    replace, replace_link,
};

const DOC: &str = "/store/doc.json";
const NEW: &[u8] = b"{\"the new\": \"content\"}";

fn with_old() -> SimFs {
    let disk = SimFs::new();
    disk.put(DOC, b"{}").unwrap();
    disk
}

#[test]
fn a_failed_directory_sync_is_an_unknown_outcome() {
    let disk = with_old();
    disk.inject(Fault::on(OpKind::SyncDir).errno(5));
    let error = replace(&disk, Path::new(DOC), NEW, Durability::Synced).unwrap_err();
    assert!(!error.nothing_applied());
    assert!(error.to_string().contains("unknown"), "{error}");
}

type Change = dyn Fn(&SimFs) -> Result<(), FsError>;

/// Whatever was done to them.
#[test]
fn names_that_a_failed_sync_has_lost_are_told() {
    let (doc, dir) = (Path::new(DOC), Path::new("/store"));
    let other = Path::new("/store/other.json");
    let changes: [&Change; 8] = [
        &|disk| replace(disk, doc, NEW, Durability::Synced),
        &|disk| replace_link(disk, doc, NEW, Durability::Synced),
        &|disk| create_new(disk, other, NEW, Durability::Synced).map(drop),
        &|disk| rename(disk, doc, other, Durability::Synced),
        &|disk| remove(disk, doc, Durability::Synced).map(drop),
        &|disk| create_dir_all(disk, &dir.join("sub/sub"), Durability::Synced),
        &|disk| create_dir_all(disk, dir, Durability::Synced),
        &|disk| {
            let root = Root::open(Arc::new(disk.clone()), dir)?;
            root.ensure_dir(&["sub"], Durability::Synced).map(drop)
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        let disk = with_old();
        disk.inject(Fault::on(OpKind::SyncDir).errno(5));
        let error = change(&disk).unwrap_err();
        assert!(
            error.lost_names() && !error.nothing_applied(),
            "{number}: {error}"
        );
    }
    // A file's own sync has lost no name.
    let disk = with_old();
    disk.inject(Fault::on(OpKind::SyncAll).errno(5));
    let error = replace(&disk, doc, NEW, Durability::Synced).unwrap_err();
    assert!(!error.lost_names(), "{error}");
}
