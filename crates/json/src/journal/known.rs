//! What the journal knows of each decision: a table on disk up to a checkpoint, read where it is asked, and what came since.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use minutebook_core::DecisionId;
use minutebook_fs::Fs;

use super::checkpoint::{Damaged, Entry, Key, Row, Table};
use super::line::{Found, Put, Record, Span};
use super::view::records;
use crate::codec::Token;
use crate::error::Result;
use crate::layout;

/// The last journaled state of a decision that was not deleted since.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) token: Token,
    pub(crate) at: DateTime<Utc>,
    pub(crate) time: Option<DateTime<Utc>>,
    pub(crate) file: Arc<str>,
    /// Of length 0 if another program wrote it: then the text is all there is.
    pub(crate) doc: Span,
    /// The exact text of its file, as a JSON string; of length 0 if it is laid out as always.
    pub(crate) text: Span,
    /// The text is wider than JSON.
    pub(crate) raw: bool,
}

impl Known {
    /// By which time it is ordered.
    pub(crate) fn effective(&self) -> DateTime<Utc> {
        self.time.unwrap_or(self.at)
    }

    /// Whether another program wrote this state.
    pub(crate) fn is_foreign(&self) -> bool {
        self.doc.len == 0
    }
}

impl From<&Put> for Known {
    fn from(put: &Put) -> Self {
        Self {
            token: put.token,
            at: put.at,
            time: put.time,
            file: Arc::clone(&put.file),
            doc: put.doc,
            text: put.text,
            raw: put.raw,
        }
    }
}

impl From<&Found> for Known {
    fn from(found: &Found) -> Self {
        Self {
            token: found.token,
            at: found.at,
            time: found.time,
            file: Arc::clone(&found.file),
            doc: Span::default(),
            text: found.text,
            raw: false,
        }
    }
}

/// The table of a checkpoint, and how to do without it.
#[derive(Debug)]
struct Base {
    table: Table,
    fs: Arc<dyn Fs>,
    journal: PathBuf,
    /// Up to where the table goes.
    end: u64,
    max_line: usize,
    /// What the journal says instead, once the table was seen to be damaged.
    instead: OnceLock<HashMap<DecisionId, Known>>,
}

impl Base {
    /// What the table should have said.
    fn rebuild(&self, damaged: &Damaged) -> Result<&HashMap<DecisionId, Known>> {
        if let Some(known) = self.instead.get() {
            return Ok(known);
        }
        tracing::warn!(journal = %self.journal.display(), %damaged, "a checkpoint that does not fit is left aside; the whole journal is read");
        let mut known = HashMap::new();
        for record in records(&self.fs, &self.journal, 0, self.end, self.max_line)? {
            match record {
                Record::Put(put) => {
                    known.insert(put.id.clone(), Known::from(&put));
                }
                Record::Found(found) => {
                    known.insert(found.id.clone(), Known::from(&found));
                }
                Record::Delete(delete) => drop(known.remove(&delete.id)),
                Record::Missing(id) => drop(known.remove(&id)),
                Record::Void(_) | Record::Segment(_) | Record::Pruned(_) => {}
            }
        }
        Ok(self.instead.get_or_init(|| known))
    }

    fn get(&self, id: &DecisionId) -> Result<Option<Known>> {
        if let Some(known) = self.instead.get() {
            return Ok(known.get(id).cloned());
        }
        match self.table.get(Key::of_id(id)) {
            Ok(Some(Row::State(entry))) => Ok(Some(entry.known).filter(|_| entry.id == *id)),
            Ok(_) => Ok(None),
            Err(damaged) => Ok(self.rebuild(&damaged)?.get(id).cloned()),
        }
    }

    /// Whose document the file is, as far as its name does not tell.
    fn claimed_by(&self, file: &str) -> Result<Option<DecisionId>> {
        let search = |known: &HashMap<DecisionId, Known>| {
            let mut all = known.iter();
            all.find_map(|(id, known)| (*known.file == *file).then(|| id.clone()))
        };
        if let Some(known) = self.instead.get() {
            return Ok(search(known));
        }
        match self.table.get(Key::of_file(file)) {
            Ok(Some(Row::Alias(id))) => Ok(Some(id)),
            Ok(_) => Ok(None),
            Err(damaged) => Ok(search(self.rebuild(&damaged)?)),
        }
    }
}

/// What the journal knows.
#[derive(Debug, Default)]
pub(crate) struct Knowledge {
    base: Option<Base>,
    /// What changed since; `None` for what is gone.
    since: HashMap<DecisionId, Option<Known>>,
    /// Files of those whose names do not tell their ids.
    unnamed: HashMap<Arc<str>, DecisionId>,
}

impl Knowledge {
    /// Stands on the table of a checkpoint, which goes up to `end`; what came since is dropped.
    pub(crate) fn stand_on(
        &mut self,
        table: Table,
        end: u64,
        fs: Arc<dyn Fs>,
        journal: PathBuf,
        max_line: usize,
    ) {
        self.base = Some(Base {
            table,
            fs,
            journal,
            end,
            max_line,
            instead: OnceLock::new(),
        });
        self.since = HashMap::new();
        self.unnamed = HashMap::new();
    }

    /// The last journaled state of a decision.
    pub(crate) fn get(&self, id: &DecisionId) -> Result<Option<Known>> {
        if let Some(known) = self.since.get(id) {
            return Ok(known.clone());
        }
        match &self.base {
            Some(base) => base.get(id),
            None => Ok(None),
        }
    }

    pub(crate) fn insert(&mut self, id: DecisionId, known: Known) {
        if let Some(Some(before)) = self.since.get(&id) {
            forget(&mut self.unnamed, &before.file, &id);
        }
        if layout::id_of(&known.file).as_ref() != Some(&id) {
            self.unnamed.insert(Arc::clone(&known.file), id.clone());
        }
        self.since.insert(id, Some(known));
    }

    pub(crate) fn remove(&mut self, id: &DecisionId) {
        if let Some(Some(before)) = self.since.insert(id.clone(), None) {
            forget(&mut self.unnamed, &before.file, id);
        }
    }

    /// The journaled state of which this file is the document.
    pub(crate) fn by_file(&self, name: &str) -> Result<Option<(DecisionId, Known)>> {
        let fits = |id: DecisionId| -> Result<_> {
            let known = self.get(&id)?.filter(|known| *known.file == *name);
            Ok(known.map(|known| (id, known)))
        };
        if let Some(id) = self.unnamed.get(name) {
            return fits(id.clone());
        }
        if let Some(id) = layout::id_of(name)
            && let Some(found) = fits(id)?
        {
            return Ok(Some(found));
        }
        match &self.base {
            Some(base) => match base.claimed_by(name)? {
                Some(id) => fits(id),
                None => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// Every decision with its last state, in no order, and what the table has seen of its file. `None` means that what was given
    /// does not count: it starts again.
    pub(crate) fn scan(&self, take: &mut dyn FnMut(Option<Entry>)) -> Result<()> {
        take(None);
        if let Some(base) = &self.base {
            let mut instead = base.instead.get();
            if instead.is_none()
                && let Err(damaged) = base.table.scan(&mut |row| {
                    if let Row::State(entry) = row
                        && !self.since.contains_key(&entry.id)
                    {
                        take(Some(*entry));
                    }
                })
            {
                take(None);
                instead = Some(base.rebuild(&damaged)?);
            }
            for (id, known) in instead.into_iter().flatten() {
                if !self.since.contains_key(id) {
                    take(Some(Entry::new(id.clone(), known.clone())));
                }
            }
        }
        for (id, known) in &self.since {
            if let Some(known) = known {
                take(Some(Entry::new(id.clone(), known.clone())));
            }
        }
        Ok(())
    }

    /// What changed since the table was made.
    pub(crate) fn since(&self) -> &HashMap<DecisionId, Option<Known>> {
        &self.since
    }

    /// The table, if it is whole for all that is known.
    pub(crate) fn table(&self) -> Option<&Table> {
        let base = self.base.as_ref()?;
        base.instead.get().is_none().then_some(&base.table)
    }

    /// Whether there is a table, and it is damaged.
    pub(crate) fn is_damaged(&self) -> bool {
        let instead = self.base.as_ref().and_then(|base| base.instead.get());
        instead.is_some()
    }
}

/// The file is not this decision's any more; it may be another's by now.
fn forget(unnamed: &mut HashMap<Arc<str>, DecisionId>, file: &str, id: &DecisionId) {
    if unnamed.get(file) == Some(id) {
        unnamed.remove(file);
    }
}
