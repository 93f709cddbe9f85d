//! Reading in the order of time gives what a stable sort of all rows would give, however they were written and however few of them may be held.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use common::*;
use futures_util::StreamExt;
use minutebook_core::series::batch::timestamps;
use minutebook_core::time::from_nanos;
use minutebook_core::{ScanQuery, Take, TimeRange};
use minutebook_fs::Durability;
use minutebook_jsonl::{EpochUnit, JsonlConfig, TimeField};
use proptest::prelude::*;

/// How the times of the rows stand in the file.
#[derive(Debug, Clone, Copy)]
enum Shape {
    InOrder,
    Reversed,
    Shuffled,
    Backfilled,
    NearlySorted,
    Equal,
    Far,
}

#[derive(Debug, Clone)]
struct Case {
    shape: Shape,
    rows: i64,
    /// Bytes of text in a row.
    pad: usize,
    sort_bytes: usize,
    batch_size: usize,
    take: Take,
    range: Option<(i64, i64)>,
    /// Whether the text is read too.
    text: bool,
    /// After so many rows the file is sealed.
    sealed: Option<i64>,
}

impl Case {
    fn time(&self, n: i64) -> i64 {
        match self.shape {
            Shape::InOrder => n / 2,
            Shape::Reversed => self.rows - n,
            // Some times are there twice and more.
            Shape::Shuffled => n * 7_919 % self.rows * 3 / 4,
            Shape::Backfilled => n * 3 % self.rows,
            Shape::NearlySorted => n + n * 31 % 11,
            Shape::Equal => 7,
            // A few far from all others.
            Shape::Far => match n % 10 {
                0 => -1_000_000_000_000_000 * (n % 3),
                _ => n * 7_919 % self.rows,
            },
        }
    }
}

fn case() -> impl Strategy<Value = Case> {
    let shape = prop_oneof![
        Just(Shape::InOrder),
        Just(Shape::Reversed),
        Just(Shape::Shuffled),
        Just(Shape::Backfilled),
        Just(Shape::NearlySorted),
        Just(Shape::Equal),
        Just(Shape::Far),
    ];
    let take = prop_oneof![
        Just(Take::All),
        (0_usize..200).prop_map(Take::First),
        (0_usize..200).prop_map(Take::Last),
    ];
    let sort_bytes = prop_oneof![Just(1), Just(2_000), Just(40_000), Just(1 << 20)];
    (
        (shape, 1..160_i64, prop_oneof![Just(0), Just(4_000)]),
        (sort_bytes, 1..100_usize, take, any::<bool>()),
        proptest::option::of((-10..150_i64, 0..150_i64)),
        proptest::option::of(0..100_i64),
    )
        .prop_map(|(file, read, range, sealed)| Case {
            shape: file.0,
            rows: file.1,
            pad: file.2,
            sort_bytes: read.0,
            batch_size: read.1,
            take: read.2,
            range: range.map(|(from, len)| (from, from + len)),
            text: read.3,
            sealed: sealed.filter(|sealed| *sealed > 0 && *sealed < file.1),
        })
}

fn lines(case: &Case, numbers: std::ops::Range<i64>) -> String {
    let mut lines = String::new();
    for n in numbers {
        let (time, pad) = (case.time(n), "x".repeat(case.pad));
        writeln!(lines, r#"{{"timestamp":{time},"n":{n},"text":"{pad}"}}"#).unwrap();
    }
    lines
}

async fn read(case: &Case) -> Vec<(i64, i64)> {
    const FILE: &str = "btcusd_timeseries.jsonl";
    let config = JsonlConfig::default()
        .durability(Durability::Buffered)
        .time(TimeField::timestamp().epoch(EpochUnit::Nanoseconds))
        .sort_bytes(case.sort_bytes);
    let place = Place::with(config);
    let mut from = 0;
    if let Some(sealed) = case.sealed {
        place.put(FILE, lines(case, 0..sealed));
        place.repo.rotate(&btc()).await.unwrap();
        from = sealed;
    }
    place.put(FILE, lines(case, from..case.rows));
    let mut query = ScanQuery::new().batch_size(case.batch_size);
    query.take = case.take;
    if !case.text {
        query = query.columns(["n"]);
    }
    if let Some((start, end)) = case.range {
        query = query.range(TimeRange::new(from_nanos(start), from_nanos(end)).unwrap());
    }
    let snapshot = place.repo.snapshot(&btc()).await.unwrap().unwrap();
    let mut batches = snapshot.scan_in_time_order(&query, None).await.unwrap();
    let mut rows = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch.unwrap();
        assert!((1..=case.batch_size).contains(&batch.num_rows()));
        let numbers = batch.column_by_name("n").unwrap().clone();
        let numbers = numbers.as_primitive::<Int64Type>().values().to_vec();
        rows.extend(
            timestamps(&batch)
                .unwrap()
                .values()
                .iter()
                .copied()
                .zip(numbers),
        );
        if case.text {
            let text = batch.column_by_name("text").unwrap().as_string::<i32>();
            assert!(text.iter().all(|text| text.unwrap().len() == case.pad));
        }
    }
    rows
}

fn wanted(case: &Case) -> Vec<(i64, i64)> {
    let all = (0..case.rows).map(|n| (case.time(n), n));
    let inside = |time| {
        case.range
            .is_none_or(|(from, to)| (from..to).contains(&time))
    };
    let mut rows: Vec<_> = all.filter(|(time, _)| inside(*time)).collect();
    rows.sort_by_key(|(time, _)| *time);
    match case.take {
        Take::First(count) => rows.truncate(count),
        Take::Last(count) => drop(rows.drain(..rows.len().saturating_sub(count))),
        _ => {}
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_a_stable_sort_of_all_rows(case in case()) {
        prop_assert_eq!(run(read(&case)), wanted(&case));
    }
}
