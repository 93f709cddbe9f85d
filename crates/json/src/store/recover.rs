//! Bringing files in line with the journal after a crash.
//!
//! A document's file is written without a sync, because the journal has it. So after a power cut a file may be missing,
//! empty, cut short, or the one before, and a removed one may be back. Which lines are in doubt: those that no mark
//! covers, and, unless the last mark is of this run of the machine, all since the checkpoint.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use minutebook_core::{Clock, DecisionId, SystemClock};
use minutebook_fs::{Durability, Locked, OpenMode};

use super::Store;
use super::read::Load;
use super::refresh::max_line_bytes;
use super::state::{DirStamp, State};
use crate::codec::{Digest, Unreadable};
use crate::error::{JsonError, Result};
use crate::journal::{self, Gone, Known, Record};
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
        if self.is_plain() {
            // Nothing says what a crash took: each document was synced by itself.
            self.write_state().compared();
            return Ok(());
        }
        let other_run = {
            let written = &self.read_state().journal.boot;
            written.is_some() && self.boot.is_some() && *written != self.boot
        };
        self.take_tail()?;
        let end = self.read_state().journal.offset;
        let clean = self.read_state().pending.is_empty();
        if clean && self.compare(&self.doubtful()).is_empty() {
            let mut state = self.write_state();
            state.compared();
            if other_run {
                // Read after the machine was started anew, so it came from the device.
                state.durable = end;
            }
            return Ok(());
        }
        let mended = self.locked(Durability::Buffered, |log| {
            // Others may have mended and written since: the tail takes up their lines too.
            self.follow_journal()?;
            self.mend(log)
        });
        match mended {
            Ok(()) => Ok(()),
            Err(JsonError::Fs(error)) if error.is_locked() => {
                tracing::warn!(%error, "a writer is at work; what is in doubt is compared by the next");
                self.put_off();
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

    /// Whether everything up to the last mark was seen to be in the files in this run of the machine, and still is as far as can be told: a file
    /// system can lose what was not synced while the machine runs on, if its device goes away. Then the journal's end was lost
    /// too, or the directory is as it was before a change of which the journal tells.
    fn same_run(&self) -> bool {
        if self.lost || self.boot.is_none() {
            return false;
        }
        let changed = self.dir_stamp().ok().and_then(DirStamp::nanos);
        let journal = &self.read_state().journal;
        // Unless it is the clock that went back: then a change that came later has an earlier time.
        let went_back = changed
            .zip(journal.dir_after)
            .is_some_and(|(changed, after)| {
                changed < after && self.files_time().is_none_or(|now| after <= now)
            });
        journal.boot == self.boot && !went_back
    }

    /// What time it is for files, in nanoseconds since 1970: not by the clock of the program, which may be one of its own, but by the change time of
    /// the lock's file, which is touched for it; on a medium that cannot be written by the system's clock.
    fn files_time(&self) -> Option<i64> {
        let touched = || -> std::io::Result<i128> {
            let lock = self.path(layout::LOCK);
            let file = self.fs.open(&lock, OpenMode::AppendExisting)?;
            file.set_modified(file.metadata()?.modified)?;
            Ok(file.metadata()?.changed_ns)
        };
        let touched = touched().ok().and_then(|time| i64::try_from(time).ok());
        touched.or_else(|| SystemClock.now().timestamp_nanos_opt())
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
        let in_doubt = {
            let state = self.read_state();
            state.is_in_doubt() || state.is_broken_off(self.boot.is_some())
        };
        if in_doubt { self.mend(log) } else { Ok(()) }
    }

    /// The lines of which it is not known that the files are as they say.
    fn doubtful(&self) -> Vec<Record> {
        let state = self.read_state();
        let pending = state.pending.iter().map(|(_, record)| record);
        let put_off = state.doubt.values();
        put_off
            .chain(&state.tail)
            .flatten()
            .chain(pending)
            .cloned()
            .collect()
    }

    fn mend(&self, log: &mut Locked<'_>) -> Result<()> {
        let broken_off = self.read_state().is_broken_off(self.boot.is_some());
        if broken_off {
            // Perhaps by a sync that failed: then its lines are in memory alone, and what follows them would hang in the air.
            log.write_again()?;
            self.follow_journal()?;
            let mut state = self.write_state();
            state.synced = state.journal.chain.seq;
        }
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
        self.write_state().compared();
        Ok(())
    }

    /// Serves from the journal what the files should hold.
    pub(super) fn stand_in_for_files(&self) {
        let fixes = self.compare(&self.doubtful());
        let mut state = self.write_state();
        for (_, record) in std::mem::take(&mut state.pending) {
            state.merge(record);
        }
        state.stand_in(fixes);
        state.compared();
    }

    /// Leaves the comparison to the first write, and lets the journal stand in for what is in doubt until then.
    pub(super) fn put_off(&self) {
        if self.lost {
            // The journal's end had to be put back, so whoever wrote its last lines is no more at work.
            let mut state = self.write_state();
            for (_, record) in std::mem::take(&mut state.pending) {
                state.merge(record);
            }
        }
        let tail = self.read_state().tail.clone().unwrap_or_default();
        let fixes = self.compare(&tail);
        let mut state = self.write_state();
        state.put_off();
        if !fixes.is_empty() {
            state.stand_in(fixes);
        }
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
        let Said {
            last,
            earlier,
            mut gone,
        } = Said::by(records);
        let others_came_last = self.others_came_last();
        let mut fixes = Vec::new();
        for (id, known) in last {
            let Some(known) = known else { continue };
            gone.remove(&known.file);
            let is_earlier = |digest: Digest| {
                let states = earlier.get(id);
                !others_came_last && states.is_some_and(|states| states.contains(&digest))
            };
            let found = if self.is_cut_short(&known) {
                None
            } else {
                match self.load(&known.file, false) {
                    Load::Document(document) => {
                        let digest = document.digest;
                        let as_known = digest == known.token.digest;
                        if document.decision.id() != id || as_known || !is_earlier(digest) {
                            continue;
                        }
                        Some(digest)
                    }
                    Load::Absent if !others_came_last => None,
                    Load::Absent => continue,
                    Load::Unreadable(Unreadable {
                        digest, damaged, ..
                    }) => match digest {
                        Some(digest) if known.raw && digest == known.token.digest => continue,
                        _ if damaged => None,
                        Some(digest) if is_earlier(digest) => Some(digest),
                        _ => continue,
                    },
                }
            };
            let id = id.clone();
            fixes.push(Fix::Write { id, known, found });
        }
        for (name, removed) in gone {
            let had = |digest| removed.iter().any(|gone| gone.digest == Some(digest));
            let found = match self.load(name, false) {
                _ if others_came_last => continue,
                Load::Document(document) if had(document.digest) => Some(document.digest),
                Load::Unreadable(unreadable) if unreadable.damaged => None,
                Load::Unreadable(Unreadable {
                    digest: Some(digest),
                    ..
                }) if had(digest) => Some(digest),
                Load::Document(_) | Load::Absent | Load::Unreadable(_) => continue,
            };
            fixes.push(Fix::Remove {
                name: Arc::clone(name),
                found,
            });
        }
        fixes
    }
}

impl State {
    /// The journal stands in for these files.
    fn stand_in(&mut self, fixes: Vec<Fix>) {
        for fix in fixes {
            match fix {
                // Its bytes are served from the journal in any case.
                Fix::Write { known, .. } if known.raw => {}
                Fix::Write { id, found, .. } => {
                    self.overlay.serve.insert(id, found);
                }
                Fix::Remove { name, found } => {
                    self.overlay.hide.insert(name, found);
                }
            }
        }
        // What stands in for files that are not there takes its place when the others are listed.
        self.listed = false;
    }
}

/// What lines say about the files.
#[derive(Default)]
struct Said<'a> {
    /// The last state of each decision; `None` if it is gone.
    last: HashMap<&'a DecisionId, Option<Known>>,
    /// All states that it went through.
    earlier: HashMap<&'a DecisionId, HashSet<Digest>>,
    /// Files that were taken away.
    gone: HashMap<&'a Arc<str>, Vec<&'a Gone>>,
}

impl<'a> Said<'a> {
    fn by(records: &'a [Record]) -> Self {
        let mut said = Self::default();
        for record in records {
            match record {
                Record::Put(put) => {
                    said.last.insert(&put.id, Some(Known::from(put)));
                    let states = said.earlier.entry(&put.id).or_default();
                    states.insert(put.token.digest);
                    states.extend(put.base.map(|base| base.digest));
                    said.take_away(&put.gone);
                }
                Record::Found(found) => {
                    said.last.insert(&found.id, Some(Known::from(found)));
                    let states = said.earlier.entry(&found.id).or_default();
                    states.insert(found.token.digest);
                }
                Record::Delete(delete) => {
                    said.last.insert(&delete.id, None);
                    said.take_away(&delete.gone);
                }
                Record::Missing(id) => drop(said.last.insert(id, None)),
                Record::Void(_) | Record::Segment(_) | Record::Pruned(_) => {}
            }
        }
        said
    }

    fn take_away(&mut self, gone: &'a [Gone]) {
        for removed in gone {
            self.gone.entry(&removed.file).or_default().push(removed);
        }
    }
}
