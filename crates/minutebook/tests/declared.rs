//! Columns of ticks that the settings declare.
#![cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use minutebook::config::{ColumnKind, Config, DeclaredColumns, Environment};
use minutebook::{ErrorKind, Minutebook, ReadReport, ScanQuery, SeriesId, TimeSeriesRepository};

fn open(path: &Path, environment: Environment) -> minutebook::Result<Minutebook> {
    Minutebook::options().environment(environment).open(path)
}

fn btc() -> SeriesId {
    "BTCUSD@ticks".parse().unwrap()
}

/// A store whose settings are these, with ticks whose prices are text and numbers, and one that is neither.
fn store(settings: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("minutebook.toml"), settings).unwrap();
    std::fs::create_dir(dir.path().join("ticks")).unwrap();
    let lines = [
        r#"{"timestamp":"2025-01-01T00:00:00","price":"42496.1","seen":"2025-01-01T00:00:00.5Z"}"#,
        r#"{"timestamp":"2025-01-01T00:00:01","price":42496}"#,
        r#"{"timestamp":"2025-01-01T00:00:02","price":"dear"}"#,
    ];
    let text = lines.join("\n") + "\n";
    std::fs::write(dir.path().join("ticks/btcusd_timeseries.jsonl"), text).unwrap();
    dir
}

async fn rows(book: &Minutebook) -> (RecordBatch, ReadReport) {
    let rows = book.ticks().scan(&btc(), &ScanQuery::new()).await.unwrap();
    rows.concat().await.unwrap()
}

const COLUMNS: &str =
    "[ticks.columns]\nprice = \"float64\"\nseen = \"timestamp\"\nside = \"utf8\"\n";

#[tokio::test]
async fn columns_are_read_as_the_settings_declare_them() {
    let dir = store(COLUMNS);
    let book = open(dir.path(), Environment::empty()).unwrap();
    let (rows, report) = rows(&book).await;
    let price = rows.column_by_name("price").unwrap();
    let price = price.as_primitive::<Float64Type>();
    assert_eq!(
        price.iter().collect::<Vec<_>>(),
        [Some(42_496.1), Some(42_496.0), None]
    );
    // What does not fit is told.
    assert_eq!(report.total(), 1, "{report:?}");
    let seen = rows.column_by_name("seen").unwrap();
    let seen = seen.as_primitive::<TimestampNanosecondType>();
    assert_eq!(seen.value(0), 1_735_689_600_500_000_000);
    // No entry has it.
    assert_eq!(rows.column_by_name("side").unwrap().null_count(), 3);
    // A batch has to have these types, or entries would be read back as something else.
    let names = ["timestamp", "price"].map(|name| rows.schema().index_of(name).unwrap());
    let fits = rows.project(&names).unwrap().slice(0, 2);
    let mode = minutebook::WriteMode::Append;
    book.ticks()
        .write(&btc(), fits.clone(), mode)
        .await
        .unwrap();
    let texts: arrow_array::ArrayRef =
        std::sync::Arc::new(arrow_array::StringArray::from(vec!["1", "2"]));
    let times = fits.column(0);
    let wrong = RecordBatch::try_from_iter_with_nullable([
        ("timestamp", std::sync::Arc::clone(times), false),
        ("price", texts, true),
    ]);
    let error = book
        .ticks()
        .write(&btc(), wrong.unwrap(), mode)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
}

#[tokio::test]
async fn environment_and_code_come_before_the_file() {
    let dir = store(COLUMNS);
    let said = Environment::from_iter([("MINUTEBOOK_TICKS_COLUMNS", "price=utf8, n=int64")]);
    let (found, report) = rows(&open(dir.path(), said.clone()).unwrap()).await;
    let types = |rows: &RecordBatch| {
        let schema = rows.schema();
        let fields = schema.fields().iter().skip(1);
        let types = fields.map(|field| format!("{} {}", field.name(), field.data_type()));
        types.collect::<Vec<_>>()
    };
    assert_eq!(types(&found), ["price Utf8", "seen Utf8", "n Int64"]);
    assert!(report.is_clean(), "{report:?}");
    let columns = DeclaredColumns::new().with("flag", ColumnKind::Boolean);
    let book = Minutebook::options()
        .environment(said)
        .config(Config::new().columns(columns))
        .open(dir.path())
        .unwrap();
    let (found, _) = rows(&book).await;
    assert_eq!(types(&found), ["price Utf8", "seen Utf8", "flag Boolean"]);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let error = |settings: &str| {
        let dir = store(settings);
        open(dir.path(), Environment::empty()).unwrap_err()
    };
    for (settings, word) in [
        ("[ticks.columns]\nprice = \"decimal\"\n", "decimal"),
        ("[ticks.columns]\nprice = 8\n", "line 2"),
        ("[ticks]\ncolumns = \"price\"\n", "line 2"),
        ("[ticks.columns]\ntimestamp = \"utf8\"\n", "timestamp"),
        (
            "[ticks]\ntiered = true\n[ticks.columns]\nprice = \"float64\"\n",
            "tiered",
        ),
    ] {
        let error = error(settings);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{settings}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let columns = DeclaredColumns::new().with("timestamp", ColumnKind::Utf8);
    let opened = Minutebook::options()
        .environment(Environment::empty())
        .config(Config::new().columns(columns))
        .open(store("").path());
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::InvalidInput);
}
