//! What the tests share.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, TimestampNanosecondArray};
use arrow_schema::DataType;
use minutebook_core::check::{Finding, FindingKind, Mend};
use minutebook_core::series::batch::{TIMESTAMP, timestamps};
use minutebook_core::{
    ProblemKind, ReadReport, Result, ScanQuery, SeriesId, TimeRange, TimeSeriesRepository,
    WriteMode, WriteReceipt,
};
use minutebook_fs::Durability;
use minutebook_jsonl::{EntryQuery, JsonlConfig, JsonlTimeSeriesRepository, check_ticks};

/// 2025-01-01T00:00:00Z.
pub(crate) const BASE: i64 = 1_735_689_600_000_000_000;

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn id(text: &str) -> SeriesId {
    text.parse().unwrap()
}

pub(crate) fn btc() -> SeriesId {
    id("BTCUSD@ticks")
}

/// An empty directory with a repository on it.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) repo: JsonlTimeSeriesRepository,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with(JsonlConfig::default().durability(Durability::Buffered))
    }

    pub(crate) fn with(config: JsonlConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = JsonlTimeSeriesRepository::open(dir.path(), config).unwrap();
        Self { dir, repo }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Puts a file there as another program would.
    pub(crate) fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.file(name), bytes).unwrap();
    }

    /// As [`put`](Self::put), an hour ago.
    pub(crate) fn put_before(&self, name: &str, bytes: impl AsRef<[u8]>) {
        self.put(name, bytes);
        self.age(name);
    }

    /// Nobody has written to the file for an hour.
    pub(crate) fn age(&self, name: &str) {
        let file = std::fs::File::options()
            .append(true)
            .open(self.file(name))
            .unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        let hour = std::time::Duration::from_hours(1);
        file.set_modified(time - hour).unwrap();
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        names(self.dir.path())
    }
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The columns of a batch apart from the time.
pub(crate) fn types(batch: &RecordBatch) -> Vec<(String, DataType)> {
    let schema = batch.schema();
    let fields = schema.fields().iter().skip(1);
    fields
        .map(|f| (f.name().clone(), f.data_type().clone()))
        .collect()
}

pub(crate) fn named(pairs: &[(&str, DataType)]) -> Vec<(String, DataType)> {
    pairs
        .iter()
        .map(|(name, t)| ((*name).to_owned(), t.clone()))
        .collect()
}

pub(crate) async fn scan(
    repo: &JsonlTimeSeriesRepository,
    id: &SeriesId,
    query: &ScanQuery,
) -> Result<(RecordBatch, ReadReport)> {
    repo.scan(id, query).await?.concat().await
}

pub(crate) async fn texts(
    repo: &JsonlTimeSeriesRepository,
    id: &SeriesId,
    query: &EntryQuery,
) -> Result<(Vec<String>, ReadReport)> {
    let (entries, report) = repo.entries(id, query).await?.collect().await?;
    let texts = entries.into_iter().map(minutebook_jsonl::Entry::into_text);
    Ok((texts.collect(), report))
}

/// Kind, line and byte of each problem.
pub(crate) fn places(report: &ReadReport) -> Vec<(ProblemKind, Option<u64>, Option<u64>)> {
    report
        .problems()
        .iter()
        .map(|problem| (problem.kind, problem.location.line, problem.location.byte))
        .collect()
}

pub(crate) fn nanos(batch: &RecordBatch) -> Vec<i64> {
    timestamps(batch).unwrap().values().to_vec()
}

pub(crate) fn floats(batch: &RecordBatch, column: &str) -> Vec<Option<f64>> {
    let column = batch.column_by_name(column).unwrap();
    column.as_primitive::<Float64Type>().iter().collect()
}

pub(crate) fn ints(batch: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    let column = batch.column_by_name(column).unwrap();
    column.as_primitive::<Int64Type>().iter().collect()
}

pub(crate) fn strings(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = batch.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().map(|text| text.map(str::to_owned)).collect()
}

pub(crate) fn times(offsets: &[i64]) -> ArrayRef {
    let times: Vec<_> = offsets.iter().map(|offset| BASE + offset).collect();
    Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC"))
}

/// A batch with rows at `BASE` plus these nanoseconds.
pub(crate) fn batch(offsets: &[i64], columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let mut all = vec![(TIMESTAMP, times(offsets), false)];
    all.extend(columns.into_iter().map(|(name, array)| (name, array, true)));
    RecordBatch::try_from_iter_with_nullable(all).unwrap()
}

pub(crate) async fn append(
    repo: &JsonlTimeSeriesRepository,
    id: &SeriesId,
    batch: RecordBatch,
) -> Result<WriteReceipt> {
    repo.write(id, batch, WriteMode::Append).await
}

pub(crate) fn null_counts(batch: &RecordBatch) -> Vec<usize> {
    batch.columns().iter().map(Array::null_count).collect()
}

/// One of many entries that can be told apart; its time is its number in seconds.
pub(crate) fn entry(n: usize) -> String {
    format!(
        "{{\"timestamp\":\"2025-01-01T00:{:02}:{:02}\",\"n\":{n}}}",
        n / 60 % 60,
        n % 60
    )
}

pub(crate) fn entries(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(entry).collect()
}

/// The directory as a process opens it that has not seen it before.
pub(crate) fn fresh(place: &Place) -> JsonlTimeSeriesRepository {
    JsonlTimeSeriesRepository::open(place.dir.path(), JsonlConfig::default()).unwrap()
}

/// All entries as a fresh process reads them, nothing skipped.
pub(crate) async fn all(place: &Place) -> Vec<String> {
    let query = EntryQuery::new();
    let (found, report) = texts(&fresh(place), &btc(), &query).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    found
}

/// What a check finds, and how many entries it counts.
pub(crate) fn check(place: &Place, config: &JsonlConfig) -> (Vec<Finding>, u64) {
    let watch = Mutex::new(Vec::<Finding>::new());
    let checked = check_ticks(place.dir.path(), config, &|_| false, &watch).unwrap();
    (watch.into_inner().unwrap(), checked.entries)
}

/// What a check finds, without where.
pub(crate) fn findings(place: &Place) -> Vec<(FindingKind, Mend)> {
    kinds(&check(place, &JsonlConfig::default()).0)
}

pub(crate) fn kinds(found: &[Finding]) -> Vec<(FindingKind, Mend)> {
    let of = |finding: &Finding| (finding.kind, finding.mend.clone());
    found.iter().map(of).collect()
}

/// Three segments and a plain file, ten entries each.
pub(crate) async fn four(place: &Place) {
    for part in 0..4 {
        let entries = entries(part * 10..part * 10 + 10);
        place.repo.append_entries(&btc(), &entries).await.unwrap();
        if part < 3 {
            place.repo.rotate(&btc()).await.unwrap().unwrap();
        }
    }
}

/// Half-open, of times in text.
pub(crate) fn range(from: &str, to: &str) -> TimeRange {
    let time = |text| minutebook_core::time::parse_timestamp(text).unwrap();
    TimeRange::new(time(from), time(to)).unwrap()
}
