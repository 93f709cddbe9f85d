//! C1. What a series costs as its segments become many: an append, the latest row and opening, at 10 to 10,000 segments.

use std::sync::Arc;

use anyhow::{Result, ensure};
use arrow_array::RecordBatch;
use chrono::TimeDelta;
use minutebook_core::series::Row as _;
use minutebook_core::{Bar, ScanQuery, SeriesId, TimeSeriesRepository, Timeframe, WriteMode};
use minutebook_fs::{Durability, Fs as _, OsFs};
use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository};

use crate::config::{Config, wipe};
use crate::inputs::generate::{YEAR_2014, at, bars};
use crate::measure::{Plan, Timing, measure, measure_with};
use crate::record::{OURS, Record};
use crate::store::Runtime;

/// A segment takes so many rows, so each append of as many is a segment of its own.
const ROWS: usize = 1_024;
/// Operations in a run.
const INNER: usize = 10;

struct Many<'a> {
    config: &'a Config,
    runtime: Runtime,
    directory: std::path::PathBuf,
    series: SeriesId,
    /// Minutes written so far.
    minutes: i64,
}

pub(super) fn run(config: &Config, section: &'static str) -> Result<()> {
    let mut many = Many {
        config,
        runtime: Runtime::new()?,
        directory: config.fresh("segments")?,
        series: SeriesId::bars("BTC".parse()?, Timeframe::MINUTE),
        minutes: 0,
    };
    let most = if config.years >= 10 { 10_000 } else { 100 };
    let mut segments = 0;
    for count in [10, 100, 1_000, 10_000] {
        if count > most {
            break;
        }
        many.grow(count - segments)?;
        segments = count;
        many.report(section, "append_row_at_segments", count, &many.append()?)?;
        // The row that was appended is in a segment of its own.
        segments += 1;
        many.minutes += i64::try_from(2 * INNER * (config.runs + 1))?;
        many.report(section, "latest_at_segments", count, &many.latest(false)?)?;
        many.report(
            section,
            "latest_fresh_at_segments",
            count,
            &many.latest(true)?,
        )?;
        many.report(section, "open_at_segments", count, &many.opened()?)?;
    }
    wipe(&many.directory)
}

impl Many<'_> {
    fn open(&self, durability: Durability) -> Result<Arc<ParquetTimeSeriesRepository>> {
        let config = ParquetConfig::default()
            .durability(durability)
            .target_segment_rows(ROWS);
        Ok(Arc::new(ParquetTimeSeriesRepository::open(
            &self.directory,
            config,
        )?))
    }

    fn bars(&self, count: usize, after: usize) -> Result<RecordBatch> {
        let minute = self.minutes + i64::try_from(after)?;
        let start = at(YEAR_2014) + TimeDelta::minutes(minute);
        let bars = bars(count, start.timestamp(), Timeframe::MINUTE, 7);
        Ok(Bar::to_batch(&bars)?)
    }

    /// Appends segments, one at a time.
    fn grow(&mut self, count: usize) -> Result<()> {
        let repo = self.open(Durability::Buffered)?;
        for _ in 0..count {
            let batch = self.bars(ROWS, 0)?;
            let write = repo.write(&self.series, batch, WriteMode::Append);
            self.runtime.block_on(write)?;
            self.minutes += i64::try_from(ROWS)?;
        }
        // What was written for this is not to be synced by what is timed next.
        OsFs.sync_file_system(&self.directory)?;
        Ok(())
    }

    /// A row, synced.
    fn append(&self) -> Result<Timing> {
        let repo = self.open(Durability::Synced)?;
        let mut next = 0;
        measure_with(
            Plan::of(self.config.runs).inner(INNER),
            || {
                next += INNER;
                (next..next + INNER)
                    .map(|after| self.bars(1, after))
                    .collect::<Result<Vec<_>>>()
            },
            |rows| {
                for row in rows {
                    let write = repo.write(&self.series, row, WriteMode::Append);
                    self.runtime.block_on(write)?;
                }
                Ok(())
            },
        )
    }

    fn latest(&self, fresh: bool) -> Result<Timing> {
        let repo = self.open(Durability::Synced)?;
        let query = ScanQuery::new().last(1);
        measure(Plan::of(self.config.runs).inner(INNER), || {
            for _ in 0..INNER {
                let repo = if fresh {
                    self.open(Durability::Synced)?
                } else {
                    Arc::clone(&repo)
                };
                let read = async { repo.scan(&self.series, &query).await?.collect().await };
                let (batches, _) = self.runtime.block_on(read)?;
                let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
                ensure!(rows == 1, "{rows} latest rows");
            }
            Ok(())
        })
    }

    /// Opens the store and asks for the summary of the series.
    fn opened(&self) -> Result<Timing> {
        measure(Plan::of(self.config.runs).inner(INNER), || {
            for _ in 0..INNER {
                let repo = self.open(Durability::Synced)?;
                let summary = self.runtime.block_on(repo.summary(&self.series))?;
                ensure!(summary.is_some(), "there is no series");
            }
            Ok(())
        })
    }

    fn report(
        &self,
        section: &'static str,
        op: &str,
        segments: usize,
        timing: &Timing,
    ) -> Result<()> {
        Record::new(section, op, OURS, segments)
            .with("durable", true)
            .with("out", "arrow")
            .timed(timing)
            .write(self.config)
    }
}
