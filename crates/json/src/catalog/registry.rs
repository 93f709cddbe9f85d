//! The registry's content: entries by name, each parsed when the file is, with its text kept as it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::json::{RawObject, pretty, push_string, to_text};
use minutebook_core::time::WrittenTime;
use minutebook_core::{
    DatasetChange, DatasetEntry, DatasetFilter, DatasetName, Error, Revision, SaveMode, StoredEntry,
};

use crate::codec::{Digest, Token};
use crate::error::{JsonError, Result};
use crate::text;

/// Our one addition, inside an entry's metadata, where the original leaves what it does not know: a number that grows with
/// each change, by which a state that comes back is told from the one before.
const GENERATION: &str = "minutebook_generation";

/// The original's keys, in the order in which it writes them.
const KEYS: [&str; 9] = [
    "end_date",
    "file_path",
    "instrument",
    "last_updated",
    "metadata",
    "registered_at",
    "row_count",
    "start_date",
    "tenor",
];

/// One entry.
#[derive(Debug)]
struct Entry {
    /// Compact; as it was read, if it was not changed since.
    text: String,
    generation: u64,
    /// The entry, or why it cannot be read as one. Others are not kept from being read and changed.
    parsed: Result<StoredEntry, String>,
}

impl Entry {
    fn read(name: &str, text: &str) -> Self {
        let (generation, parsed) = match parse(name, text) {
            Ok((generation, stored)) => (generation, Ok(stored)),
            Err(error) => (0, Err(error.to_string())),
        };
        Self {
            text: text.to_owned(),
            generation,
            parsed,
        }
    }

    fn stored(&self) -> Result<&StoredEntry> {
        self.parsed.as_ref().map_err(|message| JsonError::Entry {
            message: message.clone(),
        })
    }
}

fn parse(name: &str, text: &str) -> Result<(u64, StoredEntry), Box<dyn std::error::Error>> {
    let mut entry: DatasetEntry = serde_json::from_str(text)?;
    entry.name = DatasetName::new(name)?;
    let generation = entry
        .metadata
        .shift_remove(GENERATION)
        .and_then(|value| value.as_u64())
        .unwrap_or(0);
    let revision = revision(generation, &entry)?;
    Ok((generation, StoredEntry { entry, revision }))
}

/// The number of the change and the digest of the content, whatever the order of its keys.
fn revision(generation: u64, entry: &DatasetEntry) -> Result<Revision, Box<dyn std::error::Error>> {
    let token = Token {
        generation,
        digest: Digest::of(&text::sorted(&to_text(entry)?)?),
    };
    Ok(token.revision()?)
}

/// The entry as it is written: the original's keys as it sorts them, then all others in their order.
fn write(entry: &DatasetEntry, generation: u64) -> Result<String, serde_json::Error> {
    let mut entry = entry.clone();
    entry
        .metadata
        .insert(GENERATION.to_owned(), generation.into());
    let fields = RawObject::parse(&to_text(&entry)?)?;
    let known = KEYS
        .into_iter()
        .filter_map(|key| Some((key, fields.get(key)?)));
    let unknown = fields.iter().filter(|(key, _)| !KEYS.contains(key));
    let mut out = String::from("{");
    for (i, (key, value)) in known.chain(unknown).enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(&mut out, key);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    Ok(out)
}

/// A registry as read, or as it is to be written.
#[derive(Debug)]
pub(super) struct Registry {
    path: PathBuf,
    /// What it was read from; `None` if there was no file.
    bytes: Option<Vec<u8>>,
    /// Sorted, as the original writes them.
    entries: BTreeMap<String, Arc<Entry>>,
}

impl Registry {
    pub(super) fn parse(path: &Path, bytes: Option<Vec<u8>>) -> Result<Self> {
        let refused = |message: String, line: usize, column: usize| JsonError::Registry {
            path: path.to_owned(),
            message,
            line,
            column,
        };
        let mut entries = BTreeMap::new();
        if let Some(bytes) = &bytes {
            let text = std::str::from_utf8(bytes).map_err(|error| {
                let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = before.split(|byte| *byte == b'\n').count();
                let column = before
                    .rsplit(|byte| *byte == b'\n')
                    .next()
                    .map_or(0, <[u8]>::len)
                    + 1;
                refused("is no UTF-8 text".to_owned(), line, column)
            })?;
            if text.starts_with('\u{feff}') {
                return Err(refused("starts with a byte order mark".to_owned(), 1, 1));
            }
            let syntax = |error: serde_json::Error| {
                let (line, column) = (error.line(), error.column());
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or_default();
                refused(format!("does not parse: {message}"), line, column)
            };
            let object = RawObject::parse(text).map_err(syntax)?;
            for (name, raw) in object.iter() {
                entries.insert(name.to_owned(), Arc::new(Entry::read(name, raw)));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            bytes,
            entries,
        })
    }

    /// Whether it was read from exactly these bytes.
    pub(super) fn is_from(&self, bytes: Option<&[u8]>) -> bool {
        self.bytes.as_deref() == bytes
    }

    /// As Python's `json.dump(..., indent=2, ensure_ascii=False)` writes it, the names sorted.
    pub(super) fn to_text(&self) -> String {
        let mut out = String::from("{");
        for (i, (name, entry)) in self.entries.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_string(&mut out, name);
            out.push(':');
            out.push_str(&entry.text);
        }
        out.push('}');
        pretty(&out)
    }

    pub(super) fn get(&self, name: &DatasetName) -> Result<Option<StoredEntry>> {
        match self.entries.get(name.as_str()) {
            Some(entry) => entry.stored().cloned().map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn list(&self, filter: &DatasetFilter) -> Result<Vec<StoredEntry>> {
        let mut found = Vec::new();
        for (name, entry) in &self.entries {
            let stored = entry.stored().map_err(|error| {
                let place = format!("{}, dataset \"{name}\"", self.path.display());
                JsonError::Core(error.into_core("list", place))
            })?;
            if filter.matches(&stored.entry) {
                found.push(stored.clone());
            }
        }
        Ok(found)
    }

    pub(super) fn register(
        &self,
        mut entry: DatasetEntry,
        mode: &SaveMode,
        now: DateTime<Utc>,
    ) -> Result<(Option<Self>, Revision)> {
        let current = self.entries.get(entry.name.as_str());
        match (mode, current) {
            (SaveMode::Create, Some(_)) => return Err(JsonError::EntryExists),
            (SaveMode::Update { .. }, None) => return Err(JsonError::Missing),
            (
                SaveMode::Update {
                    expected: Some(expected),
                },
                Some(current),
            ) => check(expected, &current.stored()?.revision)?,
            (SaveMode::Create, None)
            | (SaveMode::Upsert, _)
            | (SaveMode::Update { expected: None }, Some(_)) => {}
        }
        if entry.registered_at.is_none() {
            let before = match current {
                Some(current) => current
                    .parsed
                    .as_ref()
                    .ok()
                    .and_then(|stored| stored.entry.registered_at.clone()),
                None => None,
            };
            entry.registered_at = Some(before.unwrap_or_else(|| WrittenTime::from(now)));
        }
        self.with(&entry, now)
    }

    pub(super) fn update(
        &self,
        name: &DatasetName,
        change: &DatasetChange,
        now: DateTime<Utc>,
    ) -> Result<(Option<Self>, Revision)> {
        let current = self
            .entries
            .get(name.as_str())
            .ok_or(JsonError::Missing)?
            .stored()?;
        if let Some(expected) = &change.expected {
            check(expected, &current.revision)?;
        }
        let mut entry = current.entry.clone();
        change.apply(&mut entry, now);
        self.with(&entry, now)
    }

    pub(super) fn remove(&self, name: &DatasetName) -> (Option<Self>, bool) {
        if !self.entries.contains_key(name.as_str()) {
            return (None, false);
        }
        let mut entries = self.entries.clone();
        entries.remove(name.as_str());
        (Some(self.next(entries)), true)
    }

    /// With this entry in place of the one of its name; `None` if it is there already.
    fn with(&self, entry: &DatasetEntry, now: DateTime<Utc>) -> Result<(Option<Self>, Revision)> {
        if entry.metadata.contains_key(GENERATION) {
            let message = format!(
                "the metadata key \"{GENERATION}\" is kept for the catalog itself; use another"
            );
            return Err(JsonError::Core(Error::invalid(message)));
        }
        if let Some(Ok(current)) = self
            .entries
            .get(entry.name.as_str())
            .map(|current| &current.parsed)
            && current.entry == *entry
        {
            return Ok((None, current.revision.clone()));
        }
        let last = self
            .entries
            .values()
            .map(|entry| entry.generation)
            .max()
            .unwrap_or(0);
        // By the clock, so that an entry that is removed and registered again does not get a number that it had before.
        let generation = u64::try_from(now.timestamp_micros())
            .unwrap_or(0)
            .max(last.saturating_add(1));
        let text = write(entry, generation).map_err(|error| {
            JsonError::Core(Error::invalid(format!("the entry is no JSON: {error}")))
        })?;
        let next = Entry::read(entry.name.as_str(), &text);
        let revision = next.stored()?.revision.clone();
        let mut entries = self.entries.clone();
        entries.insert(entry.name.to_string(), Arc::new(next));
        Ok((Some(self.next(entries)), revision))
    }

    fn next(&self, entries: BTreeMap<String, Arc<Entry>>) -> Self {
        Self {
            path: self.path.clone(),
            bytes: None,
            entries,
        }
    }
}

fn check(expected: &Revision, found: &Revision) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(JsonError::Conflict {
        expected: expected.to_string(),
        found: found.to_string(),
    })
}
