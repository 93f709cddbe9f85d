//! Walks the top level of one JSON object, field by field, without building a tree.
//!
//! Keys and scalars are checked here against RFC 8259; nested values and escaped strings are handed to `serde_json`. So a line is
//! accepted if and only if `serde_json` accepts it as an object, and a test compares the two. The walk costs about half of
//! what `serde_json`'s own map access does, which is what a full load of a tick file spends most of its time on.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// Where and why a text is not a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Offset in the text.
    pub(crate) at: usize,
    /// What is wrong.
    pub(crate) what: Cow<'static, str>,
}

/// The type of a value, as its text shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Null,
    Bool,
    /// A number without fraction and exponent.
    Int,
    /// A number with a fraction or an exponent.
    Float,
    /// A string without escapes: the text between the quotes is its value.
    Plain,
    /// A string with escapes.
    Escaped,
    /// An object or an array.
    Nested,
}

/// A value's text, quotes included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raw<'a> {
    pub(crate) text: &'a str,
    pub(crate) shape: Shape,
}

impl<'a> Raw<'a> {
    /// The value of a string; `None` for anything else.
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        match self.shape {
            Shape::Plain => self.inner().map(Cow::Borrowed),
            // `Fields` has read it once already, so this succeeds.
            Shape::Escaped => serde_json::from_str::<String>(self.text)
                .ok()
                .map(Cow::Owned),
            _ => None,
        }
    }

    /// What stands between the quotes.
    fn inner(self) -> Option<&'a str> {
        self.text.get(1..self.text.len().wrapping_sub(1))
    }
}

/// One field of the object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    key: Raw<'a>,
    pub(crate) value: Raw<'a>,
}

impl<'a> Field<'a> {
    /// Whether the key is this one. Does not allocate unless the key has escapes.
    pub(crate) fn is(&self, name: &str) -> bool {
        match self.key.shape {
            Shape::Plain => self.key.inner() == Some(name),
            _ => self.key() == name,
        }
    }

    /// The key.
    pub(crate) fn key(&self) -> Cow<'a, str> {
        self.key.string().unwrap_or_default()
    }
}

/// The fields of one object, in the order written.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    text: &'a str,
    at: usize,
    started: bool,
}

impl<'a> Fields<'a> {
    /// The fields of the object that is this text; white space around it is allowed.
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            started: false,
        }
    }

    /// The next field; `None` after the last, when the rest of the text has been checked too.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, Flaw> {
        self.skip_space();
        if self.started {
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.skip_space();
                }
                Some(b'}') => return self.finish(),
                _ => return Err(self.flaw("`,` or `}` is missing")),
            }
        } else {
            if self.peek() != Some(b'{') {
                return Err(self.flaw("not a JSON object"));
            }
            self.started = true;
            self.at += 1;
            self.skip_space();
            if self.peek() == Some(b'}') {
                return self.finish();
            }
        }
        if self.peek() != Some(b'"') {
            return Err(self.flaw("a key in quotes is missing"));
        }
        let key = self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.flaw("`:` is missing after a key"));
        }
        self.at += 1;
        self.skip_space();
        let value = self.value()?;
        Ok(Some(Field { key, value }))
    }

    /// The offset after what was read so far: after [`next`](Self::next) gave a field, the end of its value.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    fn finish(&mut self) -> Result<Option<Field<'a>>, Flaw> {
        self.at += 1;
        self.skip_space();
        match self.peek() {
            None => Ok(None),
            Some(_) => Err(self.flaw("something follows the object")),
        }
    }

    #[inline]
    fn value(&mut self) -> Result<Raw<'a>, Flaw> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{' | b'[') => self.nested(),
            Some(b't') => self.word("true", Shape::Bool),
            Some(b'f') => self.word("false", Shape::Bool),
            Some(b'n') => self.word("null", Shape::Null),
            Some(b'N' | b'I') => Err(self.flaw("NaN and infinity are no JSON")),
            _ => Err(self.flaw("a value is missing")),
        }
    }

    #[inline]
    fn string(&mut self) -> Result<Raw<'a>, Flaw> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        let mut shape = Shape::Plain;
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    shape = Shape::Escaped;
                    at += 2;
                }
                Some(0x20..) => at += 1,
                Some(_) => return Err(self.flaw_at(at, "a control character in a string")),
                None => return Err(self.flaw_at(bytes.len(), "a string does not end")),
            }
        }
        self.at = at + 1;
        let text = self.slice(start)?;
        if shape == Shape::Escaped
            && let Err(error) = serde_json::from_str::<String>(text)
        {
            return Err(Flaw {
                at: start,
                what: error.to_string().into(),
            });
        }
        Ok(Raw { text, shape })
    }

    #[inline]
    fn number(&mut self) -> Result<Raw<'a>, Flaw> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.skip_digits(),
            _ => return Err(self.flaw("a number without digits")),
        }
        let mut shape = Shape::Int;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            shape = Shape::Float;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
            shape = Shape::Float;
        }
        let text = self.slice(start)?;
        Ok(Raw { text, shape })
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        self.skip_digits();
        if self.at == start {
            return Err(self.flaw("a number lacks a digit"));
        }
        Ok(())
    }

    #[inline]
    fn skip_digits(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(rest.len());
    }

    /// An object or an array: checked and measured by `serde_json`, which needs no stack for its depth here.
    fn nested(&mut self) -> Result<Raw<'a>, Flaw> {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(IgnoredAny)) => {}
            Some(Err(error)) => {
                return Err(Flaw {
                    at: start + values.byte_offset(),
                    what: error.to_string().into(),
                });
            }
            None => return Err(self.flaw("a value is missing")),
        }
        self.at = start + values.byte_offset();
        let text = self.slice(start)?;
        Ok(Raw {
            text,
            shape: Shape::Nested,
        })
    }

    fn word(&mut self, word: &str, shape: Shape) -> Result<Raw<'a>, Flaw> {
        let start = self.at;
        self.at += word.len();
        match self.text.get(start..self.at) {
            Some(text) if text == word => Ok(Raw { text, shape }),
            _ => Err(self.flaw_at(start, "not a JSON value")),
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    #[inline]
    fn slice(&self, start: usize) -> Result<&'a str, Flaw> {
        // Both ends are at ASCII bytes.
        self.text
            .get(start..self.at)
            .ok_or_else(|| self.flaw_at(start, "not a JSON value"))
    }

    fn flaw(&self, what: &'static str) -> Flaw {
        self.flaw_at(self.at, what)
    }

    #[cold]
    fn flaw_at(&self, at: usize, what: &'static str) -> Flaw {
        Flaw {
            at: at.min(self.text.len()),
            what: what.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn walk(text: &str) -> Result<Vec<(String, String)>, Flaw> {
        let mut fields = Fields::new(text);
        let mut seen = Vec::new();
        while let Some(field) = fields.next()? {
            seen.push((field.key().into_owned(), field.value.text.to_owned()));
        }
        Ok(seen)
    }

    /// What `serde_json` makes of it: `None` if it is no object.
    fn reference(text: &str) -> Option<Vec<(String, String)>> {
        struct Pairs(Vec<(String, String)>);
        impl<'de> serde::Deserialize<'de> for Pairs {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Visit;
                impl<'de> serde::de::Visitor<'de> for Visit {
                    type Value = Pairs;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Pairs, A::Error> {
                        let mut pairs = Vec::new();
                        while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                            // A string value must have a meaning, not only a form.
                            if value.get().starts_with('"') {
                                serde_json::from_str::<String>(value.get())
                                    .map_err(serde::de::Error::custom)?;
                            }
                            pairs.push((key, value.get().to_owned()));
                        }
                        Ok(Pairs(pairs))
                    }
                }
                from.deserialize_map(Visit)
            }
        }
        serde_json::from_str::<Pairs>(text)
            .ok()
            .map(|pairs| pairs.0)
    }

    #[test]
    fn fields_come_with_their_text() {
        use Shape::{Bool, Escaped, Float, Int, Nested, Null};
        let text = r#" {"a" : 1.50e3 ,"b\u0062":"x\n","c":{"d":[1, 2]}, "e":null,"f":true,"":-0} "#;
        let mut fields = Fields::new(text);
        let mut shapes = Vec::new();
        while let Some(field) = fields.next().unwrap() {
            shapes.push(field.value.shape);
        }
        assert_eq!(shapes, [Float, Escaped, Nested, Null, Bool, Int]);
        assert_eq!(walk(text).unwrap(), reference(text).unwrap());
    }

    #[test]
    fn flaws_are_placed() {
        for (text, at) in [
            ("", 0),
            ("[1]", 0),
            (r#"{"a":NaN}"#, 5),
            (r#"{"a":1"#, 6),
            (r#"{"a":1} x"#, 8),
            (r#"{"a":01}"#, 6),
            ("{\"a\":\"\t\"}", 6),
            (r#"{"a":"\ud800"}"#, 5),
        ] {
            assert_eq!(walk(text).unwrap_err().at, at, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// Texts near JSON: a valid object with a few bytes changed.
        #[test]
        fn agrees_with_serde_json(
            base in prop::sample::select(vec![
                r#"{"timestamp": "2024-01-01T00:00:00.014825", "price": 42496.1, "size": -1.5E+3}"#,
                r#"{"a":{"b":[1,{"c":"\u00e9\\\""},[]]},"d":[true,false,null],"e":""}"#,
                r#"{"é☃":"\ud83d\ude00\n","":0,"x":-0.0e-7,"n":null,"t":true}"#,
                "{}",
            ]),
            edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(
                b"{}[]\",:\\0123456789.-+eEtrufalsn \t\r\x00x".to_vec()), any::<u8>()), 0..4),
        ) {
            let mut bytes = base.as_bytes().to_vec();
            for (index, byte, action) in edits {
                let at = index.index(bytes.len().max(1));
                match action % 3 {
                    0 if at < bytes.len() => bytes[at] = byte,
                    1 if at < bytes.len() => { bytes.remove(at); }
                    _ => bytes.insert(at.min(bytes.len()), byte),
                }
            }
            if let Ok(text) = std::str::from_utf8(&bytes) {
                prop_assert_eq!(walk(text).ok(), reference(text), "{}", text);
            }
        }
    }
}
