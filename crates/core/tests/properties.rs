//! Properties of the domain types that hold for any input.

use chrono::{DateTime, TimeDelta, Utc};
use minutebook_core::json::RawObject;
use minutebook_core::series::{Row, batch};
use minutebook_core::time::{format_timestamp, from_nanos, parse_timestamp, to_nanos};
use minutebook_core::{Bar, Cursor, Decision, DecisionId, Order, SeriesId, Symbol, TimeRange};
use proptest::prelude::*;
use serde_json::{Map, Value};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has no text for it", |number| number.is_finite())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((any::<String>(), value()), 0..8)
        .prop_map(|fields| fields.into_iter().collect())
}

fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    any::<i64>().prop_map(from_nanos)
}

proptest! {
    #[test]
    fn raw_objects_keep_text_whatever_the_layout(fields in object()) {
        let compact = serde_json::to_string(&fields).unwrap();
        let raw = RawObject::parse(&compact).unwrap();
        prop_assert_eq!(raw.to_compact(), compact.clone());
        let pretty = raw.to_pretty();
        prop_assert_eq!(&RawObject::parse(&pretty).unwrap(), &raw);
        let library = serde_json::to_string_pretty(&fields).unwrap();
        prop_assert_eq!(&RawObject::parse(&library).unwrap(), &raw);
        prop_assert_eq!(pretty, library);
    }

    #[test]
    fn documents_never_panic_and_never_change(text in "\\PC{0,60}|\\{\"id\": ?\"[a-z]{1,5}\", ?\"x\": ?[-0-9.eE\\[\\]{},\":\\\\a-z ]{0,30}\\}") {
        if let Ok(decision) = Decision::from_json(&text) {
            let again = Decision::from_json(&decision.to_json()).unwrap();
            prop_assert_eq!(again, decision);
        }
    }

    #[test]
    fn instants_survive_text_and_nanoseconds(time in instant()) {
        prop_assert_eq!(parse_timestamp(&format_timestamp(time)).unwrap(), time);
        prop_assert_eq!(from_nanos(to_nanos(time).unwrap()), time);
    }

    #[test]
    fn ranges_agree_with_their_nanoseconds(a in instant(), b in instant(), probe in instant()) {
        let (low, high) = (a.min(b), a.max(b));
        let range = TimeRange::new(low, high).unwrap();
        let (start, end) = range.nanos();
        let nanos = to_nanos(probe).unwrap();
        let inside = start <= nanos && end.is_none_or(|end| nanos < end);
        prop_assert_eq!(range.contains(probe), inside);
        prop_assert_eq!(range.overlaps(probe, probe), inside);
        prop_assert!(TimeRange::inclusive(low, high).unwrap().contains(high));
        prop_assert!(low == high || TimeRange::new(high, low).is_err());
    }

    #[test]
    fn names_either_fail_or_come_back(text in "\\PC{0,220}") {
        if let Ok(id) = DecisionId::new(&text) {
            prop_assert_eq!(id.as_str(), text.as_str());
            prop_assert!(!text.contains('/') && !text.contains('\\') && !text.contains(".."));
        }
        if let Ok(symbol) = Symbol::new(&text) {
            let ticks = SeriesId::ticks(symbol.clone());
            prop_assert_eq!(ticks.to_string().parse::<SeriesId>().unwrap(), ticks);
            prop_assert_eq!(Symbol::new(text.to_ascii_lowercase()).unwrap(), symbol);
        }
    }

    #[test]
    fn a_cursor_has_every_other_decision_on_one_side(times in prop::collection::vec(0_i64..5, 2..8)) {
        for order in [Order::Newest, Order::Oldest, Order::RecentlyWritten] {
            let stored: Vec<_> = times.iter().enumerate().map(|(i, time)| minutebook_core::StoredDecision {
                decision: Decision::new(DecisionId::new(format!("d-{i}")).unwrap())
                    .with_timestamp(from_nanos(*time)),
                revision: "1".parse().unwrap(),
                recorded_at: from_nanos(-time),
            }).collect();
            let mut sorted = stored.clone();
            sorted.sort_by(|a, b| order.compare(a, b));
            for (at, item) in sorted.iter().enumerate() {
                let cursor = Cursor::at(order, item).to_string().parse::<Cursor>().unwrap();
                let after: Vec<_> = sorted.iter().filter(|other| cursor.is_before(other)).collect();
                prop_assert_eq!(after, sorted[at + 1..].iter().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn bars_survive_arrow(values in prop::collection::vec((any::<i64>(), any::<f64>(), any::<f64>()), 0..20)) {
        let bars: Vec<_> = values.iter().map(|(nanos, a, b)| Bar {
            timestamp: from_nanos(*nanos), open: *a, high: *b, low: *a, close: *b, volume: *a,
        }).collect();
        let arrow = Bar::to_batch(&bars).unwrap();
        let back = Bar::from_batch(&arrow).unwrap();
        prop_assert_eq!(format!("{back:?}"), format!("{bars:?}"));
        let expected = values.iter().map(|v| v.0).min().map(from_nanos)
            .zip(values.iter().map(|v| v.0).max().map(from_nanos));
        prop_assert_eq!(batch::bounds(&arrow).unwrap(), expected);
    }
}

#[test]
fn a_span_is_added_to_the_end_of_an_inclusive_range() {
    let last = from_nanos(10);
    let range = TimeRange::inclusive(from_nanos(0), last).unwrap();
    assert_eq!(
        range.end(),
        last.checked_add_signed(TimeDelta::nanoseconds(1))
    );
}
