//! Types of columns over the life of a series: what is widened, declared, and refused beside another handle.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::sync::Arc;

use arrow_array::{Int64Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use common::*;
use minutebook_core::series::batch::{timestamp_field, timestamp_type};
use minutebook_core::{
    ErrorKind, ProblemKind, ScanQuery, Tick, TimeRange, TimeSeriesRepository,
    TimeSeriesRepositoryExt, series::Row,
};
use minutebook_jsonl::JsonlConfig;

#[test]
fn types_that_change_midway_are_widened_and_told_once() {
    run(async {
        let place = Place::new();
        let values = [
            (
                "1",
                "1",
                "1",
                "{\"a\": 1}",
                "\"1.50\"",
                "true",
                "9007199254740993",
            ),
            ("2.5", "\"x\"", "null", "7", "\"2.25\"", "false", "0.5"),
            (
                "null",
                "1.50",
                "12345678901234567890",
                "[1, 2]",
                "\"3\"",
                "null",
                "1",
            ),
        ];
        let entries: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(i, (a, b, c, d, e, f, g))| {
                format!("{{\"timestamp\":\"2025-01-0{}\",\"a\":{a},\"b\":{b},\"c\":{c},\"d\":{d},\"e\":{e},\"f\":{f},\"g\":{g}}}", i + 1)
            })
            .collect();
        place.repo.append_entries(&btc(), &entries).await.unwrap();
        let (rows, report) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        let text = |column: &str| -> Vec<String> {
            strings(&rows, column)
                .into_iter()
                .map(Option::unwrap_or_default)
                .collect()
        };
        assert_eq!(floats(&rows, "a"), [Some(1.0), Some(2.5), None]);
        assert_eq!(text("b"), ["1", "x", "1.50"]);
        assert_eq!(text("c"), ["1", "", "12345678901234567890"]);
        assert_eq!(text("d"), ["{\"a\": 1}", "7", "[1, 2]"]);
        assert_eq!(text("e"), ["1.50", "2.25", "3"]);
        assert_eq!(text("g"), ["9007199254740993", "0.5", "1"]);
        let told: Vec<_> = report
            .problems()
            .iter()
            .map(|p| (p.kind, p.message.as_str()))
            .collect();
        assert!(
            told.iter()
                .all(|(kind, _)| *kind == ProblemKind::TypeChanged)
        );
        let columns: Vec<_> = told.iter().map(|(_, message)| &message[11..14]).collect();
        assert_eq!(columns, ["\"a\"", "\"b\"", "\"c\"", "\"d\"", "\"g\""]);
        // Only columns that are read are told of.
        let (_, report) = scan(&place.repo, &btc(), &ScanQuery::new().columns(["e"]))
            .await
            .unwrap();
        assert!(report.is_clean());
    });
}

#[test]
fn declared_columns_are_read_as_declared() {
    run(async {
        let place = Place::new();
        let entries = [
            r#"{"timestamp":"2025-01-01","price":"2059.10","at":"2025-01-01T00:00:00.5Z","n":"x"}"#,
            r#"{"timestamp":"2025-01-02","price":3,"at":"never"}"#,
            r#"{"timestamp":"2025-01-03","price":"n/a"}"#,
        ];
        place.repo.append_entries(&btc(), &entries).await.unwrap();
        let schema = Arc::new(Schema::new(vec![
            timestamp_field(),
            Field::new("price", DataType::Float64, true),
            Field::new("at", timestamp_type(), true),
            Field::new("later", DataType::Int64, true),
        ]));
        let stream = place
            .repo
            .scan_declared(&btc(), &ScanQuery::new(), &schema)
            .await
            .unwrap();
        let (rows, report) = stream.concat().await.unwrap();
        let expected = [
            ("price", DataType::Float64),
            ("at", timestamp_type()),
            ("n", DataType::Utf8),
            ("later", DataType::Int64),
        ];
        assert_eq!(types(&rows), named(&expected));
        assert_eq!(floats(&rows, "price"), [Some(2059.1), Some(3.0), None]);
        assert_eq!(null_counts(&rows), [0, 1, 2, 2, 3]);
        let mut lines: Vec<_> = places(&report)
            .into_iter()
            .map(|(_, line, _)| line.unwrap())
            .collect();
        lines.sort_unstable();
        assert_eq!(lines, [2, 3]);
        let strict = ScanQuery::new().strict();
        let stream = place
            .repo
            .scan_declared(&btc(), &strict, &schema)
            .await
            .unwrap();
        assert_eq!(
            stream.collect().await.unwrap_err().kind(),
            ErrorKind::Corrupt
        );

        let whole = Place::with(JsonlConfig::default().declared(Tick::schema()));
        let entries = [r#"{"timestamp":"2025-01-01","price":"42496.10","size":1}"#];
        whole.repo.append_entries(&btc(), &entries).await.unwrap();
        let ticks = whole.repo.ticks(&btc(), TimeRange::all()).await.unwrap();
        assert_eq!((ticks[0].price, ticks[0].size), (42_496.1, Some(1.0)));
        let wrong = Arc::new(Schema::new(vec![Field::new("x", DataType::Date32, true)]));
        let error = place
            .repo
            .scan_declared(&btc(), &ScanQuery::new(), &wrong)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn two_handles_that_write_other_types_do_not_both_succeed() {
    run(async {
        for _ in 0..20 {
            let place = Place::new();
            let other = minutebook_jsonl::JsonlTimeSeriesRepository::open(
                place.dir.path(),
                JsonlConfig::default(),
            )
            .unwrap();
            let ints = batch(&[1], vec![("x", Arc::new(Int64Array::from(vec![1])))]);
            let texts = batch(&[1], vec![("x", Arc::new(StringArray::from(vec!["1"])))]);
            let (id_one, id_two) = (btc(), btc());
            let (one, two) = futures_util::join!(
                append(&place.repo, &id_one, ints),
                append(&other, &id_two, texts)
            );
            let refused = [one, two]
                .into_iter()
                .filter_map(Result::err)
                .collect::<Vec<_>>();
            assert_eq!(refused.len(), 1);
            assert_eq!(refused[0].kind(), ErrorKind::SchemaMismatch);
            assert_eq!(place.repo.summary(&btc()).await.unwrap().unwrap().rows, 1);
        }
    });
}

#[test]
fn whole_prices_of_entries_are_numbers() {
    let place = Place::new();
    run(async {
        let entries = [r#"{"timestamp":"2025-01-01","price":100,"size":2}"#];
        place.repo.append_entries(&btc(), &entries).await.unwrap();
        let ticks = place.repo.last_ticks(&btc(), 1).await.unwrap();
        assert_eq!((ticks[0].price, ticks[0].size), (100.0, Some(2.0)));
        let tick = Tick {
            timestamp: minutebook_core::time::from_nanos(BASE + 1),
            price: 100.5,
            size: None,
            side: None,
        };
        place.repo.append_ticks(&btc(), &[tick]).await.unwrap();
        let (rows, _) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(floats(&rows, "price"), [Some(100.0), Some(100.5)]);
        // One that a float would change stays what it is.
        let entries = [r#"{"timestamp":"2025-01-01","id":9007199254740993}"#];
        place.repo.append_entries(&btc(), &entries).await.unwrap();
        let id: arrow_array::ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![0.5]));
        let refused = append(&place.repo, &btc(), batch(&[2], vec![("id", id)])).await;
        assert_eq!(
            refused.unwrap_err().kind(),
            minutebook_core::ErrorKind::SchemaMismatch
        );
        // And a column that a batch wrote as integers stays one of integers.
        let whole =
            |n| -> arrow_array::ArrayRef { Arc::new(arrow_array::Int64Array::from(vec![n])) };
        let part: arrow_array::ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![0.5]));
        append(&place.repo, &btc(), batch(&[3], vec![("n", whole(1))]))
            .await
            .unwrap();
        assert!(
            append(&place.repo, &btc(), batch(&[4], vec![("n", part)]))
                .await
                .is_err()
        );
        append(&place.repo, &btc(), batch(&[4], vec![("n", whole(2))]))
            .await
            .unwrap();
    });
}
