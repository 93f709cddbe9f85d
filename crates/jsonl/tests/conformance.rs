//! The conformance suite, on the real file system and on the simulated one.

#![allow(clippy::unwrap_used, reason = "a test program")]

use std::sync::Arc;

use arrow_array::RecordBatch;
use minutebook_core::{
    BatchStream, Capabilities, ManualClock, Result, ScanQuery, SeriesFilter, SeriesId,
    SeriesSummary, TimeRange, TimeSeriesRepository, WriteMode, WriteReceipt,
};
use minutebook_fs::SimFs;
use minutebook_jsonl::{JsonlConfig, JsonlTimeSeriesRepository};
use minutebook_testkit::{Harness, async_trait, test_clock};

struct OnDisk {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

#[async_trait]
impl Harness<dyn TimeSeriesRepository> for OnDisk {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: test_clock(),
        }
    }

    async fn open(&self) -> Result<Arc<dyn TimeSeriesRepository>> {
        let config = JsonlConfig::default().clock(self.clock.clone());
        let repo = JsonlTimeSeriesRepository::open(self.dir.path(), config)?;
        Ok(Arc::new(repo))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(Arc::clone(&self.clock))
    }
}

struct Simulated {
    disk: SimFs,
    clock: Arc<ManualClock>,
}

#[async_trait]
impl Harness<dyn TimeSeriesRepository> for Simulated {
    fn new() -> Self {
        Self {
            disk: SimFs::new(),
            clock: test_clock(),
        }
    }

    async fn open(&self) -> Result<Arc<dyn TimeSeriesRepository>> {
        let config = JsonlConfig::default()
            .fs(Arc::new(self.disk.new_process()))
            .clock(self.clock.clone());
        Ok(Arc::new(JsonlTimeSeriesRepository::open("/ticks", config)?))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(Arc::clone(&self.clock))
    }
}

/// A repository that seals the plain file after every write: the suite sees no difference.
#[derive(Debug)]
struct Rotating(JsonlTimeSeriesRepository);

#[async_trait]
impl TimeSeriesRepository for Rotating {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn write(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt> {
        let receipt = self.0.write(series, batch, mode).await?;
        self.0.rotate(series).await?;
        Ok(receipt)
    }

    async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
        self.0.scan(series, query).await
    }

    async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
        self.0.summary(series).await
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        self.0.list(filter).await
    }

    async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
        self.0.delete(series, range).await
    }
}

struct Sealed(Simulated);

#[async_trait]
impl Harness<dyn TimeSeriesRepository> for Sealed {
    fn new() -> Self {
        Self(Simulated::new())
    }

    async fn open(&self) -> Result<Arc<dyn TimeSeriesRepository>> {
        let config = JsonlConfig::default()
            .fs(Arc::new(self.0.disk.new_process()))
            .clock(self.0.clock.clone());
        let repo = JsonlTimeSeriesRepository::open("/ticks", config)?;
        Ok(Arc::new(Rotating(repo)))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(Arc::clone(&self.0.clock))
    }
}

mod on_disk {
    use super::OnDisk;
    minutebook_testkit::time_series_repository_tests!(OnDisk);
}

mod simulated {
    use super::Simulated;
    minutebook_testkit::time_series_repository_tests!(Simulated);
}

mod sealed {
    use super::Sealed;
    minutebook_testkit::time_series_repository_tests!(Sealed);
}
