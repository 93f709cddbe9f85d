//! pandas, pyarrow, polars and `DuckDB` open the files.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, Decimal128Array, DictionaryArray, RecordBatch, StringArray, StructArray,
};
use arrow_schema::Field;
use common::{Row, batch, inline, series};
use minutebook_core::series::batch::{TIMESTAMP, timestamp_array};
use minutebook_core::time::from_nanos;
use minutebook_core::{TimeSeriesRepository, WriteMode};
use minutebook_parquet::{
    ParquetCompression, ParquetConfig, ParquetTimeSeriesRepository, SaveParquet, save_parquet,
};

fn check(dir: &Path, rows: usize) {
    check_with("check_files.py", dir, rows);
}

fn check_with(script: &str, dir: &Path, rows: usize) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let script = scripts.join(script);
    let python = std::env::var_os("MINUTEBOOK_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(python)
        .arg(script)
        .arg(dir)
        .arg(rows.to_string())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "needs python3 (or MINUTEBOOK_PYTHON) with pandas, pyarrow, polars and duckdb"]
fn python_opens_segments() {
    let dir = tempfile::tempdir().unwrap();
    let config = ParquetConfig::default()
        .target_segment_rows(4_000)
        .row_group_rows(1_024)
        .page_rows(256);
    let repo = ParquetTimeSeriesRepository::open(dir.path(), config).unwrap();
    let rows: Vec<Row> = (0..10_000)
        .map(|i| {
            (
                1_700_000_000_000_000_001 + i * 60_000_000_007,
                i * 37 % 1_009,
            )
        })
        .collect();
    inline(repo.write(&series(), batch(&rows), WriteMode::Append)).unwrap();
    check(dir.path(), rows.len());
}

/// Decimals of 18 and of 38 digits, a list, a structure with a decimal in it, and a dictionary, all with nulls.
fn typed(rows: std::ops::Range<i64>) -> RecordBatch {
    let decimals = |digits: u8, scale: i8, value: &dyn Fn(i64) -> Option<i128>| {
        let values: Decimal128Array = rows.clone().map(value).collect();
        Arc::new(values.with_precision_and_scale(digits, scale).unwrap()) as ArrayRef
    };
    let mut levels = ListBuilder::new(Float64Builder::new());
    for i in rows.clone() {
        let start = f64::from(i32::try_from(i).unwrap());
        let count = if i % 13 == 0 { 0 } else { i % 4 };
        for k in 0..i32::try_from(count).unwrap() {
            levels.values().append_value(start + f64::from(k) / 2.0);
        }
        levels.append(i % 13 != 0);
    }
    let venues: StringArray = rows
        .clone()
        .map(|i| (i % 3 != 0).then(|| format!("v{}", i % 3)))
        .collect();
    let bid = decimals(18, 4, &|i| Some(i128::from(i) * 10_001));
    let venues = Arc::new(venues) as ArrayRef;
    let field =
        |name: &str, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
    let quote = StructArray::from(vec![
        (field("bid", &bid), bid),
        (field("venue", &venues), venues),
    ]);
    let side: DictionaryArray<Int32Type> = rows
        .clone()
        .map(|i| (i % 7 != 0).then(|| ["buy", "sell"][usize::from(i % 2 == 1)]))
        .collect();
    let times = timestamp_array(rows.clone().map(|i| from_nanos(i * 60_000_000_000))).unwrap();
    RecordBatch::try_from_iter_with_nullable([
        (TIMESTAMP, times, false),
        (
            "price",
            decimals(18, 2, &|i| {
                (i % 11 != 0).then(|| i128::from(100_000 + 3 * i - 7 * (i % 5)))
            }),
            true,
        ),
        (
            "wide",
            decimals(38, 10, &|i| Some(i128::from(i) * 10_i128.pow(20) + 1)),
            true,
        ),
        ("levels", Arc::new(levels.finish()) as ArrayRef, true),
        ("quote", Arc::new(quote), true),
        ("side", Arc::new(side), true),
    ])
    .unwrap()
}

#[test]
#[ignore = "needs python3 (or MINUTEBOOK_PYTHON) with pandas, pyarrow, polars and duckdb"]
fn python_opens_decimals_and_nested_columns() {
    let dir = tempfile::tempdir().unwrap();
    let config = ParquetConfig::default()
        .target_segment_rows(12_000)
        .row_group_rows(10_000)
        .merge_floor_rows(0)
        .page_rows(512);
    let repo = ParquetTimeSeriesRepository::open(dir.path(), config).unwrap();
    // A large part, of which the encodings are chosen by trial, and a small one.
    for part in [0..11_000, 11_000..11_100] {
        inline(repo.write(&series(), typed(part), WriteMode::Append)).unwrap();
    }
    check_with("check_types.py", dir.path(), 11_100);
}

#[test]
#[ignore = "needs python3 (or MINUTEBOOK_PYTHON) with pandas, pyarrow, polars and duckdb"]
fn python_opens_every_compression() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<Row> = (0..3_000).map(|i| (i * 60_000_000_000, i)).collect();
    let all = [
        ParquetCompression::Snappy,
        ParquetCompression::Gzip,
        ParquetCompression::Zstd,
        ParquetCompression::Brotli,
        ParquetCompression::Lz4,
        ParquetCompression::None,
    ];
    for compression in all {
        let path = dir.path().join(format!("{compression:?}.parquet"));
        save_parquet(
            &[batch(&rows)],
            path,
            &SaveParquet::default().compression(compression),
        )
        .unwrap();
    }
    check(dir.path(), rows.len() * all.len());
}

#[test]
#[ignore = "needs python3 (or MINUTEBOOK_PYTHON) with pandas and pyarrow"]
fn what_this_python_writes_is_read_and_adopted() {
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/make_index_fixtures.py");
    let python = std::env::var_os("MINUTEBOOK_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(python)
        .arg(script)
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    common::indexes::check(dir.path());
}
