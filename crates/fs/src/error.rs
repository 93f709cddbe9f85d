//! The error of the higher-level functions: what was tried, on what, and whether nothing can have happened.

use std::io;
use std::path::{Path, PathBuf};

/// The step of every error that [`FsError::names`] makes.
const SYNC_NAMES: &str = "sync the directory";

/// What is known about the effect of an operation that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Applied {
    /// Nothing was applied: the state is what it was before the call, and the call may be repeated.
    No,
    /// The change may or may not be visible, and may or may not survive a power cut. Read before writing again.
    Unknown,
}

/// A failed file operation.
///
/// Display names the operation, the step of it and the path, and leaves the cause to
/// [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[error("{op} {}: {step} failed{}", path.display(), note(*applied))]
pub struct FsError {
    /// The operation that was asked for: `"replace"`, `"append"`, ...
    pub op: &'static str,
    /// The step of it that failed: `"rename"`, `"sync the directory"`, ...
    pub step: &'static str,
    /// What it was asked for.
    pub path: PathBuf,
    /// Whether nothing was applied.
    pub applied: Applied,
    /// The cause.
    #[source]
    pub source: io::Error,
}

fn note(applied: Applied) -> &'static str {
    match applied {
        Applied::No => "",
        Applied::Unknown => ", the outcome is unknown",
    }
}

impl FsError {
    /// An error of which it is known that nothing was applied.
    pub fn not_applied(
        op: &'static str,
        step: &'static str,
        path: &Path,
        source: io::Error,
    ) -> Self {
        Self {
            op,
            step,
            path: path.to_owned(),
            applied: Applied::No,
            source,
        }
    }

    /// An error after which the outcome has to be looked at.
    pub fn unknown(op: &'static str, step: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            applied: Applied::Unknown,
            ..Self::not_applied(op, step, path, source)
        }
    }

    /// A directory could not be synced: names that were given, changed or removed in it may not last.
    pub fn names(op: &'static str, path: &Path, source: io::Error) -> Self {
        Self::unknown(op, SYNC_NAMES, path, source)
    }

    /// The kind of the cause.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether it is known that nothing was applied.
    pub fn nothing_applied(&self) -> bool {
        self.applied == Applied::No
    }

    /// Whether it is one of [`names`](Self::names): a later sync of the directory that does not fail says nothing of those that were changed before.
    pub fn lost_names(&self) -> bool {
        self.step == SYNC_NAMES
    }

    /// Whether another process or thread held the lock for longer than the caller wanted to wait.
    pub fn is_locked(&self) -> bool {
        self.step == crate::fs::LOCK_STEP
            && matches!(
                self.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            )
    }
}
