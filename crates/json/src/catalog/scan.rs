//! From the registry's text to the places of its entries.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use minutebook_core::json::push_string;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::registry::Slot;
use crate::error::{JsonError, Result};

/// What stands before the first key, between two entries, and after the last, as we write it.
pub(super) const OPENING: &str = "{\n  ";
pub(super) const BETWEEN: &str = ",\n  ";
pub(super) const CLOSING: &str = "\n}";

type Slots = IndexMap<Arc<str>, Slot>;

fn refused(path: &Path, message: String, line: usize, column: usize) -> JsonError {
    JsonError::Registry {
        path: path.to_owned(),
        message,
        line,
        column,
    }
}

/// The bytes as text, or where they are none.
pub(super) fn text(path: &Path, bytes: Vec<u8>) -> Result<String> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..at).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        let last = before.rsplit(|byte| *byte == b'\n').next();
        let column = last.map_or(0, <[u8]>::len) + 1;
        refused(path, "is no UTF-8 text".to_owned(), line, column)
    })?;
    if text.starts_with('\u{feff}') {
        let message = "starts with a byte order mark".to_owned();
        return Err(refused(path, message, 1, 1));
    }
    Ok(text)
}

/// Every entry, sorted by name, and whether the text around them is as we write it.
pub(super) fn entries(path: &Path, text: &str) -> Result<(Slots, bool)> {
    let fields = Fields::parse(text).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        let message = format!("does not parse: {message}");
        refused(path, message, error.line(), error.column())
    })?;
    let mut regular = fields.is_regular(text, OPENING);
    let last = fields.0.last().map_or(0, |field| field.end);
    regular &= fields.0.is_empty() || text.get(last..) == Some(CLOSING);
    let mut slots: Slots = fields.slots(0).collect();
    if slots.len() < fields.0.len() {
        let name = fields.repeated();
        // Only where is asked, so the cost of finding it again is no matter.
        let (line, column) = place(text, name.map_or(0, |field| field.start));
        let name = name.map_or("", |field| &field.name);
        let message = format!("does not parse: the key \"{name}\" occurs twice");
        return Err(refused(path, message, line, column));
    }
    if !fields.is_sorted() {
        regular = false;
        slots.sort_unstable_keys();
    }
    Ok((slots, regular))
}

/// Line and column, from 1, of a byte.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, str::len) + 1;
    (line, column)
}

/// The entries of `new`, if it is `old` but for some entries: only those are read, and the others between them compared. `None` if it has to be
/// read from the start. Both are laid out as we write them, `old` is known to be sound, and `slots` are its entries.
pub(super) fn changed(old: &str, slots: &Slots, new: &str) -> Option<Slots> {
    let count = slots.len();
    // Where the entries before the nth end.
    let end = |n: usize| match n {
        0 => 0,
        n => slots.get_index(n - 1).map_or(0, |(_, slot)| slot.value.end),
    };
    let (before, after) = common(old.as_bytes(), new.as_bytes());
    // So many entries at the start are the same, and the byte behind each, without which it might go on.
    let head = partition(count, |n| end(n + 1) < before);
    // And those from this one on, with what stands before it; there is one before it, so that it is no opening.
    let tail = partition(count, |n| n == 0 || old.len() - end(n) > after).max(head.max(1));
    let rest = old.len() - end(tail);
    if count == 0 || rest > after {
        return None;
    }
    let (from, to) = (end(head), new.len().checked_sub(rest)?);
    if from >= to && (head == 0 || from > to) {
        return None;
    }
    let mut all = Slots::with_capacity(count + 1);
    let head_slots = slots.as_slice().get_range(0..head)?;
    all.extend(
        head_slots
            .iter()
            .map(|(name, slot)| (Arc::clone(name), slot.clone())),
    );
    walk(old, slots, head..tail, new.get(..to)?, from, &mut all)?;
    let last = all.last().map(|(name, _)| Arc::clone(name));
    let above = slots.get_index(tail).map(|(name, _)| name);
    if let (Some(last), Some(above)) = (last, above)
        && last >= *above
    {
        return None;
    }
    let tail_slots = slots.as_slice().get_range(tail..count)?;
    all.extend(tail_slots.iter().map(|(name, slot)| {
        let from = |at: usize| at + new.len() - old.len();
        (Arc::clone(name), slot.moved(from(slot.value.start)))
    }));
    Some(all)
}

/// Adds the entries that stand in `new` from `at` to its end, of which the unchanged ones are those of `old` in `range`.
fn walk(
    old: &str,
    slots: &Slots,
    range: std::ops::Range<usize>,
    new: &str,
    mut at: usize,
    all: &mut Slots,
) -> Option<()> {
    let opening = |first: bool| if first { OPENING } else { BETWEEN };
    let mut next = range.start;
    let mut end = match next {
        0 => 0,
        n => slots.get_index(n - 1)?.1.value.end,
    };
    while at < new.len() {
        let key = at + opening(at == 0).len();
        if new.get(at..key)? != opening(at == 0) {
            return None;
        }
        if next < range.end {
            let (name, slot) = slots.get_index(next)?;
            let same = old.get(end + opening(next == 0).len()..slot.value.end)?;
            let stop = key + same.len();
            let ends = matches!(new.as_bytes().get(stop), None | Some(b',' | b'\n'));
            if ends && new.as_bytes().get(key..stop) == Some(same.as_bytes()) {
                all.insert(Arc::clone(name), slot.moved(stop - slot.value.len()));
                (next, end, at) = (next + 1, slot.value.end, stop);
                continue;
            }
        }
        let (name, value) = one(new, key)?;
        if all.last().is_some_and(|(last, _)| **last >= *name) {
            return None;
        }
        // What stands before it in the old text and not in the new one is gone.
        while next < range.end
            && let Some((known, slot)) = slots.get_index(next)
            && **known <= *name
        {
            (next, end) = (next + 1, slot.value.end);
        }
        at = value.end;
        all.insert(name, Slot::at(value));
    }
    (at == new.len()).then_some(())
}

/// The entry whose key begins at `key`, if it is laid out as we write it.
fn one(text: &str, key: usize) -> Option<(Arc<str>, std::ops::Range<usize>)> {
    let rest = text.get(key..)?;
    let mut keys = serde_json::Deserializer::from_str(rest).into_iter::<Key<'_>>();
    let Key(name) = keys.next()?.ok()?;
    let written = keys.byte_offset();
    if !is_key(rest.get(..written)?, &name) {
        return None;
    }
    let value = rest.get(written..)?.strip_prefix(": ")?;
    let mut values = serde_json::Deserializer::from_str(value).into_iter::<&RawValue>();
    let found = values.next()?.ok()?.get();
    let start = key + written + ": ".len();
    // With nothing before it.
    value
        .starts_with(found)
        .then(|| (name.into(), start..start + found.len()))
}

/// The first number below `count` for which the test fails, if it holds up to there and never again.
fn partition(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// How many bytes two texts have in common at the start, and how many at the end behind those.
fn common(a: &[u8], b: &[u8]) -> (usize, usize) {
    const STEP: usize = 4096;
    fn same<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> usize {
        let mut done = 0;
        for (a, b) in pairs {
            if a != b {
                return done + a.iter().zip(b).take_while(|(a, b)| a == b).count();
            }
            done += a.len();
        }
        done
    }
    let shorter = a.len().min(b.len());
    let cut = |bytes: &'_ [u8]| bytes.len() - shorter;
    let before = same(
        a.get(..shorter)
            .unwrap_or_default()
            .chunks(STEP)
            .zip(b.get(..shorter).unwrap_or_default().chunks(STEP)),
    );
    let (ends_a, ends_b) = (
        a.get(cut(a) + before..).unwrap_or_default(),
        b.get(cut(b) + before..).unwrap_or_default(),
    );
    let mut after = 0;
    for (a, b) in ends_a.rchunks(STEP).zip(ends_b.rchunks(STEP)) {
        if a != b {
            let same = a.iter().rev().zip(b.iter().rev());
            after += same.take_while(|(a, b)| a == b).count();
            break;
        }
        after += a.len();
    }
    (before, after)
}

/// One entry: its name, and where its value stands.
struct Field {
    name: Arc<str>,
    start: usize,
    end: usize,
}

/// The entries as they stand in the text, each looked through but not read.
#[derive(Default)]
struct Fields(Vec<Field>);

impl Fields {
    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let Wire(fields) = serde_json::from_str(text)?;
        let origin = text.as_ptr().addr();
        let fields = fields.into_iter().map(|(Key(name), value)| {
            let start = value.get().as_ptr().addr() - origin;
            Field {
                name: name.into(),
                start,
                end: start + value.get().len(),
            }
        });
        Ok(Self(fields.collect()))
    }

    fn slots(&self, offset: usize) -> impl Iterator<Item = (Arc<str>, Slot)> {
        self.0.iter().map(move |field| {
            let value = offset + field.start..offset + field.end;
            (Arc::clone(&field.name), Slot::at(value))
        })
    }

    fn is_sorted(&self) -> bool {
        self.0.is_sorted_by(|a, b| a.name < b.name)
    }

    fn repeated(&self) -> Option<&Field> {
        let mut seen = std::collections::HashSet::new();
        self.0.iter().find(|field| !seen.insert(&field.name))
    }

    /// Whether keys and separators stand in the text as we write them.
    fn is_regular(&self, text: &str, opening: &str) -> bool {
        let mut from = 0;
        self.0.iter().enumerate().all(|(i, field)| {
            let between = text.get(from..field.start).unwrap_or_default();
            from = field.end;
            let before = if i == 0 { opening } else { BETWEEN };
            let key = between.strip_prefix(before);
            let key = key.and_then(|key| key.strip_suffix(": "));
            key.is_some_and(|key| is_key(key, &field.name))
        })
    }
}

fn is_key(text: &str, name: &str) -> bool {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    // What stands there as it is was written without escapes, which we would not either.
    inner == Some(name) || {
        let mut written = String::new();
        push_string(&mut written, name);
        text == written
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

struct Wire<'a>(Vec<(Key<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Wire<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Wire<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wire<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Wire(fields))
            }
        }

        deserializer.deserialize_map(All)
    }
}
