//! Tiered stores: the conformance suite over fakes and over files, with and without compaction between the calls, and what compaction promises.
#![cfg(all(feature = "memory", feature = "jsonl", feature = "parquet"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test stops where something is not as it should be"
)]

mod at_every_step;
mod beside;
mod crashes;
mod lost_manifest;
mod memory;
#[cfg(feature = "json")]
mod mending;
mod moving;
mod read_back;
mod suites;
mod types;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use minutebook::jsonl::{JsonlConfig, JsonlTimeSeriesRepository};
use minutebook::parquet::{ParquetConfig, ParquetTimeSeriesRepository};
use minutebook::{Result, ScanQuery, SeriesId, Tiered, TimeSeriesRepository};
use minutebook_fs::{Durability, SimFs};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn btc() -> SeriesId {
    "BTCUSD@ticks".parse().unwrap()
}

fn on(disk: &SimFs) -> Result<(JsonlTimeSeriesRepository, Tiered)> {
    with(disk, Durability::Synced)
}

/// With this durability of the Parquet files.
fn with(disk: &SimFs, cold: Durability) -> Result<(JsonlTimeSeriesRepository, Tiered)> {
    let fs: Arc<dyn minutebook_fs::Fs> = Arc::new(disk.clone());
    let hot = JsonlConfig::default()
        .fs(Arc::clone(&fs))
        .durability(Durability::Synced)
        .read_ahead(std::num::NonZeroUsize::MIN);
    let hot = JsonlTimeSeriesRepository::open("/ticks", hot)?;
    let cold = ParquetConfig::default().fs(fs).durability(cold);
    let cold = ParquetTimeSeriesRepository::open("/series", cold)?;
    Ok((hot.clone(), Tiered::over_files(hot, cold)))
}

fn on_disk(
    dir: &std::path::Path,
) -> (
    JsonlTimeSeriesRepository,
    ParquetTimeSeriesRepository,
    Tiered,
) {
    let hot = JsonlConfig::default().durability(Durability::Buffered);
    let hot = JsonlTimeSeriesRepository::open(dir.join("ticks"), hot).unwrap();
    let cold = ParquetConfig::default().durability(Durability::Buffered);
    let cold = ParquetTimeSeriesRepository::open(dir.join("series"), cold).unwrap();
    let tiered = Tiered::over_files(hot.clone(), cold.clone());
    (hot, cold, tiered)
}

fn entry(n: usize) -> String {
    format!(
        "{{\"timestamp\":\"2025-01-01T00:{:02}:{:02}\",\"n\":{n},\"price\":{}.5}}",
        n / 60 % 60,
        n % 60,
        n % 7
    )
}

async fn numbers(repo: &dyn TimeSeriesRepository, query: &ScanQuery) -> Result<Vec<i64>> {
    let (batch, report) = repo.scan(&btc(), query).await?.concat().await?;
    assert!(report.is_clean(), "{report:?}");
    let column = batch.column_by_name("n").unwrap();
    Ok(column.as_primitive::<Int64Type>().values().to_vec())
}
