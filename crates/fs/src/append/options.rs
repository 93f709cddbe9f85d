//! How a log is appended to, and what became of an append.

use super::TornTail;
use crate::fs::LockWait;

/// Settings of an [`AppendLog`](crate::AppendLog).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppendOptions {
    /// The longest line, its newline included, in bytes. 64 MiB.
    pub max_record_bytes: usize,
    /// The most bytes that one call appends. 1 GiB; a single write call takes at most 2 GiB on Linux.
    pub max_batch_bytes: usize,
    /// How long to wait for other processes. [`LockWait::Block`].
    pub lock_wait: LockWait,
}

impl Default for AppendOptions {
    fn default() -> Self {
        Self {
            max_record_bytes: 64 << 20,
            max_batch_bytes: 1 << 30,
            lock_wait: LockWait::Block,
        }
    }
}

impl AppendOptions {
    /// Sets the longest line, its newline included, in bytes.
    #[must_use]
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.max_record_bytes = bytes;
        self
    }

    /// Sets the most bytes that one call appends.
    #[must_use]
    pub fn max_batch_bytes(mut self, bytes: usize) -> Self {
        self.max_batch_bytes = bytes;
        self
    }

    /// Sets how long to wait for other processes.
    #[must_use]
    pub fn lock_wait(mut self, wait: LockWait) -> Self {
        self.lock_wait = wait;
        self
    }
}

/// Where a call's lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first byte of the first line.
    pub offset: u64,
    /// Bytes appended, newlines included.
    pub len: u64,
    /// The torn tail that was found before it and closed with a newline. It stays in the file as a damaged line.
    pub repaired: Option<TornTail>,
}

impl Appended {
    /// Offset after the last byte.
    pub fn end(&self) -> u64 {
        self.offset + self.len
    }
}

/// What became of an append that expected the log to have a certain length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Expecting {
    /// Nobody was faster.
    Appended(Appended),
    /// Somebody was: the log now has this length, and nothing was appended.
    Grown {
        /// The length in bytes; it ends with a complete line.
        len: u64,
    },
}
