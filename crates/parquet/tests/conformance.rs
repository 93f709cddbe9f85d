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

mod directory {
    use super::*;

    struct Directory {
        dir: tempfile::TempDir,
        clock: Arc<ManualClock>,
    }

    #[async_trait]
    impl Harness<Series> for Directory {
        fn new() -> Self {
            Self {
                dir: tempfile::tempdir().unwrap(),
                clock: test_clock(),
            }
        }

        async fn open(&self) -> Result<Arc<Series>> {
            let config = ParquetConfig::default().clock(Arc::clone(&self.clock) as _);
            Ok(Arc::new(ParquetTimeSeriesRepository::open(
                self.dir.path().join("series"),
                config,
            )?))
        }

        fn clock(&self) -> Option<Arc<ManualClock>> {
            Some(Arc::clone(&self.clock))
        }
    }

    minutebook_testkit::time_series_repository_tests!(Directory);
}

mod memory {
    use super::*;

    struct Memory {
        store: Arc<InMemory>,
        clock: Arc<ManualClock>,
    }

    #[async_trait]
    impl Harness<Series> for Memory {
        fn new() -> Self {
            Self {
                store: Arc::default(),
                clock: test_clock(),
            }
        }

        async fn open(&self) -> Result<Arc<Series>> {
            let store = Arc::clone(&self.store) as _;
            Ok(Arc::new(ParquetTimeSeriesRepository::with_store(
                store,
                small(&self.clock),
            )))
        }

        fn clock(&self) -> Option<Arc<ManualClock>> {
            Some(Arc::clone(&self.clock))
        }
    }

    minutebook_testkit::time_series_repository_tests!(Memory);
}

mod simulated {
    use super::*;

    struct Simulated {
        disk: SimFs,
        clock: Arc<ManualClock>,
    }

    #[async_trait]
    impl Harness<Series> for Simulated {
        fn new() -> Self {
            Self {
                disk: SimFs::case_insensitive(),
                clock: test_clock(),
            }
        }

        async fn open(&self) -> Result<Arc<Series>> {
            let config = small(&self.clock).fs(Arc::new(self.disk.new_process()));
            Ok(Arc::new(ParquetTimeSeriesRepository::open(
                "/store/series",
                config,
            )?))
        }

        fn clock(&self) -> Option<Arc<ManualClock>> {
            Some(Arc::clone(&self.clock))
        }
    }

    minutebook_testkit::time_series_repository_tests!(Simulated);
}

/// A store below a prefix of a bucket that has another one, too.
mod below_a_prefix {
    use super::*;

    struct Below {
        bucket: Arc<InMemory>,
        clock: Arc<ManualClock>,
    }

    #[async_trait]
    impl Harness<Series> for Below {
        fn new() -> Self {
            Self {
                bucket: Arc::default(),
                clock: test_clock(),
            }
        }

        async fn open(&self) -> Result<Arc<Series>> {
            let bucket = Arc::clone(&self.bucket) as _;
            let repo = ParquetTimeSeriesRepository::with_store_below(
                bucket,
                "research/series",
                small(&self.clock),
            )?;
            Ok(Arc::new(repo))
        }

        fn clock(&self) -> Option<Arc<ManualClock>> {
            Some(Arc::clone(&self.clock))
        }
    }

    minutebook_testkit::time_series_repository_tests!(Below);
}

/// Requests come late and twice: nobody notices. (A store that fails is in `shaky.rs` and `histories`.)
mod late_and_twice {
    use super::*;

    struct Late {
        store: Arc<Shaky>,
        clock: Arc<ManualClock>,
    }

    #[async_trait]
    impl Harness<Series> for Late {
        fn new() -> Self {
            let store = Shaky {
                only_delays: true,
                ..Shaky::new(7_919)
            };
            Self {
                store: Arc::new(store),
                clock: test_clock(),
            }
        }

        async fn open(&self) -> Result<Arc<Series>> {
            let store = Arc::clone(&self.store) as _;
            Ok(Arc::new(ParquetTimeSeriesRepository::with_store(
                store,
                small(&self.clock),
            )))
        }

        fn clock(&self) -> Option<Arc<ManualClock>> {
            Some(Arc::clone(&self.clock))
        }
    }

    minutebook_testkit::time_series_repository_tests!(Late);
}
