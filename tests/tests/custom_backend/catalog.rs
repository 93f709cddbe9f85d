//! A catalog in a log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use minutebook_core::{
    Capabilities, Capability, Catalog, Clock, DatasetChange, DatasetEntry, DatasetFilter,
    DatasetName, Error, ErrorKind, Result, Revision, SaveMode, StoredEntry,
};
use serde_json::{Value, json};

use crate::log::{BACKEND, Log, damaged};

/// A [`Catalog`] over one file.
#[derive(Debug)]
pub(crate) struct LogCatalog {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    log: Log,
    entries: BTreeMap<DatasetName, StoredEntry>,
    /// Counts the changes, so that no revision is given twice.
    changes: u64,
}

impl LogCatalog {
    /// Opens the catalog, and makes it if it is missing.
    pub(crate) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let (log, lines) = Log::open(path)?;
        let mut state = State {
            log,
            entries: BTreeMap::new(),
            changes: 0,
        };
        for (n, line) in lines.iter().enumerate() {
            state
                .replay(line)
                .map_err(|error| damaged(path, n, error))?;
        }
        Ok(Self {
            clock,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn replay(&mut self, line: &Value) -> Result<()> {
        self.changes += 1;
        if let (Some(name), Some(to)) = (line["rename"].as_str(), line["to"].as_str()) {
            return self.renamed(&DatasetName::new(name)?, &DatasetName::new(to)?);
        }
        if let Some(name) = line["remove"].as_str() {
            self.entries.remove(&DatasetName::new(name)?);
            return Ok(());
        }
        let unreadable = |error| Error::new(ErrorKind::Corrupt, "not an entry").with_source(error);
        let mut entry: DatasetEntry =
            serde_json::from_value(line["entry"].clone()).map_err(unreadable)?;
        entry.name = DatasetName::new(line["put"].as_str().unwrap_or_default())?;
        let revision = Revision::new(self.changes.to_string())?;
        self.entries
            .insert(entry.name.clone(), StoredEntry { entry, revision });
        Ok(())
    }

    /// Moves an entry to another name; who was made from it follows.
    fn renamed(&mut self, name: &DatasetName, to: &DatasetName) -> Result<()> {
        let revision = Revision::new(self.changes.to_string())?;
        for stored in self.entries.values_mut() {
            if stored.entry.rename_parent(name, to) {
                stored.revision = revision.clone();
            }
        }
        if let Some(mut stored) = self.entries.remove(name) {
            stored.entry.name = to.clone();
            stored.revision = revision;
            self.entries.insert(to.clone(), stored);
        }
        Ok(())
    }

    /// One line tells of the whole rename, so it is there or not.
    fn rename(&mut self, name: &DatasetName, to: &DatasetName) -> Result<Revision> {
        let stored = self.entries.get(name).ok_or_else(missing)?;
        if name == to {
            return Ok(stored.revision.clone());
        }
        if self.entries.contains_key(to) {
            return Err(Error::new(ErrorKind::AlreadyExists, "the name is taken"));
        }
        let change = json!({ "rename": name, "to": to });
        self.log.append(&change)?;
        self.replay(&change)?;
        Revision::new(self.changes.to_string())
    }

    /// Writes an entry unless it is there as it is, and only then makes it visible.
    fn put(&mut self, entry: &DatasetEntry) -> Result<Revision> {
        if let Some(stored) = self.entries.get(&entry.name)
            && stored.entry == *entry
        {
            return Ok(stored.revision.clone());
        }
        let change = json!({ "put": entry.name, "entry": entry });
        self.log.append(&change)?;
        self.replay(&change)?;
        Revision::new(self.changes.to_string())
    }

    fn register(
        &mut self,
        mut entry: DatasetEntry,
        mode: &SaveMode,
        clock: &dyn Clock,
    ) -> Result<Revision> {
        entry.check()?;
        let stored = self.entries.get(&entry.name);
        match (mode, stored) {
            (SaveMode::Create, Some(_)) => {
                return Err(Error::new(ErrorKind::AlreadyExists, "the name is taken"));
            }
            (SaveMode::Update { expected }, stored) => check(stored, expected.as_ref())?,
            _ => {}
        }
        if entry.registered_at.is_none() {
            let before = stored.and_then(|stored| stored.entry.registered_at.clone());
            entry.registered_at = Some(before.unwrap_or_else(|| clock.now().into()));
        }
        self.put(&entry)
    }

    fn update(
        &mut self,
        name: &DatasetName,
        change: &DatasetChange,
        clock: &dyn Clock,
    ) -> Result<Revision> {
        change.check()?;
        let stored = self.entries.get(name);
        check(stored, change.expected.as_ref())?;
        let entry = stored.map(|stored| stored.entry.clone());
        let mut entry = entry.ok_or_else(missing)?;
        change.apply(&mut entry, clock.now());
        self.put(&entry)
    }

    fn remove(&mut self, name: &DatasetName, seen: Option<&Revision>) -> Result<bool> {
        let stored = self.entries.get(name);
        if stored.is_none() {
            return Ok(false);
        }
        check(stored, seen)?;
        let change = json!({ "remove": name });
        self.log.append(&change)?;
        self.replay(&change)?;
        Ok(true)
    }
}

fn missing() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such dataset")
}

/// Whether the entry is there, and in the state that the caller has seen.
fn check(stored: Option<&StoredEntry>, expected: Option<&Revision>) -> Result<()> {
    let stored = stored.ok_or_else(missing)?;
    match expected {
        Some(expected) if *expected != stored.revision => Err(Error::new(
            ErrorKind::Conflict,
            "another writer was first; read it again",
        )),
        _ => Ok(()),
    }
}

fn located(error: Error, operation: &'static str, name: &DatasetName) -> Error {
    error
        .with_backend(BACKEND)
        .with_operation(operation)
        .with_resource(name)
}

#[async_trait]
impl Catalog for LogCatalog {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Persistent, Capability::Revisions])
    }

    async fn register(&self, entry: &DatasetEntry, mode: SaveMode) -> Result<Revision> {
        let registered = self.state().register(entry.clone(), &mode, &*self.clock);
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
        let removed = self.state().remove(name, None);
        removed.map_err(|error| located(error, "remove", name))
    }

    async fn remove_seen(&self, name: &DatasetName, seen: &Revision) -> Result<bool> {
        let removed = self.state().remove(name, Some(seen));
        removed.map_err(|error| located(error, "remove_seen", name))
    }
}
