//! The short way against the general one.

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

fn short<T: Serialize + Sync>(values: &[T], time: &TimeField) -> Result<(Vec<u8>, bool), String> {
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

/// Serialises as the text that it shows.
struct Shown(&'static str);

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[test]
fn a_time_may_be_of_any_type_that_serialises_to_text() {
    #[derive(Serialize)]
    struct Stamp<T>(T);
    #[derive(Serialize)]
    struct Tick<T> {
        price: f64,
        timestamp: T,
    }
    fn is_kept<T: Serialize + Sync>(times: Vec<T>, is_good: bool) {
        let time = TimeField::timestamp();
        let ticks: Vec<_> = times
            .into_iter()
            .map(|timestamp| Tick {
                price: 42_496.1,
                timestamp,
            })
            .collect();
        let made = short(&ticks, &time);
        assert_eq!(made, general(&ticks, &time));
        assert_eq!(made.is_ok(), is_good, "{made:?}");
        assert_eq!(takes(&ticks[0]), is_good);
    }
    let start = chrono::DateTime::UNIX_EPOCH;
    is_kept(
        vec![
            start,
            chrono::DateTime::from_timestamp_nanos(1_735_689_600_123_456_789),
        ],
        true,
    );
    is_kept(vec![start.naive_utc()], true);
    is_kept(
        vec![
            Some(Stamp("2025-01-01 00:00:00+00:00")),
            Some(Stamp("2025-01-01T00:00:00.5Z")),
        ],
        true,
    );
    is_kept(
        vec![
            Stamp(Shown("2025-01-01T00:00:00")),
            Stamp(Shown("2025-01-01T01:00:00+01:00")),
        ],
        true,
    );
    is_kept(vec![Shown("2025-01-01T00:00:00\"}\n{\"a\":\"")], false);
    is_kept(vec![None::<Shown>], false);
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
