//! The append log on the simulated disk: crashes, faults, forced interleavings, and variants that are known to be bad.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]

mod chain;
mod faults;
mod histories;
mod known_bad;
mod limits;
mod promises;
mod ring;
mod rotation;

use std::io;
use std::path::Path;
use std::sync::Arc;

use minutebook_fs::{AppendLog, AppendOptions, Fs, LineOptions, LineReader, OpenMode, SimFs};

const LOG: &str = "/store/log.jsonl";
const LOCK: &str = "/store/.log.lock";

fn log(disk: &SimFs) -> AppendLog {
    AppendLog::open(Arc::new(disk.clone()), LOG, LOCK, AppendOptions::default())
}

fn setup(disk: &SimFs) -> Result<(), String> {
    disk.put("/store/other", b"").map_err(|e| e.to_string())
}

/// A line that shows whether it is whole.
fn line(n: usize) -> Vec<u8> {
    format!("[{n}:{}:{n}]\n", "x".repeat(n * 7 % 23)).into_bytes()
}

fn number(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok()?;
    let n = text.strip_prefix('[')?.split(':').next()?.parse().ok()?;
    (line(n).strip_suffix(b"\n") == Some(bytes)).then_some(n)
}

/// The numbers of the whole lines, in order, and how many complete lines are damaged.
fn lines(disk: &SimFs) -> Result<(Vec<usize>, usize), String> {
    let file = match disk.open(Path::new(LOG), OpenMode::Read) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        result => result.map_err(|e| e.to_string())?,
    };
    let mut reader = LineReader::new(file, LineOptions::default());
    let (mut whole, mut damaged) = (Vec::new(), 0);
    while let Some(item) = reader.next().map_err(|e| e.to_string())? {
        match item.line().and_then(|line| number(line.bytes)) {
            Some(n) => whole.push(n),
            None => damaged += 1,
        }
    }
    Ok((whole, damaged))
}

/// What was acknowledged is there, in order; what is there besides was asked for, in order, and comes last.
fn holds(found: &[usize], acknowledged: &[usize], asked: usize) -> Result<(), String> {
    let sorted = found.windows(2).all(|pair| pair[0] < pair[1]);
    let all = acknowledged.iter().all(|n| found.contains(n));
    if sorted && all && found.iter().all(|n| *n < asked) {
        Ok(())
    } else {
        Err(format!("acknowledged {acknowledged:?}, found {found:?}"))
    }
}
