//! Files as the original Python store wrote them, and damage as crashes and editors leave it.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use ProblemKind::{BadTimestamp, InvalidName, Malformed, NotAFile, TornTail};
use common::*;
use minutebook_core::{
    ErrorKind, ProblemKind, ScanQuery, SeriesFilter, TimeRange, TimeSeriesRepository,
    time::parse_timestamp,
};
use minutebook_jsonl::EntryQuery;

/// As `json.dump(entry, file); file.write("\n")` leaves it.
const PYTHON: &str = "{\"symbol\": \"BTCUSD\", \"timestamp\": \"2024-01-01T00:00:00.014825\", \"price\": 42496.1, \"size\": 1.1125}\n\
{\"symbol\": \"BTCUSD\", \"timestamp\": \"2024-01-01T00:00:00.109475\", \"price\": 42493.2, \"note\": \"caf\\u00e9\"}\n\
{\"symbol\": \"BTCUSD\", \"timestamp\": \"2024-01-01 00:00:00.200000+00:00\", \"price\": 42500, \"size\": null}\n";

#[test]
fn a_file_of_the_original_opens_as_it_is() {
    run(async {
        let place = Place::new();
        place.put("btcusd_timeseries.jsonl", PYTHON);
        assert_eq!(
            place.repo.list(&SeriesFilter::new()).await.unwrap(),
            [btc()]
        );
        let (rows, report) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        let names: Vec<_> = rows
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .collect();
        assert_eq!(names, ["timestamp", "symbol", "price", "size", "note"]);
        assert_eq!(
            nanos(&rows),
            [14_825_000, 109_475_000, 200_000_000].map(|n| 1_704_067_200_000_000_000 + n)
        );
        assert_eq!(
            floats(&rows, "price"),
            [Some(42496.1), Some(42493.2), Some(42500.0)]
        );
        assert_eq!(floats(&rows, "size"), [Some(1.1125), None, None]);
        assert_eq!(
            strings(&rows, "note"),
            [None, Some("café".to_owned()), None]
        );
        // One price is written without a fraction: no value changes by it, and it is told.
        assert_eq!(places(&report), [(ProblemKind::TypeChanged, None, None)]);
        let (entries, report) = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(entries, PYTHON.lines().collect::<Vec<_>>());
        assert!(report.is_clean());
        // Reading leaves nothing behind.
        assert_eq!(place.names(), ["btcusd_timeseries.jsonl"]);
        assert_eq!(place.bytes("btcusd_timeseries.jsonl"), PYTHON.as_bytes());
    });
}

/// A byte order mark, CRLF, blank lines, damage of every kind, and a torn tail.
fn damaged() -> Vec<u8> {
    let mut bytes = b"\xEF\xBB\xBF{\"timestamp\":\"2024-01-01T00:00:01\",\"n\":1}\r\n".to_vec();
    for line in [
        &b"\r\n"[..],
        b"{\"timestamp\":\"2024-01-01T00:00:02\",\"n\":2,}\n",
        b"   \n",
        b"{\"timestamp\":\"2024-01-01T00:00:03\",\"n\":3}\n",
        b"{\"n\":4}\n",
        b"{\"timestamp\":\"soon\",\"n\":5}\n",
        b"{\"timestamp\":1704067206,\"n\":6}\n",
        b"{\"timestamp\":\"2024-01-01T00:00:07\",\"n\":\"\xff\"}\n",
        b"[1,2]\n",
        b"{\"timestamp\":\"2024-01-01T00:00:08\",\"n\":NaN}\n",
        b"{\"timestamp\":\"2024-01-01T00:00:09\",\"n\":9}\n",
        b"\x00\x00\x00\x00\n",
        b"{\"timestamp\":\"2024-01-01T00:00:10\",\"n\":1",
    ] {
        bytes.extend_from_slice(line);
    }
    bytes
}

#[test]
fn damage_is_named_and_the_rest_is_read() {
    run(async {
        let place = Place::new();
        let bytes = damaged();
        place.put("btcusd_timeseries.jsonl", &bytes);
        let (rows, report) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(ints(&rows, "n"), [Some(1), Some(3), Some(9)]);
        let lines: Vec<_> = places(&report)
            .into_iter()
            .map(|(kind, line, _)| (kind, line.unwrap()))
            .collect();
        assert_eq!(
            lines,
            [
                (TornTail, 14),
                (Malformed, 3),
                (BadTimestamp, 6),
                (BadTimestamp, 7),
                (BadTimestamp, 8),
                (Malformed, 9),
                (Malformed, 10),
                (Malformed, 11),
                (Malformed, 13),
            ]
        );
        // The byte is that at which the line begins.
        for (_, line, byte) in places(&report) {
            let before = bytes.iter().take(usize::try_from(byte.unwrap()).unwrap());
            let newlines = before.filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!(line, Some(newlines + 1));
        }
        let (entries, by_entry) = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        // Without a range, entries without a time come too.
        assert_eq!(entries.len(), 6);
        assert_eq!(by_entry.total(), report.total());
        let range = TimeRange::since(parse_timestamp("2024-01-01T00:00:02").unwrap());
        let query = EntryQuery::new().range(range);
        let (entries, by_range) = texts(&place.repo, &btc(), &query).await.unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(by_range, report);
        let (entries, _) = texts(&place.repo, &btc(), &EntryQuery::new().last(3))
            .await
            .unwrap();
        assert_eq!(
            entries.last().unwrap(),
            "{\"timestamp\":\"2024-01-01T00:00:09\",\"n\":9}"
        );
        assert_eq!(entries.len(), 3);
        let summary = place.repo.summary(&btc()).await.unwrap().unwrap();
        assert_eq!((summary.rows, summary.bytes), (3, bytes.len() as u64));
        assert_eq!(place.bytes("btcusd_timeseries.jsonl"), bytes);
    });
}

#[test]
fn strict_mode_makes_damage_an_error_with_its_place() {
    run(async {
        let place = Place::new();
        place.put("btcusd_timeseries.jsonl", damaged());
        let strict = ScanQuery::new().strict();
        let error = place.repo.scan(&btc(), &strict).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        place.put(
            "btcusd_timeseries.jsonl",
            "{\"timestamp\":\"2024-01-01\",\"n\":1}\nnonsense\n",
        );
        let error = place.repo.scan(&btc(), &strict).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.message().contains("line 2, byte 33"), "{error}");
        let error = texts(&place.repo, &btc(), &EntryQuery::new().strict())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.message().contains("line 2, byte 33"), "{error}");
        // Widening changes no value and is no damage.
        place.put(
            "btcusd_timeseries.jsonl",
            "{\"timestamp\":\"2024-01-01\",\"n\":1}\n{\"timestamp\":\"2024-01-01\",\"n\":\"x\"}\n",
        );
        let (rows, report) = scan(&place.repo, &btc(), &strict).await.unwrap();
        assert_eq!((rows.num_rows(), report.total()), (2, 1));
    });
}

#[test]
fn a_torn_tail_is_isolated_and_its_bytes_stay() {
    run(async {
        let place = Place::new();
        let torn = "{\"timestamp\":\"2024-01-01T00:00:01\",\"n\":1}\n{\"timestamp\":\"2024-01-01T00:00:02\",\"n\":";
        place.put("btcusd_timeseries.jsonl", torn);
        let (rows, report) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(rows.num_rows(), 1);
        assert_eq!(
            places(&report),
            [(ProblemKind::TornTail, Some(2), Some(42))]
        );
        let receipt = place
            .repo
            .append_entries(&btc(), &["{\"timestamp\":\"2024-01-01T00:00:03\",\"n\":3}"])
            .await
            .unwrap();
        assert_eq!(receipt.inserted, 1);
        let bytes = place.bytes("btcusd_timeseries.jsonl");
        assert_eq!(bytes.len() as u64, receipt.version.0);
        let expected = format!("{torn}\n{{\"timestamp\":\"2024-01-01T00:00:03\",\"n\":3}}\n");
        assert_eq!(bytes, expected.as_bytes());
        let (rows, report) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(ints(&rows, "n"), [Some(1), Some(3)]);
        assert_eq!(
            places(&report),
            [(ProblemKind::Malformed, Some(2), Some(42))]
        );
    });
}

#[test]
fn a_file_that_is_rewritten_in_place_is_read_anew() {
    run(async {
        let place = Place::new();
        let write = |times: &[&str]| {
            let line = |time| {
                format!(
                    "{{\"timestamp\":\"{time}\",\"n\":1}}
"
                )
            };
            let lines: Vec<_> = times.iter().map(line).collect();
            place.put("btcusd_timeseries.jsonl", lines.concat());
        };
        let read = || async {
            let summary = place.repo.summary(&btc()).await.unwrap().unwrap();
            let (rows, _) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
            assert_eq!(summary.rows, rows.num_rows() as u64);
            (rows.num_rows(), summary.last.unwrap())
        };
        write(&["2024-01-01", "2024-01-02"]);
        assert_eq!(read().await, (2, parse_timestamp("2024-01-02").unwrap()));
        // Shorter, longer, and of the same length with another time.
        write(&["2024-01-03"]);
        assert_eq!(read().await, (1, parse_timestamp("2024-01-03").unwrap()));
        write(&["2024-01-04", "2024-01-05", "2024-01-06"]);
        assert_eq!(read().await, (3, parse_timestamp("2024-01-06").unwrap()));
        // The system's clock for changes ticks in milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
        write(&["2024-01-04", "2024-01-05", "2024-01-09"]);
        assert_eq!(read().await, (3, parse_timestamp("2024-01-09").unwrap()));
        // Put in its place by another program, as editors do.
        place.put("new", "{\"timestamp\":\"2024-02-01\"}\n");
        std::fs::rename(place.file("new"), place.file("btcusd_timeseries.jsonl")).unwrap();
        assert_eq!(read().await, (1, parse_timestamp("2024-02-01").unwrap()));
        std::fs::remove_file(place.file("btcusd_timeseries.jsonl")).unwrap();
        assert_eq!(place.repo.summary(&btc()).await.unwrap(), None);
    });
}

#[test]
fn names_that_no_series_has_are_told() {
    run(async {
        let place = Place::new();
        place.put("btcusd_timeseries.jsonl", PYTHON);
        place.put("BTCUSD_timeseries.jsonl", PYTHON);
        place.put("a b_timeseries.jsonl", PYTHON);
        place.put("readme.txt", "x");
        std::fs::create_dir(place.file("dir_timeseries.jsonl")).unwrap();
        let (found, report) = place
            .repo
            .list_with_report(&SeriesFilter::new())
            .await
            .unwrap();
        assert_eq!(found, [btc()]);
        let mut kinds: Vec<_> = report
            .problems()
            .iter()
            .map(|problem| problem.kind)
            .collect();
        kinds.sort();
        assert_eq!(kinds, [InvalidName, InvalidName, NotAFile]);
        let error = place.repo.summary(&id("DIR@ticks")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    });
}

#[test]
fn lines_over_the_limit_are_skipped_and_told() {
    run(async {
        let config = minutebook_jsonl::JsonlConfig::default().max_line_bytes(1_000);
        let place = Place::with(config);
        let long = format!(
            "{{\"timestamp\":\"2024-01-01\",\"x\":\"{}\"}}\n",
            "y".repeat(300_000)
        );
        let short = "{\"timestamp\":\"2024-01-02\",\"x\":\"z\"}\n";
        place.put("btcusd_timeseries.jsonl", format!("{short}{long}{short}"));
        let (rows, report) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(rows.num_rows(), 2);
        let at = short.len() as u64;
        assert_eq!(
            places(&report),
            [(ProblemKind::TooLarge, Some(2), Some(at))]
        );
        let (entries, report) = texts(&place.repo, &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            places(&report),
            [(ProblemKind::TooLarge, Some(2), Some(at))]
        );
        let error = place
            .repo
            .append_entries(&btc(), &[long.trim()])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(
            place.bytes("btcusd_timeseries.jsonl").len(),
            long.len() + 2 * short.len()
        );
    });
}
