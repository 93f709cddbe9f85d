//! The compressed segments that a read needs, few of them open at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use minutebook_fs::{Fs, FsError, FsFile, LockGuard, LockMode, LockWait, Metadata, OpenMode};

use super::{Paths, SealedFile};
use crate::error::JsonlError;
use crate::store::{Series, Store};

/// So many compressed segments a read keeps open.
const MOST: usize = 64;

/// So long a read of many segments waits for a removal, if it may wait for ever for everything else.
const PATIENCE: Duration = Duration::from_secs(5);

/// The compressed segments of a read. Few are opened at once, and then stay readable whatever becomes of their names. Of many, those that were used last are
/// open; so that the others are still there when the read comes to them, a shared lock keeps whoever moves segments away from removing any.
pub(crate) struct Opened {
    fs: Arc<dyn Fs>,
    paths: Paths,
    state: Mutex<State>,
    /// Closing it releases the lock.
    _lock: Option<Box<dyn FsFile>>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    /// Those that are open; the one that was used last is the last.
    open: VecDeque<(u64, Arc<SealedFile>)>,
    /// Which file each was when it was opened first: under its number there may be another one by now.
    were: HashMap<u64, Metadata>,
}

impl Opened {
    /// The segments of these ids and numbers.
    ///
    /// # Errors
    /// [`JsonlError::Moved`] if one is not there any more.
    pub(crate) fn new(
        store: &Store,
        series: &Series,
        wanted: &[(&str, u64)],
    ) -> Result<Arc<Self>, JsonlError> {
        let fs = &store.config.fs;
        let many = wanted.len() > MOST;
        let lock = if many { shared(store, series)? } else { None };
        let opened = Self {
            fs: Arc::clone(fs),
            paths: series.sealed.clone(),
            state: Mutex::default(),
            _lock: lock,
        };
        if many {
            let mut state = series.state();
            let known = &mut state.segments.known;
            known.refresh(&**fs, &series.sealed)?;
            let is_there = |(id, number): &(&str, u64)| {
                let entry = known.manifest.as_ref().and_then(|all| all.get(*number));
                entry.is_some_and(|entry| entry.id == *id)
            };
            if !wanted.iter().all(is_there) {
                return Err(JsonlError::Moved);
            }
        }
        for (_, number) in wanted {
            opened.get(*number)?;
        }
        Ok(Arc::new(opened))
    }

    /// A segment, which is opened if it is not open.
    ///
    /// # Errors
    /// [`JsonlError::Moved`] if it is not there any more.
    pub(crate) fn get(&self, number: u64) -> Result<Arc<SealedFile>, JsonlError> {
        let mut state = self.state();
        let known = state.open.iter().position(|(known, _)| *known == number);
        if let Some(entry) = known.and_then(|place| state.open.remove(place)) {
            let file = Arc::clone(&entry.1);
            state.open.push_back(entry);
            return Ok(file);
        }
        let path = self.paths.sealed(number);
        let file = SealedFile::open(&*self.fs, &path)?.ok_or(JsonlError::Moved)?;
        let is = file.of_file().map_err(JsonlError::Read)?;
        let was = *state.were.entry(number).or_insert(is);
        if (was.id, was.len, was.changed_ns) != (is.id, is.len, is.changed_ns) {
            return Err(JsonlError::Moved);
        }
        let file = Arc::new(file);
        if state.open.len() >= MOST {
            state.open.pop_front();
        }
        state.open.push_back((number, Arc::clone(&file)));
        Ok(file)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing here is left half-done by a panic: each change is an assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lock of reads of many segments, shared with other reads. `None` if there is none: reading makes no file, and whoever seals makes it.
fn shared(store: &Store, series: &Series) -> Result<Option<Box<dyn FsFile>>, JsonlError> {
    let path = &series.reads;
    let file = match store.config.fs.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FsError::not_applied("read", "open", path, error).into()),
    };
    file.lock(LockMode::Shared, patient(store))
        .map_err(|error| FsError::not_applied("read", "lock", path, error))?;
    Ok(Some(file))
}

/// Keeps out reads of many segments while some are removed; `None` if one is going on, or may be: as long as the file of the lock was not there, reads held none.
pub(super) fn if_nobody_reads(
    store: &Store,
    series: &Series,
) -> Result<Option<LockGuard>, JsonlError> {
    if make_lock(store, series)? {
        return Ok(None);
    }
    let path = &series.reads;
    let fs = &store.config.fs;
    match fs.lock(path, LockMode::Exclusive, LockWait::Try) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(FsError::not_applied("compact", "lock", path, error).into()),
    }
}

/// Makes the file of the lock, for reads to come; `false` if it is there.
pub(super) fn make_lock(store: &Store, series: &Series) -> Result<bool, JsonlError> {
    let path = &series.reads;
    if store.metadata(path)?.is_some() {
        return Ok(false);
    }
    let made = store.config.fs.open(path, OpenMode::Lock);
    made.map_err(|error| FsError::not_applied("rotate", "make", path, error))?;
    Ok(true)
}

fn patient(store: &Store) -> LockWait {
    match store.config.lock_wait {
        LockWait::Block => LockWait::Timeout(PATIENCE),
        wait => wait,
    }
}
