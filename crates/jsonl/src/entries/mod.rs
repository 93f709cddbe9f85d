//! Entries as JSON text: appended as they are given, and read back as they stand.

mod append;
mod check;
mod files;
mod follow;
mod group;
mod judge;
mod pace;
mod query;
mod read;
mod stream;

pub(crate) use append::append_lines;
pub(crate) use check::{Lines, line_of_value, lines};
pub use files::LineFile;
pub(crate) use follow::Handles;
pub use follow::{Follow, FollowFrom, FollowQuery, Position};
pub(crate) use group::Group;
pub use query::EntryQuery;
pub use stream::{Entry, EntryStream};

use minutebook_core::{Result, SeriesId, WriteReceipt};
use serde::Serialize;

use crate::config::TimeField;
use crate::time_series::JsonlTimeSeriesRepository;

impl JsonlTimeSeriesRepository {
    /// Appends JSON objects, all of them or none, in one write and with one sync. The time is where [`JsonlConfig::time`](crate::JsonlConfig::time) says.
    ///
    /// Each entry is stored on one line as it is given; only line breaks between its values become blanks. Entries may come in any order of
    /// time, and equal ones stay two.
    ///
    /// ```
    /// use minutebook_jsonl::{EntryQuery, JsonlConfig, JsonlTimeSeriesRepository};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let repo = JsonlTimeSeriesRepository::open(dir.path(), JsonlConfig::default())?;
    /// let btc = "BTCUSD@ticks".parse()?;
    /// repo.append_entries(&btc, &[r#"{"timestamp": "2025-01-01T00:00:00", "price": 42496.10}"#]).await?;
    ///
    /// let (entries, report) = repo.entries(&btc, &EntryQuery::new()).await?.collect().await?;
    /// assert_eq!(entries[0].text(), r#"{"timestamp": "2025-01-01T00:00:00", "price": 42496.10}"#);
    /// assert!(report.is_clean());
    /// # Ok::<(), minutebook_core::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput), naming the entry, for what is no JSON object, has a key twice, no readable time, or is too long:
    /// then nothing was written. [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the write or the sync fails.
    pub async fn append_entries<T: AsRef<str> + Sync>(
        &self,
        series: &SeriesId,
        entries: &[T],
    ) -> Result<WriteReceipt> {
        self.append_entries_at(series, entries, &self.store.config.time)
            .await
    }

    /// As [`append_entries`](Self::append_entries), with the time where `time` says. If it is not the top-level field `timestamp`, the line is stored
    /// with one put in front, and everything else as given.
    ///
    /// # Errors
    /// As [`append_entries`](Self::append_entries).
    pub async fn append_entries_at<T: AsRef<str> + Sync>(
        &self,
        series: &SeriesId,
        entries: &[T],
        time: &TimeField,
    ) -> Result<WriteReceipt> {
        let limit = self.store.config.max_line_bytes;
        if !self.store.config.durability.is_synced()
            && let Some(checked) = check::checked(entries, time, limit)
        {
            let checked = checked.map_err(|error| error.of_series("append", series))?;
            return append::append_here(&self.store, series, &checked).await;
        }
        let lines = check::lines(entries, time, limit)
            .map_err(|error| error.of_series("append", series))?;
        append::append(&self.store, series, lines).await
    }

    /// As [`append_entries`](Self::append_entries), for values that serialise to JSON objects.
    ///
    /// # Errors
    /// As [`append_entries`](Self::append_entries), also for NaN and infinity, for which JSON has no text.
    pub async fn append_values<T: Serialize + Sync>(
        &self,
        series: &SeriesId,
        values: &[T],
    ) -> Result<WriteReceipt> {
        let config = &self.store.config;
        let lines = check::lines_of_values(values, &config.time, config.max_line_bytes)
            .map_err(|error| error.of_series("append", series))?;
        append::append(&self.store, series, lines).await
    }

    /// Reads entries as they stand in the file, in the order written and in bounded memory; the last so many are held until they are handed over.
    ///
    /// Without a range every complete entry comes, also one without a readable time, which the report then names. With a range such an
    /// entry is left out. Segments whose rows were moved to another store are read there, as rows.
    ///
    /// # Errors
    /// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such series, [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if it
    /// cannot be read, [`Corrupt`](minutebook_core::ErrorKind::Corrupt) in strict mode for the first line that is no entry.
    pub async fn entries(&self, series: &SeriesId, query: &EntryQuery) -> Result<EntryStream> {
        read::entries(&self.store, series, query).await
    }
}
