//! Large batches, which are written in pieces while later ones are made: what is in the file is the same, and of one that is refused nothing.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use common::*;
use minutebook_core::{ErrorKind, ScanQuery, TimeSeriesRepository};
use minutebook_fs::{Durability, Fs, OpenMode, SimFs};
use minutebook_jsonl::{EntryQuery, EpochUnit, JsonlConfig, JsonlTimeSeriesRepository, TimeField};

const ROWS: usize = 12_345;
const FILE: &str = "btcusd_timeseries.jsonl";

fn rows(count: usize) -> RecordBatch {
    let numbers = || 0..i64::try_from(count).unwrap();
    let offsets: Vec<i64> = numbers().map(|n| n * 1_234_567).collect();
    let float = |n: i64| (n % 7 != 0).then(|| f64::from(i32::try_from(n).unwrap()) / 8.0);
    // Of all lengths, some with what has to be escaped.
    let text = |n: i64| (n % 5 != 0).then(|| "\"\u{1}é☃x".repeat(usize::try_from(n % 90).unwrap()));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new(Int64Array::from_iter_values(numbers()))),
        (
            "p",
            Arc::new(numbers().map(float).collect::<Float64Array>()),
        ),
        (
            "b",
            Arc::new(
                numbers()
                    .map(|n| Some(n % 2 == 0))
                    .collect::<BooleanArray>(),
            ),
        ),
        ("t", Arc::new(numbers().map(text).collect::<StringArray>())),
    ];
    batch(&offsets, columns)
}

#[test]
fn a_long_batch_is_written_as_its_rows_are_one_after_another() {
    let all = rows(ROWS);
    for durability in [Durability::Buffered, Durability::Synced] {
        let config = JsonlConfig::default().durability(durability);
        let (long, short) = (Place::with(config), Place::new());
        run(async {
            // Something before it, so that it does not begin at 0; and what is known of the file is extended.
            for place in [&long, &short] {
                append(&place.repo, &btc(), rows(3)).await.unwrap();
                place.repo.summary(&btc()).await.unwrap();
            }
            let receipt = append(&long.repo, &btc(), all.clone()).await.unwrap();
            assert_eq!(receipt.inserted, ROWS as u64);
            for from in (0..ROWS).step_by(1_000) {
                let part = all.slice(from, 1_000.min(ROWS - from));
                append(&short.repo, &btc(), part).await.unwrap();
            }
            assert!(long.bytes(FILE) == short.bytes(FILE), "other lines");
            assert_eq!(receipt.version.0, long.bytes(FILE).len() as u64);
            // What the writer knows of the file is what a new process finds in it.
            let (known, found) = (&long.repo, fresh(&long));
            let summary = known.summary(&btc()).await.unwrap();
            assert_eq!(summary, found.summary(&btc()).await.unwrap());
            let query = ScanQuery::new().range(range("2025-01-01T00:00:01", "2025-01-01T00:00:03"));
            for query in [ScanQuery::new(), query] {
                let known = scan(known, &btc(), &query).await.unwrap();
                let found = scan(&found, &btc(), &query).await.unwrap();
                assert_eq!(known.0, found.0);
                assert!(known.0.num_rows() > 0 && known.1.is_clean());
            }
            append(known, &btc(), rows(2)).await.unwrap();
            let (rows, report) = scan(known, &btc(), &ScanQuery::new()).await.unwrap();
            assert_eq!((rows.num_rows(), report.is_clean()), (ROWS + 5, true));
        });
    }
}

#[test]
fn of_a_long_batch_that_is_refused_nothing_is_written() {
    let place = Place::with(
        JsonlConfig::default()
            .durability(Durability::Buffered)
            .max_line_bytes(700),
    );
    run(async {
        append(&place.repo, &btc(), rows(3)).await.unwrap();
        let before = place.bytes(FILE);
        // A row whose line is too long, far behind; and one whose value has no text.
        let error = append(&place.repo, &btc(), rows(ROWS)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("the limit is 700"), "{error}");
        let mut floats = vec![1.0; ROWS];
        floats[ROWS - 1] = f64::NAN;
        let offsets: Vec<i64> = (0..i64::try_from(ROWS).unwrap()).collect();
        let nan = batch(&offsets, vec![("p", Arc::new(Float64Array::from(floats)))]);
        let error = append(&place.repo, &btc(), nan).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        // And of a type that the series does not have.
        let words = StringArray::from_iter_values((0..ROWS).map(|_| "x"));
        let other = batch(&offsets, vec![("p", Arc::new(words))]);
        let error = append(&place.repo, &btc(), other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
        assert!(place.bytes(FILE) == before, "something was written");
        // As many rows of short lines are taken.
        let ints = Int64Array::from_iter_values(0..i64::try_from(ROWS).unwrap());
        let fits = batch(&offsets, vec![("n", Arc::new(ints))]);
        append(&place.repo, &btc(), fits).await.unwrap();
    });
}

/// Entries most of which are stored as they are, and some with blanks around and line breaks between their values.
fn mixed(count: usize) -> (Vec<String>, String) {
    let mut stored = String::new();
    let given = (0..count).map(|n| {
        let text = entry(n);
        stored += &text;
        stored.push('\n');
        match n {
            _ if n % 101 == 0 => format!(" \r\n{text}\t"),
            _ if n > count / 2 && n % 997 == 0 => {
                let broken = text.replace("\",\"n\"", "\",\n\"n\"");
                stored.truncate(stored.len() - text.len() - 1);
                stored += &broken.replace('\n', " ");
                stored.push('\n');
                broken
            }
            _ => text,
        }
    });
    (given.collect(), stored)
}

#[test]
fn many_entries_are_stored_as_few_are() {
    let (given, stored) = mixed(ROWS);
    for durability in [Durability::Buffered, Durability::Synced] {
        let place = Place::with(JsonlConfig::default().durability(durability));
        run(async {
            let receipt = place.repo.append_entries(&btc(), &given).await.unwrap();
            assert_eq!(receipt.inserted, ROWS as u64);
            assert_eq!(receipt.version.0, stored.len() as u64);
            assert!(place.bytes(FILE) == stored.as_bytes(), "other lines");
            let (found, report) = texts(&fresh(&place), &btc(), &EntryQuery::new())
                .await
                .unwrap();
            assert_eq!((found.len(), report.is_clean()), (ROWS, true));
        });
    }
}

#[test]
fn numbers_as_times_are_declared_for_many_entries_too() {
    let place = Place::new();
    let time = TimeField::timestamp().epoch(EpochUnit::Milliseconds);
    let given: Vec<_> = (0..ROWS)
        .map(|n| format!("{{\"timestamp\":{n}}}"))
        .collect();
    run(async {
        let receipt = place.repo.append_entries_at(&btc(), &given, &time).await;
        assert_eq!(receipt.unwrap().inserted, ROWS as u64);
        let summary = fresh(&place).summary(&btc()).await.unwrap().unwrap();
        assert_eq!(summary.rows, ROWS as u64);
        let last = minutebook_core::time::to_nanos(summary.last.unwrap()).unwrap();
        assert_eq!(last, i64::try_from(ROWS - 1).unwrap() * 1_000_000);
    });
}

#[test]
fn one_of_many_entries_that_is_refused_is_named_and_nothing_is_written() {
    let place = Place::new();
    run(async {
        place
            .repo
            .append_entries(&btc(), &[entry(0)])
            .await
            .unwrap();
        let before = place.bytes(FILE);
        for bad in [0, 1, 5_000, 9_999, ROWS - 1] {
            for wrong in [
                "{\"n\":1}",
                "{\"timestamp\":\"2025-01-01\",\"n\":}",
                "nonsense",
            ] {
                let (mut given, _) = mixed(ROWS);
                given[bad] = wrong.to_owned();
                let error = place.repo.append_entries(&btc(), &given).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                let named = format!("entry {}: ", bad + 1);
                assert!(error.to_string().contains(&named), "{error}");
            }
        }
        assert!(place.bytes(FILE) == before, "something was written");
    });
}

#[test]
fn a_long_batch_for_which_the_disk_has_no_room_leaves_nothing() {
    let disk = SimFs::new();
    let config = JsonlConfig::default()
        .fs(Arc::new(disk.clone()))
        .durability(Durability::Buffered);
    let repo = JsonlTimeSeriesRepository::open("/ticks", config).unwrap();
    let (given, _) = mixed(ROWS);
    run(async {
        repo.append_entries(&btc(), &[entry(0)]).await.unwrap();
        let path = std::path::Path::new("/ticks").join(FILE);
        let len = || disk.open(&path, OpenMode::Read).unwrap().len().unwrap();
        let before = len();
        // More than one piece fits.
        disk.set_capacity(Some(before + 300_000));
        let error = repo.append_entries(&btc(), &given).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert_eq!(len(), before);
        let error = append(&repo, &btc(), rows(ROWS)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert_eq!(len(), before);
        disk.set_capacity(None);
        repo.append_entries(&btc(), &given).await.unwrap();
        let (found, report) = texts(&repo, &btc(), &EntryQuery::new()).await.unwrap();
        assert_eq!((found.len(), report.is_clean()), (ROWS + 1, true));
    });
}
