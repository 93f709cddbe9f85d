//! What to read of a series and how to write to one.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};

use crate::error::{Error, Result};
use crate::id::Version;
use crate::series::SeriesKey;
use crate::series::batch::TIMESTAMP;
use crate::time::TimeRange;

/// Which state of a series to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Snapshot {
    /// As it is now.
    #[default]
    Latest,
    /// As of this version; `NotFound` if it is not kept.
    Version(Version),
    /// As it was known at this instant.
    Time(DateTime<Utc>),
}

/// Which of the rows that match to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Take {
    /// All of them.
    #[default]
    All,
    /// The first so many.
    First(usize),
    /// The last so many, still in ascending order.
    Last(usize),
}

/// In which order of time the rows come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Direction {
    /// The earliest first; equal timestamps in the order written.
    #[default]
    OldestFirst,
    /// The latest first: exactly the reverse. What [`Take`] takes is the same; only its order is turned.
    NewestFirst,
}

/// A question to a series. The default reads everything.
///
/// ```
/// use minutebook_core::{ScanQuery, TimeRange, time::parse_timestamp};
///
/// let closes = ScanQuery::new()
///     .range(TimeRange::new(parse_timestamp("2024-01-01")?, parse_timestamp("2024-02-01")?)?)
///     .columns(["close"])
///     .last(100);
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanQuery {
    /// Rows in this range only.
    pub range: TimeRange,
    /// These columns only, in this order, after `timestamp`, which always comes first. `None` is all.
    pub columns: Option<Vec<String>>,
    /// How many of the rows.
    pub take: Take,
    /// In which order.
    pub direction: Direction,
    /// Which state of the series.
    pub snapshot: Snapshot,
    /// At most so many rows a batch; at least 1.
    pub batch_size: usize,
    /// Whether a row that cannot be read is an error instead of an entry in the report.
    pub strict: bool,
}

impl Default for ScanQuery {
    fn default() -> Self {
        Self {
            range: TimeRange::all(),
            columns: None,
            take: Take::All,
            direction: Direction::OldestFirst,
            snapshot: Snapshot::Latest,
            batch_size: Self::BATCH_SIZE,
            strict: false,
        }
    }
}

impl ScanQuery {
    /// How many rows a batch has at most, unless the query says otherwise.
    pub const BATCH_SIZE: usize = 8_192;

    /// Everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rows in this range only.
    #[must_use]
    pub fn range(mut self, range: TimeRange) -> Self {
        self.range = range;
        self
    }

    /// These columns only, after `timestamp`.
    #[must_use]
    pub fn columns<T: Into<String>>(mut self, columns: impl IntoIterator<Item = T>) -> Self {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// The first so many rows only.
    #[must_use]
    pub fn first(mut self, rows: usize) -> Self {
        self.take = Take::First(rows);
        self
    }

    /// The last so many rows only.
    #[must_use]
    pub fn last(mut self, rows: usize) -> Self {
        self.take = Take::Last(rows);
        self
    }

    /// The latest row first. `last(10).newest_first()` reads the last ten rows, the newest of them first.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        self.direction = Direction::NewestFirst;
        self
    }

    /// As of a version or an instant.
    #[must_use]
    pub fn as_of(mut self, snapshot: Snapshot) -> Self {
        self.snapshot = snapshot;
        self
    }

    /// At most so many rows a batch.
    #[must_use]
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows.max(1);
        self
    }

    /// A row that cannot be read makes the scan fail ([`Corrupt`](crate::ErrorKind::Corrupt)).
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// The schema of the answer: `timestamp` first, then the columns asked for.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if a column is not there or asked for twice.
    pub fn project(&self, schema: &SchemaRef) -> Result<SchemaRef> {
        let Some(columns) = &self.columns else {
            return Ok(Arc::clone(schema));
        };
        let mut fields = Vec::with_capacity(columns.len() + 1);
        let wanted = columns.iter().map(String::as_str);
        for name in std::iter::once(TIMESTAMP).chain(wanted.filter(|name| *name != TIMESTAMP)) {
            let (_, field) = schema.fields().find(name).ok_or_else(|| {
                let known: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
                Error::invalid(format!(
                    "there is no column \"{name}\"; the series has {}",
                    known.join(", ")
                ))
            })?;
            if fields.contains(field) {
                return Err(Error::invalid(format!(
                    "the column \"{name}\" is asked for twice"
                )));
            }
            fields.push(Arc::clone(field));
        }
        Ok(Arc::new(arrow_schema::Schema::new_with_metadata(
            fields,
            schema.metadata().clone(),
        )))
    }
}

/// What an upsert does with a row whose key is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnConflict {
    /// The new row takes the place of all rows with its key.
    Replace,
    /// The stored rows stay; the new one is skipped.
    Keep,
    /// The whole write fails with `AlreadyExists` and changes nothing.
    Fail,
}

/// How a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// Every row is added, also where a timestamp is there already: two equal trades stay two. On a series with a declared key, a row
    /// whose key is there already fails the whole write with `AlreadyExists`.
    Append,
    /// Rows are told apart by the declared key, or by `timestamp` where none is. Within the batch a key may occur once only.
    Upsert {
        /// What to do with a key that is there already.
        on_conflict: OnConflict,
    },
    /// The stored rows in the range are dropped and these put in their place. All rows must lie in the range.
    ReplaceRange(TimeRange),
}

/// The receipt of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteReceipt {
    /// The version of the series that has the change; the version before if nothing changed.
    pub version: Version,
    /// Rows that are new: of an upsert those with a key that was not there, else every row of the batch.
    pub inserted: u64,
    /// Stored rows that were dropped for new ones; several rows with one key count each.
    pub replaced: u64,
    /// Rows of the batch that were not written.
    pub skipped: u64,
}

/// What is known of a series without reading its data.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSummary {
    /// The number of rows.
    pub rows: u64,
    /// The earliest timestamp; `None` if there is no row.
    pub first: Option<DateTime<Utc>>,
    /// The latest timestamp; `None` if there is no row.
    pub last: Option<DateTime<Utc>>,
    /// Bytes on disk, or in memory for a store that has no disk.
    pub bytes: u64,
    /// The columns and their types.
    pub schema: SchemaRef,
    /// The version of the series.
    pub version: Version,
    /// What tells its rows apart, if that was declared.
    pub key: Option<SeriesKey>,
}
