//! Filling an empty index at once, from a listing and what the journal knows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use minutebook_fs::FileKind;

use super::row::{ByName, ByTime, ByWritten, Content, Row, Stamp};
use super::{Index, layout};
use crate::journal::Entry;
use crate::store::facts::Facts;

impl Index {
    /// Takes over a listing of a directory on this device, and what the journal knows of the files. They are in doubt until they were
    /// looked at. Gives the journal's files that are not there.
    pub(crate) fn load(
        &mut self,
        names: Vec<Arc<str>>,
        not_files: BTreeMap<String, FileKind>,
        entries: Vec<Entry>,
        device: u64,
    ) -> Vec<Arc<str>> {
        let words = std::mem::take(&mut self.words);
        *self = Self {
            words,
            not_files,
            ..Self::default()
        };
        let mut listed: HashSet<Arc<str>> = names.into_iter().collect();
        let (mut rows, mut unseen, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for Entry { id, known, seen } in entries {
            let Some(name) = listed.take(&known.file) else {
                missing.push(known.file);
                continue;
            };
            let Some(seen) = seen.filter(|_| !known.raw) else {
                unseen.push((name, id));
                continue;
            };
            let misnamed = layout::id_of(&name).is_some_and(|claimed| claimed != id);
            rows.push(Arc::new(Row {
                content: Some(Content {
                    time: known.effective(),
                    at: known.at,
                    token: known.token,
                    journaled: true,
                    facts: Facts::kept(&seen, &mut self.words),
                }),
                stamp: seen.sight.map(|sight| Stamp::of(sight, device)),
                id: Some(id),
                name,
                absent: false,
                misnamed,
            }));
        }
        self.fill(&rows);
        for (name, id) in unseen {
            self.expect(&name, &id);
        }
        for name in listed {
            self.suspect(name, None);
        }
        missing
    }

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
