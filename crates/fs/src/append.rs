//! An append-only log of lines that threads and processes share.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::atomic::{not_a_file, parent_of};
use crate::durability::Durability;
use crate::error::FsError;
use crate::fs::{FileId, FileKind, Fs, FsFile, LOCK_STEP, LockMode, OpenMode};

mod group;
mod locked;
mod options;
mod patched;
mod ring;
mod tail;

pub use locked::Locked;
pub use options::{AppendOptions, Appended, Expecting};
pub use tail::{TornTail, complete_len, torn_tail};

use group::{Segment, SyncFailed};
use patched::Patched;
use ring::{Copy as RingCopy, Place as RingPlace, Ring};

const OP: &str = "append";

/// How many files were opened so far.
static OPENED: AtomicU64 = AtomicU64::new(0);

/// A file of lines to which any number of threads and processes append.
///
/// # Behavior
///
/// - A call's lines are written by one write call under an exclusive lock on a lock file of its own: lines never
///   interleave, whatever their length, and stand in the order of the calls.
/// - What a crashed writer left without a newline is closed with one as soon as the next writer has the lock, so no
///   line is ever glued to it. Its bytes stay and are reported. It may be a whole line that lacked its newline alone.
/// - A write that is cut short (a full disk) is taken back under the lock.
/// - [`Durability::Synced`] callers that wait at the same time share one sync.
/// - After a failed sync the log handle is poisoned: every later call fails until the log is opened again, because
///   the system drops what it could not write and a second sync would report success. Read the file before writing
///   again.
/// - If the file was renamed (rotated), replaced or removed, the next call opens or creates the one at the path.
/// - Readers need no lock and never see half a line, as long as they read complete lines only
///   ([`LineReader`](crate::LineReader)). They may see lines that are not durable yet, and those of a call that is going on.
/// - The lock file is created if absent, never written, and must never be renamed or removed.
/// - Nothing is opened or created before the first append.
///
/// ```
/// use std::sync::Arc;
/// use minutebook_fs::{AppendLog, AppendOptions, Durability, OsFs};
/// # let dir = tempfile::tempdir()?;
/// let path = dir.path().join("btcusd_timeseries.jsonl");
/// let lock = dir.path().join(".btcusd.lock");
/// let log = AppendLog::open(Arc::new(OsFs), path, lock, AppendOptions::default());
/// let first = log.append(b"{\"price\":1}\n", Durability::Synced)?;
/// assert_eq!((first.offset, first.len), (0, 12));
/// assert_eq!(log.append(b"{\"price\":2}\n{\"price\":3}\n", Durability::Buffered)?.offset, 12);
/// log.sync()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AppendLog {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    lock_path: PathBuf,
    options: AppendOptions,
    ring: Option<RingPlace>,
    /// What the log has lost could not be put back yet.
    behind: AtomicBool,
    writer: Mutex<Writer>,
    poison: OnceLock<String>,
}

/// What only one thread at a time may touch.
#[derive(Debug, Default)]
struct Writer {
    lock_file: Option<Arc<dyn FsFile>>,
    current: Option<Current>,
    ring: Ring,
}

/// The open file.
#[derive(Debug, Clone)]
struct Current {
    id: FileId,
    /// No other file that was opened has this number: the system gives a new file the id of one that is gone.
    opened: u64,
    segment: Arc<Segment>,
    /// The length after our last append: as long as it is unchanged the file is known to end with a newline.
    clean_len: Option<u64>,
}

impl AppendLog {
    /// A log at `path`, whose writers exclude each other by a lock on `lock_path`. Opens nothing yet.
    pub fn open(
        fs: Arc<dyn Fs>,
        path: impl Into<PathBuf>,
        lock_path: impl Into<PathBuf>,
        options: AppendOptions,
    ) -> Self {
        Self {
            fs,
            path: path.into(),
            lock_path: lock_path.into(),
            options,
            ring: None,
            behind: AtomicBool::new(false),
            writer: Mutex::default(),
            poison: OnceLock::new(),
        }
    }

    /// Lets [`Locked::sync`] sync a small file at `path` in place of the log: a file of fixed size that is written over, which is faster than
    /// syncing a file that has grown, and waits for nothing else that the file system has to write. All handles of a log have to name the
    /// same file, and call [`recover`](Self::recover) before they read the log.
    ///
    /// `run` names this run of the machine, where the platform tells one from another. It is kept with the frames, and nothing is left out because of
    /// it: a file system can lose what was not synced while the machine runs on.
    #[must_use]
    pub fn with_ring(mut self, path: impl Into<PathBuf>, run: Option<&str>) -> Self {
        self.ring = Some(RingPlace::new(path.into(), run));
        self
    }

    /// Sets how long the ring is; 1 MiB. At most 64 MiB. When it is full the log itself is synced.
    #[must_use]
    pub fn ring_bytes(mut self, bytes: u64) -> Self {
        if let Some(place) = &mut self.ring {
            place.bytes = bytes;
        }
        self
    }

    /// Puts back what the log has lost in a power cut, or because its device went away, from the [ring](Self::with_ring), and gives back how many bytes that may be. Takes the lock only if
    /// there is something to put back.
    ///
    /// # Errors
    ///
    /// Any I/O error; what was durable in the ring still is.
    pub fn recover(&self) -> Result<u64, FsError> {
        if self.lacked()?.is_none() {
            return Ok(0);
        }
        self.behind.store(true, Ordering::Relaxed);
        let mut writer = self.writer();
        let _held = self.lock(&mut writer)?;
        self.put_back(&mut writer)
    }

    /// The file system with the log as it was, if it lacks something that could not be [put back](Self::recover): for reading on a medium that cannot
    /// be written. The first writer that can tries once more.
    ///
    /// # Errors
    ///
    /// Any I/O error.
    pub fn patched(&self) -> Result<Option<Arc<dyn Fs>>, FsError> {
        let Some(copy) = self.lacked()? else {
            return Ok(None);
        };
        Ok(Some(Arc::new(Patched {
            inner: Arc::clone(&self.fs),
            path: self.path.clone(),
            copy: Arc::new(copy),
        })))
    }

    /// What the log has lost in a power cut, as the ring has it.
    fn lacked(&self) -> Result<Option<RingCopy>, FsError> {
        let Some(place) = &self.ring else {
            return Ok(None);
        };
        let step = |e| FsError::not_applied("recover", "read the ring", &place.path, e);
        let fs = &*self.fs;
        let Some(copy) = RingCopy::read(fs, &place.path).map_err(step)? else {
            return Ok(None);
        };
        let lacked = copy.is_lacked(fs, &self.path).map_err(step)?;
        Ok(lacked.then_some(copy))
    }

    /// Writes what the log has lost. Called under the lock: another may have done it meanwhile.
    fn put_back(&self, writer: &mut Writer) -> Result<u64, FsError> {
        let len = if let Some(copy) = self.lacked()? {
            copy.put_back(&*self.fs, &self.path)
                .map_err(|e| FsError::unknown("recover", "write what was lost", &self.path, e))?;
            tracing::info!(path = %self.path.display(), offset = copy.offset(), bytes = copy.len(), "what the log had lost was put back");
            copy.len()
        } else {
            0
        };
        writer.current = None;
        writer.ring.forget();
        self.behind.store(false, Ordering::Relaxed);
        Ok(len)
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the lock file.
    pub fn lock_path(&self) -> &Path {
        &self.lock_path
    }

    /// Appends one or more complete lines, each ended by `\n`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `bytes` is empty, does not end with a newline, or exceeds a limit; the lock's, the write's or the sync's
    /// error otherwise. If [`FsError::nothing_applied`] holds the file is as it was; after any other error the lines
    /// may or may not be there.
    pub fn append(&self, bytes: &[u8], durability: Durability) -> Result<Appended, FsError> {
        self.with_lock(durability, |log| log.append(bytes))
    }

    /// As [`append`](AppendLog::append), but only if the log still has the length that the caller knew when it made
    /// the lines.
    ///
    /// A torn tail that is found counts as growth: closed with a newline it may be a whole line.
    pub fn append_expecting(
        &self,
        bytes: &[u8],
        expected_len: u64,
        durability: Durability,
    ) -> Result<Expecting, FsError> {
        self.with_lock(durability, |log| {
            let len = log.len();
            if len == expected_len {
                log.append(bytes).map(Expecting::Appended)
            } else {
                Ok(Expecting::Grown { len })
            }
        })
    }

    /// Runs `f` while no other thread or process appends: for records that depend on those before them.
    ///
    /// What `f` appended is durable (for [`Durability::Synced`]) when this returns Ok; the sync is done after the lock was
    /// released and is shared with others. If `f` fails after it appended, what it appended stays, as if
    /// [`Durability::Buffered`]. `f` must not call other methods of the same log: they wait for this one for ever.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use minutebook_fs::{AppendLog, AppendOptions, Durability, FsError, OsFs};
    /// # let dir = tempfile::tempdir()?;
    /// # let log = AppendLog::open(Arc::new(OsFs), dir.path().join("log"), dir.path().join(".lock"), AppendOptions::default());
    /// let appended = log.with_lock(Durability::Synced, |log| {
    ///     let number = log.len(); // stands for: the hash of the last line
    ///     log.append(format!("after {number} bytes\n").as_bytes())
    /// })?;
    /// assert_eq!(appended.offset, 0);
    /// # Ok::<(), FsError>(())
    /// # .map_err(|e: FsError| Box::<dyn std::error::Error>::from(e))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_lock<T, E: From<FsError>>(
        &self,
        durability: Durability,
        f: impl FnOnce(&mut Locked<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writer = self.writer();
        self.check_poison()?;
        let (value, written) = {
            let held = self.lock(&mut writer)?;
            if self.behind.load(Ordering::Relaxed) {
                self.put_back(&mut writer)?;
            }
            let mut locked = Locked::new(self, &mut writer, held, durability)?;
            let value = f(&mut locked)?;
            (value, locked.written())
        };
        drop(writer);
        if let Some((segment, ticket)) = written.filter(|_| durability.is_synced()) {
            self.sync_segment(&segment, ticket, OP)?;
        }
        Ok(value)
    }

    /// Makes everything durable that this handle appended so far.
    pub fn sync(&self) -> Result<(), FsError> {
        self.check_poison()?;
        let segment = self
            .writer()
            .current
            .as_ref()
            .map(|current| Arc::clone(&current.segment));
        match segment {
            Some(segment) => {
                let ticket = segment.last_ticket();
                self.sync_segment(&segment, ticket, "sync")
            }
            None => Ok(()),
        }
    }

    /// Makes durable what this handle appended and closes its files; the next append opens them again. For programs
    /// that have more logs than they may have open files.
    pub fn release(&self) -> Result<(), FsError> {
        self.check_poison()?;
        let mut writer = self.writer();
        if let Some(current) = &writer.current {
            self.sync_segment(&current.segment, current.segment.last_ticket(), "sync")?;
        }
        *writer = Writer::default();
        Ok(())
    }

    /// Why the handle can no longer be used, if a sync failed or it was [poisoned](Self::poison).
    pub fn poisoned(&self) -> Option<&str> {
        self.poison.get().map(String::as_str)
    }

    /// Makes the handle refuse every later call, as if a sync of its own had failed: for who syncs the file through another handle and is told there that
    /// it failed, since the system may tell it only once.
    pub fn poison(&self, why: impl Into<String>) {
        // The first reason stays.
        let _ = self.poison.set(why.into());
    }

    /// The length of the file in bytes, a torn tail included; 0 if there is none.
    pub fn len(&self) -> Result<u64, FsError> {
        match self.fs.metadata(&self.path) {
            Ok(m) => Ok(m.len),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(FsError::not_applied(
                "read",
                "look at the file",
                &self.path,
                e,
            )),
        }
    }

    /// Whether the file has no bytes or does not exist.
    pub fn is_empty(&self) -> Result<bool, FsError> {
        self.len().map(|len| len == 0)
    }

    /// Opens the file for reading; `None` if there is none. A later rotation does not affect it.
    pub fn reader(&self) -> Result<Option<Box<dyn FsFile>>, FsError> {
        match self.fs.open(&self.path, OpenMode::Read) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(FsError::not_applied("read", "open", &self.path, e)),
        }
    }

    /// Reads from the file at the path; 0 at its end or if there is none.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, FsError> {
        match self.reader()? {
            Some(file) => file
                .read_full_at(buf, offset)
                .map_err(|e| FsError::not_applied("read", "read", &self.path, e)),
            None => Ok(0),
        }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic in a caller's closure leaves nothing half-done: lengths are looked at anew under each lock.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_poison(&self) -> Result<(), FsError> {
        match self.poison.get() {
            None => Ok(()),
            Some(why) => {
                let source = io::Error::other(format!(
                    "an earlier sync failed ({why}); open the log again and check it"
                ));
                Err(FsError::not_applied(
                    OP,
                    "use the poisoned log",
                    &self.path,
                    source,
                ))
            }
        }
    }

    fn sync_segment(
        &self,
        segment: &Segment,
        ticket: u64,
        op: &'static str,
    ) -> Result<(), FsError> {
        let dir = parent_of(&self.path);
        segment
            .sync(ticket, || self.fs.sync_dir(&dir))
            .map_err(|failed| self.poisoned_by(op, &self.path, failed))
    }

    /// A sync failed.
    fn poisoned_by(&self, op: &'static str, path: &Path, failed: SyncFailed) -> FsError {
        let SyncFailed { name, error } = failed;
        let _ = self.poison.set(error.to_string());
        tracing::error!(path = %path.display(), %error, "a sync failed; the log must be opened again");
        if name {
            FsError::names(op, path, error)
        } else {
            FsError::unknown(op, "sync", path, error)
        }
    }

    /// Takes the lock among processes.
    fn lock(&self, writer: &mut Writer) -> Result<Held, FsError> {
        let step = |e| FsError::not_applied(OP, LOCK_STEP, &self.lock_path, e);
        let file: Arc<dyn FsFile> = if let Some(file) = &writer.lock_file {
            Arc::clone(file)
        } else {
            let opened = self.fs.open(&self.lock_path, OpenMode::Lock);
            let file = Arc::from(opened.map_err(step)?);
            writer.lock_file = Some(Arc::clone(&file));
            file
        };
        file.lock(LockMode::Exclusive, self.options.lock_wait)
            .map_err(step)?;
        Ok(Held(file))
    }

    /// Brings `writer.current` in line with what is at the path, and returns its length. Called under the lock.
    fn refresh(&self, writer: &mut Writer) -> Result<u64, FsError> {
        let step = |e| FsError::not_applied(OP, "look at the file", &self.path, e);
        let found = match self.fs.identify(&self.path) {
            Ok(m) if m.kind == FileKind::File => Some(m),
            Ok(m) => return Err(step(not_a_file(m.kind))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(step(e)),
        };
        if let Some(current) = &writer.current
            && found.is_none_or(|m| m.id != current.id)
        {
            // Rotated or replaced: what was promised for the old file must not be forgotten with it.
            self.sync_segment(&current.segment, current.segment.last_ticket(), OP)?;
            writer.current = None;
            writer.ring.forget();
        }
        Ok(found.map_or(0, |m| m.len))
    }

    /// Opens the file at the path, or creates it. Called under the lock.
    fn open_current(&self, writer: &mut Writer) -> Result<(), FsError> {
        let step = |e| FsError::not_applied(OP, "open", &self.path, e);
        if writer.current.is_none() {
            let file = self.fs.open(&self.path, OpenMode::Append).map_err(step)?;
            let meta = file.metadata().map_err(step)?;
            if !meta.is_file() {
                return Err(step(not_a_file(meta.kind)));
            }
            writer.current = Some(Current {
                opened: OPENED.fetch_add(1, Ordering::Relaxed),
                id: meta.id,
                segment: Arc::new(Segment::new(file)),
                clean_len: None,
            });
        }
        Ok(())
    }
}

/// The lock among processes; released when dropped.
#[derive(Debug)]
struct Held(Arc<dyn FsFile>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "unlock failed");
        }
    }
}
