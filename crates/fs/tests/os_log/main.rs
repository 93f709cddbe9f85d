//! The append log on the real file system: threads, processes, kills, limits, refusals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]
#![cfg(unix)]

mod child;
mod processes;
mod refusals;
mod threads;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use minutebook_fs::{AppendLog, AppendOptions, Item, LineOptions, LineReader, OsFs};

fn open(dir: &Path) -> AppendLog {
    AppendLog::open(
        Arc::new(OsFs),
        dir.join("log.jsonl"),
        dir.join(".log.lock"),
        AppendOptions::default(),
    )
}

/// The `n`th line of a writer: of any length, and recognisable as whole.
fn line(writer: usize, n: usize) -> Vec<u8> {
    let fill = match n % 17 {
        0 => 20_000,
        1..5 => 3_000,
        _ => n * 7 % 90,
    };
    format!("[{writer} {n} {} {n} {writer}]\n", "x".repeat(fill)).into_bytes()
}

fn parse(bytes: &[u8]) -> Option<(usize, usize)> {
    let text = std::str::from_utf8(bytes).ok()?.strip_prefix('[')?;
    let mut words = text.split(' ');
    let (writer, n) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (line(writer, n).strip_suffix(b"\n") == Some(bytes)).then_some((writer, n))
}

/// The whole lines of each writer in order, and the number of damaged ones.
fn lines(log: &AppendLog) -> (BTreeMap<usize, Vec<usize>>, usize) {
    let (mut whole, mut damaged) = (BTreeMap::<usize, Vec<usize>>::new(), 0);
    if let Some(file) = log.reader().unwrap() {
        let mut reader = LineReader::new(file, LineOptions::default());
        while let Some(item) = reader.next().unwrap() {
            match item {
                Item::Line(line) => match parse(line.bytes) {
                    Some((writer, n)) => whole.entry(writer).or_default().push(n),
                    None => damaged += 1,
                },
                Item::TooLong { .. } => damaged += 1,
            }
        }
    }
    (whole, damaged)
}
