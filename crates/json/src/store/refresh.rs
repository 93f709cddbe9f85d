//! Keeping what is known in line with the disk: the journal's new lines, the directory's new, changed and missing files.
//!
//! A directory's change time has ticks: a change in the same tick as the last listing leaves it as it was. A listing is
//! therefore trusted for good only if it was taken a tick after its stamp was first seen. Until then a
//! [`Freshness::Strict`] reader lists again, and everybody does once when the tick is over. Newer systems give each change that
//! follows a look at the time a time of its own; once that was seen to be so, a listing is trusted at once.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLockReadGuard};
use std::time::Instant;

use minutebook_fs::{FileKind, FsError};

use super::Store;
use super::index::Stamp;
use super::read::Look;
use super::state::{DirSeen, DirStamp, State};
use crate::error::Result;
use crate::journal::{CaughtUp, Checkpoint, Journal};
use crate::layout;

/// How a reader takes changes that may hide behind the directory's stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It looks at a file whose name it knows, so they do not matter much: they are seen when the tick is over.
    Light,
    /// It lists the directory again.
    Strict,
}

/// The names of documents, and those like them that are no regular files.
type Listing = (Vec<Arc<str>>, BTreeMap<String, FileKind>);

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
        self.update(freshness)?;
        drop(learning);
        Ok(self.read_state())
    }

    /// What is known, if it is in line with the disk; two calls to the system.
    pub(crate) fn fresh(&self) -> Result<Option<RwLockReadGuard<'_, State>>> {
        let state = self.read_state();
        Ok(self.is_fresh(&state, Freshness::Light)?.then_some(state))
    }

    fn is_fresh(&self, state: &State, freshness: Freshness) -> Result<bool> {
        let Some(seen) = state.dir else {
            return Ok(false);
        };
        if !seen.confirmed && (freshness == Freshness::Strict || !seen.in_tick(Instant::now())) {
            return Ok(false);
        }
        Ok(self.dir_stamp()? == seen.stamp && state.journal.is_current()?)
    }

    pub(crate) fn dir_stamp(&self) -> Result<DirStamp> {
        let meta = self.fs.metadata(&self.dir).map_err(|error| {
            FsError::not_applied("read", "look at the directory", &self.dir, error)
        })?;
        Ok(DirStamp::from(&meta))
    }

    /// Brings what is known in line with the disk.
    pub(crate) fn update(&self, freshness: Freshness) -> Result<()> {
        self.follow_journal()?;
        let stamp = self.dir_stamp()?;
        let seen = self.read_state().dir;
        let now = Instant::now();
        let first = match seen {
            Some(seen) if seen.stamp == stamp => {
                if seen.confirmed || (freshness == Freshness::Light && seen.in_tick(now)) {
                    return Ok(());
                }
                seen.first
            }
            _ => now,
        };
        let (names, not_files) = self.list()?;
        let next = DirSeen {
            stamp,
            first,
            confirmed: false,
        };
        let next = DirSeen {
            confirmed: self.read_state().fine_times || !next.in_tick(now),
            ..next
        };
        let changed = seen.is_some_and(|seen| seen.stamp != stamp);
        let replaced = if changed { self.replaced() } else { Vec::new() };
        let mut state = self.write_state();
        let State {
            index,
            known,
            unnamed,
            ..
        } = &mut *state;
        index.relist(names, not_files, |name| {
            let id = unnamed.get(name).cloned().or_else(|| layout::id_of(name))?;
            let known = known.get(&id).filter(|known| *known.file == *name)?;
            Some((id, (known.effective(), known.at)))
        });
        for name in replaced {
            if index.info(&name).is_some() {
                index.suspect(name, false);
            }
        }
        state.dir = Some(next);
        state.changed_by_others |= changed;
        Ok(())
    }

    /// Files that the journal does not know and that are no longer what was read.
    fn replaced(&self) -> Vec<Arc<str>> {
        let stamped: Vec<_> = self
            .read_state()
            .index
            .files()
            .filter_map(|(name, info)| info.stamp.map(|stamp| (Arc::clone(name), stamp)))
            .collect();
        let mut replaced = Vec::new();
        for (name, stamp) in stamped {
            match self.fs.metadata(&self.path(&name)) {
                Ok(meta) if Stamp::from(&meta) == stamp => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                _ => replaced.push(name),
            }
        }
        replaced
    }

    /// Takes over the lines that came since the last look.
    pub(crate) fn follow_journal(&self) -> Result<()> {
        if self.read_state().journal.is_current()? {
            return Ok(());
        }
        let mut state = self.write_state();
        let mut events = Vec::new();
        let caught_up = state.journal.catch_up(&mut |event| events.push(event))?;
        match caught_up {
            CaughtUp::Lines(_) => {
                for event in events {
                    state.apply(event);
                }
            }
            CaughtUp::Replaced => {
                tracing::warn!(dir = %self.dir.display(), "the journal is not the one that was read before; it is read again");
                let again = self.load_state()?;
                let in_doubt = state.tail.is_some() || !state.overlay.is_empty();
                let stands_in = !state.overlay.is_empty();
                let fine_times = state.fine_times;
                // If the files were compared before, they need not be again: only writers of ours close a torn line.
                let tail = if in_doubt { again.tail } else { None };
                *state = State { tail, ..again };
                state.fine_times = fine_times;
                drop(state);
                if in_doubt {
                    self.take_tail()?;
                }
                if stands_in {
                    self.stand_in_for_files();
                }
            }
        }
        Ok(())
    }

    /// Reads checkpoint and journal from the start.
    pub(crate) fn load_state(&self) -> Result<State> {
        let mut state = State::new(self.new_journal());
        if let Some(checkpoint) = Checkpoint::load(&*self.fs, &self.path(layout::CHECKPOINT))? {
            match state.journal.proof(checkpoint.offset) {
                Ok(proof) if proof == checkpoint.proof => {
                    state.journal.start_at(checkpoint.offset, checkpoint.chain);
                    state.durable = checkpoint.durable;
                    state.start = checkpoint.offset;
                    for (id, known) in checkpoint.known {
                        state.remember(id, known);
                    }
                }
                _ => {
                    tracing::warn!(dir = %self.dir.display(), "a checkpoint of another journal is left aside");
                }
            }
        }
        loop {
            let mut events = Vec::new();
            match state.journal.catch_up(&mut |event| events.push(event))? {
                CaughtUp::Lines(_) => {
                    for event in events {
                        state.apply(event);
                    }
                    return Ok(state);
                }
                // It was replaced while it was read, or cut behind the checkpoint.
                CaughtUp::Replaced => state = State::new(self.new_journal()),
            }
        }
    }

    /// The journal, of which nothing was read yet.
    pub(super) fn new_journal(&self) -> Journal {
        let max_line = max_line_bytes(self.config.max_document_bytes);
        Journal::new(Arc::clone(&self.fs), self.path(layout::JOURNAL), max_line)
    }

    /// The documents' names, and the names like theirs that are no regular files.
    fn list(&self) -> Result<Listing> {
        let (mut names, mut not_files) = (Vec::new(), BTreeMap::new());
        self.fs
            .visit_dir(&self.dir, &mut |entry| {
                // Names that are no text cannot have been written by us or the original.
                if let Some(name) = entry.name.to_str().filter(|name| layout::is_document(name)) {
                    if entry.kind == FileKind::File {
                        names.push(Arc::from(name));
                    } else {
                        not_files.insert(name.to_owned(), entry.kind);
                    }
                }
                true
            })
            .map_err(|error| {
                FsError::not_applied("read", "list the directory", &self.dir, error)
            })?;
        Ok((names, not_files))
    }

    /// Reads the files of which nothing is known yet.
    pub(crate) fn check_new_files(&self) -> Result<()> {
        if self.read_state().index.unchecked().is_empty() {
            return Ok(());
        }
        let _learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<_> = self
            .read_state()
            .index
            .unchecked()
            .iter()
            .cloned()
            .collect();
        let mut learned = Learned::with_capacity(names.len());
        {
            let state = self.read_state();
            for name in names {
                let before = self.fs.metadata(&self.path(&name)).ok();
                let look = self.look(&state, &name, false)?;
                learned.push((
                    name,
                    Look {
                        stamp: before.as_ref().map(Stamp::from),
                        ..look
                    },
                ));
            }
        }
        self.learn(learned);
        Ok(())
    }

    /// Takes over what reading files has shown.
    pub(crate) fn learn(&self, learned: Learned) {
        if learned.is_empty() {
            return;
        }
        let mut state = self.write_state();
        for (name, look) in learned {
            if look.absent {
                if !state.index.info(&name).is_some_and(|info| info.absent) {
                    state.index.remove(&name);
                }
                continue;
            }
            // Of a file that a listing no longer has, nothing is to be learned.
            if state.index.info(&name).is_none() {
                continue;
            }
            match look.candidate {
                // Of what the journal does not have, the stamp is needed to notice a replacement: it is read once more.
                Some(found) if !found.journaled && look.stamp.is_none() => {
                    state.index.suspect(name, false);
                }
                Some(found) => {
                    let times = (found.time(), found.at);
                    let id = found.id().clone();
                    let stamp = look.stamp.filter(|_| !found.journaled);
                    state.index.place(name, id, times, stamp);
                }
                None => state.index.suspect(name, true),
            }
        }
    }
}

/// The longest line of the journal: a document as a string, every byte of it escaped, and what stands beside it.
pub(super) fn max_line_bytes(max_document_bytes: u64) -> usize {
    let limit = max_document_bytes
        .saturating_mul(2)
        .saturating_add(64 << 10);
    usize::try_from(limit).unwrap_or(usize::MAX)
}
