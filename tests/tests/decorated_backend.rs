//! A wrapper that counts calls, built from public API only, is as good a store as what it wraps.

#![allow(clippy::unwrap_used, reason = "a test program")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use minutebook::memory::{MemoryCatalog, MemoryDecisionRepository, MemoryTimeSeriesRepository};
use minutebook_core::{
    At, Bar, BatchStream, Capabilities, Catalog, CatalogExt, ChangeStream, DatasetChange,
    DatasetEntry, DatasetFilter, DatasetName, Decision, DecisionFilter, DecisionId, DecisionPage,
    DecisionQuery, DecisionRepository, DecisionRepositoryExt, DecisionState, GroupBy, GroupCount,
    ManualClock, Result, Revision, SaveMode, SaveReceipt, ScanQuery, SeriesFilter, SeriesId,
    SeriesKey, SeriesSummary, StoredDecision, StoredEntry, TimeRange, TimeSeriesRepository,
    TimeSeriesRepositoryExt, Version, WatchFrom, WriteMode, WriteReceipt,
};
use minutebook_testkit::{Harness, test_clock};

/// Any repository, with a count of the calls to each method.
#[derive(Debug)]
struct Counting<R> {
    inner: R,
    calls: Arc<Calls>,
}

#[derive(Debug, Default)]
struct Calls(Mutex<BTreeMap<&'static str, u64>>);

impl Calls {
    fn count(&self, method: &'static str) {
        *self.0.lock().unwrap().entry(method).or_default() += 1;
    }

    fn of(&self, method: &'static str) -> u64 {
        self.0
            .lock()
            .unwrap()
            .get(method)
            .copied()
            .unwrap_or_default()
    }
}

impl<R> Counting<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            calls: Arc::default(),
        }
    }
}

#[async_trait]
impl<R: DecisionRepository> DecisionRepository for Counting<R> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn save(&self, decision: &Decision, mode: SaveMode) -> Result<SaveReceipt> {
        self.calls.count("save");
        self.inner.save(decision, mode).await
    }

    async fn get(&self, id: &DecisionId) -> Result<Option<StoredDecision>> {
        self.calls.count("get");
        self.inner.get(id).await
    }

    async fn query(&self, query: &DecisionQuery) -> Result<DecisionPage> {
        self.calls.count("query");
        self.inner.query(query).await
    }

    async fn count(&self, filter: &DecisionFilter) -> Result<u64> {
        self.calls.count("count");
        self.inner.count(filter).await
    }

    async fn delete(&self, id: &DecisionId) -> Result<bool> {
        self.calls.count("delete");
        self.inner.delete(id).await
    }

    async fn delete_matching(&self, filter: &DecisionFilter) -> Result<u64> {
        self.calls.count("delete_matching");
        self.inner.delete_matching(filter).await
    }

    async fn save_all(&self, decisions: Vec<Decision>, mode: SaveMode) -> Vec<Result<SaveReceipt>> {
        self.calls.count("save_all");
        self.inner.save_all(decisions, mode).await
    }

    async fn delete_seen(&self, seen: Vec<(DecisionId, Revision)>) -> Vec<Result<bool>> {
        self.calls.count("delete_seen");
        self.inner.delete_seen(seen).await
    }

    async fn count_by(&self, filter: &DecisionFilter, by: &GroupBy) -> Result<Vec<GroupCount>> {
        self.calls.count("count_by");
        self.inner.count_by(filter, by).await
    }

    async fn history(&self, id: &DecisionId) -> Result<Vec<DecisionState>> {
        self.calls.count("history");
        self.inner.history(id).await
    }

    async fn get_at(&self, id: &DecisionId, at: &At) -> Result<Option<StoredDecision>> {
        self.calls.count("get_at");
        self.inner.get_at(id, at).await
    }

    async fn watch(&self, from: WatchFrom) -> Result<ChangeStream> {
        self.calls.count("watch");
        self.inner.watch(from).await
    }
}

#[async_trait]
impl<R: TimeSeriesRepository> TimeSeriesRepository for Counting<R> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn write(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt> {
        self.calls.count("write");
        self.inner.write(series, batch, mode).await
    }

    async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
        self.calls.count("scan");
        self.inner.scan(series, query).await
    }

    async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
        self.calls.count("summary");
        self.inner.summary(series).await
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        self.calls.count("list");
        self.inner.list(filter).await
    }

    async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
        self.calls.count("delete");
        self.inner.delete(series, range).await
    }

    async fn declare_key(&self, series: &SeriesId, key: Option<&SeriesKey>) -> Result<Version> {
        self.calls.count("declare_key");
        self.inner.declare_key(series, key).await
    }
}

#[async_trait]
impl<R: Catalog> Catalog for Counting<R> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn register(&self, entry: &DatasetEntry, mode: SaveMode) -> Result<Revision> {
        self.calls.count("register");
        self.inner.register(entry, mode).await
    }

    async fn get(&self, name: &DatasetName) -> Result<Option<StoredEntry>> {
        self.calls.count("get");
        self.inner.get(name).await
    }

    async fn list(&self, filter: &DatasetFilter) -> Result<Vec<StoredEntry>> {
        self.calls.count("list");
        self.inner.list(filter).await
    }

    async fn update(&self, name: &DatasetName, change: &DatasetChange) -> Result<Revision> {
        self.calls.count("update");
        self.inner.update(name, change).await
    }

    async fn rename(&self, name: &DatasetName, to: &DatasetName) -> Result<Revision> {
        self.calls.count("rename");
        self.inner.rename(name, to).await
    }

    async fn remove(&self, name: &DatasetName) -> Result<bool> {
        self.calls.count("remove");
        self.inner.remove(name).await
    }

    async fn remove_seen(&self, name: &DatasetName, seen: &Revision) -> Result<bool> {
        self.calls.count("remove_seen");
        self.inner.remove_seen(name, seen).await
    }
}

/// Stores in memory behind counters, twice over and behind the pointers that forward the traits.
struct Decorated {
    clock: Arc<ManualClock>,
    decisions: MemoryDecisionRepository,
    series: MemoryTimeSeriesRepository,
    catalog: MemoryCatalog,
}

impl Decorated {
    fn make() -> Self {
        let clock = test_clock();
        Self {
            decisions: MemoryDecisionRepository::with_clock(clock.clone()),
            series: MemoryTimeSeriesRepository::with_clock(clock.clone()),
            catalog: MemoryCatalog::with_clock(clock.clone()),
            clock,
        }
    }
}

macro_rules! harness {
    ($($repository:ident from $field:ident,)+) => {
        $(#[async_trait]
        impl Harness<dyn $repository> for Decorated {
            fn new() -> Self {
                Self::make()
            }

            async fn open(&self) -> Result<Arc<dyn $repository>> {
                let inner: Arc<dyn $repository> = Arc::new(Counting::new(self.$field.clone()));
                let boxed: Box<dyn $repository> = Box::new(Counting::new(inner));
                Ok(Arc::new(boxed))
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
}

minutebook_testkit::decision_repository_tests!(Decorated);
minutebook_testkit::time_series_repository_tests!(Decorated);
minutebook_testkit::catalog_tests!(Decorated);

#[tokio::test]
async fn calls_are_counted_those_of_the_shorthands_too() -> Result<()> {
    let decisions = Counting::new(MemoryDecisionRepository::new());
    let id = DecisionId::new("d-1")?;
    decisions.create(&Decision::new(id.clone())).await?;
    decisions.require(&id).await?;
    decisions.recent(10, None).await?;
    decisions.wipe().await?;
    let calls = ["save", "get", "query", "count", "delete", "delete_matching"]
        .map(|method| decisions.calls.of(method));
    assert_eq!(calls, [1, 1, 1, 0, 0, 1]);

    let series = Counting::new(MemoryTimeSeriesRepository::new());
    let hour: SeriesId = "BTCUSD@1h".parse()?;
    let bar = Bar {
        timestamp: minutebook_core::time::from_nanos(0),
        open: 1.0,
        high: 1.0,
        low: 1.0,
        close: 1.0,
        volume: 0.0,
    };
    series.append_bars(&hour, &[bar]).await?;
    series.latest_bar(&hour).await?;
    series.delete(&hour, None).await?;
    let calls =
        ["write", "scan", "summary", "list", "delete"].map(|method| series.calls.of(method));
    assert_eq!(calls, [1, 1, 0, 0, 1]);

    let catalog = Counting::new(MemoryCatalog::new());
    catalog
        .upsert(&DatasetEntry::new("vix".parse()?, "VIX", "vix.parquet"))
        .await?;
    catalog.names(&DatasetFilter::new()).await?;
    let calls =
        ["register", "get", "list", "update", "remove"].map(|method| catalog.calls.of(method));
    assert_eq!(calls, [1, 0, 1, 0, 0]);
    Ok(())
}
