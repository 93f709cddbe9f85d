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

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError, RwLockReadGuard};
use std::time::Instant;

use minutebook_core::Decision;
use minutebook_fs::{FileKind, FsError};

use super::Store;
use super::index::{Content, Stamp};
use super::read::{ATTEMPTS, Look};
use super::state::{DirSeen, DirStamp, State};
use super::watching::Told;
use crate::error::Result;
use crate::journal::{CaughtUp, Chain, Checkpoint, Journal, Known, Own, Table};
use crate::layout;

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

/// What is in the directory.
#[derive(Debug, Default)]
struct Listing {
    /// Of documents.
    names: Vec<Arc<str>>,
    /// Names like those that are no regular files.
    not_files: BTreeMap<String, FileKind>,
    /// Runs of a checkpoint's table.
    runs: Vec<String>,
}

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

    /// Lists the directory.
    fn list_anew(&self) -> Result<()> {
        let device = self.dir_stamp()?.device();
        let Listing {
            names,
            not_files,
            runs,
        } = self.list()?;
        // Not in the directory, which cannot be written, but in the journal.
        let absent: Vec<(Known, Decision)> = {
            let state = self.read_state();
            let mut absent = Vec::new();
            for id in state.overlay.serve.keys() {
                if let Some(known) = state.known.get(id)? {
                    let decision = self.journaled(&known)?.decision;
                    absent.push((known, decision));
                }
            }
            absent
        };
        let mut state = self.write_state();
        state.runs = runs;
        if state.listed {
            let vanished = state.index.relist(names, not_files);
            for name in vanished {
                state.note_vanished(&name);
            }
        } else {
            let mut entries = Vec::new();
            state.known.scan(&mut |entry| match entry {
                None => entries.clear(),
                Some(entry) => entries.push(entry),
            })?;
            let missing = state.index.load(names, not_files, entries, device);
            state.vanished = missing.into_iter().collect();
        }
        let index = &mut state.index;
        for (known, decision) in absent {
            if index.row(&known.file).is_none() {
                let content = Content {
                    time: known.effective(),
                    at: known.at,
                    token: known.token,
                    journaled: true,
                    facts: index.facts(&decision),
                };
                index.place_absent(&known.file, decision.id().clone(), content);
            }
        }
        state.listed = true;
        Ok(())
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
                let put_off = !state.doubt.is_empty();
                let in_doubt = state.tail.is_some() || put_off || !state.overlay.is_empty();
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
                if put_off {
                    self.write_state().put_off();
                }
                if stands_in {
                    self.stand_in_for_files();
                }
            }
        }
        Ok(())
    }

    /// Takes over lines that this handle has just appended.
    pub(super) fn absorb(&self, offset: u64, lines: &[u8]) -> Result<()> {
        {
            let mut state = self.write_state();
            let mut events = Vec::new();
            if state
                .journal
                .absorb(offset, lines, &mut |event| events.push(event))
            {
                for event in events {
                    state.apply(event);
                }
                return Ok(());
            }
        }
        self.follow_journal()
    }

    /// As [`absorb`](Self::absorb), for lines of which it is known what they say.
    pub(super) fn absorb_own(&self, offset: u64, lines: Vec<Own>, chain: &Chain) -> Result<()> {
        {
            let mut state = self.write_state();
            let mut events = Vec::with_capacity(lines.len());
            let sink = &mut |event| events.push(event);
            if state.journal.absorb_own(offset, lines, chain.clone(), sink) {
                for event in events {
                    state.apply(event);
                }
                return Ok(());
            }
        }
        self.follow_journal()
    }

    /// Reads checkpoint and journal from the start.
    pub(crate) fn load_state(&self) -> Result<State> {
        let mut state = State::new(self.new_journal());
        if let Some(Checkpoint { head, table }) = Checkpoint::load(&*self.fs, &self.dir)? {
            match state.journal.proof(head.offset) {
                Ok(proof) if proof == head.proof => {
                    state.begun = head.chain.seq > 0;
                    state.journal.start_at(head.offset, head.chain);
                    state.durable = head.durable;
                    state.start = head.offset;
                    self.stand_on(&mut state, table, head.offset);
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

    /// What is known up to this offset of the journal is in the table from now on.
    pub(super) fn stand_on(&self, state: &mut State, table: Table, end: u64) {
        let journal = self.log.path().to_owned();
        let max_line = max_line_bytes(self.config.max_document_bytes);
        let fs = Arc::clone(&self.fs);
        state.known.stand_on(table, end, fs, journal, max_line);
    }

    /// The journal, of which nothing was read yet.
    pub(super) fn new_journal(&self) -> Journal {
        let max_line = max_line_bytes(self.config.max_document_bytes);
        Journal::new(Arc::clone(&self.fs), self.path(layout::JOURNAL), max_line)
    }

    fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        self.fs
            .visit_dir(&self.dir, &mut |entry| {
                // Names that are no text cannot have been written by us or the original.
                let Some(name) = entry.name.to_str() else {
                    return true;
                };
                if layout::is_document(name) {
                    if entry.kind == FileKind::File {
                        listing.names.push(Arc::from(name));
                    } else {
                        listing.not_files.insert(name.to_owned(), entry.kind);
                    }
                } else if layout::is_run(name) {
                    listing.runs.push(name.to_owned());
                }
                true
            })
            .map_err(|error| {
                FsError::not_applied("read", "list the directory", &self.dir, error)
            })?;
        Ok(listing)
    }

    /// Goes through the names of documents.
    pub(super) fn visit_documents(&self, visit: &mut dyn FnMut(&str)) -> Result<()> {
        let listed = self.fs.visit_dir(&self.dir, &mut |entry| {
            let name = entry.name.to_str().filter(|name| layout::is_document(name));
            if let Some(name) = name.filter(|_| entry.kind == FileKind::File) {
                visit(name);
            }
            true
        });
        listed.map_err(|error| {
            FsError::not_applied("read", "list the directory", &self.dir, error).into()
        })
    }

    /// Reads the files of which nothing is known yet.
    pub(crate) fn check_new_files(&self) -> Result<()> {
        if self.read_state().index.unread().is_empty() {
            return Ok(());
        }
        let _learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_now(Freshness::Names).map(drop)
    }

    /// Looks at the files that are in doubt.
    pub(super) fn check_files(&self, freshness: Freshness) -> Result<()> {
        let _learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_now(freshness).map(drop)
    }

    /// Looks at the files that are in doubt, and says whether any of them is gone.
    fn check_now(&self, freshness: Freshness) -> Result<bool> {
        let names: Vec<Arc<str>> = to_check(&self.read_state(), freshness)
            .iter()
            .cloned()
            .collect();
        let mut gone = false;
        // In parts, so that others are not kept waiting and memory stays bounded.
        for part in names.chunks(1_000) {
            let mut learned = Learned::with_capacity(part.len());
            let mut same = Vec::new();
            {
                let state = self.read_state();
                for name in part {
                    let row = state.index.row(name);
                    if row.is_none_or(|row| row.absent) {
                        same.push(Arc::clone(name));
                        continue;
                    }
                    // If that fails, reading it says why.
                    let meta = self.fs.metadata(&self.path(name)).ok();
                    let stamp = meta.as_ref().map(Stamp::from);
                    if stamp.is_some() && row.is_some_and(|row| row.stamp == stamp) {
                        same.push(Arc::clone(name));
                        continue;
                    }
                    let look = self.look(&state, name, false)?;
                    gone |= look.absent;
                    let kind = meta.map(|meta| meta.kind);
                    learned.push((
                        Arc::clone(name),
                        Look {
                            stamp,
                            kind,
                            ..look
                        },
                    ));
                }
            }
            if !same.is_empty() {
                let mut state = self.write_state();
                for name in same {
                    state.index.confirm(&name);
                }
            }
            self.learn(learned);
        }
        Ok(gone)
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
fn to_check(state: &State, freshness: Freshness) -> &HashSet<Arc<str>> {
    match freshness {
        Freshness::Light | Freshness::Names => state.index.unread(),
        Freshness::Contents => state.index.unchecked(),
    }
}

/// The longest line of the journal: a document, the same as a string with every byte escaped, and what stands beside them.
pub(crate) fn max_line_bytes(max_document_bytes: u64) -> usize {
    let limit = max_document_bytes
        .saturating_mul(3)
        .saturating_add(64 << 10);
    usize::try_from(limit).unwrap_or(usize::MAX)
}
