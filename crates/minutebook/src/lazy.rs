//! A repository that is opened when it is first needed, so that opening and reading a store makes nothing on disk.
//!
//! As long as its place does not exist, reads answer as an empty repository would; the first write makes the place.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use minutebook_fs::Fs;

use crate::{
    At, BatchStream, Capabilities, Capability, Catalog, ChangeStream, DatasetChange, DatasetEntry,
    DatasetFilter, DatasetName, Decision, DecisionFilter, DecisionId, DecisionPage, DecisionQuery,
    DecisionRepository, DecisionState, Error, ErrorKind, GroupBy, GroupCount, Result, Revision,
    SaveMode, SaveReceipt, ScanQuery, SeriesFilter, SeriesId, SeriesKey, SeriesSummary,
    StoredDecision, StoredEntry, TimeRange, TimeSeriesRepository, Version, WatchFrom, WriteMode,
    WriteReceipt,
};
use crate::{DocumentFilter, DocumentInfo, DocumentName, DocumentRepository, StoredDocument};

type Open<T> = dyn Fn(&Path) -> Result<T> + Send + Sync;

/// A repository at a place that may not exist yet.
pub(crate) struct Lazy<T> {
    fs: Arc<dyn Fs>,
    place: PathBuf,
    capabilities: Capabilities,
    open: Box<Open<T>>,
    opening: Mutex<()>,
    opened: OnceLock<Arc<T>>,
}

impl<T> fmt::Debug for Lazy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lazy")
            .field("place", &self.place)
            .field("opened", &self.opened.get().is_some())
            .finish_non_exhaustive()
    }
}

impl<T> Lazy<T> {
    /// A repository that `open` opens at `place`, which is a directory or a file. `capabilities` answers until then.
    pub(crate) fn new(
        fs: &Arc<dyn Fs>,
        place: &Path,
        capabilities: Capabilities,
        open: impl Fn(&Path) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        Self {
            fs: Arc::clone(fs),
            place: place.to_owned(),
            capabilities,
            open: Box::new(open),
            opening: Mutex::new(()),
            opened: OnceLock::new(),
        }
    }

    /// A repository that is open already.
    #[cfg(all(feature = "jsonl", feature = "parquet"))]
    pub(crate) fn ready(repository: T) -> Self {
        let opened = OnceLock::new();
        let _ = opened.set(Arc::new(repository));
        Self {
            fs: Arc::new(minutebook_fs::OsFs),
            place: PathBuf::new(),
            capabilities: Capabilities::default(),
            open: Box::new(|_| Err(Error::unsupported("it is open already"))),
            opening: Mutex::new(()),
            opened,
        }
    }

    /// The repository, opened if its place exists. `None` is an empty one.
    pub(crate) fn existing(&self) -> Result<Option<&Arc<T>>> {
        if let Some(opened) = self.opened.get() {
            return Ok(Some(opened));
        }
        // A link counts as what it leads to.
        match self.fs.canonicalize(&self.place) {
            Ok(_) => self.opened().map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(crate::error::io("open", &self.place, error)),
        }
    }

    /// The repository; its place is made if it does not exist.
    pub(crate) fn opened(&self) -> Result<&Arc<T>> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        // One thread opens, and the others take what it opened. A panic while opening leaves nothing half done here.
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let repository = Arc::new((self.open)(&self.place)?);
        Ok(self.opened.get_or_init(|| repository))
    }
}

fn not_there(what: &str, operation: &'static str, name: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no such {what}"))
        .with_operation(operation)
        .with_resource(name)
}

/// What kept a whole batch from being tried, for one item of it.
fn again(error: &Error, operation: &'static str, name: &dyn fmt::Display) -> Error {
    Error::new(error.kind(), error.to_string())
        .with_operation(operation)
        .with_resource(name)
}

#[async_trait]
impl<T: DecisionRepository> DecisionRepository for Lazy<T> {
    fn capabilities(&self) -> Capabilities {
        self.opened
            .get()
            .map_or(self.capabilities, DecisionRepository::capabilities)
    }

    async fn save(&self, decision: &Decision, mode: SaveMode) -> Result<SaveReceipt> {
        if matches!(mode, SaveMode::Update { .. }) && self.existing()?.is_none() {
            return Err(not_there("decision", "save", decision.id()));
        }
        self.opened()?.save(decision, mode).await
    }

    async fn get(&self, id: &DecisionId) -> Result<Option<StoredDecision>> {
        match self.existing()? {
            Some(repository) => repository.get(id).await,
            None => Ok(None),
        }
    }

    async fn query(&self, query: &DecisionQuery) -> Result<DecisionPage> {
        match self.existing()? {
            Some(repository) => repository.query(query).await,
            None => query.check().map(|()| DecisionPage::default()),
        }
    }

    async fn count(&self, filter: &DecisionFilter) -> Result<u64> {
        match self.existing()? {
            Some(repository) => repository.count(filter).await,
            None => Ok(0),
        }
    }

    async fn delete(&self, id: &DecisionId) -> Result<bool> {
        match self.existing()? {
            Some(repository) => repository.delete(id).await,
            None => Ok(false),
        }
    }

    async fn delete_matching(&self, filter: &DecisionFilter) -> Result<u64> {
        match self.existing()? {
            Some(repository) => repository.delete_matching(filter).await,
            None => Ok(0),
        }
    }

    async fn save_all(&self, decisions: Vec<Decision>, mode: SaveMode) -> Vec<Result<SaveReceipt>> {
        const OPERATION: &str = "save_all";
        let updates = matches!(mode, SaveMode::Update { .. });
        let repository = match self.existing() {
            Ok(None) if !updates => self.opened().map(Some),
            other => other,
        };
        match repository {
            Ok(Some(repository)) => repository.save_all(decisions, mode).await,
            Ok(None) => decisions
                .iter()
                .map(|decision| Err(not_there("decision", OPERATION, decision.id())))
                .collect(),
            Err(error) => decisions
                .iter()
                .map(|decision| Err(again(&error, OPERATION, decision.id())))
                .collect(),
        }
    }

    async fn delete_seen(&self, seen: Vec<(DecisionId, Revision)>) -> Vec<Result<bool>> {
        match self.existing() {
            Ok(Some(repository)) => repository.delete_seen(seen).await,
            Ok(None) => seen.iter().map(|_| Ok(false)).collect(),
            Err(error) => seen
                .iter()
                .map(|(id, _)| Err(again(&error, "delete_seen", id)))
                .collect(),
        }
    }

    async fn count_by(&self, filter: &DecisionFilter, by: &GroupBy) -> Result<Vec<GroupCount>> {
        match self.existing()? {
            Some(repository) => repository.count_by(filter, by).await,
            None => by.check().map(|()| Vec::new()),
        }
    }

    async fn history(&self, id: &DecisionId) -> Result<Vec<DecisionState>> {
        match self.existing()? {
            Some(repository) => repository.history(id).await,
            // What the backend will refuse is refused before there is anything, too.
            None if !self.capabilities.has(Capability::History) => {
                Err(Error::unsupported("earlier states are not kept here")
                    .with_operation("history")
                    .with_resource(id))
            }
            None => Ok(Vec::new()),
        }
    }

    async fn get_at(&self, id: &DecisionId, at: &At) -> Result<Option<StoredDecision>> {
        match self.existing()? {
            Some(repository) => repository.get_at(id, at).await,
            None => self.history(id).await.map(|_| None),
        }
    }

    async fn watch(&self, from: WatchFrom) -> Result<ChangeStream> {
        if !self.capabilities.has(Capability::Watch) {
            // The backend says why.
            return match self.existing()? {
                Some(repository) => repository.watch(from).await,
                None => {
                    Err(Error::unsupported("changes are not told of here").with_operation("watch"))
                }
            };
        }
        // There has to be a place before anything can be followed in it.
        self.opened()?.watch(from).await
    }
}

#[async_trait]
impl<T: TimeSeriesRepository> TimeSeriesRepository for Lazy<T> {
    fn capabilities(&self) -> Capabilities {
        self.opened
            .get()
            .map_or(self.capabilities, TimeSeriesRepository::capabilities)
    }

    async fn write(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt> {
        self.opened()?.write(series, batch, mode).await
    }

    async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
        match self.existing()? {
            Some(repository) => repository.scan(series, query).await,
            None => Err(not_there("series", "scan", series)),
        }
    }

    async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
        match self.existing()? {
            Some(repository) => repository.summary(series).await,
            None => Ok(None),
        }
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        match self.existing()? {
            Some(repository) => repository.list(filter).await,
            None => Ok(Vec::new()),
        }
    }

    async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
        match self.existing()? {
            Some(repository) => repository.delete(series, range).await,
            // What the backend will refuse is refused before there is anything, too.
            None if range.is_some() && !self.capabilities.has(Capability::DeleteRange) => {
                Err(Error::unsupported("a range cannot be deleted here")
                    .with_operation("delete")
                    .with_resource(series))
            }
            None => Ok(0),
        }
    }

    async fn declare_key(&self, series: &SeriesId, key: Option<&SeriesKey>) -> Result<Version> {
        if !self.capabilities.has(Capability::Key) {
            return Err(Error::unsupported("upserts go by timestamp here")
                .with_operation("declare_key")
                .with_resource(series));
        }
        self.opened()?.declare_key(series, key).await
    }
}

#[async_trait]
impl<T: Catalog> Catalog for Lazy<T> {
    fn capabilities(&self) -> Capabilities {
        self.opened
            .get()
            .map_or(self.capabilities, Catalog::capabilities)
    }

    async fn register(&self, entry: &DatasetEntry, mode: SaveMode) -> Result<Revision> {
        if matches!(mode, SaveMode::Update { .. }) && self.existing()?.is_none() {
            return Err(not_there("dataset", "register", &entry.name));
        }
        self.opened()?.register(entry, mode).await
    }

    async fn get(&self, name: &DatasetName) -> Result<Option<StoredEntry>> {
        match self.existing()? {
            Some(catalog) => catalog.get(name).await,
            None => Ok(None),
        }
    }

    async fn list(&self, filter: &DatasetFilter) -> Result<Vec<StoredEntry>> {
        match self.existing()? {
            Some(catalog) => catalog.list(filter).await,
            None => Ok(Vec::new()),
        }
    }

    async fn update(&self, name: &DatasetName, change: &DatasetChange) -> Result<Revision> {
        match self.existing()? {
            Some(catalog) => catalog.update(name, change).await,
            None => Err(not_there("dataset", "update", name)),
        }
    }

    async fn rename(&self, name: &DatasetName, to: &DatasetName) -> Result<Revision> {
        match self.existing()? {
            Some(catalog) => catalog.rename(name, to).await,
            None => Err(not_there("dataset", "rename", name)),
        }
    }

    async fn remove(&self, name: &DatasetName) -> Result<bool> {
        match self.existing()? {
            Some(catalog) => catalog.remove(name).await,
            None => Ok(false),
        }
    }

    async fn remove_seen(&self, name: &DatasetName, seen: &Revision) -> Result<bool> {
        match self.existing()? {
            Some(catalog) => catalog.remove_seen(name, seen).await,
            None => Ok(false),
        }
    }
}

#[async_trait]
impl<T: DocumentRepository> DocumentRepository for Lazy<T> {
    fn capabilities(&self) -> Capabilities {
        self.opened
            .get()
            .map_or(self.capabilities, DocumentRepository::capabilities)
    }

    async fn save(&self, name: &DocumentName, text: &str) -> Result<()> {
        self.opened()?.save(name, text).await
    }

    async fn get(&self, name: &DocumentName) -> Result<Option<StoredDocument>> {
        match self.existing()? {
            Some(documents) => documents.get(name).await,
            None => Ok(None),
        }
    }

    async fn list(&self, filter: &DocumentFilter) -> Result<Vec<DocumentInfo>> {
        match self.existing()? {
            Some(documents) => documents.list(filter).await,
            None => Ok(Vec::new()),
        }
    }

    async fn delete(&self, name: &DocumentName) -> Result<bool> {
        match self.existing()? {
            Some(documents) => documents.delete(name).await,
            None => Ok(false),
        }
    }
}
