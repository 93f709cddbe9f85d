//! Changes of the registry, each all or nothing.

use chrono::{DateTime, Utc};
use minutebook_core::time::WrittenTime;
use minutebook_core::{DatasetChange, DatasetEntry, DatasetName, Revision, SaveMode};

use super::entry::take_generation;
use super::registry::Registry;
use crate::error::{JsonError, Result};

/// A change that somebody asked for.
#[derive(Debug)]
pub(super) enum Op {
    Register(Box<DatasetEntry>, SaveMode),
    Update(DatasetName, Box<DatasetChange>),
    Rename(DatasetName, DatasetName),
    /// With the state that it must be in, if the caller has seen one.
    Remove(DatasetName, Option<Revision>),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Done {
    Stored(Revision),
    Removed(bool),
}

/// A registry that is being changed, and the numbers given to the changes.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) registry: Registry,
    /// The last number given; `None` until one is needed.
    generation: Option<u64>,
    /// No number up to this one is given again.
    floor: u64,
    /// Whether anything differs from what is on disk.
    pub(super) changed: bool,
}

impl Draft {
    pub(super) fn new(registry: Registry, floor: u64) -> Self {
        Self {
            registry,
            generation: None,
            floor,
            changed: false,
        }
    }

    /// The last number given, if one was.
    pub(super) fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// Carries out a change. After an error the draft is as it was.
    pub(super) fn apply(&mut self, op: &Op, now: DateTime<Utc>) -> Result<Done> {
        match op {
            Op::Register(entry, mode) => self.register(entry, mode, now).map(Done::Stored),
            Op::Update(name, change) => self.update(name, change, now).map(Done::Stored),
            Op::Rename(name, to) => self.rename(name, to, now).map(Done::Stored),
            Op::Remove(name, seen) => self.remove(name, seen.as_ref()).map(Done::Removed),
        }
    }

    fn register(
        &mut self,
        entry: &DatasetEntry,
        mode: &SaveMode,
        now: DateTime<Utc>,
    ) -> Result<Revision> {
        entry.check().map_err(JsonError::Core)?;
        let there = self.registry.contains(&entry.name);
        match (mode, there) {
            (SaveMode::Create, true) => return Err(JsonError::EntryExists),
            (SaveMode::Update { .. }, false) => return Err(JsonError::Missing),
            (
                SaveMode::Update {
                    expected: Some(expected),
                },
                true,
            ) => {
                let found = self.registry.entry(&entry.name)?;
                check(expected, found.map(|stored| &stored.revision))?;
            }
            _ => {}
        }
        // One that cannot be read may be replaced, but says nothing.
        let current = self.registry.entry(&entry.name).ok().flatten();
        let mut entry = entry.clone();
        take_generation(&mut entry);
        if entry.registered_at.is_none() {
            let before = current.and_then(|stored| stored.entry.registered_at.clone());
            entry.registered_at = Some(before.unwrap_or_else(|| WrittenTime::from(now)));
        }
        if let Some(current) = current.filter(|current| current.entry == entry) {
            return Ok(current.revision.clone());
        }
        let name = entry.name.clone();
        self.put(&entry, &name, now)
    }

    fn update(
        &mut self,
        name: &DatasetName,
        change: &DatasetChange,
        now: DateTime<Utc>,
    ) -> Result<Revision> {
        change.check().map_err(JsonError::Core)?;
        let current = self.registry.entry(name)?.ok_or(JsonError::Missing)?;
        if let Some(expected) = &change.expected {
            check(expected, Some(&current.revision))?;
        }
        let mut entry = current.entry.clone();
        if !change.apply(&mut entry, now) {
            return Ok(current.revision.clone());
        }
        self.registry.check_keys(name)?;
        entry.check().map_err(JsonError::Core)?;
        self.put(&entry, name, now)
    }

    fn rename(
        &mut self,
        name: &DatasetName,
        to: &DatasetName,
        now: DateTime<Utc>,
    ) -> Result<Revision> {
        let current = self.registry.entry(name)?.ok_or(JsonError::Missing)?;
        if name == to {
            return Ok(current.revision.clone());
        }
        if self.registry.contains(to) {
            return Err(JsonError::NewNameTaken(to.to_string()));
        }
        let mut entry = current.entry.clone();
        entry.name = to.clone();
        entry.rename_parent(name, to);
        self.registry.check_keys(name)?;
        // Whatever may fail is done before the first change.
        let mut children = Vec::new();
        for child in self.registry.mentioning(name) {
            let Ok(Some(stored)) = self.registry.entry(&child) else {
                continue; // what cannot be read names no parents
            };
            let mut entry = stored.entry.clone();
            if child != *name && entry.rename_parent(name, to) {
                self.registry.check_keys(&child)?;
                children.push(entry);
            }
        }
        for child in children {
            let name = child.name.clone();
            self.put(&child, &name, now)?;
        }
        let revision = self.put(&entry, name, now)?;
        self.registry.remove(name)?;
        Ok(revision)
    }

    fn remove(&mut self, name: &DatasetName, seen: Option<&Revision>) -> Result<bool> {
        if let Some(seen) = seen
            && let Some(found) = self.registry.entry(name)?
        {
            check(seen, Some(&found.revision))?;
        }
        let removed = self.registry.remove(name)?;
        self.changed |= removed;
        Ok(removed)
    }

    /// Writes an entry under its name; `like` is the one whose texts it keeps.
    fn put(
        &mut self,
        entry: &DatasetEntry,
        like: &DatasetName,
        now: DateTime<Utc>,
    ) -> Result<Revision> {
        let last = match self.generation {
            Some(last) => last,
            None => self.registry.last_generation().max(self.floor),
        };
        // By the clock, so that an entry that is removed and registered again does not get a number that it had before.
        let generation = u64::try_from(now.timestamp_micros())
            .unwrap_or(0)
            .max(last.saturating_add(1));
        self.registry.put(entry, generation, like)?;
        self.generation = Some(generation);
        self.changed = true;
        match self.registry.entry(&entry.name)? {
            Some(stored) => Ok(stored.revision.clone()),
            None => Err(JsonError::Missing),
        }
    }
}

fn check(expected: &Revision, found: Option<&Revision>) -> Result<()> {
    if Some(expected) == found {
        return Ok(());
    }
    Err(JsonError::Conflict {
        expected: expected.to_string(),
        found: found.map_or_else(String::new, ToString::to_string),
    })
}
