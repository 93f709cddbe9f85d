//! Files that nobody meant to write: whatever is in them, every line is a row or is told of with its place, and all ways to read agree.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::collections::BTreeMap;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use common::*;
use futures_util::StreamExt;
use minutebook_core::check::FindingKind;
use minutebook_core::time::{from_nanos, to_nanos};
use minutebook_core::{ErrorKind, ProblemKind, ReadReport, ScanQuery, TimeRange};
use minutebook_fs::Durability;
use minutebook_jsonl::{
    Entry, EntryQuery, FollowFrom, FollowQuery, JsonlConfig, JsonlTimeSeriesRepository,
};
use proptest::prelude::*;
use serde_json::value::RawValue;

const DATA: &str = "btcusd_timeseries.jsonl";
const INDEX: &str = ".btcusd.index";
const SHORT: usize = 4_096;

/// What is at a byte of the file: the kind and, where the reader knows it, the line.
type Told = BTreeMap<u64, (ProblemKind, Option<u64>)>;

/// A whole line: its number from 1, its offset, its bytes without line break and byte order mark.
struct Line<'a> {
    number: u64,
    byte: u64,
    bytes: &'a [u8],
}

impl Line<'_> {
    fn is_blank(&self) -> bool {
        std::str::from_utf8(self.bytes).is_ok_and(|text| text.trim().is_empty())
    }

    /// Whether it is a JSON object whose strings are text, as another parser says. Keys may be there twice.
    fn is_object(&self) -> bool {
        serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(self.bytes).is_ok_and(|fields| {
            fields.values().all(|value| {
                let text = value.get();
                !text.starts_with('"') || serde_json::from_str::<String>(text).is_ok()
            })
        })
    }
}

/// The whole lines of a file, and where what follows them begins.
fn lines(file: &[u8]) -> (Vec<Line<'_>>, Option<u64>) {
    let mut all = Vec::new();
    let mut start = 0;
    for part in file.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = part.strip_suffix(b"\n") else {
            return (all, Some(start));
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let bytes = match start {
            0 => line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line),
            _ => line,
        };
        all.push(Line {
            number: all.len() as u64 + 1,
            byte: start,
            bytes,
        });
        start += part.len() as u64;
    }
    (all, None)
}

/// What a report says of lines. A column of several types is no damage.
fn told(report: &ReadReport) -> Told {
    let problems = report.problems().iter();
    let damage = problems.filter(|problem| problem.kind != ProblemKind::TypeChanged);
    let mut all = Told::new();
    for problem in damage {
        let place = problem.location;
        let before = all.insert(place.byte.unwrap(), (problem.kind, place.line));
        assert_eq!(before, None, "{problem} is told twice");
    }
    all
}

fn config(limit: usize) -> JsonlConfig {
    JsonlConfig::default()
        .durability(Durability::Buffered)
        .max_line_bytes(limit)
}

/// Reads a file in every way, and compares each with the lines and with the others.
async fn agree(place: &Place, file: &[u8], limit: usize) {
    let repo = JsonlTimeSeriesRepository::open(place.dir.path(), config(limit)).unwrap();
    let query = EntryQuery::new();
    let (entries, report) = repo
        .entries(&btc(), &query)
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    let damage = told(&report);
    let (lines, torn) = lines(file);

    let mut expected = judged(&lines, &entries, &damage, limit);
    if let Some(torn) = torn {
        expected.insert(torn, (ProblemKind::TornTail, None));
    }
    assert_eq!(damage, expected);

    let times: Vec<_> = entries.iter().filter_map(Entry::timestamp).collect();
    let nanos_of: Vec<_> = times.iter().map(|time| to_nanos(*time).unwrap()).collect();
    let (rows, by_scan) = scan(&repo, &btc(), &ScanQuery::new()).await.unwrap();
    assert_eq!(nanos(&rows), nanos_of);
    if let Some(torn) = torn {
        let last = (ProblemKind::TornTail, Some(lines.len() as u64 + 1));
        expected.insert(torn, last);
    }
    assert_eq!(told(&by_scan), expected);

    // Strict reads fail if and only if something is told of.
    let strict = scan(&repo, &btc(), &ScanQuery::new().strict()).await;
    let strictly = texts(&repo, &btc(), &query.strict()).await;
    if expected.is_empty() {
        assert_eq!(strict.unwrap().0, rows);
        assert_eq!(strictly.unwrap().0.len(), entries.len());
    } else {
        assert_eq!(strict.unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(strictly.unwrap_err().kind(), ErrorKind::Corrupt);
    }

    parts(&repo, &entries, &rows, &expected).await;
    checked(place, limit, entries.len(), &expected);
}

/// That every line is an entry with a time, or told of: what has no time is both. Gives what is told of lines.
fn judged(lines: &[Line<'_>], entries: &[Entry], damage: &Told, limit: usize) -> Told {
    let mut found = entries.iter().peekable();
    let mut expected = Told::new();
    for line in lines {
        let entry = found.next_if(|entry| entry.line() == Some(line.number));
        let problem = damage.get(&line.byte).copied();
        if let Some(problem) = problem {
            assert_eq!(problem.1, Some(line.number));
            expected.insert(line.byte, problem);
        }
        let kind = problem.map(|(kind, _)| kind);
        if let Some(entry) = entry {
            assert_eq!(entry.text().as_bytes(), line.bytes);
            assert_eq!(entry.offset(), line.byte);
        }
        let timed = entry.map(|entry| entry.timestamp().is_some());
        match kind {
            None if line.is_blank() => assert_eq!(timed, None),
            None => assert_eq!(timed, Some(true), "line {}", line.number),
            Some(ProblemKind::BadTimestamp) => assert_eq!(timed, Some(false)),
            Some(ProblemKind::TooLarge) => assert!(line.bytes.len() + 8 > limit),
            Some(ProblemKind::Malformed) => assert_eq!(timed, None),
            Some(other) => unreachable!("{other} of a line"),
        }
        if line.bytes.len() > limit {
            assert_eq!(kind, Some(ProblemKind::TooLarge));
        } else if kind != Some(ProblemKind::TooLarge) {
            assert_eq!(entry.is_some(), line.is_object(), "line {}", line.number);
        }
    }
    assert_eq!(found.next(), None);
    expected
}

/// The last entries, and those between each two of some times: parts of what is read in whole.
async fn parts(
    repo: &JsonlTimeSeriesRepository,
    entries: &[Entry],
    rows: &RecordBatch,
    expected: &Told,
) {
    let query = EntryQuery::new();
    let all: Vec<_> = entries.iter().map(Entry::text).collect();
    for count in [1, 2, 7, all.len().max(1)] {
        let (last, partly) = texts(repo, &btc(), &query.last(count)).await.unwrap();
        assert_eq!(last, all[all.len().saturating_sub(count)..]);
        for (byte, (kind, _)) in told(&partly) {
            assert_eq!(expected.get(&byte).map(|(kind, _)| *kind), Some(kind));
        }
        let (last, whole) = scan(repo, &btc(), &ScanQuery::new().last(count))
            .await
            .unwrap();
        let wanted = count.min(rows.num_rows());
        assert_eq!(last, rows.slice(rows.num_rows() - wanted, wanted));
        assert_eq!(&told(&whole), expected);
    }

    let times: Vec<_> = entries.iter().filter_map(Entry::timestamp).collect();
    let some = || times.iter().step_by(times.len() / 3 + 1).copied();
    let epoch = from_nanos(BASE);
    for from in some().chain([epoch]) {
        for to in some().chain([epoch]) {
            let Ok(range) = TimeRange::new(from, to) else {
                continue;
            };
            let inside = |time| from <= time && time < to;
            let (part, whole) = scan(repo, &btc(), &ScanQuery::new().range(range))
                .await
                .unwrap();
            let mask: BooleanArray = times.iter().map(|time| Some(inside(*time))).collect();
            assert_eq!(part, filter_record_batch(rows, &mask).unwrap());
            assert_eq!(&told(&whole), expected);
            let (part, whole) = texts(repo, &btc(), &query.range(range)).await.unwrap();
            let wanted = entries.iter().filter(|e| e.timestamp().is_some_and(inside));
            assert!(part.iter().eq(wanted.map(Entry::text)));
            assert_eq!(&told(&whole), expected);
        }
    }
}

/// That a check finds the same.
fn checked(place: &Place, limit: usize, entries: usize, expected: &Told) {
    let (findings, counted) = check(place, &config(limit));
    assert_eq!(counted, entries as u64);
    let mut checked = Told::new();
    for finding in &findings {
        let kind = match finding.kind {
            FindingKind::TickLineMalformed => ProblemKind::Malformed,
            FindingKind::TickLineUntimed => ProblemKind::BadTimestamp,
            FindingKind::TickLineTooLong => ProblemKind::TooLarge,
            FindingKind::TickTornTail => ProblemKind::TornTail,
            // What the test has done to it.
            FindingKind::TickIndexDamaged => continue,
            other => unreachable!("{other:?}: {finding:?}"),
        };
        let place = finding.location;
        checked.insert(place.byte.unwrap(), (kind, place.line));
    }
    assert_eq!(&checked, expected);
}

/// A file without an index, with one, with a damaged one and with one of another state of it; then with an entry behind it; then sealed.
async fn survives(file: &[u8], limit: usize, damage: (prop::sample::Index, u8)) {
    let place = Place::with(config(limit));
    place.put(DATA, file);
    agree(&place, file, limit).await;

    let repo = JsonlTimeSeriesRepository::open(place.dir.path(), config(limit)).unwrap();
    repo.write_index(&btc()).await.unwrap();
    agree(&place, file, limit).await;
    if let Ok(mut index) = std::fs::read(place.file(INDEX))
        && !index.is_empty()
    {
        let at = damage.0.index(index.len());
        index[at] ^= damage.1.max(1);
        place.put(INDEX, &index);
        agree(&place, file, limit).await;
        index.truncate(at);
        place.put(INDEX, &index);
        agree(&place, file, limit).await;
    }
    let shorter = &file[..damage.0.index(file.len() + 1)];
    place.put(DATA, shorter);
    let repo = JsonlTimeSeriesRepository::open(place.dir.path(), config(limit)).unwrap();
    repo.write_index(&btc()).await.unwrap();
    place.put(DATA, file);
    agree(&place, file, limit).await;

    // What was torn is a line of its own from now on.
    let last = "{\"timestamp\":\"2025-01-01T00:00:00\",\"last\":true}";
    place.repo.append_entries(&btc(), &[last]).await.unwrap();
    let file = place.bytes(DATA);
    agree(&place, &file, limit).await;
    let follow = FollowQuery::new().from(FollowFrom::Start);
    let mut follow = place.repo.follow(&btc(), &follow);
    let mut followed = Vec::new();
    while followed.last().is_none_or(|text| text != last) {
        followed.push(follow.next().await.unwrap().unwrap().into_text());
    }
    let (all, report) = texts(&place.repo, &btc(), &EntryQuery::new())
        .await
        .unwrap();
    assert_eq!(followed, all);
    // Who follows may have begun anywhere, and does not count lines.
    let kinds = |report| {
        told(report)
            .into_iter()
            .map(|(byte, (kind, _))| (byte, kind))
    };
    assert!(kinds(&follow.report()).eq(kinds(&report)));

    place.repo.rotate(&btc()).await.unwrap().unwrap();
    let (sealed, again) = texts(&place.repo, &btc(), &EntryQuery::new())
        .await
        .unwrap();
    assert_eq!(sealed, all);
    assert_eq!(told(&again), told(&report));
    let (rows, by_scan) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
    assert_eq!(told(&by_scan), told(&report));
    let untimed = told(&report).into_values();
    let untimed = untimed.filter(|(kind, _)| *kind == ProblemKind::BadTimestamp);
    assert_eq!(rows.num_rows(), all.len() - untimed.count());
}

/// Lines as feeds write them.
fn real() -> impl Strategy<Value = Vec<u8>> {
    (0..600_u32, 0..8_u8, any::<u16>()).prop_map(|(second, form, n)| {
        let time = format!("2025-01-01T00:{:02}:{:02}", second / 60, second % 60);
        match form {
            0 => format!("{{\"symbol\": \"BTCUSD\", \"timestamp\": \"{time}.014825\", \"price\": 42496.1, \"size\": {n}}}"),
            1 => format!("{{\"timestamp\":\"{time}Z\",\"price\":\"{n}.10\",\"book\":{{\"bids\":[[{n},1],[2,null]]}}}}"),
            2 => format!("{{\"u\":\"\\u00e9é ☃\\n\",\"timestamp\":\"{time}+00:00\",\"price\":{n}}}"),
            3 => format!("{{\"timestamp\":\"{time}\",\"x\":\"{}\"}}", "y".repeat(usize::from(n))),
            _ => format!("{{\"timestamp\":\"{time}\",\"price\":{n}.5,\"n\":{n}}}"),
        }
        .into_bytes()
    })
}

/// Lines with a few bytes changed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0..5_u8);
    (real(), prop::collection::vec(edit, 1..4)).prop_map(|(mut line, edits)| {
        for (at, byte, action) in edits {
            let at = at.index(line.len() + 1);
            match action {
                0 if at < line.len() => line[at] = byte,
                1 if at < line.len() => line[at] ^= 1 << (byte % 8),
                2 if at < line.len() => drop(line.remove(at)),
                3 => line.truncate(at),
                _ => line.insert(at, byte),
            }
        }
        line
    })
}

/// Lines that were made to hurt.
fn made() -> impl Strategy<Value = Vec<u8>> {
    let deep = |open: &str, close: &str, levels: usize| {
        let (open, close) = (open.repeat(levels), close.repeat(levels));
        format!("{{\"timestamp\":\"2025-01-01T00:01:00\",\"d\":{open}1{close}}}").into_bytes()
    };
    let with =
        |rest: &str| format!("{{\"timestamp\":\"2025-01-01T00:02:00\",{rest}}}").into_bytes();
    let timed = |time: &str| format!("{{\"timestamp\":{time},\"n\":1}}").into_bytes();
    let mut all: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"   \t ".to_vec(),
        b"\r".to_vec(),
        "\u{a0}\u{2003}".into(),
        b"\0".to_vec(),
        vec![0; 5_000],
        b"\xEF\xBB\xBF{\"timestamp\":\"2025-01-01\"}".to_vec(),
        b"\xEF\xBB".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        b"{}{}".to_vec(),
        b"{".repeat(100_000),
        b"[".repeat(100_000),
        b"{\"a\":".repeat(50_000),
        b" {\"timestamp\":\"2025-01-01T00:00:09\"} ".to_vec(),
        with("\"a\":1e999,\"b\":-1e999,\"c\":1e-999,\"d\":-0"),
        with(&format!("\"price\":{}", "9".repeat(400))),
        with(&format!("\"price\":0.{}e-400", "1".repeat(2_000))),
        with("\"n\":9223372036854775808,\"price\":-9223372036854775809"),
        with("\"a\":1,\"a\":\"two\",\"a\":[3]"),
        with("\"timestamp\":\"2025-01-01T00:03:00\""),
        with("\"timestamp\":7"),
        with("\"t\\u0069mestamp\":\"2025-01-01T00:04:00\""),
        with("\"x\":\"\\ud800\""),
        with("\"x\":\"\\ud83d\\ude00\\u0000\""),
        with("\"\":{\"\":[{}]}"),
        with(&format!("\"{}\":1", "k".repeat(5_000))),
    ];
    for time in [
        "null",
        "true",
        "[]",
        "{}",
        "0",
        "1e400",
        "1735689600",
        "\"\"",
        "\"soon\"",
        "\"0001-01-01\"",
        "\"9999-12-31T23:59:60\"",
        "\"1677-09-21T00:12:43.145224191Z\"",
        "\"2262-04-11T23:47:16.854775807Z\"",
        "\"2262-04-12\"",
        "\"+10000-01-01\"",
        "\"2025-02-30\"",
        "\"2025-01-01T00:00:00+99:99\"",
        "\"2025-01-01\\u00540:00:00\"",
    ] {
        all.push(timed(time));
    }
    for levels in [1, 63, 64, 65, 126, 127, 128, 129, 10_000] {
        all.push(deep("[", "]", levels));
        all.push(deep("{\"a\":", "}", levels));
    }
    prop::sample::select(all)
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        6 => real(),
        3 => mutated(),
        3 => made(),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    let end = prop_oneof![
        8 => Just("\n"),
        3 => Just("\r\n"),
        1 => Just(""),
        1 => Just("\n\n"),
        1 => Just("\r"),
    ];
    let mark = prop::bool::weighted(0.2);
    let cut = prop_oneof![2 => Just(0), 1 => 0..200_usize];
    let lines = prop::collection::vec((line, end), 0..40);
    (mark, lines, cut).prop_map(|(mark, lines, cut)| {
        let mut file = if mark {
            b"\xEF\xBB\xBF".to_vec()
        } else {
            Vec::new()
        };
        for (line, end) in lines {
            file.extend_from_slice(&line);
            file.extend_from_slice(end.as_bytes());
        }
        file.truncate(file.len().saturating_sub(cut));
        file
    })
}

fn damage() -> impl Strategy<Value = (prop::sample::Index, u8)> {
    any::<(prop::sample::Index, u8)>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn lines_of_every_kind(file in file(), short in any::<bool>(), damage in damage()) {
        let limit = if short { SHORT } else { 64 << 20 };
        run(survives(&file, limit, damage));
    }

    #[test]
    fn any_bytes(file in prop::collection::vec(any::<u8>(), 0..3_000), damage in damage()) {
        run(survives(&file, SHORT, damage));
    }

    /// Few different bytes, so that many of them mean something.
    #[test]
    fn any_text(file in prop::collection::vec(prop::sample::select(b"{}[]\":,\\\n\n\r \0e-1\xEF\xBB\xBF".to_vec()), 0..600), damage in damage()) {
        run(survives(&file, SHORT, damage));
    }
}
