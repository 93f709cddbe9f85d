//! What follows from the trait: the calls that applications write.

use async_trait::async_trait;

use super::{
    Bar, OnConflict, Row, ScanQuery, SeriesId, Tick, TimeSeriesRepository, WriteMode, WriteReceipt,
};
use crate::error::{ErrorKind, Result};
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
