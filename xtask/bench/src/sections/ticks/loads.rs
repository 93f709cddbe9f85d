//! Loads, each in a process of its own.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use arrow_array::RecordBatch;
use minutebook_core::time::parse_timestamp;
use minutebook_core::{ScanQuery, TimeRange, TimeSeriesRepository};
use minutebook_fs::Durability;

use super::{SECTION, Section, middle, plain_file, segments, series};
use crate::bare;
use crate::config::{Config, disk_bytes, wipe};
use crate::measure::{Memory, Plan, measure};
use crate::record::{OURS, Record};
use crate::store::{self, Runtime};

/// Loads from the file that the original program would have written, each load in a process of its own.
pub(super) fn run(config: &Config, lines: &[String]) -> Result<()> {
    let directory = config.fresh("ticks-load")?;
    let file = directory.join(plain_file());
    let mut text = lines.join("\n");
    text.push('\n');
    std::fs::write(&file, &text)?;
    drop(text);
    let (from, to) = middle(lines)?;
    let folder = directory.display().to_string();
    let range = [from, to].map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true));
    print!("{}", config.child(Section::Ticks, "load_all", &[&folder])?);
    for op in ["load_range", "load_range_kept_open", "load_range_indexed"] {
        let args = [folder.as_str(), &range[0], &range[1]];
        if op == "load_range_indexed" {
            // What a writer of ours leaves beside the file; that of the original leaves nothing.
            let repo = store::ticks(&directory, Durability::Synced)?;
            Runtime::new()?.block_on(repo.write_index(&series()?))?;
        }
        print!("{}", config.child(Section::Ticks, op, &args)?);
    }
    // As exchanges send them; no peer reads this file in the tables.
    let ticks = super::entries::entries(lines)?;
    let fills = config.fresh("ticks-fills")?;
    std::fs::write(fills.join(plain_file()), super::entries::fills(&ticks)?)?;
    drop(ticks);
    let place = fills.display().to_string();
    print!(
        "{}",
        config.child(Section::Ticks, "load_all_fills", &[&place])?
    );
    wipe(&fills)?;
    Record::new(SECTION, "size", "ours (index included)", lines.len())
        .with("bytes", disk_bytes(&directory)?.1)
        .write(config)?;
    wipe(&directory)
}

pub(super) fn case(
    op: &str,
    directory: &Path,
    range: &[String],
    config: &Config,
) -> Result<String> {
    let range = match range {
        [] => TimeRange::all(),
        [from, to] => TimeRange::inclusive(parse_timestamp(from)?, parse_timestamp(to)?)?,
        _ => bail!("a folder, and a range if not everything, are needed"),
    };
    let wanted = match op {
        _ if op.starts_with("load_all") => config.ticks_load,
        _ if op.starts_with("load_half") => config.ticks_load / 2,
        _ => (config.ticks_load / 100).max(1),
    };
    let (runtime, id) = (Runtime::new()?, series()?);
    let query = ScanQuery::new().range(range);
    let open = || open(op, directory);
    let kept = open()?;
    // Opening is part of a load, as it is for the peers, but for the service that keeps its store open.
    let load = || -> Result<Vec<RecordBatch>> {
        let repo = if op == "load_range_kept_open" {
            Arc::clone(&kept)
        } else {
            open()?
        };
        let collected =
            runtime.block_on(async { repo.scan(&id, &query).await?.collect().await })?;
        Ok(collected.0)
    };
    let memory = Memory::start();
    let batches = load()?;
    let (grown, _) = memory.peak();
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    ensure!(rows == wanted, "{op} gave {rows} rows instead of {wanted}");
    drop(batches);
    let timing = measure(Plan::of(config.runs).cold(), load)?;
    let (bytes, _) = disk_bytes(directory)?;
    let bytes = usize::try_from(bytes)? / config.ticks_load.max(1) * wanted;
    let part = directory.with_extension("part");
    bare::write_file(&part, &bare::fill(bytes), false)?;
    let limit = measure(Plan::of(config.runs), || bare::read_through(&part))?;
    std::fs::remove_file(&part).context("the scratch file")?;
    Record::new(SECTION, op, OURS, config.ticks_load)
        .timed(&timing)
        .limit(
            &limit,
            "a bare read of as many bytes as there are on disk, without parsing",
        )
        .with("out", "arrow")
        .with("peak_rss_mb", grown / 1_000_000)
        .write(config)?;
    Ok(String::new())
}

/// What is read: the plain file and its segments, or both tiers, or one of them.
fn open(op: &str, directory: &Path) -> Result<Arc<dyn TimeSeriesRepository>> {
    Ok(match op.rsplit_once('_') {
        Some((_, "tiered")) => Arc::new(segments::tiers(directory)?),
        Some((_, "hot")) => store::ticks(&directory.join(segments::HOT), Durability::Synced)?,
        Some((_, "cold")) => store::series(&directory.join(segments::COLD), Durability::Synced)?,
        _ => store::ticks(directory, Durability::Synced)?,
    })
}
