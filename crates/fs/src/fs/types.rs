//! What is said to a file system and what it tells: how to open and lock, and what a name stands for.

use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use super::FsFile;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For reading and appending; created if absent.
    Append,
    /// For reading and appending; it must exist.
    AppendExisting,
    /// For reading and appending; it must not exist.
    CreateNew,
    /// For reading, and for writing at offsets; it must exist.
    Write,
    /// As a lock file; created if absent, never written.
    Lock,
}

/// Whether a lock is shared or exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Many may hold it, as long as nobody holds it exclusively.
    Shared,
    /// One holds it.
    Exclusive,
}

/// How long to wait for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockWait {
    /// Until it is free. The kernel hands it on in order.
    Block,
    /// Not at all: `WouldBlock` if another holds it.
    Try,
    /// At most this long, then `TimedOut`. Asks again and again, so a blocked waiter may be served first.
    Timeout(Duration),
}

/// A held lock; dropping it releases it.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct LockGuard {
    pub(super) file: Box<dyn FsFile>,
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // Closing the file releases the lock too, so a failure here cannot leave it held.
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "unlock failed; closing the lock file releases it");
        }
    }
}

/// What kind of thing a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A pipe, a device, a socket.
    Other,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name, without the directory.
    pub name: OsString,
    /// What it is; a symbolic link is not followed.
    pub kind: FileKind,
}

/// Which file a name stands for: equal for two names of one file, and for one name only as long as the file was not
/// replaced by another.
///
/// On platforms without inode numbers it is derived from the creation time, which is weaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The file on it.
    pub inode: u64,
}

/// What is known about a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Bytes.
    pub len: u64,
    /// When the content was last modified (UTC); any program may have set it.
    pub modified: SystemTime,
    /// When content or attributes last changed, in nanoseconds since 1970-01-01T00:00:00Z; programs cannot set it.
    /// Where the platform does not keep it, the modification time.
    pub changed_ns: i128,
    /// Which file it is.
    pub id: FileId,
    /// The permission bits, where the platform has them.
    pub mode: Option<u32>,
}

/// Which file a name stands for, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// What it is.
    pub kind: FileKind,
    /// Bytes.
    pub len: u64,
    /// Which file it is.
    pub id: FileId,
}

impl Metadata {
    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == FileKind::File
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Dir
    }
}

/// Where a directory's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Locality {
    /// On a file system of this machine.
    Local,
    /// On a network file system of this name.
    Network(&'static str),
    /// The platform does not tell.
    Unknown,
}
