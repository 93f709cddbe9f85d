//! What can be set, and what is injected.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use minutebook_core::series::batch::TIMESTAMP;
use minutebook_core::{Clock, Error, Result, SystemClock};
use minutebook_fs::{Durability, Fs, LockWait, OsFs};
use serde::{Deserialize, Serialize};

use crate::codec::kind::ColumnType;
use crate::codec::pointer::Pointer;

/// Settings of a [`JsonlTimeSeriesRepository`](crate::JsonlTimeSeriesRepository).
///
/// ```
/// use minutebook_fs::Durability;
/// use minutebook_jsonl::{EpochUnit, JsonlConfig, TimeField};
///
/// let config = JsonlConfig::default()
///     .durability(Durability::Buffered)
///     .time(TimeField::timestamp().epoch(EpochUnit::Milliseconds));
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JsonlConfig {
    /// The file system. [`OsFs`].
    pub fs: Arc<dyn Fs>,
    /// The clock. [`SystemClock`]. Rotation by day asks it which day it is; entries carry their own time.
    pub clock: Arc<dyn Clock>,
    /// What `Ok` of a write promises. [`Durability::Synced`].
    pub durability: Durability,
    /// The longest line, its newline included, in bytes: longer ones are refused on writing and reported on reading. 64 MiB.
    pub max_line_bytes: usize,
    /// The most bytes that one call appends. 1 GiB.
    pub max_batch_bytes: usize,
    /// How many series keep their files open for appending, each of which takes two file handles; and how many of those who follow a series keep theirs, each
    /// of which takes one. 128. What a [rotation](Self::rotation) on the way of an append compresses takes a few more, for two series at a time.
    pub max_open_series: NonZeroUsize,
    /// How many pieces of a file a scan decodes at the same time. The number of processors, at most 4.
    pub read_ahead: NonZeroUsize,
    /// About how many bytes of rows a read in the order of time holds to put them in order. Where times lie so far apart in the file that more would have
    /// to be held, the file is read once for every so many bytes instead. 16 MiB.
    pub sort_bytes: usize,
    /// After so many bytes appended, and a quarter of what was there before, a writer writes down beside the file where its times lie, so that a new process
    /// finds a range without reading everything. 0 is never. 4 MiB.
    pub index_bytes: u64,
    /// How long an append waits for other processes. [`LockWait::Block`].
    pub lock_wait: LockWait,
    /// Where entries have their time, unless a call says otherwise. The field `timestamp`, as text.
    pub time: TimeField,
    /// When the plain file of a series is sealed on the way of an append. Never.
    pub rotation: Rotation,
    /// The types that columns are read as, whatever the entries hold. None: they are found out from the entries.
    pub declared: Option<SchemaRef>,
}

impl Default for JsonlConfig {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            fs: Arc::new(OsFs),
            clock: Arc::new(SystemClock),
            durability: Durability::Synced,
            max_line_bytes: 64 << 20,
            max_batch_bytes: 1 << 30,
            max_open_series: NonZeroUsize::MIN.saturating_add(127),
            read_ahead: processors.min(NonZeroUsize::MIN.saturating_add(3)),
            sort_bytes: 16 << 20,
            index_bytes: 4 << 20,
            lock_wait: LockWait::Block,
            time: TimeField::timestamp(),
            rotation: Rotation::default(),
            declared: None,
        }
    }
}

impl JsonlConfig {
    /// Sets the file system.
    #[must_use]
    pub fn fs(mut self, fs: Arc<dyn Fs>) -> Self {
        self.fs = fs;
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets what `Ok` of a write promises.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the longest line, its newline included, in bytes.
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: usize) -> Self {
        self.max_line_bytes = bytes;
        self
    }

    /// Sets the most bytes that one call appends.
    #[must_use]
    pub fn max_batch_bytes(mut self, bytes: usize) -> Self {
        self.max_batch_bytes = bytes;
        self
    }

    /// Sets how many series keep their files open for appending, and how many of those who follow keep theirs.
    #[must_use]
    pub fn max_open_series(mut self, series: NonZeroUsize) -> Self {
        self.max_open_series = series;
        self
    }

    /// Sets how many pieces of a file a scan decodes at the same time.
    #[must_use]
    pub fn read_ahead(mut self, pieces: NonZeroUsize) -> Self {
        self.read_ahead = pieces;
        self
    }

    /// Sets about how many bytes of rows a read in the order of time holds.
    #[must_use]
    pub fn sort_bytes(mut self, bytes: usize) -> Self {
        self.sort_bytes = bytes;
        self
    }

    /// Sets after how many bytes appended a writer writes down where the times lie; 0 is never.
    #[must_use]
    pub fn index_bytes(mut self, bytes: u64) -> Self {
        self.index_bytes = bytes;
        self
    }

    /// Sets how long an append waits for other processes.
    #[must_use]
    pub fn lock_wait(mut self, wait: LockWait) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Sets where entries have their time, unless a call says otherwise.
    #[must_use]
    pub fn time(mut self, time: TimeField) -> Self {
        self.time = time;
        self
    }

    /// Sets when the plain file of a series is sealed on the way of an append.
    #[must_use]
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.rotation = rotation;
        self
    }

    /// Declares columns: they are read as these types, and are there even if no entry has them. `Int64`, `Float64`, `Boolean`, `Utf8` and
    /// `Timestamp(ns, UTC)` can be declared; numbers in strings become numbers. What does not fit is null, and reported.
    #[must_use]
    pub fn declared(mut self, schema: SchemaRef) -> Self {
        self.declared = Some(schema);
        self
    }
}

/// When the plain file of a series is sealed and the next one begun. The default is never; [`rotate`](crate::JsonlTimeSeriesRepository::rotate)
/// can be called at any time.
///
/// What was sealed is compressed by two threads at most, however many series are due at once; nobody waits for them. A series that waits for its turn is not sealed
/// again before.
///
/// ```
/// use minutebook_jsonl::{JsonlConfig, Rotation};
///
/// let config = JsonlConfig::default().rotation(Rotation::at_bytes(64 << 20).daily());
/// # let _ = config;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Rotation {
    /// By the first append that finds it at so many bytes.
    pub bytes: Option<u64>,
    /// By the first append on a new UTC day (by the store's clock), if the file was last written on an earlier one.
    pub daily: bool,
}

impl Rotation {
    /// By the first append that finds the file at so many bytes; at least 1.
    pub fn at_bytes(bytes: u64) -> Self {
        Self {
            bytes: Some(bytes.max(1)),
            daily: false,
        }
    }

    /// Also by the first append on a new UTC day.
    #[must_use]
    pub fn daily(mut self) -> Self {
        self.daily = true;
        self
    }
}

/// The unit in which a number counts the time since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EpochUnit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Thousandths of a second.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Millionths of a second.
    #[serde(rename = "us")]
    Microseconds,
    /// Thousand-millionths of a second.
    #[serde(rename = "ns")]
    Nanoseconds,
}

impl EpochUnit {
    /// `s`, `ms`, `us` or `ns`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Nanoseconds => "ns",
        }
    }

    /// Nanoseconds in one.
    pub(crate) const fn nanos(self) -> i64 {
        match self {
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
            Self::Microseconds => 1_000,
            Self::Nanoseconds => 1,
        }
    }
}

impl std::fmt::Display for EpochUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for EpochUnit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [
            Self::Seconds,
            Self::Milliseconds,
            Self::Microseconds,
            Self::Nanoseconds,
        ]
        .into_iter()
        .find(|unit| unit.as_str() == text)
        .ok_or_else(|| {
            Error::invalid(format!(
                "\"{}\" is no unit of time; write s, ms, us or ns",
                text.escape_debug()
            ))
        })
    }
}

/// Where an entry has its time.
///
/// ```
/// use minutebook_jsonl::{EpochUnit, TimeField};
///
/// let nested = TimeField::pointer("/Item/time_exchange")?;
/// let number = TimeField::pointer("/T")?.epoch(EpochUnit::Milliseconds);
/// assert!(TimeField::pointer("Item").is_err());
/// # let _ = (nested, number);
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeField {
    pub(crate) pointer: Option<Pointer>,
    pub(crate) unit: Option<EpochUnit>,
}

impl TimeField {
    /// The top-level field `timestamp`.
    pub const fn timestamp() -> Self {
        Self {
            pointer: None,
            unit: None,
        }
    }

    /// The value that a JSON pointer (RFC 6901) names, such as `/Item/time_exchange`. The line is stored with `timestamp` put in front.
    ///
    /// # Errors
    /// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) if it is no pointer to a field.
    pub fn pointer(pointer: &str) -> Result<Self> {
        let parsed = Pointer::parse(pointer).ok_or_else(|| {
            Error::invalid(format!(
                "\"{}\" is no JSON pointer; write it as /field or /outer/inner",
                pointer.escape_debug()
            ))
        })?;
        let pointer = (parsed.top_level() != Some(TIMESTAMP)).then_some(parsed);
        Ok(Self {
            pointer,
            unit: None,
        })
    }

    /// Numbers count these units since 1970. Without a unit, only text is a time.
    #[must_use]
    pub fn epoch(mut self, unit: EpochUnit) -> Self {
        self.unit = Some(unit);
        self
    }
}

/// The columns of a declared schema, without the time column.
pub(crate) fn declared_types(schema: Option<&SchemaRef>) -> Result<Vec<(String, ColumnType)>> {
    let mut names = HashSet::new();
    let mut types = Vec::new();
    for field in schema.iter().flat_map(|schema| schema.fields()) {
        if !names.insert(field.name()) {
            return Err(Error::invalid(format!(
                "the column \"{}\" is declared twice",
                field.name()
            )));
        }
        let column_type = ColumnType::of(field.data_type()).ok_or_else(|| {
            Error::invalid(format!(
                "the column \"{}\" is declared as {}; declare Int64, Float64, Boolean, Utf8 or Timestamp(ns, \"UTC\")",
                field.name(),
                field.data_type()
            ))
        })?;
        if field.name() != TIMESTAMP {
            types.push((field.name().clone(), column_type));
        }
    }
    Ok(types)
}
