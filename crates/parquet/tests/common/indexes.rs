//! What must hold of the files of `tests/python/make_index_fixtures.py`.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "each test file uses a part; helpers of tests fail the test"
)]

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use minutebook_core::series::batch::{conform, timestamps};
use minutebook_core::time::{from_nanos, parse_timestamp};
use minutebook_core::{ErrorKind, ScanQuery, SeriesFilter, SeriesId, TimeSeriesRepository};
use minutebook_parquet::{
    AdoptDirectory, LoadParquet, ParquetConfig, ParquetTimeSeriesRepository, list_parquet_files,
    load_parquet, parquet_statistics,
};

use super::threaded;

const DAY: i64 = 86_400_000_000_000;
/// 2024-01-01T00:00:00Z.
const FIRST: i64 = 1_704_067_200_000_000_000;

/// Why the files of `refused` are no part of a series.
const REFUSED: [(&str, &str); 7] = [
    ("descending", "not in ascending order"),
    ("missing_time", "1 nulls"),
    ("multi_index_without_time", "row 0 of \"symbol\" is \"a\""),
    ("numbers_as_index", "no column is a time"),
    ("range_without_time", "no column is a time"),
    ("time_of_day", "no column is a time"),
    (
        "words_as_index",
        "row 0 of \"date\" is \"Monday\", which is no time",
    ),
];

pub(crate) fn check(dir: &Path) {
    let files = list_parquet_files(dir.join("read"), "*.parquet").unwrap();
    assert!(files.len() > 20, "{}: {}", dir.display(), files.len());
    for path in &files {
        let name = path.display();
        let known = parquet_statistics(path).unwrap();
        let span = (Some(from_nanos(FIRST)), Some(from_nanos(FIRST + 2 * DAY)));
        assert_eq!((known.rows, (known.first, known.last)), (3, span), "{name}");
        let second = parse_timestamp("2024-01-02").unwrap();
        let options = LoadParquet::default().start(second).end(second);
        let found = load_parquet(path, &options).unwrap();
        let n = found
            .column_by_name("n")
            .unwrap()
            .as_primitive::<Int64Type>();
        assert_eq!(n.values(), &[1], "{name}");
        let all = load_parquet(path, &LoadParquet::default()).unwrap();
        let all = conform(&all, &known.time_column.unwrap()).unwrap();
        assert_eq!(
            timestamps(&all).unwrap().value(2),
            FIRST + 2 * DAY,
            "{name}"
        );
    }
    let store = tempfile::tempdir().unwrap();
    let repo = ParquetTimeSeriesRepository::open(store.path(), ParquetConfig::default()).unwrap();
    threaded(async {
        let dry = AdoptDirectory::default().dry_run();
        let planned = repo.adopt_directory(dir.join("read"), &dry).await.unwrap();
        assert!(
            repo.list(&SeriesFilter::default())
                .await
                .unwrap()
                .is_empty()
        );
        let done = repo
            .adopt_directory(dir.join("read"), &AdoptDirectory::default())
            .await
            .unwrap();
        assert_eq!(
            (planned.series.len(), done.series.len()),
            (files.len(), files.len())
        );
        for (planned, done) in planned.series.iter().zip(&done.series) {
            let series = &done.series;
            let skipped = (&planned.report.skipped, &done.report.skipped);
            assert!(done.report.skipped.is_empty(), "{series}: {skipped:?}");
            assert_eq!(planned.report.adopted, done.report.adopted, "{series}");
            assert_eq!(planned.first, Some(from_nanos(FIRST)), "{series}");
            let rows = numbers(&repo, series, &ScanQuery::new()).await;
            assert_eq!(
                rows,
                [(FIRST, 0), (FIRST + DAY, 1), (FIRST + 2 * DAY, 2)],
                "{series}"
            );
            let last = ScanQuery::new().columns(["n"]).last(1);
            assert_eq!(numbers(&repo, series, &last).await, rows[2..], "{series}");
            let verified = repo.verify(series).await.unwrap();
            assert!(
                verified.problems.is_clean() && verified.rows == 3,
                "{series}"
            );
        }
        // What is there is not added again.
        let again = repo
            .adopt_directory(dir.join("read"), &AdoptDirectory::default())
            .await
            .unwrap();
        for (done, again) in done.series.iter().zip(&again.series) {
            assert_eq!(
                again.report.already, done.report.adopted,
                "{}",
                again.series
            );
            assert_eq!(
                again.report.version, done.report.version,
                "{}",
                again.series
            );
        }
        let refused = repo
            .adopt_directory(dir.join("refused"), &AdoptDirectory::default())
            .await
            .unwrap();
        let why: BTreeMap<String, String> = refused
            .series
            .iter()
            .flat_map(|series| &series.report.skipped)
            .map(|(path, why)| {
                (
                    path.file_stem().unwrap().to_str().unwrap().into(),
                    why.clone(),
                )
            })
            .collect();
        assert_eq!(why.len(), REFUSED.len(), "{why:?}");
        for (name, part) in REFUSED {
            assert!(why[name].contains(part), "{name}: {}", why[name]);
            let id: SeriesId = format!("@{name}").parse().unwrap();
            let error = repo.scan(&id, &ScanQuery::new()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
    });
}

async fn numbers(
    repo: &ParquetTimeSeriesRepository,
    series: &SeriesId,
    query: &ScanQuery,
) -> Vec<(i64, i64)> {
    let stream = repo.scan(series, query).await.unwrap();
    let (batches, _) = stream.collect().await.unwrap();
    let rows = batches.iter().flat_map(|batch| {
        let n = batch
            .column_by_name("n")
            .unwrap()
            .as_primitive::<Int64Type>();
        let times = timestamps(batch).unwrap().values();
        times.iter().copied().zip(n.values().iter().copied())
    });
    rows.collect()
}
