//! Settings of the decision repository and of the catalog.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use minutebook_core::{Clock, SystemClock};
use minutebook_fs::{Durability, Fs, LockWait, OsFs};

/// Which earlier revisions of decisions keep their documents. The present one always does; of the others the journal keeps at least
/// which there were, when, and their digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepRevisions {
    /// All of them.
    All,
    /// Those that were recorded so long ago at most.
    Since(TimeDelta),
    /// So many of each decision, the newest.
    Newest(u64),
}

/// Settings of a [`JsonDecisionRepository`](crate::JsonDecisionRepository).
///
/// ```
/// use minutebook_fs::Durability;
/// use minutebook_json::JsonDecisionConfig;
///
/// let config = JsonDecisionConfig::default().max_decisions(5_000).durability(Durability::Buffered);
/// assert_eq!(config.max_decisions, 5_000);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct JsonDecisionConfig {
    /// The file system. The operating system's.
    pub fs: Arc<dyn Fs>,
    /// Where `recorded_at` comes from. The system's clock.
    pub clock: Arc<dyn Clock>,
    /// What `Ok` of a write promises. [`Durability::Synced`].
    pub durability: Durability,
    /// Whether there is a journal. `true`. Without one there are documents alone, each synced by itself: no history and no change feed, nothing is
    /// restored that a disk lost, and a save costs two syncs, three if the file gets another name. A revision is then the time at which the file was last modified, with a digest of what it
    /// holds. A directory that has a journal cannot be opened so; one without can be opened with a journal at any time.
    pub journal: bool,
    /// How many parsed documents are kept in memory; 0 is none. 1,000. It bounds the cache, never the store.
    pub max_decisions: usize,
    /// The largest document, in bytes of its file. 16 MiB.
    pub max_document_bytes: u64,
    /// After how many journal lines a checkpoint is written, which bounds what an open has to read; a batch of a quarter of that
    /// or more ends with one. 1,024.
    pub checkpoint_every: u64,
    /// How long the journal's active file gets before it is sealed, compressed, and another is started. 64 MiB.
    pub segment_bytes: u64,
    /// Which earlier revisions keep their documents when the journal's files are sealed. All.
    pub keep_revisions: KeepRevisions,
    /// How long a write waits for other processes. [`LockWait::Block`].
    pub lock_wait: LockWait,
    /// How often a `watch` looks for changes: what it may be late. 20 ms.
    pub watch_interval: Duration,
    /// Whether the system is asked to tell of changes in the directory, where it does (Linux, on local disks). `true`. Without it
    /// every question about contents looks at each file's times. It does not tell of what a program writes through a memory map,
    /// or through a second name that the file has in another directory: turn it off if there are such programs.
    pub watch_directory: bool,
}

impl Default for JsonDecisionConfig {
    fn default() -> Self {
        Self {
            fs: Arc::new(OsFs),
            clock: Arc::new(SystemClock),
            durability: Durability::Synced,
            journal: true,
            max_decisions: 1_000,
            max_document_bytes: 16 << 20,
            checkpoint_every: 1_024,
            segment_bytes: 64 << 20,
            keep_revisions: KeepRevisions::All,
            lock_wait: LockWait::Block,
            watch_interval: Duration::from_millis(20),
            watch_directory: true,
        }
    }
}

impl JsonDecisionConfig {
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

    /// Sets whether there is a journal.
    #[must_use]
    pub fn journal(mut self, journal: bool) -> Self {
        self.journal = journal;
        self
    }

    /// Sets how many parsed documents are kept in memory; 0 is none.
    #[must_use]
    pub fn max_decisions(mut self, count: usize) -> Self {
        self.max_decisions = count;
        self
    }

    /// Sets the largest document, in bytes of its file.
    #[must_use]
    pub fn max_document_bytes(mut self, bytes: u64) -> Self {
        self.max_document_bytes = bytes;
        self
    }

    /// Sets after how many journal lines a checkpoint is written; at least 1.
    #[must_use]
    pub fn checkpoint_every(mut self, lines: u64) -> Self {
        self.checkpoint_every = lines.max(1);
        self
    }

    /// Sets whether the system is asked to tell of changes in the directory.
    #[must_use]
    pub fn watch_directory(mut self, watch: bool) -> Self {
        self.watch_directory = watch;
        self
    }

    /// Sets how long the journal's active file gets before it is sealed.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes.max(1);
        self
    }

    /// Sets which earlier revisions keep their documents when the journal's files are sealed.
    #[must_use]
    pub fn keep_revisions(mut self, keep: KeepRevisions) -> Self {
        self.keep_revisions = keep;
        self
    }

    /// Sets how long a write waits for other processes.
    #[must_use]
    pub fn lock_wait(mut self, wait: LockWait) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Sets how often a `watch` looks for changes; 1 ms is the least.
    #[must_use]
    pub fn watch_interval(mut self, interval: Duration) -> Self {
        self.watch_interval = interval.max(Duration::from_millis(1));
        self
    }
}

impl fmt::Debug for JsonDecisionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonDecisionConfig")
            .field("durability", &self.durability)
            .field("journal", &self.journal)
            .field("max_decisions", &self.max_decisions)
            .field("max_document_bytes", &self.max_document_bytes)
            .field("checkpoint_every", &self.checkpoint_every)
            .field("segment_bytes", &self.segment_bytes)
            .field("keep_revisions", &self.keep_revisions)
            .field("lock_wait", &self.lock_wait)
            .field("watch_interval", &self.watch_interval)
            .field("watch_directory", &self.watch_directory)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`JsonCatalog`](crate::JsonCatalog).
#[derive(Clone)]
#[non_exhaustive]
pub struct JsonCatalogConfig {
    /// The file system. The operating system's.
    pub fs: Arc<dyn Fs>,
    /// Where `registered_at` and `last_updated` come from. The system's clock.
    pub clock: Arc<dyn Clock>,
    /// What `Ok` of a write promises. [`Durability::Synced`].
    pub durability: Durability,
    /// The largest registry, in bytes. 256 MiB.
    pub max_registry_bytes: u64,
    /// How long a write waits for other processes. [`LockWait::Block`].
    pub lock_wait: LockWait,
}

impl Default for JsonCatalogConfig {
    fn default() -> Self {
        Self {
            fs: Arc::new(OsFs),
            clock: Arc::new(SystemClock),
            durability: Durability::Synced,
            max_registry_bytes: 256 << 20,
            lock_wait: LockWait::Block,
        }
    }
}

impl JsonCatalogConfig {
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

    /// Sets the largest registry, in bytes.
    #[must_use]
    pub fn max_registry_bytes(mut self, bytes: u64) -> Self {
        self.max_registry_bytes = bytes;
        self
    }

    /// Sets how long a write waits for other processes.
    #[must_use]
    pub fn lock_wait(mut self, wait: LockWait) -> Self {
        self.lock_wait = wait;
        self
    }
}

impl fmt::Debug for JsonCatalogConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonCatalogConfig")
            .field("durability", &self.durability)
            .field("max_registry_bytes", &self.max_registry_bytes)
            .field("lock_wait", &self.lock_wait)
            .finish_non_exhaustive()
    }
}
