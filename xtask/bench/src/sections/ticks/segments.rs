//! Sealed segments and both tiers: sealing, moving to Parquet, and what reads of them cost beside the plain file.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use chrono::SecondsFormat;
use minutebook::Tiered;
use minutebook_fs::Durability;
use minutebook_jsonl::{JsonlConfig, JsonlTimeSeriesRepository};
use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository};

use super::{SECTION, Section, middle, plain_file, series};
use crate::bare;
use crate::config::{Config, disk_bytes, wipe};
use crate::measure::{Plan, Timing, as_f64, measure, measure_with};
use crate::record::{OURS, Record};
use crate::store::{self, Runtime};

pub(super) const HOT: &str = "hot";
pub(super) const COLD: &str = "cold";
/// How many segments the whole is.
const SEGMENTS: usize = 4;

/// Both tiers in a folder.
pub(super) fn tiers(directory: &Path) -> Result<Tiered> {
    let hot = JsonlTimeSeriesRepository::open(directory.join(HOT), JsonlConfig::default())?;
    let cold = ParquetTimeSeriesRepository::open(directory.join(COLD), ParquetConfig::default())?;
    Ok(Tiered::over_files(hot, cold))
}

pub(super) fn run(config: &Config, runtime: &Runtime, lines: &[String]) -> Result<()> {
    let id = series()?;
    let (from, to) = middle(lines)?;
    let range = [from, to].map(|time| time.to_rfc3339_opts(SecondsFormat::Nanos, true));
    let directory = config.fresh("ticks-sealed")?;
    let per = lines.len().div_ceil(SEGMENTS);
    let mut parts = lines.chunks(per);
    let mut bytes = 0;
    let timing = measure_with(
        Plan::of(parts.len()).cold(),
        || {
            let part = parts.next().context("a part for each run")?;
            bytes = part.iter().map(|line| line.len() + 1).sum();
            let repo = store::ticks(&directory, Durability::Synced)?;
            runtime.block_on(repo.append_entries(&id, part))?;
            // What a service knows of its own file when it seals it.
            runtime.block_on(repo.write_index(&id))?;
            Ok(repo)
        },
        |repo| {
            let sealed = runtime.block_on(repo.rotate(&id))?;
            ensure!(sealed.is_some_and(|segment| segment.rows > 0));
            Ok(repo)
        },
    )?;
    moved(Record::new(SECTION, "seal", OURS, per), &timing, bytes)
        .limit(
            &copied(config, bytes)?,
            "one bare write of the lines, synced, without compressing them",
        )
        .write(config)?;
    Record::new(SECTION, "size", "ours (sealed segments)", lines.len())
        .with("bytes", disk_bytes(&directory)?.1)
        .write(config)?;
    let folder = directory.display().to_string();
    let range_of = |folder| [folder, range[0].as_str(), range[1].as_str()];
    print!(
        "{}{}",
        config.child(Section::Ticks, "load_all_sealed", &[&folder])?,
        config.child(Section::Ticks, "load_range_sealed", &range_of(&folder))?
    );
    wipe(&directory)?;
    tiered(config, runtime, lines, &range)
}

/// The older half is moved to Parquet, the younger stays.
fn tiered(config: &Config, runtime: &Runtime, lines: &[String], range: &[String; 2]) -> Result<()> {
    let id = series()?;
    let directory = config.fresh("ticks-tiers")?;
    let (old, young) = lines.split_at(lines.len() - lines.len() / 2);
    let hot = store::ticks(&directory.join(HOT), Durability::Synced)?;
    for part in old.chunks(old.len().div_ceil(SEGMENTS / 2)) {
        runtime.block_on(hot.append_entries(&id, part))?;
        runtime.block_on(hot.rotate(&id))?;
    }
    drop(hot);
    let bytes = old.iter().map(|line| line.len() + 1).sum();
    let timing = measure(Plan::of(1).cold(), || {
        let compacted = runtime.block_on(tiers(&directory)?.compact(&id, false))?;
        ensure!(compacted.moved.len() == SEGMENTS / 2, "{compacted:?}");
        Ok(())
    })?;
    let record = Record::new(SECTION, "compact", OURS, old.len());
    moved(record, &timing, bytes).write(config)?;
    let hot = store::ticks(&directory.join(HOT), Durability::Synced)?;
    runtime.block_on(hot.append_entries(&id, young))?;
    drop(hot);
    ensure!(directory.join(HOT).join(plain_file()).exists());
    let folder = directory.display().to_string();
    for op in ["load_half_hot", "load_half_cold", "load_all_tiered"] {
        print!("{}", config.child(Section::Ticks, op, &[&folder])?);
    }
    let args = [folder.as_str(), &range[0], &range[1]];
    print!(
        "{}",
        config.child(Section::Ticks, "load_range_tiered", &args)?
    );
    wipe(&directory)
}

fn moved(record: Record, timing: &Timing, bytes: usize) -> Record {
    record
        .timed(timing)
        .with("mb_per_s", as_f64(bytes) / timing.median() / 1e6)
}

fn copied(config: &Config, bytes: usize) -> Result<Timing> {
    let scratch = config.fresh("ticks-bare")?;
    let block = bare::fill(bytes);
    let timing = measure(Plan::of(config.runs), || {
        bare::write_file(&scratch.join("t"), &block, true)
    })?;
    wipe(&scratch)?;
    Ok(timing)
}
