//! Group commit: callers that wait for durability at the same time share one sync.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::fs::FsFile;

/// One open file of a log, with what is known about the durability of what was written to it through this handle.
///
/// A write takes a ticket after its bytes are in the file. A sync that starts later covers every ticket given out
/// before; the first waiter does it for all who wait.
#[derive(Debug)]
pub(crate) struct Segment {
    file: Box<dyn FsFile>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    written: u64,
    synced: u64,
    syncing: bool,
    /// The name of the file was made durable since it was opened. Another process may have created it a moment ago.
    name_durable: bool,
    failed: Option<SyncFailed>,
}

/// A sync that failed.
#[derive(Debug)]
pub(crate) struct SyncFailed {
    /// Of the directory, and not of the file.
    pub(crate) name: bool,
    pub(crate) error: io::Error,
}

impl SyncFailed {
    pub(crate) fn of_name(error: io::Error) -> Self {
        Self { name: true, error }
    }

    /// The same for another caller.
    fn copy(&self) -> Self {
        let error = io::Error::new(self.error.kind(), self.error.to_string());
        Self { error, ..*self }
    }
}

impl From<io::Error> for SyncFailed {
    fn from(error: io::Error) -> Self {
        Self { name: false, error }
    }
}

impl Segment {
    pub(crate) fn new(file: Box<dyn FsFile>) -> Self {
        Self {
            file,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn file(&self) -> &dyn FsFile {
        &*self.file
    }

    /// The ticket of a write that is in the file now.
    pub(crate) fn note_written(&self) -> u64 {
        let mut state = self.state();
        state.written += 1;
        state.written
    }

    pub(crate) fn last_ticket(&self) -> u64 {
        self.state().written
    }

    /// Returns when everything up to `ticket` is durable.
    pub(crate) fn sync(
        &self,
        ticket: u64,
        sync_name: impl Fn() -> io::Result<()>,
    ) -> Result<(), SyncFailed> {
        let mut state = self.state();
        loop {
            if state.synced >= ticket {
                return Ok(());
            }
            if let Some(failed) = &state.failed {
                return Err(failed.copy());
            }
            if state.syncing {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.syncing = true;
            let target = state.written;
            let name_durable = state.name_durable;
            drop(state);
            let leader = Leader { segment: self };
            let result = if name_durable {
                self.file.sync_data().map_err(SyncFailed::from)
            } else {
                let synced = self.file.sync_all().map_err(SyncFailed::from);
                synced.and_then(|()| sync_name().map_err(SyncFailed::of_name))
            };
            state = leader.finish(target, &result);
            result?;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one who syncs; wakes the others even if the sync panics.
struct Leader<'a> {
    segment: &'a Segment,
}

impl<'a> Leader<'a> {
    fn finish(self, target: u64, result: &Result<(), SyncFailed>) -> MutexGuard<'a, State> {
        let segment = self.segment;
        std::mem::forget(self);
        let mut state = segment.state();
        state.syncing = false;
        match result {
            Ok(()) => {
                state.synced = state.synced.max(target);
                state.name_durable = true;
            }
            Err(failed) => state.failed = Some(failed.copy()),
        }
        segment.changed.notify_all();
        state
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let mut state = self.segment.state();
        state.syncing = false;
        state.failed = Some(io::Error::other("the sync panicked").into());
        self.segment.changed.notify_all();
    }
}
