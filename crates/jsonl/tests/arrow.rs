//! Arrow batches: what comes back, what is widened, what is refused.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array, Int64Array,
    NullArray, RecordBatch, StringArray, UInt64Array,
};
use arrow_schema::{DataType, Schema};
use common::*;
use minutebook_core::{
    ErrorKind, ScanQuery, Tick, TimeRange, TimeSeriesRepository, TimeSeriesRepositoryExt,
    series::Row, time::from_nanos,
};
use minutebook_jsonl::JsonlConfig;
use proptest::prelude::*;

#[test]
fn columns_of_nulls_keep_their_types() {
    run(async {
        let place = Place::new();
        let tick = Tick {
            timestamp: from_nanos(BASE + 1),
            price: 1.0,
            size: None,
            side: None,
        };
        place.repo.append_ticks(&btc(), &[tick]).await.unwrap();
        assert_eq!(
            place.bytes("btcusd_timeseries.jsonl"),
            b"{\"timestamp\":\"2025-01-01T00:00:00.000000001Z\",\"price\":1.0,\"size\":null,\"side\":null}\n"
        );
        let again = minutebook_jsonl::JsonlTimeSeriesRepository::open(
            place.dir.path(),
            JsonlConfig::default(),
        )
        .unwrap();
        for repo in [&place.repo, &again] {
            let (rows, report) = scan(repo, &btc(), &ScanQuery::new()).await.unwrap();
            let expected = [
                ("price", DataType::Float64),
                ("size", DataType::Float64),
                ("side", DataType::Utf8),
            ];
            assert_eq!(types(&rows), named(&expected));
            assert!(report.is_clean());
            assert_eq!(repo.ticks(&btc(), TimeRange::all()).await.unwrap(), [tick]);
            let text = batch(&[2], vec![("size", Arc::new(StringArray::from(vec!["1"])))]);
            let error = append(repo, &btc(), text).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
        }
        // Without the file of types the values are all there; only what nulls would be is not known.
        std::fs::remove_file(place.file(".btcusd.types")).unwrap();
        let (rows, _) = scan(&again, &btc(), &ScanQuery::new()).await.unwrap();
        let expected = [
            ("price", DataType::Float64),
            ("size", DataType::Utf8),
            ("side", DataType::Utf8),
        ];
        assert_eq!(types(&rows), named(&expected));
    });
}

#[test]
fn an_empty_first_batch_makes_a_series_with_its_columns() {
    run(async {
        let place = Place::new();
        place.repo.append_ticks(&btc(), &[]).await.unwrap();
        let summary = place.repo.summary(&btc()).await.unwrap().unwrap();
        assert_eq!(
            (summary.rows, summary.first, summary.version.0),
            (0, None, 0)
        );
        let names = |schema: &Schema| -> Vec<_> {
            schema
                .fields()
                .iter()
                .map(|f| (f.name().clone(), f.data_type().clone()))
                .collect()
        };
        assert_eq!(names(&summary.schema), names(&Tick::schema()));
        let (rows, _) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(rows.num_rows(), 0);
        place.repo.delete(&btc(), None).await.unwrap();
        assert_eq!(place.names(), [".btcusd.lock"]);
    });
}

#[test]
fn types_that_json_lacks_come_back_as_it_can_hold_them() {
    run(async {
        let place = Place::new();
        let rows = batch(
            &[1, 2],
            vec![
                ("i32", Arc::new(Int32Array::from(vec![1, -2]))),
                ("u64", Arc::new(UInt64Array::from(vec![1, 2]))),
                ("f32", Arc::new(Float32Array::from(vec![0.5, 0.1]))),
                ("day", Arc::new(Date32Array::from(vec![0, 20_089]))),
                ("none", Arc::new(NullArray::new(2))),
            ],
        );
        append(&place.repo, &btc(), rows).await.unwrap();
        let (found, report) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert!(report.is_clean());
        let expected = [
            ("i32", DataType::Int64),
            ("u64", DataType::Int64),
            ("f32", DataType::Float64),
            ("day", DataType::Utf8),
            ("none", DataType::Utf8),
        ];
        assert_eq!(types(&found), named(&expected));
        assert_eq!(floats(&found, "f32"), [Some(0.5), Some(f64::from(0.1_f32))]);
        assert_eq!(strings(&found, "day")[1].as_deref(), Some("2025-01-01"));
        // A column of nulls takes any type later.
        let typed = batch(
            &[3],
            vec![("none", Arc::new(BooleanArray::from(vec![true])))],
        );
        append(&place.repo, &btc(), typed).await.unwrap();
    });
}

#[test]
fn what_json_cannot_hold_is_refused_and_nothing_written() {
    run(async {
        let place = Place::new();
        append(
            &place.repo,
            &btc(),
            batch(&[1], vec![("x", Arc::new(Float64Array::from(vec![1.0])))]),
        )
        .await
        .unwrap();
        let before = place.bytes("btcusd_timeseries.jsonl");
        let refused: [(ArrayRef, ErrorKind); 4] = [
            (
                Arc::new(Float64Array::from(vec![1.0, f64::NAN])),
                ErrorKind::InvalidInput,
            ),
            (
                Arc::new(Float32Array::from(vec![1.0, f32::INFINITY])),
                ErrorKind::InvalidInput,
            ),
            (
                Arc::new(UInt64Array::from(vec![1, u64::MAX])),
                ErrorKind::InvalidInput,
            ),
            (
                Arc::new(arrow_array::BinaryArray::from(vec![&b"a"[..], b"b"])),
                ErrorKind::SchemaMismatch,
            ),
        ];
        for (array, kind) in refused {
            let error = append(&place.repo, &btc(), batch(&[2, 3], vec![("bad", array)]))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.message().contains("\"bad\""), "{error}");
            assert_eq!(error.backend(), Some("jsonl"));
            assert_eq!(place.bytes("btcusd_timeseries.jsonl"), before);
        }
    });
}

/// Rows of a time offset and four nullable values.
type Values = (i64, Option<i64>, Option<f64>, Option<bool>, Option<String>);

fn values() -> impl Strategy<Value = Values> {
    let float = prop_oneof![
        any::<f64>().prop_filter("finite", |f| f.is_finite()),
        Just(-0.0),
        Just(1e16),
        (-1_000_000_i32..1_000_000).prop_map(|n| f64::from(n) / 100.0),
    ];
    (
        -5_000_000_000_i64..5_000_000_000,
        any::<Option<i64>>(),
        prop::option::of(float),
        any::<Option<bool>>(),
        any::<Option<String>>(),
    )
}

fn to_batch(rows: &[Values]) -> RecordBatch {
    let offsets: Vec<_> = rows.iter().map(|row| row.0).collect();
    let texts: StringArray = rows.iter().map(|row| row.4.as_deref()).collect();
    batch(
        &offsets,
        vec![
            (
                "i",
                Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
            ),
            (
                "f \"quoted\"",
                Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
            ),
            (
                "b",
                Arc::new(rows.iter().map(|row| row.3).collect::<BooleanArray>()),
            ),
            ("s", Arc::new(texts)),
        ],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Random rows, written in random pieces and by either of two handles, come back exactly, also by range and from either end.
    #[test]
    fn rows_come_back_exactly(
        pieces in prop::collection::vec(prop::collection::vec(values(), 0..20), 1..5),
        range in (-5_000_000_000_i64..5_000_000_000, 0_i64..5_000_000_000),
        take in 0_usize..30,
        batch_size in 1_usize..40,
    ) {
        run(async {
            let place = Place::new();
            let other = minutebook_jsonl::JsonlTimeSeriesRepository::open(place.dir.path(), JsonlConfig::default()).unwrap();
            for (i, piece) in pieces.iter().enumerate() {
                let repo = if i % 2 == 0 { &place.repo } else { &other };
                append(repo, &btc(), to_batch(piece)).await.unwrap();
            }
            let all: Vec<Values> = pieces.concat();
            let bounds = TimeRange::new(from_nanos(BASE + range.0), from_nanos(BASE + range.0 + range.1)).unwrap();
            let inside: Vec<Values> = all
                .iter()
                .filter(|row| (range.0..range.0 + range.1).contains(&row.0))
                .cloned()
                .collect();
            let query = ScanQuery::new().batch_size(batch_size);
            let last = inside[inside.len().saturating_sub(take)..].to_vec();
            let first = inside[..take.min(inside.len())].to_vec();
            for repo in [&place.repo, &other] {
                for (query, expected) in [
                    (query.clone(), &all),
                    (query.clone().range(bounds), &inside),
                    (query.clone().range(bounds).last(take), &last),
                    (query.clone().range(bounds).first(take), &first),
                ] {
                    let (found, report) = scan(repo, &btc(), &query).await.unwrap();
                    assert!(report.is_clean(), "{report:?}");
                    let expected = to_batch(expected);
                    assert_eq!(found.columns(), expected.columns());
                    assert_eq!(types(&found), types(&expected));
                }
            }
        });
    }
}

/// So many rows that several threads write and read them.
#[test]
fn long_batches_stay_in_order() {
    let place = Place::new();
    let count = 20_000_i64;
    run(async {
        for part in 0..2 {
            let rows = part * count..(part + 1) * count;
            let offsets: Vec<i64> = rows.clone().map(|n| n * 1_000).collect();
            let ns: arrow_array::ArrayRef =
                Arc::new(arrow_array::Int64Array::from_iter_values(rows.clone()));
            let texts: arrow_array::ArrayRef = Arc::new(
                arrow_array::StringArray::from_iter_values(rows.map(|n| match n % 3 {
                    0 => format!("row {n}"),
                    1 => format!("\"quoted\" {n}"),
                    _ => format!("tab\there, line\nthere {n}"),
                })),
            );
            let given = batch(&offsets, vec![("n", ns), ("text", texts)]);
            append(&place.repo, &btc(), given).await.unwrap();
        }
    });
    let fresh =
        minutebook_jsonl::JsonlTimeSeriesRepository::open(place.dir.path(), JsonlConfig::default())
            .unwrap();
    for repo in [&place.repo, &fresh] {
        let (rows, report) = run(scan(repo, &btc(), &ScanQuery::new())).unwrap();
        assert!(report.is_clean());
        let wanted: Vec<_> = (0..2 * count).map(Some).collect();
        assert_eq!(ints(&rows, "n"), wanted);
        let texts = strings(&rows, "text");
        assert_eq!(texts[1].as_deref(), Some("\"quoted\" 1"));
        assert_eq!(texts[2].as_deref(), Some("tab\there, line\nthere 2"));
        let at = |n: i64| minutebook_core::time::from_nanos(BASE + n * 1_000);
        let range = minutebook_core::TimeRange::new(at(15_000), at(25_001)).unwrap();
        let (rows, _) = run(scan(repo, &btc(), &ScanQuery::new().range(range))).unwrap();
        let wanted: Vec<_> = (15_000..25_001).map(Some).collect();
        assert_eq!(ints(&rows, "n"), wanted);
    }
}
