//! The conformance suite through the handles of a store on disk: what the facade puts before a backend changes nothing about it.
#![cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::sync::Arc;

use minutebook::config::{Config, Durability, Environment};
use minutebook::{
    Catalog, DecisionRepository, ManualClock, Minutebook, Result, TimeSeriesRepository,
};
use minutebook_testkit::{Harness, async_trait, test_clock};

/// A store in a temporary directory, of which nothing is there before the first write.
struct Store {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Store {
    fn make() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: test_clock(),
        }
    }

    fn open(&self) -> Result<Minutebook> {
        Minutebook::options()
            .config(Config::new().durability(Durability::Buffered))
            .environment(Environment::empty())
            .clock(Arc::clone(&self.clock) as _)
            .open(self.dir.path())
    }
}

macro_rules! harness {
    ($name:ident, $repository:ty, $part:ident) => {
        struct $name(Store);

        #[async_trait]
        impl Harness<$repository> for $name {
            fn new() -> Self {
                Self(Store::make())
            }

            async fn open(&self) -> Result<Arc<$repository>> {
                Ok(Arc::clone(self.0.open()?.$part()))
            }

            fn clock(&self) -> Option<Arc<ManualClock>> {
                Some(Arc::clone(&self.0.clock))
            }
        }
    };
}

harness!(Decisions, dyn DecisionRepository, decisions);
harness!(Ticks, dyn TimeSeriesRepository, ticks);
harness!(Series, dyn TimeSeriesRepository, series);
harness!(Registry, dyn Catalog, catalog);

mod decisions {
    minutebook_testkit::decision_repository_tests!(crate::Decisions);
}

mod ticks {
    minutebook_testkit::time_series_repository_tests!(crate::Ticks);
}

mod series {
    minutebook_testkit::time_series_repository_tests!(crate::Series);
}

mod catalog {
    minutebook_testkit::catalog_tests!(crate::Registry);
}
