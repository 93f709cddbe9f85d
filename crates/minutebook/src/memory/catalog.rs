//! A catalog in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use minutebook_core::{
    Capabilities, Capability, Catalog, Clock, DatasetChange, DatasetEntry, DatasetFilter,
    DatasetName, Error, ErrorKind, Result, Revision, SaveMode, StoredEntry, SystemClock,
};

use super::{BACKEND, Counter, check_expected};

/// A [`Catalog`] in memory, for tests and for trying things out: the semantics of the catalog on disk, gone when the last clone
/// is dropped.
///
/// Clones share one catalog, as several handles on one file do.
///
/// ```
/// use minutebook::memory::MemoryCatalog;
/// use minutebook_core::{Catalog, CatalogExt, DatasetEntry};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let catalog = MemoryCatalog::new();
/// catalog.upsert(&DatasetEntry::new("vix".parse()?, "VIX", "data/vix.parquet")).await?;
/// assert!(catalog.require(&"vix".parse()?).await?.entry.registered_at.is_some());
/// # Ok::<_, minutebook_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct MemoryCatalog {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<DatasetName, StoredEntry>,
    changes: Counter,
}

impl MemoryCatalog {
    /// An empty catalog after the system's clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty catalog after this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change panics half way, so a poisoned lock guards a sound state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryCatalog {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn register(
        &mut self,
        entry: &DatasetEntry,
        mode: &SaveMode,
        clock: &dyn Clock,
    ) -> Result<Revision> {
        entry.check()?;
        let stored = self.entries.get(&entry.name);
        match (mode, stored) {
            (SaveMode::Create, Some(_)) => {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    "there is a dataset of this name already; update it or use another name",
                ));
            }
            (SaveMode::Update { .. }, None) => return Err(missing()),
            (SaveMode::Update { expected }, Some(stored)) => {
                check_expected(expected.as_ref(), &stored.revision)?;
            }
            (SaveMode::Create, None) | (SaveMode::Upsert, _) => {}
        }
        let mut entry = entry.clone();
        if entry.registered_at.is_none() {
            // What was registered before stays registered since then.
            entry.registered_at = match stored {
                Some(stored) => stored.entry.registered_at.clone(),
                None => Some(clock.now().into()),
            };
        }
        match stored {
            Some(stored) if stored.entry == entry => Ok(stored.revision.clone()),
            _ => self.put(entry),
        }
    }

    fn update(
        &mut self,
        name: &DatasetName,
        change: &DatasetChange,
        clock: &dyn Clock,
    ) -> Result<Revision> {
        change.check()?;
        let stored = self.entries.get(name).ok_or_else(missing)?;
        check_expected(change.expected.as_ref(), &stored.revision)?;
        let mut entry = stored.entry.clone();
        if !change.apply(&mut entry, clock.now()) {
            return Ok(stored.revision.clone());
        }
        self.put(entry)
    }

    fn rename(&mut self, name: &DatasetName, to: &DatasetName) -> Result<Revision> {
        let stored = self.entries.get(name).ok_or_else(missing)?;
        if name == to {
            return Ok(stored.revision.clone());
        }
        if self.entries.contains_key(to) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("there is a dataset \"{to}\" already; use another name"),
            ));
        }
        let mut entry = stored.entry.clone();
        entry.name = to.clone();
        entry.rename_parent(name, to);
        self.entries.remove(name);
        let mut children: Vec<DatasetEntry> = Vec::new();
        for stored in self.entries.values() {
            let mut child = stored.entry.clone();
            if child.rename_parent(name, to) {
                children.push(child);
            }
        }
        for child in children {
            self.put(child)?;
        }
        self.put(entry)
    }

    fn remove_seen(&mut self, name: &DatasetName, seen: &Revision) -> Result<bool> {
        let Some(stored) = self.entries.get(name) else {
            return Ok(false);
        };
        check_expected(Some(seen), &stored.revision)?;
        Ok(self.entries.remove(name).is_some())
    }

    fn put(&mut self, entry: DatasetEntry) -> Result<Revision> {
        let revision = Revision::new(self.changes.next().to_string())?;
        let stored = StoredEntry {
            entry,
            revision: revision.clone(),
        };
        self.entries.insert(stored.entry.name.clone(), stored);
        Ok(revision)
    }
}

fn missing() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "there is no such dataset in the catalog",
    )
}

fn located(error: Error, operation: &'static str, name: &DatasetName) -> Error {
    error
        .with_backend(BACKEND)
        .with_operation(operation)
        .with_resource(name)
}

#[async_trait]
impl Catalog for MemoryCatalog {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Shared, Capability::Revisions])
    }

    async fn register(&self, entry: &DatasetEntry, mode: SaveMode) -> Result<Revision> {
        let registered = self.state().register(entry, &mode, &*self.clock);
        registered.map_err(|error| located(error, "register", &entry.name))
    }

    async fn get(&self, name: &DatasetName) -> Result<Option<StoredEntry>> {
        Ok(self.state().entries.get(name).cloned())
    }

    async fn list(&self, filter: &DatasetFilter) -> Result<Vec<StoredEntry>> {
        let state = self.state();
        let matching = state
            .entries
            .values()
            .filter(|stored| filter.matches(&stored.entry));
        Ok(matching.cloned().collect())
    }

    async fn update(&self, name: &DatasetName, change: &DatasetChange) -> Result<Revision> {
        let updated = self.state().update(name, change, &*self.clock);
        updated.map_err(|error| located(error, "update", name))
    }

    async fn rename(&self, name: &DatasetName, to: &DatasetName) -> Result<Revision> {
        let renamed = self.state().rename(name, to);
        renamed.map_err(|error| located(error, "rename", name))
    }

    async fn remove(&self, name: &DatasetName) -> Result<bool> {
        Ok(self.state().entries.remove(name).is_some())
    }

    async fn remove_seen(&self, name: &DatasetName, seen: &Revision) -> Result<bool> {
        let removed = self.state().remove_seen(name, seen);
        removed.map_err(|error| located(error, "remove_seen", name))
    }
}
