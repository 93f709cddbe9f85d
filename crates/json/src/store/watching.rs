//! What the system tells of changes in the directory, until it is taken over.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minutebook_fs::DirWatch;

use crate::layout;

/// Whether there is anything to take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nobody tells; one has to look.
    Unwatched,
    Nothing,
    Changes,
}

/// What was told.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Documents whose files changed.
    pub(crate) names: HashSet<Arc<str>>,
    /// Whether the journal changed.
    pub(crate) journal: bool,
    /// Whether everything has to be looked at.
    pub(crate) everything: bool,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.journal && !self.everything
    }

    fn note(&mut self, name: &OsStr) {
        let Some(name) = name.to_str() else { return };
        if name == layout::JOURNAL {
            self.journal = true;
        } else if layout::is_document(name) && !self.everything && !self.names.contains(name) {
            self.names.insert(name.into());
        }
    }
}

/// A watch of the directory, shared by all threads.
#[derive(Debug)]
pub(crate) struct Watching {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    watch: Option<Box<dyn DirWatch>>,
    /// Whether a watch cannot be had.
    refused: bool,
    changes: Changes,
    /// Whether a thread is taking changes over.
    taking: bool,
}

impl Watching {
    /// Watches nothing until it is first needed; never, if it should not.
    pub(crate) fn new(wanted: bool) -> Self {
        Self {
            inner: Mutex::new(Inner {
                watch: None,
                refused: !wanted,
                changes: Changes {
                    everything: true,
                    ..Changes::default()
                },
                taking: false,
            }),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything changed that was not taken over yet. One call to the system.
    pub(crate) fn told(&self) -> Told {
        let mut inner = self.inner();
        if inner.watch.is_none() {
            return if inner.refused {
                Told::Unwatched
            } else {
                Told::Changes
            };
        }
        inner.poll();
        if inner.taking || !inner.changes.is_empty() {
            Told::Changes
        } else {
            Told::Nothing
        }
    }

    /// Whether the system tells of changes.
    pub(crate) fn is_watching(&self) -> bool {
        self.inner().watch.is_some()
    }

    /// Whether what changed is at most so many documents.
    pub(crate) fn told_few(&self, most: usize) -> bool {
        let inner = self.inner();
        let changes = &inner.changes;
        inner.watch.is_some() && !inner.taking && !changes.everything && changes.names.len() <= most
    }

    /// Everything that changed so far, to be taken over; `None` if there is no watch. Starts one where there is none, or one that
    /// misses changes.
    pub(crate) fn take(
        &self,
        start: impl FnOnce() -> io::Result<Box<dyn DirWatch>>,
    ) -> Option<Changes> {
        let mut inner = self.inner();
        inner.poll();
        if inner.watch.is_none() {
            if inner.refused {
                return None;
            }
            match start() {
                Ok(watch) => {
                    inner.watch = Some(watch);
                    inner.changes.everything = true;
                }
                Err(error) => {
                    tracing::debug!(%error, "the directory cannot be watched, so it is looked at");
                    inner.refused = true;
                    return None;
                }
            }
        }
        inner.taking = true;
        Some(std::mem::take(&mut inner.changes))
    }

    /// The changes were taken over, or come back.
    pub(crate) fn settle(&self, changes: Changes, done: bool) {
        let mut inner = self.inner();
        inner.taking = false;
        if !done {
            inner.changes.journal |= changes.journal;
            inner.changes.everything |= changes.everything;
            inner.changes.names.extend(changes.names);
        }
    }

    /// Keeps the system's queue short while much is written.
    pub(crate) fn drain(&self) {
        self.inner().poll();
    }
}

impl Inner {
    fn poll(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        let changes = &mut self.changes;
        let all = watch.changes(&mut |name| changes.note(name));
        if !matches!(all, Ok(true)) {
            tracing::debug!("changes of the directory may have been missed; it is looked at anew");
            self.watch = None;
            changes.everything = true;
            changes.names.clear();
            changes.journal = true;
        }
    }
}
