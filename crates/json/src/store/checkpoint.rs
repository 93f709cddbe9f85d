//! Checkpoints: what is known up to a line of the journal, kept for the next open, and with it what was seen of the files.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use minutebook_core::DecisionId;
use minutebook_fs::{Durability, FsError, Locked, OpenMode};

use super::Store;
use super::facts::{Facts, Words};
use super::index::Stamp;
use super::read::Load;
use super::refresh::Freshness;
use super::state::{COARSE_TICK, State};
use crate::error::{JsonError, Result};
use crate::journal::{
    self, Bytes, Checkpoint, Entry, Head, Known, Lost, Record, Seen, StoreError, Table,
    store_checkpoint,
};
use crate::layout;

/// So many files at most are read for a checkpoint, because nobody has yet.
const READ: usize = 4_096;
/// A batch that is this part of what is between two checkpoints is worth one.
const LARGE_PART: u64 = 4;

impl Store {
    /// Whether there is so much since the last checkpoint that another is worth its cost.
    pub(crate) fn maintenance_is_due(&self) -> bool {
        self.checkpoint_is_due(0) || self.rotation_is_due()
    }

    /// After so many changes at once. A batch has one of its own before it is as long as the lines that an open reads at most: who
    /// fills a store and opens it should not have to read all of it.
    fn checkpoint_is_due(&self, together: u64) -> bool {
        let state = self.read_state();
        let every = self.config.checkpoint_every;
        let (lines, part) = (state.journal.lines, every / LARGE_PART);
        lines >= every
            || state.restamped.len() as u64 >= every
            || (together > 1 && together.min(lines) >= part)
    }

    /// Writes a checkpoint if one is due after so many changes at once. A failure is logged: without it the next open has more to read, nothing else.
    ///
    /// Where one run of the machine can be told from another, nothing is synced for it: only after the machine was started anew
    /// is there anything to compare. Elsewhere every open has to, and the sync bounds how much.
    pub(crate) fn maintain(&self, together: u64) {
        if self.is_plain() {
            return;
        }
        if self.checkpoint_is_due(together)
            && let Err(error) = self.checkpoint(self.boot.is_none())
        {
            tracing::warn!(%error, "no checkpoint could be written");
        }
        if let Err(error) = self.rotate_if_due() {
            tracing::warn!(%error, "the journal's files could not be sealed, compressed or pruned");
        }
    }

    /// Writes a checkpoint of everything, with every file looked at.
    pub(crate) fn checkpoint_all(&self) -> Result<()> {
        self.follow_journal()?;
        if self.read_state().journal.offset > 0 {
            drop(self.refresh(Freshness::Contents)?);
        }
        self.checkpoint(true)
    }

    /// Writes a checkpoint; with `sync` after everything has reached the device.
    pub(crate) fn checkpoint(&self, sync: bool) -> Result<()> {
        if self.is_plain() {
            return self.sync_plain();
        }
        self.follow_journal()?;
        if self.read_state().journal.offset == 0 {
            // Nothing was ever written here, and the lock would be the first file.
            return Ok(());
        }
        self.locked(Durability::Buffered, |log| {
            self.update(Freshness::Light)?;
            self.recover_locked(log)?;
            self.record_foreign(log)?;
            self.checkpoint_locked(log, sync)
        })
    }

    fn checkpoint_locked(&self, log: &mut Locked<'_>, sync: bool) -> Result<()> {
        if sync {
            // Another sync that does not fail says nothing of what one before has lost, whoever asks, until the machine is started again. Then the
            // journal, which has all of it, is compared with what is there.
            self.check_lost("checkpoint", Lost::Files)?;
        }
        self.mark_before_change(log)?;
        let before = self.dir_stamp()?;
        let mut synced = Ok(());
        if sync {
            // Through the log: after a sync that failed, what was written before it lasts only if it is written again.
            log.sync_whole()?;
            synced = self.sync_files().map_err(JsonError::Fs);
            if let Err(error) = &synced {
                // Before anything else can fail.
                self.note_lost(log, error);
            }
        }
        let stored = self.store_checkpoint(sync && synced.is_ok());
        if let (Err(failed), Err(error)) = (&synced, &stored) {
            tracing::warn!(%error, "after a sync that failed no checkpoint could be written either");
            return Err(failed.copy());
        }
        let (head, table) = stored?;
        self.mark(log, head.chain.seq, Some(before));
        self.follow_journal()?;
        let mut state = self.write_state();
        state.durable = head.durable;
        state.journal.lines = 0;
        // Unless the mark, too, brought more than itself.
        if state.journal.chain == head.chain {
            self.stand_on(&mut state, table, head.offset);
            state.restamped.clear();
        }
        synced
    }

    fn store_checkpoint(&self, sync: bool) -> Result<(Head, Table)> {
        let there = Checkpoint::load(&*self.fs, &self.dir)?;
        let lost = self.lost_by_sync();
        let state = self.read_state();
        let journal = &state.journal;
        let durable = if sync { journal.offset } else { state.durable };
        let head = Head {
            offset: journal.offset,
            durable,
            chain: journal.chain.clone(),
            proof: journal.proof(journal.offset)?,
            failed: self.boot.clone().zip(lost),
        };
        // On the last one, whoever wrote it: what changed since is known here, and perhaps more than that.
        let last = there.as_ref().filter(|last| {
            let fits = || journal.proof(last.head.offset).ok().as_ref() == Some(&last.head.proof);
            !state.known.is_damaged() && last.head.offset <= head.offset && fits()
        });
        let stored = match (last, state.known.table()) {
            (Some(last), Some(_)) => {
                let rows = self.changed_rows(&state)?;
                store_checkpoint(&*self.fs, &self.dir, &head, Some(&last.table), rows)
            }
            _ => self.store_whole(&state, &head)?,
        };
        let table = match stored {
            Err(StoreError::Damaged(error)) => {
                tracing::warn!(%error, "a checkpoint that does not fit is replaced");
                self.store_whole(&state, &head)?
            }
            stored => stored,
        };
        let table = table.map_err(|error| match error {
            StoreError::Fs(error) => error,
            StoreError::Damaged(error) => {
                let error = io::Error::new(io::ErrorKind::InvalidData, error);
                FsError::unknown("checkpoint", "write", &self.dir, error)
            }
        })?;
        self.remove_runs(&state, there.as_ref().map(|last| &last.table), &table);
        Ok((head, table))
    }

    fn store_whole(&self, state: &State, head: &Head) -> Result<Result<Table, StoreError>> {
        let mut entries = Vec::new();
        state.known.scan(&mut |entry| match entry {
            None => entries.clear(),
            Some(entry) => entries.push(entry),
        })?;
        let mut rows = Vec::with_capacity(entries.len());
        let mut looker = Looker::new(self, state);
        for Entry { id, known, seen } in entries {
            let seen = looker.see(&id, &known).or(seen);
            push(&mut rows, &Entry { id, known, seen });
        }
        Ok(store_checkpoint(&*self.fs, &self.dir, head, None, rows))
    }

    /// What the last table does not have, or not as it is.
    fn changed_rows(&self, state: &State) -> Result<Vec<Bytes>> {
        let since = state.known.since();
        let mut rows = Vec::with_capacity(since.len());
        let mut looker = Looker::new(self, state);
        for (id, known) in since {
            match known {
                None => rows.push(Bytes::gone(id)),
                Some(known) => {
                    let seen = looker.see(id, known);
                    let (id, known) = (id.clone(), known.clone());
                    push(&mut rows, &Entry { id, known, seen });
                }
            }
        }
        for name in &state.restamped {
            let row = state.index.row(name);
            let id = row.and_then(|row| row.id.clone());
            let Some(id) = id.filter(|id| !since.contains_key(id)) else {
                continue;
            };
            if let Some(known) = state.known.get(&id)?.filter(|known| known.file == *name) {
                let seen = looker.see(&id, &known);
                push(&mut rows, &Entry { id, known, seen });
            }
        }
        Ok(rows)
    }

    /// Removes runs that no checkpoint names any more. One that stays is removed by a later one.
    fn remove_runs(&self, state: &State, last: Option<&Table>, table: &Table) {
        let needed: HashSet<&str> = table.names().collect();
        let before = last.into_iter().chain(state.known.table());
        let before = before.flat_map(Table::names);
        let names: HashSet<&str> = before
            .chain(state.runs.iter().map(String::as_str))
            .filter(|name| !needed.contains(name))
            .collect();
        for name in names {
            match self.fs.remove_file(&self.path(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::debug!(%error, name, "a run of an earlier checkpoint stays");
                }
                _ => {}
            }
        }
    }

    /// Makes the files written since they were last synced, and all names, durable.
    fn sync_files(&self) -> Result<(), FsError> {
        let step =
            |path: &std::path::Path, error| FsError::unknown("checkpoint", "sync", path, error);
        let names: HashSet<Arc<str>> = {
            let state = self.read_state();
            let records = journal::records(
                &self.fs,
                self.log.path(),
                state.durable,
                state.journal.offset,
                usize::MAX,
            );
            let mut names = HashSet::new();
            if let Ok(records) = records {
                // Those of other processes too, and of before this handle was opened.
                names.extend(records.into_iter().filter_map(|record| match record {
                    Record::Put(put) => Some(put.file),
                    _ => None,
                }));
            } else {
                let all = state.known.scan(&mut |entry| {
                    names.extend(entry.map(|entry| entry.known.file));
                });
                all.map_err(|error| step(&self.dir, io::Error::other(error.to_string())))?;
            }
            names
        };
        for path in names.iter().map(|name| self.path(name)) {
            let file = match self.fs.open(&path, OpenMode::AppendExisting) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(step(&path, error)),
            };
            file.sync_all().map_err(|error| {
                self.lose(Lost::Files);
                step(&path, error)
            })?;
        }
        self.fs.sync_dir(&self.dir).map_err(|error| {
            self.lose(Lost::Names);
            FsError::names("checkpoint", &self.dir, error)
        })
    }
}

fn push(rows: &mut Vec<Bytes>, entry: &Entry) {
    if layout::id_of(&entry.known.file).as_ref() != Some(&entry.id) {
        rows.push(Bytes::alias(&entry.known.file, &entry.id));
    }
    rows.push(Bytes::state(entry));
}

/// Sees what is in files, for rows: as it was seen before, or by reading a few of them.
struct Looker<'a> {
    store: &'a Store,
    state: &'a State,
    /// What the file system's clock shows.
    now: Option<i128>,
    left: usize,
}

impl<'a> Looker<'a> {
    fn new(store: &'a Store, state: &'a State) -> Self {
        Self {
            store,
            state,
            now: None,
            left: READ,
        }
    }

    /// What the file of this state holds, if it holds this state.
    fn see(&mut self, id: &DecisionId, known: &Known) -> Option<Seen> {
        let words = self.state.index.words();
        let row = self.state.index.row(&known.file);
        let row = row.filter(|row| row.id.as_ref() == Some(id));
        let content = row.and_then(|row| row.content.as_ref());
        if let Some(content) = content.filter(|content| content.token == known.token)
            && let Some(stamp) = row.and_then(|row| row.stamp)
        {
            let sight = Some(stamp.sight());
            return Some(Seen {
                sight,
                ..content.facts.keep(words)
            });
        }
        self.left = self.left.checked_sub(1)?;
        let meta = self.store.fs.metadata(&self.store.path(&known.file)).ok()?;
        let Load::Document(document) = self.store.load(&known.file, false) else {
            return None;
        };
        if document.digest != known.token.digest || document.decision.id() != id {
            return None;
        }
        let stamp = Stamp::from(&meta);
        let mut words = Words::default();
        let facts = Facts::of(&document.decision, &mut words);
        Some(Seen {
            sight: self.is_settled(stamp).then(|| stamp.sight()),
            ..facts.keep(&words)
        })
    }

    /// Whether no change can hide behind the stamp: because times are so fine, or it is so old.
    fn is_settled(&mut self, stamp: Stamp) -> bool {
        if self.state.fine_times {
            return true;
        }
        let now = *self.now.get_or_insert_with(|| {
            // The journal was appended to just now, so its time is that of the clock before any file was looked at.
            let journal = self.store.path(layout::JOURNAL);
            let meta = self.store.fs.metadata(&journal);
            meta.map_or(0, |meta| meta.changed_ns)
        });
        i128::from(stamp.changed_ns) + COARSE_TICK.as_nanos().cast_signed() < now
    }
}
