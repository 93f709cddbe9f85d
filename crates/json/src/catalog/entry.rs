//! One entry of the registry: what its text says, and the text of one that has changed.

use std::borrow::Cow;

use minutebook_core::json::{RawObject, push_string, to_text};
use minutebook_core::{DatasetEntry, DatasetFilter, DatasetName, StoredEntry};
use serde::Deserialize;
use serde_json::Value;

use crate::codec::{Digest, Token};
use crate::text;

/// Inside what is ours in an entry's metadata: a number that grows with each change, by which a state that comes back is told from
/// the one before. Readers do not see it.
const GENERATION: &str = "generation";

/// The original's keys, in the order in which it writes them.
const KEYS: [&str; 9] = [
    "end_date",
    "file_path",
    "instrument",
    "last_updated",
    METADATA,
    "registered_at",
    "row_count",
    "start_date",
    "tenor",
];
const METADATA: &str = "metadata";

/// An entry as callers get it.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) stored: StoredEntry,
}

impl Parsed {
    pub(super) fn read(name: &str, text: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let mut entry: DatasetEntry = serde_json::from_str(text)?;
        entry.name = DatasetName::new(name)?;
        let generation = take_generation(&mut entry);
        let token = Token {
            generation,
            digest: Digest::of(&text::sorted(&to_text(&entry)?)?),
        };
        let revision = token.revision()?;
        Ok(Self {
            stored: StoredEntry { entry, revision },
        })
    }
}

/// Takes out what callers neither see nor set.
pub(super) fn take_generation(entry: &mut DatasetEntry) -> u64 {
    let number = entry.ours.shift_remove(GENERATION);
    number.and_then(|number| number.as_u64()).unwrap_or(0)
}

/// The few fields that are looked at in every entry of a large registry, without reading the others.
#[derive(Debug, Clone)]
pub(super) struct Head {
    instrument: Box<str>,
    tenor: Option<Box<str>>,
    pub(super) generation: u64,
}

impl Head {
    /// `None` if the text is not as expected; then only reading it all can tell what is wrong with it.
    pub(super) fn read(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            instrument: Cow<'a, str>,
            #[serde(borrow, default)]
            tenor: Option<Cow<'a, str>>,
            #[serde(default)]
            metadata: Metadata,
        }
        #[derive(Deserialize, Default)]
        struct Metadata {
            #[serde(default)]
            minutebook: Ours,
        }
        #[derive(Deserialize, Default)]
        struct Ours {
            #[serde(default)]
            generation: u64,
        }
        let fields: Fields<'_> = serde_json::from_str(text).ok()?;
        Some(Self {
            instrument: fields.instrument.into(),
            tenor: fields.tenor.map(Into::into),
            generation: fields.metadata.minutebook.generation,
        })
    }

    /// Whether the entry may match, as far as this tells.
    pub(super) fn may_match(&self, filter: &DatasetFilter) -> bool {
        filter
            .instrument
            .as_deref()
            .is_none_or(|wanted| wanted == &*self.instrument)
            && filter
                .tenor
                .as_deref()
                .is_none_or(|wanted| Some(wanted) == self.tenor.as_deref())
    }
}

/// The entry's compact text: the original's keys as it sorts them, then all others in their order. A value that is as it was in `old`
/// keeps its text, so that numbers beyond what a program reads survive.
pub(super) fn write(
    entry: &DatasetEntry,
    generation: u64,
    old: Option<&RawObject>,
) -> Result<String, serde_json::Error> {
    let mut entry = entry.clone();
    entry.ours.insert(GENERATION.to_owned(), generation.into());
    let fields = RawObject::parse(&to_text(&entry)?)?;
    let known = KEYS
        .into_iter()
        .filter_map(|key| Some((key, fields.get(key)?)));
    let unknown = fields.iter().filter(|(key, _)| !KEYS.contains(key));
    let metadata = old.and_then(|old| RawObject::parse(old.get(METADATA)?).ok());
    let mut out = String::from("{");
    for (i, (key, value)) in known.chain(unknown).enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(&mut out, key);
        out.push(':');
        if key == METADATA {
            push_fields(&mut out, &RawObject::parse(value)?, metadata.as_ref());
        } else {
            out.push_str(kept(value, key, old));
        }
    }
    out.push('}');
    Ok(out)
}

fn push_fields(out: &mut String, fields: &RawObject, old: Option<&RawObject>) {
    out.push('{');
    for (i, (key, value)) in fields.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, key);
        out.push(':');
        out.push_str(kept(value, key, old));
    }
    out.push('}');
}

/// The old text of a value that has not changed.
fn kept<'a>(value: &'a str, key: &str, old: Option<&'a RawObject>) -> &'a str {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    match old.and_then(|old| old.get(key)) {
        Some(before) if before != value && read(before) == read(value) => before,
        _ => value,
    }
}
