//! The stores that are timed, and the runtime that a program would use them on.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use minutebook_core::{Catalog, TimeSeriesRepository};
use minutebook_fs::Durability;
use minutebook_json::{JsonCatalog, JsonCatalogConfig, JsonDecisionConfig, JsonDecisionRepository};
use minutebook_jsonl::{JsonlConfig, JsonlTimeSeriesRepository};
use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository};
use tokio::task::JoinHandle;

/// A multi-threaded runtime.
#[derive(Debug)]
pub(crate) struct Runtime(tokio::runtime::Runtime);

impl Runtime {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(tokio::runtime::Builder::new_multi_thread().build()?))
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.0.spawn(future)
    }
}

/// Concrete, because saving many at once is no part of the trait.
pub(crate) fn decisions(
    directory: &Path,
    durability: Durability,
) -> Result<Arc<JsonDecisionRepository>> {
    let config = JsonDecisionConfig::default().durability(durability);
    Ok(Arc::new(JsonDecisionRepository::open(directory, config)?))
}

/// Concrete, because entries as JSON are no part of the trait.
pub(crate) fn ticks(
    directory: &Path,
    durability: Durability,
) -> Result<Arc<JsonlTimeSeriesRepository>> {
    let config = JsonlConfig::default().durability(durability);
    Ok(Arc::new(JsonlTimeSeriesRepository::open(
        directory, config,
    )?))
}

pub(crate) fn series(
    directory: &Path,
    durability: Durability,
) -> Result<Arc<dyn TimeSeriesRepository>> {
    let config = ParquetConfig::default().durability(durability);
    Ok(Arc::new(ParquetTimeSeriesRepository::open(
        directory, config,
    )?))
}

pub(crate) fn catalog(file: &Path, durability: Durability) -> Result<Arc<dyn Catalog>> {
    let config = JsonCatalogConfig::default().durability(durability);
    Ok(Arc::new(JsonCatalog::open(file, config)?))
}
