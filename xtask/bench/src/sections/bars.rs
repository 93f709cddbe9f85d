//! C1. One long series of minute bars: write, read all, a month, a column, the latest row; append and replace a day.
//! Every operation runs in a process of its own, as the peers' do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use arrow_array::RecordBatch;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt as _;
use minutebook_core::series::Row as _;
use minutebook_core::{
    Bar, OnConflict, ScanQuery, SeriesId, TimeRange, TimeSeriesRepository, Timeframe, WriteMode,
};
use minutebook_fs::Durability;

use super::{Section, segments};
use crate::bare;
use crate::config::{Config, disk_bytes, wipe};
use crate::inputs::frame;
use crate::inputs::generate::{YEAR_2014, at, bars};
use crate::measure::{Memory, Plan, Timing, as_f64, measure, measure_with};
use crate::record::{BUFFERED, OURS, Record};
use crate::store::{self, Runtime};

const SECTION: &str = "C1.bars";
const DAY: usize = 1_440;
const MONTH_ROWS: usize = 43_200;

/// Operations in the order of the peers, with whether they are worth timing without syncs too.
const OPS: [(&str, bool); 11] = [
    ("write", true),
    ("read_full", false),
    ("read_stream", false),
    ("read_month", false),
    ("read_col", false),
    ("latest", false),
    ("last_1000", false),
    ("read_month_fresh", false),
    ("latest_fresh", false),
    ("append_day", true),
    ("upsert_day", true),
];

pub(super) fn run(config: &Config) -> Result<()> {
    for (peer, buffered) in [(OURS, false), (BUFFERED, true)] {
        let directory = config.fresh(&format!("bars-{peer}"))?;
        for (op, both) in OPS {
            if both || !buffered {
                print!(
                    "{}",
                    config.child(Section::Bars, op, &[&directory.display().to_string(), peer])?
                );
            }
        }
        wipe(&directory)?;
    }
    segments::run(config, SECTION)
}

/// One operation on the store at a directory.
struct Case<'a> {
    config: &'a Config,
    runtime: Runtime,
    directory: PathBuf,
    peer: &'a str,
    durability: Durability,
    series: SeriesId,
    rows: usize,
    end: DateTime<Utc>,
}

pub(super) fn case(op: &str, args: &[String], config: &Config) -> Result<String> {
    let [directory, peer] = args else {
        bail!("a directory and a name are needed");
    };
    let days = i64::try_from(365 * config.years)?;
    let case = Case {
        config,
        runtime: Runtime::new()?,
        directory: PathBuf::from(directory),
        peer,
        durability: if peer == BUFFERED {
            Durability::Buffered
        } else {
            Durability::Synced
        },
        series: SeriesId::bars("BTC".parse()?, Timeframe::MINUTE),
        rows: 525_600 * config.years,
        end: at(YEAR_2014) + TimeDelta::days(days),
    };
    match op {
        "write" => case.write(),
        "read_stream" => case.stream(op),
        "read_full" => case.read(op, &ScanQuery::new(), case.rows, 6),
        "read_month" | "read_month_fresh" => {
            // The peers' month: it begins after 55 hundredths of the days.
            let start = at(YEAR_2014) + TimeDelta::days(days * 55 / 100);
            let last = start + TimeDelta::days(30) - TimeDelta::minutes(1);
            let query = ScanQuery::new().range(TimeRange::inclusive(start, last)?);
            case.read(op, &query, MONTH_ROWS, 6)
        }
        "read_col" => case.read(op, &ScanQuery::new().columns(["close"]), case.rows, 2),
        "latest" | "latest_fresh" => case.read(op, &ScanQuery::new().last(1), 1, 6),
        "last_1000" => case.read(op, &ScanQuery::new().last(1_000), 1_000, 6),
        "append_day" | "upsert_day" => case.day(op),
        _ => bail!("no case {op} here"),
    }?;
    Ok(String::new())
}

impl Case<'_> {
    fn record(&self, op: &str) -> Record {
        Record::new(SECTION, op, self.peer, self.rows)
            .with("durable", self.durability == Durability::Synced)
            .with("out", "arrow")
    }

    fn open(&self) -> Result<Arc<dyn TimeSeriesRepository>> {
        store::series(&self.directory, self.durability)
    }

    fn write(&self) -> Result<()> {
        let batch = frame(&self.config.bars_file())?;
        ensure!(batch.num_rows() == self.rows);
        let timing = measure_with(
            Plan::of(self.config.runs),
            || {
                wipe(&self.directory)?;
                std::fs::create_dir_all(&self.directory)?;
                self.open()
            },
            |repo| {
                let write = repo.write(&self.series, batch.clone(), WriteMode::Append);
                self.runtime.block_on(write)?;
                Ok(repo)
            },
        )?;
        let (bytes, _) = disk_bytes(&self.directory)?;
        let limit = self.bare_write(bytes)?;
        self.record("write")
            .timed(&timing)
            .limit(&limit, "a bare write of as many bytes, synced if durable")
            .with("bytes", bytes)
            .with(
                "bytes_per_row",
                as_f64(usize::try_from(bytes)?) / as_f64(self.rows),
            )
            .write(self.config)
    }

    fn bare_write(&self, bytes: u64) -> Result<Timing> {
        let block = bare::fill(usize::try_from(bytes)?);
        let path = self.config.dir.join("ours").join("bare-write");
        let timing = measure_with(
            Plan::of(self.config.runs.min(3)),
            || {
                if path.exists() {
                    std::fs::remove_file(&path)?;
                }
                Ok(())
            },
            |()| bare::write_file(&path, &block, self.durability == Durability::Synced),
        )?;
        std::fs::remove_file(&path)?;
        Ok(timing)
    }

    /// Reads, checks the number of rows, and compares with reading a like share of the bytes and filling the result. A fresh
    /// read opens the store each time, and so knows nothing of it.
    fn read(&self, op: &str, query: &ScanQuery, wanted: usize, columns: usize) -> Result<()> {
        let (repo, fresh) = (self.open()?, op.ends_with("_fresh"));
        let scan = || -> Result<Vec<RecordBatch>> {
            let repo = if fresh {
                self.open()?
            } else {
                Arc::clone(&repo)
            };
            let collected = self
                .runtime
                .block_on(async { repo.scan(&self.series, query).await?.collect().await });
            Ok(collected?.0)
        };
        let memory = Memory::start();
        let batches = scan()?;
        let (grown, peak) = memory.peak();
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        ensure!(rows == wanted, "{op} gave {rows} rows instead of {wanted}");
        drop(batches);
        let timing = measure(Plan::of(self.config.runs).cold(), scan)?;
        let stored = usize::try_from(disk_bytes(&self.directory)?.0)?;
        // All columns are taken as equally large: what is stored is shared out by rows and columns.
        let share = stored / 6 * columns / self.rows.max(1) * rows + 1_024;
        let source = self.config.dir.join("ours").join("bare-read");
        bare::write_file(&source, &bare::fill(share), false)?;
        let limit = measure(Plan::of(self.config.runs), || {
            bare::read_through(&source)?;
            Ok(bare::fill(rows * columns * 8))
        })?;
        std::fs::remove_file(&source)?;
        self.record(op)
            .timed(&timing)
            .limit(
                &limit,
                "a bare read of the bytes and filling memory with the result",
            )
            .with("peak_rss_mb", grown / 1_000_000)
            .with("process_rss_mb", peak / 1_000_000)
            .write(self.config)
    }

    /// Reads all, batch by batch, and keeps none: what memory that takes.
    fn stream(&self, op: &str) -> Result<()> {
        let repo = self.open()?;
        let memory = Memory::start();
        let timing = measure(Plan::of(self.config.runs).cold(), || {
            let rows = self.runtime.block_on(async {
                let mut stream = repo.scan(&self.series, &ScanQuery::new()).await?;
                let mut rows = 0;
                while let Some(batch) = stream.try_next().await? {
                    rows += batch.num_rows();
                }
                anyhow::Ok(rows)
            })?;
            ensure!(rows == self.rows, "{op} gave {rows} rows");
            Ok(())
        })?;
        let (grown, peak) = memory.peak();
        self.record(op)
            .timed(&timing)
            .with("peak_rss_mb", grown / 1_000_000)
            .with("process_rss_mb", peak / 1_000_000)
            .write(self.config)
    }

    /// Appends new days, or replaces the last one again and again.
    fn day(&self, op: &str) -> Result<()> {
        let repo = self.open()?;
        let before = self.count(&repo)?;
        let mut next = 0_i64;
        let timing = measure_with(
            Plan::of(self.config.runs),
            || {
                let (start, seed) = match op {
                    "append_day" => (self.end + TimeDelta::days(next), 100),
                    _ => (self.end - TimeDelta::days(1), 999),
                };
                next += 1;
                let seed = seed + u64::try_from(next)?;
                Ok(Bar::to_batch(&bars(
                    DAY,
                    start.timestamp(),
                    Timeframe::MINUTE,
                    seed,
                ))?)
            },
            |day| {
                let mode = match op {
                    "append_day" => WriteMode::Append,
                    _ => WriteMode::Upsert {
                        on_conflict: OnConflict::Replace,
                    },
                };
                Ok(self.runtime.block_on(repo.write(&self.series, day, mode))?)
            },
        )?;
        let added = if op == "append_day" {
            DAY * usize::try_from(next)?
        } else {
            0
        };
        let after = self.count(&repo)?;
        ensure!(
            after == before + added,
            "{op} left {after} rows of {before} + {added}"
        );
        let limit = self.bare_commit()?;
        self.record(op)
            .timed(&timing)
            .limit(
                &limit,
                "two new files and their directory, synced if durable: the day, the version",
            )
            .with("rows_after", after)
            .with("bytes", disk_bytes(&self.directory)?.0)
            .write(self.config)
    }

    fn count(&self, repo: &Arc<dyn TimeSeriesRepository>) -> Result<usize> {
        let summary = self.runtime.block_on(repo.summary(&self.series))?;
        Ok(usize::try_from(
            summary.context("there is no series")?.rows,
        )?)
    }

    fn bare_commit(&self) -> Result<Timing> {
        let scratch = self.config.fresh("bars-bare")?;
        let timing = commit(&scratch, self.config.runs, self.durability, DAY * 14)?;
        wipe(&scratch)?;
        Ok(timing)
    }
}

/// The least that a commit of `bytes` costs: a data file, then a small file that makes it count.
pub(super) fn commit(
    directory: &Path,
    runs: usize,
    durability: Durability,
    bytes: usize,
) -> Result<Timing> {
    let sync = durability == Durability::Synced;
    let (data, version) = (bare::fill(bytes), bare::fill(512));
    let mut i = 0_usize;
    measure(Plan::of(runs).inner(20), || {
        for _ in 0..20 {
            i += 1;
            bare::write_file(&directory.join(format!("data-{i}")), &data, sync)?;
            bare::write_file(&directory.join(format!("version-{i}")), &version, sync)?;
            if sync {
                bare::sync_dir(directory)?;
            }
        }
        Ok(())
    })
}
