//! Values as lines in one pass: what is an entry is seen while it is written, so its text need not be read again.
//!
//! This takes the usual case: a struct or a map with the time as text or a number on its top level. Everything else, also everything that is to be
//! refused, is left to the general way, which serialises the value and checks the text; a test compares the two.

use std::fmt::{self, Display};
use std::ops::Range;

use minutebook_core::series::batch::TIMESTAMP;
use serde::ser::{Impossible, SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use super::serialise;
use crate::codec::encode::{push_json, push_text};
use crate::codec::instant::Instants;
use crate::codec::token::Token;
use crate::config::EpochUnit;

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
    instants: Instants,
    /// All keys so far, each once, in an order that all values had. Who finds its keys there from front to back has none twice.
    keys: Vec<Key>,
    /// Behind the key of the value at hand that was found last.
    next: usize,
    time: Option<Range<usize>>,
}

#[derive(Debug)]
struct Key {
    name: Box<str>,
    /// `,"name":`
    text: Box<[u8]>,
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
        let start = out.len();
        self.next = 0;
        self.time = None;
        let done = value
            .serialize(Entry {
                values: self,
                out,
                start,
            })
            .and_then(|()| self.finish(out.get(start..).unwrap_or_default(), unit));
        if done.is_err() {
            out.truncate(start);
        }
        done
    }

    fn finish(&mut self, text: &[u8], unit: Option<EpochUnit>) -> Result<bool, Left> {
        let time = self.time.clone().ok_or(Left)?;
        let time = text
            .get(time)
            .and_then(|time| std::str::from_utf8(time).ok());
        let token = time.and_then(Token::simple).ok_or(Left)?;
        self.instants.nanos(&token, unit).ok_or(Left)?;
        Ok(token.is_number())
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
            text: text.into(),
            is_time: name == TIMESTAMP,
        };
        self.keys.insert(self.next, key);
        Ok(self.next)
    }
}

/// The value itself: an object, or nothing that is taken.
struct Entry<'v, 'o> {
    values: &'v mut Values,
    out: &'o mut Vec<u8>,
    start: usize,
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
        let Entry { values, out, .. } = &mut self.entry;
        let key = values.key(name)?;
        out.extend_from_slice(&key.text);
        self.is_time = key.is_time;
        Ok(())
    }

    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Left> {
        let Entry { values, out, start } = &mut self.entry;
        let from = out.len();
        if value.serialize(Scalar { out }).is_err() {
            out.truncate(from);
            other(value, out)?;
        }
        if self.is_time {
            values.time = Some(from - *start..out.len() - *start);
        }
        Ok(())
    }

    fn end(self) -> Result<(), Left> {
        let Entry { out, start, .. } = self.entry;
        // Before the first key stands a comma so far. Without a key there is no time, so nothing is taken.
        *out.get_mut(start).ok_or(Left)? = b'{';
        out.push(b'}');
        Ok(())
    }
}

/// Appends a value that is no scalar. A type may claim that any text is JSON, so it is looked at.
fn other<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), Left> {
    let from = out.len();
    serialise(value, out).map_err(|_| Left)?;
    let text = out.get(from..).unwrap_or_default();
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
        self.key(key)?;
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

/// A key of a map: text, or nothing that is taken.
struct Name<'f, 'v, 'o> {
    fields: &'f mut Fields<'v, 'o>,
}

impl Serializer for Name<'_, '_, '_> {
    type Ok = ();
    type Error = Left;
    type SerializeSeq = Impossible<(), Left>;
    type SerializeTuple = Impossible<(), Left>;
    type SerializeTupleStruct = Impossible<(), Left>;
    type SerializeTupleVariant = Impossible<(), Left>;
    type SerializeMap = Impossible<(), Left>;
    type SerializeStruct = Impossible<(), Left>;
    type SerializeStructVariant = Impossible<(), Left>;

    fn serialize_str(self, key: &str) -> Result<(), Left> {
        self.fields.key(key)
    }

    refused!(
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes none some unit unit_struct
        unit_variant newtype_struct newtype_variant seq tuple tuple_struct tuple_variant map struct
        struct_variant
    );

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<(), Left> {
        Err(Left)
    }
}

/// The value of a field, if it is a scalar.
struct Scalar<'o> {
    out: &'o mut Vec<u8>,
}

impl Scalar<'_> {
    fn push<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Left> {
        push_json(self.out, value).map_err(|_| Left)
    }
}

impl Serializer for Scalar<'_> {
    type Ok = ();
    type Error = Left;
    type SerializeSeq = Impossible<(), Left>;
    type SerializeTuple = Impossible<(), Left>;
    type SerializeTupleStruct = Impossible<(), Left>;
    type SerializeTupleVariant = Impossible<(), Left>;
    type SerializeMap = Impossible<(), Left>;
    type SerializeStruct = Impossible<(), Left>;
    type SerializeStructVariant = Impossible<(), Left>;

    fn serialize_bool(self, value: bool) -> Result<(), Left> {
        self.push(&value)
    }
    fn serialize_i32(self, value: i32) -> Result<(), Left> {
        self.push(&value)
    }
    fn serialize_i64(self, value: i64) -> Result<(), Left> {
        self.push(&value)
    }
    fn serialize_u32(self, value: u32) -> Result<(), Left> {
        self.push(&value)
    }
    fn serialize_u64(self, value: u64) -> Result<(), Left> {
        self.push(&value)
    }
    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), Left> {
        // JSON has no text for NaN and infinity.
        if !value.is_finite() {
            return Err(Left);
        }
        self.push(&value)
    }
    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Left> {
        push_text(self.out, value).map_err(|_| Left)
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Left> {
        self.serialize_str(variant)
    }
    fn serialize_none(self) -> Result<(), Left> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }
    fn serialize_unit(self) -> Result<(), Left> {
        self.serialize_none()
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
        i8 i16 i128 u8 u16 u128 f32 char bytes unit_struct newtype_variant seq tuple tuple_struct
        tuple_variant map struct struct_variant
    );

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<(), Left> {
        Err(Left)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::TimeField;
    use crate::entries::check::{Checker, lines_of_values};

    /// What the general way makes of values.
    fn general<T: Serialize>(values: &[T], time: &TimeField) -> Result<(Vec<u8>, bool), String> {
        let mut checker = Checker::new(time, 1 << 20, 0);
        for value in values {
            let mut text = Vec::new();
            serialise(value, &mut text).map_err(|what| checker.fail(what).to_string())?;
            let text = String::from_utf8(text).unwrap();
            checker.entry(&text).map_err(|error| error.to_string())?;
        }
        Ok((checker.lines.bytes, checker.lines.unit.is_some()))
    }

    fn short<T: Serialize + Sync>(
        values: &[T],
        time: &TimeField,
    ) -> Result<(Vec<u8>, bool), String> {
        let made = lines_of_values(values, time, 1 << 20).map_err(|error| error.to_string())?;
        Ok((made.bytes, made.unit.is_some()))
    }

    /// Whether the short way takes a value without help.
    fn takes(value: &impl Serialize) -> bool {
        let mut out = b"before".to_vec();
        let taken = Values::default().push(value, None, &mut out).is_ok();
        assert!(taken || out == b"before");
        taken
    }

    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Side {
        Buy,
        Other(String),
    }

    #[derive(Serialize)]
    struct Fill {
        #[serde(skip_serializing_if = "Option::is_none")]
        venue: Option<&'static str>,
        timestamp: &'static str,
        price: Option<f64>,
        side: Side,
        small: i8,
        levels: Vec<(f64, u32)>,
        note: String,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    fn fill(venue: Option<&'static str>) -> Fill {
        Fill {
            venue,
            timestamp: "2025-01-01T00:00:00.5Z",
            price: None,
            side: Side::Buy,
            small: -3,
            levels: vec![(1.5, 2), (1e21, 0)],
            note: "a \"quoted\"\n☃ \u{1} word that is longer".to_owned(),
            more: BTreeMap::from([("x".to_owned(), json!({"a": [1, null]}))]),
        }
    }

    #[test]
    fn the_usual_values_are_taken() {
        let time = TimeField::timestamp();
        assert!(takes(&fill(None)) && takes(&json!({"timestamp": "2025-01-01", "p": 1.5})));
        let mut fills = vec![fill(None), fill(Some("X")), fill(None)];
        fills[1].side = Side::Other("o\t".to_owned());
        assert_eq!(short(&fills, &time), general(&fills, &time));
        assert!(short(&fills, &time).is_ok());
    }

    #[test]
    fn keys_may_be_left_out_and_come_in_any_order() {
        let time = TimeField::timestamp();
        let value = |keys: &[&str]| {
            let mut object = serde_json::Map::new();
            for (n, key) in keys.iter().enumerate() {
                object.insert((*key).to_owned(), json!(n));
            }
            object.insert("timestamp".to_owned(), json!("2025-01-01"));
            Value::Object(object)
        };
        let values = [
            value(&["a", "b"]),
            value(&["b"]),
            value(&["b", "a"]),
            value(&["x", "a", "y", "b", "z"]),
            value(&["y", "z"]),
            value(&[]),
            value(&["timestamp", "a"]),
            value(&(0..100).map(|_| "many").collect::<Vec<_>>()),
        ];
        assert_eq!(short(&values, &time), general(&values, &time));
        let mut writer = Values::default();
        let taken = values.map(|value| writer.push(&value, None, &mut Vec::new()).is_ok());
        assert_eq!(taken, [true, true, false, true, true, true, false, true]);
    }

    #[test]
    fn what_is_refused_is_refused_in_the_same_words() {
        #[derive(Serialize)]
        struct Twice {
            timestamp: &'static str,
            #[serde(flatten)]
            more: BTreeMap<&'static str, f64>,
        }
        let time = TimeField::timestamp();
        let twice = |more: &[(&'static str, f64)]| Twice {
            timestamp: "2025-01-01",
            more: more.iter().copied().collect(),
        };
        for more in [
            &[("timestamp", 1.0)][..],
            &[("x", f64::NAN)],
            &[("x", f64::INFINITY)],
        ] {
            let values = [twice(&[("x", 1.0)]), twice(more)];
            let error = short(&values, &time).unwrap_err();
            assert_eq!(error, general(&values, &time).unwrap_err());
            assert!(error.starts_with("entry 2: "), "{error}");
        }
        for bad in [
            json!([1]),
            json!("x"),
            json!({}),
            json!({"timestamp": 5}),
            json!({"timestamp": null}),
            json!({"timestamp": {"a": 1}}),
            json!({"timestamp": "2025-01-01T00:00:61"}),
        ] {
            assert!(!takes(&bad), "{bad}");
            assert_eq!(short(&[&bad], &time), general(&[&bad], &time), "{bad}");
        }
    }

    #[test]
    fn raw_text_is_looked_at() {
        #[derive(Serialize)]
        struct Claims<'a> {
            timestamp: &'static str,
            raw: &'a RawValue,
        }
        /// Claims that any text is JSON, as nothing hinders a type to do.
        struct Liar(&'static str);
        impl Serialize for Liar {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut raw = serializer.serialize_struct("$serde_json::private::RawValue", 1)?;
                raw.serialize_field("$serde_json::private::RawValue", self.0)?;
                raw.end()
            }
        }
        #[derive(Serialize)]
        struct Lies {
            timestamp: &'static str,
            raw: Liar,
        }
        let time = TimeField::timestamp();
        for text in ["{\"a\": [ 1 ]}", "[1,\r\n2]", "\"\\u00e9\"", "1.50", "null"] {
            let raw = RawValue::from_string(text.to_owned()).unwrap();
            let values = [Claims {
                timestamp: "2025-01-01",
                raw: &raw,
            }];
            assert_eq!(short(&values, &time), general(&values, &time), "{text}");
        }
        for text in [
            "1} {\"a\":1",
            "1,\"a\":2",
            "",
            "\"\\ud800\"",
            "\"a",
            " 1",
            "nul",
        ] {
            let values = [Lies {
                timestamp: "2025-01-01",
                raw: Liar(text),
            }];
            assert_eq!(short(&values, &time), general(&values, &time), "{text}");
        }
        assert_eq!(
            short(&[Liar("{\"timestamp\":\"2025-01-01\"}")], &time),
            general(&[Liar("{\"timestamp\":\"2025-01-01\"}")], &time)
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            proptest::num::f64::NORMAL.prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ -~]{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[a-c\"\\\\é]{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        /// The short way makes what the general way makes, of values one after another.
        #[test]
        fn both_ways_agree(
            objects in prop::collection::vec(
                prop::collection::vec((prop_oneof![
                    Just("price".to_owned()), Just("size".to_owned()), any::<String>(),
                ], any_json()), 0..6), 1..5),
            time in prop_oneof![
                "2025-01-0[0-9]T00:00:[0-6][0-9](\\.[0-9]{0,10})?(Z|)".prop_map(Value::from),
                any::<i64>().prop_map(Value::from),
                any_json(),
            ],
            unit in prop::option::of(Just(EpochUnit::Milliseconds)),
        ) {
            let mut field = TimeField::timestamp();
            field.unit = unit;
            let mut values = Vec::new();
            for object in objects {
                let mut value: serde_json::Map<_, _> = object.into_iter().collect();
                value.insert(TIMESTAMP.to_owned(), time.clone());
                values.push(Value::Object(value));
            }
            prop_assert_eq!(short(&values, &field), general(&values, &field));
        }
    }
}
