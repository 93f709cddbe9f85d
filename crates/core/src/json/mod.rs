//! JSON text that stays as it was written: top-level fields in order, each value's text untouched.
//!
//! Numbers keep their digits (`1.10` stays `1.10`), strings their escapes; only white space outside
//! strings is normalised, so that two texts that say the same letter for letter compare equal.

mod finite;
mod sorted;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use indexmap::map::Entry;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

pub use finite::to_text;
pub use sorted::{check, sorted};

/// How deep arrays and objects may nest: what `serde_json` reads without being told otherwise.
pub const MAX_DEPTH: usize = 127;

/// An object's fields in the order written, each value as compact JSON text.
///
/// A clone shares them until one of the two is changed. Two objects are equal if they have the same fields with the same texts in the same order.
#[derive(Debug, Clone, Default)]
pub struct RawObject(Arc<IndexMap<String, Box<str>>>);

impl PartialEq for RawObject {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for RawObject {}

impl RawObject {
    /// Reads an object.
    ///
    /// # Errors
    /// What is wrong and where (line, column), also for a key that occurs twice at any depth and for nesting beyond [`MAX_DEPTH`].
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let Wire(fields) = serde_json::from_str(text)?;
        let mut object = IndexMap::with_capacity(fields.len());
        for (key, value) in fields {
            let value = if value.get().starts_with(['{', '[']) {
                checked(value.get())?.into()
            } else {
                value.get().into()
            };
            match object.entry(key) {
                Entry::Vacant(field) => drop(field.insert(value)),
                Entry::Occupied(field) => {
                    return Err(serde_json::Error::custom(format_args!(
                        "the key \"{}\" occurs twice",
                        field.key()
                    )));
                }
            }
        }
        Ok(Self(Arc::new(object)))
    }

    /// The value's JSON text.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(AsRef::as_ref)
    }

    /// Sets a field to JSON text, at its place if it is there and at the end if not.
    ///
    /// # Errors
    /// If the text is not one JSON value.
    pub fn set(&mut self, key: impl Into<String>, value: &str) -> Result<(), serde_json::Error> {
        serde_json::from_str::<UniqueKeys>(value)?;
        Arc::make_mut(&mut self.0).insert(key.into(), compact(value).into());
        Ok(())
    }

    /// Takes a field out; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Box<str>> {
        Arc::make_mut(&mut self.0).shift_remove(key)
    }

    /// Keys and value texts in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), &**value))
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object as compact JSON on one line.
    pub fn to_compact(&self) -> String {
        let size = self
            .0
            .iter()
            .map(|(k, v)| k.len() + v.len() + 4)
            .sum::<usize>();
        let mut out = String::with_capacity(size + 2);
        out.push('{');
        for (i, (key, value)) in self.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_string(&mut out, key);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        out
    }

    /// The object indented by two blanks a level, as Python's `json.dump(..., indent=2)` lays it out.
    pub fn to_pretty(&self) -> String {
        pretty(&self.to_compact())
    }
}

/// Appends a string as JSON, escapes included.
pub fn push_string(out: &mut String, text: &str) {
    if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
        return;
    }
    // A string always serialises; an error could only come from the writer, and this one cannot fail.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// The text without white space outside strings. Borrows where there is none.
fn compact(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if !text.starts_with(['{', '[']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    walk(text, |token| out.push_str(token));
    Cow::Owned(out)
}

/// The text of an array or object without white space outside strings, if no object in it has a key twice.
fn checked(text: &str) -> Result<String, serde_json::Error> {
    if let Some(out) = plain(text) {
        return Ok(out);
    }
    serde_json::from_str::<UniqueKeys>(text)?;
    Ok(compact(text).into_owned())
}

/// An object of more keys is looked at closer.
const FEW_KEYS: usize = 32;

/// As [`checked`], for valid JSON whose text alone shows that nothing in it is unusual; `None` if that takes a closer look. Numbers are not read,
/// which is most of the work.
fn plain(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut keys: Vec<&str> = Vec::with_capacity(FEW_KEYS);
    // Where in `keys` those of each open object start; `None` for arrays.
    let mut open: Vec<Option<usize>> = Vec::with_capacity(8);
    let (mut key_comes, mut sure) = (false, true);
    walk(text, |token| {
        match token.as_bytes() {
            b"{" => {
                open.push(Some(keys.len()));
                key_comes = true;
            }
            b"[" => {
                open.push(None);
                key_comes = false;
            }
            b"}" | b"]" => {
                if let Some(start) = open.pop().flatten() {
                    keys.truncate(start);
                }
                key_comes = false;
            }
            b"," => key_comes = matches!(open.last(), Some(Some(_))),
            [b'"', ..] if key_comes => {
                let start = open.last().copied().flatten().unwrap_or(0);
                let known = keys.get(start..).unwrap_or_default();
                sure &= known.len() < FEW_KEYS && !token.contains('\\') && !known.contains(&token);
                keys.push(token);
                key_comes = false;
            }
            // Surrogates have to come in pairs.
            [b'"', ..] => sure &= !token.contains("\\u"),
            // Out of range, perhaps.
            [b'-' | b'0'..=b'9', ..] => {
                sure &= token.len() < 300 && !token.contains(['e', 'E']);
            }
            _ => {}
        }
        sure &= open.len() < MAX_DEPTH;
        out.push_str(token);
    });
    sure.then_some(out)
}

/// Lays valid JSON text out over lines, two blanks a level; numbers and strings stay as they are.
pub fn pretty(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3 / 2);
    let mut depth = 0_usize;
    let mut empty = false;
    walk(text, |token| match token {
        "{" | "[" => {
            if empty {
                newline(&mut out, depth);
            }
            out.push_str(token);
            depth += 1;
            empty = true;
        }
        "}" | "]" => {
            depth = depth.saturating_sub(1);
            if !empty {
                newline(&mut out, depth);
            }
            out.push_str(token);
            empty = false;
        }
        "," => {
            out.push(',');
            newline(&mut out, depth);
        }
        ":" => out.push_str(": "),
        value => {
            if empty {
                newline(&mut out, depth);
                empty = false;
            }
            out.push_str(value);
        }
    });
    out
}

fn newline(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Calls `emit` with each token of JSON text: a bracket, a comma, a colon, a string or a bare scalar.
fn walk<'a>(text: &'a str, mut emit: impl FnMut(&'a str)) {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let start = i;
        match bytes[i] {
            b' ' | b'\t' | b'\r' | b'\n' => {
                i += 1;
                continue;
            }
            b'"' => {
                i += 1;
                while i < bytes.len() && bytes[i] != b'"' {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
                i = (i + 1).min(bytes.len());
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' => i += 1,
            _ => {
                while i < bytes.len()
                    && !matches!(
                        bytes[i],
                        b' ' | b'\t'
                            | b'\r'
                            | b'\n'
                            | b'{'
                            | b'}'
                            | b'['
                            | b']'
                            | b','
                            | b':'
                            | b'"'
                    )
                {
                    i += 1;
                }
            }
        }
        // Tokens begin and end at ASCII bytes, so this is a character boundary in valid JSON.
        if let Some(token) = text.get(start..i) {
            emit(token);
        }
    }
}

struct Wire<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Wire<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Wire<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wire<'de>, A::Error> {
                let mut fields = Vec::with_capacity(map.size_hint().unwrap_or(16));
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Wire(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// Accepts any JSON value in which no object has a key twice.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = std::collections::HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<Self>()?;
            if let Some(key) = seen.replace(key) {
                return Err(A::Error::custom(format_args!(
                    "the key \"{key}\" occurs twice"
                )));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_order_survive() {
        let text = "{\n \"z\": 1.10, \"a\": {\"x y\": [1e5, -0.0 , 12345678901234567890123]}, \"u\": \"caf\\u00e9 \\\" ☃\"}";
        let object = RawObject::parse(text).unwrap();
        assert_eq!(
            object.to_compact(),
            r#"{"z":1.10,"a":{"x y":[1e5,-0.0,12345678901234567890123]},"u":"caf\u00e9 \" ☃"}"#
        );
        assert_eq!(RawObject::parse(&object.to_pretty()).unwrap(), object);
    }

    #[test]
    fn pretty_is_laid_out_like_python() {
        let text = r#"{"a":[],"b":{},"c":[1,{"d":null}],"e":[[]]}"#;
        let expected = "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": null\n    }\n  ],\n  \"e\": [\n    []\n  ]\n}";
        assert_eq!(pretty(text), expected);
    }

    #[test]
    fn what_json_forbids_or_hides_is_refused() {
        for text in [
            r#"{"a": 1, "a": 2}"#,
            r#"{"a": {"b": 1, "b": 2}}"#,
            r#"{"a": NaN}"#,
            r#"{"a": 1,}"#,
            r#"{"a": 1} x"#,
            "[1]",
            "\u{feff}{}",
            "",
        ] {
            assert!(RawObject::parse(text).is_err(), "{text}");
        }
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(200), "]".repeat(200));
        assert!(RawObject::parse(&deep).is_err());
    }

    /// What the quick look lets through is what the full one does.
    #[test]
    fn the_quick_look_agrees_with_the_full_one() {
        let many: Vec<_> = (0..60).map(|i| format!("\"k{i}\":{i}")).collect();
        let many = format!("{{{}}}", many.join(", "));
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for (text, quick) in [
            (
                r#"{"a":1,"b":{"a":[1, {"a":2}],"c":{}},"d":[{"a":1},{"a":2}]}"#,
                true,
            ),
            (
                r#"[{}, [], "x\"y", -0.5, true, null, {"a" : {"b":1}, "b":2}]"#,
                true,
            ),
            (r#"{"a":1,"b":[],"a":2}"#, false),
            (r#"[{"x":{"a":1,"b":{"c":1},"a":2}}]"#, false),
            (r#"{"a":1,"\u0061":2}"#, false),
            (r#"["\ud800"]"#, false),
            (r#"["\ud83d\ude00"]"#, false),
            ("[1e5]", false),
            ("[1e999]", false),
            (&many, false),
            (&deep(126), true),
            (&deep(127), false),
            (&deep(128), false),
        ] {
            let full = serde_json::from_str::<UniqueKeys>(text).is_ok();
            assert_eq!(checked(text).is_ok(), full, "{text}");
            assert_eq!(plain(text).is_some(), quick, "{text}");
            if let Some(out) = plain(text) {
                assert!(full, "{text}");
                assert_eq!(out, compact(text));
            }
        }
        assert!(serde_json::from_str::<UniqueKeys>(&deep(127)).is_ok());
    }

    #[test]
    fn set_keeps_the_place_and_remove_the_order() {
        let mut object = RawObject::parse(r#"{"a":1,"b":2,"c":3}"#).unwrap();
        object.set("b", " [ 1, 2 ] ").unwrap();
        object.set("d", "\"x\"").unwrap();
        object.remove("a");
        assert_eq!(object.to_compact(), r#"{"b":[1,2],"c":3,"d":"x"}"#);
        assert!(object.set("e", "1 2").is_err());
        let reordered = RawObject::parse(r#"{"c":3,"b":[1,2],"d":"x"}"#).unwrap();
        assert_ne!(object, reordered);
    }
}
