//! A backend as a stranger would write it after docs/writing-a-backend.md: the three stores over one kind of text log, with fewer
//! capabilities than ours, and the conformance suite over them.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod catalog;
mod decisions;
mod log;
mod series;

use std::sync::Arc;

use async_trait::async_trait;
use minutebook_core::{
    Catalog, DecisionRepository, ErrorKind, ManualClock, Result, TimeSeriesRepository,
};
use minutebook_testkit::{Harness, test_clock};

use crate::catalog::LogCatalog;
use crate::decisions::LogDecisions;
use crate::series::LogSeries;

struct LogHarness {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl LogHarness {
    fn make() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: test_clock(),
        }
    }
}

#[async_trait]
impl Harness<dyn DecisionRepository> for LogHarness {
    fn new() -> Self {
        Self::make()
    }

    async fn open(&self) -> Result<Arc<dyn DecisionRepository>> {
        let path = self.dir.path().join("decisions.log");
        Ok(Arc::new(LogDecisions::open(&path, self.clock.clone())?))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(self.clock.clone())
    }
}

#[async_trait]
impl Harness<dyn TimeSeriesRepository> for LogHarness {
    fn new() -> Self {
        Self::make()
    }

    async fn open(&self) -> Result<Arc<dyn TimeSeriesRepository>> {
        Ok(Arc::new(LogSeries::open(
            &self.dir.path().join("series.log"),
        )?))
    }
}

#[async_trait]
impl Harness<dyn Catalog> for LogHarness {
    fn new() -> Self {
        Self::make()
    }

    async fn open(&self) -> Result<Arc<dyn Catalog>> {
        let path = self.dir.path().join("catalog.log");
        Ok(Arc::new(LogCatalog::open(&path, self.clock.clone())?))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(self.clock.clone())
    }
}

minutebook_testkit::decision_repository_tests!(LogHarness);
minutebook_testkit::time_series_repository_tests!(LogHarness);
minutebook_testkit::catalog_tests!(LogHarness);

#[test]
fn a_store_that_is_open_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.log");
    let first = LogDecisions::open(&path, test_clock()).unwrap();
    let error = LogDecisions::open(&path, test_clock()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    drop(first);
    LogDecisions::open(&path, test_clock()).unwrap();
}

#[test]
fn a_torn_last_line_is_set_aside_and_a_damaged_one_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.log");
    let put = r#"{"put":"{\"id\":\"a\"}","recorded_at":"2025-01-01T00:00:00Z"}"#;
    std::fs::write(&path, format!("{put}\n{{\"put\":")).unwrap();
    drop(LogDecisions::open(&path, test_clock()).unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{put}\n"));
    let torn = std::fs::read_to_string(dir.path().join("decisions.log.torn")).unwrap();
    assert_eq!(torn, "{\"put\":");
    std::fs::write(&path, format!("{put}\nnonsense\n{put}\n")).unwrap();
    let error = LogDecisions::open(&path, test_clock()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("line 2"), "{error}");
}

/// Each block of Rust in the guide stands in this backend letter for letter, so that the guide cannot go stale.
#[test]
fn the_guide_shows_this_code() {
    let guide = include_str!("../../../docs/writing-a-backend.md");
    let sources = [
        include_str!("main.rs"),
        include_str!("catalog.rs"),
        include_str!("decisions.rs"),
        include_str!("log.rs"),
        include_str!("series.rs"),
    ];
    let words = |text: &str| text.split_whitespace().collect::<String>();
    let sources = sources.map(words);
    let blocks: Vec<_> = guide
        .split("```rust\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(
        blocks.len() >= 6,
        "the guide has {} blocks of Rust",
        blocks.len()
    );
    for block in blocks {
        // A line of dots stands for what the guide leaves out.
        for part in block.split("// ...\n") {
            let part = words(part);
            assert!(
                sources.iter().any(|source| source.contains(&part)),
                "not in the backend: {part}"
            );
        }
    }
}
