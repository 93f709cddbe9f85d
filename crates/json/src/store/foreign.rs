//! What other programs did, taken into the journal: by whoever writes next, or follows the changes.
//!
//! Only the holder of the writers' lock records, after it has read the journal to its end and looked at the file once more. So each change
//! is recorded once, whoever noticed it, and by nobody while a writer of ours is at work on the file.

use std::collections::BTreeSet;
use std::sync::Arc;

use minutebook_core::DecisionId;
use minutebook_fs::{Durability, Locked};

use super::index::{Row, Stamp};
use super::query;
use super::read::{Found, Load, Look};
use super::refresh::{FEW, Freshness, Learned};
use super::state::State;
use super::{Op, Store};
use crate::codec;
use crate::error::Result;
use crate::journal::{self, Known, Span};

/// Lines are appended in pieces of about this size.
const CHUNK: usize = 8 << 20;

/// One change that is to be recorded.
struct Noted {
    found: Found,
    text: String,
    stamp: Option<Stamp>,
}

impl State {
    /// Files that hold what the journal does not have, and that count.
    pub(super) fn unrecorded(&self) -> impl Iterator<Item = &Arc<Row>> {
        let names = self.index.foreign().iter();
        names.filter_map(|name| {
            let row = self.index.row(name)?;
            let id = row.id.as_ref()?;
            let winner = self
                .index
                .files_of(id)
                .iter()
                .max_by_key(|row| query::rank(row))?;
            (winner.name == row.name && !self.is_pending(id)).then_some(row)
        })
    }

    /// The decision whose file this was, if others removed it, or put another one into it, and no line tells of it.
    pub(super) fn removed(&self, name: &str) -> Result<Option<(DecisionId, Known)>> {
        let known = self.known.by_file(name)?;
        Ok(known.filter(|(id, _)| {
            let row = self.index.row(name);
            row.is_none_or(|row| row.id.as_ref() != Some(id))
                && self.index.files_of(id).is_empty()
                && !self.is_pending(id)
        }))
    }

    /// Whether other programs did anything that is known and that the journal does not have.
    pub(super) fn is_behind(&self) -> Result<bool> {
        for name in &self.vanished {
            if self.removed(name)?.is_some() {
                return Ok(true);
            }
        }
        Ok(self.unrecorded().next().is_some())
    }
}

impl Store {
    /// Looks at what others may have changed, if that is little, so that the next writer does not pass it over.
    pub(super) fn look_at_few(&self) -> Result<()> {
        let few = |state: &State| (1..=FEW).contains(&state.index.unchecked().len());
        if !few(&self.read_state()) {
            return Ok(());
        }
        self.check_files(Freshness::Contents)
    }

    /// Whether one of these mutations changes anything. For a directory without a journal, which a refused one leaves as it is.
    pub(super) fn would_write(&self, ops: &[Op]) -> bool {
        ops.iter().any(|op| {
            let mut plan = self.new_plan();
            let planned = match op {
                Op::Save(coming, mode) => {
                    self.plan_save(&mut plan, 0, &mut Some(coming.clone()), mode)
                }
                Op::SaveRaw(coming, mode) => {
                    self.plan_save_raw(&mut plan, 0, &mut Some(coming.clone()), mode)
                }
                Op::Delete(id) => self.plan_delete(&mut plan, 0, id, None),
                Op::DeleteSeen(id, seen) => self.plan_delete(&mut plan, 0, id, Some(seen)),
                Op::DeleteMatching(filter) => {
                    return self.matching(filter).is_ok_and(|ids| !ids.is_empty());
                }
            };
            planned.is_ok() && !plan.items.is_empty()
        })
    }

    /// Takes what other programs are known to have done into the journal. What was there before the journal was keeps the time by which
    /// it was known; everything else is recorded now.
    pub(super) fn record_foreign(&self, log: &mut Locked<'_>) -> Result<()> {
        let (names, vanished, first) = {
            let mut state = self.write_state();
            if !state.is_behind()? {
                return Ok(());
            }
            let names: Vec<_> = state
                .unrecorded()
                .map(|row| Arc::clone(&row.name))
                .collect();
            (names, std::mem::take(&mut state.vanished), !state.begun)
        };
        let recorded = self.record(log, &names, &vanished, first);
        if recorded.is_err() {
            self.write_state().vanished.extend(vanished);
        }
        recorded
    }

    fn record(
        &self,
        log: &mut Locked<'_>,
        names: &[Arc<str>],
        vanished: &BTreeSet<Arc<str>>,
        first: bool,
    ) -> Result<()> {
        let mut chain = self.read_state().journal.chain.clone();
        let before = chain.seq;
        let mut lines = Vec::new();
        let mut learned = Learned::new();
        for name in vanished {
            let Some((id, known)) = self.read_state().removed(name)? else {
                continue;
            };
            let gone = match self.fs.metadata(&self.path(name)) {
                Ok(_) => matches!(
                    self.load(name, false),
                    Load::Document(document) if *document.decision.id() != id
                ),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
                Err(error) => {
                    tracing::debug!(%error, name = &**name, "whether it is gone is not known yet");
                    self.write_state().vanished.insert(Arc::clone(name));
                    false
                }
            };
            if gone {
                chain.missing(&mut lines, &id, &known.file, self.config.clock.now());
            }
        }
        for name in names {
            let Some(Noted {
                mut found,
                text,
                stamp,
            }) = self.noted(name)?
            else {
                continue;
            };
            if !first {
                found.at = self.config.clock.now();
            }
            let line = journal::Found {
                id: found.id().clone(),
                file: Arc::clone(name),
                token: found.token,
                at: found.at,
                time: found.document.decision.timestamp(),
                text: Span::default(),
            };
            chain.found(&mut lines, &line, &text);
            found.journaled = true;
            let look = Look {
                candidate: Some(found),
                stamp,
                ..Look::default()
            };
            learned.push((Arc::clone(name), look));
            if lines.len() >= CHUNK {
                let appended = log.append(&lines)?;
                self.absorb(appended.offset, &lines)?;
                lines.clear();
                self.learn(std::mem::take(&mut learned));
            }
        }
        if chain.seq == before {
            return Ok(());
        }
        if !lines.is_empty() {
            let appended = log.append(&lines)?;
            self.absorb(appended.offset, &lines)?;
        }
        // Whoever replaces or removes it next relies on it: this is rare, and nobody else's to lose.
        log.sync()?;
        tracing::debug!(
            lines = chain.seq - before,
            "what other programs did was recorded"
        );
        self.mark(log, chain.seq, None);
        self.learn(learned);
        Ok(())
    }

    /// What another program has written to a file, if the journal does not have it.
    fn noted(&self, name: &Arc<str>) -> Result<Option<Noted>> {
        let path = self.path(name);
        let stamp = self.fs.metadata(&path).ok().as_ref().map(Stamp::from);
        // A file that cannot be read is reported by questions, and is nothing to be recorded.
        let Ok(Some(bytes)) = minutebook_fs::read(&*self.fs, &path, self.config.max_document_bytes)
        else {
            return Ok(None);
        };
        let Ok(document) = codec::decode(name, &bytes) else {
            return Ok(None);
        };
        let state = self.read_state();
        let look = self.label(&state, name, Arc::new(document))?;
        drop(state);
        let Some(found) = look.candidate else {
            return Ok(None);
        };
        if found.journaled {
            let look = Look {
                candidate: Some(found),
                stamp,
                ..Look::default()
            };
            self.learn(vec![(Arc::clone(name), look)]);
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Some(Noted { found, text, stamp }))
    }

    /// Looks for what other programs did, and records it where there is a journal that can be written. Gives whether everything that is
    /// known is recorded.
    pub(crate) fn note_foreign_changes(&self) -> Result<bool> {
        {
            let state = self.refresh(Freshness::Contents)?;
            if !state.is_behind()? {
                return Ok(true);
            }
            if state.journal.offset == 0 {
                return Ok(false);
            }
            // What looks foreign may be a writer's of ours, whose line comes first.
            if !state.journal.is_current()? {
                return Ok(true);
            }
        }
        self.locked(Durability::Buffered, |log| {
            self.update(Freshness::Light)?;
            self.recover_locked(log)?;
            self.record_foreign(log)
        })?;
        self.maintain(0);
        Ok(true)
    }
}
