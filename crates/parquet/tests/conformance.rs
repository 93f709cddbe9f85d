//! The suite of `minutebook-testkit`: on a directory, in memory, and on a simulated disk.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

use std::sync::Arc;

use minutebook_core::{ManualClock, Result, TimeSeriesRepository};
use minutebook_fs::SimFs;
use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository};
use minutebook_testkit::{Harness, async_trait, test_clock};
use object_store::memory::InMemory;

mod common;

use common::shaky::Shaky;

type Series = dyn TimeSeriesRepository;

/// Small segments, row groups and pages, so that the cases' few rows reach every path.
fn small(clock: &Arc<ManualClock>) -> ParquetConfig {
    let mut config = ParquetConfig::default()
        .clock(Arc::clone(clock) as _)
        .merge_floor_rows(4);
    config.row_group_rows = 3;
    config.page_rows = 2;
    config.target_segment_rows = 7;
    config
}

/// Where series are kept, and how they are opened there.
trait Place: Send + Sync + 'static {
    fn new() -> Self;
    fn open(&self, config: ParquetConfig) -> Result<ParquetTimeSeriesRepository>;

    /// The settings, but for the clock.
    fn config(clock: &Arc<ManualClock>) -> ParquetConfig {
        small(clock)
    }
}

struct At<P> {
    place: P,
    clock: Arc<ManualClock>,
}

#[async_trait]
impl<P: Place> Harness<Series> for At<P> {
    fn new() -> Self {
        Self {
            place: P::new(),
            clock: test_clock(),
        }
    }

    async fn open(&self) -> Result<Arc<Series>> {
        Ok(Arc::new(self.place.open(P::config(&self.clock))?))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(Arc::clone(&self.clock))
    }
}

mod directory {
    use super::*;

    impl Place for tempfile::TempDir {
        fn new() -> Self {
            tempfile::tempdir().unwrap()
        }

        fn open(&self, config: ParquetConfig) -> Result<ParquetTimeSeriesRepository> {
            ParquetTimeSeriesRepository::open(self.path().join("series"), config)
        }

        /// As it is without being told otherwise.
        fn config(clock: &Arc<ManualClock>) -> ParquetConfig {
            ParquetConfig::default().clock(Arc::clone(clock) as _)
        }
    }

    minutebook_testkit::time_series_repository_tests!(At<tempfile::TempDir>);
}

mod memory {
    use super::*;

    impl Place for Arc<InMemory> {
        fn new() -> Self {
            Self::default()
        }

        fn open(&self, config: ParquetConfig) -> Result<ParquetTimeSeriesRepository> {
            let store = Self::clone(self) as _;
            Ok(ParquetTimeSeriesRepository::with_store(store, config))
        }
    }

    minutebook_testkit::time_series_repository_tests!(At<Arc<InMemory>>);
}

mod simulated {
    use super::*;

    impl Place for SimFs {
        fn new() -> Self {
            Self::case_insensitive()
        }

        fn open(&self, config: ParquetConfig) -> Result<ParquetTimeSeriesRepository> {
            let config = config.fs(Arc::new(self.new_process()));
            ParquetTimeSeriesRepository::open("/store/series", config)
        }
    }

    minutebook_testkit::time_series_repository_tests!(At<SimFs>);
}

/// A store below a prefix of a bucket that has another one, too.
mod below_a_prefix {
    use super::*;

    struct Below(Arc<InMemory>);

    impl Place for Below {
        fn new() -> Self {
            Self(Arc::default())
        }

        fn open(&self, config: ParquetConfig) -> Result<ParquetTimeSeriesRepository> {
            let bucket = Arc::clone(&self.0) as _;
            ParquetTimeSeriesRepository::with_store_below(bucket, "research/series", config)
        }
    }

    minutebook_testkit::time_series_repository_tests!(At<Below>);
}

/// Requests come late and twice: nobody notices. (A store that fails is in `shaky.rs` and `histories`.)
mod late_and_twice {
    use super::*;

    impl Place for Arc<Shaky> {
        fn new() -> Self {
            Self::new(Shaky {
                only_delays: true,
                ..Shaky::new(7_919)
            })
        }

        fn open(&self, config: ParquetConfig) -> Result<ParquetTimeSeriesRepository> {
            let store = Self::clone(self) as _;
            Ok(ParquetTimeSeriesRepository::with_store(store, config))
        }
    }

    minutebook_testkit::time_series_repository_tests!(At<Arc<Shaky>>);
}
