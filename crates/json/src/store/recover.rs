//! Bringing files in line with the journal after a crash, and checkpoints, which bound how much there is to compare.
//!
//! A document's file is written without a sync, because the journal has it. So after a power cut a file may be missing,
//! empty, cut short, or the one before, and a removed one may be back. Which lines are in doubt: those that no mark
//! covers, and, unless the last mark is of this run of the machine, all since the checkpoint.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use minutebook_core::DecisionId;
use minutebook_fs::{Durability, FsError, Locked, OpenMode};

use super::Store;
use super::read::Load;
use super::refresh::{Freshness, max_line_bytes};
use super::state::DirStamp;
use crate::codec::{Digest, Unreadable};
use crate::error::{JsonError, Result};
use crate::journal::{self, Checkpoint, Gone, Known, Put, Record};
use crate::layout;

/// One thing in which the files are not as the journal says.
#[derive(Debug)]
enum Fix {
    Write {
        id: DecisionId,
        known: Known,
        /// What the file holds instead, where that can be read.
        found: Option<Digest>,
    },
    Remove {
        name: Arc<str>,
        found: Option<Digest>,
    },
}

impl Store {
    /// Compares what is in doubt with the files, and mends them; on a medium that cannot be written the journal stands in.
    pub(super) fn recover_at_open(&self) -> Result<()> {
        let same_run = self.same_run();
        self.take_tail()?;
        let end = self.read_state().journal.offset;
        let clean = self.read_state().pending.is_empty();
        if clean && self.compare(&self.doubtful()).is_empty() {
            let mut state = self.write_state();
            state.tail = None;
            if self.boot.is_some() && !same_run {
                // Read after the machine was started anew, so it came from the device.
                state.durable = end;
            }
            return Ok(());
        }
        let mended = self.log.with_lock(Durability::Buffered, |log| {
            // Others may have mended and written since: the tail takes up their lines too.
            self.follow_journal()?;
            self.mend(log)
        });
        match mended {
            Ok(()) => Ok(()),
            Err(JsonError::Fs(error)) if error.is_locked() => {
                tracing::warn!(%error, "a writer is at work; what it leaves in doubt is compared by the next");
                self.write_state().tail = None;
                Ok(())
            }
            Err(JsonError::Fs(error)) => {
                tracing::warn!(%error, "the files cannot be mended; the journal stands in");
                self.stand_in_for_files();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether everything up to the last mark was seen to be in the files in this run of the machine.
    fn same_run(&self) -> bool {
        self.boot.is_some() && self.read_state().journal.boot == self.boot
    }

    /// The lines that may be in doubt: none of before the files are known to have reached the device, and none at all, but those
    /// without a mark, in the run of the machine that wrote them.
    pub(super) fn take_tail(&self) -> Result<()> {
        let same_run = self.same_run();
        let (durable, offset) = {
            let mut state = self.write_state();
            if same_run {
                state.tail = Some(Vec::new());
                return Ok(());
            }
            (state.durable, state.start)
        };
        if durable < offset {
            let max_line = max_line_bytes(self.config.max_document_bytes);
            let before = journal::records(&self.fs, self.log.path(), durable, offset, max_line)?;
            let mut state = self.write_state();
            if let Some(tail) = &mut state.tail {
                tail.splice(0..0, before);
            }
        }
        Ok(())
    }

    /// What a writer does first: finishes what another one left, and what an open could not mend.
    pub(super) fn recover_locked(&self, log: &mut Locked<'_>) -> Result<()> {
        if !self.read_state().overlay.is_empty() {
            let again = self.load_state()?;
            *self.write_state() = again;
            self.take_tail()?;
            return self.mend(log).inspect_err(|_| self.stand_in_for_files());
        }
        if self.read_state().pending.is_empty() {
            return Ok(());
        }
        self.mend(log)
    }

    /// The lines of which it is not known that the files are as they say.
    fn doubtful(&self) -> Vec<Record> {
        let state = self.read_state();
        let pending = state.pending.iter().map(|(_, record)| record);
        state
            .tail
            .iter()
            .flatten()
            .chain(pending)
            .cloned()
            .collect()
    }

    fn mend(&self, log: &mut Locked<'_>) -> Result<()> {
        let fixes = self.compare(&self.doubtful());
        self.mark_before_change(log)?;
        for fix in fixes {
            match fix {
                Fix::Write { id, known, .. } => {
                    let text = match self.journaled_text(&known) {
                        Ok(text) => text,
                        Err(error) => {
                            tracing::error!(%id, %error, "a lost document cannot be restored");
                            continue;
                        }
                    };
                    minutebook_fs::replace(
                        &*self.fs,
                        &self.path(&known.file),
                        text.as_bytes(),
                        Durability::Synced,
                    )?;
                    tracing::info!(%id, file = %known.file, "a document was restored from the journal");
                }
                Fix::Remove { name, .. } => {
                    minutebook_fs::remove(&*self.fs, &self.path(&name), Durability::Synced)?;
                    tracing::info!(file = %name, "a file whose removal a crash undid was removed again");
                }
            }
        }
        let seq = self.read_state().journal.chain.seq;
        self.mark(log, seq, None);
        self.follow_journal()?;
        self.write_state().tail = None;
        Ok(())
    }

    /// Serves from the journal what the files should hold.
    pub(super) fn stand_in_for_files(&self) {
        let fixes = self.compare(&self.doubtful());
        let mut state = self.write_state();
        for (_, record) in std::mem::take(&mut state.pending) {
            state.merge(record);
        }
        for fix in fixes {
            match fix {
                // Its bytes are served from the journal in any case.
                Fix::Write { known, .. } if known.raw => {}
                Fix::Write { id, found, .. } => {
                    state.overlay.serve.insert(id, found);
                }
                Fix::Remove { name, found } => {
                    state.overlay.hide.insert(name, found);
                }
            }
        }
        state.tail = None;
        // What stands in for files that are not there takes its place when the others are listed.
        state.listed = false;
    }

    /// Whether the directory was changed after everything that the journal tells of. File systems that tell one run of the machine from
    /// another keep changes of one directory in order: if that change is there, all names of before it are, too, and what is
    /// missing was removed by others. What is damaged was not written out all the same.
    fn others_came_last(&self) -> bool {
        let changed = self.dir_stamp().ok().and_then(DirStamp::nanos);
        let state = self.read_state();
        self.boot.is_some()
            && state.pending.is_empty()
            && changed
                .zip(state.journal.dir_after)
                .is_some_and(|(changed, after)| changed > after)
    }

    /// Where files are not as these lines say. A file that another program has changed since is as it should be.
    fn compare(&self, records: &[Record]) -> Vec<Fix> {
        let mut last: HashMap<&DecisionId, Option<&Put>> = HashMap::new();
        let mut earlier: HashMap<&DecisionId, HashSet<Digest>> = HashMap::new();
        let mut gone: HashMap<&Arc<str>, Vec<&Gone>> = HashMap::new();
        for record in records {
            let removed = match record {
                Record::Put(put) => {
                    last.insert(&put.id, Some(put));
                    let states = earlier.entry(&put.id).or_default();
                    states.insert(put.token.digest);
                    states.extend(put.base.map(|base| base.digest));
                    &put.gone
                }
                Record::Delete(delete) => {
                    last.insert(&delete.id, None);
                    &delete.gone
                }
                Record::Missing(id) => {
                    last.insert(id, None);
                    continue;
                }
                Record::Found | Record::Void(_) | Record::Segment(_) | Record::Pruned(_) => {
                    continue;
                }
            };
            for removed in removed {
                gone.entry(&removed.file).or_default().push(removed);
            }
        }
        let others_came_last = self.others_came_last();
        let mut fixes = Vec::new();
        for (id, put) in &last {
            let Some(put) = put else { continue };
            gone.remove(&put.file);
            if self.is_cut_short(&Known::from(*put)) {
                fixes.push(Fix::Write {
                    id: (*id).clone(),
                    known: Known::from(*put),
                    found: None,
                });
                continue;
            }
            let found = match self.load(&put.file, false) {
                Load::Document(document) if document.decision.id() != *id => continue,
                Load::Document(document) if document.digest == put.token.digest => continue,
                Load::Document(document)
                    if !others_came_last
                        && earlier
                            .get(id)
                            .is_some_and(|states| states.contains(&document.digest)) =>
                {
                    Some(document.digest)
                }
                Load::Absent if !others_came_last => None,
                Load::Unreadable(unreadable)
                    if put.raw && unreadable.digest == Some(put.token.digest) =>
                {
                    continue;
                }
                Load::Unreadable(unreadable) if unreadable.damaged => None,
                Load::Unreadable(Unreadable {
                    digest: Some(digest),
                    ..
                }) if !others_came_last
                    && earlier
                        .get(id)
                        .is_some_and(|states| states.contains(&digest)) =>
                {
                    Some(digest)
                }
                Load::Document(_) | Load::Absent | Load::Unreadable(_) => continue,
            };
            fixes.push(Fix::Write {
                id: (*id).clone(),
                known: Known::from(*put),
                found,
            });
        }
        for (name, removed) in gone {
            let found = match self.load(name, false) {
                _ if others_came_last => continue,
                Load::Document(document) => {
                    let digest = Some(document.digest);
                    if !removed.iter().any(|gone| gone.digest == digest) {
                        continue;
                    }
                    digest
                }
                Load::Unreadable(unreadable) if unreadable.damaged => None,
                Load::Unreadable(Unreadable {
                    digest: Some(digest),
                    ..
                }) if removed.iter().any(|gone| gone.digest == Some(digest)) => Some(digest),
                Load::Absent | Load::Unreadable(_) => continue,
            };
            fixes.push(Fix::Remove {
                name: Arc::clone(name),
                found,
            });
        }
        fixes
    }

    /// Whether there is so much since the last checkpoint that another is worth its cost.
    pub(crate) fn maintenance_is_due(&self) -> bool {
        self.checkpoint_is_due() || self.rotation_is_due()
    }

    fn checkpoint_is_due(&self) -> bool {
        let state = self.read_state();
        state.journal.lines
            >= self
                .config
                .checkpoint_every
                .max(state.known.len() as u64 / 4)
    }

    /// Writes a checkpoint if one is due. A failure is logged: without it the next open has more to read, nothing else.
    ///
    /// Where one run of the machine can be told from another, nothing is synced for it: only after the machine was started anew
    /// is there anything to compare. Elsewhere every open has to, and the sync bounds how much.
    pub(crate) fn maintain(&self) {
        if self.checkpoint_is_due()
            && let Err(error) = self.checkpoint(self.boot.is_none())
        {
            tracing::warn!(%error, "no checkpoint could be written");
        }
        if let Err(error) = self.rotate_if_due() {
            tracing::warn!(%error, "the journal's files could not be sealed, compressed or pruned");
        }
    }

    /// Writes a checkpoint; with `sync` after everything has reached the device.
    pub(crate) fn checkpoint(&self, sync: bool) -> Result<()> {
        self.follow_journal()?;
        if self.read_state().journal.offset == 0 {
            // Nothing was ever written here, and the lock would be the first file.
            return Ok(());
        }
        self.log.with_lock(Durability::Buffered, |log| {
            self.update(Freshness::Light)?;
            self.recover_locked(log)?;
            self.checkpoint_locked(log, sync)
        })
    }

    fn checkpoint_locked(&self, log: &mut Locked<'_>, sync: bool) -> Result<()> {
        self.mark_before_change(log)?;
        let before = self.dir_stamp()?;
        if sync {
            self.sync_files()?;
        }
        let (seq, durable) = {
            let state = self.read_state();
            let journal = &state.journal;
            let durable = if sync { journal.offset } else { state.durable };
            let checkpoint = Checkpoint {
                offset: journal.offset,
                durable,
                chain: journal.chain.clone(),
                proof: journal.proof(journal.offset)?,
                known: &state.known,
            };
            checkpoint.store(&*self.fs, &self.path(layout::CHECKPOINT))?;
            (journal.chain.seq, durable)
        };
        self.mark(log, seq, Some(before));
        self.follow_journal()?;
        let mut state = self.write_state();
        state.durable = durable;
        state.journal.lines = 0;
        Ok(())
    }

    /// Makes the journal, the files written since they were last synced, and all names durable.
    fn sync_files(&self) -> Result<(), FsError> {
        let step =
            |path: &std::path::Path, error| FsError::unknown("checkpoint", "sync", path, error);
        let mut paths = vec![self.path(layout::JOURNAL)];
        let names: Vec<_> = {
            let state = self.read_state();
            match journal::records(
                &self.fs,
                self.log.path(),
                state.durable,
                state.journal.offset,
                usize::MAX,
            ) {
                // Those of other processes too, and of before this handle was opened.
                Ok(records) => records
                    .into_iter()
                    .filter_map(|record| match record {
                        Record::Put(put) => Some(put.file),
                        _ => None,
                    })
                    .collect::<HashSet<_>>(),
                Err(_) => state
                    .known
                    .values()
                    .map(|known| Arc::clone(&known.file))
                    .collect(),
            }
            .into_iter()
            .collect()
        };
        paths.extend(names.iter().map(|name| self.path(name)));
        for path in paths {
            match self
                .fs
                .open(&path, OpenMode::AppendExisting)
                .and_then(|file| file.sync_all())
            {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(step(&path, error));
                }
                _ => {}
            }
        }
        self.fs
            .sync_dir(&self.dir)
            .map_err(|error| step(&self.dir, error))
    }
}
