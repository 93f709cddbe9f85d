//! Single files: our own, and those that pandas and pyarrow wrote.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use common::{Row, batch, rows};
use minutebook_core::ErrorKind;
use minutebook_core::series::batch::{conform, timestamps};
use minutebook_core::time::{from_nanos, parse_timestamp};
use minutebook_parquet::{
    LoadParquet, ParquetCompression, SaveParquet, list_parquet_files, load_parquet,
    parquet_statistics, save_parquet,
};

const ROWS: [Row; 4] = [(-7, 1), (0, 2), (0, 3), (1_700_000_000_123_456_789, 4)];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

#[test]
fn every_compression_round_trips_and_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    for compression in [
        ParquetCompression::Snappy,
        ParquetCompression::Gzip,
        ParquetCompression::Zstd,
        ParquetCompression::Brotli,
        ParquetCompression::Lz4,
        ParquetCompression::None,
    ] {
        let path = dir.path().join(format!("deep/{compression:?}.parquet"));
        let options = SaveParquet::default().compression(compression);
        let saved = save_parquet(&[batch(&ROWS[..1]), batch(&ROWS[1..])], &path, &options).unwrap();
        assert_eq!(saved, path);
        let loaded = load_parquet(&saved, &LoadParquet::default()).unwrap();
        assert_eq!(loaded.columns(), batch(&ROWS).columns());
        let known = parquet_statistics(&saved).unwrap();
        assert_eq!(known.rows, 4);
        assert_eq!(
            (known.first, known.last),
            (Some(from_nanos(-7)), Some(from_nanos(ROWS[3].0)))
        );
        assert_eq!(known.time_column.as_deref(), Some("timestamp"));
        assert_eq!(known.bytes, fs::metadata(&saved).unwrap().len());
    }
}

#[test]
fn a_relative_path_comes_back_absolute() {
    // The working directory of a test is the crate's own; the file goes where Cargo keeps what tests make.
    let name = format!("relative-{}.parquet", std::process::id());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let cwd = std::env::current_dir().unwrap();
    let up: PathBuf = cwd.components().skip(1).map(|_| "..").collect();
    let relative = up.join(dir.strip_prefix("/").unwrap()).join(&name);
    let saved = save_parquet(&[batch(&ROWS)], &relative, &SaveParquet::default()).unwrap();
    assert!(
        saved.is_absolute() && saved.ends_with(&name),
        "{}",
        saved.display()
    );
    fs::remove_file(saved).unwrap();
}

#[test]
fn what_cannot_be_saved_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    for empty in [vec![], vec![batch(&[])]] {
        let error = save_parquet(&empty, &path, &SaveParquet::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let error = save_parquet(
        &[batch(&ROWS)],
        &path,
        &SaveParquet::default().index("nope"),
    )
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let other =
        RecordBatch::try_from_iter([("n", Arc::new(StringArray::from(vec!["x"])) as ArrayRef)])
            .unwrap();
    let error = save_parquet(&[batch(&ROWS), other], &path, &SaveParquet::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
    save_parquet(&[batch(&ROWS)], &path, &SaveParquet::default()).unwrap();
    let error =
        save_parquet(&[batch(&ROWS)], path.join("below"), &SaveParquet::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[test]
fn columns_and_dates_are_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let path = save_parquet(
        &[batch(&ROWS)],
        dir.path().join("a.parquet"),
        &SaveParquet::default(),
    )
    .unwrap();
    let load = |options: LoadParquet| load_parquet(&path, &options);
    let found = load(
        LoadParquet::default()
            .start(from_nanos(0))
            .end(from_nanos(0)),
    )
    .unwrap();
    assert_eq!(rows(&found), ROWS[1..3], "both ends belong to it");
    assert_eq!(
        rows(&load(LoadParquet::default().start(from_nanos(1))).unwrap()),
        ROWS[3..]
    );
    assert_eq!(
        rows(&load(LoadParquet::default().end(from_nanos(-1))).unwrap()),
        ROWS[..1]
    );
    let none = load(LoadParquet::default().end(parse_timestamp("0001-01-01").unwrap())).unwrap();
    assert_eq!((none.num_rows(), none.num_columns()), (0, 3));
    let found = load(
        LoadParquet::default()
            .columns(["price"])
            .start(from_nanos(0)),
    )
    .unwrap();
    let names: Vec<_> = found
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(
        (names.as_slice(), found.num_rows()),
        (["timestamp".to_owned(), "price".to_owned()].as_slice(), 3)
    );
    for (options, kind) in [
        (
            LoadParquet::default().columns(["nope"]),
            ErrorKind::InvalidInput,
        ),
        (
            LoadParquet::default().columns(["n", "n"]),
            ErrorKind::InvalidInput,
        ),
        (
            LoadParquet::default()
                .start(from_nanos(1))
                .end(from_nanos(0)),
            ErrorKind::InvalidInput,
        ),
        (
            LoadParquet::default().max_bytes(10),
            ErrorKind::InvalidInput,
        ),
    ] {
        assert_eq!(load(options).unwrap_err().kind(), kind);
    }
    let missing =
        load_parquet(dir.path().join("nope.parquet"), &LoadParquet::default()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(
        parquet_statistics(dir.path()).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn every_index_of_pandas_is_found() {
    let first = parse_timestamp("2024-01-01").unwrap();
    let last = parse_timestamp("2024-01-03").unwrap();
    for (name, column) in [
        ("utc_ns_named", "timestamp"),
        ("naive_us_unnamed", "__index_level_0__"),
        ("zoned_ms_named", "Date"),
        ("range_index_time_column", "time"),
        ("naive_s_column", "DateTime"),
        ("pyarrow_date32", "date"),
        ("pyarrow_lz4_v2", "date"),
        ("strings", "date"),
    ] {
        let path = fixture(&format!("{name}.parquet"));
        let known = parquet_statistics(&path).unwrap();
        assert_eq!(known.time_column.as_deref(), Some(column), "{name}");
        assert_eq!(
            (known.rows, known.first, known.last),
            (3, Some(first), Some(last)),
            "{name}"
        );
        let second = parse_timestamp("2024-01-02").unwrap();
        let options = LoadParquet::default()
            .start(second)
            .end(second)
            .columns(["n"]);
        let found = load_parquet(&path, &options).unwrap();
        assert_eq!(
            found
                .column_by_name("n")
                .unwrap()
                .as_primitive::<Int64Type>()
                .values(),
            &[1],
            "{name}"
        );
        let all = load_parquet(&path, &LoadParquet::default()).unwrap();
        let series = conform(&all, column).unwrap();
        assert_eq!(
            timestamps(&series).unwrap().value(2),
            1_704_240_000_000_000_000,
            "{name}"
        );
    }
}

#[test]
fn dates_without_a_time_index_are_refused() {
    for (name, why) in [
        ("no_time.parquet", "n: Int64"),
        ("words.parquet", "row 0 of \"date\" is \"Monday\""),
    ] {
        let known = parquet_statistics(fixture(name)).unwrap();
        assert_eq!(
            (known.rows, known.time_column, known.first),
            (3, None, None),
            "{name}"
        );
        assert_eq!(
            load_parquet(fixture(name), &LoadParquet::default())
                .unwrap()
                .num_rows(),
            3
        );
        let error =
            load_parquet(fixture(name), &LoadParquet::default().start(from_nanos(0))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
        assert!(error.message().contains(why), "{error}");
    }
}

#[test]
fn a_file_of_pandas_saved_again_keeps_its_index() {
    let dir = tempfile::tempdir().unwrap();
    let loaded = load_parquet(fixture("zoned_ms_named.parquet"), &LoadParquet::default()).unwrap();
    let path = save_parquet(
        &[loaded],
        dir.path().join("a.parquet"),
        &SaveParquet::default(),
    )
    .unwrap();
    let known = parquet_statistics(&path).unwrap();
    assert_eq!(known.time_column.as_deref(), Some("Date"));
    assert!(known.schema.metadata()["pandas"].contains("minutebook"));
}

#[test]
fn a_table_without_times_is_fine() {
    let dir = tempfile::tempdir().unwrap();
    let table =
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)])
            .unwrap();
    let path = save_parquet(
        std::slice::from_ref(&table),
        dir.path().join("a.parquet"),
        &SaveParquet::default(),
    )
    .unwrap();
    assert_eq!(
        load_parquet(path, &LoadParquet::default())
            .unwrap()
            .columns(),
        table.columns()
    );
}

#[test]
fn files_are_listed_in_order() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["b.parquet", "a.parquet", "c.csv", ".hidden.parquet"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    fs::create_dir(dir.path().join("d.parquet")).unwrap();
    let list = |pattern| {
        let files = list_parquet_files(dir.path(), pattern).unwrap();
        files
            .iter()
            .map(|f| f.file_name().unwrap().to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        list("*.parquet"),
        [".hidden.parquet", "a.parquet", "b.parquet"]
    );
    assert_eq!(list("?.*"), ["a.parquet", "b.parquet", "c.csv"]);
    let error = list_parquet_files(dir.path().join("nope"), "*").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        list_parquet_files(dir.path(), "../*").unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

/// Hourly bars as the original system wrote them: the time is a plain column.
#[test]
#[ignore = "needs ../shared/data"]
fn shared_data_real_bars_load() {
    let data = std::env::var_os("MINUTEBOOK_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = data.join("ffe/BTC_USD_H1_2020_2023.parquet");
    let known = parquet_statistics(&path).unwrap();
    assert_eq!(
        (known.rows, known.time_column.as_deref()),
        (35_058, Some("time"))
    );
    let loaded = load_parquet(&path, &LoadParquet::default()).unwrap();
    let bars = conform(&loaded, "time").unwrap();
    assert_eq!(bars.num_rows(), 35_058);
    let times = timestamps(&bars).unwrap();
    assert_eq!(known.first, Some(from_nanos(times.value(0))));
    assert_eq!(known.last, Some(from_nanos(times.value(35_057))));
    let (start, end) = (
        parse_timestamp("2021-01-01").unwrap(),
        parse_timestamp("2021-01-01T05:00:00Z").unwrap(),
    );
    let part = load_parquet(
        &path,
        &LoadParquet::default()
            .start(start)
            .end(end)
            .columns(["close"]),
    )
    .unwrap();
    assert_eq!((part.num_rows(), part.num_columns()), (6, 2));
}
