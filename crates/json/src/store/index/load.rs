//! Filling an empty index at once, from a listing and what the journal knows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use minutebook_core::DecisionId;
use minutebook_fs::FileKind;

use super::row::{ByName, ByTime, ByWritten, Content, Row, Stamp};
use super::{Index, layout};
use crate::journal::Entry;
use crate::store::facts::Facts;

/// A listing, of which what the journal knows is taken in one by one: nothing is kept of it but the rows.
#[derive(Debug)]
pub(crate) struct Loading {
    index: Index,
    /// The device of the directory.
    device: u64,
    /// Names of which the journal has told nothing so far.
    listed: HashSet<Arc<str>>,
    rows: Vec<Arc<Row>>,
    /// Files of decisions of which it is not known what they hold.
    unseen: Vec<(Arc<str>, DecisionId)>,
    /// The journal's files that are not there.
    missing: Vec<Arc<str>>,
}

impl Loading {
    pub(crate) fn new(
        names: Vec<Arc<str>>,
        not_files: BTreeMap<String, FileKind>,
        device: u64,
    ) -> Self {
        let index = Index {
            not_files,
            ..Index::default()
        };
        Self {
            index,
            device,
            listed: names.into_iter().collect(),
            rows: Vec::new(),
            unseen: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Takes over what the journal knows of one decision; `None` if what it has told so far does not count.
    pub(crate) fn take(&mut self, entry: Option<Entry>) {
        let Some(Entry { id, known, seen }) = entry else {
            let rows = self.rows.drain(..).map(|row| Arc::clone(&row.name));
            self.listed.extend(rows);
            self.listed
                .extend(self.unseen.drain(..).map(|(name, _)| name));
            self.missing.clear();
            return;
        };
        let Some(name) = self.listed.take(&known.file) else {
            self.missing.push(known.file);
            return;
        };
        let Some(seen) = seen.filter(|_| !known.raw) else {
            self.unseen.push((name, id));
            return;
        };
        let misnamed = layout::id_of(&name).is_some_and(|claimed| claimed != id);
        self.rows.push(Arc::new(Row {
            content: Some(Content {
                time: known.effective(),
                at: known.at,
                token: known.token,
                journaled: true,
                facts: Facts::kept(&seen, &mut self.index.words),
            }),
            stamp: seen.sight.map(|sight| Stamp::of(sight, self.device)),
            id: Some(id),
            name,
            absent: false,
            misnamed,
        }));
    }

    /// The index, with every file in doubt until it was looked at, and the journal's files that are not there.
    pub(crate) fn finish(self) -> (Index, Vec<Arc<str>>) {
        let Self {
            mut index,
            listed,
            rows,
            unseen,
            missing,
            ..
        } = self;
        index.fill(&rows);
        for (name, id) in unseen {
            index.expect(&name, &id);
        }
        for name in listed {
            index.suspect(name, None);
        }
        (index, missing)
    }
}

impl Index {
    /// Puts rows into the empty views, each in its order, which is faster than one by one.
    fn fill(&mut self, rows: &[Arc<Row>]) {
        self.rows.reserve(rows.len());
        self.by_id.reserve(rows.len());
        self.unchecked.reserve(rows.len());
        for row in rows {
            self.claim(row);
            self.unchecked.insert(Arc::clone(&row.name));
            self.rows.insert(ByName(Arc::clone(row)));
        }
        let sorted = |written: bool| {
            let mut keyed: Vec<_> = rows
                .iter()
                .filter_map(|row| {
                    let (time, at) = row.times()?;
                    Some((if written { at } else { time }, row))
                })
                .collect();
            keyed.sort_unstable_by(|(a, one), (b, other)| {
                let rest = || (&one.id, &one.name).cmp(&(&other.id, &other.name));
                a.cmp(b).then_with(rest)
            });
            keyed.into_iter().map(|(_, row)| Arc::clone(row))
        };
        let mut of_pairs: HashMap<u32, Vec<ByTime>> = HashMap::new();
        let mut by_time = Vec::with_capacity(rows.len());
        for row in sorted(false) {
            let pair = row
                .content
                .as_ref()
                .and_then(|content| content.facts.pair());
            if let Some(pair) = pair {
                of_pairs
                    .entry(pair)
                    .or_default()
                    .push(ByTime(Arc::clone(&row)));
            }
            by_time.push(ByTime(row));
        }
        self.by_time = BTreeSet::from_iter(by_time);
        self.by_written = sorted(true).map(ByWritten).collect();
        let of_pairs = of_pairs.into_iter();
        self.by_pair = of_pairs
            .map(|(pair, rows)| (pair, rows.into_iter().collect()))
            .collect();
    }
}
