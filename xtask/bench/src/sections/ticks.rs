//! B. Ticks as JSON Lines: append one by one, by many tasks and as a batch; load all and a hundredth.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use chrono::{DateTime, Utc};
use minutebook_core::series::batch::{timestamp_array, timestamp_field};
use minutebook_core::time::parse_timestamp;
use minutebook_core::{
    ScanQuery, SeriesId, TimeRange, TimeSeriesRepository, WriteMode, WriteReceipt,
};
use minutebook_fs::Durability;
use minutebook_jsonl::{AppenderOptions, JsonlTimeSeriesRepository};
use serde::{Deserialize, Serialize};

use super::Section;
use crate::bare;
use crate::config::{Config, disk_bytes, wipe};
use crate::inputs::lines;
use crate::measure::{Memory, Plan, Timing, as_f64, measure, measure_with};
use crate::record::{BUFFERED, OURS, Record};
use crate::store::{self, Runtime};

const SECTION: &str = "B.ticks";
const SYMBOL: &str = "BTCUSD";
/// How many tasks append at the same time.
const APPENDERS: usize = 64;

#[derive(Deserialize, Serialize)]
struct Tick {
    symbol: String,
    timestamp: String,
    price: f64,
    size: f64,
}

pub(super) fn run(config: &Config) -> Result<()> {
    let runtime = Runtime::new()?;
    let lines = lines(&config.ticks_file(), config.ticks_total())?;
    let rows = &lines[..config.ticks_append];
    for (peer, durability) in [(OURS, Durability::Synced), (BUFFERED, Durability::Buffered)] {
        let bench = Appends {
            config,
            runtime: &runtime,
            directory: config.fresh("ticks")?,
            peer,
            durability,
        };
        bench.one_by_one(rows)?;
        if durability == Durability::Synced {
            bench.concurrent(rows)?;
        }
        bench.batch(rows)?;
        wipe(&bench.directory)?;
    }
    loads(config, &lines[..config.ticks_load])
}

fn series() -> Result<SeriesId> {
    Ok(SeriesId::ticks(SYMBOL.parse()?))
}

/// Ticks as a feed hands them over, to be encoded by whoever stores them.
fn entries(lines: &[String]) -> Result<Vec<Tick>> {
    let ticks = lines.iter().map(|line| serde_json::from_str(line));
    Ok(ticks.collect::<Result<_, _>>()?)
}

/// Ticks as columns: what research code has at hand.
fn columns(ticks: &[Tick]) -> Result<RecordBatch> {
    let times = ticks
        .iter()
        .map(|tick| parse_timestamp(&tick.timestamp))
        .collect::<Result<Vec<_>, _>>()?;
    let number = |get: fn(&Tick) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(ticks.iter().map(get)))
    };
    let schema = Schema::new(vec![
        timestamp_field(),
        Field::new("symbol", DataType::Utf8, false),
        Field::new("price", DataType::Float64, false),
        Field::new("size", DataType::Float64, false),
    ]);
    let symbols = StringArray::from_iter_values(ticks.iter().map(|tick| tick.symbol.as_str()));
    let columns = vec![
        timestamp_array(times)?,
        Arc::new(symbols),
        number(|tick| tick.price),
        number(|tick| tick.size),
    ];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

struct Appends<'a> {
    config: &'a Config,
    runtime: &'a Runtime,
    directory: PathBuf,
    peer: &'a str,
    durability: Durability,
}

impl Appends<'_> {
    fn synced(&self) -> bool {
        self.durability == Durability::Synced
    }

    fn open(&self) -> Result<Arc<JsonlTimeSeriesRepository>> {
        wipe(&self.directory)?;
        std::fs::create_dir_all(&self.directory)?;
        store::ticks(&self.directory, self.durability)
    }

    fn report(&self, op: &str, n: usize, timing: &Timing, limit: &Timing, what: &str) -> Record {
        Record::new(SECTION, op, self.peer, n)
            .with("durable", self.synced())
            .timed(timing)
            .limit(limit, what)
    }

    /// One entry a call.
    fn one_by_one(&self, lines: &[String]) -> Result<()> {
        // As many as the peers: with a sync each, a fiftieth says the same.
        let count = if self.synced() {
            (lines.len() / 50).max(1)
        } else {
            lines.len()
        };
        let all = entries(&lines[..count])?;
        let id = series()?;
        let timing = measure_with(
            Plan::of(self.config.runs).cold().inner(count),
            || self.open(),
            |repo| {
                self.runtime.block_on(async {
                    for tick in &all {
                        repo.append_values(&id, std::slice::from_ref(tick)).await?;
                    }
                    anyhow::Ok(repo)
                })
            },
        )?;
        let what = if self.synced() {
            "one write to an open file and fdatasync"
        } else {
            "one write to an open file"
        };
        let limit = self.bare_one(&lines[..count])?;
        self.report("append_one", count, &timing, &limit, what)
            .write(self.config)?;
        if self.synced() {
            return Ok(());
        }
        // As a live feed does: the call is a push, and what was pushed is in the file at the end.
        let timing = measure_with(
            Plan::of(self.config.runs).cold().inner(count),
            || self.open(),
            |repo| {
                let feed = repo.appender(AppenderOptions::new())?;
                for tick in &all {
                    feed.push_value_blocking(&id, tick)?;
                }
                feed.flush_blocking()?;
                anyhow::Ok((repo, feed))
            },
        )?;
        self.report("append_one_appender", count, &timing, &limit, what)
            .write(self.config)
    }

    fn bare_one(&self, lines: &[String]) -> Result<Timing> {
        let scratch = self.config.fresh("ticks-bare")?;
        let path = scratch.join("t.jsonl");
        let timing = measure_with(
            Plan::of(self.config.runs).cold().inner(lines.len()),
            || {
                bare::write_file(&path, b"", false)?;
                bare::appendable(&path)
            },
            |mut file| {
                for line in lines {
                    file.write_all(line.as_bytes())?;
                    if self.synced() {
                        file.sync_data()?;
                    }
                }
                Ok(())
            },
        )?;
        wipe(&scratch)?;
        Ok(timing)
    }

    fn concurrent(&self, lines: &[String]) -> Result<()> {
        let count = (lines.len() / APPENDERS / 10).max(4);
        let all = Arc::new(entries(&lines[..(count * APPENDERS).min(lines.len())])?);
        let count = all.len() / APPENDERS;
        let timing = measure_with(
            Plan::of(self.config.runs).cold().inner(count * APPENDERS),
            || self.open(),
            |repo| {
                let tasks: Vec<_> = (0..APPENDERS)
                    .map(|task| {
                        let (repo, all) = (Arc::clone(&repo), Arc::clone(&all));
                        self.runtime.spawn(async move {
                            let id = series()?;
                            for tick in &all[task * count..(task + 1) * count] {
                                repo.append_values(&id, std::slice::from_ref(tick)).await?;
                            }
                            anyhow::Ok(())
                        })
                    })
                    .collect();
                self.runtime.block_on(async {
                    for task in tasks {
                        task.await??;
                    }
                    Ok(())
                })
            },
        )?;
        let limit = self.bare_one(&lines[..lines.len().min(2_000)])?;
        let what = "one write to an open file and fdatasync";
        let n = count * APPENDERS;
        self.report("append_one_of_64_tasks", n, &timing, &limit, what)
            .write(self.config)?;
        // Each waits until its own entry is on the device, as above.
        let timing = measure_with(
            Plan::of(self.config.runs).cold().inner(n),
            || {
                let repo = self.open()?;
                Ok(Arc::new(repo.appender(AppenderOptions::new())?))
            },
            |feed| {
                let tasks: Vec<_> = (0..APPENDERS)
                    .map(|task| {
                        let (feed, all) = (Arc::clone(&feed), Arc::clone(&all));
                        self.runtime.spawn(async move {
                            let id = series()?;
                            for tick in &all[task * count..(task + 1) * count] {
                                let entry = serde_json::to_string(tick)?;
                                feed.append(&id, &entry, Durability::Synced).await?;
                            }
                            anyhow::Ok(())
                        })
                    })
                    .collect();
                self.runtime.block_on(async {
                    for task in tasks {
                        task.await??;
                    }
                    anyhow::Ok(())
                })?;
                Ok(feed)
            },
        )?;
        self.report("append_one_of_64_tasks_appender", n, &timing, &limit, what)
            .write(self.config)
    }

    /// All rows in one call, encoding included: as entries, and as an Arrow batch.
    fn batch(&self, lines: &[String]) -> Result<()> {
        let ticks = entries(lines)?;
        let columns = columns(&ticks)?;
        let id = series()?;
        self.whole("append_batch", lines.len(), |repo| {
            Ok(self.runtime.block_on(repo.append_values(&id, &ticks))?)
        })?;
        self.whole("append_batch_arrow", lines.len(), |repo| {
            let write = repo.write(&id, columns.clone(), WriteMode::Append);
            Ok(self.runtime.block_on(write)?)
        })
    }

    fn whole(
        &self,
        op: &str,
        n: usize,
        append: impl Fn(&JsonlTimeSeriesRepository) -> Result<WriteReceipt>,
    ) -> Result<()> {
        let timing = measure_with(
            Plan::of(self.config.runs),
            || self.open(),
            |repo| {
                let receipt = append(&repo)?;
                ensure!(receipt.inserted == n as u64);
                Ok(repo)
            },
        )?;
        let (bytes, _) = disk_bytes(&self.directory)?;
        let scratch = self.config.fresh("ticks-bare")?;
        let block = bare::fill(usize::try_from(bytes)?);
        let path = scratch.join("t.jsonl");
        let limit = measure_with(
            Plan::of(self.config.runs),
            || wipe(&scratch).and_then(|()| Ok(std::fs::create_dir_all(&scratch)?)),
            |()| bare::write_file(&path, &block, self.synced()),
        )?;
        wipe(&scratch)?;
        self.report(
            op,
            n,
            &timing,
            &limit,
            "one bare write of as many bytes, synced if durable",
        )
        .with("bytes", bytes)
        .with(
            "mb_per_s",
            as_f64(usize::try_from(bytes)?) / timing.median() / 1e6,
        )
        .write(self.config)
    }
}

/// Loads from the file that the original program would have written, each load in a process of its own.
fn loads(config: &Config, lines: &[String]) -> Result<()> {
    let directory = config.fresh("ticks-load")?;
    let file = directory.join(format!("{}_timeseries.jsonl", SYMBOL.to_lowercase()));
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
    Record::new(SECTION, "size", "ours (index included)", lines.len())
        .with("bytes", disk_bytes(&directory)?.1)
        .write(config)?;
    wipe(&directory)
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

pub(super) fn case(op: &str, args: &[String], config: &Config) -> Result<String> {
    let (directory, range) = match args {
        [directory] => (directory, TimeRange::all()),
        [directory, from, to] => (
            directory,
            TimeRange::inclusive(parse_timestamp(from)?, parse_timestamp(to)?)?,
        ),
        _ => bail!("a folder, and a range if not everything, are needed"),
    };
    let wanted = match op {
        "load_all" => config.ticks_load,
        "load_range" | "load_range_kept_open" | "load_range_indexed" => {
            (config.ticks_load / 100).max(1)
        }
        _ => bail!("no case {op} here"),
    };
    let (runtime, id) = (Runtime::new()?, series()?);
    let query = ScanQuery::new().range(range);
    let open = || store::ticks(Path::new(directory), Durability::Synced);
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
    let file = Path::new(directory).join(format!("{}_timeseries.jsonl", SYMBOL.to_lowercase()));
    let bytes = usize::try_from(std::fs::metadata(&file)?.len())? / config.ticks_load * wanted;
    let part = Path::new(directory).with_extension("part");
    bare::write_file(&part, &bare::fill(bytes), false)?;
    let limit = measure(Plan::of(config.runs), || bare::read_through(&part))?;
    std::fs::remove_file(&part).context("the scratch file")?;
    Record::new(SECTION, op, OURS, config.ticks_load)
        .timed(&timing)
        .limit(&limit, "a bare read of the bytes, without parsing")
        .with("out", "arrow")
        .with("peak_rss_mb", grown / 1_000_000)
        .write(config)?;
    Ok(String::new())
}
