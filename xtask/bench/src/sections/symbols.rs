//! C2. Many short series: 100 symbols with a year of hourly and of daily bars. One task for each series.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, RecordBatch};
use chrono::TimeDelta;
use minutebook_core::series::Row as _;
use minutebook_core::{
    Bar, ScanQuery, SeriesId, TimeRange, TimeSeriesRepository, Timeframe, WriteMode,
};
use minutebook_fs::Durability;

use super::bars::commit;
use crate::bare;
use crate::config::{Config, disk_bytes, wipe};
use crate::inputs::frame;
use crate::inputs::generate::{YEAR_2023, at, bars, symbol};
use crate::measure::{Plan, Timing, as_f64, measure, measure_with};
use crate::record::{BUFFERED, OURS, Record};
use crate::store::{self, Runtime};

const SECTION: &str = "C2.symbols";

type Store = Arc<dyn TimeSeriesRepository>;

struct Bench<'a> {
    config: &'a Config,
    runtime: Runtime,
    directory: PathBuf,
    peer: &'a str,
    durability: Durability,
}

pub(super) fn run(config: &Config) -> Result<()> {
    let data = series(config)?;
    for (peer, durability) in [(OURS, Durability::Synced), (BUFFERED, Durability::Buffered)] {
        let bench = Bench {
            config,
            runtime: Runtime::new()?,
            directory: config.fresh("symbols")?,
            peer,
            durability,
        };
        let repo = bench.write_all(&data)?;
        if durability == Durability::Synced {
            bench.reads(&repo, &data)?;
        }
        bench.append_one_each(&repo)?;
        drop(repo);
        wipe(&bench.directory)?;
    }
    Ok(())
}

/// The input, taken apart by symbol and timeframe.
fn series(config: &Config) -> Result<Vec<(SeriesId, RecordBatch)>> {
    let all = frame(&config.symbols_file())?;
    let text = |name: &str| -> Result<_> {
        let column = all.column_by_name(name).context("a column of the input")?;
        let column = arrow_cast::cast(column, &arrow_schema::DataType::Utf8)?;
        Ok(column.as_string::<i32>().clone())
    };
    let (symbols, timeframes) = (text("symbol")?, text("tf")?);
    let values: Vec<_> = (0..all.num_columns())
        .filter(|i| !["symbol", "tf"].contains(&all.schema().field(*i).name().as_str()))
        .collect();
    let values = all.project(&values)?;
    let mut found = Vec::new();
    let mut start = 0;
    for i in 1..=all.num_rows() {
        let same = |i: usize| (symbols.value(i), timeframes.value(i));
        if i == all.num_rows() || same(i) != same(start) {
            let (symbol, timeframe) = same(start);
            let id = SeriesId::bars(symbol.parse()?, timeframe.parse()?);
            found.push((id, values.slice(start, i - start)));
            start = i;
        }
    }
    ensure!(found.len() == 2 * config.symbols && symbols.null_count() == 0);
    Ok(found)
}

impl Bench<'_> {
    fn report(&self, op: &str, timing: &Timing, limit: &Timing, what: &str) -> Record {
        Record::new(SECTION, op, self.peer, self.config.symbols)
            .with("durable", self.durability == Durability::Synced)
            .with("out", "arrow")
            .timed(timing)
            .limit(limit, what)
    }

    fn hourly(&self) -> Result<Vec<SeriesId>> {
        (0..self.config.symbols)
            .map(|i| Ok(SeriesId::bars(symbol(i).parse()?, Timeframe::HOUR)))
            .collect()
    }

    /// Writes these batches, a task each.
    fn write(&self, repo: &Store, data: Vec<(SeriesId, RecordBatch)>) -> Result<()> {
        let tasks: Vec<_> = data
            .into_iter()
            .map(|(id, batch)| {
                let repo = Arc::clone(repo);
                self.runtime
                    .spawn(async move { repo.write(&id, batch, WriteMode::Append).await })
            })
            .collect();
        self.runtime.block_on(async {
            for task in tasks {
                task.await??;
            }
            Ok(())
        })
    }

    /// Reads these series, a task each, and checks the number of rows.
    fn read(
        &self,
        repo: &Store,
        ids: &[SeriesId],
        query: &ScanQuery,
        rows: usize,
    ) -> Result<Vec<Vec<RecordBatch>>> {
        let tasks: Vec<_> = ids
            .iter()
            .map(|id| {
                let (repo, id, query) = (Arc::clone(repo), id.clone(), query.clone());
                self.runtime
                    .spawn(async move { repo.scan(&id, &query).await?.collect().await })
            })
            .collect();
        self.runtime.block_on(async {
            let mut all = Vec::with_capacity(tasks.len());
            for task in tasks {
                all.push(task.await??.0);
            }
            let found: usize = all.iter().flatten().map(RecordBatch::num_rows).sum();
            ensure!(found == rows, "{found} rows instead of {rows}");
            Ok(all)
        })
    }

    fn write_all(&self, data: &[(SeriesId, RecordBatch)]) -> Result<Store> {
        let timing = measure_with(
            Plan::of(self.config.runs),
            || {
                wipe(&self.directory)?;
                std::fs::create_dir_all(&self.directory)?;
                store::series(&self.directory, self.durability)
            },
            |repo| {
                let repo: Store = repo;
                self.write(&repo, data.to_vec())?;
                Ok(repo)
            },
        )?;
        let (bytes, _) = disk_bytes(&self.directory)?;
        let each = usize::try_from(bytes)? / data.len();
        let limit = self.bare(each, data.len())?;
        self.report(
            "write_all",
            &timing,
            &limit,
            "two bare files a series and their directory, synced if durable",
        )
        .with("bytes", bytes)
        .write(self.config)?;
        store::series(&self.directory, self.durability)
    }

    /// What `count` bare commits of so many bytes take together.
    fn bare(&self, bytes: usize, count: usize) -> Result<Timing> {
        let scratch = self.config.fresh("symbols-bare")?;
        let mut timing = commit(&scratch, self.config.runs, self.durability, bytes)?;
        for seconds in &mut timing.seconds {
            *seconds *= as_f64(count);
        }
        wipe(&scratch)?;
        Ok(timing)
    }

    fn reads(&self, repo: &Store, data: &[(SeriesId, RecordBatch)]) -> Result<()> {
        let plan = Plan::of(self.config.runs);
        let stored = usize::try_from(disk_bytes(&self.directory)?.0)?;
        let total: usize = data.iter().map(|(_, batch)| batch.num_rows()).sum();
        // A bare read of a like share of the bytes, and filling memory with the rows.
        let limit = |rows: usize, files: usize| -> Result<Timing> {
            let source = self.config.dir.join("ours").join("bare-read");
            let share = (stored * rows / total / files).max(512);
            bare::write_file(&source, &bare::fill(share), false)?;
            let mut buffer = Vec::new();
            let timing = measure(plan, || {
                for _ in 0..files {
                    bare::read_file(&source, &mut buffer)?;
                }
                Ok(bare::fill(rows * 48))
            })?;
            std::fs::remove_file(&source)?;
            Ok(timing)
        };
        let what = "bare reads of the bytes and filling memory with the result";

        let ids: Vec<_> = data.iter().map(|(id, _)| id.clone()).collect();
        let timing = measure(plan, || self.read(repo, &ids, &ScanQuery::new(), total))?;
        self.report("read_all", &timing, &limit(total, ids.len())?, what)
            .write(self.config)?;

        let hourly = self.hourly()?;
        let start = at(YEAR_2023) + TimeDelta::days(151);
        let month = TimeRange::new(start, start + TimeDelta::days(30))?;
        let query = ScanQuery::new().range(month);
        let one = &hourly[7.min(hourly.len() - 1)..][..1];
        let timing = measure(plan, || self.read(repo, one, &query, 720))?;
        self.report("read_one_month", &timing, &limit(720, 1)?, what)
            .write(self.config)?;

        let last = ScanQuery::new().last(1);
        let timing = measure(plan, || self.read(repo, &hourly, &last, hourly.len()))?;
        self.report(
            "latest_all",
            &timing,
            &limit(hourly.len(), hourly.len())?,
            what,
        )
        .write(self.config)
    }

    fn append_one_each(&self, repo: &Store) -> Result<()> {
        let hourly = self.hourly()?;
        let mut next = 0_i64;
        let timing = measure_with(
            Plan::of(self.config.runs),
            || {
                let time = at(YEAR_2023) + TimeDelta::days(365) + TimeDelta::hours(next);
                next += 1;
                hourly
                    .iter()
                    .zip(5_000..)
                    .map(|(id, seed)| {
                        let bar = bars(1, time.timestamp(), Timeframe::HOUR, seed);
                        Ok((id.clone(), Bar::to_batch(&bar)?))
                    })
                    .collect::<Result<Vec<_>>>()
            },
            |data| self.write(repo, data),
        )?;
        let rows = usize::try_from(next)? + 8_760;
        self.read(repo, &hourly, &ScanQuery::new(), rows * hourly.len())?;
        let limit = self.bare(1_024, hourly.len())?;
        self.report(
            "append_one_each",
            &timing,
            &limit,
            "two bare files a series and their directory, synced if durable",
        )
        .with("per_symbol_us", timing.min() / as_f64(hourly.len()) * 1e6)
        .write(self.config)
    }
}
