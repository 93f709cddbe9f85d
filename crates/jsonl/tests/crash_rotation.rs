//! Every place where a rotation, the going on after an interrupted one, or the deletion of a series with segments can be stopped, and
//! every state of the disk that this may leave.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::sync::Arc;

use common::{btc, entry, run};
use minutebook_core::{ErrorKind, ScanQuery, TimeSeriesRepository};
use minutebook_fs::crash::{self, Crashed, Options};
use minutebook_fs::{Durability, Fault, Fs as _, OpKind, SimFs};
use minutebook_jsonl::{EntryQuery, JsonlConfig, JsonlTimeSeriesRepository};

fn open(disk: &SimFs) -> minutebook_core::Result<JsonlTimeSeriesRepository> {
    let config = JsonlConfig::default()
        .fs(Arc::new(disk.clone()))
        .durability(Durability::Synced)
        .read_ahead(std::num::NonZeroUsize::MIN);
    JsonlTimeSeriesRepository::open("/ticks", config)
}

async fn put(
    repo: &JsonlTimeSeriesRepository,
    numbers: std::ops::Range<usize>,
) -> Result<(), String> {
    let entries: Vec<_> = numbers.map(entry).collect();
    let done = repo.append_entries(&btc(), &entries).await;
    done.map(drop).map_err(|error| error.to_string())
}

async fn found(repo: &JsonlTimeSeriesRepository) -> Result<Vec<String>, String> {
    match repo.entries(&btc(), &EntryQuery::new()).await {
        Ok(stream) => {
            let (entries, report) = stream.collect().await.map_err(|e| e.to_string())?;
            if !report.is_clean() {
                return Err(format!("{report:?}"));
            }
            Ok(entries
                .into_iter()
                .map(minutebook_jsonl::Entry::into_text)
                .collect())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

/// All entries are there once and in order, before anybody goes on with what was interrupted and after it; and nothing is left lying about.
fn check<T>(crashed: &Crashed<'_, T>, least: usize, most: usize) -> Result<(), String> {
    run(async {
        let repo = open(&crashed.disk).map_err(|e| e.to_string())?;
        let before = found(&repo).await?;
        let all: Vec<_> = (0..before.len()).map(entry).collect();
        if before != all || before.len() < least || before.len() > most {
            return Err(format!("{} entries: {before:?}", before.len()));
        }
        let rows = repo
            .scan(&btc(), &ScanQuery::new())
            .await
            .map_err(|e| e.to_string())?;
        let (rows, _) = rows.concat().await.map_err(|e| e.to_string())?;
        let summary = repo.summary(&btc()).await.map_err(|e| e.to_string())?;
        if rows.num_rows() != all.len() || summary.map(|s| s.rows) != Some(all.len() as u64) {
            return Err("rows and entries differ".to_owned());
        }
        put(&repo, before.len()..before.len() + 1).await?;
        repo.rotate(&btc()).await.map_err(|e| e.to_string())?;
        put(&repo, before.len() + 1..before.len() + 2).await?;
        let fresh = open(&crashed.disk).map_err(|e| e.to_string())?;
        for repo in [&repo, &fresh] {
            let after = found(repo).await?;
            if after != (0..before.len() + 2).map(entry).collect::<Vec<_>>() {
                return Err(format!("after going on: {after:?}"));
            }
        }
        let mut left = Vec::new();
        crashed
            .disk
            .visit_dir(std::path::Path::new("/ticks/btcusd~sealed"), &mut |entry| {
                left.push(entry.name.to_string_lossy().into_owned());
                true
            })
            .map_err(|e| e.to_string())?;
        let strange = |name: &&String| {
            !(name.ends_with(".jsonl.zst")
                || *name == "manifest.json"
                || minutebook_fs::is_temporary(name.as_ref()))
        };
        match left.iter().find(strange) {
            Some(name) => Err(format!("{name} is left over")),
            None => Ok(()),
        }
    })
}

#[test]
fn the_first_rotation_can_be_stopped_anywhere() {
    let report = crash::enumerate(
        &Options::default(),
        |disk| {
            let repo = open(disk).map_err(|e| e.to_string())?;
            run(put(&repo, 0..5))
        },
        |disk| {
            let repo = open(disk).ok()?;
            run(repo.rotate(&btc())).ok()
        },
        |crashed| check(crashed, 5, 5),
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.steps > 10 && report.states > 100, "{report:?}");
}

#[test]
fn appends_and_rotations_can_be_stopped_anywhere() {
    let report = crash::enumerate(
        &Options::default(),
        |disk| {
            let repo = open(disk).map_err(|e| e.to_string())?;
            run(async {
                put(&repo, 0..3).await?;
                repo.rotate(&btc()).await.map_err(|e| e.to_string())?;
                put(&repo, 3..4).await
            })
        },
        |disk| {
            let mut acknowledged = 4;
            let Ok(repo) = open(disk) else {
                return acknowledged;
            };
            run(async {
                for n in 4..6 {
                    if repo.rotate(&btc()).await.is_err() || put(&repo, n..n + 1).await.is_err() {
                        break;
                    }
                    acknowledged = n + 1;
                }
            });
            acknowledged
        },
        // An append that was not acknowledged may be there.
        |crashed| check_torn(crashed, *crashed.out),
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.states > 200, "{report:?}");
}

/// As [`check`], where the last append may have been torn.
fn check_torn<T>(crashed: &Crashed<'_, T>, least: usize) -> Result<(), String> {
    run(async {
        let repo = open(&crashed.disk).map_err(|e| e.to_string())?;
        let entries = repo
            .entries(&btc(), &EntryQuery::new())
            .await
            .map_err(|e| e.to_string())?;
        let (entries, _) = entries.collect().await.map_err(|e| e.to_string())?;
        let texts: Vec<_> = entries.iter().map(minutebook_jsonl::Entry::text).collect();
        let all: Vec<_> = (0..texts.len()).map(entry).collect();
        if texts != all || texts.len() < least || texts.len() > least + 1 {
            return Err(format!("{least} were acknowledged: {texts:?}"));
        }
        repo.rotate(&btc()).await.map_err(|e| e.to_string())?;
        let entries = repo
            .entries(&btc(), &EntryQuery::new())
            .await
            .map_err(|e| e.to_string())?;
        let (entries, _) = entries.collect().await.map_err(|e| e.to_string())?;
        // A line that lacked its newline alone is whole when the file is sealed.
        let after: Vec<_> = entries.iter().map(minutebook_jsonl::Entry::text).collect();
        let all: Vec<_> = (0..after.len()).map(entry).collect();
        if after != all || after.len() < texts.len() || after.len() > least + 1 {
            return Err(format!("after a rotation: {after:?}"));
        }
        Ok(())
    })
}

#[test]
fn going_on_after_an_interrupted_rotation_can_be_stopped_anywhere() {
    // Stopped at every other of its steps, and then once more anywhere.
    let steps = {
        let disk = SimFs::new();
        let repo = open(&disk).unwrap();
        run(put(&repo, 0..5)).unwrap();
        let process = disk.new_process();
        let repo = open(&process).unwrap();
        run(repo.rotate(&btc())).unwrap().unwrap();
        process.trace().len() as u64
    };
    for stop in (0..steps).step_by(2) {
        crash::enumerate(
            &Options::default(),
            |disk| {
                let repo = open(disk).map_err(|e| e.to_string())?;
                run(put(&repo, 0..5))?;
                let process = disk.new_process();
                process.crash_within(stop, 0);
                if let Ok(repo) = open(&process) {
                    let _ = run(repo.rotate(&btc()));
                }
                Ok(())
            },
            |disk| {
                let repo = open(disk).ok()?;
                run(repo.rotate(&btc())).ok()
            },
            |crashed| check(crashed, 5, 5),
        )
        .unwrap_or_else(|failure| panic!("stopped at {stop}: {failure}"));
    }
}

#[test]
fn a_failing_disk_fails_a_rotation_and_loses_nothing() {
    for kind in [
        OpKind::Create,
        OpKind::Append,
        OpKind::SyncData,
        OpKind::SyncAll,
        OpKind::SyncDir,
        OpKind::Rename,
        OpKind::RenameNoReplace,
        OpKind::RemoveFile,
    ] {
        for nth in 0..8 {
            let disk = SimFs::new();
            let repo = open(&disk).unwrap();
            run(put(&repo, 0..5)).unwrap();
            drop(repo);
            disk.inject(Fault::on(kind).at("/ticks/").after(nth));
            let result = open(&disk).and_then(|repo| run(repo.rotate(&btc())));
            disk.clear_faults();
            let repo = open(&disk).unwrap();
            let all = run(found(&repo)).unwrap();
            assert_eq!(
                all,
                (0..5).map(entry).collect::<Vec<_>>(),
                "{kind:?} {nth}: {result:?}"
            );
            run(repo.rotate(&btc())).unwrap();
            assert_eq!(run(found(&repo)).unwrap().len(), 5);
            assert_eq!(
                run(repo.segments(&btc())).unwrap().len(),
                1,
                "{kind:?} {nth}"
            );
        }
    }
}
