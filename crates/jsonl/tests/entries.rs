//! Entries as JSON text: byte for byte in and out.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use common::*;
use futures_util::StreamExt;
use minutebook_core::{
    ErrorKind, ProblemKind, ScanQuery, TimeRange, TimeSeriesRepository, time::parse_timestamp,
};
use minutebook_jsonl::{EntryQuery, EpochUnit, JsonlConfig, JsonlTimeSeriesRepository, TimeField};

fn entry(second: u32, extra: &str) -> String {
    format!(
        "{{\"n\": {second}, \"timestamp\": \"2025-01-01T00:{:02}:{:02}\"{extra}}}",
        second / 60,
        second % 60
    )
}

#[test]
fn entries_come_back_byte_for_byte() {
    run(async {
        let place = Place::new();
        let mut entries: Vec<String> = (0..300)
            .map(|n| entry(n * 7 % 300, ", \"x\": 1.10"))
            .collect();
        entries[7] = r#"{"timestamp":"2025-01-01T00:00:07Z","u":"\u00e9é ☃\n","n":1e5,"deep":{"a":[1, {"b":null}]}}"#.to_owned();
        let receipt = place.repo.append_entries(&btc(), &entries).await.unwrap();
        assert_eq!(receipt.inserted, 300);
        let (found, report) = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(found, entries);
        assert!(report.is_clean());
        let (first, _) = texts(&place.repo, &btc(), &EntryQuery::new().first(5))
            .await
            .unwrap();
        assert_eq!(first, entries[..5]);
        let (last, _) = texts(&place.repo, &btc(), &EntryQuery::new().last(5))
            .await
            .unwrap();
        assert_eq!(last, entries[295..]);
        let at = |text: &str| parse_timestamp(text).unwrap();
        let range = TimeRange::new(at("2025-01-01T00:01:00"), at("2025-01-01T00:02:00")).unwrap();
        let inside = |n: u32| (60..120).contains(&n);
        let expected: Vec<_> = (0..300)
            .filter(|n| inside(n * 7 % 300))
            .map(|n| entries[n as usize].clone())
            .collect();
        let query = EntryQuery::new().range(range);
        assert_eq!(
            texts(&place.repo, &btc(), &query).await.unwrap().0,
            expected
        );
        let (last, _) = texts(&place.repo, &btc(), &query.last(3)).await.unwrap();
        assert_eq!(last, expected[57..]);
        let (first, _) = texts(&place.repo, &btc(), &query.first(3)).await.unwrap();
        assert_eq!(first, expected[..3]);
        let stream = place
            .repo
            .entries(&btc(), &EntryQuery::new())
            .await
            .unwrap();
        let found: Vec<_> = stream.map(Result::unwrap).collect().await;
        assert_eq!(
            (found[7].line(), found[7].timestamp()),
            (Some(8), Some(at("2025-01-01T00:00:07")))
        );
        let start = usize::try_from(found[7].offset()).unwrap();
        let bytes = place.bytes("btcusd_timeseries.jsonl");
        assert!(bytes[start..].starts_with(entries[7].as_bytes()));
    });
}

#[test]
fn all_entries_are_written_or_none() {
    run(async {
        let place = Place::new();
        place
            .repo
            .append_entries(&btc(), &[entry(1, "")])
            .await
            .unwrap();
        let before = place.bytes("btcusd_timeseries.jsonl");
        let bad = [
            entry(2, ""),
            "{\"timestamp\": \"2025-01-01\", \"x\": NaN}".to_owned(),
            entry(3, ""),
        ];
        let error = place.repo.append_entries(&btc(), &bad).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(
            error.to_string().starts_with("BTCUSD@ticks: entry 2: "),
            "{error}"
        );
        assert_eq!(place.bytes("btcusd_timeseries.jsonl"), before);
        let none: [&str; 0] = [];
        let receipt = place.repo.append_entries(&btc(), &none).await.unwrap();
        assert_eq!(
            (receipt.inserted, receipt.version.0),
            (0, before.len() as u64)
        );
        let nan = [serde_json::Value::Null];
        assert!(place.repo.append_values(&btc(), &nan).await.is_err());
        let values = [std::collections::BTreeMap::from([
            ("timestamp", 1.0),
            ("x", f64::NAN),
        ])];
        let error = place.repo.append_values(&btc(), &values).await.unwrap_err();
        assert!(error.message().starts_with("entry 1: "), "{error}");
        assert_eq!(place.bytes("btcusd_timeseries.jsonl"), before);
    });
}

#[test]
fn numeric_times_need_a_unit_which_readers_find() {
    run(async {
        let place = Place::new();
        let entries = [
            "{\"timestamp\":1735689600123,\"n\":1}",
            "{\"timestamp\":1735689601123.5,\"n\":2}",
        ];
        let error = place
            .repo
            .append_entries(&btc(), &entries)
            .await
            .unwrap_err();
        assert!(error.message().contains("say what it counts"), "{error}");
        let millis = TimeField::timestamp().epoch(EpochUnit::Milliseconds);
        place
            .repo
            .append_entries_at(&btc(), &entries, &millis)
            .await
            .unwrap();
        // Another process, which was told nothing.
        let other =
            JsonlTimeSeriesRepository::open(place.dir.path(), JsonlConfig::default()).unwrap();
        let (rows, report) = scan(&other, &btc(), &ScanQuery::new()).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(nanos(&rows), [BASE + 123_000_000, BASE + 1_123_500_000]);
        let (found, _) = texts(&other, &btc(), &EntryQuery::new()).await.unwrap();
        assert_eq!(found, entries);
        let seconds = TimeField::timestamp().epoch(EpochUnit::Seconds);
        let error = other
            .append_entries_at(&btc(), &["{\"timestamp\":1735689600}"], &seconds)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        // The deleted series leaves its unit to nobody.
        place.repo.delete(&btc(), None).await.unwrap();
        other
            .append_entries_at(&btc(), &["{\"timestamp\":1735689600}"], &seconds)
            .await
            .unwrap();
        let (rows, _) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(nanos(&rows), [BASE]);
        // Without the file of types they are no times, which is told; the configuration can say the unit.
        std::fs::remove_file(place.file(".btcusd.types")).unwrap();
        let (rows, report) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(rows.num_rows(), 0);
        assert_eq!(
            places(&report),
            [(ProblemKind::BadTimestamp, Some(1), Some(0))]
        );
        let told =
            JsonlTimeSeriesRepository::open(place.dir.path(), JsonlConfig::default().time(seconds))
                .unwrap();
        let (rows, _) = scan(&told, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(nanos(&rows), [BASE]);
    });
}

/// Nested lines as exchanges' feeds have them.
#[test]
fn a_nested_time_is_named_by_a_pointer() {
    run(async {
        let place = Place::new();
        let lines = [
            r#"{"Item":{"time_exchange":"2025-03-25T23:07:00.773674205Z","instrument":1,"kind":{"OrderBookL1":{"best_bid":{"price":"2059.10000000","amount":"33.09140000"}}}}}"#,
            r#"{"Item":{"time_exchange":"2025-03-25T23:07:00.715Z","instrument":0,"kind":{"Trade":{"id":"4736","price":87232.0,"amount":0.00012,"side":"Buy"}}}}"#,
        ];
        let time = TimeField::pointer("/Item/time_exchange").unwrap();
        place
            .repo
            .append_entries_at(&btc(), &lines, &time)
            .await
            .unwrap();
        let (found, _) = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(
            found[0],
            lines[0].replacen('{', "{\"timestamp\":\"2025-03-25T23:07:00.773674205Z\",", 1)
        );
        let (rows, report) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert!(report.is_clean());
        assert_eq!(nanos(&rows)[0] % 1_000_000_000, 773_674_205);
        let items = strings(&rows, "Item");
        assert_eq!(
            items[1].as_deref(),
            lines[1]
                .strip_prefix("{\"Item\":")
                .and_then(|t| t.strip_suffix('}'))
        );
    });
}

#[test]
fn a_scan_and_a_read_keep_to_the_state_they_began_with() {
    run(async {
        let place = Place::new();
        let many: Vec<_> = (0..20_000).map(|n| entry(n % 3_000, "")).collect();
        place.repo.append_entries(&btc(), &many).await.unwrap();
        let mut rows = place
            .repo
            .scan(&btc(), &ScanQuery::new().batch_size(100))
            .await
            .unwrap();
        let mut entries = place
            .repo
            .entries(&btc(), &EntryQuery::new())
            .await
            .unwrap();
        let mut count = rows.next().await.unwrap().unwrap().num_rows();
        entries.next().await.unwrap().unwrap();
        place.repo.append_entries(&btc(), &many).await.unwrap();
        place.repo.delete(&btc(), None).await.unwrap();
        place.repo.append_entries(&btc(), &many[..1]).await.unwrap();
        while let Some(batch) = rows.next().await {
            count += batch.unwrap().num_rows();
        }
        assert_eq!(count, 20_000);
        assert_eq!(entries.collect().await.unwrap().0.len(), 19_999);
        assert_eq!(place.repo.summary(&btc()).await.unwrap().unwrap().rows, 1);
    });
}

#[test]
fn everything_works_without_a_runtime() {
    use std::task::{Context, Poll, Waker};
    let place = Place::with(JsonlConfig::default());
    let mut work = Box::pin(async {
        place
            .repo
            .append_entries(&btc(), &[entry(1, "")])
            .await
            .unwrap();
        place
            .repo
            .list(&minutebook_core::SeriesFilter::new())
            .await
            .unwrap();
        place.repo.summary(&btc()).await.unwrap();
        let (rows, _) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        let (found, _) = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        place.repo.sync().await.unwrap();
        place.repo.delete(&btc(), None).await.unwrap();
        (rows.num_rows(), found.len())
    });
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(counts) => assert_eq!(counts, (1, 1)),
        Poll::Pending => panic!("it waits for a runtime that is not there"),
    }
}
