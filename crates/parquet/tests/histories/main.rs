//! Random histories against a plain model that remembers every version: writes, keys, compaction, restoring, snapshots, retention, on a
//! directory, in memory, and on a store that fails.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod checks;
#[path = "../common/mod.rs"]
mod common;
mod model;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::shaky::Shaky;
use common::threaded;
use minutebook_core::ManualClock;
use minutebook_core::time::from_nanos;
use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository};
use model::{Step, steps};
use object_store::memory::InMemory;
use proptest::test_runner::{Config, TestRunner};
use world::World;

fn config(clock: Arc<ManualClock>) -> ParquetConfig {
    let mut config = ParquetConfig::default().clock(clock).merge_floor_rows(4);
    config.row_group_rows = 3;
    config.page_rows = 2;
    config.target_segment_rows = 7;
    config
}

/// Long after any time at which a store can have written a file: nothing is too young to be removed.
fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(from_nanos(7_258_118_400_000_000_000)))
}

fn live(
    steps: &[Step],
    shaky: Option<&Shaky>,
    open: &dyn Fn(Arc<ManualClock>) -> ParquetTimeSeriesRepository,
) {
    threaded(async {
        let clock = clock();
        let mut world = World {
            open,
            shaky,
            repo: open(Arc::clone(&clock)),
            clock,
            now: None,
            version: 0,
            kept: BTreeMap::new(),
            named: BTreeMap::new(),
            made: 0,
            seed: 1,
        };
        for (i, step) in steps.iter().enumerate() {
            world.step(step).await;
            if matches!(step, Step::Vacuum(_) | Step::Compact) || i % 9 == 8 {
                world.agrees().await;
            }
        }
        world.repo = open(Arc::clone(&world.clock));
        world.agrees().await;
    });
}

fn explore(cases: u32, test: impl Fn(Vec<Step>)) {
    let cases =
        std::env::var("MINUTEBOOK_PROPTEST_CASES").map_or(cases, |cases| cases.parse().unwrap());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let run = TestRunner::new(config).run(&steps(), |steps| {
        test(steps);
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn in_memory() {
    explore(48, |steps| {
        let store = Arc::new(InMemory::new());
        live(&steps, None, &|clock| {
            ParquetTimeSeriesRepository::with_store(Arc::clone(&store) as _, config(clock))
        });
    });
}

#[test]
fn in_a_directory() {
    explore(12, |steps| {
        let dir = tempfile::tempdir().unwrap();
        live(&steps, None, &|clock| {
            ParquetTimeSeriesRepository::open(dir.path(), config(clock)).unwrap()
        });
    });
}

#[test]
fn on_a_store_that_fails() {
    explore(48, |steps| {
        let store = Arc::new(Shaky::default());
        live(&steps, Some(&store), &|clock| {
            ParquetTimeSeriesRepository::with_store(Arc::clone(&store) as _, config(clock))
        });
    });
}
