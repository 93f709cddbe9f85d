//! Files for the layers written in Python: replaced whole, appended to under a lock, locked.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

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
    log: AppendLog,
    synced: bool,
}

#[pymethods]
impl LineLog {
    #[new]
    fn new(path: PathBuf, lock_path: PathBuf, synced: bool) -> Self {
        let options = AppendOptions::default().lock_wait(LockWait::Timeout(wait::SLICE));
        Self {
            log: AppendLog::open(Arc::new(OsFs), path, lock_path, options),
            synced,
        }
    }

    /// Appends complete lines in one write.
    fn append(&self, py: Python<'_>, lines: &[u8]) -> PyResult<()> {
        loop {
            let done = py.detach(|| self.log.append(lines, durability(self.synced)));
            match done {
                Ok(_) => return Ok(()),
                Err(failed)
                    if failed.nothing_applied()
                        && failed.kind() == std::io::ErrorKind::TimedOut =>
                {
                    py.check_signals()?;
                }
                Err(failed) => return Err(error::file("append", self.log.path(), failed)),
            }
        }
    }

    /// Makes durable what was appended.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.log.sync())
            .map_err(|failed| error::file("sync", self.log.path(), failed))
    }

    fn __repr__(&self) -> String {
        format!("LineLog({})", self.log.path().display())
    }
}
