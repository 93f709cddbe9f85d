//! A series of many segments: the oldest are in groups, and every operation reaches into them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{Row, all, as_of, batch, inline, range, rows, series};
use minutebook_core::time::from_nanos;
use minutebook_core::{ManualClock, OnConflict, ScanQuery, TimeSeriesRepository, WriteMode};
use minutebook_fs::crash::{Crashed, Options, enumerate};
use minutebook_fs::{Durability, Images, SimFs};
use minutebook_parquet::{
    Metadata, ParquetConfig, ParquetTimeSeriesRepository, Retention, SaveParquet, VacuumOptions,
    save_parquet,
};

fn open(dir: &Path) -> ParquetTimeSeriesRepository {
    opened(dir, ParquetConfig::default())
}

/// For a vacuum while nobody writes: everything is old enough.
fn open_alone(dir: &Path) -> ParquetTimeSeriesRepository {
    opened(dir, ParquetConfig::default().orphan_grace(Duration::ZERO))
}

fn opened(dir: &Path, config: ParquetConfig) -> ParquetTimeSeriesRepository {
    let mut config = config.durability(Durability::Buffered);
    config.target_segment_rows = 4;
    config.row_group_rows = 2;
    ParquetTimeSeriesRepository::open(dir, config).unwrap()
}

fn groups(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("btcusd/1m/groups"))
        .unwrap()
        .count()
}

/// How many groups the newest entry of the log names, and how many segments by itself.
fn named(dir: &Path) -> (usize, usize) {
    let log = std::fs::read_dir(dir.join("btcusd/1m/log")).unwrap();
    let newest = log
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_stem().unwrap() != "hint")
        .max()
        .unwrap();
    let text = std::fs::read_to_string(newest).unwrap();
    let (groups, segments) = text.rsplit_once("\"segments\":[").unwrap();
    let groups = groups
        .split_once("\"groups\":[")
        .map_or("", |(_, groups)| groups);
    (
        groups.matches("\"file\"").count(),
        segments.matches("\"file\"").count(),
    )
}

#[test]
fn small_groups_become_large_ones() {
    let dir = tempfile::tempdir().unwrap();
    let repo = open(dir.path());
    let mut written: Vec<Row> = Vec::new();
    let mut most = 0;
    inline(async {
        for part in 0..8 {
            let more: Vec<Row> = (part * 1_600..(part + 1) * 1_600)
                .map(|i| (i * 10, i))
                .collect();
            repo.write(&series(), batch(&more), WriteMode::Append)
                .await
                .unwrap();
            written.extend(more);
            let (groups, segments) = named(dir.path());
            assert!(segments <= 80, "{segments} segments beside {groups} groups");
            most = most.max(groups);
            let fresh = open(dir.path());
            assert_eq!(all(&fresh).await.unwrap(), Some(written.clone()));
        }
        // 3,200 segments: three large groups and what is left.
        let (groups, _) = named(dir.path());
        assert!((3..=4 + 15).contains(&groups), "{groups} groups");
        assert!((8..=18).contains(&most), "at most {most} groups");

        // A change in the middle of a large group, and reads around it.
        let gone = repo
            .delete(&series(), Some(range(20_005, 20_105)))
            .await
            .unwrap();
        assert_eq!(gone, 10);
        written.retain(|(time, _)| !(20_005..20_105).contains(time));
        assert_eq!(all(&open(dir.path())).await.unwrap(), Some(written.clone()));
        let first = as_of(&repo, 1).await;
        assert_eq!(first, (0..1_600).map(|i| (i * 10, i)).collect::<Vec<_>>());
    });
}

#[test]
fn operations_reach_into_groups() {
    let dir = tempfile::tempdir().unwrap();
    let repo = open(dir.path());
    let mut model: BTreeMap<i64, i64> = (0..2_000).map(|i| (i * 10, i)).collect();
    let content =
        |model: &BTreeMap<i64, i64>| -> Vec<Row> { model.iter().map(|(t, n)| (*t, *n)).collect() };
    inline(async {
        let first = repo
            .write(&series(), batch(&content(&model)), WriteMode::Append)
            .await
            .unwrap();
        assert!(groups(dir.path()) >= 5, "{} groups", groups(dir.path()));
        let history = content(&model);

        // Every 90th row replaced, some new: in groups and beside them.
        let upsert: Vec<Row> = (0..200).map(|i| (i * 100 + i % 2, -i)).collect();
        let replaced = upsert.iter().filter(|(t, _)| model.contains_key(t)).count() as u64;
        model.extend(upsert.iter().copied());
        let mode = WriteMode::Upsert {
            on_conflict: OnConflict::Replace,
        };
        let receipt = repo.write(&series(), batch(&upsert), mode).await.unwrap();
        assert_eq!(
            (receipt.inserted, receipt.replaced),
            (200 - replaced, replaced)
        );
        assert_eq!(all(&repo).await.unwrap(), Some(content(&model)));

        let gone = repo
            .delete(&series(), Some(range(1_005, 9_001)))
            .await
            .unwrap();
        let before = model.len();
        model.retain(|t, _| !(1_005..9_001).contains(t));
        assert_eq!(gone, (before - model.len()) as u64);
        repo.write(
            &series(),
            batch(&[(1_500, 7)]),
            WriteMode::ReplaceRange(range(900, 2_000)),
        )
        .await
        .unwrap();
        model.retain(|t, _| !(900..2_000).contains(t));
        model.insert(1_500, 7);
        let expected = content(&model);
        // A handle that knows nothing sees the same.
        for repo in [&repo, &open(dir.path())] {
            assert_eq!(all(repo).await.unwrap(), Some(expected.clone()));
            let summary = repo.summary(&series()).await.unwrap().unwrap();
            assert_eq!(summary.rows, expected.len() as u64);
            for count in [1, 3, 100] {
                for (query, want) in [
                    (
                        ScanQuery::new().last(count),
                        &expected[expected.len() - count..],
                    ),
                    (ScanQuery::new().first(count), &expected[..count]),
                ] {
                    let (found, _) = repo
                        .scan(&series(), &query)
                        .await
                        .unwrap()
                        .concat()
                        .await
                        .unwrap();
                    assert_eq!(rows(&found), want);
                }
            }
            assert_eq!(as_of(repo, first.version.0).await, history);
            assert!(repo.verify(&series()).await.unwrap().problems.is_clean());
        }
        let repo = open_alone(dir.path());
        let options = VacuumOptions::default().retention(Retention::versions(1));
        let dry = repo
            .vacuum(&series(), &options.clone().dry_run())
            .await
            .unwrap();
        let report = repo.vacuum(&series(), &options).await.unwrap();
        assert_eq!(dry, report);
        assert!(
            !report.files.is_empty() && report.versions == [1, 2, 3],
            "{report:?}"
        );
        assert_eq!(all(&open(dir.path())).await.unwrap(), Some(expected));
        let again = repo.vacuum(&series(), &options).await.unwrap();
        assert_eq!(
            (again.files.len(), again.versions.len(), again.spared),
            (0, 0, 0)
        );
    });
}

/// Two files at once, which replace rows of one group.
#[test]
fn files_that_reach_into_one_group_leave_no_row_twice() {
    let dir = tempfile::tempdir().unwrap();
    let repo = open(&dir.path().join("store"));
    let mut model: BTreeMap<i64, i64> = (0..400).map(|i| (i * 10, i)).collect();
    let first: Vec<Row> = model.iter().map(|(time, n)| (*time, *n)).collect();
    let parts = [[(100, -1), (101, -2)], [(120, -3), (130, -4)]];
    let paths: Vec<_> = parts
        .iter()
        .enumerate()
        .map(|(i, part)| {
            let path = dir.path().join(format!("{i}.parquet"));
            save_parquet(&[batch(part)], &path, &SaveParquet::default()).unwrap()
        })
        .collect();
    inline(async {
        repo.write(&series(), batch(&first), WriteMode::Append)
            .await
            .unwrap();
        assert!(groups(&dir.path().join("store")) > 0);
        let adopted = repo.adopt(&series(), &paths, &Metadata::new()).await;
        assert_eq!(adopted.unwrap().replaced, 3);
        model.extend(parts.concat());
        let expected: Vec<Row> = model.iter().map(|(time, n)| (*time, *n)).collect();
        assert_eq!(all(&repo).await.unwrap(), Some(expected));
    });
}

/// On a simulated disk, with a segment for each row.
fn simulated(disk: &SimFs, grace: Duration) -> ParquetTimeSeriesRepository {
    // Long after any time that the simulated disk stamps: with no grace period everything is old.
    let clock = Arc::new(ManualClock::at(from_nanos(7_258_118_400_000_000_000)));
    let mut config = ParquetConfig::default()
        .fs(Arc::new(disk.clone()))
        .clock(clock)
        .merge_floor_rows(0)
        .orphan_grace(grace);
    config.target_segment_rows = 1;
    ParquetTimeSeriesRepository::open("/store/series", config).unwrap()
}

/// How many files a folder of the series has on a simulated disk, but for those that a killed process had not yet given their names.
fn files(disk: &SimFs, folder: &str) -> usize {
    let folder = Path::new("/store/series/btcusd/1m").join(folder);
    let tree = disk.tree();
    tree.iter()
        .filter(|(path, content)| content.is_some() && path.parent() == Some(&folder))
        .filter(|(path, _)| path.extension() != Some("tmp".as_ref()))
        .count()
}

/// So many rows that the next one makes the sixteenth small group, and all sixteen one large.
const BEFORE_JOINING: i64 = 1_040;

/// Some rows of every kind of place, and how many there are.
async fn sample(repo: &ParquetTimeSeriesRepository) -> minutebook_core::Result<(u64, Vec<Row>)> {
    let summary = repo.summary(&series()).await?.unwrap();
    let mut found = Vec::new();
    for query in [
        ScanQuery::new().first(2),
        ScanQuery::new().range(range(5_200, 5_230)),
        ScanQuery::new().range(range(9_580, 9_620)),
        ScanQuery::new().last(2),
    ] {
        let (batches, _) = repo.scan(&series(), &query).await?.collect().await?;
        found.extend(batches.iter().flat_map(rows));
    }
    Ok((summary.rows, found))
}

fn expected(count: i64) -> (u64, Vec<Row>) {
    let middle = (520..523).chain(958..962);
    let places = (0..2).chain(middle).chain(count - 2..count);
    let rows = places.map(|i| (i * 10, i)).collect();
    (u64::try_from(count).unwrap(), rows)
}

/// A commit that joins groups, and the vacuum that takes the small ones away, stopped at every step.
#[test]
fn joining_groups_survives_crashes() {
    let made = SimFs::new();
    let first: Vec<Row> = (0..BEFORE_JOINING).map(|i| (i * 10, i)).collect();
    inline(simulated(&made, Duration::from_hours(1)).write(
        &series(),
        batch(&first),
        WriteMode::Append,
    ))
    .unwrap();
    assert_eq!(files(&made, "groups"), 15);
    let tree = made.tree();
    let setup = |disk: &SimFs| {
        let contents = tree
            .iter()
            .filter_map(|(path, content)| Some((path, content.as_ref()?)));
        for (path, content) in contents {
            disk.put(path, content).map_err(|e| e.to_string())?;
        }
        Ok(())
    };
    let retention = VacuumOptions::default().retention(Retention::versions(1));
    // What was acknowledged: the row, and the vacuum after it.
    let operation = |disk: &SimFs| {
        let repo = simulated(disk, Duration::ZERO);
        let next = batch(&[(BEFORE_JOINING * 10, BEFORE_JOINING)]);
        let written = inline(repo.write(&series(), next, WriteMode::Append)).is_ok();
        (
            written,
            written && inline(repo.vacuum(&series(), &retention)).is_ok(),
        )
    };
    let check = |crashed: &Crashed<'_, (bool, bool)>| -> Result<(), String> {
        let repo = simulated(&crashed.disk, Duration::ZERO);
        let found = inline(sample(&repo)).map_err(|e| format!("unreadable: {e:?}"))?;
        let count = BEFORE_JOINING + i64::from(found == expected(BEFORE_JOINING + 1));
        if found != expected(count) || (crashed.out.0 && count == BEFORE_JOINING) {
            return Err(format!("{:?}, and there is {found:?}", crashed.out));
        }
        let vacuumed = inline(repo.vacuum(&series(), &retention));
        let report = vacuumed.map_err(|e| format!("no vacuum: {e:?}"))?;
        if crashed.out.1 && !(report.files.is_empty() && report.versions.is_empty()) {
            return Err(format!("the vacuum before left something: {report:?}"));
        }
        let again = inline(sample(&simulated(&crashed.disk, Duration::ZERO)))
            .map_err(|e| format!("{e:?}"))?;
        let left = (files(&crashed.disk, "groups"), files(&crashed.disk, "data"));
        let wanted = if count == BEFORE_JOINING { 15 } else { 1 };
        if again != found || left != (wanted, usize::try_from(count).unwrap()) {
            return Err(format!("after a vacuum {left:?} files, and {again:?}"));
        }
        Ok(())
    };
    let images = Options::default().images(Images::default().max(3));
    let report =
        enumerate(&images, setup, operation, check).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.steps > 50, "{report:?}");
}
