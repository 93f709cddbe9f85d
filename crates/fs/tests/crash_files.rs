//! Whole files on the simulated disk: stopped after each step, in every state that a crash may leave.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

use std::io;
use std::path::Path;
use std::sync::Arc;

use minutebook_fs::crash::{Crashed, Kind, Options, enumerate};
use minutebook_fs::{
    Created, Durability, Fault, Fs, Images, OpKind, OpenMode, Root, SimFs, Torn, create_dir_all,
    create_new, is_temporary, read, remove, remove_stray_temporaries, rename, rename_new, replace,
};

const DOC: &str = "/store/doc.json";
const OLD: &[u8] = b"{\"the old\": \"content\"}";
const NEW: &[u8] = b"{\"the new\": \"content, which is longer\"}";

fn every_byte() -> Options {
    Options::default().images(Images::default().max(4096).torn(Torn::Bytes))
}

fn with_old(disk: &SimFs) -> Result<(), String> {
    disk.put(DOC, OLD).map_err(|e| e.to_string())
}

fn content(disk: &SimFs) -> Result<Option<Vec<u8>>, String> {
    read(disk, Path::new(DOC), 1 << 20).map_err(|e| e.to_string())
}

fn show(bytes: Option<&[u8]>) -> String {
    bytes.map_or("no file".to_owned(), |b| {
        format!("{:?}", String::from_utf8_lossy(b))
    })
}

/// What is left of a crash: nothing but the document and temporary files, which a clean-up takes away.
fn only_known_files<T>(crashed: &Crashed<'_, T>) -> Result<(), String> {
    let disk = &crashed.disk;
    remove_stray_temporaries(disk, Path::new("/store")).map_err(|e| e.to_string())?;
    for entry in disk
        .read_dir(Path::new("/store"))
        .map_err(|e| e.to_string())?
    {
        if entry.name != "doc.json" {
            return Err(format!("{} is left over", entry.name.display()));
        }
    }
    Ok(())
}

/// Old or new; new if that was acknowledged, as far as the durability reaches.
fn old_or_new(
    crashed: &Crashed<'_, bool>,
    old: Option<&[u8]>,
    durability: Durability,
) -> Result<(), String> {
    let found = content(&crashed.disk)?;
    let found = found.as_deref();
    let holds = *crashed.out && (durability.is_synced() || crashed.kind == Kind::Process);
    let intact = found == Some(NEW) || (found == old && !holds);
    // A power cut may damage what was only buffered.
    if intact || (crashed.kind == Kind::Power && !durability.is_synced()) {
        only_known_files(crashed)
    } else {
        Err(format!(
            "acknowledged: {}, found {}",
            crashed.out,
            show(found)
        ))
    }
}

#[test]
fn replace_leaves_the_old_or_the_new() {
    for durability in [Durability::Synced, Durability::Buffered] {
        let report = enumerate(
            &every_byte(),
            with_old,
            |disk| replace(disk, Path::new(DOC), NEW, durability).is_ok(),
            |crashed| old_or_new(crashed, Some(OLD), durability),
        )
        .unwrap();
        assert!(report.states >= 40, "{report:?}");
    }
}

#[test]
fn replace_of_an_absent_file_leaves_nothing_or_the_new() {
    enumerate(
        &every_byte(),
        |disk| {
            create_dir_all(disk, Path::new("/store"), Durability::Synced).map_err(|e| e.to_string())
        },
        |disk| replace(disk, Path::new(DOC), NEW, Durability::Synced).is_ok(),
        |crashed| old_or_new(crashed, None, Durability::Synced),
    )
    .unwrap();
}

#[test]
fn create_new_is_whole_or_absent() {
    for links in [false, true] {
        for durability in [Durability::Synced, Durability::Buffered] {
            let report = enumerate(
                &every_byte(),
                |disk| {
                    create_dir_all(disk, Path::new("/store"), Durability::Synced)
                        .map_err(|e| e.to_string())
                },
                |disk| {
                    if links {
                        disk.inject(
                            Fault::on(OpKind::RenameNoReplace)
                                .error(io::ErrorKind::Unsupported)
                                .forever(),
                        );
                    }
                    matches!(
                        create_new(disk, Path::new(DOC), NEW, durability),
                        Ok(Created::Created)
                    )
                },
                |crashed| {
                    if durability.is_synced() || crashed.kind == Kind::Process {
                        match content(&crashed.disk)?.as_deref() {
                            Some(NEW) => {}
                            None if !crashed.out => {}
                            other => return Err(show(other)),
                        }
                    }
                    only_known_files(crashed)?;
                    // Whoever comes next can create it, or finds it.
                    let created =
                        create_new(&crashed.disk, Path::new(DOC), OLD, Durability::Synced)
                            .map_err(|e| e.to_string())?;
                    let found = content(&crashed.disk)?;
                    if created.is_created() == (found.as_deref() == Some(OLD)) {
                        Ok(())
                    } else {
                        Err(show(found.as_deref()))
                    }
                },
            )
            .unwrap();
            assert!(report.states >= 40, "{report:?}");
        }
    }
}

#[test]
fn remove_is_durable_also_if_another_removed_before() {
    enumerate(
        &Options::default(),
        with_old,
        |disk| {
            let removed = remove(disk, Path::new(DOC), Durability::Buffered);
            let again = remove(disk, Path::new(DOC), Durability::Synced);
            (removed.is_ok(), matches!(again, Ok(false)))
        },
        |crashed| match (content(&crashed.disk)?.as_deref(), crashed.out) {
            (None, _) => Ok(()),
            (Some(OLD), (removed, durably)) => {
                if *durably || (*removed && crashed.kind == Kind::Process) {
                    return Err("it is back".to_owned());
                }
                Ok(())
            }
            (other, _) => Err(show(other)),
        },
    )
    .unwrap();
}

#[test]
fn a_moved_file_is_never_in_neither_place() {
    let to = Path::new("/sealed/doc.json");
    for new in [false, true] {
        enumerate(
            &Options::default(),
            |disk| {
                disk.put(DOC, OLD).map_err(|e| e.to_string())?;
                disk.put("/sealed/other", b"").map_err(|e| e.to_string())
            },
            |disk| {
                if new {
                    matches!(
                        rename_new(disk, Path::new(DOC), to, Durability::Synced),
                        Ok(Created::Created)
                    )
                } else {
                    rename(disk, Path::new(DOC), to, Durability::Synced).is_ok()
                }
            },
            |crashed| {
                let (here, there) = (crashed.disk.get(DOC), crashed.disk.get(to));
                match (here.as_deref(), there.as_deref()) {
                    (None, Some(OLD)) => Ok(()),
                    (Some(OLD), None) if !crashed.out => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            },
        )
        .unwrap();
    }
}

#[test]
fn directories_are_durable_with_their_parents() {
    let dir = Path::new("/a/b/c");
    enumerate(
        &Options::default(),
        |_| Ok(()),
        |disk| {
            let made = create_dir_all(disk, dir, Durability::Synced).is_ok();
            made && replace(disk, &dir.join("doc"), NEW, Durability::Synced).is_ok()
        },
        |crashed| match crashed.disk.get(dir.join("doc")).as_deref() {
            Some(NEW) => Ok(()),
            None if !crashed.out => Ok(()),
            other => Err(show(other)),
        },
    )
    .unwrap();
}

#[test]
fn a_root_makes_directories_durable_that_another_process_made_a_moment_ago() {
    enumerate(
        &Options::default(),
        |disk| {
            create_dir_all(disk, Path::new("/store"), Durability::Synced).map_err(|e| e.to_string())
        },
        |disk| {
            // The other one has not come to its syncs yet.
            let other = disk.new_process();
            for dir in ["/store/series", "/store/series/btc"] {
                other.create_dir(Path::new(dir)).unwrap();
            }
            let root = Root::open(Arc::new(disk.clone()), Path::new("/store"))
                .map_err(|e| e.to_string())?;
            let dir = root
                .ensure_dir(&["series", "btc"], Durability::Synced)
                .map_err(|e| e.to_string())?;
            replace(disk, &dir.join("doc"), NEW, Durability::Synced).map_err(|e| e.to_string())
        },
        |crashed| match crashed.disk.get("/store/series/btc/doc").as_deref() {
            Some(NEW) => Ok(()),
            None if crashed.out.is_err() => Ok(()),
            other => Err(show(other)),
        },
    )
    .unwrap();
}

// --- known-bad variants: the harness must catch each ---

fn caught(operation: impl Fn(&SimFs) -> io::Result<()>) -> String {
    enumerate(
        &every_byte(),
        with_old,
        |disk| operation(disk).is_ok(),
        |crashed| old_or_new(crashed, Some(OLD), Durability::Synced),
    )
    .unwrap_err()
    .to_string()
}

fn write_temp(disk: &SimFs, sync: bool) -> io::Result<()> {
    let file = disk.open(
        Path::new("/store/.minutebook-1-2-3.tmp"),
        OpenMode::CreateNew,
    )?;
    file.write_all(NEW)?;
    if sync { file.sync_all() } else { Ok(()) }
}

const TEMP: &str = "/store/.minutebook-1-2-3.tmp";

#[test]
fn bad_rewrite_in_place_is_caught() {
    let failure = caught(|disk| {
        let file = disk.open(Path::new(DOC), OpenMode::Append)?;
        file.set_len(0)?;
        file.write_all(NEW)?;
        file.sync_all()?;
        disk.sync_dir(Path::new("/store"))
    });
    assert!(failure.contains("process killed"), "{failure}");
}

#[test]
fn bad_rename_without_file_sync_is_caught() {
    let failure = caught(|disk| {
        write_temp(disk, false)?;
        disk.rename(Path::new(TEMP), Path::new(DOC))?;
        disk.sync_dir(Path::new("/store"))
    });
    assert!(
        failure.contains("power cut") && failure.contains("\"\""),
        "an empty file must be reachable: {failure}"
    );
}

#[test]
fn bad_rename_without_directory_sync_is_caught() {
    let failure = caught(|disk| {
        write_temp(disk, true)?;
        disk.rename(Path::new(TEMP), Path::new(DOC))
    });
    assert!(
        failure.contains("acknowledged: true") && failure.contains("the old"),
        "{failure}"
    );
}

#[test]
fn bad_remove_then_rename_is_caught() {
    let failure = caught(|disk| {
        write_temp(disk, true)?;
        disk.remove_file(Path::new(DOC))?;
        disk.rename(Path::new(TEMP), Path::new(DOC))?;
        disk.sync_dir(Path::new("/store"))
    });
    assert!(failure.contains("no file"), "{failure}");
}

#[test]
fn bad_left_over_under_another_name_is_caught() {
    let failure = caught(|disk| {
        disk.open(Path::new("/store/doc.json.bak"), OpenMode::CreateNew)?;
        replace(disk, Path::new(DOC), NEW, Durability::Synced).map_err(|e| e.source)
    });
    assert!(failure.contains("left over"), "{failure}");
}

#[test]
fn bad_cut_and_rewrite_without_a_last_sync_is_caught() {
    let failure = caught(|disk| {
        let file = disk.open(Path::new(DOC), OpenMode::Append)?;
        file.set_len(0)?;
        file.sync_all()?;
        file.write_all(NEW)
    });
    assert!(failure.contains("found"), "{failure}");
}

// --- faults ---

fn tree_is_old(disk: &SimFs) {
    assert_eq!(disk.get(DOC).as_deref(), Some(OLD));
    let names = disk.read_dir(Path::new("/store")).unwrap();
    assert!(
        names
            .iter()
            .all(|entry| !entry.name.to_str().is_some_and(is_temporary)),
        "{names:?}"
    );
    assert_eq!(names.len(), 1);
}

#[test]
fn a_failed_replace_changes_nothing_and_leaves_nothing() {
    let faults = [
        Fault::on(OpKind::Create).error(io::ErrorKind::PermissionDenied),
        Fault::on(OpKind::Lock).errno(5),
        Fault::on(OpKind::Append).error(io::ErrorKind::StorageFull),
        Fault::on(OpKind::SyncAll).errno(5),
        Fault::on(OpKind::Rename).error(io::ErrorKind::PermissionDenied),
    ];
    for fault in faults {
        let disk = SimFs::new();
        with_old(&disk).unwrap();
        disk.inject(fault.clone());
        let error = replace(&disk, Path::new(DOC), NEW, Durability::Synced).unwrap_err();
        assert!(error.nothing_applied(), "{fault:?}: {error:?}");
        assert_eq!(error.path, Path::new(DOC));
        tree_is_old(&disk);
        replace(&disk, Path::new(DOC), NEW, Durability::Synced).unwrap();
        assert_eq!(disk.get(DOC).as_deref(), Some(NEW));
    }
}

/// Beside a clean-up at each step, once it has its lock.
#[test]
fn a_full_disk_leaves_the_old_content() {
    let disk = SimFs::new();
    with_old(&disk).unwrap();
    for free in 0..NEW.len() as u64 {
        disk.set_capacity(Some(OLD.len() as u64 + free));
        let error = replace(&disk, Path::new(DOC), NEW, Durability::Synced).unwrap_err();
        assert_eq!(
            (error.kind(), error.nothing_applied()),
            (io::ErrorKind::StorageFull, true)
        );
        let error =
            create_new(&disk, Path::new("/store/other"), NEW, Durability::Synced).unwrap_err();
        assert_eq!(
            (error.kind(), error.nothing_applied()),
            (io::ErrorKind::StorageFull, true)
        );
        tree_is_old(&disk);
    }
    disk.set_capacity(Some((OLD.len() + NEW.len()) as u64));
    replace(&disk, Path::new(DOC), NEW, Durability::Synced).unwrap();
}

#[test]
fn short_writes_are_gone_on_with() {
    let disk = SimFs::new();
    with_old(&disk).unwrap();
    disk.inject(Fault::on(OpKind::Append).short(1).times(5));
    replace(&disk, Path::new(DOC), NEW, Durability::Synced).unwrap();
    assert_eq!(disk.get(DOC).as_deref(), Some(NEW));
}
