//! Which files there are, which decision each holds, and what of its content questions are asked about: without reading what is known.
//!
//! A file's row is replaced when the file changes, never altered. The orders hold rows and no copies of their keys, so a
//! decision costs some 400 bytes here, its name and id included.

mod load;
mod row;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use minutebook_core::{Decision, DecisionId, Problem};
use minutebook_fs::FileKind;

use super::facts::{Facts, Words};
use crate::codec::Unreadable;
use crate::layout;

pub(crate) use load::Loading;
use row::{ById, ByName};
pub(crate) use row::{ByTime, ByWritten, Content, Row, Stamp};

/// Room for so many names is not kept when none is left.
const MANY: usize = 4_096;

/// The files of the directory.
#[derive(Debug, Default)]
pub(crate) struct Index {
    rows: HashSet<ByName>,
    by_id: HashSet<ById>,
    /// The files of ids that more than one file claims, which are not in `by_id`.
    contested: HashMap<DecisionId, Vec<Arc<Row>>>,
    by_time: BTreeSet<ByTime>,
    by_written: BTreeSet<ByWritten>,
    by_pair: HashMap<u32, BTreeSet<ByTime>>,
    words: Words,
    /// Files that are not known to hold a decision, and why.
    suspects: BTreeMap<Arc<str>, Option<Unreadable>>,
    /// Files of decisions that the journal stands in for, and why.
    ailing: HashMap<Arc<str>, Problem>,
    /// Suspects that were not read yet, and files of which somebody told that they changed.
    unread: HashSet<Arc<str>>,
    /// Files that may have changed since they were read, or were never read.
    unchecked: HashSet<Arc<str>>,
    /// Stamps behind which a change could hide when they were seen, with when that was.
    young: HashMap<Arc<str>, (Stamp, Instant)>,
    /// Files that hold what the journal does not have.
    foreign: BTreeSet<Arc<str>>,
    /// Names like those of documents that are no regular files.
    not_files: BTreeMap<String, FileKind>,
}

impl Index {
    /// The file holds this decision.
    pub(crate) fn place(
        &mut self,
        name: Arc<str>,
        id: DecisionId,
        content: Content,
        stamp: Option<Stamp>,
    ) {
        self.put(name, id, content, stamp, false);
    }

    /// As [`place`](Self::place), for a file that is not there and cannot be written.
    pub(crate) fn place_absent(&mut self, name: &Arc<str>, id: DecisionId, content: Content) {
        self.put(Arc::clone(name), id, content, None, true);
    }

    fn put(
        &mut self,
        name: Arc<str>,
        id: DecisionId,
        content: Content,
        stamp: Option<Stamp>,
        absent: bool,
    ) {
        self.remove(&name);
        let misnamed = layout::id_of(&name).is_some_and(|claimed| claimed != id);
        if !content.journaled {
            self.foreign.insert(Arc::clone(&name));
        }
        let row = Arc::new(Row {
            name,
            id: Some(id),
            content: Some(content),
            stamp,
            absent,
            misnamed,
        });
        self.by_time.insert(ByTime(Arc::clone(&row)));
        self.by_written.insert(ByWritten(Arc::clone(&row)));
        if let Some(pair) = row
            .content
            .as_ref()
            .and_then(|content| content.facts.pair())
        {
            let of_pair = self.by_pair.entry(pair).or_default();
            of_pair.insert(ByTime(Arc::clone(&row)));
        }
        self.claim(&row);
        self.rows.insert(ByName(row));
    }

    /// The file may hold the decision that its name claims, or none. With the reason if it was read, else it has to be.
    pub(crate) fn suspect(&mut self, name: Arc<str>, problem: Option<Unreadable>) {
        self.remove(&name);
        if problem.is_none() {
            self.unread.insert(Arc::clone(&name));
            self.unchecked.insert(Arc::clone(&name));
        }
        let id = layout::id_of(&name);
        self.put_suspect(name, id, problem);
    }

    /// The journal says that the file holds this decision; it has to be read.
    pub(crate) fn expect(&mut self, name: &Arc<str>, id: &DecisionId) {
        self.suspect(Arc::clone(name), None);
        if self
            .row(name)
            .is_some_and(|row| row.id.as_ref() != Some(id))
        {
            self.remove(name);
            self.unread.insert(Arc::clone(name));
            self.unchecked.insert(Arc::clone(name));
            self.put_suspect(Arc::clone(name), Some(id.clone()), None);
        }
    }

    fn put_suspect(&mut self, name: Arc<str>, id: Option<DecisionId>, problem: Option<Unreadable>) {
        self.suspects.insert(Arc::clone(&name), problem);
        let row = Arc::new(Row {
            id,
            name,
            content: None,
            stamp: None,
            absent: false,
            misnamed: false,
        });
        self.claim(&row);
        self.rows.insert(ByName(row));
    }

    /// The file is damaged, and what the row says comes from the journal.
    pub(crate) fn ail(&mut self, name: Arc<str>, problem: Problem) {
        self.ailing.insert(name, problem);
    }

    /// What is wrong with the file of a decision that the journal stands in for.
    pub(crate) fn ailment(&self, name: &str) -> Option<&Problem> {
        self.ailing.get(name)
    }

    /// The file is no regular file, whatever its name says.
    pub(crate) fn not_a_file(&mut self, name: &Arc<str>, kind: FileKind) {
        self.remove(name);
        self.not_files.insert(name.to_string(), kind);
    }

    /// Something about the file may have changed: it is looked at before it counts.
    pub(crate) fn doubt(&mut self, name: &Arc<str>) {
        self.not_files.remove(&**name);
        match self.rows.get(&**name) {
            Some(ByName(row)) if row.content.is_some() => {
                self.unchecked.insert(Arc::clone(&row.name));
            }
            _ => self.suspect(Arc::clone(name), None),
        }
    }

    /// The file was changed, by us or others: it is looked at before anything is answered, for it may hold another decision now.
    pub(crate) fn suspect_change(&mut self, name: &Arc<str>) {
        self.doubt(name);
        if let Some(ByName(row)) = self.rows.get(&**name) {
            self.unread.insert(Arc::clone(&row.name));
        }
    }

    /// Every file may have changed.
    pub(crate) fn doubt_all(&mut self) {
        let names = self.rows.iter().filter(|row| !row.0.absent);
        self.unchecked = names.map(|row| Arc::clone(&row.0.name)).collect();
    }

    /// The file was looked at and is as it is known.
    pub(crate) fn confirm(&mut self, name: &str) {
        self.unchecked.remove(name);
        self.unread.remove(name);
        if self.unchecked.is_empty() && self.unchecked.capacity() > MANY {
            // After a look at every file it has room for all of their names.
            self.unchecked = HashSet::new();
        }
    }

    /// Forgets when files were first seen as they are, of those that are no longer there.
    fn forget_young(&mut self) {
        let Self { young, rows, .. } = self;
        young.retain(|name, _| rows.contains(&**name));
    }

    /// The file is no longer there.
    pub(crate) fn remove(&mut self, name: &str) {
        self.unchecked.remove(name);
        self.unread.remove(name);
        self.ailing.remove(name);
        self.foreign.remove(name);
        let Some(ByName(row)) = self.rows.take(name) else {
            return;
        };
        if let Some(id) = &row.id {
            self.unclaim(id, &row);
        }
        match &row.content {
            None => drop(self.suspects.remove(name)),
            Some(content) => {
                let key = ByTime(Arc::clone(&row));
                self.by_time.remove(&key);
                self.by_written.remove(&ByWritten(Arc::clone(&row)));
                if let Some(pair) = content.facts.pair()
                    && let Some(of_pair) = self.by_pair.get_mut(&pair)
                {
                    of_pair.remove(&key);
                }
            }
        }
    }

    fn claim(&mut self, row: &Arc<Row>) {
        let Some(id) = &row.id else { return };
        if let Some(rows) = self.contested.get_mut(id) {
            rows.push(Arc::clone(row));
        } else if let Some(ById(first)) = self.by_id.take(id.as_str()) {
            self.contested
                .insert(id.clone(), vec![first, Arc::clone(row)]);
        } else {
            self.by_id.insert(ById(Arc::clone(row)));
        }
    }

    fn unclaim(&mut self, id: &DecisionId, row: &Arc<Row>) {
        let Some(rows) = self.contested.get_mut(id) else {
            self.by_id.remove(id.as_str());
            return;
        };
        rows.retain(|other| !Arc::ptr_eq(other, row));
        if let [last] = rows.as_slice() {
            self.by_id.insert(ById(Arc::clone(last)));
            self.contested.remove(id);
        }
    }

    /// Takes over a listing of the directory, and gives the files that are no longer there.
    pub(crate) fn relist(
        &mut self,
        names: Vec<Arc<str>>,
        not_files: BTreeMap<String, FileKind>,
    ) -> Vec<Arc<str>> {
        self.not_files = not_files;
        let there: HashSet<&Arc<str>> = names.iter().collect();
        let vanished: Vec<_> = self
            .rows
            .iter()
            .filter(|row| !row.0.absent && !there.contains(&row.0.name))
            .map(|row| Arc::clone(&row.0.name))
            .collect();
        for name in &vanished {
            self.remove(name);
        }
        self.forget_young();
        for name in names {
            if self.row(&name).is_none_or(|row| row.absent) {
                self.suspect(name, None);
            }
        }
        vanished
    }

    pub(crate) fn row(&self, name: &str) -> Option<&Arc<Row>> {
        self.rows.get(name).map(|row| &row.0)
    }

    /// The files that hold the decision, as far as is known.
    pub(crate) fn files_of(&self, id: &DecisionId) -> &[Arc<Row>] {
        if let Some(rows) = self.contested.get(id) {
            return rows;
        }
        let one = self.by_id.get(id.as_str());
        one.map_or(&[], |ById(row)| std::slice::from_ref(row))
    }

    /// How many decisions there are, if no file's content is in question and each id has one file.
    pub(crate) fn plain_count(&self) -> Option<u64> {
        let plain = self.contested.is_empty() && self.unchecked.is_empty();
        plain.then_some(self.by_time.len() as u64)
    }

    pub(crate) fn by_time(&self) -> &BTreeSet<ByTime> {
        &self.by_time
    }

    pub(crate) fn by_written(&self) -> &BTreeSet<ByWritten> {
        &self.by_written
    }

    /// The decisions about one instrument, by time.
    pub(crate) fn of_pair(&self, pair: u32) -> Option<&BTreeSet<ByTime>> {
        self.by_pair.get(&pair)
    }

    pub(crate) fn words(&self) -> &Words {
        &self.words
    }

    /// What questions are asked about, of a document.
    pub(crate) fn facts(&mut self, decision: &Decision) -> Facts {
        Facts::of(decision, &mut self.words)
    }

    /// Files that are not known to hold a decision.
    pub(crate) fn suspects(&self) -> &BTreeMap<Arc<str>, Option<Unreadable>> {
        &self.suspects
    }

    /// Files that have to be looked at before it is known which decision they hold.
    pub(crate) fn unread(&self) -> &HashSet<Arc<str>> {
        &self.unread
    }

    /// Files that have to be looked at before a question about contents is answered.
    pub(crate) fn unchecked(&self) -> &HashSet<Arc<str>> {
        &self.unchecked
    }

    /// Files that hold what the journal does not have, as far as they were read.
    pub(crate) fn foreign(&self) -> &BTreeSet<Arc<str>> {
        &self.foreign
    }

    pub(crate) fn not_files(&self) -> &BTreeMap<String, FileKind> {
        &self.not_files
    }

    /// The stamp, if no change can hide behind it: none of before this look, because it is so old, or because times are so fine.
    pub(crate) fn trust(
        &mut self,
        name: &Arc<str>,
        stamp: Stamp,
        now: Instant,
        fine: bool,
    ) -> Option<Stamp> {
        if fine {
            return Some(stamp);
        }
        match self.young.get(name) {
            Some((seen, first)) if *seen == stamp => {
                (now.duration_since(*first) >= super::state::COARSE_TICK).then_some(stamp)
            }
            _ => {
                self.young.insert(Arc::clone(name), (stamp, now));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
