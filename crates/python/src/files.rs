//! Files for the layers written in Python: replaced whole, appended to under a lock, locked.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minutebook_fs::{AppendLog, AppendOptions, Durability, Fs, FsError, LockGuard, LockWait, OsFs};
use pyo3::prelude::*;

use crate::{error, wait};

/// What `synced` of the Python side stands for.
pub(crate) fn durability(synced: bool) -> Durability {
    if synced {
        Durability::Synced
    } else {
        Durability::Buffered
    }
}

/// Replaces a file's whole content: a reader sees the old bytes or the new ones, and a kill leaves either.
#[pyfunction]
pub(crate) fn replace_file(
    py: Python<'_>,
    path: PathBuf,
    data: &[u8],
    synced: bool,
) -> PyResult<()> {
    py.detach(|| minutebook_fs::replace(&OsFs, &path, data, durability(synced)))
        .map_err(|failed| error::file("save", &path, failed))
}

/// Removes a file and says whether it was there.
#[pyfunction]
pub(crate) fn remove_file(py: Python<'_>, path: PathBuf, synced: bool) -> PyResult<bool> {
    py.detach(|| minutebook_fs::remove(&OsFs, &path, durability(synced)))
        .map_err(|failed| error::file("remove", &path, failed))
}

/// A lock among threads and processes, as a context manager. Not reentrant.
#[pyclass(module = "minutebook._native", frozen)]
pub(crate) struct FileLock {
    path: PathBuf,
    fs: Arc<dyn Fs>,
    held: Mutex<Option<LockGuard>>,
}

#[pymethods]
impl FileLock {
    #[new]
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            fs: Arc::new(OsFs),
            held: Mutex::new(None),
        }
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let this = slf.get();
        plainly_made(&this.path);
        let guard = wait::lock(slf.py(), &this.fs, &this.path)?.map_err(|failed| {
            let failed = FsError::not_applied("lock", "lock", &this.path, failed);
            error::file("lock", &this.path, failed)
        })?;
        *this.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
        Ok(slf.clone())
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn __repr__(&self) -> String {
        format!("FileLock({})", self.path.display())
    }
}

/// A log of lines to which threads and processes append.
#[pyclass(module = "minutebook._native", frozen)]
pub(crate) struct LineLog {
    path: PathBuf,
    lock_path: PathBuf,
    synced: bool,
    log: Mutex<Arc<AppendLog>>,
}

#[pymethods]
impl LineLog {
    #[new]
    fn new(path: PathBuf, lock_path: PathBuf, synced: bool) -> Self {
        Self {
            log: Mutex::new(Arc::new(opened(&path, &lock_path))),
            path,
            lock_path,
            synced,
        }
    }

    /// Appends complete lines in one write; gives the offset of the first of them.
    fn append(&self, py: Python<'_>, lines: &[u8]) -> PyResult<u64> {
        let mut is_again = false;
        loop {
            let log = Arc::clone(&self.log());
            let done = py.detach(|| log.append(lines, durability(self.synced)));
            let failed = match done {
                Ok(appended) => return Ok(appended.offset),
                Err(failed)
                    if failed.nothing_applied()
                        && failed.kind() == std::io::ErrorKind::TimedOut =>
                {
                    py.check_signals()?;
                    continue;
                }
                Err(failed) => failed,
            };
            // The directory went away with all that was in it, so nothing can come twice.
            let is_gone = failed.kind() == std::io::ErrorKind::NotFound;
            let is_poisoned = log.poisoned().is_some();
            if is_gone || is_poisoned {
                self.open_again(py, &log);
            }
            if !is_again && (is_gone || (is_poisoned && failed.nothing_applied())) {
                is_again = true;
                continue;
            }
            return Err(error::file("append", &self.path, failed));
        }
    }

    fn __repr__(&self) -> String {
        format!("LineLog({})", self.path.display())
    }
}

impl LineLog {
    fn log(&self) -> MutexGuard<'_, Arc<AppendLog>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a new log in the place of one that cannot be used any more, unless another thread did so before.
    fn open_again(&self, py: Python<'_>, broken: &Arc<AppendLog>) {
        let new = py.detach(|| Arc::new(opened(&self.path, &self.lock_path)));
        let mut log = self.log();
        if Arc::ptr_eq(&log, broken) {
            *log = new;
        }
    }
}

/// A log whose files can be read by whom the process lets read its files.
fn opened(path: &Path, lock_path: &Path) -> AppendLog {
    let options = AppendOptions::default().lock_wait(LockWait::Timeout(wait::SLICE));
    plainly_made(lock_path);
    plainly_made(path);
    AppendLog::open(Arc::new(OsFs), path, lock_path, options)
}

/// Makes an empty file as a plain `open` does, where there is none. If that fails, who opens it next says why.
fn plainly_made(path: &Path) {
    let made = OpenOptions::new().append(true).create_new(true).open(path);
    drop(made);
}
