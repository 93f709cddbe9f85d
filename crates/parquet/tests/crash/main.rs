//! Crashes at every step of every operation: what was acknowledged is there, and the series is always whole.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

#[path = "../common/mod.rs"]
mod common;
mod mending;

use std::path::Path;
use std::sync::Arc;

use common::{Row, all, batch, inline, range, series};
use minutebook_core::{
    ManualClock, OnConflict, Snapshot, TimeSeriesRepository, WriteMode, time::from_nanos,
};
use minutebook_fs::crash::{Crashed, Kind, Options, enumerate};
use minutebook_fs::{Durability, Fs, Images, SimFs, is_temporary};
use minutebook_parquet::{
    Metadata, ParquetConfig, ParquetTimeSeriesRepository, Retention, VacuumOptions,
};

type Content = Option<Vec<Row>>;

fn open(disk: &SimFs, durability: Durability) -> ParquetTimeSeriesRepository {
    // Long after any time that the simulated disk stamps: with no grace period everything is old.
    let clock = Arc::new(ManualClock::at(from_nanos(7_258_118_400_000_000_000)));
    let config = ParquetConfig::default()
        .fs(Arc::new(disk.clone()))
        .clock(clock)
        .durability(durability)
        .merge_floor_rows(100)
        .orphan_grace(std::time::Duration::ZERO);
    ParquetTimeSeriesRepository::open("/store/series", config).unwrap()
}

/// Three versions: rows 10 and 20, then 30, then 20 replaced.
fn stored(disk: &SimFs) -> Result<(), String> {
    let repo = open(disk, Durability::Synced);
    let upsert = WriteMode::Upsert {
        on_conflict: OnConflict::Replace,
    };
    inline(async {
        repo.write(&series(), batch(&[(10, 1), (20, 2)]), WriteMode::Append)
            .await?;
        repo.write(&series(), batch(&[(30, 3)]), WriteMode::Append)
            .await?;
        repo.write(&series(), batch(&[(20, 4)]), upsert).await
    })
    .map(drop)
    .map_err(|e| format!("{e:?}"))
}

const OLD: [Row; 3] = [(10, 1), (20, 4), (30, 3)];

/// What a dead writer has left half written goes with the next vacuum.
fn nothing_half_written(disk: &SimFs) -> Result<(), String> {
    let left = || -> Vec<_> {
        let dirs = [
            "btcusd/1m/data",
            "btcusd/1m/groups",
            "btcusd/1m/log",
            "@snapshots",
        ];
        let dirs = dirs.iter().map(|dir| Path::new("/store/series").join(dir));
        let entries = dirs.filter_map(|dir| disk.read_dir(&dir).ok()).flatten();
        let names = entries.filter_map(|entry| entry.name.to_str().map(str::to_owned));
        names.filter(|name| is_temporary(name)).collect()
    };
    let found = left();
    if found.is_empty() {
        return Ok(());
    }
    let repo = open(disk, Durability::Synced);
    let report = inline(repo.vacuum(&series(), &VacuumOptions::default()));
    let report = report.map_err(|error| format!("{error:?}"))?;
    let told = found.iter().all(|name| report.files.contains(name));
    match left() {
        rest if rest.is_empty() && told => Ok(()),
        rest => Err(format!(
            "{rest:?} is left after a vacuum that says {report:?}"
        )),
    }
}

/// Stops an operation everywhere. Afterwards the series is as before or as after it, the latter if it was acknowledged; and it takes
/// the next write.
fn survives(
    setup: impl Fn(&SimFs) -> Result<(), String>,
    operation: impl Fn(&ParquetTimeSeriesRepository) -> minutebook_core::Result<()>,
    old: &Content,
    new: &Content,
) {
    let check = |crashed: &Crashed<'_, minutebook_core::Result<()>>| -> Result<(), String> {
        let repo = open(&crashed.disk, Durability::Synced);
        let found = inline(all(&repo)).map_err(|e| format!("unreadable: {e:?}"))?;
        if found != *new && (crashed.out.is_ok() || found != *old) {
            return Err(format!("acknowledged: {:?}, found {found:?}", crashed.out));
        }
        let appended = inline(repo.write(&series(), batch(&[(40, 9)]), WriteMode::Append));
        appended.map_err(|e| format!("takes no more rows: {e:?}"))?;
        let mut expected = found.unwrap_or_default();
        expected.push((40, 9));
        expected.sort_unstable();
        let again =
            inline(all(&open(&crashed.disk, Durability::Synced))).map_err(|e| format!("{e:?}"))?;
        if again.as_ref() != Some(&expected) {
            return Err(format!(
                "after another append: {again:?} instead of {expected:?}"
            ));
        }
        nothing_half_written(&crashed.disk)
    };
    let options = Options::default().images(Images::default().max(64));
    let report = enumerate(
        &options,
        setup,
        |disk| operation(&open(disk, Durability::Synced)),
        check,
    );
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(
        report.steps >= 3 && report.states > report.steps,
        "{report:?}"
    );
}

#[test]
fn the_first_append() {
    survives(
        |_| Ok(()),
        |repo| inline(repo.write(&series(), batch(&[(1, 1), (2, 2)]), WriteMode::Append)).map(drop),
        &None,
        &Some(vec![(1, 1), (2, 2)]),
    );
}

#[test]
fn append_that_merges_the_tail() {
    survives(
        stored,
        |repo| {
            inline(repo.write(&series(), batch(&[(5, 5), (50, 6)]), WriteMode::Append)).map(drop)
        },
        &Some(OLD.to_vec()),
        &Some(vec![(5, 5), (10, 1), (20, 4), (30, 3), (50, 6)]),
    );
}

#[test]
fn upsert() {
    let mode = WriteMode::Upsert {
        on_conflict: OnConflict::Replace,
    };
    survives(
        stored,
        |repo| inline(repo.write(&series(), batch(&[(10, 7), (25, 8)]), mode)).map(drop),
        &Some(OLD.to_vec()),
        &Some(vec![(10, 7), (20, 4), (25, 8), (30, 3)]),
    );
}

#[test]
fn replace_range() {
    survives(
        stored,
        |repo| {
            inline(repo.write(
                &series(),
                batch(&[(12, 7)]),
                WriteMode::ReplaceRange(range(10, 30)),
            ))
            .map(drop)
        },
        &Some(OLD.to_vec()),
        &Some(vec![(12, 7), (30, 3)]),
    );
}

/// Two segments that no append merges.
fn in_two_files(disk: &SimFs) -> Result<(), String> {
    let clock = Arc::new(ManualClock::at(from_nanos(7_258_118_400_000_000_000)));
    let config = ParquetConfig::default()
        .fs(Arc::new(disk.clone()))
        .clock(clock)
        .merge_floor_rows(0)
        .orphan_grace(std::time::Duration::ZERO);
    let repo =
        ParquetTimeSeriesRepository::open("/store/series", config).map_err(|e| format!("{e:?}"))?;
    inline(async {
        repo.write(
            &series(),
            batch(&[(10, 1), (20, 4), (30, 3)]),
            WriteMode::Append,
        )
        .await?;
        repo.write(&series(), batch(&[(15, 5)]), WriteMode::Append)
            .await
    })
    .map(drop)
    .map_err(|e| format!("{e:?}"))
}

#[test]
fn compaction() {
    let rows = Some(vec![(10, 1), (15, 5), (20, 4), (30, 3)]);
    survives(
        in_two_files,
        |repo| inline(repo.compact(&series())).map(drop),
        &rows,
        &rows,
    );
}

#[test]
fn restoration() {
    let note = Metadata::new();
    survives(
        in_two_files,
        |repo| {
            let first = Snapshot::Version(minutebook_core::Version(1));
            inline(repo.restore(&series(), first, &note)).map(drop)
        },
        &Some(vec![(10, 1), (15, 5), (20, 4), (30, 3)]),
        &Some(OLD.to_vec()),
    );
}

#[test]
fn naming_a_snapshot_and_vacuuming_what_it_does_not_name() {
    let rows = Some(vec![(10, 1), (15, 5), (20, 4), (30, 3)]);
    survives(
        in_two_files,
        |repo| {
            inline(async {
                let first = Snapshot::Version(minutebook_core::Version(1));
                let named = [(series(), first)];
                repo.create_snapshot("kept", &named, &Metadata::new())
                    .await?;
                repo.compact(&series()).await?;
                let options = VacuumOptions::default().retention(Retention::versions(1));
                repo.vacuum(&series(), &options).await?;
                // Whatever happened, what is named can be read.
                let query = minutebook_core::ScanQuery::new().as_of(first);
                let stream = repo.scan(&series(), &query).await?;
                stream.collect().await.map(drop)
            })
        },
        &rows,
        &rows,
    );
}

#[test]
fn adoption() {
    let dir = tempfile::tempdir().unwrap();
    let save = |name: &str, rows: &[Row]| {
        let path = dir.path().join(name);
        let options = minutebook_parquet::SaveParquet::default();
        minutebook_parquet::save_parquet(&[batch(rows)], &path, &options).unwrap();
        std::fs::read(path).unwrap()
    };
    let files = [
        ("/in/one.parquet", save("one", &[(20, 9), (60, 6)])),
        ("/in/two.parquet", save("two", &[(60, 7), (70, 7)])),
    ];
    let given: Vec<std::path::PathBuf> = files.iter().map(|(path, _)| path.into()).collect();
    survives(
        |disk| {
            stored(disk)?;
            for (path, bytes) in &files {
                disk.put(path, bytes).map_err(|e| e.to_string())?;
            }
            Ok(())
        },
        |repo| inline(repo.adopt(&series(), &given, &Metadata::new())).map(drop),
        &Some(OLD.to_vec()),
        &Some(vec![(10, 1), (20, 9), (30, 3), (60, 7), (70, 7)]),
    );
}

#[test]
fn declaring_a_key() {
    let rows = Some(OLD.to_vec());
    let key = minutebook_core::SeriesKey::new(["n"]).unwrap();
    survives(
        stored,
        |repo| inline(repo.declare_key(&series(), Some(&key))).map(drop),
        &rows,
        &rows,
    );
}

#[test]
fn delete_range() {
    survives(
        stored,
        |repo| inline(repo.delete(&series(), Some(range(20, 21)))).map(drop),
        &Some(OLD.to_vec()),
        &Some(vec![(10, 1), (30, 3)]),
    );
}

#[test]
fn delete_series() {
    survives(
        stored,
        |repo| inline(repo.delete(&series(), None)).map(drop),
        &Some(OLD.to_vec()),
        &None,
    );
}

#[test]
fn first_append_after_a_deletion() {
    survives(
        |disk| {
            stored(disk)?;
            inline(open(disk, Durability::Synced).delete(&series(), None))
                .map(drop)
                .map_err(|e| format!("{e:?}"))
        },
        |repo| inline(repo.write(&series(), batch(&[(7, 7)]), WriteMode::Append)).map(drop),
        &None,
        &Some(vec![(7, 7)]),
    );
}

#[test]
fn vacuum() {
    let options = VacuumOptions::default().retention(Retention::versions(1));
    survives(
        stored,
        |repo| inline(repo.vacuum(&series(), &options)).map(drop),
        &Some(OLD.to_vec()),
        &Some(OLD.to_vec()),
    );
}

/// The log has passed two anchors, so that removal has to mind its order.
#[test]
fn vacuum_of_many_versions() {
    let options = VacuumOptions::default().retention(Retention::versions(2));
    let made = SimFs::new();
    let repo = open(&made, Durability::Synced);
    for i in 0..66 {
        inline(repo.write(&series(), batch(&[(i, i)]), WriteMode::Append)).unwrap();
    }
    let tree = made.tree();
    let setup = |disk: &SimFs| {
        for (path, content) in tree
            .iter()
            .filter_map(|(path, content)| Some((path, content.as_ref()?)))
        {
            disk.put(path, content).map_err(|e| e.to_string())?;
        }
        Ok(())
    };
    let rows: Vec<Row> = (0..66).map(|i| (i, i)).collect();
    let check = |crashed: &Crashed<'_, minutebook_core::Result<()>>| {
        let found =
            inline(all(&open(&crashed.disk, Durability::Synced))).map_err(|e| format!("{e:?}"))?;
        if found.as_ref() == Some(&rows) {
            Ok(())
        } else {
            Err(format!("found {found:?}"))
        }
    };
    let operation =
        |disk: &SimFs| inline(open(disk, Durability::Synced).vacuum(&series(), &options)).map(drop);
    let images = Options::default().images(Images::default().max(2));
    let report =
        enumerate(&images, setup, operation, check).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.steps > 100, "{report:?}");
}

/// Buffered: a killed process loses nothing that was acknowledged; a power cut may, but what is read is never wrong.
#[test]
fn buffered_writes() {
    let check = |crashed: &Crashed<'_, minutebook_core::Result<()>>| -> Result<(), String> {
        let found = inline(all(&open(&crashed.disk, Durability::Buffered)));
        let new = vec![(5, 5), (10, 1), (20, 4), (30, 3)];
        match (crashed.kind, found) {
            (Kind::Process, Ok(Some(found))) if found == new => Ok(()),
            (Kind::Process, Ok(Some(found))) if found == OLD && crashed.out.is_err() => Ok(()),
            (Kind::Power, Ok(Some(found))) if found == new || found == OLD => Ok(()),
            (Kind::Power, Err(error)) if error.kind() == minutebook_core::ErrorKind::Corrupt => {
                Ok(())
            }
            (kind, found) => Err(format!("{kind:?}: {found:?}")),
        }
    };
    let operation = |disk: &SimFs| {
        let repo = open(disk, Durability::Buffered);
        inline(repo.write(&series(), batch(&[(5, 5)]), WriteMode::Append)).map(drop)
    };
    enumerate(&Options::default(), stored, operation, check)
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// What was made without syncs is durable before that is removed in whose place it came.
#[test]
fn buffered_removals_leave_what_took_the_place() {
    let rows = Some(vec![(10, 1), (15, 5), (20, 4), (30, 3)]);
    let vacuumed = |disk: &SimFs| {
        let repo = open(disk, Durability::Buffered);
        inline(async {
            repo.compact(&series()).await?;
            let options = VacuumOptions::default().retention(Retention::versions(1));
            let report = repo.vacuum(&series(), &options).await?;
            assert!(!report.files.is_empty());
            Ok::<_, minutebook_core::Error>(())
        })
    };
    let deleted = |disk: &SimFs| {
        let repo = open(disk, Durability::Buffered);
        inline(repo.delete(&series(), None)).map(drop)
    };
    let check = |crashed: &Crashed<'_, minutebook_core::Result<()>>, expected: &Content| {
        let found = inline(all(&open(&crashed.disk, Durability::Buffered)));
        match found {
            Ok(found) if found == *expected => Ok(()),
            _ if crashed.out.is_err() => Ok(()),
            found => Err(format!("{:?}: {found:?}", crashed.kind)),
        }
    };
    let options = Options::default().images(Images::default().max(64));
    enumerate(&options, in_two_files, vacuumed, |it| check(it, &rows))
        .unwrap_or_else(|failure| panic!("{failure}"));
    enumerate(&options, in_two_files, deleted, |it| check(it, &None))
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// The suite sees what a careless store does: without syncs the same check fails.
#[test]
fn the_check_catches_a_store_that_does_not_sync() {
    let check = |crashed: &Crashed<'_, minutebook_core::Result<()>>| {
        let found = inline(all(&open(&crashed.disk, Durability::Synced)))
            .ok()
            .flatten();
        if crashed.out.is_ok() && found != Some(vec![(1, 1)]) {
            Err(format!("{found:?}"))
        } else {
            Ok(())
        }
    };
    let operation = |disk: &SimFs| {
        let repo = open(disk, Durability::Buffered);
        inline(repo.write(&series(), batch(&[(1, 1)]), WriteMode::Append)).map(drop)
    };
    assert!(enumerate(&Options::default(), |_| Ok(()), operation, check).is_err());
}
