//! The index beside the file: a cache that changes no answer, whatever becomes of it or of the file.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::sync::Arc;

use common::*;
use minutebook_core::time::from_nanos;
use minutebook_core::{ProblemKind, ScanQuery, TimeRange, TimeSeriesRepository};
use minutebook_fs::crash::{self, Options};
use minutebook_fs::{Durability, SimFs};
use minutebook_jsonl::{AppenderOptions, JsonlConfig, JsonlTimeSeriesRepository};

const DATA: &str = "btcusd_timeseries.jsonl";
const INDEX: &str = ".btcusd.index";

fn config() -> JsonlConfig {
    JsonlConfig::default().durability(Durability::Buffered)
}

fn line(n: i64) -> String {
    let time = minutebook_core::time::format_timestamp(from_nanos(BASE + n * 1_000_000_000));
    format!(
        "{{\"timestamp\":\"{time}\",\"n\":{n},\"pad\":\"{}\"}}",
        "x".repeat(200)
    )
}

/// About 300 kB: several blocks.
fn file(lines: i64) -> String {
    (0..lines).map(|n| line(n) + "\n").collect()
}

fn range(from: i64, to: i64) -> ScanQuery {
    let at = |n| from_nanos(BASE + n * 1_000_000_000);
    ScanQuery::new().range(TimeRange::new(at(from), at(to)).unwrap())
}

/// The numbers that a new process finds in a range, and how many problems.
fn found(place: &Place, from: i64, to: i64) -> (Vec<i64>, u64) {
    let repo = JsonlTimeSeriesRepository::open(place.dir.path(), config()).unwrap();
    let (rows, report) = run(scan(&repo, &btc(), &range(from, to))).unwrap();
    (
        ints(&rows, "n").into_iter().flatten().collect(),
        report.total(),
    )
}

fn numbers(from: i64, to: i64) -> Vec<i64> {
    (from..to).collect()
}

#[test]
fn reading_writes_no_index_and_asking_does() {
    let place = Place::new();
    place.put(DATA, file(1_200));
    assert_eq!(found(&place, 600, 610), (numbers(600, 610), 0));
    assert_eq!(place.names(), [DATA]);
    run(place.repo.write_index(&btc())).unwrap();
    assert_eq!(place.names(), [INDEX, DATA]);
    assert_eq!(found(&place, 600, 610), (numbers(600, 610), 0));
    let error = run(place.repo.write_index(&id("NONE@ticks"))).unwrap_err();
    assert_eq!(error.kind(), minutebook_core::ErrorKind::NotFound);
}

#[test]
fn a_damaged_index_is_as_good_as_none() {
    let place = Place::new();
    place.put(DATA, file(1_200));
    run(place.repo.write_index(&btc())).unwrap();
    let good = place.bytes(INDEX);
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        place.put(INDEX, &bad);
        assert_eq!(found(&place, 300, 303), (numbers(300, 303), 0), "byte {at}");
    }
    for len in [0, 1, good.len() / 2, good.len() - 1] {
        place.put(INDEX, &good[..len]);
        assert_eq!(
            found(&place, 300, 303),
            (numbers(300, 303), 0),
            "{len} bytes"
        );
    }
}

#[test]
fn the_file_may_grow_shrink_and_be_replaced() {
    let place = Place::new();
    place.put(DATA, file(1_200));
    run(place.repo.write_index(&btc())).unwrap();
    // Grown, by a program that knows of no index; with a line that is no row, and a torn one.
    let mut text = file(1_300);
    text.insert(text.len() - 5 * line(1_200).len(), '\n');
    text.push_str("nonsense\n{\"torn");
    let grown = text.split_off(file(1_200).len());
    let mut open = std::fs::OpenOptions::new()
        .append(true)
        .open(place.file(DATA))
        .unwrap();
    std::io::Write::write_all(&mut open, grown.as_bytes()).unwrap();
    drop(open);
    let (rows, problems) = found(&place, 1_190, 1_250);
    assert_eq!(rows, numbers(1_190, 1_250));
    assert!(problems >= 2);
    // Replaced by one of the same length, with other times.
    let other: String = (0..1_200)
        .map(|n| line(n).replace("2025-01-01", "2025-01-02") + "\n")
        .collect();
    place.put("other", &other);
    std::fs::rename(place.file("other"), place.file(DATA)).unwrap();
    assert_eq!(found(&place, 0, 1_200).0, numbers(0, 0));
    assert_eq!(found(&place, 86_400 + 7, 86_400 + 9).0, numbers(7, 9));
    // Written over in place, and cut.
    run(place.repo.write_index(&btc())).unwrap();
    place.put(DATA, file(1_200));
    assert_eq!(found(&place, 600, 610).0, numbers(600, 610));
    place.put(DATA, file(100));
    assert_eq!(found(&place, 90, 610).0, numbers(90, 100));
    // Removed, and begun again.
    run(place.repo.write_index(&btc())).unwrap();
    run(place.repo.delete(&btc(), None)).unwrap();
    assert!(!place.names().contains(&INDEX.to_owned()));
    run(place.repo.append_entries(&btc(), &[line(5)])).unwrap();
    assert_eq!(found(&place, 0, 610).0, [5]);
}

#[test]
fn flaws_and_other_settings_are_not_forgotten() {
    let place = Place::new();
    let mut text = file(400);
    text.push_str("nonsense\n{\"n\":1}\n");
    text.push_str(&(line(400) + "\n"));
    place.put(DATA, &text);
    run(place.repo.write_index(&btc())).unwrap();
    let fresh = |config: JsonlConfig| {
        let repo = JsonlTimeSeriesRepository::open(place.dir.path(), config).unwrap();
        run(scan(&repo, &btc(), &ScanQuery::new())).unwrap()
    };
    let (rows, report) = fresh(config());
    assert_eq!(rows.num_rows(), 401);
    assert_eq!(
        places(&report),
        [
            (
                ProblemKind::Malformed,
                Some(401),
                Some(file(400).len() as u64)
            ),
            (
                ProblemKind::BadTimestamp,
                Some(402),
                Some(file(400).len() as u64 + 9)
            ),
        ]
    );
    // With another limit these are no lines.
    let (rows, report) = fresh(config().max_line_bytes(100));
    assert_eq!((rows.num_rows(), report.total()), (0, 403));
}

#[test]
fn writers_write_it_now_and_then() {
    let place = Place::with(config().index_bytes(10_000));
    run(place.repo.append_entries(&btc(), &[line(0)])).unwrap();
    assert!(!place.names().contains(&INDEX.to_owned()));
    let mut sizes = Vec::new();
    for n in 1..300 {
        run(place.repo.append_entries(&btc(), &[line(n)])).unwrap();
        sizes.push(std::fs::metadata(place.file(INDEX)).map_or(0, |meta| meta.len()));
    }
    let mut written = sizes.clone();
    written.dedup();
    assert!((3..15).contains(&written.len()), "{written:?}");
    assert_eq!(found(&place, 250, 300), (numbers(250, 300), 0));
    // The appender does too, and an Arrow batch.
    let eth = id("ETHUSD@ticks");
    let appender = place.repo.appender(AppenderOptions::new()).unwrap();
    for n in 0..100 {
        appender.push_blocking(&eth, &line(n)).unwrap();
    }
    appender.close_blocking().unwrap();
    assert!(place.names().contains(&".ethusd.index".to_owned()));
    let never = Place::with(config().index_bytes(0));
    run(never.repo.append_entries(&btc(), &[line(0)])).unwrap();
    assert!(!never.names().contains(&INDEX.to_owned()));
}

/// An index never outlives the lines of which it speaks, and no crash of it changes an answer.
#[test]
fn a_crash_between_file_and_index_changes_no_answer() {
    let open = |disk: &SimFs| {
        let config = config()
            .fs(Arc::new(disk.clone()))
            .index_bytes(1)
            .read_ahead(std::num::NonZeroUsize::MIN);
        JsonlTimeSeriesRepository::open("/ticks", config)
    };
    let report = crash::enumerate(
        &Options::default(),
        |_| Ok(()),
        |disk| {
            let Ok(repo) = open(disk) else { return };
            for n in 0..2 {
                if run(repo.append_entries(&btc(), &[line(n)])).is_err() {
                    return;
                }
            }
        },
        |crashed| {
            let look = |disk: &SimFs| {
                let repo = open(disk).map_err(|e| e.to_string())?;
                match run(scan(&repo, &btc(), &ScanQuery::new())) {
                    Ok((rows, report)) => Ok((nanos(&rows), places(&report))),
                    Err(error) if error.kind() == minutebook_core::ErrorKind::NotFound => {
                        Ok(Default::default())
                    }
                    Err(error) => Err(error.to_string()),
                }
            };
            let with = look(&crashed.disk)?;
            if crashed.disk.get("/ticks/.btcusd.index").is_some() {
                minutebook_fs::Fs::remove_file(&crashed.disk, "/ticks/.btcusd.index".as_ref())
                    .map_err(|e| e.to_string())?;
            }
            let without = look(&crashed.disk)?;
            if with != without {
                return Err(format!("{with:?} with the index, {without:?} without"));
            }
            Ok(())
        },
    )
    .unwrap();
    assert!(report.states > 50, "{report:?}");
}
