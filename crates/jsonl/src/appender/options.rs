//! What can be set of an appender, and what can be seen of it.

use std::time::Duration;

use minutebook_fs::Durability;

/// Settings of an [`Appender`](crate::Appender).
///
/// ```
/// use std::time::Duration;
/// use minutebook_fs::Durability;
/// use minutebook_jsonl::AppenderOptions;
///
/// // A power cut may take the last tenth of a second, the death of the process what was pushed in the last millisecond.
/// let feed = AppenderOptions::new()
///     .durability(Durability::Buffered)
///     .sync_interval(Duration::from_millis(100));
/// # let _ = feed;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppenderOptions {
    /// What `Ok` of a flush promises, and how far entries get by themselves: `Synced` syncs after each write, `Buffered` only writes. That of the repository.
    pub durability: Option<Durability>,
    /// With `Buffered`: at most so long after it was written, an entry is synced too. None: only when it is asked for, and at the end.
    pub sync_interval: Option<Duration>,
    /// How long an entry may wait for others, to be written with them. Whoever waits for an entry cuts this short. 1 ms.
    pub linger: Duration,
    /// From so many waiting bytes on they are written at once. 256 KiB.
    pub batch_bytes: usize,
    /// So many bytes may wait; then a push waits too. While they are being written as many again may gather. 8 MiB.
    pub max_queued_bytes: usize,
}

impl Default for AppenderOptions {
    fn default() -> Self {
        Self {
            durability: None,
            sync_interval: None,
            linger: Duration::from_millis(1),
            batch_bytes: 256 << 10,
            max_queued_bytes: 8 << 20,
        }
    }
}

impl AppenderOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what `Ok` of a flush promises.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Sets how long after it was written an entry is synced at the latest.
    #[must_use]
    pub fn sync_interval(mut self, interval: Duration) -> Self {
        self.sync_interval = Some(interval);
        self
    }

    /// Sets how long an entry may wait for others.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Sets from how many waiting bytes on they are written at once.
    #[must_use]
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Sets how many bytes may wait. A single entry may be longer; it then waits alone.
    #[must_use]
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.max_queued_bytes = bytes;
        self
    }
}

/// How far an appender is, in entries since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppenderStatus {
    /// Entries that a push took.
    pub accepted: u64,
    /// Of them so many are in the files: they survive the process.
    pub written: u64,
    /// Of them so many are known to survive a power cut.
    pub durable: u64,
    /// Of them so many were refused, with nothing of them written: their series was not as it must be, or others held it.
    pub refused: u64,
    /// Bytes that wait to be written.
    pub queued_bytes: usize,
    /// Whether a write or a sync failed. Then every call is an error.
    pub failed: bool,
}
