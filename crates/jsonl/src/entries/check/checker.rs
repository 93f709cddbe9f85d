//! Checks entries one after another and makes them lines.

use std::borrow::Cow;
use std::collections::HashSet;

use minutebook_core::series::batch::TIMESTAMP;
use serde::Serialize;

use super::{Lines, Values, serialise};
use crate::buffers::{Buffer, PIECE_BYTES};
use crate::codec::encode::push_instant;
use crate::codec::fields::{Fields, Flaw, Shape};
use crate::codec::instant::{self, Instants};
use crate::codec::template::{Sink, Templates};
use crate::codec::token::Token;
use crate::config::{EpochUnit, TimeField};
use crate::error::JsonlError;

/// Makes lines of entries, one after another.
#[derive(Debug)]
pub(super) struct Checker<'a> {
    time: &'a TimeField,
    max_line_bytes: usize,
    /// How many entries came before.
    from: usize,
    pub(super) lines: Lines,
    templates: Templates<Place>,
    /// Whether the shape of an entry is worth remembering: others follow.
    pub(super) learns: bool,
    instants: Instants,
    values: Values,
    /// The text of a value that the short way does not take.
    text: Vec<u8>,
}

/// Entries that were checked, as they are stored.
#[derive(Debug)]
pub(super) enum Piece<'e> {
    /// Each on its line, and the bytes of all lines.
    AsGiven(Vec<&'e str>, usize),
    /// The lines.
    Made(Vec<u8>),
}

/// What a value of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Time,
    Other,
}

/// The time of an entry.
struct Found<'e> {
    shape: Shape,
    text: &'e str,
    nanos: i64,
}

impl<'e> Found<'e> {
    #[inline]
    fn new(token: &Token<'e>, nanos: i64) -> Self {
        Self {
            shape: token.shape,
            text: token.text,
            nanos,
        }
    }

    fn is_text(&self) -> bool {
        matches!(self.shape, Shape::Plain | Shape::Escaped)
    }
}

/// Reads the value at the place of the time.
struct Quick<'i, 'e> {
    instants: &'i mut Instants,
    unit: Option<EpochUnit>,
    found: Option<Found<'e>>,
}

impl<'e> Sink<'e, Place> for Quick<'_, 'e> {
    #[inline]
    fn clear(&mut self) {
        self.found = None;
    }

    #[inline]
    fn take(&mut self, place: &Place, token: Token<'e>) {
        if *place == Place::Time {
            self.found = self
                .instants
                .nanos(&token, self.unit)
                .map(|nanos| Found::new(&token, nanos));
        }
    }
}

impl<'a> Checker<'a> {
    pub(super) fn new(time: &'a TimeField, max_line_bytes: usize, from: usize) -> Self {
        Self {
            time,
            max_line_bytes,
            from,
            lines: Lines::default(),
            templates: Templates::default(),
            learns: true,
            instants: Instants::default(),
            values: Values::default(),
            text: Vec::new(),
        }
    }

    pub(super) fn entry(&mut self, entry: &str) -> Result<(), JsonlError> {
        let start = self.lines.bytes.len();
        let pushed = self.push(entry);
        pushed
            .and_then(|()| self.end_line(start))
            .map_err(|what| self.fail(what))
    }

    /// A value that serialises to an entry.
    pub(super) fn value<T: Serialize>(&mut self, value: &T) -> Result<(), JsonlError> {
        if self.time.pointer.is_none() {
            let start = self.lines.bytes.len();
            let out = &mut self.lines.bytes;
            if let Ok(is_number) = self.values.push(value, self.time.unit, out) {
                if is_number {
                    self.lines.unit = self.time.unit;
                }
                out.push(b'\n');
                return self.end_line(start).map_err(|what| self.fail(what));
            }
        }
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        serialise(value, &mut text).map_err(|what| self.fail(what))?;
        // `serde_json` writes UTF-8 only.
        let entry = std::str::from_utf8(&text).map_err(|e| self.fail(e.to_string()))?;
        let made = self.entry(entry);
        self.text = text;
        made
    }

    /// Many items, as lines in pieces.
    pub(super) fn in_pieces<T>(
        mut self,
        items: &[T],
        add: impl Fn(&mut Self, &T) -> Result<(), JsonlError>,
    ) -> Result<Lines, JsonlError> {
        let mut piece = Buffer::new();
        std::mem::swap(&mut *piece, &mut self.lines.bytes);
        for item in items {
            add(&mut self, item)?;
            if self.lines.bytes.len() >= PIECE_BYTES {
                self.turn(Buffer::new());
            }
        }
        self.turn(Buffer::default());
        Ok(self.lines)
    }

    /// Puts the lines so far behind those before, and goes on in `next`.
    fn turn(&mut self, mut next: Buffer) {
        std::mem::swap(&mut *next, &mut self.lines.bytes);
        if !next.is_empty() {
            self.lines.more.push(next);
        }
    }

    fn end_line(&mut self, start: usize) -> Result<(), String> {
        self.count_line(self.lines.bytes.len() - start)
    }

    fn count_line(&mut self, len: usize) -> Result<(), String> {
        if len > self.max_line_bytes {
            return Err(format!(
                "its line has {len} bytes; the limit is {}",
                self.max_line_bytes
            ));
        }
        self.lines.count += 1;
        Ok(())
    }

    pub(super) fn fail(&self, what: String) -> JsonlError {
        let number = self.from + usize::try_from(self.lines.count).unwrap_or(usize::MAX) + 1;
        JsonlError::Entry { number, what }
    }

    /// The next entries, up to about so many bytes, as one piece: as they are given, if nothing of them has to be changed.
    pub(super) fn piece<'e, T: AsRef<str>>(
        &mut self,
        entries: &mut std::slice::Iter<'e, T>,
        most: usize,
    ) -> Result<Piece<'e>, JsonlError> {
        let mut texts: Vec<&str> = Vec::new();
        let mut bytes = 0;
        while bytes < most
            && let Some(entry) = entries.as_slice().first()
        {
            match self.as_given(entry.as_ref()) {
                Ok(Some(text)) => {
                    entries.next();
                    bytes += text.len() + 1;
                    texts.push(text);
                }
                Ok(None) => return self.made(&texts, entries, most),
                Err(what) => return Err(self.fail(what)),
            }
        }
        Ok(Piece::AsGiven(texts, bytes))
    }

    /// As [`piece`](Self::piece), of entries that are stored otherwise than they are given, behind some that are not.
    fn made<'e, T: AsRef<str>>(
        &mut self,
        before: &[&str],
        entries: &mut std::slice::Iter<'e, T>,
        most: usize,
    ) -> Result<Piece<'e>, JsonlError> {
        self.lines.bytes.clear();
        for text in before {
            self.lines.bytes.extend_from_slice(text.as_bytes());
            self.lines.bytes.push(b'\n');
        }
        while self.lines.bytes.len() < most
            && let Some(entry) = entries.next()
        {
            self.entry(entry.as_ref())?;
        }
        Ok(Piece::Made(std::mem::take(&mut self.lines.bytes)))
    }

    /// An entry that was checked and is stored as it is; `None` if it has to be changed for that, and was not counted.
    fn as_given<'e>(&mut self, entry: &'e str) -> Result<Option<&'e str>, String> {
        let entry = trimmed(entry);
        let found = self.find(entry)?;
        if self.time.pointer.is_some() || memchr::memchr2(b'\n', b'\r', entry.as_bytes()).is_some()
        {
            return Ok(None);
        }
        if !found.is_text() {
            self.lines.unit = self.time.unit;
        }
        self.count_line(entry.len() + 1)?;
        Ok(Some(entry))
    }

    /// The time of an entry, after the whole entry was checked.
    fn find<'e>(&mut self, entry: &'e str) -> Result<Found<'e>, String> {
        let mut quick = Quick {
            instants: &mut self.instants,
            unit: self.time.unit,
            found: None,
        };
        // Only what ends with the text is one entry.
        let is_known = self.templates.line(entry, 0, &mut quick) == Some(entry.len());
        match quick.found.filter(|_| is_known) {
            Some(found) => Ok(found),
            None => self.find_time(entry),
        }
    }

    fn push(&mut self, entry: &str) -> Result<(), String> {
        let entry = trimmed(entry);
        let found = self.find(entry)?;
        let out = &mut self.lines.bytes;
        let start = out.len();
        if self.time.pointer.is_none() {
            if !found.is_text() {
                self.lines.unit = self.time.unit;
            }
            out.extend_from_slice(entry.as_bytes());
        } else {
            out.extend_from_slice(b"{\"timestamp\":");
            match found.shape {
                Shape::Escaped => out.extend_from_slice(found.text.as_bytes()),
                Shape::Plain => {
                    out.push(b'"');
                    out.extend_from_slice(found.text.as_bytes());
                    out.push(b'"');
                }
                _ => {
                    // Written out, so that no reader needs to know the unit.
                    out.push(b'"');
                    push_instant(out, found.nanos);
                    out.push(b'"');
                }
            }
            // The entry has the field that the pointer names, so it is not empty.
            out.push(b',');
            let fields = entry.strip_prefix('{').unwrap_or(entry);
            out.extend_from_slice(fields.as_bytes());
        }
        // In valid JSON a line break is always between values, never in a string.
        let line = out.get_mut(start..).unwrap_or_default();
        if memchr::memchr2(b'\n', b'\r', line).is_some() {
            for byte in line {
                if matches!(*byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
        }
        out.push(b'\n');
        Ok(())
    }

    /// The entry's time, after the whole entry was checked.
    fn find_time<'e>(&mut self, entry: &'e str) -> Result<Found<'e>, String> {
        let time = self.time;
        let mut found = None;
        let mut keys = Keys::default();
        let mut values = Vec::new();
        let mut fields = Fields::new(entry);
        while let Some(field) = fields.next().map_err(|flaw| flawed(&flaw))? {
            keys.add(field.key())?;
            let mut place = Place::Other;
            match &time.pointer {
                None if field.is(TIMESTAMP) => {
                    found = Some(field.value);
                    place = Place::Time;
                }
                Some(_) if field.is(TIMESTAMP) => {
                    return Err(
                        "it has a field \"timestamp\" already; take the time from there".to_owned(),
                    );
                }
                Some(pointer) if field.is(pointer.first()) => {
                    found = pointer.below(field.value).map_err(|flaw| flawed(&flaw))?;
                    place = Place::Time;
                }
                _ => {}
            }
            let end = fields.position();
            values.push((end - field.value.text.len(), end, place));
        }
        let name = time
            .pointer
            .as_ref()
            .map_or("/timestamp", |pointer| pointer.as_str());
        let Some(found) = found.map(Token::of) else {
            return Err(format!("it has no time at {name}"));
        };
        if let Some(nanos) = instant::nanos(&found, time.unit) {
            // A template sees values of the top level only.
            let is_there = time
                .pointer
                .as_ref()
                .is_none_or(|pointer| pointer.top_level().is_some());
            if self.learns && is_there && self.templates.wants_more() {
                self.templates.learn(entry, values);
            }
            return Ok(Found::new(&found, nanos));
        }
        let shown: String = match found.shape {
            Shape::Plain => format!("\"{}\"", found.text),
            _ => found.text.to_owned(),
        };
        let shown: String = shown.chars().take(60).collect();
        let number = matches!(found.shape, Shape::Int | Shape::Float);
        Err(match time.unit {
            None if number => format!(
                "its time at {name} is the number {shown}; say what it counts: s, ms, us or ns"
            ),
            _ => format!(
                "its time at {name} is {shown}, which is no timestamp between 1677-09-21 and 2262-04-11"
            ),
        })
    }
}

#[inline]
fn trimmed(entry: &str) -> &str {
    // As nearly all are.
    if entry.starts_with('{') && entry.ends_with('}') {
        return entry;
    }
    entry.trim_matches([' ', '\t', '\r', '\n'])
}

fn flawed(flaw: &Flaw) -> String {
    format!("{} at byte {}", flaw.what, flaw.at)
}

/// The keys of an entry so far: one that occurs twice is refused, since readers do not agree on which of the two counts.
#[derive(Debug, Default)]
struct Keys<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    fn add(&mut self, key: Cow<'a, str>) -> Result<(), String> {
        const FEW: usize = 24;
        if self.few.contains(&key) || self.many.contains(&key) {
            return Err(format!("the key \"{}\" occurs twice", key.escape_debug()));
        }
        if self.few.len() < FEW {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
        Ok(())
    }
}
