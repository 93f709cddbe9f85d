//! The calls on segments.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::time::from_nanos;
use minutebook_core::{ErrorKind, Result, SeriesId};
use minutebook_fs::task::blocking;

use super::{Entry, Guard, SealedFile};
use crate::error::JsonlError;
use crate::store::{Series, Store};
use crate::time_series::JsonlTimeSeriesRepository;

/// A sealed segment of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// Its number: they are read in this order. None is used twice under one `log_id`.
    pub number: u64,
    /// Tells it from segments with this number of an earlier series of the same name, and of this one before its manifest was lost.
    pub log_id: String,
    /// Its file.
    pub path: PathBuf,
    /// Bytes of the file.
    pub stored_bytes: u64,
    /// Bytes of its lines.
    pub bytes: u64,
    /// Its lines, of any kind.
    pub lines: u64,
    /// The lines that are rows.
    pub rows: u64,
    /// The earliest time of a row; `None` without rows.
    pub first: Option<DateTime<Utc>>,
    /// The latest time of a row.
    pub last: Option<DateTime<Utc>>,
    /// Lines that are no rows: malformed, without a time, too long.
    pub flaws: u64,
    /// BLAKE3 of its lines.
    pub digest: String,
}

impl SegmentInfo {
    pub(crate) fn new(series: &Series, entry: &Entry) -> Self {
        Self {
            number: entry.number,
            log_id: entry.id.clone(),
            path: series.sealed.sealed(entry.number),
            stored_bytes: entry.stored,
            bytes: entry.bytes,
            lines: entry.lines,
            rows: entry.rows,
            first: entry.first.map(from_nanos),
            last: entry.last.map(from_nanos),
            flaws: entry.flaws,
            digest: entry.digest.clone(),
        }
    }
}

impl JsonlTimeSeriesRepository {
    /// Seals what the plain file of a series holds into a compressed segment; the next append begins a new plain file. `None` if there was nothing
    /// in it.
    ///
    /// Readers and writers of any process go on meanwhile: sealing is one rename, and every read sees each line once. What an interrupted
    /// call has left is finished first. Whatever the configuration says, all of it is durable when this returns.
    ///
    /// ```
    /// use minutebook_jsonl::{EntryQuery, JsonlConfig, JsonlTimeSeriesRepository};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let repo = JsonlTimeSeriesRepository::open(dir.path(), JsonlConfig::default())?;
    /// let btc = "BTCUSD@ticks".parse()?;
    /// repo.append_entries(&btc, &[r#"{"timestamp": "2025-01-01", "price": 1}"#]).await?;
    /// let segment = repo.rotate(&btc).await?;
    /// assert_eq!(segment.map(|segment| (segment.number, segment.rows)), Some((1, 1)));
    /// repo.append_entries(&btc, &[r#"{"timestamp": "2025-01-02", "price": 2}"#]).await?;
    /// assert_eq!(repo.entries(&btc, &EntryQuery::new()).await?.collect().await?.0.len(), 2);
    /// # Ok::<(), minutebook_core::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such series, [`Locked`](minutebook_core::ErrorKind::Locked) if another
    /// process seals or compacts it for longer than the configuration waits, [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the
    /// disk fails: every line is then still there once, and the next call goes on.
    pub async fn rotate(&self, series: &SeriesId) -> Result<Option<SegmentInfo>> {
        self.segment_work("rotate", series, |store, series| {
            let guard = Guard::exclusive(store, series)?;
            let entry = super::rotate(store, series, &guard)?;
            Ok(entry.map(|entry| SegmentInfo::new(series, &entry)))
        })
        .await
    }

    /// The compressed segments of a series, in the order of their lines. Nothing of them is read.
    ///
    /// # Errors
    /// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such series, [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if it
    /// cannot be looked at.
    pub async fn segments(&self, series: &SeriesId) -> Result<Vec<SegmentInfo>> {
        self.segment_work("segments", series, |store, series| {
            let view = super::view(store, series)?;
            let manifest = view.and_then(|view| view.manifest);
            let entries = manifest.iter().flat_map(|manifest| &manifest.segments);
            Ok(entries
                .map(|entry| SegmentInfo::new(series, entry))
                .collect())
        })
        .await
    }

    /// Whether a series has a compressed segment of this number and log with these lines (their BLAKE3), all of which are read. One that is damaged or missing is not
    /// whole, and neither is one of a list of segments that cannot be read. Nothing is locked or changed.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the disk fails.
    pub async fn is_segment_whole(
        &self,
        series: &SeriesId,
        log_id: &str,
        number: u64,
        digest: &str,
    ) -> Result<bool> {
        let (log_id, digest) = (log_id.to_owned(), digest.to_owned());
        let found = self.segment_work("check a segment", series, move |store, series| {
            let manifest = super::view(store, series)?.and_then(|view| view.manifest);
            let entry = manifest.as_ref().and_then(|manifest| manifest.get(number));
            let Some(entry) = entry.filter(|it| it.id == log_id && it.digest == digest) else {
                return Ok(false);
            };
            let path = series.sealed.sealed(number);
            let Some(file) = SealedFile::open(&*store.config.fs, &path)? else {
                return Ok(false);
            };
            Ok(file.digest()? == (entry.digest.clone(), entry.bytes))
        });
        match found.await {
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                Ok(false)
            }
            found => found,
        }
    }

    pub(crate) async fn segment_work<T: Send + 'static>(
        &self,
        operation: &'static str,
        id: &SeriesId,
        work: impl FnOnce(&Store, &Series) -> std::result::Result<T, JsonlError> + Send + 'static,
    ) -> Result<T> {
        let (store, of) = (Arc::clone(&self.store), id.clone());
        blocking(move || {
            let (series, view) = store.find(&of)?.ok_or(JsonlError::NoSeries)?;
            drop(view);
            work(&store, &series)
        })
        .await
        .map_err(JsonlError::from)
        .flatten()
        .map_err(|error| error.of_series(operation, id))
    }
}
