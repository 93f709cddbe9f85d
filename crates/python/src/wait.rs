//! Waiting without the interpreter's lock, and so that Ctrl-C is heard.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use minutebook_fs::{Fs, LockGuard, LockMode, LockWait};
use pyo3::prelude::*;

/// How long a signal may wait to be heard.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// Takes a lock; a signal's exception ends the waiting.
pub(crate) fn lock(
    py: Python<'_>,
    fs: &Arc<dyn Fs>,
    path: &Path,
) -> PyResult<io::Result<LockGuard>> {
    let first = py.detach(|| fs.lock(path, LockMode::Exclusive, LockWait::Try));
    let mut taken = first;
    while let Err(error) = &taken {
        if !matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        ) {
            break;
        }
        py.check_signals()?;
        taken = py.detach(|| fs.lock(path, LockMode::Exclusive, LockWait::Timeout(SLICE)));
    }
    Ok(taken)
}
