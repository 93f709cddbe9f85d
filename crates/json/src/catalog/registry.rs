//! The registry's content: its text, and where in it each entry stands. An entry is read when it is needed, and a change
//! replaces the text of that entry alone.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;
use minutebook_core::catalog::name_matches;
use minutebook_core::json::{RawObject, pretty, push_string};
use minutebook_core::{DatasetEntry, DatasetFilter, DatasetName, StoredEntry};

use super::entry::{self, Head, Parsed};
use super::scan::{self, BETWEEN, CLOSING, OPENING};
use crate::error::{JsonError, Result};

/// Where an entry stands, and what was read of it so far.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// Its value in the text, without the key.
    pub(super) value: Range<usize>,
    head: OnceLock<Option<Head>>,
    /// The entry, or why it cannot be read as one. Others are not kept from being read and changed.
    parsed: OnceLock<Result<Arc<Parsed>, Arc<str>>>,
}

impl Slot {
    pub(super) fn at(value: Range<usize>) -> Self {
        Self {
            value,
            head: OnceLock::new(),
            parsed: OnceLock::new(),
        }
    }

    /// The same entry where its value begins elsewhere.
    pub(super) fn moved(&self, start: usize) -> Self {
        Self {
            value: start..start + self.value.len(),
            ..self.clone()
        }
    }
}

/// A registry as read, or as it is to be written.
#[derive(Debug, Clone)]
pub(super) struct Registry {
    path: PathBuf,
    /// The file's whole text; `None` if there is no file.
    text: Option<String>,
    /// By name, in ascending order.
    slots: IndexMap<Arc<str>, Slot>,
    /// Whether the text between the entries is as we write it, so that one of them can be replaced alone.
    regular: bool,
}

impl Registry {
    pub(super) fn parse(path: &Path, bytes: Option<Vec<u8>>) -> Result<Self> {
        let mut registry = Self {
            path: path.to_owned(),
            text: None,
            slots: IndexMap::new(),
            regular: true,
        };
        if let Some(bytes) = bytes {
            let text = scan::text(path, bytes)?;
            (registry.slots, registry.regular) = scan::entries(path, &text)?;
            registry.text = Some(text);
        }
        Ok(registry)
    }

    /// What the file holds now, if it still is this registry but for a few entries that stand together: then only those are read.
    pub(super) fn follow(&self, bytes: Vec<u8>) -> Result<Self> {
        let text = scan::text(&self.path, bytes)?;
        let old = self.text.as_deref().filter(|_| self.regular);
        if let Some(slots) = old.and_then(|old| scan::changed(old, &self.slots, &text)) {
            return Ok(Self {
                path: self.path.clone(),
                text: Some(text),
                slots,
                regular: true,
            });
        }
        let (slots, regular) = scan::entries(&self.path, &text)?;
        Ok(Self {
            path: self.path.clone(),
            text: Some(text),
            slots,
            regular,
        })
    }

    /// Whether its text is exactly this.
    pub(super) fn is_from(&self, bytes: Option<&[u8]>) -> bool {
        self.text.as_deref().map(str::as_bytes) == bytes
    }

    /// The file's text.
    pub(super) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    fn value(&self, slot: &Slot) -> &str {
        self.text().get(slot.value.clone()).unwrap_or_default()
    }

    fn parsed<'a>(&self, name: &str, slot: &'a Slot) -> Result<&'a StoredEntry> {
        let parsed = slot.parsed.get_or_init(|| {
            Parsed::read(name, self.value(slot))
                .map(Arc::new)
                .map_err(|error| error.to_string().into())
        });
        match parsed {
            Ok(parsed) => Ok(&parsed.stored),
            Err(message) => Err(JsonError::Entry {
                message: message.to_string(),
            }),
        }
    }

    fn head<'a>(&self, slot: &'a Slot) -> Option<&'a Head> {
        slot.head
            .get_or_init(|| Head::read(self.value(slot)))
            .as_ref()
    }

    /// The entry of this name, if there is one.
    pub(super) fn entry(&self, name: &DatasetName) -> Result<Option<&StoredEntry>> {
        match self.slots.get(name.as_str()) {
            Some(slot) => self.parsed(name.as_str(), slot).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn contains(&self, name: &DatasetName) -> bool {
        self.slots.contains_key(name.as_str())
    }

    pub(super) fn list(&self, filter: &DatasetFilter) -> Result<Vec<StoredEntry>> {
        let mut found = Vec::new();
        for (name, slot) in &self.slots {
            let named = filter
                .name_prefix
                .as_deref()
                .is_none_or(|prefix| name.starts_with(prefix))
                && filter
                    .name_pattern
                    .as_deref()
                    .is_none_or(|pattern| name_matches(pattern, name));
            if !named || self.head(slot).is_some_and(|head| !head.may_match(filter)) {
                continue;
            }
            let stored = self.parsed(name, slot).map_err(|error| {
                let place = format!("{}, dataset \"{name}\"", self.path.display());
                JsonError::Core(error.into_core("list", place))
            })?;
            if filter.matches(&stored.entry) {
                found.push(stored.clone());
            }
        }
        Ok(found)
    }

    /// The names of the entries that may name this one as a parent.
    pub(super) fn mentioning(&self, name: &DatasetName) -> Vec<DatasetName> {
        let all = self.slots.iter().filter_map(|(child, slot)| {
            let text = self.value(slot);
            // A name may be written in several ways, but not a name without anything to escape.
            let plain = name
                .as_str()
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-. ".contains(&b));
            let may = text.contains("derived_from") && (!plain || text.contains(name.as_str()));
            may.then(|| DatasetName::new(child).ok()).flatten()
        });
        all.collect()
    }

    /// The greatest generation of all entries.
    pub(super) fn last_generation(&self) -> u64 {
        let all = self.slots.values();
        all.filter_map(|slot| self.head(slot))
            .map(|head| head.generation)
            .max()
            .unwrap_or(0)
    }

    /// Puts an entry in the place of the one of its name, or adds it. `like` is the name of the entry whose texts are kept where they
    /// say the same.
    pub(super) fn put(
        &mut self,
        entry: &DatasetEntry,
        generation: u64,
        like: &DatasetName,
    ) -> Result<()> {
        let old = self
            .slots
            .get(like.as_str())
            .and_then(|slot| RawObject::parse(self.value(slot)).ok());
        let compact = entry::write(entry, generation, old.as_ref()).map_err(|error| {
            JsonError::Core(minutebook_core::Error::invalid(format!(
                "the entry is no JSON: {error}"
            )))
        })?;
        self.splice(entry.name.as_str(), &compact)
    }

    /// Whether the text of an entry says what reading it gives: no key occurs twice.
    pub(super) fn check_keys(&self, name: &DatasetName) -> Result<()> {
        let Some(slot) = self.slots.get(name.as_str()) else {
            return Ok(());
        };
        RawObject::parse(self.value(slot))
            .map(drop)
            .map_err(|error| JsonError::Entry {
                message: error.to_string(),
            })
    }

    fn splice(&mut self, name: &str, compact: &str) -> Result<()> {
        self.regularise()?;
        let mut key = String::new();
        push_string(&mut key, name);
        let whole = pretty(&format!("{{{key}:{compact}}}"));
        let field = whole
            .get(OPENING.len()..whole.len() - CLOSING.len())
            .unwrap_or_default();
        let offset = key.len() + ": ".len();
        if self.slots.is_empty() {
            let value = OPENING.len() + offset..whole.len() - CLOSING.len();
            self.slots.insert(name.into(), Slot::at(value));
            self.text = Some(whole);
            return Ok(());
        }
        let found = self.slots.binary_search_keys(&Arc::from(name));
        let (index, at) = match found {
            Ok(index) => (index, self.key(index)..self.end(index)),
            Err(index) if index < self.slots.len() => (index, self.key(index)..self.key(index)),
            Err(index) => (index, self.end(index - 1)..self.end(index - 1)),
        };
        let (text, start) = match found {
            Ok(_) => (field.to_owned(), at.start),
            Err(index) if index < self.slots.len() => (format!("{field}{BETWEEN}"), at.start),
            Err(_) => (format!("{BETWEEN}{field}"), at.start + BETWEEN.len()),
        };
        let value = start + offset..start + field.len();
        self.shift(index + usize::from(found.is_ok()), at.len(), text.len());
        self.text_mut().replace_range(at, &text);
        match found {
            Ok(index) => {
                if let Some((_, slot)) = self.slots.get_index_mut(index) {
                    *slot = Slot::at(value);
                }
            }
            Err(index) => {
                self.slots.shift_insert(index, name.into(), Slot::at(value));
            }
        }
        Ok(())
    }

    /// Takes an entry out; says whether it was there.
    pub(super) fn remove(&mut self, name: &DatasetName) -> Result<bool> {
        if !self.contains(name) {
            return Ok(false);
        }
        self.regularise()?;
        let Some(index) = self.slots.get_index_of(name.as_str()) else {
            return Ok(false);
        };
        if self.slots.len() == 1 {
            self.text = Some("{}".to_owned());
        } else {
            let range = match index {
                0 => self.key(0)..self.key(1),
                _ => self.end(index - 1)..self.end(index),
            };
            self.shift(index + 1, range.len(), 0);
            self.text_mut().replace_range(range, "");
        }
        self.slots.shift_remove_index(index);
        Ok(true)
    }

    /// Where the key of an entry begins, and where its value ends.
    fn key(&self, index: usize) -> usize {
        match index {
            0 => OPENING.len(),
            _ => self.end(index - 1) + BETWEEN.len(),
        }
    }

    fn end(&self, index: usize) -> usize {
        self.slots
            .get_index(index)
            .map_or(0, |(_, slot)| slot.value.end)
    }

    /// The entries from `index` on move: so many bytes before them become so many others.
    fn shift(&mut self, index: usize, from: usize, to: usize) {
        for slot in self.slots.values_mut().skip(index) {
            slot.value = slot.value.start + to - from..slot.value.end + to - from;
        }
    }

    fn text_mut(&mut self) -> &mut String {
        self.text.get_or_insert_default()
    }

    /// Lays the text out as Python's `json.dump(..., indent=2, sort_keys=True, ensure_ascii=False)` does, unless it is.
    fn regularise(&mut self) -> Result<()> {
        if self.regular {
            return Ok(());
        }
        let mut out = String::from("{");
        for (i, (name, slot)) in self.slots.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_string(&mut out, name);
            out.push(':');
            out.push_str(self.value(slot));
        }
        out.push('}');
        let text = pretty(&out);
        (self.slots, self.regular) = scan::entries(&self.path, &text)?;
        self.text = Some(text);
        Ok(())
    }
}
