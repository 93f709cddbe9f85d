//! Stores that can do less and say so pass every case: the suite does not ask for what is not claimed.

use std::sync::Arc;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use minutebook::memory::{MemoryCatalog, MemoryDecisionRepository, MemoryTimeSeriesRepository};
use minutebook_core::{
    BatchStream, Capabilities, Capability, Catalog, ChangeStream, DatasetChange, DatasetEntry,
    DatasetFilter, DatasetName, Decision, DecisionFilter, DecisionId, DecisionPage, DecisionQuery,
    DecisionRepository, DecisionState, Error, Result, Revision, SaveMode, SaveReceipt, ScanQuery,
    SeriesFilter, SeriesId, SeriesKey, SeriesSummary, Snapshot, StoredDecision, StoredEntry,
    TimeRange, TimeSeriesRepository, Version, WatchFrom, WriteMode, WriteReceipt,
};
use minutebook_testkit::{CATALOG_CASES, DECISION_CASES, Harness, SERIES_CASES};

use super::failing;

/// A store that refuses what needs one capability.
#[derive(Debug, Clone)]
struct Without<R> {
    inner: R,
    missing: Capability,
}

impl<R> Without<R> {
    fn claims(&self, inner: Capabilities) -> Capabilities {
        let left: Vec<_> = inner
            .iter()
            .filter(|claimed| *claimed != self.missing)
            .collect();
        Capabilities::of(&left)
    }

    fn refuse(&self, needed: Capability, asked: bool) -> Result<()> {
        if asked && needed == self.missing {
            return Err(Error::unsupported(format!(
                "{} is not for this store",
                needed.name()
            )));
        }
        Ok(())
    }
}

#[async_trait]
impl DecisionRepository for Without<MemoryDecisionRepository> {
    fn capabilities(&self) -> Capabilities {
        self.claims(self.inner.capabilities())
    }

    async fn save(&self, decision: &Decision, mode: SaveMode) -> Result<SaveReceipt> {
        self.refuse(
            Capability::Revisions,
            matches!(mode, SaveMode::Update { expected: Some(_) }),
        )?;
        self.inner.save(decision, mode).await
    }

    async fn get(&self, id: &DecisionId) -> Result<Option<StoredDecision>> {
        self.inner.get(id).await
    }

    async fn query(&self, query: &DecisionQuery) -> Result<DecisionPage> {
        self.inner.query(query).await
    }

    async fn count(&self, filter: &DecisionFilter) -> Result<u64> {
        self.inner.count(filter).await
    }

    async fn delete(&self, id: &DecisionId) -> Result<bool> {
        self.inner.delete(id).await
    }

    async fn delete_matching(&self, filter: &DecisionFilter) -> Result<u64> {
        self.inner.delete_matching(filter).await
    }

    async fn delete_seen(&self, seen: Vec<(DecisionId, Revision)>) -> Vec<Result<bool>> {
        if let Err(error) = self.refuse(Capability::Revisions, true) {
            let again = |_| Err(Error::new(error.kind(), error.message()));
            return seen.iter().map(again).collect();
        }
        self.inner.delete_seen(seen).await
    }

    async fn history(&self, id: &DecisionId) -> Result<Vec<DecisionState>> {
        self.refuse(Capability::History, true)?;
        self.inner.history(id).await
    }

    async fn watch(&self, from: WatchFrom) -> Result<ChangeStream> {
        self.refuse(Capability::Watch, true)?;
        self.inner.watch(from).await
    }
}

#[async_trait]
impl TimeSeriesRepository for Without<MemoryTimeSeriesRepository> {
    fn capabilities(&self) -> Capabilities {
        self.claims(self.inner.capabilities())
    }

    async fn write(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt> {
        self.refuse(Capability::Upsert, matches!(mode, WriteMode::Upsert { .. }))?;
        self.refuse(
            Capability::ReplaceRange,
            matches!(mode, WriteMode::ReplaceRange(_)),
        )?;
        self.inner.write(series, batch, mode).await
    }

    async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
        self.refuse(Capability::AsOf, query.snapshot != Snapshot::Latest)?;
        let turned = query.direction != minutebook_core::Direction::OldestFirst;
        self.refuse(Capability::NewestFirst, turned)?;
        self.inner.scan(series, query).await
    }

    async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
        self.inner.summary(series).await
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        self.inner.list(filter).await
    }

    async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
        self.refuse(Capability::DeleteRange, range.is_some())?;
        self.inner.delete(series, range).await
    }

    async fn declare_key(&self, series: &SeriesId, key: Option<&SeriesKey>) -> Result<Version> {
        self.refuse(Capability::Key, true)?;
        self.inner.declare_key(series, key).await
    }
}

#[async_trait]
impl Catalog for Without<MemoryCatalog> {
    fn capabilities(&self) -> Capabilities {
        self.claims(self.inner.capabilities())
    }

    async fn register(&self, entry: &DatasetEntry, mode: SaveMode) -> Result<Revision> {
        self.refuse(
            Capability::Revisions,
            matches!(mode, SaveMode::Update { expected: Some(_) }),
        )?;
        self.inner.register(entry, mode).await
    }

    async fn get(&self, name: &DatasetName) -> Result<Option<StoredEntry>> {
        self.inner.get(name).await
    }

    async fn list(&self, filter: &DatasetFilter) -> Result<Vec<StoredEntry>> {
        self.inner.list(filter).await
    }

    async fn update(&self, name: &DatasetName, change: &DatasetChange) -> Result<Revision> {
        self.refuse(Capability::Revisions, change.expected.is_some())?;
        self.inner.update(name, change).await
    }

    async fn rename(&self, name: &DatasetName, to: &DatasetName) -> Result<Revision> {
        self.inner.rename(name, to).await
    }

    async fn remove(&self, name: &DatasetName) -> Result<bool> {
        self.inner.remove(name).await
    }

    async fn remove_seen(&self, name: &DatasetName, seen: &Revision) -> Result<bool> {
        self.refuse(Capability::Revisions, true)?;
        self.inner.remove_seen(name, seen).await
    }
}

macro_rules! harness {
    ($($repository:ident over $store:ident,)+) => {
        $(#[async_trait]
        impl Harness<dyn $repository> for Without<$store> {
            fn new() -> Self {
                Self { inner: $store::new(), missing: Capability::Shared }
            }

            async fn open(&self) -> Result<Arc<dyn $repository>> {
                Ok(Arc::new(self.clone()))
            }
        })+
    };
}

harness! {
    DecisionRepository over MemoryDecisionRepository,
    TimeSeriesRepository over MemoryTimeSeriesRepository,
    Catalog over MemoryCatalog,
}

#[test]
fn decisions_with_less() {
    for missing in MemoryDecisionRepository::new().capabilities().iter() {
        let failed = failing(DECISION_CASES, || {
            let inner = MemoryDecisionRepository::new();
            Arc::new(Without { inner, missing })
        });
        assert!(failed.is_empty(), "without {}: {failed:?}", missing.name());
    }
}

#[test]
fn series_with_less() {
    let all = MemoryTimeSeriesRepository::new().capabilities();
    let refusable = all.iter().filter(|capability| {
        ![Capability::TimeOrdered, Capability::ExactTypes].contains(capability)
    });
    for missing in refusable {
        let new = || {
            let inner = MemoryTimeSeriesRepository::new();
            Arc::new(Without { inner, missing }) as Arc<dyn Harness<dyn TimeSeriesRepository>>
        };
        let failed = failing(SERIES_CASES, new);
        assert!(failed.is_empty(), "without {}: {failed:?}", missing.name());
        minutebook_testkit::series::random_histories(&new).unwrap();
    }
}

#[test]
fn catalogs_with_less() {
    for missing in [Capability::Revisions, Capability::Shared] {
        let new = || {
            let inner = MemoryCatalog::new();
            Arc::new(Without { inner, missing }) as Arc<dyn Harness<dyn Catalog>>
        };
        let failed = failing(CATALOG_CASES, new);
        assert!(failed.is_empty(), "without {}: {failed:?}", missing.name());
        minutebook_testkit::catalog::random_histories(&new).unwrap();
    }
}
