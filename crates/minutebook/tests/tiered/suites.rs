//! The conformance suite over tiered stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use minutebook::jsonl::JsonlTimeSeriesRepository;
use minutebook::memory::MemoryTimeSeriesRepository;
use minutebook::{
    BatchStream, Capabilities, ManualClock, Result, ScanQuery, SeriesFilter, SeriesId,
    SeriesSummary, Tiered, TimeRange, TimeSeriesRepository, WriteMode, WriteReceipt,
};
use minutebook_fs::SimFs;
use minutebook_testkit::{Harness, async_trait, test_clock};

use crate::on;

/// Two fakes, of which only the hot one is ever written.
pub(crate) struct Fakes {
    hot: MemoryTimeSeriesRepository,
    cold: MemoryTimeSeriesRepository,
    clock: Arc<ManualClock>,
}

#[async_trait]
impl Harness<dyn TimeSeriesRepository> for Fakes {
    fn new() -> Self {
        let clock = test_clock();
        Self {
            hot: MemoryTimeSeriesRepository::with_clock(clock.clone()),
            cold: MemoryTimeSeriesRepository::with_clock(clock.clone()),
            clock,
        }
    }

    async fn open(&self) -> Result<Arc<dyn TimeSeriesRepository>> {
        Ok(Arc::new(Tiered::new(self.hot.clone(), self.cold.clone())))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(Arc::clone(&self.clock))
    }
}

pub(crate) struct Files {
    disk: SimFs,
    clock: Arc<ManualClock>,
}

#[async_trait]
impl Harness<dyn TimeSeriesRepository> for Files {
    fn new() -> Self {
        Self {
            disk: SimFs::new(),
            clock: test_clock(),
        }
    }

    async fn open(&self) -> Result<Arc<dyn TimeSeriesRepository>> {
        Ok(Arc::new(on(&self.disk.new_process())?.1))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(Arc::clone(&self.clock))
    }
}

/// Seals after every write, and compacts after every other: what is written is in all three places.
#[derive(Debug)]
struct Moving {
    hot: JsonlTimeSeriesRepository,
    tiered: Tiered,
    writes: AtomicUsize,
}

#[async_trait]
impl TimeSeriesRepository for Moving {
    fn capabilities(&self) -> Capabilities {
        self.tiered.capabilities()
    }

    async fn write(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt> {
        let receipt = self.tiered.write(series, batch, mode).await?;
        let writes = self.writes.fetch_add(1, Ordering::SeqCst);
        let step = writes % 3;
        if step > 0 {
            self.hot.rotate(series).await?;
        }
        if step > 1 && matches!(series, SeriesId::Ticks { .. }) {
            let report = self.tiered.compact(series, false).await?;
            assert!(report.refused.is_empty(), "{:?}", report.refused);
        }
        Ok(receipt)
    }

    async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
        self.tiered.scan(series, query).await
    }

    async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
        self.tiered.summary(series).await
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        self.tiered.list(filter).await
    }

    async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
        self.tiered.delete(series, range).await
    }
}

pub(crate) struct Compacting(Files);

#[async_trait]
impl Harness<dyn TimeSeriesRepository> for Compacting {
    fn new() -> Self {
        Self(Files::new())
    }

    async fn open(&self) -> Result<Arc<dyn TimeSeriesRepository>> {
        let (hot, tiered) = on(&self.0.disk.new_process())?;
        Ok(Arc::new(Moving {
            hot,
            tiered,
            writes: AtomicUsize::new(0),
        }))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(Arc::clone(&self.0.clock))
    }
}

mod fakes {
    minutebook_testkit::time_series_repository_tests!(crate::suites::Fakes);
}

mod files {
    minutebook_testkit::time_series_repository_tests!(crate::suites::Files);
}

mod compacting {
    minutebook_testkit::time_series_repository_tests!(crate::suites::Compacting);
}
