//! Faults by script: a repository that fails before a call, after it, or takes its time.
//!
//! After a fault of the second kind the caller knows as little as after a lost connection or a power cut: the change may be there or
//! not. The model tests run against [`Faulty`] stores and accept either, until a read tells.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use minutebook_core::{
    At, BatchStream, Capabilities, Catalog, ChangeStream, DatasetChange, DatasetEntry,
    DatasetFilter, DatasetName, Decision, DecisionFilter, DecisionId, DecisionPage, DecisionQuery,
    DecisionRepository, DecisionState, Error, ErrorKind, GroupBy, GroupCount, Result, Revision,
    SaveMode, SaveReceipt, ScanQuery, SeriesFilter, SeriesId, SeriesKey, SeriesSummary,
    StoredDecision, StoredEntry, TimeRange, TimeSeriesRepository, Version, WatchFrom, WriteMode,
    WriteReceipt,
};

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: the call goes through.
    None,
    /// It fails with `Unavailable` before it takes effect.
    Before,
    /// It takes effect and then fails with `Unavailable`: the caller cannot tell it from `Before`.
    After,
    /// It waits so long and then goes through.
    Delay(Duration),
}

/// What happens to the calls to come, one after another; when it is used up, nothing does. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<VecDeque<Fault>>>);

impl Script {
    /// A script of these faults, one for each call.
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self(Arc::new(Mutex::new(faults.into_iter().collect())))
    }

    /// Adds what happens after all that is planned so far.
    pub fn push(&self, fault: Fault) {
        self.queue().push_back(fault);
    }

    /// How many calls it still covers.
    pub fn remaining(&self) -> usize {
        self.queue().len()
    }

    fn next(&self) -> Fault {
        self.queue().pop_front().unwrap_or(Fault::None)
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const MESSAGE: &str = "injected fault";

/// Whether an error comes from a [`Script`] and not from the store behind it.
pub fn is_injected(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.message().starts_with(MESSAGE)
}

/// A repository whose calls meet the faults of a [`Script`].
///
/// ```
/// use std::sync::Arc;
/// use minutebook_core::DecisionRepository;
/// use minutebook_testkit::faults::{Fault, Faulty, Script};
///
/// fn flaky(store: Arc<dyn DecisionRepository>) -> Arc<dyn DecisionRepository> {
///     // The first call goes through, the second is applied but reported as failed.
///     Arc::new(Faulty::new(store, Script::new([Fault::None, Fault::After])))
/// }
/// ```
#[derive(Debug)]
pub struct Faulty<R> {
    inner: R,
    script: Script,
}

impl<R> Faulty<R> {
    /// Puts the script between a caller and the repository.
    pub fn new(inner: R, script: Script) -> Self {
        Self { inner, script }
    }

    async fn meet<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match self.script.next() {
            Fault::None => call.await,
            Fault::Before => Err(fault("before", operation)),
            Fault::After => {
                // An error of the call's own is the answer; there is nothing to hide then.
                call.await?;
                Err(fault("after", operation))
            }
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                call.await
            }
        }
    }
}

impl<R> Faulty<R> {
    /// As [`meet`](Self::meet), for a call of many items: what happens to the call happens to each of them.
    async fn meet_all<T>(
        &self,
        operation: &'static str,
        items: usize,
        call: impl Future<Output = Vec<Result<T>>>,
    ) -> Vec<Result<T>> {
        let all = |when| (0..items).map(|_| Err(fault(when, operation))).collect();
        match self.script.next() {
            Fault::None => call.await,
            Fault::Before => all("before"),
            Fault::After => {
                let hidden = |result: Result<T>| result.and(Err(fault("after", operation)));
                call.await.into_iter().map(hidden).collect()
            }
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                call.await
            }
        }
    }
}

fn fault(when: &str, operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{MESSAGE} {when} the call"))
        .with_backend("faulty")
        .with_operation(operation)
}

#[async_trait]
impl<R: DecisionRepository> DecisionRepository for Faulty<R> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn save(&self, decision: &Decision, mode: SaveMode) -> Result<SaveReceipt> {
        self.meet("save", self.inner.save(decision, mode)).await
    }

    async fn get(&self, id: &DecisionId) -> Result<Option<StoredDecision>> {
        self.meet("get", self.inner.get(id)).await
    }

    async fn query(&self, query: &DecisionQuery) -> Result<DecisionPage> {
        self.meet("query", self.inner.query(query)).await
    }

    async fn count(&self, filter: &DecisionFilter) -> Result<u64> {
        self.meet("count", self.inner.count(filter)).await
    }

    async fn delete(&self, id: &DecisionId) -> Result<bool> {
        self.meet("delete", self.inner.delete(id)).await
    }

    async fn delete_matching(&self, filter: &DecisionFilter) -> Result<u64> {
        self.meet("delete_matching", self.inner.delete_matching(filter))
            .await
    }

    async fn save_all(&self, decisions: Vec<Decision>, mode: SaveMode) -> Vec<Result<SaveReceipt>> {
        let items = decisions.len();
        self.meet_all("save_all", items, self.inner.save_all(decisions, mode))
            .await
    }

    async fn delete_seen(&self, seen: Vec<(DecisionId, Revision)>) -> Vec<Result<bool>> {
        let items = seen.len();
        self.meet_all("delete_seen", items, self.inner.delete_seen(seen))
            .await
    }

    async fn count_by(&self, filter: &DecisionFilter, by: &GroupBy) -> Result<Vec<GroupCount>> {
        self.meet("count_by", self.inner.count_by(filter, by)).await
    }

    async fn history(&self, id: &DecisionId) -> Result<Vec<DecisionState>> {
        self.meet("history", self.inner.history(id)).await
    }

    async fn get_at(&self, id: &DecisionId, at: &At) -> Result<Option<StoredDecision>> {
        self.meet("get_at", self.inner.get_at(id, at)).await
    }

    async fn watch(&self, from: WatchFrom) -> Result<ChangeStream> {
        self.meet("watch", self.inner.watch(from)).await
    }
}

#[async_trait]
impl<R: TimeSeriesRepository> TimeSeriesRepository for Faulty<R> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn write(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt> {
        self.meet("write", self.inner.write(series, batch, mode))
            .await
    }

    async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
        self.meet("scan", self.inner.scan(series, query)).await
    }

    async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
        self.meet("summary", self.inner.summary(series)).await
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        self.meet("list", self.inner.list(filter)).await
    }

    async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
        self.meet("delete", self.inner.delete(series, range)).await
    }

    async fn declare_key(&self, series: &SeriesId, key: Option<&SeriesKey>) -> Result<Version> {
        self.meet("declare_key", self.inner.declare_key(series, key))
            .await
    }
}

#[async_trait]
impl<R: Catalog> Catalog for Faulty<R> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn register(&self, entry: &DatasetEntry, mode: SaveMode) -> Result<Revision> {
        self.meet("register", self.inner.register(entry, mode))
            .await
    }

    async fn get(&self, name: &DatasetName) -> Result<Option<StoredEntry>> {
        self.meet("get", self.inner.get(name)).await
    }

    async fn list(&self, filter: &DatasetFilter) -> Result<Vec<StoredEntry>> {
        self.meet("list", self.inner.list(filter)).await
    }

    async fn update(&self, name: &DatasetName, change: &DatasetChange) -> Result<Revision> {
        self.meet("update", self.inner.update(name, change)).await
    }

    async fn rename(&self, name: &DatasetName, to: &DatasetName) -> Result<Revision> {
        self.meet("rename", self.inner.rename(name, to)).await
    }

    async fn remove(&self, name: &DatasetName) -> Result<bool> {
        self.meet("remove", self.inner.remove(name)).await
    }

    async fn remove_seen(&self, name: &DatasetName, seen: &Revision) -> Result<bool> {
        self.meet("remove_seen", self.inner.remove_seen(name, seen))
            .await
    }
}
