//! What stands in for a repository whose feature is not built in: every call answers `Unsupported` and says which feature it takes.

use arrow_array::RecordBatch;
use async_trait::async_trait;

use crate::{
    BatchStream, Capabilities, Catalog, ChangeStream, DatasetChange, DatasetEntry, DatasetFilter,
    DatasetName, Decision, DecisionFilter, DecisionId, DecisionPage, DecisionQuery,
    DecisionRepository, DecisionState, Error, Result, Revision, SaveMode, SaveReceipt, ScanQuery,
    SeriesFilter, SeriesId, SeriesKey, SeriesSummary, StoredDecision, StoredEntry, TimeRange,
    TimeSeriesRepository, Version, WatchFrom, WriteMode, WriteReceipt,
};
use crate::{DocumentFilter, DocumentInfo, DocumentName, DocumentRepository, StoredDocument};

/// A repository that is not there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Absent {
    /// What it would keep.
    pub(crate) what: &'static str,
    /// The feature of this crate that brings it.
    pub(crate) feature: &'static str,
}

impl Absent {
    fn error<T>(self) -> Result<T> {
        Err(Error::unsupported(format!(
            "this program was built without the feature \"{}\" of the crate minutebook, which keeps {}",
            self.feature, self.what
        )))
    }
}

#[async_trait]
impl DecisionRepository for Absent {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn save(&self, _: &Decision, _: SaveMode) -> Result<SaveReceipt> {
        self.error()
    }

    async fn get(&self, _: &DecisionId) -> Result<Option<StoredDecision>> {
        self.error()
    }

    async fn query(&self, _: &DecisionQuery) -> Result<DecisionPage> {
        self.error()
    }

    async fn count(&self, _: &DecisionFilter) -> Result<u64> {
        self.error()
    }

    async fn delete(&self, _: &DecisionId) -> Result<bool> {
        self.error()
    }

    async fn delete_matching(&self, _: &DecisionFilter) -> Result<u64> {
        self.error()
    }

    async fn delete_seen(&self, seen: Vec<(DecisionId, Revision)>) -> Vec<Result<bool>> {
        seen.iter().map(|_| self.error()).collect()
    }

    async fn history(&self, _: &DecisionId) -> Result<Vec<DecisionState>> {
        self.error()
    }

    async fn watch(&self, _: WatchFrom) -> Result<ChangeStream> {
        self.error()
    }
}

#[async_trait]
impl TimeSeriesRepository for Absent {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn write(&self, _: &SeriesId, _: RecordBatch, _: WriteMode) -> Result<WriteReceipt> {
        self.error()
    }

    async fn scan(&self, _: &SeriesId, _: &ScanQuery) -> Result<BatchStream> {
        self.error()
    }

    async fn summary(&self, _: &SeriesId) -> Result<Option<SeriesSummary>> {
        self.error()
    }

    async fn list(&self, _: &SeriesFilter) -> Result<Vec<SeriesId>> {
        self.error()
    }

    async fn delete(&self, _: &SeriesId, _: Option<TimeRange>) -> Result<u64> {
        self.error()
    }

    async fn declare_key(&self, _: &SeriesId, _: Option<&SeriesKey>) -> Result<Version> {
        self.error()
    }
}

#[async_trait]
impl Catalog for Absent {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn register(&self, _: &DatasetEntry, _: SaveMode) -> Result<Revision> {
        self.error()
    }

    async fn get(&self, _: &DatasetName) -> Result<Option<StoredEntry>> {
        self.error()
    }

    async fn list(&self, _: &DatasetFilter) -> Result<Vec<StoredEntry>> {
        self.error()
    }

    async fn update(&self, _: &DatasetName, _: &DatasetChange) -> Result<Revision> {
        self.error()
    }

    async fn rename(&self, _: &DatasetName, _: &DatasetName) -> Result<Revision> {
        self.error()
    }

    async fn remove(&self, _: &DatasetName) -> Result<bool> {
        self.error()
    }

    async fn remove_seen(&self, _: &DatasetName, _: &Revision) -> Result<bool> {
        self.error()
    }
}

#[async_trait]
impl DocumentRepository for Absent {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn save(&self, _: &DocumentName, _: &str) -> Result<()> {
        self.error()
    }

    async fn get(&self, _: &DocumentName) -> Result<Option<StoredDocument>> {
        self.error()
    }

    async fn list(&self, _: &DocumentFilter) -> Result<Vec<DocumentInfo>> {
        self.error()
    }

    async fn delete(&self, _: &DocumentName) -> Result<bool> {
        self.error()
    }
}
