//! Whole files on the real file system: links, modes, pipes, refusals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]
#![cfg(unix)]

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use minutebook_fs::{
    AppendLog, AppendOptions, Created, Durability, FileKind, Fs, LockMode, LockWait, OpenMode,
    OsFs, Root, create_dir_all, create_new, is_temporary, read, remove, remove_stray_temporaries,
    rename_new, replace, replace_link, stray_temporaries,
};

const D: Durability = Durability::Synced;

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path)
        .unwrap()
        .permissions()
        .mode()
        & 0o777
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = OsFs
        .read_dir(dir)
        .unwrap()
        .into_iter()
        .map(|e| e.name.into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn documents_come_and_go_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("doc");
    assert_eq!(read(&OsFs, &path, 10).unwrap(), None);
    replace(&OsFs, &path, b"one", D).unwrap();
    assert_eq!(
        create_new(&OsFs, &path, b"two", D).unwrap(),
        Created::AlreadyExists
    );
    assert_eq!(read(&OsFs, &path, 3).unwrap().unwrap(), b"one");
    let error = read(&OsFs, &path, 2).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(
        rename_new(&OsFs, &path, &dir.path().join("doc"), D).unwrap(),
        Created::AlreadyExists
    );
    assert!(
        rename_new(&OsFs, &path, &dir.path().join("moved"), D)
            .unwrap()
            .is_created()
    );
    assert!(!remove(&OsFs, &path, D).unwrap());
    assert!(remove(&OsFs, &dir.path().join("moved"), D).unwrap());
    assert!(!remove(&OsFs, &dir.path().join("no/such/dir"), D).unwrap());
    assert!(names(dir.path()).is_empty());
    // An empty document and a large one.
    replace(&OsFs, &path, b"", D).unwrap();
    assert_eq!(read(&OsFs, &path, 0).unwrap().unwrap(), b"");
    let large = vec![7; 3 << 20];
    replace(&OsFs, &path, &large, D).unwrap();
    assert_eq!(read(&OsFs, &path, 3 << 20).unwrap().unwrap(), large);
}

#[test]
fn what_we_create_is_private_and_what_others_opened_stays_open() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b");
    create_dir_all(&OsFs, &deep, D).unwrap();
    assert_eq!((mode(&deep), mode(&dir.path().join("a"))), (0o700, 0o700));
    let path = deep.join("doc");
    replace(&OsFs, &path, b"1", D).unwrap();
    assert_eq!(mode(&path), 0o600);
    let log = AppendLog::open(
        Arc::new(OsFs),
        deep.join("log"),
        deep.join(".lock"),
        AppendOptions::default(),
    );
    log.append(b"x\n", D).unwrap();
    assert_eq!(
        (mode(&deep.join("log")), mode(&deep.join(".lock"))),
        (0o600, 0o600)
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    replace(&OsFs, &path, b"2", D).unwrap();
    assert_eq!(mode(&path), 0o644);
}

#[test]
fn a_link_is_replaced_by_who_asks_for_it_and_its_target_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (target, link) = (dir.path().join("target"), dir.path().join("link"));
    std::fs::write(&target, "secret\n").unwrap();
    for to in [target.as_path(), dir.path(), Path::new("nowhere")] {
        symlink(to, &link).unwrap();
        replace_link(&OsFs, &link, b"mine", D).unwrap();
        assert_eq!(read(&OsFs, &link, 100).unwrap().unwrap(), b"mine");
        assert_eq!(mode(&link), 0o600);
        assert_eq!(std::fs::read(&target).unwrap(), b"secret\n");
        std::fs::remove_file(&link).unwrap();
    }
    // What is no link is replaced as always.
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o644)).unwrap();
    replace_link(&OsFs, &target, b"2", D).unwrap();
    assert_eq!(mode(&target), 0o644);
    replace_link(&OsFs, dir.path(), b"2", D).unwrap_err();
    assert_eq!(names(dir.path()), ["target"]);
}

#[test]
fn links_in_the_place_of_a_file_are_refused_and_their_targets_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("target");
    std::fs::write(&target, "secret\n").unwrap();
    let link = dir.path().join("link");
    symlink(&target, &link).unwrap();
    assert!(read(&OsFs, &link, 100).is_err());
    let error = replace(&OsFs, &link, b"x", D).unwrap_err();
    assert!(
        error.source.to_string().contains("symbolic link"),
        "{}",
        error.source
    );
    assert_eq!(
        create_new(&OsFs, &link, b"x", D).unwrap(),
        Created::AlreadyExists
    );
    let log = |path: &Path, lock: &Path| {
        AppendLog::open(Arc::new(OsFs), path, lock, AppendOptions::default())
    };
    log(&link, &dir.path().join(".lock"))
        .append(b"x\n", D)
        .unwrap_err();
    log(&dir.path().join("log"), &link)
        .append(b"x\n", D)
        .unwrap_err();
    for how in [
        OpenMode::Read,
        OpenMode::Append,
        OpenMode::AppendExisting,
        OpenMode::CreateNew,
        OpenMode::Lock,
    ] {
        OsFs.open(&link, how).unwrap_err();
    }
    // Dangling: nothing is created through it.
    let dangling = dir.path().join("dangling");
    symlink(outside.path().join("absent"), &dangling).unwrap();
    OsFs.open(&dangling, OpenMode::Append).unwrap_err();
    assert_eq!(
        create_new(&OsFs, &dangling, b"x", D).unwrap(),
        Created::AlreadyExists
    );
    assert_eq!(std::fs::read(&target).unwrap(), b"secret\n");
    assert_eq!(names(outside.path()), ["target"]);
    // The link itself can be removed.
    assert!(remove(&OsFs, &link, D).unwrap());
    assert!(target.exists());
}

#[test]
fn a_root_is_not_left() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let root = Root::open_or_create(Arc::new(OsFs), &dir.path().join("store"), D).unwrap();
    for bad in ["", ".", "..", "a/b", "/", "a\0b", "a\\b", &"x".repeat(256)] {
        let error = root.join(&[bad]).unwrap_err();
        assert_eq!(
            (error.kind(), error.nothing_applied()),
            (io::ErrorKind::InvalidInput, true),
            "{bad:?}"
        );
    }
    symlink(outside.path(), root.path().join("out")).unwrap();
    std::fs::create_dir(root.path().join("real")).unwrap();
    symlink(root.path().join("real"), root.path().join("in")).unwrap();
    symlink("nowhere", root.path().join("broken")).unwrap();
    std::fs::write(root.path().join("file"), "").unwrap();
    assert_eq!(
        root.resolve(&["out", "x"]).unwrap_err().kind(),
        io::ErrorKind::PermissionDenied
    );
    assert_eq!(
        root.ensure_dir(&["out"], D).unwrap_err().kind(),
        io::ErrorKind::PermissionDenied
    );
    assert_eq!(
        root.ensure_dir(&["out", "sub"], D).unwrap_err().kind(),
        io::ErrorKind::PermissionDenied
    );
    assert_eq!(
        root.subdir(&["out"]).unwrap_err().kind(),
        io::ErrorKind::PermissionDenied
    );
    assert_eq!(
        root.resolve(&["file", "x"]).unwrap_err().kind(),
        io::ErrorKind::NotADirectory
    );
    assert_eq!(
        root.ensure_dir(&["file"], D).unwrap_err().kind(),
        io::ErrorKind::NotADirectory
    );
    root.resolve(&["broken", "x"]).unwrap_err();
    assert!(names(outside.path()).is_empty());
    assert_eq!(
        root.resolve(&["in", "x"]).unwrap(),
        root.path().join("in/x")
    );
    assert_eq!(
        root.resolve(&["absent", "x"]).unwrap(),
        root.path().join("absent/x")
    );
    let made = root.ensure_dir(&["in", "new", "deep"], D).unwrap();
    assert!(made.is_dir() && root.path().join("real/new/deep").is_dir());
    assert_eq!(
        root.subdir(&["real"]).unwrap().path(),
        root.path().join("real")
    );
}

#[test]
fn a_root_behind_a_link_and_a_relative_one_are_made_absolute() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("real");
    std::fs::create_dir(&real).unwrap();
    symlink(&real, dir.path().join("link")).unwrap();
    let root = Root::open_or_create(Arc::new(OsFs), &dir.path().join("link"), D).unwrap();
    assert_eq!(root.path(), real.canonicalize().unwrap());
    let here = Root::open(Arc::new(OsFs), Path::new(".")).unwrap();
    assert!(here.path().is_absolute());
    Root::open(Arc::new(OsFs), &dir.path().join("absent")).unwrap_err();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = Root::open(Arc::new(OsFs), &dir.path().join("file")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    Root::open_or_create(Arc::new(OsFs), &dir.path().join("file"), D).unwrap_err();
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_or_a_directory_in_the_place_of_a_file_is_an_error_and_no_hang() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let sub = dir.path().join("sub");
    std::fs::create_dir(&sub).unwrap();
    for path in [&pipe, &sub] {
        read(&OsFs, path, 100).unwrap_err();
        replace(&OsFs, path, b"x", D).unwrap_err();
        assert_eq!(
            create_new(&OsFs, path, b"x", D).unwrap(),
            Created::AlreadyExists
        );
        let log = AppendLog::open(
            Arc::new(OsFs),
            path,
            dir.path().join(".lock"),
            AppendOptions::default(),
        );
        assert!(log.append(b"x\n", D).unwrap_err().nothing_applied());
    }
    assert_eq!(OsFs.metadata(&pipe).unwrap().kind, FileKind::Other);
    remove(&OsFs, &sub, D).unwrap_err();
}

#[test]
fn left_overs_are_told_from_files_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let stray = dir.path().join(OsFs.temp_name());
    std::fs::write(&stray, "half").unwrap();
    let used = dir.path().join(OsFs.temp_name());
    let file = OsFs.open(&used, OpenMode::CreateNew).unwrap();
    file.lock(LockMode::Exclusive, LockWait::Try).unwrap();
    std::fs::write(dir.path().join("data.tmp"), "not ours").unwrap();
    symlink(
        dir.path().join("data.tmp"),
        dir.path().join(OsFs.temp_name()),
    )
    .unwrap();
    assert_eq!(
        stray_temporaries(&OsFs, dir.path()).unwrap(),
        std::slice::from_ref(&stray)
    );
    assert_eq!(
        remove_stray_temporaries(&OsFs, dir.path()).unwrap(),
        [stray]
    );
    assert_eq!(names(dir.path()).len(), 3);
    drop(file);
    assert_eq!(remove_stray_temporaries(&OsFs, dir.path()).unwrap(), [used]);
}

#[test]
fn writers_with_a_clean_up_beside_them_all_succeed() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let cleaner = {
            let (stop, dir) = (Arc::clone(&stop), dir.path());
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    remove_stray_temporaries(&OsFs, dir).unwrap();
                }
            })
        };
        let writers: Vec<_> = (0..3)
            .map(|w| {
                let path = dir.path().join(format!("doc{w}"));
                scope.spawn(move || {
                    for n in 0..300 {
                        replace(
                            &OsFs,
                            &path,
                            format!("{n}").as_bytes(),
                            Durability::Buffered,
                        )
                        .unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        cleaner.join().unwrap();
    });
    assert_eq!(names(dir.path()), ["doc0", "doc1", "doc2"]);
    assert_eq!(std::fs::read(dir.path().join("doc0")).unwrap(), b"299");
}

#[test]
fn of_many_creators_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..50 {
        let path = dir.path().join(format!("{round}"));
        let wins: Vec<usize> = std::thread::scope(|scope| {
            let path = &path;
            let threads: Vec<_> = (0..4)
                .map(|n| {
                    scope.spawn(move || {
                        create_new(&OsFs, path, &[n; 100], Durability::Buffered)
                            .unwrap()
                            .is_created()
                    })
                })
                .collect();
            let wins = threads.into_iter().map(|t| t.join().unwrap()).enumerate();
            wins.filter(|(_, won)| *won).map(|(n, _)| n).collect()
        });
        assert_eq!(wins.len(), 1);
        assert_eq!(
            std::fs::read(&path).unwrap(),
            [u8::try_from(wins[0]).unwrap(); 100]
        );
    }
    assert!(!names(dir.path()).iter().any(|name| is_temporary(name)));
}

#[test]
fn metadata_tells_files_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    std::fs::write(&a, "1234").unwrap();
    OsFs.hard_link(&a, &b).unwrap();
    let (ma, mb) = (OsFs.metadata(&a).unwrap(), OsFs.metadata(&b).unwrap());
    assert_eq!((ma.id, ma.len, ma.kind), (mb.id, 4, FileKind::File));
    assert_eq!(ma.id.inode, std::fs::metadata(&a).unwrap().ino());
    replace(&OsFs, &b, b"1234", D).unwrap();
    let after = OsFs.metadata(&b).unwrap();
    assert_ne!(after.id, ma.id);
    assert!(after.changed_ns >= ma.changed_ns);
    for path in [a.as_path(), &b, dir.path()] {
        let (all, some) = (OsFs.metadata(path).unwrap(), OsFs.identify(path).unwrap());
        assert_eq!((all.id, all.len, all.kind), (some.id, some.len, some.kind));
    }
    symlink("nowhere", dir.path().join("link")).unwrap();
    assert_eq!(
        OsFs.identify(&dir.path().join("link")).unwrap().kind,
        FileKind::Symlink
    );
    assert_eq!(
        OsFs.identify(&dir.path().join("absent"))
            .unwrap_err()
            .kind(),
        io::ErrorKind::NotFound
    );
    assert_eq!(
        OsFs.open(&b, OpenMode::Read).unwrap().metadata().unwrap(),
        after
    );
    assert_eq!(
        OsFs.hard_link(&a, &b).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
}

#[test]
fn timed_locks_give_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".lock");
    let guard = OsFs.lock(&path, LockMode::Shared, LockWait::Block).unwrap();
    drop(OsFs.lock(&path, LockMode::Shared, LockWait::Try).unwrap());
    assert_eq!(
        OsFs.lock(&path, LockMode::Exclusive, LockWait::Try)
            .unwrap_err()
            .kind(),
        io::ErrorKind::WouldBlock
    );
    let limit = LockWait::Timeout(std::time::Duration::from_millis(3));
    assert_eq!(
        OsFs.lock(&path, LockMode::Exclusive, limit)
            .unwrap_err()
            .kind(),
        io::ErrorKind::TimedOut
    );
    drop(guard);
    drop(OsFs.lock(&path, LockMode::Exclusive, limit).unwrap());
}
