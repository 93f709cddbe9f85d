//! Watching a directory: every change is told, on the real file system and on the simulated one.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeSet;
use std::path::Path;

use minutebook_fs::{
    DirWatch, Durability, Fs, OpenMode, OsFs, SimFs, create_dir_all, is_temporary, remove, rename,
    replace,
};

fn told(watch: &mut dyn DirWatch) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let all = watch
        .changes(&mut |name| {
            let name = name.to_str().unwrap();
            if !is_temporary(name) {
                names.insert(name.to_owned());
            }
        })
        .unwrap();
    assert!(all);
    names
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn every_change_is_told(fs: &dyn Fs, other: &dyn Fs, dir: &Path) {
    create_dir_all(fs, dir, Durability::Buffered).unwrap();
    let write = |name: &str| replace(other, &dir.join(name), b"x", Durability::Buffered).unwrap();
    write("before");
    let mut watch = fs.watch_dir(dir).unwrap();
    assert_eq!(told(&mut *watch), set(&[]));
    write("a");
    write("b");
    assert_eq!(told(&mut *watch), set(&["a", "b"]));
    assert_eq!(told(&mut *watch), set(&[]));
    let open = other.open(&dir.join("before"), OpenMode::AppendExisting);
    let file = open.unwrap();
    file.append(b"y").unwrap();
    assert_eq!(told(&mut *watch), set(&["before"]));
    file.set_len(0).unwrap();
    assert_eq!(told(&mut *watch), set(&["before"]));
    rename(other, &dir.join("a"), &dir.join("c"), Durability::Buffered).unwrap();
    assert_eq!(told(&mut *watch), set(&["a", "c"]));
    remove(other, &dir.join("c"), Durability::Buffered).unwrap();
    other.create_dir(&dir.join("d")).unwrap();
    assert_eq!(told(&mut *watch), set(&["c", "d"]));
    // What happens below is no change of this directory.
    replace(other, &dir.join("d/e"), b"x", Durability::Buffered).unwrap();
    assert_eq!(told(&mut *watch), set(&[]));
}

#[test]
fn the_simulated_disk_tells() {
    let disk = SimFs::new();
    every_change_is_told(&disk, &disk.new_process(), Path::new("/w"));
    let mut watch = disk.watch_dir(Path::new("/w")).unwrap();
    disk.lose_watches();
    assert!(!watch.changes(&mut |_| ()).unwrap());
    disk.set_watchable(false);
    let refused = disk.watch_dir(Path::new("/w")).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
}

#[cfg(target_os = "linux")]
#[test]
fn linux_tells() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    match OsFs.watch_dir(&dir) {
        Ok(_) => every_change_is_told(&OsFs, &OsFs, &dir.join("w")),
        // A temporary directory on a file system that does not tell of everything.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::Unsupported),
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_watch_of_a_directory_that_is_moved_or_overrun_says_so() {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("w");
    std::fs::create_dir(&dir).unwrap();
    let Ok(mut watch) = OsFs.watch_dir(&dir) else {
        return;
    };
    std::fs::rename(&dir, top.path().join("v")).unwrap();
    assert!(!watch.changes(&mut |_| ()).unwrap());
    let dir = top.path().join("v");
    let mut watch = OsFs.watch_dir(&dir).unwrap();
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit <= 50_000 {
        // Two names in turn, since a repeated event is told once.
        for i in 0..=limit {
            std::fs::write(dir.join(["a", "b"][i % 2]), b"").unwrap();
        }
        assert!(!watch.changes(&mut |_| ()).unwrap());
    }
}
