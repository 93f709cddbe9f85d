//! Which files there are, which decision each holds, and what of its content questions are asked about: without reading what is known.
//!
//! A file's row is replaced when the file changes, never altered. The orders hold rows and no copies of their keys, so a
//! decision costs some 400 bytes here, its name and id included.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use minutebook_core::{Decision, DecisionId, Problem};
use minutebook_fs::{FileId, FileKind, Metadata};

use super::facts::{Facts, Words};
use crate::codec::{Token, Unreadable};
use crate::layout;

/// What a look at a file without reading it tells, to notice that it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) file: FileId,
    pub(crate) len: u64,
    pub(crate) changed_ns: i64,
}

impl From<&Metadata> for Stamp {
    fn from(meta: &Metadata) -> Self {
        Self {
            file: meta.id,
            len: meta.len,
            changed_ns: i64::try_from(meta.changed_ns).unwrap_or(i64::MIN),
        }
    }
}

/// What is known of the decision in a file.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// Its effective time.
    pub(crate) time: DateTime<Utc>,
    /// When it was recorded.
    pub(crate) at: DateTime<Utc>,
    /// Which state it is.
    pub(crate) token: Token,
    /// Whether the journal has this state.
    pub(crate) journaled: bool,
    pub(crate) facts: Facts,
}

/// What is known of one file.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: Arc<str>,
    /// The decision in it; for a suspect the one that its name claims.
    pub(crate) id: Option<DecisionId>,
    /// `None` for a suspect.
    pub(crate) content: Option<Content>,
    /// How the file looked when the content was learned; `None` if a change could hide behind it.
    pub(crate) stamp: Option<Stamp>,
    /// Not in the directory, but in the journal, and the directory cannot be written.
    pub(crate) absent: bool,
    /// Whether the name tells another id than the file.
    pub(crate) misnamed: bool,
}

impl Row {
    /// By which times it is ordered (effective, recorded); `None` for a suspect.
    pub(crate) fn times(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        self.content
            .as_ref()
            .map(|content| (content.time, content.at))
    }

    /// Whether it holds this state.
    pub(crate) fn is(&self, token: Token, time: DateTime<Utc>, at: DateTime<Utc>) -> bool {
        let known = self.content.as_ref();
        known.is_some_and(|known| known.token == token && known.time == time && known.at == at)
    }
}

/// A row in an order by time, then id, then name.
macro_rules! ordered_row {
    ($(#[$doc:meta])* $name:ident, $key:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name(pub(crate) Arc<Row>);

        impl $name {
            fn key(&self) -> (DateTime<Utc>, Option<&DecisionId>, &str) {
                let content = self.0.content.as_ref();
                let time = content.map_or(DateTime::UNIX_EPOCH, |content| content.$key);
                (time, self.0.id.as_ref(), &self.0.name)
            }

            /// The place before all rows of a time.
            pub(crate) fn edge(time: DateTime<Utc>) -> Self {
                Self(Arc::new(Row::edge(time)))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other) == Ordering::Equal
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.key().cmp(&other.key())
            }
        }
    };
}

ordered_row! {
    /// By effective time.
    ByTime, time
}
ordered_row! {
    /// By when it was recorded.
    ByWritten, at
}

impl Row {
    fn edge(time: DateTime<Utc>) -> Self {
        let content = Content {
            time,
            at: time,
            token: Token::NONE,
            journaled: false,
            facts: Facts::default(),
        };
        Self {
            name: "".into(),
            id: None,
            content: Some(content),
            stamp: None,
            absent: false,
            misnamed: false,
        }
    }
}

/// A row under its name.
#[derive(Debug)]
struct ByName(Arc<Row>);

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        &self.0.name
    }
}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (*self.0.name).hash(state);
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}

/// The files of one id: nearly always one.
#[derive(Debug)]
enum Claims {
    One(Arc<Row>),
    Many(Vec<Arc<Row>>),
}

impl Claims {
    fn as_slice(&self) -> &[Arc<Row>] {
        match self {
            Self::One(row) => std::slice::from_ref(row),
            Self::Many(rows) => rows,
        }
    }
}

/// The files of the directory.
#[derive(Debug, Default)]
pub(crate) struct Index {
    rows: HashSet<ByName>,
    by_id: HashMap<DecisionId, Claims>,
    /// How many ids more than one file claims.
    contested: usize,
    by_time: BTreeSet<ByTime>,
    by_written: BTreeSet<ByWritten>,
    by_pair: HashMap<u32, BTreeSet<ByTime>>,
    words: Words,
    /// Files that are not known to hold a decision, and why.
    suspects: BTreeMap<Arc<str>, Option<Unreadable>>,
    /// Files of decisions that the journal stands in for, and why.
    ailing: HashMap<Arc<str>, Problem>,
    /// Suspects that were not read yet.
    unread: HashSet<Arc<str>>,
    /// Files that may have changed since they were read, or were never read.
    unchecked: HashSet<Arc<str>>,
    /// Stamps behind which a change could hide when they were seen, with when that was.
    young: HashMap<Arc<str>, (Stamp, Instant)>,
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

    /// Every file may have changed.
    pub(crate) fn doubt_all(&mut self) {
        let names = self.rows.iter().filter(|row| !row.0.absent);
        self.unchecked = names.map(|row| Arc::clone(&row.0.name)).collect();
    }

    /// The file was looked at and is as it is known.
    pub(crate) fn confirm(&mut self, name: &str) {
        self.unchecked.remove(name);
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
        match self.by_id.get_mut(id) {
            None => drop(self.by_id.insert(id.clone(), Claims::One(Arc::clone(row)))),
            Some(Claims::Many(rows)) => rows.push(Arc::clone(row)),
            Some(claims @ Claims::One(_)) => {
                let first = claims.as_slice().first().map(Arc::clone);
                *claims = Claims::Many(first.into_iter().chain([Arc::clone(row)]).collect());
                self.contested += 1;
            }
        }
    }

    fn unclaim(&mut self, id: &DecisionId, row: &Arc<Row>) {
        let left = match self.by_id.get_mut(id) {
            Some(Claims::Many(rows)) => {
                rows.retain(|other| !Arc::ptr_eq(other, row));
                match rows.as_slice() {
                    [last] => Some(Claims::One(Arc::clone(last))),
                    _ => return,
                }
            }
            Some(Claims::One(_)) => None,
            None => return,
        };
        match left {
            Some(one) => {
                self.contested -= 1;
                self.by_id.insert(id.clone(), one);
            }
            None => drop(self.by_id.remove(id)),
        }
    }

    /// Takes over a listing of the directory.
    pub(crate) fn relist(&mut self, names: Vec<Arc<str>>, not_files: BTreeMap<String, FileKind>) {
        self.not_files = not_files;
        let there: HashSet<&Arc<str>> = names.iter().collect();
        let vanished: Vec<_> = self
            .rows
            .iter()
            .filter(|row| !row.0.absent && !there.contains(&row.0.name))
            .map(|row| Arc::clone(&row.0.name))
            .collect();
        for name in vanished {
            self.remove(&name);
        }
        self.forget_young();
        for name in names {
            if self.row(&name).is_none_or(|row| row.absent) {
                self.suspect(name, None);
            }
        }
    }

    pub(crate) fn row(&self, name: &str) -> Option<&Arc<Row>> {
        self.rows.get(name).map(|row| &row.0)
    }

    /// The files that hold the decision, as far as is known.
    pub(crate) fn files_of(&self, id: &DecisionId) -> &[Arc<Row>] {
        self.by_id.get(id).map_or(&[], Claims::as_slice)
    }

    /// How many decisions there are, if no file's content is in question and each id has one file.
    pub(crate) fn plain_count(&self) -> Option<u64> {
        let plain = self.contested == 0 && self.unchecked.is_empty();
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

    /// Files that have to be read before it is known which decision they hold.
    pub(crate) fn unread(&self) -> &HashSet<Arc<str>> {
        &self.unread
    }

    /// Files that have to be looked at before a question about contents is answered.
    pub(crate) fn unchecked(&self) -> &HashSet<Arc<str>> {
        &self.unchecked
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
mod tests {
    use super::*;
    use minutebook_core::time::parse_timestamp;

    fn content(index: &mut Index, text: &str) -> (DecisionId, Content) {
        let decision = Decision::from_json(text).unwrap();
        let time = parse_timestamp("2025-01-01").unwrap();
        let content = Content {
            time,
            at: time,
            token: Token::NONE,
            journaled: false,
            facts: index.facts(&decision),
        };
        (decision.id().clone(), content)
    }

    #[test]
    fn every_view_follows_a_change() {
        let mut index = Index::default();
        let name: Arc<str> = "2025-01-01_a.json".into();
        index.relist(vec![Arc::clone(&name)], BTreeMap::new());
        let (id, first) = content(&mut index, r#"{"id":"a","asset_pair":"ETHUSD"}"#);
        assert_eq!(
            (
                index.files_of(&id).len(),
                index.unchecked().len(),
                index.by_time().len()
            ),
            (1, 1, 0)
        );
        assert_eq!(index.plain_count(), None);
        index.place(Arc::clone(&name), id.clone(), first, None);
        assert_eq!(
            (
                index.files_of(&id).len(),
                index.suspects().len(),
                index.plain_count()
            ),
            (1, 0, Some(1))
        );
        let pair = index.words().pair("ethusd").unwrap();
        assert_eq!(index.of_pair(pair).unwrap().len(), 1);
        let (other, second) = content(&mut index, r#"{"id":"b"}"#);
        index.place(Arc::clone(&name), other.clone(), second.clone(), None);
        assert_eq!(
            (
                index.files_of(&id).len(),
                index.files_of(&other).len(),
                index.by_written().len()
            ),
            (0, 1, 1)
        );
        assert_eq!(index.of_pair(pair).unwrap().len(), 0);
        assert!(index.row(&name).unwrap().misnamed);
        index.place("2025-01-01_b.json".into(), other.clone(), second, None);
        assert_eq!(
            (index.files_of(&other).len(), index.plain_count()),
            (2, None)
        );
        index.remove(&name);
        assert_eq!(
            (index.files_of(&other).len(), index.plain_count()),
            (1, Some(1))
        );
        index.doubt(&"2025-01-01_b.json".into());
        assert_eq!((index.unchecked().len(), index.plain_count()), (1, None));
        index.relist(Vec::new(), BTreeMap::new());
        assert_eq!(
            (
                index.rows.len(),
                index.by_time().len(),
                index.files_of(&other).len()
            ),
            (0, 0, 0)
        );
    }
}
