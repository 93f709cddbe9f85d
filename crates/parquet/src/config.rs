//! The settings of the repository.

use std::num::NonZero;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::TimeDelta;
use minutebook_core::{Clock, SystemClock};
use minutebook_fs::{Durability, Fs, OsFs};

/// How a [`ParquetTimeSeriesRepository`](crate::ParquetTimeSeriesRepository) works. The default keeps every version and survives a power cut.
///
/// ```
/// use minutebook_parquet::{ParquetConfig, Retention};
///
/// let config = ParquetConfig::default().target_segment_rows(500_000).retention(Retention::versions(100));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ParquetConfig {
    /// The file system of a local directory. A store that is handed over has its own.
    pub fs: Arc<dyn Fs>,
    /// Where the time of a commit comes from.
    pub clock: Arc<dyn Clock>,
    /// What `Ok` promises in a local directory. A store that is handed over has its own promise.
    pub durability: Durability,
    /// A segment has about so many rows at most; at least 1,024.
    pub target_segment_rows: usize,
    /// A segment that has so many bytes takes no more rows.
    pub target_segment_bytes: u64,
    /// A row group has so many rows at most; at least 1,024.
    pub row_group_rows: usize,
    /// A data page has so many rows at most; at least 64.
    pub page_rows: usize,
    /// How small appended segments are merged.
    pub merge_floor_rows: u64,
    /// How many row groups a scan decodes ahead, and so how many threads it may use.
    pub read_ahead: usize,
    /// So many bytes of footers and of the newest rows of segments are kept in memory.
    pub cache_bytes: usize,
    /// Which versions [`vacuum`](crate::ParquetTimeSeriesRepository::vacuum) keeps.
    pub retention: Retention,
    /// Files that no version names, and versions, stay at least that long: a writer may be about to commit the one or to build upon
    /// the other. A write that takes longer than half of it (but may always take a second) fails. All processes should have
    /// the same; with zero, vacuum only while nobody writes.
    pub orphan_grace: Duration,
}

/// How many processors this process may use. Asked once: the answer comes from several files.
pub(crate) fn processors() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get))
}

impl Default for ParquetConfig {
    fn default() -> Self {
        Self {
            fs: Arc::new(OsFs),
            clock: Arc::new(SystemClock),
            durability: Durability::default(),
            target_segment_rows: 1 << 20,
            target_segment_bytes: 64 << 20,
            row_group_rows: 1 << 17,
            page_rows: 1 << 13,
            merge_floor_rows: 1 << 10,
            read_ahead: processors().clamp(2, 4),
            cache_bytes: 64 << 20,
            retention: Retention::all(),
            orphan_grace: Duration::from_hours(1),
        }
    }
}

impl ParquetConfig {
    /// The file system of a local directory.
    #[must_use]
    pub fn fs(mut self, fs: Arc<dyn Fs>) -> Self {
        self.fs = fs;
        self
    }

    /// The clock that stamps commits.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// What `Ok` promises in a local directory.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Rows of a full segment.
    #[must_use]
    pub fn target_segment_rows(mut self, rows: usize) -> Self {
        self.target_segment_rows = rows.max(1_024);
        self
    }

    /// Bytes of a full segment.
    #[must_use]
    pub fn target_segment_bytes(mut self, bytes: u64) -> Self {
        self.target_segment_bytes = bytes;
        self
    }

    /// Rows of a full row group.
    #[must_use]
    pub fn row_group_rows(mut self, rows: usize) -> Self {
        self.row_group_rows = rows.max(1_024);
        self
    }

    /// Rows of a full data page.
    #[must_use]
    pub fn page_rows(mut self, rows: usize) -> Self {
        self.page_rows = rows.max(64);
        self
    }

    /// An append merges into the segments before it as long as these together have no more rows than this, or
    /// no more than it brings itself. 0 merges only what doubles a segment.
    #[must_use]
    pub fn merge_floor_rows(mut self, rows: u64) -> Self {
        self.merge_floor_rows = rows;
        self
    }

    /// Row groups that a scan decodes ahead; at least 1.
    #[must_use]
    pub fn read_ahead(mut self, row_groups: usize) -> Self {
        self.read_ahead = row_groups.max(1);
        self
    }

    /// Bytes of footers and newest rows kept in memory; with 0 each read takes them from the files.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Which versions are kept.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// How long versions, and files that no version names, stay in any case.
    #[must_use]
    pub fn orphan_grace(mut self, grace: Duration) -> Self {
        self.orphan_grace = grace;
        self
    }
}

/// Which versions of a series are kept. The newest always is; a version stays if any rule keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Retention {
    /// So many of the newest versions.
    pub versions: Option<u64>,
    /// Versions that were the newest at some moment within this span before now.
    pub age: Option<TimeDelta>,
}

impl Retention {
    /// Every version.
    pub fn all() -> Self {
        Self::default()
    }

    /// The newest so many versions; at least 1.
    pub fn versions(count: u64) -> Self {
        Self {
            versions: Some(count.max(1)),
            age: None,
        }
    }

    /// What was current within this span before now.
    pub fn age(span: TimeDelta) -> Self {
        Self {
            versions: None,
            age: Some(span),
        }
    }

    /// Whether every version is kept.
    pub fn keeps_all(&self) -> bool {
        self.versions.is_none() && self.age.is_none()
    }
}
