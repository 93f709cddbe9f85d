//! The sample of Binance's order books through the tick files: line by line, and as Arrow.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::io::Read;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use common::*;
use minutebook_core::time::{parse_timestamp, to_nanos};
use minutebook_core::{ScanQuery, TimeSeriesRepository};
use minutebook_fs::Durability;
use minutebook_jsonl::{EntryQuery, JsonlConfig, TimeField};

const LINES: usize = 50_000;
const FILE: &str = "btcusd_timeseries.jsonl";

fn sample() -> String {
    let data = std::env::var_os("MINUTEBOOK_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let packed = std::fs::File::open(data.join("binance_spot_ticks.jsonl.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed)
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// The text between two others, the first of its kind.
fn between<'a>(line: &'a str, before: &str, after: &str) -> &'a str {
    line.split_once(before)
        .unwrap()
        .1
        .split_once(after)
        .unwrap()
        .0
}

/// That the rows are those of the sample, in its order.
fn are_the_lines(rows: &RecordBatch, lines: &[&str]) {
    assert_eq!(rows.num_rows(), lines.len());
    let wanted = lines.iter().map(|line| {
        let time = between(line, "\"time_exchange\":\"", "\"");
        let item = line
            .strip_prefix("{\"Item\":")
            .unwrap()
            .strip_suffix('}')
            .unwrap();
        (
            to_nanos(parse_timestamp(time).unwrap()).unwrap(),
            Some(item.to_owned()),
        )
    });
    let found = nanos(rows).into_iter().zip(strings(rows, "Item"));
    for (n, (found, wanted)) in found.zip(wanted).enumerate() {
        assert_eq!(found, wanted, "line {}", n + 1);
    }
}

#[test]
#[ignore = "needs ../shared/data"]
fn shared_data_ticks_come_back_byte_for_byte_and_as_arrow() {
    let text = sample();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), LINES);
    let config = JsonlConfig::default()
        .durability(Durability::Buffered)
        .time(TimeField::pointer("/Item/time_exchange").unwrap());
    let place = Place::with(config);
    // The line is kept as it is, with the time put in front.
    let kept: Vec<String> = lines
        .iter()
        .map(|line| {
            let time = between(line, "\"time_exchange\":\"", "\"");
            format!("{{\"timestamp\":\"{time}\",{}", &line[1..])
        })
        .collect();
    run(async {
        for some in lines.chunks(777) {
            place.repo.append_entries(&btc(), some).await.unwrap();
        }
        assert!(place.bytes(FILE) == (kept.join("\n") + "\n").as_bytes());
        let all = ScanQuery::new();
        let (rows, report) = scan(&place.repo, &btc(), &all).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
        are_the_lines(&rows, &lines);

        // What Arrow holds makes the same rows again, in a series of its own.
        let again = id("AGAIN@ticks");
        append(&place.repo, &again, rows.clone()).await.unwrap();
        let (copied, _) = scan(&place.repo, &again, &all).await.unwrap();
        assert_eq!(copied, rows);

        // And sealed and compressed, read by a process that has not seen it before.
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        let repo = fresh(&place);
        let (entries, report) = texts(&repo, &btc(), &EntryQuery::new()).await.unwrap();
        assert!(report.is_clean() && entries == kept);
        let (rows, _) = scan(&repo, &btc(), &all).await.unwrap();
        are_the_lines(&rows, &lines);
        assert_eq!(
            repo.summary(&btc()).await.unwrap().unwrap().rows,
            LINES as u64
        );
    });
}
