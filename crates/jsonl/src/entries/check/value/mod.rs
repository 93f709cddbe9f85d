//! Values as lines in one pass: what is an entry is seen while it is written, so its text need not be read again.
//!
//! This takes the usual case: a struct or a map with the time as text or a number on its top level. Everything else, also everything that is to be
//! refused, is left to the general way, which serialises the value and checks the text; a test compares the two.

mod scalar;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display};
use std::ops::Range;

use minutebook_core::series::batch::TIMESTAMP;
use serde::ser::{Impossible, SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use super::serialise;
use crate::codec::encode::{Fixed, Line, Out as _, push_text};
use crate::codec::instant::Instants;
use crate::codec::token::Token;
use crate::config::EpochUnit;
use scalar::{Name, Scalar, TimeText};

/// With more keys than these, values are left to the general way.
const MOST_KEYS: usize = 64;

/// Why the short way does not take a value. It says nothing about what is wrong with it, if anything is.
#[derive(Debug)]
pub(super) struct Left;

impl Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("left to the general way")
    }
}

impl std::error::Error for Left {}

impl serde::ser::Error for Left {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

/// Writes values, one after another.
#[derive(Debug, Default)]
pub(super) struct Values {
    known: Known,
    line: Line,
}

/// What is known of the values.
#[derive(Debug, Default)]
struct Known {
    instants: Instants,
    /// All keys so far, each once, in an order that all values had. Who finds its keys there from front to back has none twice.
    keys: Vec<Key>,
    /// Behind the key of the value at hand that was found last.
    next: usize,
    time: Time,
    unit: Option<EpochUnit>,
}

/// The time of the value at hand.
#[derive(Debug, Default)]
enum Time {
    #[default]
    Missing,
    /// Text, which names an instant.
    Text,
    /// Where its text is, which is still to be read.
    At(Range<usize>),
}

#[derive(Debug)]
struct Key {
    name: Box<str>,
    /// Where a name lies that is there as long as the program runs, and is this one; 0, where nothing lies, if none is known.
    lies_at: usize,
    /// `,"name":`
    text: Fixed,
    is_time: bool,
}

impl Values {
    /// Appends a value as an object, without a newline. Gives whether its time is a number.
    ///
    /// If it is left to the general way, `out` is as it was.
    pub(super) fn push<T: Serialize>(
        &mut self,
        value: &T,
        unit: Option<EpochUnit>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Left> {
        let Self { known, line } = self;
        known.next = 0;
        known.time = Time::Missing;
        known.unit = unit;
        line.truncate(0);
        value.serialize(Entry { known, line })?;
        let text = line.bytes();
        let is_number = known.finish(text)?;
        out.extend_from_slice(text);
        Ok(is_number)
    }
}

impl Known {
    /// Whether the time of the value is a number. It is read, unless it was when it came.
    fn finish(&mut self, text: &[u8]) -> Result<bool, Left> {
        let time = match &self.time {
            Time::Missing => return Err(Left),
            Time::Text => return Ok(false),
            Time::At(time) => text.get(time.clone()),
        };
        let time = time.and_then(|time| std::str::from_utf8(time).ok());
        let token = time.and_then(Token::simple).ok_or(Left)?;
        self.instants.nanos(&token, self.unit).ok_or(Left)?;
        Ok(token.is_number())
    }

    /// As [`key`](Self::key), for the name of a struct's field: it is known by where it lies.
    #[inline]
    fn field(&mut self, name: &'static str) -> Result<&Key, Left> {
        let lies_at = name.as_ptr().addr();
        let is_next = self
            .keys
            .get(self.next)
            .is_some_and(|key| key.lies_at == lies_at && key.name.len() == name.len());
        if is_next {
            self.next += 1;
        } else {
            self.other_field(name)?;
        }
        self.keys.get(self.next.wrapping_sub(1)).ok_or(Left)
    }

    /// As [`field`](Self::field), for another one than the one that followed before.
    #[cold]
    fn other_field(&mut self, name: &'static str) -> Result<(), Left> {
        self.key(name)?;
        if let Some(key) = self.keys.get_mut(self.next - 1) {
            key.lies_at = name.as_ptr().addr();
        }
        Ok(())
    }

    /// Appends the time.
    #[inline]
    fn time<T: Serialize + ?Sized>(&mut self, value: &T, line: &mut Line) -> Result<(), Left> {
        let from = line.len();
        let instants = &mut self.instants;
        if value.serialize(TimeText { instants, line }).is_ok() {
            self.time = Time::Text;
            return Ok(());
        }
        line.truncate(from);
        scalar_or_other(value, line)?;
        self.time = Time::At(from..line.len());
        Ok(())
    }

    /// Finds a key behind the one before.
    #[inline]
    fn key(&mut self, name: &str) -> Result<&Key, Left> {
        let behind = self.keys.iter().skip(self.next);
        let skipped = behind.take_while(|key| *key.name != *name).count();
        let place = match self.next + skipped {
            place if place < self.keys.len() => place,
            _ => self.learn(name)?,
        };
        self.next = place + 1;
        self.keys.get(place).ok_or(Left)
    }

    /// Puts a new key where it stands in the value at hand. One that stood elsewhere before is there twice, or the values have no order in common.
    #[cold]
    fn learn(&mut self, name: &str) -> Result<usize, Left> {
        if self.keys.len() >= MOST_KEYS || self.keys.iter().any(|key| *key.name == *name) {
            return Err(Left);
        }
        let mut text = vec![b','];
        push_text(&mut text, name).map_err(|_| Left)?;
        text.push(b':');
        let key = Key {
            name: name.into(),
            lies_at: 0,
            text: Fixed::new(&text),
            is_time: name == TIMESTAMP,
        };
        self.keys.insert(self.next, key);
        Ok(self.next)
    }
}

/// The value itself: an object, or nothing that is taken.
struct Entry<'v, 'o> {
    known: &'v mut Known,
    line: &'o mut Line,
}

/// The fields of an object, as they come.
struct Fields<'v, 'o> {
    entry: Entry<'v, 'o>,
    /// The key that was written last is that of the time.
    is_time: bool,
}

impl Fields<'_, '_> {
    #[inline]
    fn key(&mut self, name: &str) -> Result<(), Left> {
        let Entry { known, line } = &mut self.entry;
        let key = known.key(name)?;
        key.text.push(*line);
        self.is_time = key.is_time;
        Ok(())
    }

    /// As [`key`](Self::key), of a struct.
    #[inline]
    fn field(&mut self, name: &'static str) -> Result<(), Left> {
        let Entry { known, line } = &mut self.entry;
        let key = known.field(name)?;
        key.text.push(*line);
        self.is_time = key.is_time;
        Ok(())
    }

    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Left> {
        let Entry { known, line } = &mut self.entry;
        if self.is_time {
            return known.time(value, line);
        }
        scalar_or_other(value, line)
    }

    fn end(self) -> Result<(), Left> {
        let Entry { line, .. } = self.entry;
        line.push(b'}');
        // Before the first key stands a comma so far. Without a key there is no time, so nothing is taken.
        *line.bytes().first_mut().ok_or(Left)? = b'{';
        Ok(())
    }
}

#[inline]
fn scalar_or_other<T: Serialize + ?Sized>(value: &T, line: &mut Line) -> Result<(), Left> {
    let from = line.len();
    if value.serialize(Scalar { line }).is_err() {
        line.truncate(from);
        other(value, line)?;
    }
    Ok(())
}

/// Appends a value that is no scalar. A type may claim that any text is JSON, so it is looked at.
fn other<T: Serialize + ?Sized>(value: &T, line: &mut Line) -> Result<(), Left> {
    let mut text = Vec::new();
    serialise(value, &mut text).map_err(|_| Left)?;
    let text = &text[..];
    line.put_all(text);
    let valid = match text.first() {
        Some(b'"') => serde_json::from_slice::<String>(text).is_ok(),
        _ => serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok(),
    };
    let is_one_line = memchr::memchr2(b'\n', b'\r', text).is_none();
    let is_tight = !text.first().is_some_and(u8::is_ascii_whitespace);
    (valid && is_one_line && is_tight).then_some(()).ok_or(Left)
}

impl<'v, 'o> Serializer for Entry<'v, 'o> {
    type Ok = ();
    type Error = Left;
    type SerializeSeq = Impossible<(), Left>;
    type SerializeTuple = Impossible<(), Left>;
    type SerializeTupleStruct = Impossible<(), Left>;
    type SerializeTupleVariant = Impossible<(), Left>;
    type SerializeMap = Fields<'v, 'o>;
    type SerializeStruct = Fields<'v, 'o>;
    type SerializeStructVariant = Impossible<(), Left>;

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'v, 'o>, Left> {
        // By such names `serde_json` hands its own types to itself.
        if name.starts_with("$serde_json::") {
            return Err(Left);
        }
        self.serialize_map(None)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'v, 'o>, Left> {
        Ok(Fields {
            entry: self,
            is_time: false,
        })
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Left> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Left> {
        value.serialize(self)
    }

    refused!(
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str bytes none unit unit_struct
        unit_variant newtype_variant seq tuple tuple_struct tuple_variant struct_variant
    );

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<(), Left> {
        Err(Left)
    }
}

impl SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = Left;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Left> {
        self.field(key)?;
        self.value(value)
    }

    fn end(self) -> Result<(), Left> {
        Fields::end(self)
    }
}

impl SerializeMap for Fields<'_, '_> {
    type Ok = ();
    type Error = Left;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Left> {
        key.serialize(Name { fields: self })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Left> {
        self.value(value)
    }

    fn end(self) -> Result<(), Left> {
        Fields::end(self)
    }
}
