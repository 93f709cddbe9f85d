//! Sealed segments and the plain file as one series.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test program"
)]

mod common;

use std::sync::Arc;

use arrow_array::{Float64Array, Int64Array, RecordBatch};
use common::*;
use futures_util::StreamExt;
use minutebook_core::{
    ErrorKind, ProblemKind, ScanQuery, SeriesFilter, TimeSeriesRepository, WriteMode,
};
use minutebook_jsonl::{EntryQuery, EpochUnit, JsonlConfig, JsonlTimeSeriesRepository, TimeField};

#[test]
fn segments_and_the_plain_file_are_one_series() {
    let place = Place::new();
    run(async {
        four(&place).await;
        let all: Vec<_> = (0..40).map(entry).collect();
        let (found, report) = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(found, all);
        assert!(report.is_clean());
        for n in [0, 1, 9, 10, 11, 25, 39, 40, 99] {
            let (first, _) = texts(&place.repo, &btc(), &EntryQuery::new().first(n))
                .await
                .unwrap();
            assert_eq!(first, all[..n.min(40)]);
            let (last, _) = texts(&place.repo, &btc(), &EntryQuery::new().last(n))
                .await
                .unwrap();
            assert_eq!(last, all[40 - n.min(40)..]);
            let (rows, _) = scan(&place.repo, &btc(), &ScanQuery::new().last(n))
                .await
                .unwrap();
            assert_eq!(rows.num_rows(), n.min(40));
        }
        let within = range("2025-01-01T00:00:08", "2025-01-01T00:00:22");
        let (found, _) = texts(&place.repo, &btc(), &EntryQuery::new().range(within))
            .await
            .unwrap();
        assert_eq!(found, all[8..22]);
        let (found, _) = texts(
            &place.repo,
            &btc(),
            &EntryQuery::new().range(within).last(5),
        )
        .await
        .unwrap();
        assert_eq!(found, all[17..22]);
        let summary = place.repo.summary(&btc()).await.unwrap().unwrap();
        assert_eq!(summary.rows, 40);
        let bytes: usize = all.iter().map(|line| line.len() + 1).sum();
        assert_eq!(summary.version.0, bytes as u64);
        let segments = place.repo.segments(&btc()).await.unwrap();
        let shape: Vec<_> = segments
            .iter()
            .map(|s| (s.number, s.rows, s.lines, s.flaws))
            .collect();
        assert_eq!(shape, [(1, 10, 10, 0), (2, 10, 10, 0), (3, 10, 10, 0)]);
        // What another process finds is the same.
        let other =
            JsonlTimeSeriesRepository::open(place.dir.path(), JsonlConfig::default()).unwrap();
        assert_eq!(other.summary(&btc()).await.unwrap().unwrap(), summary);
        assert_eq!(
            texts(&other, &btc(), &EntryQuery::new()).await.unwrap().0,
            all
        );
    });
    assert_eq!(
        names(&place.file("btcusd~sealed")),
        [
            "00000001.jsonl.zst",
            "00000002.jsonl.zst",
            "00000003.jsonl.zst",
            "manifest.json"
        ]
    );
}

#[test]
fn any_zstd_program_shows_the_lines_as_they_were() {
    let place = Place::new();
    let mut bytes = b"\xEF\xBB\xBF{\"timestamp\":\"2025-01-01\",\"n\":1}\r\n\n  \nnot json\n\xff\xfe\n{\"n\":1}\n".to_vec();
    // More than one frame.
    for n in 0..20_000 {
        bytes.extend_from_slice(entry(n % 3_600).as_bytes());
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(b"{\"timestamp\":\"2025-01-01\",\"torn\":");
    place.put("btcusd_timeseries.jsonl", &bytes);
    run(async {
        let before = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        let rows = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        let sealed = std::fs::File::open(place.file("btcusd~sealed/00000001.jsonl.zst")).unwrap();
        let shown = zstd::stream::decode_all(sealed).unwrap();
        bytes.push(b'\n');
        assert_eq!(shown, bytes);
        let after = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(after.0, before.0);
        let again = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(again.0, rows.0);
        let malformed = places(&again.1);
        let torn_at = (bytes.len() - "{\"timestamp\":\"2025-01-01\",\"torn\":\n".len()) as u64;
        assert_eq!(malformed[0], (ProblemKind::Malformed, Some(4), Some(41)));
        assert_eq!(
            malformed.last().unwrap(),
            &(ProblemKind::Malformed, Some(20_007), Some(torn_at))
        );
        let resource = &again.1.problems()[0].resource;
        assert!(
            resource.ends_with("btcusd~sealed/00000001.jsonl.zst"),
            "{resource}"
        );
        let strict = place
            .repo
            .scan(&btc(), &ScanQuery::new().strict())
            .await
            .unwrap_err();
        assert_eq!(strict.kind(), ErrorKind::Corrupt);
    });
}

#[test]
fn reads_that_began_before_a_rotation_go_on() {
    let place = Place::new();
    run(async {
        let entries: Vec<_> = (0..3_000).map(entry).collect();
        place.repo.append_entries(&btc(), &entries).await.unwrap();
        let mut rows = place
            .repo
            .scan(&btc(), &ScanQuery::new().batch_size(100))
            .await
            .unwrap();
        let mut lines = place
            .repo
            .entries(&btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(rows.next().await.unwrap().unwrap().num_rows(), 100);
        assert_eq!(lines.next().await.unwrap().unwrap().text(), entries[0]);
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        place
            .repo
            .append_entries(&btc(), &["{\"timestamp\":\"2026-01-01\"}"])
            .await
            .unwrap();
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        let (rest, _) = rows.collect().await.unwrap();
        assert_eq!(rest.iter().map(RecordBatch::num_rows).sum::<usize>(), 2_900);
        let (rest, _) = lines.collect().await.unwrap();
        assert_eq!(rest.len(), 2_999);
    });
}

#[test]
fn what_the_columns_are_is_known_beyond_a_rotation() {
    let place = Place::new();
    run(async {
        let rows = |at: i64| {
            batch(
                &[at],
                vec![("price", Arc::new(Float64Array::from(vec![1.5])))],
            )
        };
        append(&place.repo, &btc(), rows(0)).await.unwrap();
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        let ints = batch(&[1], vec![("price", Arc::new(Int64Array::from(vec![2])))]);
        let error = append(&place.repo, &btc(), ints).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
        let receipt = append(&place.repo, &btc(), rows(2)).await.unwrap();
        let summary = place.repo.summary(&btc()).await.unwrap().unwrap();
        assert_eq!((summary.version, summary.rows), (receipt.version, 2));
        // An empty batch changes nothing, and an empty plain file is no segment.
        let empty = place
            .repo
            .write(&btc(), rows(0).slice(0, 0), WriteMode::Append)
            .await
            .unwrap();
        assert_eq!(empty.version, receipt.version);
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        assert_eq!(place.repo.rotate(&btc()).await.unwrap(), None);
        let (found, _) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(floats(&found, "price"), [Some(1.5), Some(1.5)]);
    });
}

#[test]
fn a_series_without_a_plain_file_is_there_and_is_deleted_whole() {
    let place = Place::new();
    run(async {
        place
            .repo
            .append_entries(&btc(), &[entry(1)])
            .await
            .unwrap();
        place
            .repo
            .append_entries(&id("BTCUSD@1h"), &[entry(2)])
            .await
            .unwrap();
        place
            .repo
            .append_entries(&id("@btcusd"), &[entry(3)])
            .await
            .unwrap();
        for series in [btc(), id("BTCUSD@1h"), id("@btcusd")] {
            place.repo.rotate(&series).await.unwrap().unwrap();
        }
        let (listed, report) = place
            .repo
            .list_with_report(&SeriesFilter::new())
            .await
            .unwrap();
        assert_eq!(listed.len(), 3, "{listed:?}");
        assert!(report.is_clean(), "{report:?}");
        // No name there looks like a series to the original, which takes what ends in `_timeseries.jsonl`.
        assert!(
            names(place.dir.path())
                .iter()
                .all(|name| !name.contains("_timeseries"))
        );
        assert_eq!(place.repo.delete(&btc(), None).await.unwrap(), 1);
        assert_eq!(
            place.repo.list(&SeriesFilter::new()).await.unwrap().len(),
            2
        );
        assert!(place.repo.summary(&btc()).await.unwrap().is_none());
        assert_eq!(place.repo.delete(&btc(), None).await.unwrap(), 0);
        assert!(!place.file("btcusd~sealed").exists());
        place
            .repo
            .append_entries(&btc(), &[entry(4)])
            .await
            .unwrap();
        assert_eq!(
            texts(&place.repo, &btc(), &EntryQuery::new())
                .await
                .unwrap()
                .0,
            [entry(4)]
        );
        let missing = place.repo.rotate(&id("NOPE@ticks")).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn settings_that_differ_from_those_of_the_sealing_are_heeded() {
    let place = Place::new();
    place.put("btcusd_timeseries.jsonl", "{\"timestamp\":1735689600}\n{\"timestamp\":1735689601,\"pad\":\"xxxxxxxxxxxxxxxxxxxxx\"}\n");
    run(async {
        let segment = place.repo.rotate(&btc()).await.unwrap().unwrap();
        assert_eq!((segment.rows, segment.flaws), (0, 2));
        let seconds = JsonlConfig::default().time(TimeField::timestamp().epoch(EpochUnit::Seconds));
        let repo = JsonlTimeSeriesRepository::open(place.dir.path(), seconds.clone()).unwrap();
        let (rows, report) = scan(&repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(
            nanos(&rows),
            [1_735_689_600_000_000_000, 1_735_689_601_000_000_000]
        );
        assert!(report.is_clean());
        let repo =
            JsonlTimeSeriesRepository::open(place.dir.path(), seconds.max_line_bytes(30)).unwrap();
        let (rows, report) = scan(&repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(rows.num_rows(), 1);
        assert_eq!(places(&report)[0].0, ProblemKind::TooLarge);
    });
}
