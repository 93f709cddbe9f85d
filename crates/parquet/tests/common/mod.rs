//! What the tests share.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod indexes;
pub(crate) mod shaky;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Float64Array, Int64Array, RecordBatch};
use minutebook_core::series::batch::{TIMESTAMP, timestamp_array, timestamps};
use minutebook_core::time::from_nanos;
use minutebook_core::{
    ErrorKind, Result, ScanQuery, SeriesId, Snapshot, TimeRange, TimeSeriesRepository, Version,
};

/// A row: its time in nanoseconds and a number.
pub(crate) type Row = (i64, i64);

pub(crate) fn batch(rows: &[Row]) -> RecordBatch {
    let times = timestamp_array(rows.iter().map(|(time, _)| from_nanos(*time))).unwrap();
    let numbers = Int64Array::from_iter_values(rows.iter().map(|(_, number)| *number));
    let prices = Float64Array::from_iter_values(rows.iter().map(|(_, number)| price(*number)));
    RecordBatch::try_from_iter([
        (TIMESTAMP, times),
        ("n", Arc::new(numbers) as _),
        ("price", Arc::new(prices) as _),
    ])
    .unwrap()
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn price(number: i64) -> f64 {
    number as f64 / 100.0
}

pub(crate) fn rows(batch: &RecordBatch) -> Vec<Row> {
    let times = timestamps(batch).unwrap().values();
    let numbers = batch
        .column_by_name("n")
        .unwrap()
        .as_primitive::<Int64Type>();
    times
        .iter()
        .copied()
        .zip(numbers.values().iter().copied())
        .collect()
}

pub(crate) fn series() -> SeriesId {
    "BTCUSD@1m".parse().unwrap()
}

pub(crate) fn range(start: i64, end: i64) -> TimeRange {
    TimeRange::new(from_nanos(start), from_nanos(end)).unwrap()
}

/// All rows; `None` if there is no such series.
pub(crate) async fn all(repo: &dyn TimeSeriesRepository) -> Result<Option<Vec<Row>>> {
    let stream = match repo.scan(&series(), &ScanQuery::new()).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        stream => stream?,
    };
    let (batches, _) = stream.collect().await?;
    Ok(Some(batches.iter().flat_map(rows).collect()))
}

/// All rows of a version.
pub(crate) async fn as_of(repo: &dyn TimeSeriesRepository, version: u64) -> Vec<Row> {
    let query = ScanQuery::new().as_of(Snapshot::Version(Version(version)));
    let stream = repo.scan(&series(), &query).await.unwrap();
    let (batches, _) = stream.collect().await.unwrap();
    batches.iter().flat_map(rows).collect()
}

/// Runs a future without any runtime: everything happens on this thread.
pub(crate) fn inline<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return value;
        }
    }
    panic!("the future never got ready");
}

/// Runs a future on a runtime of its own.
pub(crate) fn threaded<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}
