//! The trait of a store of time series.

use std::fmt::Debug;
use std::sync::Arc;

use arrow_array::RecordBatch;
use async_trait::async_trait;

use super::{
    BatchStream, ScanQuery, SeriesFilter, SeriesId, SeriesKey, SeriesSummary, WriteMode,
    WriteReceipt,
};
use crate::capability::Capabilities;
use crate::error::{Error, Result};
use crate::id::Version;
use crate::time::TimeRange;

/// A store of time series, rows as Arrow batches.
///
/// A batch has a column `timestamp` of type `Timestamp(Nanosecond, "UTC")` without nulls
/// ([`batch::conform`](super::batch::conform) makes one); the others are as the series likes. The store puts `timestamp` first.
///
/// All methods take `&self` and may be called from many tasks at once. A future that is dropped before it is
/// ready leaves the outcome of its write open. What the backend cannot do is in [`capabilities`](Self::capabilities).
///
/// Each item under "Behavior" is a case of the conformance suite `minutebook-testkit`.
#[async_trait]
pub trait TimeSeriesRepository: Debug + Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Writes a batch, all of it or nothing.
    ///
    /// # Behavior
    /// - The first write makes the series.
    /// - `Append` adds every row, equal timestamps and equal rows too, in any order of time.
    /// - `Upsert` with `Replace` leaves the new row alone at its timestamp; with `Keep` the old ones; with `Fail` it is `AlreadyExists` and nothing changes.
    /// - `Upsert` of a batch that has a timestamp twice is `InvalidInput` and nothing changes.
    /// - `ReplaceRange` drops the stored rows in `[start, end)`, no other, and puts the batch in their place; an empty batch clears the range.
    /// - `ReplaceRange` with a row outside the range is `InvalidInput` and nothing changes.
    /// - The receipt counts rows inserted, replaced and skipped; the version grows if and only if something changed.
    /// - A batch without a `timestamp` column of the right type, or with a null in it, is `SchemaMismatch` and nothing changes.
    /// - A column with another type than the series has is `SchemaMismatch`, names the column, and nothing changes.
    /// - With `ExactTypes`, a column whose type and the series' have one that holds every value of both exactly (`batch::common_type`) gets that type, and rows from before read as it.
    /// - A new column is accepted; rows from before read as null. A column that a batch leaves out is null in its rows.
    /// - Of concurrent writers none loses a row.
    /// - A mode that the backend cannot do is `Unsupported` and nothing changes.
    async fn write(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt>;

    /// Reads rows as a stream of batches, in bounded memory.
    ///
    /// # Behavior
    /// - A series that is not there is an error of kind `NotFound`.
    /// - Rows come in ascending time, equal timestamps in the order written; without the capability `TimeOrdered`, all in the order written.
    /// - Values come back exactly, nanoseconds and nulls included.
    /// - The range is half-open: its start belongs to it, its end does not.
    /// - `columns` gives `timestamp` and then these, in the order asked for; an unknown one is `InvalidInput`.
    /// - `First(n)` and `Last(n)` cut after range and order; the rows of `Last` still ascend.
    /// - `NewestFirst` turns the order of the answer and nothing else; a backend that cannot do it answers `Unsupported`.
    /// - No batch is empty or longer than `batch_size`; a scan without rows gives no batch and still has a schema.
    /// - A running scan keeps to the state it began with, whatever is written meanwhile.
    /// - `as_of` an earlier version or time reads the series as it was then; a version that is not kept is `NotFound`.
    async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream>;

    /// What is known of a series, without reading its data where the format allows.
    ///
    /// # Behavior
    /// - A series that is not there is `Ok(None)`.
    /// - Rows, first and last timestamp agree with a full scan.
    async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>>;

    /// The series that match, in ascending order of their ids.
    ///
    /// # Behavior
    /// - Every condition of the filter is applied.
    /// - Ids that differ in more than ASCII case are different series and never share data.
    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>>;

    /// Deletes the rows in a range, or the whole series, and says how many rows.
    ///
    /// # Behavior
    /// - Without a range the series is gone: not listed, no summary; deleting again gives 0.
    /// - With a range exactly the rows in `[start, end)` are gone, and the series stays.
    /// - A range that the backend cannot delete is `Unsupported` and nothing changes.
    async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64>;

    /// Declares what tells the rows of a series apart, for this and all later writes; `None` takes the declaration back.
    ///
    /// The default is for backends without the capability [`Key`](crate::Capability::Key).
    ///
    /// # Behavior
    /// - An upsert goes by the declared key: rows that differ in a column of it are different rows, those that agree in all are the same.
    /// - On a series with a key no write makes a key twice: `Append` of one that is there is `AlreadyExists`, a batch with one twice is `InvalidInput`, and nothing changes.
    /// - A row with a null in a column of the key, or a batch without the column, is `InvalidInput`, names the column, and nothing changes.
    /// - A column that cannot be part of a key (floating point, nested) is `SchemaMismatch` and nothing changes.
    /// - Rows that have a key twice already, or a null in it, refuse the declaration (`AlreadyExists`, `InvalidInput`), and nothing changes.
    /// - A declaration makes the series if there is none, is in the summary, stays until it is replaced or the series deleted, and changes the version if and only if it says something new.
    /// - Without the capability `Key` it is `Unsupported` and nothing changes.
    async fn declare_key(&self, series: &SeriesId, key: Option<&SeriesKey>) -> Result<Version> {
        let _ = key;
        Err(Error::unsupported(
            "this store has no keys of several columns; upserts go by timestamp",
        )
        .with_operation("declare_key")
        .with_resource(series))
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        #[async_trait]
        impl<T: TimeSeriesRepository + ?Sized> TimeSeriesRepository for $pointer<T> {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            async fn write(
                &self,
                series: &SeriesId,
                batch: RecordBatch,
                mode: WriteMode,
            ) -> Result<WriteReceipt> {
                (**self).write(series, batch, mode).await
            }

            async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
                (**self).scan(series, query).await
            }

            async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
                (**self).summary(series).await
            }

            async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
                (**self).list(filter).await
            }

            async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
                (**self).delete(series, range).await
            }

            async fn declare_key(
                &self,
                series: &SeriesId,
                key: Option<&SeriesKey>,
            ) -> Result<Version> {
                (**self).declare_key(series, key).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
