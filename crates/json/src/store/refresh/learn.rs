//! What the files hold: looked at where that is in doubt, read where they are not as they were.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use minutebook_fs::FileKind;
use minutebook_fs::task::parallelism;

use super::{Freshness, Learned};
use crate::error::Result;
use crate::store::Store;
use crate::store::index::{Content, Stamp};
use crate::store::read::Look;
use crate::store::state::State;

/// So many files are looked at before others get their turn.
const PART: usize = 1_024;
/// So many of them are worth a thread.
const WORTH_A_THREAD: usize = 128;

impl Store {
    /// Reads the files of which nothing is known yet.
    pub(crate) fn check_new_files(&self) -> Result<()> {
        if self.read_state().index.unread().is_empty() {
            return Ok(());
        }
        let _learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_now(Freshness::Names).map(drop)
    }

    /// Looks at the files that are in doubt.
    pub(in crate::store) fn check_files(&self, freshness: Freshness) -> Result<()> {
        let _learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_now(freshness).map(drop)
    }

    /// Looks at the files that are in doubt, and says whether any of them is gone.
    pub(super) fn check_now(&self, freshness: Freshness) -> Result<bool> {
        let names: Vec<Arc<str>> = to_check(&self.read_state(), freshness)
            .iter()
            .cloned()
            .collect();
        let mut gone = false;
        // In parts, so that others are not kept waiting and memory stays bounded.
        for part in names.chunks(PART) {
            let mut learned = Learned::with_capacity(part.len());
            let mut same = Vec::new();
            {
                let state = self.read_state();
                let checked = by_all_processors(part, |name| self.check_file(&state, name));
                for (name, checked) in part.iter().zip(checked) {
                    match checked? {
                        None => same.push(name),
                        Some(look) => {
                            gone |= look.absent;
                            learned.push((Arc::clone(name), look));
                        }
                    }
                }
            }
            if !same.is_empty() {
                let mut state = self.write_state();
                for name in same {
                    state.index.confirm(name);
                }
            }
            self.learn(learned);
        }
        Ok(gone)
    }

    /// What is in a file, unless it looks as it is known to.
    fn check_file(&self, state: &State, name: &Arc<str>) -> Result<Option<Look>> {
        let row = state.index.row(name);
        if row.is_none_or(|row| row.absent) {
            return Ok(None);
        }
        // If that fails, reading it says why.
        let meta = self.fs.metadata(&self.path(name)).ok();
        let stamp = meta.as_ref().map(Stamp::from);
        if stamp.is_some() && row.is_some_and(|row| row.stamp == stamp) {
            return Ok(None);
        }
        Ok(Some(Look {
            stamp,
            kind: meta.map(|meta| meta.kind),
            ..self.look(state, name, false)?
        }))
    }

    /// Takes over what reading files has shown.
    pub(crate) fn learn(&self, learned: Learned) {
        if learned.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut state = self.write_state();
        let fine = state.fine_times;
        for (name, look) in learned {
            if look.absent {
                if !state.index.row(&name).is_some_and(|row| row.absent) {
                    state.index.remove(&name);
                    state.note_vanished(&name);
                }
                continue;
            }
            // Of a file that a listing no longer has, nothing is to be learned.
            if state.index.row(&name).is_none() {
                continue;
            }
            if let Some(kind) = look.kind.filter(|kind| *kind != FileKind::File) {
                state.index.not_a_file(&name, kind);
                continue;
            }
            match look.candidate {
                Some(found) => {
                    let stamp = look
                        .stamp
                        .filter(|_| !found.from_journal)
                        .and_then(|stamp| state.index.trust(&name, stamp, now, fine));
                    let content = Content {
                        time: found.time(),
                        at: found.at,
                        token: found.token,
                        journaled: found.journaled,
                        facts: state.index.facts(&found.document.decision),
                    };
                    let id = found.id().clone();
                    let before = state.index.row(&name).and_then(|row| row.id.clone());
                    if content.journaled
                        && stamp.is_some()
                        && !state.known.since().contains_key(&id)
                    {
                        state.restamped.insert(Arc::clone(&name));
                    }
                    let another = before.is_some_and(|before| before != id);
                    state.index.place(Arc::clone(&name), id, content, stamp);
                    if another {
                        state.note_vanished(&name);
                    }
                    if let Some(unreadable) = look.problem {
                        state.index.ail(name, unreadable.problem);
                    }
                }
                None => match look.problem {
                    Some(unreadable) => state.index.suspect(name, Some(unreadable)),
                    None => state.index.remove(&name),
                },
            }
        }
    }
}

/// The files that have to be looked at before such a question is answered.
pub(super) fn to_check(state: &State, freshness: Freshness) -> &HashSet<Arc<str>> {
    match freshness {
        Freshness::Light | Freshness::Names => state.index.unread(),
        Freshness::Contents => state.index.unchecked(),
    }
}

/// What `f` makes of each, in order.
fn by_all_processors<T: Sync, R: Send>(items: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = parallelism().min(items.len() / WORTH_A_THREAD);
    if threads < 2 {
        return items.iter().map(f).collect();
    }
    let mut parts = items.chunks(items.len().div_ceil(threads));
    let first = parts.next().unwrap_or_default();
    let work = |part: &[T]| part.iter().map(&f).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        // Where the system gives no thread, there is this one.
        let start = |part| {
            let begun = std::thread::Builder::new().spawn_scoped(scope, move || work(part));
            begun.map_err(|_| part)
        };
        let others: Vec<_> = parts.map(start).collect();
        let mut all = work(first);
        for other in others {
            all.extend(match other.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(done)) => done,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(part) => work(part),
            });
        }
        all
    })
}
