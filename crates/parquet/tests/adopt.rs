//! Files of other programs as they are: frames by name, and adopted into series.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    TimestampMillisecondArray,
};
use chrono::TimeDelta;
use common::threaded;
use minutebook_core::time::from_nanos;
use minutebook_core::{
    Bar, ErrorKind, ManualClock, OnConflict, Row, SeriesId, Snapshot, TimeRange,
    TimeSeriesRepository, TimeSeriesRepositoryExt, Version, WriteMode,
};
use minutebook_parquet::{
    FrameKey, Freshness, LoadParquet, Metadata, ParquetConfig, ParquetTimeSeriesRepository,
    SaveParquet, load_frame, save_frame, save_parquet,
};

const MINUTE: i64 = 60_000_000_000;

fn bars(range: std::ops::Range<i64>, close: f64) -> Vec<Bar> {
    let bar = |n| Bar {
        timestamp: from_nanos(n * MINUTE),
        open: 1.0,
        high: 9.0,
        low: 0.5,
        close,
        volume: 3.0,
    };
    range.map(bar).collect()
}

/// The bars with their time last, under another name and in another unit, as pandas writes an index.
fn foreign(bars: &[Bar], name: &str, unit: i64) -> RecordBatch {
    let nanos = bars
        .iter()
        .map(|bar| bar.timestamp.timestamp_nanos_opt().unwrap());
    let times: ArrayRef = match unit {
        1_000 => Arc::new(TimestampMicrosecondArray::from_iter_values(
            nanos.map(|n| n / 1_000),
        )),
        _ => Arc::new(TimestampMillisecondArray::from_iter_values(
            nanos.map(|n| n / 1_000_000),
        )),
    };
    let batch = Bar::to_batch(bars).unwrap();
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()).skip(1) {
        columns.push((field.name().clone(), Arc::clone(column)));
    }
    columns.push((name.to_owned(), times));
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn frames_are_found_by_what_they_are_of_and_may_be_too_old() {
    let dir = tempfile::tempdir().unwrap();
    let key = FrameKey::new("BTCUSD", "1h", "2024-01-01", "2024-02-01").unwrap();
    let all = LoadParquet::default();
    assert!(load_frame(dir.path(), &key, None, &all).unwrap().is_none());
    let batch = Bar::to_batch(&bars(0..5, 1.0)).unwrap();
    let path = save_frame(
        &[batch],
        dir.path().join("new"),
        &key,
        &SaveParquet::default(),
    )
    .unwrap();
    assert!(path.ends_with("new/BTCUSD_1h_2024-01-01_2024-02-01.parquet"));
    let dir = dir.path().join("new");
    let read = load_frame(&dir, &key, None, &all).unwrap().unwrap();
    assert_eq!(Bar::from_batch(&read).unwrap(), bars(0..5, 1.0));
    let later = ManualClock::at(chrono::DateTime::from(
        std::fs::metadata(&path).unwrap().modified().unwrap(),
    ));
    later.advance(TimeDelta::hours(2));
    let clock = Arc::new(later);
    let within = |hours| Freshness::within(TimeDelta::hours(hours)).clock(Arc::clone(&clock) as _);
    assert!(
        load_frame(&dir, &key, Some(&within(3)), &all)
            .unwrap()
            .is_some()
    );
    assert!(
        load_frame(&dir, &key, Some(&within(1)), &all)
            .unwrap()
            .is_none()
    );
}

#[test]
fn files_are_adopted_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join("files").join(name);
    let save = |batch: &RecordBatch, name: &str, index: &str| -> PathBuf {
        let options = SaveParquet::default().index(index);
        save_parquet(std::slice::from_ref(batch), file(name), &options).unwrap()
    };
    let first = save(
        &foreign(&bars(0..1_000, 1.0), "__index_level_0__", 1_000),
        "a.parquet",
        "__index_level_0__",
    );
    let second = save(
        &foreign(&bars(1_000..2_000, 2.0), "Date", 1),
        "b.parquet",
        "Date",
    );
    // This one restates a part of the second.
    let third = save(
        &Bar::to_batch(&bars(1_500..1_600, 3.0)).unwrap(),
        "c.parquet",
        "timestamp",
    );
    let mut turned = bars(5_000..5_010, 1.0);
    turned.reverse();
    let unsorted = save(&Bar::to_batch(&turned).unwrap(), "d.parquet", "timestamp");
    let text: ArrayRef = Arc::new(StringArray::from(vec!["soon"]));
    let close: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let texts = RecordBatch::try_from_iter([("date", text), ("close", close)]).unwrap();
    let texts = save(&texts, "e.parquet", "date");
    let files = [&first, &second, &third, &unsorted, &texts].map(Clone::clone);
    threaded(async {
        let repo =
            ParquetTimeSeriesRepository::open(dir.path().join("series"), ParquetConfig::default())
                .unwrap();
        let id: SeriesId = "BTCUSD@1m".parse().unwrap();
        let note = Metadata::from([("from".into(), "files".into())]);
        let report = repo.adopt(&id, &files, &note).await.unwrap();
        assert_eq!(report.adopted, &files[..3]);
        assert_eq!(
            (report.rows, report.replaced, report.version.0),
            (2_100, 100, 1)
        );
        let skipped: Vec<_> = report
            .skipped
            .iter()
            .map(|(path, why)| (path.clone(), why.as_str()))
            .collect();
        assert_eq!(
            skipped[0],
            (
                unsorted.clone(),
                "its rows are not in ascending order of time"
            )
        );
        assert_eq!(
            skipped[1],
            (
                texts.clone(),
                "row 0 of \"date\" is \"soon\", which is no time"
            )
        );

        // The bytes are those of the files.
        let data = std::fs::read_dir(dir.path().join("series/btcusd/1m/data")).unwrap();
        let mut kept: Vec<Vec<u8>> = data
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
            .collect();
        let mut given: Vec<Vec<u8>> = files[..3]
            .iter()
            .map(|path| std::fs::read(path).unwrap())
            .collect();
        kept.sort();
        given.sort();
        assert!(kept == given);

        let mut expected = bars(0..1_000, 1.0);
        expected.extend(bars(1_000..1_500, 2.0));
        expected.extend(bars(1_500..1_600, 3.0));
        expected.extend(bars(1_600..2_000, 2.0));
        assert_eq!(repo.bars(&id, TimeRange::all()).await.unwrap(), expected);
        let some = TimeRange::new(from_nanos(990 * MINUTE), from_nanos(1_510 * MINUTE)).unwrap();
        assert_eq!(repo.bars(&id, some).await.unwrap(), expected[990..1_510]);
        assert_eq!(
            repo.latest_bar(&id).await.unwrap(),
            expected.last().copied()
        );
        assert!(repo.verify(&id).await.unwrap().problems.is_clean());

        // What is written later goes on from there, and compaction makes ordinary segments of all.
        let mode = WriteMode::Upsert {
            on_conflict: OnConflict::Replace,
        };
        repo.write(&id, Bar::to_batch(&bars(500..502, 7.0)).unwrap(), mode)
            .await
            .unwrap();
        expected.splice(500..502, bars(500..502, 7.0));
        assert_eq!(repo.bars(&id, TimeRange::all()).await.unwrap(), expected);
        repo.compact(&id).await.unwrap();
        assert_eq!(repo.bars(&id, TimeRange::all()).await.unwrap(), expected);
        let again = repo
            .adopt(&id, std::slice::from_ref(&third), &note)
            .await
            .unwrap();
        // It was adopted once, though no segment is that file any more.
        assert_eq!((again.rows, again.already.len()), (0, 1));
        assert_eq!(repo.bars(&id, TimeRange::all()).await.unwrap(), expected);

        let version = repo.summary(&id).await.unwrap().unwrap().version;
        let none = repo
            .adopt(&id, std::slice::from_ref(&texts), &note)
            .await
            .unwrap();
        assert_eq!((none.version, none.adopted.len()), (version, 0));
        std::fs::write(file("f.parquet"), b"no parquet").unwrap();
        let error = repo
            .adopt(&id, &[third, file("f.parquet")], &note)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(repo.summary(&id).await.unwrap().unwrap().version, version);
    });
}

#[test]
fn repeating_an_adoption_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let save = |name: &str, range: std::ops::Range<i64>, close: f64| -> PathBuf {
        let batch = Bar::to_batch(&bars(range, close)).unwrap();
        save_parquet(&[batch], dir.path().join(name), &SaveParquet::default()).unwrap()
    };
    let files = [
        save("a.parquet", 0..100, 1.0),
        save("b.parquet", 50..150, 2.0),
        save("c.parquet", 140..160, 3.0),
    ];
    threaded(async {
        let series = dir.path().join("series");
        let config = ParquetConfig::default().merge_floor_rows(4);
        let repo = ParquetTimeSeriesRepository::open(series, config).unwrap();
        let id: SeriesId = "BTCUSD@1m".parse().unwrap();
        let adopt = async |files: &[PathBuf]| repo.adopt(&id, files, &Metadata::new()).await;
        let mut expected = bars(0..50, 1.0);
        expected.extend(bars(50..140, 2.0));
        expected.extend(bars(140..160, 3.0));
        adopt(&files).await.unwrap();
        for _ in 0..2 {
            let again = adopt(&files).await.unwrap();
            assert_eq!((again.already.as_slice(), again.version.0), (&files[..], 1));
            assert_eq!(repo.bars(&id, TimeRange::all()).await.unwrap(), expected);
        }

        // Corrections of rows stay too.
        let mode = WriteMode::Upsert {
            on_conflict: OnConflict::Replace,
        };
        let corrected = Bar::to_batch(&bars(10..12, 7.0)).unwrap();
        repo.write(&id, corrected, mode).await.unwrap();
        expected.splice(10..12, bars(10..12, 7.0));
        assert_eq!(adopt(&files).await.unwrap().already, files);
        assert_eq!(repo.bars(&id, TimeRange::all()).await.unwrap(), expected);

        // A new file between them takes rows from one that comes later in the call, which takes them back.
        let between = save("d.parquet", 145..155, 4.0);
        let files = [files[0].clone(), between.clone(), files[2].clone()];
        let report = adopt(&files).await.unwrap();
        assert_eq!(report.adopted, files[1..]);
        assert_eq!(repo.bars(&id, TimeRange::all()).await.unwrap(), expected);
        // Neither that one nor one of which every row was corrected comes back.
        assert_eq!(adopt(&files).await.unwrap().already, files);
        let corrected = Bar::to_batch(&bars(0..160, 8.0)).unwrap();
        repo.write(&id, corrected, mode).await.unwrap();
        expected = bars(0..160, 8.0);
        let version = repo.summary(&id).await.unwrap().unwrap().version;
        let again = adopt(&files).await.unwrap();
        assert_eq!(
            (again.already.as_slice(), again.version),
            (&files[..], version)
        );
        assert_eq!(repo.bars(&id, TimeRange::all()).await.unwrap(), expected);
        // In a version from before it they are not, and so they can be adopted upon that.
        repo.delete(&id, None).await.unwrap();
        let report = adopt(&files).await.unwrap();
        assert_eq!(report.adopted, files);
        let first = Snapshot::Version(Version(report.version.0));
        let more = save("e.parquet", 300..310, 5.0);
        adopt(std::slice::from_ref(&more)).await.unwrap();
        repo.restore(&id, first, &Metadata::new()).await.unwrap();
        let report = adopt(std::slice::from_ref(&more)).await.unwrap();
        assert_eq!(report.adopted, [more]);
    });
}
