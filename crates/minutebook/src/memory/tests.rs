//! The stores in memory pass the conformance suite; and what is theirs alone.

use std::sync::Arc;

use async_trait::async_trait;
use minutebook_core::{
    Bar, Catalog, DecisionRepository, DocumentRepository, ErrorKind, ManualClock, Result,
    ScanQuery, SeriesId, Snapshot, TimeSeriesRepository, TimeSeriesRepositoryExt, time::from_nanos,
};
use minutebook_testkit::{Harness, test_clock};

use super::{MemoryCatalog, MemoryDecisionRepository, MemoryDocuments, MemoryTimeSeriesRepository};

struct Memory {
    clock: Arc<ManualClock>,
    decisions: MemoryDecisionRepository,
    series: MemoryTimeSeriesRepository,
    catalog: MemoryCatalog,
    documents: MemoryDocuments,
}

impl Memory {
    fn make() -> Self {
        let clock = test_clock();
        Self {
            decisions: MemoryDecisionRepository::with_clock(clock.clone()),
            series: MemoryTimeSeriesRepository::with_clock(clock.clone()),
            catalog: MemoryCatalog::with_clock(clock.clone()),
            documents: MemoryDocuments::with_clock(clock.clone()),
            clock,
        }
    }
}

macro_rules! harness {
    ($($repository:ident from $field:ident,)+) => {
        $(#[async_trait]
        impl Harness<dyn $repository> for Memory {
            fn new() -> Self {
                Self::make()
            }

            async fn open(&self) -> Result<Arc<dyn $repository>> {
                Ok(Arc::new(self.$field.clone()))
            }

            fn clock(&self) -> Option<Arc<ManualClock>> {
                Some(self.clock.clone())
            }
        })+
    };
}

harness! {
    DecisionRepository from decisions,
    TimeSeriesRepository from series,
    Catalog from catalog,
    DocumentRepository from documents,
}

minutebook_testkit::decision_repository_tests!(Memory);
minutebook_testkit::time_series_repository_tests!(Memory);
minutebook_testkit::catalog_tests!(Memory);
minutebook_testkit::document_repository_tests!(Memory);

fn bar(minute: i64) -> Bar {
    Bar {
        timestamp: from_nanos(minute * 60_000_000_000),
        open: 1.0,
        high: 2.0,
        low: 0.5,
        close: 1.5,
        volume: 10.0,
    }
}

#[tokio::test]
async fn versions_beyond_the_limit_are_forgotten() -> Result<()> {
    let repo = MemoryTimeSeriesRepository::new().keeping_versions(3);
    let series: SeriesId = "BTCUSD@1m".parse()?;
    let mut versions = Vec::new();
    for minute in 0..5 {
        versions.push(repo.append_bars(&series, &[bar(minute)]).await?.version);
    }
    for (n, version) in versions.iter().enumerate() {
        let query = ScanQuery::new().as_of(Snapshot::Version(*version));
        match repo.scan(&series, &query).await {
            Ok(stream) => assert_eq!((n >= 2, stream.concat().await?.0.num_rows()), (true, n + 1)),
            Err(error) => assert_eq!((n < 2, error.kind()), (true, ErrorKind::NotFound)),
        }
    }
    Ok(())
}

#[tokio::test]
async fn errors_name_backend_operation_and_resource() -> Result<()> {
    let repo = MemoryTimeSeriesRepository::new();
    let error = repo
        .scan(&"BTCUSD@1m".parse()?, &ScanQuery::new())
        .await
        .unwrap_err();
    assert_eq!(error.backend(), Some("memory"));
    assert_eq!(error.operation(), Some("scan"));
    assert_eq!(error.resource(), Some("BTCUSD@1m"));
    Ok(())
}
