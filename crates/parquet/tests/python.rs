//! pandas, pyarrow, polars and `DuckDB` open the files.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Row, batch, inline, series};
use minutebook_core::{TimeSeriesRepository, WriteMode};
use minutebook_parquet::{
    ParquetCompression, ParquetConfig, ParquetTimeSeriesRepository, SaveParquet, save_parquet,
};

fn check(dir: &Path, rows: usize) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/check_files.py");
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
