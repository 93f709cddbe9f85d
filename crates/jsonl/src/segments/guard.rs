//! Who seals, compacts or deletes a series does it alone.

use minutebook_fs::{FsError, LockGuard, LockMode, LockWait};

use crate::error::JsonlError;
use crate::store::{Series, Store};

/// The held lock of one series' segments.
#[derive(Debug)]
pub(crate) struct Guard {
    _lock: LockGuard,
}

impl Guard {
    /// Takes the lock. It is taken before the writers' lock, never after it.
    pub(crate) fn take(
        store: &Store,
        series: &Series,
        mode: LockMode,
        wait: LockWait,
    ) -> Result<Self, JsonlError> {
        let lock = store
            .config
            .fs
            .lock(&series.seal, mode, wait)
            .map_err(|error| FsError::not_applied("rotate", "lock", &series.seal, error))?;
        Ok(Self { _lock: lock })
    }

    /// As [`take`](Self::take), exclusively, waiting as long as the configuration says.
    pub(crate) fn exclusive(store: &Store, series: &Series) -> Result<Self, JsonlError> {
        Self::take(store, series, LockMode::Exclusive, store.config.lock_wait)
    }
}
