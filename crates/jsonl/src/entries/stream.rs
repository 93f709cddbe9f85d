//! The answer of a read of entries.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt, stream};
use minutebook_core::series::ReportHandle;
use minutebook_core::{ReadReport, Result, SeriesId};
use minutebook_fs::task::blocking;

use super::read::Reader;
use crate::error::JsonlError;

/// One entry as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    text: String,
    timestamp: Option<DateTime<Utc>>,
    offset: u64,
    line: Option<u64>,
    segment: Option<u64>,
}

impl Entry {
    pub(super) fn new(
        text: String,
        timestamp: Option<DateTime<Utc>>,
        offset: u64,
        line: Option<u64>,
        segment: Option<u64>,
    ) -> Self {
        Self {
            text,
            timestamp,
            offset,
            line: line.map(|line| line + 1),
            segment,
        }
    }

    /// The JSON object, byte for byte.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The JSON object, byte for byte.
    pub fn into_text(self) -> String {
        self.text
    }

    /// Its time, UTC; `None` if it has none that can be read.
    pub fn timestamp(&self) -> Option<DateTime<Utc>> {
        self.timestamp
    }

    /// The offset of its line in the file, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of the sealed segment that it is in; `None` for the plain file. Lines and offsets are those in the segment.
    pub fn segment(&self) -> Option<u64> {
        self.segment
    }

    /// Its line in the file, counted from 1. `None` where the file was read backwards.
    pub fn line(&self) -> Option<u64> {
        self.line
    }
}

/// The entries of a read, one after another.
///
/// What is no entry is in [`report`](Self::report), which is complete once the stream has ended.
pub struct EntryStream {
    report: ReportHandle,
    entries: Pin<Box<dyn Stream<Item = Result<Entry>> + Send>>,
}

impl EntryStream {
    pub(super) fn new(series: SeriesId, report: ReportHandle, reader: Reader) -> Self {
        let state = (Some(reader), VecDeque::new());
        let entries = stream::unfold(state, move |(reader, mut ready)| {
            let series = series.clone();
            async move {
                if let Some(entry) = ready.pop_front() {
                    return Some((Ok(entry), (reader, ready)));
                }
                // After an error there is no reader any more, and the stream ends.
                let mut reader = reader?;
                let (reader, chunk) = blocking(move || {
                    let chunk = reader.chunk();
                    (reader, chunk)
                })
                .await
                .map_or_else(
                    |error| (None, Err(JsonlError::from(error))),
                    |(reader, chunk)| (Some(reader), chunk),
                );
                match chunk {
                    Ok(mut ready) => {
                        let entry = ready.pop_front()?;
                        Some((Ok(entry), (reader, ready)))
                    }
                    Err(error) => {
                        let error = error.of_series("entries", &series);
                        Some((Err(error), (None, VecDeque::new())))
                    }
                }
            }
        });
        Self {
            report,
            entries: Box::pin(entries),
        }
    }

    /// What was no entry so far.
    pub fn report(&self) -> ReadReport {
        self.report.snapshot()
    }

    /// Reads to the end: the entries and the report.
    ///
    /// # Errors
    /// What the read met.
    pub async fn collect(mut self) -> Result<(Vec<Entry>, ReadReport)> {
        let mut all = Vec::new();
        while let Some(entry) = self.next().await {
            all.push(entry?);
        }
        Ok((all, self.report.snapshot()))
    }
}

impl Stream for EntryStream {
    type Item = Result<Entry>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.entries.poll_next_unpin(context)
    }
}

impl fmt::Debug for EntryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryStream")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}
