//! The simulated disk's own promises.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::fs::{LockMode, LockWait};

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn write(disk: &SimFs, path: &str, bytes: &[u8]) -> Box<dyn FsFile> {
    let file = disk.open(p(path), OpenMode::Append).unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// All states, each as its files with their content.
fn states(disk: &SimFs, images: &Images) -> BTreeSet<Vec<(PathBuf, Option<Vec<u8>>)>> {
    let images = disk.images_after_crash(images);
    let count = images.len();
    let states: BTreeSet<_> = images
        .iter()
        .map(|image| image.fs.tree().into_iter().collect())
        .collect();
    assert_eq!(states.len(), count, "a state came twice");
    states
}

fn contents(disk: &SimFs, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    let images = disk.images_after_crash(&Images::default().torn(Torn::Bytes).max(4096));
    images.iter().map(|image| image.fs.get(path)).collect()
}

#[test]
fn content_and_name_are_durable_each_by_its_own_sync() {
    let disk = SimFs::new();
    let file = write(&disk, "/a", b"ab");
    let all: BTreeSet<_> = [
        None,
        Some(&b""[..]),
        Some(b"a"),
        Some(b"ab"),
        Some(b"\0\0"),
        Some(b"\0b"),
        Some(b"a\0"),
    ]
    .map(|c| c.map(<[u8]>::to_vec))
    .into();
    assert_eq!(contents(&disk, "/a"), all);
    file.sync_data().unwrap();
    assert_eq!(contents(&disk, "/a"), [None, Some(b"ab".to_vec())].into());
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(contents(&disk, "/a"), [Some(b"ab".to_vec())].into());
    disk.remove_file(p("/a")).unwrap();
    assert_eq!(contents(&disk, "/a"), [None, Some(b"ab".to_vec())].into());
}

#[test]
fn names_survive_independently_of_each_other() {
    let disk = SimFs::new();
    for path in ["/a", "/b", "/c"] {
        disk.open(p(path), OpenMode::CreateNew).unwrap();
    }
    assert_eq!(states(&disk, &Images::default()).len(), 8);
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(states(&disk, &Images::default()).len(), 1);
}

#[test]
fn a_rename_is_one_change_also_across_directories() {
    let disk = SimFs::new();
    disk.put("/x/a", b"a").unwrap();
    disk.put("/y/other", b"").unwrap();
    disk.rename(p("/x/a"), p("/y/a")).unwrap();
    let found: BTreeSet<_> = disk
        .images_after_crash(&Images::default())
        .iter()
        .map(|i| (i.fs.get("/x/a").is_some(), i.fs.get("/y/a").is_some()))
        .collect();
    assert_eq!(found, [(true, false), (false, true)].into());
    disk.sync_dir(p("/x")).unwrap();
    assert_eq!(states(&disk, &Images::default()).len(), 1);
    assert_eq!(
        disk.images_after_crash(&Images::default())[0]
            .fs
            .get("/y/a")
            .as_deref(),
        Some(&b"a"[..])
    );
}

#[test]
fn a_rename_without_sync_may_leave_an_empty_file() {
    let disk = SimFs::new();
    disk.put("/doc", b"old").unwrap();
    write(&disk, "/temp", b"new");
    disk.rename(p("/temp"), p("/doc")).unwrap();
    let found = contents(&disk, "/doc");
    for state in [&b"old"[..], b"", b"n", b"ne", b"new", b"\0\0\0"] {
        assert!(
            found.contains(&Some(state.to_vec())),
            "{state:?} in {found:?}"
        );
    }
    assert!(!found.contains(&None), "the name is never gone: {found:?}");
}

#[test]
fn an_older_change_of_a_name_does_not_come_back_over_a_durable_newer_one() {
    let disk = SimFs::new();
    disk.put("/x/a", b"1").unwrap();
    disk.put("/y/b", b"2").unwrap();
    disk.remove_file(p("/y/b")).unwrap(); // pending in /y
    disk.rename(p("/x/a"), p("/y/b")).unwrap(); // in both
    disk.sync_dir(p("/x")).unwrap(); // makes the rename durable, and with it what is newer in /y
    assert_eq!(contents(&disk, "/y/b"), [Some(b"1".to_vec())].into());
}

#[test]
fn what_is_in_a_directory_needs_the_directory() {
    let disk = SimFs::new();
    disk.create_dir(p("/d")).unwrap();
    write(&disk, "/d/a", b"x").sync_all().unwrap();
    disk.sync_dir(p("/d")).unwrap();
    assert_eq!(contents(&disk, "/d/a"), [None, Some(b"x".to_vec())].into());
    disk.sync_dir(p("/")).unwrap();
    assert_eq!(contents(&disk, "/d/a"), [Some(b"x".to_vec())].into());
}

#[test]
fn a_cut_that_was_not_synced_may_be_undone() {
    let disk = SimFs::new();
    disk.put("/a", b"abc").unwrap();
    let file = disk.open(p("/a"), OpenMode::Append).unwrap();
    file.set_len(1).unwrap();
    assert_eq!(
        contents(&disk, "/a"),
        [Some(b"abc".to_vec()), Some(b"a".to_vec())].into()
    );
}

#[test]
fn many_combinations_are_sampled_with_the_extremes_and_repeatably() {
    let disk = SimFs::new();
    for i in 0..40 {
        write(&disk, &format!("/{i}"), b"content");
    }
    let images = Images::default().max(100).seed(7);
    let first = states(&disk, &images);
    assert!(first.len() >= 60 && first.len() <= 100, "{}", first.len());
    assert!(first.contains(&Vec::new()), "nothing survived");
    assert!(
        first.contains(&disk.tree().into_iter().collect::<Vec<_>>()),
        "everything survived"
    );
    assert!(
        first
            .iter()
            .any(|s| s.len() == 40 && s.iter().all(|(_, c)| c.as_deref() == Some(b""))),
        "names without content"
    );
    assert_eq!(first, states(&disk, &images));
    assert_ne!(first, states(&disk, &images.seed(8)));
}

#[test]
fn a_dead_process_fails_and_its_locks_are_free() {
    let disk = SimFs::new();
    disk.put("/l", b"").unwrap();
    let doomed = disk.new_process();
    let guard = doomed
        .lock(p("/l"), LockMode::Exclusive, LockWait::Block)
        .unwrap();
    let error = disk
        .lock(p("/l"), LockMode::Exclusive, LockWait::Try)
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    doomed.crash_after(1);
    write(&doomed, "/a", b""); // creating it is the first
    assert!(!doomed.is_dead());
    doomed.open(p("/b"), OpenMode::CreateNew).unwrap_err();
    assert!(doomed.is_dead());
    doomed.metadata(p("/a")).unwrap_err();
    assert!(disk.get("/a").is_some() && disk.get("/b").is_none());
    drop(
        disk.lock(p("/l"), LockMode::Exclusive, LockWait::Try)
            .unwrap(),
    );
    drop(guard);
    let other = disk.new_process();
    let _guard = other
        .lock(p("/l"), LockMode::Shared, LockWait::Try)
        .unwrap();
    other.kill();
    disk.lock(p("/l"), LockMode::Exclusive, LockWait::Try)
        .map(drop)
        .unwrap();
}

#[test]
fn a_process_can_die_within_an_append() {
    let disk = SimFs::new();
    let doomed = disk.new_process();
    doomed.crash_within(1, 2);
    let file = doomed.open(p("/a"), OpenMode::Append).unwrap();
    file.append(b"abcd").unwrap_err();
    assert_eq!(disk.get("/a").as_deref(), Some(&b"ab"[..]));
}

#[test]
fn after_a_process_crash_all_is_there_but_not_durable() {
    let disk = SimFs::new();
    write(&disk, "/a", b"ab");
    let _guard = disk
        .lock(p("/l"), LockMode::Exclusive, LockWait::Block)
        .unwrap();
    let next = disk.process_crash();
    assert_eq!(next.tree(), disk.tree());
    drop(
        next.lock(p("/l"), LockMode::Exclusive, LockWait::Try)
            .unwrap(),
    );
    assert!(contents(&next, "/a").contains(&None));
    write(&next, "/a", b"c");
    assert_eq!(
        disk.get("/a").as_deref(),
        Some(&b"ab"[..]),
        "a copy, not the same disk"
    );
}

#[test]
fn locks_wait_for_each_other() {
    let disk = SimFs::new();
    let shared = [disk.new_process(), disk.new_process()]
        .map(|d| d.lock(p("/l"), LockMode::Shared, LockWait::Try).unwrap());
    let timeout = LockWait::Timeout(Duration::from_millis(2));
    assert_eq!(
        disk.lock(p("/l"), LockMode::Exclusive, timeout)
            .unwrap_err()
            .kind(),
        io::ErrorKind::TimedOut
    );
    let waiter = disk.clone();
    let thread = std::thread::spawn(move || {
        waiter
            .lock(p("/l"), LockMode::Exclusive, LockWait::Block)
            .map(drop)
    });
    drop(shared);
    thread.join().unwrap().unwrap();
}

#[test]
fn faults_hit_what_they_aim_at() {
    let disk = SimFs::new();
    disk.inject(
        Fault::on(OpKind::Append)
            .at("log")
            .after(1)
            .times(2)
            .error(io::ErrorKind::StorageFull),
    );
    let (log, other) = (
        disk.open(p("/log"), OpenMode::Append).unwrap(),
        disk.open(p("/o"), OpenMode::Append).unwrap(),
    );
    let results: Vec<bool> = (0..4)
        .map(|_| {
            other.append(b"x").unwrap();
            log.append(b"x").is_ok()
        })
        .collect();
    assert_eq!(results, [true, false, false, true]);
    disk.fail_next(OpKind::Rename, io::ErrorKind::PermissionDenied);
    assert_eq!(
        disk.rename(p("/log"), p("/x")).unwrap_err().kind(),
        io::ErrorKind::PermissionDenied
    );
    disk.inject(Fault::on(OpKind::Read).forever());
    disk.open(p("/log"), OpenMode::Read)
        .unwrap()
        .read_at(&mut [0], 0)
        .unwrap_err();
    disk.clear_faults();
    assert_eq!(
        disk.open(p("/log"), OpenMode::Read)
            .unwrap()
            .read_at(&mut [0; 9], 0)
            .unwrap(),
        2
    );
}

#[test]
fn after_a_failed_sync_the_next_one_lies() {
    let disk = SimFs::new();
    disk.put("/a", b"0").unwrap();
    let file = write(&disk, "/a", b"1");
    disk.inject(Fault::on(OpKind::SyncData).errno(5));
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    file.write_all(b"2").unwrap();
    file.sync_data().unwrap();
    assert_eq!(
        disk.get("/a").as_deref(),
        Some(&b"012"[..]),
        "the cache still shows it"
    );
    assert_eq!(contents(&disk, "/a"), [Some(b"0\x002".to_vec())].into());
    disk.open(p("/b"), OpenMode::CreateNew).unwrap();
    disk.inject(Fault::on(OpKind::SyncDir));
    disk.sync_dir(p("/")).unwrap_err();
    disk.sync_dir(p("/")).unwrap();
    assert!(contents(&disk, "/b").contains(&None));
}

#[test]
fn a_full_disk_cuts_the_write_short_and_then_refuses() {
    let disk = SimFs::new();
    disk.put("/a", b"123").unwrap();
    disk.set_capacity(Some(5));
    let file = disk.open(p("/b"), OpenMode::Append).unwrap();
    assert_eq!(file.append(b"abc").unwrap(), 2);
    assert_eq!(
        file.append(b"c").unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    disk.remove_file(p("/a")).unwrap();
    assert_eq!(file.append(b"c").unwrap(), 1);
}

#[test]
fn a_disk_that_folds_case_finds_names_in_any_case_and_keeps_the_first() {
    let disk = SimFs::case_insensitive();
    write(&disk, "/Doc", b"1");
    assert_eq!(
        disk.open(p("/DOC"), OpenMode::CreateNew)
            .unwrap_err()
            .kind(),
        io::ErrorKind::AlreadyExists
    );
    write(&disk, "/doC", b"2");
    assert_eq!(disk.get("/DOc").as_deref(), Some(&b"12"[..]));
    assert_eq!(disk.read_dir(p("/")).unwrap()[0].name, "Doc");
    write(&disk, "/k", b"");
    assert_eq!(
        disk.open(p("/\u{212A}"), OpenMode::CreateNew)
            .unwrap_err()
            .kind(),
        io::ErrorKind::AlreadyExists
    );
    disk.rename(p("/k"), p("/K")).unwrap();
    assert!(
        disk.read_dir(p("/"))
            .unwrap()
            .iter()
            .any(|entry| entry.name == "K")
    );
    let two = SimFs::new();
    write(&two, "/Doc", b"1");
    write(&two, "/doc", b"2");
    assert_eq!(two.tree().len(), 2);
}

#[test]
fn the_hook_sees_every_operation_and_may_act() {
    let disk = SimFs::new();
    let other = disk.new_process();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let same = disk.clone();
    disk.on_op(move |event| {
        count.fetch_add(1, Ordering::Relaxed);
        if event.kind == OpKind::Rename {
            other.remove_file(&event.path).unwrap();
            assert!(
                same.metadata(p("/a")).is_ok(),
                "not called for what it does itself"
            );
        }
    });
    disk.put("/b", b"").unwrap();
    write(&disk, "/a", b"x");
    disk.rename_no_replace(p("/a"), p("/b")).unwrap_err();
    disk.rename(p("/a"), p("/b")).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 4);
    disk.clear_hook();
    disk.metadata(p("/b")).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[test]
fn times_go_forwards_and_can_be_set() {
    let disk = SimFs::new();
    write(&disk, "/a", b"");
    write(&disk, "/b", b"");
    let time = |path: &str| disk.metadata(p(path)).unwrap().modified;
    assert!(time("/a") < time("/b"));
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
    disk.set_modified("/b", then).unwrap();
    assert_eq!(time("/b"), then);
    disk.set_time(then);
    write(&disk, "/c", b"");
    assert!(time("/c") > then && time("/c") < then + Duration::from_secs(1));
}

#[test]
fn a_removed_file_lives_on_in_open_hands() {
    let disk = SimFs::new();
    let file = write(&disk, "/a", b"ab");
    disk.remove_file(p("/a")).unwrap();
    file.write_all(b"c").unwrap();
    let mut buf = [0; 8];
    assert_eq!(file.read_at(&mut buf, 1).unwrap(), 2);
    assert_eq!(
        contents(&disk, "/a"),
        BTreeSet::from([
            None,
            Some(Vec::new()),
            Some(b"ab".to_vec()),
            Some(b"abc".to_vec()),
            Some(b"a".to_vec()),
            Some(b"\0\0\0".to_vec()),
            Some(b"\0bc".to_vec()),
            Some(b"a\0\0".to_vec())
        ])
    );
}
