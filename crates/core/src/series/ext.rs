//! What follows from the trait: the calls that applications write.

use arrow_array::RecordBatch;
use async_trait::async_trait;
use futures_util::StreamExt;

use super::{
    Bar, BarReport, BarValidator, BatchStream, Calendar, Coverage, CoverageFinder, OnConflict,
    Resampler, Row, ScanQuery, SeriesId, Tick, TimeSeriesRepository, Timeframe, WriteMode,
    WriteReceipt,
};
use crate::error::{Error, ErrorKind, Result};
use crate::time::TimeRange;

/// Shorthands over every [`TimeSeriesRepository`]: typed rows in and out.
///
/// ```
/// use minutebook_core::{Bar, Result, SeriesId, TimeRange, TimeSeriesRepository, TimeSeriesRepositoryExt, Timeframe};
///
/// async fn add_and_count(repo: &dyn TimeSeriesRepository, bars: &[Bar]) -> Result<usize> {
///     let series = SeriesId::bars("BTCUSD".parse()?, Timeframe::HOUR);
///     repo.append_bars(&series, bars).await?;
///     Ok(repo.bars(&series, TimeRange::all()).await?.len())
/// }
/// ```
#[async_trait]
pub trait TimeSeriesRepositoryExt: TimeSeriesRepository {
    /// Writes typed rows.
    async fn write_rows<R: Row + Sync>(
        &self,
        series: &SeriesId,
        rows: &[R],
        mode: WriteMode,
    ) -> Result<WriteReceipt>
    where
        Self: Sized + Sync,
    {
        self.write(series, R::to_batch(rows)?, mode).await
    }

    /// Reads typed rows; a series that is not there has none.
    async fn rows<R: Row>(&self, series: &SeriesId, query: &ScanQuery) -> Result<Vec<R>>
    where
        Self: Sized + Sync,
    {
        rows(self, series, query).await
    }

    /// Appends bars.
    async fn append_bars(&self, series: &SeriesId, bars: &[Bar]) -> Result<WriteReceipt> {
        self.write(series, Bar::to_batch(bars)?, WriteMode::Append)
            .await
    }

    /// Writes bars keyed by their open: a bar that is there already is replaced.
    async fn upsert_bars(&self, series: &SeriesId, bars: &[Bar]) -> Result<WriteReceipt> {
        let on_conflict = OnConflict::Replace;
        let mode = WriteMode::Upsert { on_conflict };
        self.write(series, Bar::to_batch(bars)?, mode).await
    }

    /// The bars that open in the range; a series that is not there has none.
    async fn bars(&self, series: &SeriesId, range: TimeRange) -> Result<Vec<Bar>> {
        rows(self, series, &ScanQuery::new().range(range)).await
    }

    /// The newest bar.
    async fn latest_bar(&self, series: &SeriesId) -> Result<Option<Bar>> {
        Ok(rows(self, series, &ScanQuery::new().last(1)).await?.pop())
    }

    /// Validates the bars that a query gives: their prices, the order of their times and, for a series of bars, its grid. Settings
    /// of the validator are its caller's; the series' timeframe is added if it has one.
    async fn validate_bars(
        &self,
        series: &SeriesId,
        query: &ScanQuery,
        validator: BarValidator,
    ) -> Result<BarReport> {
        let mut validator = match series.timeframe() {
            Some(timeframe) => validator.timeframe(timeframe),
            None => validator,
        };
        let mut query = query.clone();
        if query.columns.is_none()
            && let Some(summary) = self.summary(series).await?
        {
            query = query.columns(super::validate::columns_of(&summary.schema));
        }
        let mut stream = self.scan(series, &query).await?;
        while let Some(batch) = stream.next().await {
            let added = validator.add(&batch?);
            added.map_err(|error| error.with_resource(series))?;
        }
        Ok(validator.finish())
    }

    /// What of a range a series of bars has, and where bars are missing. `complete` are ranges in which nothing is missing even where no bar
    /// is. Bounds that the range leaves open are those of the series.
    async fn coverage(
        &self,
        series: &SeriesId,
        range: TimeRange,
        calendar: &Calendar,
        complete: &[TimeRange],
    ) -> Result<Coverage> {
        let timeframe = timeframe(series)?;
        let missing =
            || Error::new(ErrorKind::NotFound, "there is no such series").with_resource(series);
        let summary = self.summary(series).await?.ok_or_else(missing)?;
        let start = range.start().or(summary.first);
        let end = range.end().or_else(|| timeframe.close_of(summary.last?));
        let (Some(start), Some(end)) = (start, end) else {
            return Ok(Coverage::default());
        };
        let range = TimeRange::new(start, end.max(start))?;
        let finder = CoverageFinder::new(timeframe, calendar.clone(), range)?;
        let mut finder = finder.complete(complete);
        let none: [&str; 0] = [];
        let query = ScanQuery::new().range(range).columns(none);
        let mut stream = self.scan(series, &query).await?;
        while let Some(batch) = stream.next().await {
            finder.add_batch(&batch?)?;
        }
        finder.finish()
    }

    /// The bars of a coarser timeframe that open in the range, made of all the finer bars that belong to them, and so the same
    /// whatever the range. Columns are those that bars usually have.
    async fn resampled(
        &self,
        series: &SeriesId,
        coarser: Timeframe,
        range: TimeRange,
    ) -> Result<RecordBatch> {
        let finer = timeframe(series)?;
        if !finer.divides(coarser) {
            return Err(Error::invalid(format!(
                "bars of {finer} do not add up to bars of {coarser}"
            ))
            .with_resource(series));
        }
        let missing =
            || Error::new(ErrorKind::NotFound, "there is no such series").with_resource(series);
        let summary = self.summary(series).await?.ok_or_else(missing)?;
        let mut resampler = Resampler::new(coarser, &summary.schema)
            .map_err(|error| error.with_resource(series))?;
        // Of whole coarser bars: the first that opens in the range to the last.
        let first = range.start().map(|start| match coarser.open_of(start) {
            Some(open) if open < start => coarser.close_of(open).unwrap_or(start),
            open => open.unwrap_or(start),
        });
        let end = range.end().map(|end| match coarser.open_of(end) {
            Some(open) if open < end => coarser.close_of(open).unwrap_or(end),
            open => open.unwrap_or(end),
        });
        let whole = match (first, end) {
            (Some(first), Some(end)) if end < first => TimeRange::new(first, first)?,
            (first, end) => TimeRange::between(first, end)?,
        };
        let query = ScanQuery::new()
            .range(whole)
            .columns(super::resample::wanted(&resampler));
        let mut stream = self.scan(series, &query).await?;
        while let Some(batch) = stream.next().await {
            let added = resampler.add(&batch?);
            added.map_err(|error| error.with_resource(series))?;
        }
        resampler.finish()
    }

    /// Reads several series as one stream in ascending order of time, with a column `series`
    /// ([`SERIES_COLUMN`](super::SERIES_COLUMN)) after `timestamp` that names each row's, and the columns of all. At equal times the order
    /// given decides; limits hold for all together. Memory holds one batch of each series (and all rows of a limit on the last ones).
    async fn scan_merged(&self, series: &[SeriesId], query: &ScanQuery) -> Result<BatchStream> {
        super::merged::scan_merged(self, series, query).await
    }

    /// Appends ticks.
    async fn append_ticks(&self, series: &SeriesId, ticks: &[Tick]) -> Result<WriteReceipt> {
        self.write(series, Tick::to_batch(ticks)?, WriteMode::Append)
            .await
    }

    /// The ticks in the range; a series that is not there has none.
    async fn ticks(&self, series: &SeriesId, range: TimeRange) -> Result<Vec<Tick>> {
        rows(self, series, &ScanQuery::new().range(range)).await
    }

    /// The last so many ticks.
    async fn last_ticks(&self, series: &SeriesId, count: usize) -> Result<Vec<Tick>> {
        rows(self, series, &ScanQuery::new().last(count)).await
    }
}

impl<T: TimeSeriesRepository + ?Sized> TimeSeriesRepositoryExt for T {}

fn timeframe(series: &SeriesId) -> Result<Timeframe> {
    series.timeframe().ok_or_else(|| {
        Error::invalid("this needs a series of bars, which has a timeframe").with_resource(series)
    })
}

async fn rows<R: Row>(
    repo: &(impl TimeSeriesRepository + ?Sized),
    series: &SeriesId,
    query: &ScanQuery,
) -> Result<Vec<R>> {
    let stream = match repo.scan(series, query).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::NotFound => match repo.summary(series).await? {
            None => return Ok(Vec::new()),
            // The series is there, so what was not found is the version.
            Some(_) => return Err(error),
        },
        Err(error) => return Err(error),
    };
    let (batches, _) = stream.collect().await?;
    let mut all = Vec::with_capacity(batches.iter().map(arrow_array::RecordBatch::num_rows).sum());
    for batch in &batches {
        all.extend(R::from_batch(batch).map_err(|error| error.with_resource(series))?);
    }
    Ok(all)
}
