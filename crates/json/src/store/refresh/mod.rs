//! Keeping what is known in line with the disk: the journal's new lines, the directory's new, changed and missing files.
//!
//! Where the system tells of every change in a directory, what it told since the last call is all there is to look at: one call
//! to the system if there is nothing. Files that it told of are looked at by every call, whatever it asks: another program may have
//! put any id into them.
//!
//! Elsewhere the directory's change time tells whether names were added or removed, and questions about contents look at
//! each file's own. A directory's change time has ticks: a change in the same tick as the last listing leaves it as it was. A
//! listing is therefore trusted for good only if it was taken a tick after its stamp was first seen. Until then a
//! [`Freshness::Strict`] reader lists again, and everybody does once when the tick is over. Newer systems give each change that
//! follows a look at the time a time of its own; once that was seen to be so, a listing is trusted at once.

mod follow;
mod learn;
mod listing;

use std::sync::{Arc, PoisonError, RwLockReadGuard};
use std::time::Instant;

use minutebook_fs::FsError;

use super::Store;
use super::read::{ATTEMPTS, Look};
use super::state::{DirSeen, DirStamp, State};
use super::watching::Told;
use crate::error::Result;
pub(crate) use follow::max_line_bytes;
use learn::to_check;

/// How much a reader has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It looks at a file whose name it knows: of others it matters what the system told of, and those that are new.
    Light,
    /// It has to know which files there are.
    Names,
    /// It has to know what every file holds: to ask about contents, or to say that there is no decision of an id.
    Contents,
}

/// So many files are looked at on the calling task.
pub(super) const FEW: usize = 64;

/// Files that were read, with what is in them.
pub(crate) type Learned = Vec<(Arc<str>, Look)>;

impl Store {
    /// What is known, in line with the disk.
    pub(crate) fn refresh(&self, freshness: Freshness) -> Result<RwLockReadGuard<'_, State>> {
        {
            let state = self.read_state();
            if self.is_fresh(&state, freshness)? {
                return Ok(state);
            }
        }
        let learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        self.update_and_check(freshness)?;
        drop(learning);
        Ok(self.read_state())
    }

    /// What is known, if it is in line with the disk, or little has to be looked at for that: one call to the system where the
    /// directory is watched and nothing has changed.
    pub(crate) fn fresh(&self, freshness: Freshness) -> Result<Option<RwLockReadGuard<'_, State>>> {
        {
            let state = self.read_state();
            if self.is_fresh(&state, freshness)? {
                return Ok(Some(state));
            }
            let few = to_check(&state, freshness).len() <= FEW;
            if !state.listed || !few || !self.watching.told_few(FEW) {
                return Ok(None);
            }
        }
        let Ok(learning) = self.learning.try_lock() else {
            return Ok(None);
        };
        self.update_and_check(freshness)?;
        drop(learning);
        Ok(Some(self.read_state()))
    }

    fn update_and_check(&self, freshness: Freshness) -> Result<()> {
        for _ in 0..ATTEMPTS {
            self.update_now(freshness)?;
            // What is gone may have got another name, after the look at the names.
            if !self.check_now(freshness)? {
                break;
            }
        }
        Ok(())
    }

    fn is_fresh(&self, state: &State, freshness: Freshness) -> Result<bool> {
        let checked = to_check(state, freshness).is_empty();
        match self.watching.told() {
            Told::Nothing => Ok(checked && state.listed),
            Told::Changes => Ok(false),
            // Any file may have changed, and nobody tells.
            Told::Unwatched if freshness == Freshness::Contents => Ok(false),
            Told::Unwatched => {
                let Some(seen) = state.dir else {
                    return Ok(false);
                };
                let in_tick = freshness == Freshness::Light && seen.in_tick(Instant::now());
                if !checked || !state.listed || !(seen.confirmed || in_tick) {
                    return Ok(false);
                }
                Ok(self.dir_stamp()? == seen.stamp && state.journal.is_current()?)
            }
        }
    }

    pub(crate) fn dir_stamp(&self) -> Result<DirStamp> {
        let meta = self.fs.metadata(&self.dir).map_err(|error| {
            FsError::not_applied("read", "look at the directory", &self.dir, error)
        })?;
        Ok(DirStamp::from(&meta))
    }

    /// Brings what is known in line with the disk.
    pub(crate) fn update(&self, freshness: Freshness) -> Result<()> {
        let _learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        self.update_now(freshness)
    }

    fn update_now(&self, freshness: Freshness) -> Result<()> {
        let Some(changes) = self.watching.take(|| self.fs.watch_dir(&self.dir)) else {
            return self.update_unwatched(freshness);
        };
        let take_over = || -> Result<()> {
            if changes.journal || changes.everything {
                self.follow_journal()?;
            }
            if changes.everything || !self.read_state().listed {
                self.list_anew()?;
                self.write_state().index.doubt_all();
                return Ok(());
            }
            if !changes.names.is_empty() {
                let mut state = self.write_state();
                for name in &changes.names {
                    state.index.suspect_change(name);
                }
            }
            Ok(())
        };
        let result = take_over();
        self.watching.settle(changes, result.is_ok());
        result
    }

    fn update_unwatched(&self, freshness: Freshness) -> Result<()> {
        self.follow_journal()?;
        let stamp = self.dir_stamp()?;
        let (seen, listed) = {
            let state = self.read_state();
            (state.dir, state.listed)
        };
        let now = Instant::now();
        let first = match seen {
            Some(seen) if seen.stamp == stamp && listed => {
                if seen.confirmed || (freshness == Freshness::Light && seen.in_tick(now)) {
                    if freshness == Freshness::Contents {
                        self.write_state().index.doubt_all();
                    }
                    return Ok(());
                }
                seen.first
            }
            _ => now,
        };
        self.list_anew()?;
        let next = DirSeen {
            stamp,
            first,
            confirmed: false,
        };
        let mut state = self.write_state();
        state.dir = Some(DirSeen {
            confirmed: state.fine_times || !next.in_tick(now),
            ..next
        });
        if freshness == Freshness::Contents {
            state.index.doubt_all();
        }
        Ok(())
    }
}
