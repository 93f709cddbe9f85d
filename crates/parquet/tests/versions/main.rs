//! Versions as people use them: compaction, differences, restoring, named snapshots, metadata, marks, retention, vacuum.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

#[path = "../common/mod.rs"]
mod common;
mod snapshots;
mod vacuum;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use common::{Row, all, as_of, batch, range, rows, series, threaded};
use minutebook_core::series::batch::{TIMESTAMP, timestamp_array};
use minutebook_core::time::from_nanos;
use minutebook_core::{
    ErrorKind, ManualClock, OnConflict, ScanQuery, SeriesId, Snapshot, TimeRange,
    TimeSeriesRepository, Version, WriteMode,
};
use minutebook_parquet::{
    CompactionReason, Metadata, ParquetConfig, ParquetTimeSeriesRepository, Retention,
    VacuumOptions,
};

const UPSERT: WriteMode = WriteMode::Upsert {
    on_conflict: OnConflict::Replace,
};

/// Small segments that are not merged by appends, and no grace.
fn config() -> ParquetConfig {
    ParquetConfig::default()
        .target_segment_rows(1_024)
        .merge_floor_rows(0)
        .orphan_grace(Duration::ZERO)
        .clock(Arc::new(ManualClock::at(from_nanos(
            7_258_118_400_000_000_000,
        ))))
}

fn open(dir: &tempfile::TempDir) -> ParquetTimeSeriesRepository {
    ParquetTimeSeriesRepository::open(dir.path(), config()).unwrap()
}

/// A store of one row, with a snapshot "a" of it.
async fn named(dir: &tempfile::TempDir) -> ParquetTimeSeriesRepository {
    let repo = open(dir);
    repo.write(&series(), batch(&[(1, 1)]), WriteMode::Append)
        .await
        .unwrap();
    let one = [(series(), Snapshot::Latest)];
    repo.create_snapshot("a", &one, &Metadata::new())
        .await
        .unwrap();
    repo
}

async fn content(repo: &ParquetTimeSeriesRepository) -> Vec<Row> {
    all(repo).await.unwrap().unwrap()
}

fn many(from: i64, to: i64) -> Vec<Row> {
    (from..to).map(|n| (n * 10, n)).collect()
}

/// Appends of falling size, so that none is merged, an overlap, replaced and deleted rows.
async fn uneven(repo: &ParquetTimeSeriesRepository) {
    for (from, to) in [(0, 900), (900, 1_300), (1_300, 1_500), (1_500, 1_550)] {
        let given = batch(&many(from, to));
        repo.write(&series(), given, WriteMode::Append)
            .await
            .unwrap();
    }
    let late: Vec<Row> = (0..20).map(|n| (n * 10 + 5, -n)).collect();
    repo.write(&series(), batch(&late), WriteMode::Append)
        .await
        .unwrap();
    repo.write(&series(), batch(&[(10, 77), (20, 78)]), UPSERT)
        .await
        .unwrap();
    repo.delete(&series(), Some(range(9_000, 11_000)))
        .await
        .unwrap();
}

#[test]
fn compaction_keeps_the_rows_and_a_second_run_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    threaded(async {
        let repo = open(&dir);
        uneven(&repo).await;
        let before = content(&repo).await;
        let plan = repo.plan_compaction(&series()).await.unwrap();
        assert!(plan.segments >= 5, "{plan:?}");
        let reasons: Vec<_> = plan.steps.iter().map(|step| step.reason).collect();
        assert!(reasons.contains(&CompactionReason::Overlapping), "{plan:?}");
        let report = repo.compact(&series()).await.unwrap();
        assert_eq!(report.steps, plan.steps);
        assert_eq!(report.segments_after, plan.segments_after());
        assert_eq!(report.version.0, plan.version.0 + 1);
        assert_eq!(content(&repo).await, before);
        let summary = repo.summary(&series()).await.unwrap().unwrap();
        assert_eq!(summary.rows, before.len() as u64);
        assert_eq!(as_of(&repo, plan.version.0).await, before);

        let again = repo.compact(&series()).await.unwrap();
        assert_eq!((again.version, again.steps.len()), (report.version, 0));
        assert!(repo.plan_compaction(&series()).await.unwrap().is_empty());
        let other = ParquetTimeSeriesRepository::open(dir.path(), config()).unwrap();
        assert_eq!(content(&other).await, before);
        assert!(other.verify(&series()).await.unwrap().problems.is_clean());
        let diff = repo
            .diff(&series(), Snapshot::Version(plan.version), Snapshot::Latest)
            .await
            .unwrap();
        assert!(diff.is_empty(), "{diff:?}");
        let missing: SeriesId = "NONE@1h".parse().unwrap();
        assert_eq!(
            repo.compact(&missing).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
    });
}

#[test]
fn writers_go_on_while_a_series_is_compacted() {
    let dir = tempfile::tempdir().unwrap();
    threaded(async {
        let repo = open(&dir);
        uneven(&repo).await;
        let mut expected = content(&repo).await;
        let writer = ParquetTimeSeriesRepository::open(dir.path(), config()).unwrap();
        let writing = tokio::spawn(async move {
            for n in 0..40 {
                let given = batch(&[(100_000 + n, n)]);
                writer
                    .write(&series(), given, WriteMode::Append)
                    .await
                    .unwrap();
            }
        });
        while !writing.is_finished() {
            repo.compact(&series()).await.unwrap();
        }
        writing.await.unwrap();
        repo.compact(&series()).await.unwrap();
        expected.extend((0..40).map(|n| (100_000 + n, n)));
        assert_eq!(content(&repo).await, expected);
        assert!(repo.plan_compaction(&series()).await.unwrap().is_empty());
        // What lost attempts wrote is gone, or goes with the next vacuum.
        let options = VacuumOptions::default().retention(Retention::versions(1));
        repo.vacuum(&series(), &options).await.unwrap();
        let files = std::fs::read_dir(dir.path().join("btcusd/1m/data")).unwrap();
        let plan = repo.plan_compaction(&series()).await.unwrap();
        assert_eq!(files.count() as u64, plan.segments);
        assert_eq!(content(&repo).await, expected);
    });
}

#[test]
fn differences_name_the_ranges_that_changed() {
    let dir = tempfile::tempdir().unwrap();
    threaded(async {
        let repo = open(&dir);
        let id = series();
        repo.write(&id, batch(&many(0, 500)), WriteMode::Append)
            .await
            .unwrap();
        let given = batch(&[(100, -1), (110, -2), (115, 9), (4_000, -3), (7_000, 1)]);
        repo.write(&id, given, UPSERT).await.unwrap();
        repo.delete(&id, Some(range(2_000, 2_050))).await.unwrap();
        let version = |n| Snapshot::Version(Version(n));
        let found = repo.diff(&id, version(1), version(3)).await.unwrap();
        let ranges: Vec<_> = found
            .ranges
            .iter()
            .map(|r| {
                let nanos = |t: chrono::DateTime<chrono::Utc>| t.timestamp_nanos_opt().unwrap();
                (
                    nanos(r.first),
                    nanos(r.last),
                    (r.inserted, r.removed, r.changed),
                )
            })
            .collect();
        assert_eq!(
            ranges,
            [
                (100, 115, (1, 0, 2)),
                (2_000, 2_040, (0, 5, 0)),
                (4_000, 4_000, (0, 0, 1)),
                (7_000, 7_000, (1, 0, 0)),
            ]
        );
        let back = repo.diff(&id, version(3), version(1)).await.unwrap();
        assert_eq!(back.ranges[0].removed, 1);
        assert!(
            repo.diff(&id, version(2), version(2))
                .await
                .unwrap()
                .is_empty()
        );
        let error = repo.diff(&id, version(9), version(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_directory_that_was_exchanged_is_noticed_after_a_commit_too() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    threaded(async {
        let (repo, second) = (open(&dir), open(&other));
        for (repo, rows) in [(&repo, [(1, 1)]), (&second, [(2, 2)])] {
            repo.write(&series(), batch(&rows), WriteMode::Append)
                .await
                .unwrap();
        }
        let place = dir.path().join("btcusd");
        std::fs::remove_dir_all(&place).unwrap();
        std::fs::rename(other.path().join("btcusd"), place).unwrap();
        assert_eq!(content(&repo).await, [(2, 2)]);
    });
}

#[test]
fn metadata_and_marks_live_through_every_operation() {
    let dir = tempfile::tempdir().unwrap();
    threaded(async {
        let repo = open(&dir);
        let id = series();
        let set = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        let missing = repo
            .describe(&id, &[set("a", Some("1"))])
            .await
            .unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        let note = Metadata::from([("run".into(), "1".into())]);
        repo.write_noted(&id, batch(&[(1, 1), (50, 2)]), WriteMode::Append, &note)
            .await
            .unwrap();
        repo.describe(&id, &[set("source", Some("vendor")), set("x", Some("y"))])
            .await
            .unwrap();
        let version = repo.describe(&id, &[set("x", None)]).await.unwrap();
        assert_eq!(
            repo.describe(&id, &[set("x", None)]).await.unwrap(),
            version
        );
        repo.mark_complete(&id, range(0, 40), true).await.unwrap();
        repo.mark_complete(&id, TimeRange::since(from_nanos(60)), true)
            .await
            .unwrap();
        repo.write(&id, batch(&[(20, 3)]), WriteMode::Append)
            .await
            .unwrap();
        repo.write(&id, batch(&[(20, 4)]), UPSERT).await.unwrap();
        repo.write(&id, batch(&[]), WriteMode::ReplaceRange(range(49, 51)))
            .await
            .unwrap();
        repo.compact(&id).await.unwrap();
        repo.delete(&id, Some(range(10, 30))).await.unwrap();
        let kept = VacuumOptions::default().retention(Retention::versions(1));
        repo.vacuum(&id, &kept).await.unwrap();
        let again = open(&dir);
        let expected = Metadata::from([("source".into(), "vendor".into())]);
        assert_eq!(again.metadata(&id).await.unwrap(), expected);
        // What was deleted is missing.
        assert_eq!(
            again.complete_ranges(&id).await.unwrap(),
            [
                range(0, 10),
                range(30, 40),
                TimeRange::since(from_nanos(60))
            ]
        );
        again.delete(&id, None).await.unwrap();
        again
            .write(&id, batch(&[(1, 1)]), WriteMode::Append)
            .await
            .unwrap();
        assert!(again.metadata(&id).await.unwrap().is_empty());
        assert!(again.complete_ranges(&id).await.unwrap().is_empty());
    });
}

#[test]
fn columns_widen_and_old_segments_are_cast() {
    let dir = tempfile::tempdir().unwrap();
    threaded(async {
        let repo = open(&dir);
        let id: SeriesId = "@wide".parse().unwrap();
        let with = |time: i64, values: ArrayRef| {
            let times = timestamp_array([from_nanos(time)]).unwrap();
            RecordBatch::try_from_iter([(TIMESTAMP, times), ("n", values)]).unwrap()
        };
        let narrow = || with(1, Arc::new(Int32Array::from(vec![7])));
        repo.write(&id, narrow(), WriteMode::Append).await.unwrap();
        let wide = with(2, Arc::new(Int64Array::from(vec![1 << 40])));
        repo.write(&id, wide, WriteMode::Append).await.unwrap();
        // A narrower batch is taken too.
        repo.write(&id, narrow(), WriteMode::Append).await.unwrap();
        for _ in 0..2 {
            let stream = repo.scan(&id, &ScanQuery::new()).await.unwrap();
            let (read, _) = stream.concat().await.unwrap();
            let expected: ArrayRef = Arc::new(Int64Array::from(vec![7, 7, 1 << 40]));
            assert_eq!(read.column(1), &expected);
            repo.compact(&id).await.unwrap();
        }
        let first = ScanQuery::new().as_of(Snapshot::Version(Version(1)));
        let (read, _) = repo
            .scan(&id, &first)
            .await
            .unwrap()
            .concat()
            .await
            .unwrap();
        let expected: ArrayRef = Arc::new(Int32Array::from(vec![7]));
        assert_eq!(read.column(1), &expected);
        let diff = repo
            .diff(&id, Snapshot::Version(Version(1)), Snapshot::Latest)
            .await
            .unwrap();
        assert_eq!(diff.columns, ["n"]);
        let floats: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![0.5]));
        let refused = repo.write(&id, with(3, floats), WriteMode::Append).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::SchemaMismatch);
    });
}

#[test]
fn newest_first_is_exactly_the_reverse() {
    let dir = tempfile::tempdir().unwrap();
    threaded(async {
        let repo = open(&dir);
        uneven(&repo).await;
        // Equal times in several segments: the order of the commits counts, backwards too.
        for n in 0..5 {
            let given = batch(&[(500, 100 + n), (500, 200 + n), (501, n)]);
            repo.write(&series(), given, WriteMode::Append)
                .await
                .unwrap();
        }
        let base = ScanQuery::new();
        let queries = [
            base.clone(),
            base.clone().range(range(100, 2_000)),
            base.clone().first(7),
            base.clone().last(61),
            base.clone().range(range(400, 600)).last(13),
            base.clone().range(range(400, 600)).first(13),
        ];
        for query in queries {
            for size in [3, 1_000] {
                let query = query.clone().batch_size(size);
                let read = async |query: &ScanQuery| -> Vec<Row> {
                    let stream = repo.scan(&series(), query).await.unwrap();
                    let (batches, _) = stream.collect().await.unwrap();
                    assert!(batches.iter().all(|batch| batch.num_rows() <= size));
                    batches.iter().flat_map(rows).collect()
                };
                let mut expected = read(&query).await;
                expected.reverse();
                assert_eq!(
                    read(&query.clone().newest_first()).await,
                    expected,
                    "{query:?}"
                );
            }
        }
    });
}
