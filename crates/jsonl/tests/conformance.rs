//! The conformance suite, on the real file system and on the simulated one.

#![allow(clippy::unwrap_used, reason = "a test program")]

use std::sync::Arc;

use minutebook_core::{ManualClock, Result, TimeSeriesRepository};
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

mod on_disk {
    use super::OnDisk;
    minutebook_testkit::time_series_repository_tests!(OnDisk);
}

mod simulated {
    use super::Simulated;
    minutebook_testkit::time_series_repository_tests!(Simulated);
}
