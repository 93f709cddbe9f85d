//! What a long file costs in memory, read in a process of its own; and how far a follower is behind a feed.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::StreamExt as _;
use minutebook_core::{ScanQuery, TimeSeriesRepository};
use minutebook_fs::Durability;
use minutebook_jsonl::{AppenderOptions, EntryQuery, FollowFrom, FollowQuery};

use super::entries::entries;
use super::{SECTION, Section, plain_file, series};
use crate::config::{Config, wipe};
use crate::measure::{Memory, Plan, as_f64, measure, measure_with};
use crate::record::{OURS, Record};
use crate::store::{self, Runtime};

/// How many times the ticks are in the long file: a million of them make about a gigabyte.
const TIMES: usize = 10;
/// How many of the last entries are asked for.
const TAIL: usize = 1_000;

pub(super) fn run(config: &Config, runtime: &Runtime, lines: &[String]) -> Result<()> {
    follow_live(
        config,
        runtime,
        &lines[..config.ticks_append.min(lines.len())],
    )?;
    let directory = config.fresh("ticks-long")?;
    let mut file = BufWriter::new(File::create(directory.join(plain_file()))?);
    for _ in 0..TIMES {
        for line in lines {
            writeln!(file, "{line}")?;
        }
    }
    file.into_inner()?.sync_all()?;
    let folder = directory.display().to_string();
    for op in [
        "stream_scan",
        "stream_entries",
        "stream_follow",
        "stream_tail",
    ] {
        print!("{}", config.child(Section::Ticks, op, &[&folder])?);
    }
    wipe(&directory)
}

/// One feed, one follower: the time until the follower has had all that was pushed.
fn follow_live(config: &Config, runtime: &Runtime, lines: &[String]) -> Result<()> {
    let (id, ticks) = (series()?, Arc::new(entries(lines)?));
    let directory = config.fresh("ticks-follow")?;
    let timing = measure_with(
        Plan::of(config.runs).cold().inner(ticks.len()),
        || {
            wipe(&directory)?;
            store::ticks(&directory, Durability::Buffered)
        },
        |repo| {
            let feed = repo.appender(AppenderOptions::new())?;
            let (all, to) = (Arc::clone(&ticks), id.clone());
            let writer = std::thread::spawn(move || {
                for tick in all.iter() {
                    feed.push_value_blocking(&to, tick)?;
                }
                feed.close_blocking()
            });
            let query = FollowQuery::new().from(FollowFrom::Start);
            let mut entries = repo.follow(&id, &query);
            runtime.block_on(async {
                for _ in 0..ticks.len() {
                    entries.next().await.context("a follower does not end")??;
                }
                anyhow::Ok(())
            })?;
            match writer.join() {
                Ok(closed) => closed?,
                Err(_) => bail!("the feed panicked"),
            }
            Ok(repo)
        },
    )?;
    Record::new(SECTION, "follow_a_feed", OURS, ticks.len())
        .timed(&timing)
        .with("entries_per_s", 1.0 / timing.median())
        .write(config)?;
    wipe(&directory)
}

pub(super) fn case(op: &str, directory: &Path, config: &Config) -> Result<String> {
    let (runtime, id) = (Runtime::new()?, series()?);
    let wanted = config.ticks_load * TIMES;
    let memory = Memory::start();
    let timing = measure(Plan::of(1).cold(), || {
        let repo = store::ticks(directory, Durability::Synced)?;
        let read = runtime.block_on(async {
            let mut read = 0;
            match op {
                "stream_scan" => {
                    let mut batches = repo.scan(&id, &ScanQuery::new()).await?;
                    while let Some(batch) = batches.next().await {
                        read += batch?.num_rows();
                    }
                }
                "stream_entries" => {
                    let mut entries = repo.entries(&id, &EntryQuery::new()).await?;
                    while let Some(entry) = entries.next().await {
                        entry?;
                        read += 1;
                    }
                }
                "stream_follow" => {
                    let query = FollowQuery::new().from(FollowFrom::Start);
                    let mut entries = repo.follow(&id, &query);
                    while read < wanted {
                        entries.next().await.context("a follower does not end")??;
                        read += 1;
                    }
                }
                "stream_tail" => {
                    let query = EntryQuery::new().last(TAIL);
                    let (entries, _) = repo.entries(&id, &query).await?.collect().await?;
                    ensure!(entries.len() == TAIL.min(wanted));
                    read = wanted;
                }
                _ => bail!("no case {op} here"),
            }
            Ok(read)
        })?;
        ensure!(read == wanted, "{op} gave {read} instead of {wanted}");
        Ok(())
    })?;
    let (_, peak) = memory.peak();
    let bytes = usize::try_from(std::fs::metadata(directory.join(plain_file()))?.len())?;
    Record::new(SECTION, op, OURS, wanted)
        .timed(&timing)
        .with("bytes", bytes)
        .with("mb_per_s", as_f64(bytes) / timing.median() / 1e6)
        .with("peak_rss_mb", peak / 1_000_000)
        .write(config)?;
    Ok(String::new())
}
