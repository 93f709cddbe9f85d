//! Many series in one process, an entry to each in turn: files are opened and closed all the time, since only so many may be open.

use std::cell::Cell;
use std::io::Write as _;
use std::sync::Arc;

use anyhow::Result;
use minutebook_core::SeriesId;
use minutebook_fs::Durability;
use minutebook_jsonl::AppenderOptions;

use super::SECTION;
use super::entries::entries;
use crate::bare;
use crate::config::{Config, wipe};
use crate::measure::{Plan, measure_with};
use crate::record::{BUFFERED, Record};
use crate::store::{self, Runtime};

/// Entries of each series.
const ROUNDS: usize = 4;

pub(super) fn run(config: &Config, lines: &[String]) -> Result<()> {
    let runtime = Runtime::new()?;
    let count = (lines.len() / 20).max(2);
    let ids = (0..count)
        .map(|n| Ok(SeriesId::ticks(format!("SYM{n}").parse()?)))
        .collect::<Result<Vec<_>>>()?;
    let ticks = entries(&lines[..ROUNDS])?;
    let directory = config.fresh("ticks-many")?;
    // Nothing is removed before the end: ext4 looks at every inode that was freed a moment ago before it gives out another.
    let made = Cell::new(0);
    let fresh = || {
        made.set(made.get() + 1);
        let path = directory.join(made.get().to_string());
        std::fs::create_dir_all(&path)?;
        anyhow::Ok(path)
    };
    let open = || store::ticks(&fresh()?, Durability::Buffered);
    let plan = Plan::of(config.runs.min(3)).cold().inner(count * ROUNDS);
    let limit = measure_with(plan, fresh, |directory| {
        for line in &lines[..ROUNDS] {
            for n in 0..count {
                let path = directory.join(n.to_string());
                bare::appendable(&path)?.write_all(line.as_bytes())?;
            }
        }
        Ok(())
    })?;
    let what = "open, one write, close";
    let record = |op| Record::new(SECTION, op, BUFFERED, count).with("durable", false);
    let timing = measure_with(plan, open, |repo| {
        runtime.block_on(async {
            for tick in &ticks {
                for id in &ids {
                    repo.append_values(id, std::slice::from_ref(tick)).await?;
                }
            }
            anyhow::Ok(repo)
        })
    })?;
    record("append_to_many_series")
        .timed(&timing)
        .limit(&limit, what)
        .write(config)?;
    let timing = measure_with(plan, open, |repo| {
        let feed = repo.appender(AppenderOptions::new())?;
        for tick in &ticks {
            for id in &ids {
                feed.push_value_blocking(id, tick)?;
            }
        }
        feed.flush_blocking()?;
        anyhow::Ok((Arc::clone(&repo), feed))
    })?;
    record("append_to_many_series_appender")
        .timed(&timing)
        .limit(&limit, what)
        .write(config)?;
    wipe(&directory)
}
