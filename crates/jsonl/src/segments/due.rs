//! When the plain file is due to be sealed, and doing it on the way of an append.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use minutebook_core::time::from_system;
use minutebook_fs::{FileId, LockMode, LockWait};

use super::sealers::compress_later;
use super::{Guard, finish, rotate};
use crate::error::JsonlError;
use crate::store::{Series, State, Store};

/// What this process knows of a series' plain file since it last appended to it.
#[derive(Debug)]
pub(crate) struct Due {
    /// Its length after our last append.
    end: AtomicU64,
    /// The day of our last append, counted from 1970.
    day: AtomicI64,
    /// Bytes of lines before the plain file, which is the one that was opened under this number.
    base: Mutex<Option<(u64, u64)>>,
    /// The plain file that has lines of an earlier day and could not be sealed, as somebody else was at work. Our next append makes it look new.
    overdue: Mutex<Option<FileId>>,
    /// What was sealed last waits for a thread of ours that compresses it. Nothing more is sealed before.
    pub(super) waits: AtomicBool,
}

impl Default for Due {
    fn default() -> Self {
        Self {
            end: AtomicU64::new(0),
            day: AtomicI64::new(i64::MIN),
            base: Mutex::default(),
            overdue: Mutex::default(),
            waits: AtomicBool::new(false),
        }
    }
}

impl Due {
    /// The length of the plain file after our last append.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Notes that the plain file begins anew.
    pub(crate) fn sealed(&self) {
        self.end.store(0, Ordering::Relaxed);
        *self.overdue() = None;
    }

    fn overdue(&self) -> MutexGuard<'_, Option<FileId>> {
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the next append look again whether a day is over.
    fn look_again(&self) {
        self.day.store(i64::MIN, Ordering::Relaxed);
    }
}

/// Notes where the plain file ends after an append, and gives how many bytes of lines the series has had up to there. Under the writers' lock; `state` is given by
/// who holds it.
pub(crate) fn note_end(
    store: &Store,
    series: &Series,
    state: Option<&mut State>,
    opened: Option<u64>,
    end: u64,
) -> Result<u64, JsonlError> {
    series.due.end.store(end, Ordering::Relaxed);
    let lock = || {
        series
            .due
            .base
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    // A file that is sealed gets another name and never more lines, so what is before a plain file never changes.
    if let Some((_, base)) = lock().filter(|(known, _)| Some(*known) == opened) {
        return Ok(base + end);
    }
    let base = match state {
        Some(state) => before(store, series, state)?,
        None => before(store, series, &mut series.state())?,
    };
    *lock() = opened.map(|opened| (opened, base));
    Ok(base + end)
}

/// Bytes of lines before the plain file.
fn before(store: &Store, series: &Series, state: &mut State) -> Result<u64, JsonlError> {
    /// So many rotations in a row may come between before a look is given up.
    const ATTEMPTS: usize = 64;
    let known = &mut state.segments.known;
    known.refresh(&*store.config.fs, &series.sealed)?;
    for _ in 0..ATTEMPTS {
        let Some(manifest) = known.manifest.clone() else {
            return Ok(0);
        };
        let raw = store.metadata(&series.sealed.raw(manifest.next))?;
        // What is compressed meanwhile goes from the one to the other.
        if !known.refresh(&*store.config.fs, &series.sealed)? {
            return Ok(manifest.bytes_before() + raw.map_or(0, |meta| meta.len));
        }
    }
    Err(JsonlError::Moved)
}

/// Seals the plain file if it is due. What was sealed is compressed by one of a few threads, which nobody waits for.
///
/// A failure to seal is logged and leaves everything as it was: the append goes on, and the next one tries again.
pub(crate) fn before_append(store: &Arc<Store>, series: &Arc<Series>) {
    let rotation = store.config.rotation;
    if rotation.bytes.is_none() && !rotation.daily {
        return;
    }
    let full = rotation
        .bytes
        .is_some_and(|bytes| series.due.end.load(Ordering::Relaxed) >= bytes);
    let today = rotation
        .daily
        .then(|| day(store.config.clock.now()))
        .filter(|today| series.due.day.swap(*today, Ordering::Relaxed) != *today);
    if !full && today.is_none() {
        return;
    }
    match seal_if_due(store, series, today) {
        Ok(()) => {}
        Err(error) => {
            if today.is_some() {
                series.due.look_again();
            }
            let path = series.data.display();
            tracing::warn!(%path, %error, "the file is due to be sealed, which did not succeed; the next append tries again");
        }
    }
}

fn day(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(86_400)
}

fn seal_if_due(
    store: &Arc<Store>,
    series: &Arc<Series>,
    today: Option<i64>,
) -> Result<(), JsonlError> {
    // The plain file, if it has lines of an earlier day: the last one was written then, or it is known to be overdue.
    let old = |store: &Store| -> Result<Option<FileId>, JsonlError> {
        let (Some(today), Some(meta)) = (today, store.metadata(&series.data)?) else {
            return Ok(None);
        };
        let is_old =
            day(from_system(meta.modified)) < today || *series.due.overdue() == Some(meta.id);
        Ok(is_old.then_some(meta.id))
    };
    let limit = store.config.rotation.bytes.unwrap_or(u64::MAX);
    let known = series.due.end.load(Ordering::Relaxed);
    let overdue = old(store)?;
    if known < limit && overdue.is_none() {
        return Ok(());
    }
    let guard = if series.due.waits.load(Ordering::Acquire) {
        None
    } else {
        match Guard::take(store, series, LockMode::Exclusive, LockWait::Try) {
            Ok(guard) => Some(guard),
            Err(JsonlError::Fs(error)) if error.is_locked() => None,
            Err(error) => return Err(error),
        }
    };
    let Some(guard) = guard else {
        // Somebody is at it.
        if overdue.is_some() {
            *series.due.overdue() = overdue;
            series.due.look_again();
        }
        return Ok(());
    };
    // Rarely anything: what an interrupted rotation left must be out of the way.
    finish(store, series, &guard)?;
    let sealed = rotate::seal(store, series, &guard, |log| {
        Ok(log.len() >= limit || old(store)?.is_some())
    })?;
    if !sealed {
        series.was_sealed();
        return Ok(());
    }
    compress_later(store, series, guard);
    Ok(())
}
