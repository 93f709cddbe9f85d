//! B. Ticks as JSON Lines: append one by one, by many tasks, as a batch and to many series; load all and a hundredth, of a plain file, of sealed
//! segments and of both tiers; follow; and how much memory a long file takes.

mod appends;
mod entries;
mod loads;
mod many;
mod segments;
mod streams;

use std::path::Path;

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use minutebook_core::SeriesId;
use minutebook_core::time::parse_timestamp;
use minutebook_fs::Durability;

use super::Section;
use crate::config::Config;
use crate::inputs::lines;
use crate::record::{BUFFERED, OURS};
use crate::store::Runtime;
use entries::Tick;

const SECTION: &str = "B.ticks";
const SYMBOL: &str = "BTCUSD";

pub(super) fn run(config: &Config) -> Result<()> {
    let runtime = Runtime::new()?;
    let lines = lines(&config.ticks_file(), config.ticks_total())?;
    let rows = &lines[..config.ticks_append];
    for (peer, durability) in [(OURS, Durability::Synced), (BUFFERED, Durability::Buffered)] {
        appends::run(config, &runtime, rows, peer, durability)?;
    }
    many::run(config, rows)?;
    loads::run(config, &lines[..config.ticks_load])?;
    segments::run(config, &runtime, &lines[..config.ticks_load])?;
    streams::run(config, &runtime, &lines[..config.ticks_load])
}

pub(super) fn case(op: &str, args: &[String], config: &Config) -> Result<String> {
    let (folder, rest) = match args {
        [folder, rest @ ..] => (Path::new(folder), rest),
        [] => bail!("a folder is needed"),
    };
    match op.split_once('_') {
        Some(("append", _)) => appends::case(op, folder, config),
        Some(("load", _)) => loads::case(op, folder, rest, config),
        Some(("stream", _)) => streams::case(op, folder, config),
        _ => bail!("no case {op} here"),
    }
}

fn series() -> Result<SeriesId> {
    Ok(SeriesId::ticks(SYMBOL.parse()?))
}

/// The name of the plain file.
fn plain_file() -> String {
    format!("{}_timeseries.jsonl", SYMBOL.to_lowercase())
}

/// The first and the last time of the hundredth in the middle, as the peers take it.
fn middle(lines: &[String]) -> Result<(DateTime<Utc>, DateTime<Utc>)> {
    let time = |line: &String| -> Result<_> {
        let tick: Tick = serde_json::from_str(line)?;
        Ok(parse_timestamp(&tick.timestamp)?)
    };
    let start = lines.len() / 2;
    let count = (lines.len() / 100).max(1);
    Ok((time(&lines[start])?, time(&lines[start + count - 1])?))
}
