//! Which files there are, which decision each holds, and in which order they come: by name, without reading what is known.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use minutebook_core::DecisionId;
use minutebook_fs::{FileId, FileKind, Metadata};

use crate::layout;

/// A place in an order: a time, then the id, then the file's name.
pub(crate) type Key = (DateTime<Utc>, DecisionId, Arc<str>);

/// What a look at a file without reading it tells, to notice that it was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    file: FileId,
    len: u64,
    modified: SystemTime,
    changed_ns: i128,
}

impl From<&Metadata> for Stamp {
    fn from(meta: &Metadata) -> Self {
        Self {
            file: meta.id,
            len: meta.len,
            modified: meta.modified,
            changed_ns: meta.changed_ns,
        }
    }
}

/// What is known of one file.
#[derive(Debug, Clone)]
pub(crate) struct FileInfo {
    /// The decision in it; for a suspect the one that its name claims.
    pub(crate) id: Option<DecisionId>,
    /// By which times it is ordered (effective, recorded); `None` for a suspect.
    pub(crate) times: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Of a file that the journal does not know, when it was read.
    pub(crate) stamp: Option<Stamp>,
    /// Whether it was read since it was found.
    pub(crate) checked: bool,
    /// Not in the directory, but in the journal, and the directory cannot be written.
    pub(crate) absent: bool,
}

/// The files of the directory.
#[derive(Debug, Default)]
pub(crate) struct Index {
    files: HashMap<Arc<str>, FileInfo>,
    by_id: HashMap<DecisionId, Vec<Arc<str>>>,
    by_time: BTreeSet<Key>,
    by_written: BTreeSet<Key>,
    suspects: BTreeSet<Arc<str>>,
    unchecked: BTreeSet<Arc<str>>,
    /// Names like those of documents that are no regular files.
    not_files: BTreeMap<String, FileKind>,
}

impl Index {
    /// The file holds this decision.
    pub(crate) fn place(
        &mut self,
        name: Arc<str>,
        id: DecisionId,
        times: (DateTime<Utc>, DateTime<Utc>),
        stamp: Option<Stamp>,
    ) {
        self.remove(&name);
        self.by_time
            .insert((times.0, id.clone(), Arc::clone(&name)));
        self.by_written
            .insert((times.1, id.clone(), Arc::clone(&name)));
        self.by_id
            .entry(id.clone())
            .or_default()
            .push(Arc::clone(&name));
        let info = FileInfo {
            id: Some(id),
            times: Some(times),
            stamp,
            checked: true,
            absent: false,
        };
        self.files.insert(name, info);
    }

    /// As [`place`](Self::place), for a file that is not there and cannot be written.
    pub(crate) fn place_absent(
        &mut self,
        name: &Arc<str>,
        id: DecisionId,
        times: (DateTime<Utc>, DateTime<Utc>),
    ) {
        self.place(Arc::clone(name), id, times, None);
        if let Some(info) = self.files.get_mut(name) {
            info.absent = true;
        }
    }

    /// The file may hold the decision that its name claims, or none: it has to be read.
    pub(crate) fn suspect(&mut self, name: Arc<str>, checked: bool) {
        self.remove(&name);
        let id = layout::id_of(&name);
        if let Some(id) = &id {
            self.by_id
                .entry(id.clone())
                .or_default()
                .push(Arc::clone(&name));
        }
        self.suspects.insert(Arc::clone(&name));
        if !checked {
            self.unchecked.insert(Arc::clone(&name));
        }
        let info = FileInfo {
            id,
            times: None,
            stamp: None,
            checked,
            absent: false,
        };
        self.files.insert(name, info);
    }

    /// The file is no longer there.
    pub(crate) fn remove(&mut self, name: &Arc<str>) {
        let Some(info) = self.files.remove(name) else {
            return;
        };
        if let Some(id) = info.id {
            if let Some(names) = self.by_id.get_mut(&id) {
                names.retain(|other| other != name);
                if names.is_empty() {
                    self.by_id.remove(&id);
                }
            }
            if let Some((time, written)) = info.times {
                self.by_time.remove(&(time, id.clone(), Arc::clone(name)));
                self.by_written.remove(&(written, id, Arc::clone(name)));
            }
        }
        self.suspects.remove(name);
        self.unchecked.remove(name);
    }

    /// Takes over a listing of the directory. `known` places a new name without reading the file, or not.
    pub(crate) fn relist(
        &mut self,
        names: Vec<Arc<str>>,
        not_files: BTreeMap<String, FileKind>,
        known: impl Fn(&str) -> Option<(DecisionId, (DateTime<Utc>, DateTime<Utc>))>,
    ) {
        self.not_files = not_files;
        let there: HashSet<&Arc<str>> = names.iter().collect();
        let vanished: Vec<_> = self
            .files
            .iter()
            .filter(|(name, info)| !info.absent && !there.contains(name))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in vanished {
            self.remove(&name);
        }
        for name in names {
            if self.files.get(&name).is_some_and(|info| !info.absent) {
                continue;
            }
            match known(&name) {
                Some((id, times)) => self.place(name, id, times, None),
                None => self.suspect(name, false),
            }
        }
    }

    pub(crate) fn info(&self, name: &str) -> Option<&FileInfo> {
        self.files.get(name)
    }

    /// The files that hold the decision, as far as is known.
    pub(crate) fn files_of(&self, id: &DecisionId) -> &[Arc<str>] {
        self.by_id.get(id).map_or(&[], Vec::as_slice)
    }

    /// All files, in no order.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Arc<str>, &FileInfo)> {
        self.files.iter()
    }

    pub(crate) fn by_time(&self) -> &BTreeSet<Key> {
        &self.by_time
    }

    pub(crate) fn by_written(&self) -> &BTreeSet<Key> {
        &self.by_written
    }

    /// Files that are not known to hold a decision.
    pub(crate) fn suspects(&self) -> impl Iterator<Item = &Arc<str>> {
        self.suspects.iter()
    }

    /// Those of them that were not read yet.
    pub(crate) fn unchecked(&self) -> &BTreeSet<Arc<str>> {
        &self.unchecked
    }

    pub(crate) fn not_files(&self) -> &BTreeMap<String, FileKind> {
        &self.not_files
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minutebook_core::time::parse_timestamp;

    #[test]
    fn every_view_follows_a_change() {
        let mut index = Index::default();
        let (name, id): (Arc<str>, DecisionId) = ("2025-01-01_a.json".into(), "a".parse().unwrap());
        let time = parse_timestamp("2025-01-01").unwrap();
        index.relist(vec![Arc::clone(&name)], BTreeMap::new(), |_| None);
        assert_eq!(
            (
                index.files_of(&id).len(),
                index.unchecked().len(),
                index.by_time().len()
            ),
            (1, 1, 0)
        );
        index.place(Arc::clone(&name), id.clone(), (time, time), None);
        assert_eq!(
            (
                index.files_of(&id).len(),
                index.suspects().count(),
                index.by_time().len()
            ),
            (1, 0, 1)
        );
        let other: DecisionId = "b".parse().unwrap();
        index.place(Arc::clone(&name), other.clone(), (time, time), None);
        assert_eq!(
            (
                index.files_of(&id).len(),
                index.files_of(&other).len(),
                index.by_written().len()
            ),
            (0, 1, 1)
        );
        index.relist(Vec::new(), BTreeMap::new(), |_| None);
        assert_eq!(
            (
                index.files().count(),
                index.by_time().len(),
                index.files_of(&other).len()
            ),
            (0, 0, 0)
        );
    }
}
