//! Backup, removal of generations and restore, stopped before each of their steps, by a kill and by a power cut.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook::backup::{BackupOptions, BackupReport, RestoreOptions, RestoreReport, restore};
use minutebook::config::Environment;
use minutebook::{Minutebook, Result};
use minutebook_fs::crash::{self, Crashed, Options};
use minutebook_fs::{FileKind, Fs, SimFs};
use minutebook_testkit::test_clock;

use super::runtime;

const STORE: &str = "/store";
const BACKUPS: &str = "/backups";
const INTO: &str = "/into";

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn open(disk: &SimFs) -> Result<Minutebook> {
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    Minutebook::options()
        .environment(Environment::empty())
        .clock(test_clock())
        .fs(fs)
        .create(STORE)
}

/// A file that grows and one that is replaced; how the parts of a store are copied makes no difference to how a backup is stopped.
async fn fill(disk: &SimFs, round: u32) -> Result<()> {
    let book = open(disk)?;
    let entry = format!(r#"{{"timestamp": "2025-02-01T00:00:00", "n": {round}}}"#);
    let log = book.tick_log()?.unwrap();
    log.append_entries(&"BTCUSD@ticks".parse()?, &[entry.as_str()])
        .await?;
    book.documents()
        .save(&"run".parse()?, &format!("[{round}]"))
        .await
}

async fn backup(disk: &SimFs, keep: usize) -> Result<BackupReport> {
    let options = BackupOptions::new().keep(keep);
    open(disk)?.backup(BACKUPS, &options).await
}

async fn bring_back(disk: &SimFs, into: &str, generation: &str) -> Result<RestoreReport> {
    let options = RestoreOptions::new()
        .fs(Arc::new(disk.clone()))
        .generation(generation);
    restore(BACKUPS, into, &options).await
}

/// Every file below a directory that a copy of a store has.
fn files(disk: &SimFs, root: &str) -> Files {
    let mut found = Files::new();
    let mut open = vec![PathBuf::from(root)];
    while let Some(dir) = open.pop() {
        for entry in disk.read_dir(&dir).unwrap() {
            let path = dir.join(&entry.name);
            let name = entry.name.to_string_lossy().into_owned();
            if entry.kind == FileKind::Dir {
                open.push(path);
            } else if !(name.starts_with('.')
                && (name.ends_with("lock") || name.ends_with("index")))
            {
                let bytes = minutebook_fs::read(disk, &path, 1 << 20).unwrap().unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

fn generations(disk: &SimFs) -> Vec<String> {
    let listed = disk.read_dir(&Path::new(BACKUPS).join("generations"));
    let mut names: Vec<String> = listed
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| Some(entry.name.to_str()?.strip_suffix(".jsonl")?.to_owned()))
        .collect();
    names.sort();
    names
}

/// What came of a backup, wherever it was stopped: every generation that there is is one of those that were made, whole, and the next backup is as any.
fn check(
    crashed: &Crashed<'_, Result<BackupReport>>,
    before: &Files,
    keep: usize,
) -> Result<(), String> {
    let disk = &crashed.disk;
    let now = files(disk, STORE);
    runtime().block_on(async {
        let known = generations(disk);
        // A store that has not changed since may have two generations that are alike.
        if keep > 1 && known.is_empty() {
            return Err("the generation before is gone".to_owned());
        }
        if let Ok(made) = crashed.out
            && crashed.completed
            && known.last() != Some(&made.generation)
        {
            return Err(format!("{} was made and is not there", made.generation));
        }
        if known.is_empty() {
            return Err("no generation is left".to_owned());
        }
        for (i, name) in known.iter().enumerate() {
            let into = format!("/again-{i}");
            let back = bring_back(disk, &into, name).await;
            back.map_err(|error| format!("{name} of {known:?}: {error:?}"))?;
            let found = files(disk, &into);
            if found != *before && found != now {
                return Err(format!(
                    "{name} is no state of the store: {:?}",
                    found.keys()
                ));
            }
        }
        let next = backup(disk, 1).await;
        let next = next.map_err(|error| format!("the next backup: {error:?}"))?;
        let left = disk.read_dir(&Path::new(BACKUPS).join("incoming"));
        if generations(disk) != [next.generation.clone()] || !left.unwrap().is_empty() {
            return Err("something is left over".to_owned());
        }
        let back = bring_back(disk, "/last", &next.generation).await;
        back.map_err(|error| format!("the next generation: {error:?}"))?;
        if files(disk, "/last") == files(disk, STORE) {
            Ok(())
        } else {
            Err("the next generation is not the store".to_owned())
        }
    })
}

/// The store of the first generation, and what it had then.
fn first(disk: &SimFs) -> Result<(), String> {
    runtime().block_on(async {
        fill(disk, 1).await.map_err(|error| format!("{error:?}"))?;
        backup(disk, 2)
            .await
            .map_err(|error| format!("{error:?}"))?;
        fill(disk, 2).await.map_err(|error| format!("{error:?}"))
    })
}

fn before() -> Files {
    let disk = SimFs::new();
    runtime().block_on(fill(&disk, 1)).unwrap();
    files(&disk, STORE)
}

#[test]
fn a_backup_can_be_stopped_anywhere() {
    let before = before();
    let report = crash::enumerate(
        &Options::default(),
        first,
        |disk| runtime().block_on(backup(disk, 2)),
        |crashed| check(crashed, &before, 2),
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.steps > 20 && report.states > 200, "{report:?}");
}

#[test]
fn a_backup_that_removes_the_one_before_can_be_stopped_anywhere() {
    let before = before();
    let report = crash::enumerate(
        &Options::default(),
        first,
        |disk| runtime().block_on(backup(disk, 1)),
        |crashed| check(crashed, &before, 1),
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.steps > 20 && report.states > 200, "{report:?}");
}

#[test]
fn a_first_backup_can_be_stopped_anywhere() {
    let report = crash::enumerate(
        &Options::default(),
        |disk| {
            let filled = runtime().block_on(fill(disk, 1));
            filled.map_err(|error| format!("{error:?}"))
        },
        |disk| runtime().block_on(backup(disk, 2)),
        |crashed| {
            let disk = &crashed.disk;
            runtime().block_on(async {
                let known = generations(disk);
                if crashed.completed && crashed.out.is_ok() && known.is_empty() {
                    return Err("it was made and is not there".to_owned());
                }
                for name in &known {
                    let back = bring_back(disk, INTO, name).await;
                    back.map_err(|error| format!("{name}: {error:?}"))?;
                }
                let next = backup(disk, 1).await;
                let next = next.map_err(|error| format!("the next backup: {error:?}"))?;
                let back = bring_back(disk, "/last", &next.generation).await;
                back.map_err(|error| format!("the next generation: {error:?}"))?;
                if files(disk, "/last") == files(disk, STORE) {
                    Ok(())
                } else {
                    Err("the generation is not the store".to_owned())
                }
            })
        },
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.steps > 20 && report.states > 200, "{report:?}");
}

#[test]
fn a_restore_that_is_stopped_says_so_and_is_done_again() {
    let report = crash::enumerate(
        &Options::default(),
        |disk| {
            runtime().block_on(async {
                fill(disk, 1).await.map_err(|error| format!("{error:?}"))?;
                let made = backup(disk, 1).await;
                made.map(drop).map_err(|error| format!("{error:?}"))
            })
        },
        |disk| {
            let name = generations(disk).pop().unwrap();
            runtime().block_on(bring_back(disk, INTO, &name))
        },
        |crashed| {
            let disk = &crashed.disk;
            let name = generations(disk).pop().unwrap();
            let whole = |disk: &SimFs| files(disk, INTO) == files(disk, STORE);
            let fs: Arc<dyn Fs> = Arc::new(disk.clone());
            let opened = Minutebook::options()
                .environment(Environment::empty())
                .fs(fs)
                .open(INTO);
            match (&crashed.out, opened.is_ok()) {
                // What can be opened is complete.
                (_, true) if whole(disk) => return Ok(()),
                (_, true) if files(disk, INTO).is_empty() => {}
                (_, true) => return Err("half a store was opened".to_owned()),
                (Ok(_), false) if crashed.completed => {
                    return Err("it was done and cannot be opened".to_owned());
                }
                _ => {}
            }
            let again = runtime().block_on(bring_back(disk, INTO, &name));
            again.map_err(|error| format!("again: {error:?}"))?;
            if whole(disk) {
                Ok(())
            } else {
                Err("the second restore is not the store".to_owned())
            }
        },
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.steps > 20 && report.states > 200, "{report:?}");
}
