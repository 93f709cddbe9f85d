//! What a handle knows: the journal as far as read, the directory as last listed, and how old that knowledge is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minutebook_core::DecisionId;
use minutebook_fs::{FileId, Metadata};

use super::index::Index;
use crate::codec::Digest;
use crate::journal::{Event, Journal, Known, Mark, Put, Record};
use crate::layout;

/// How far apart two changes must be for the directory's time to tell them apart, with room to spare: file systems
/// count in ticks of 1 to 10 ms, the coarse ones (whole seconds) in 1 or 2 s.
const TICK: Duration = Duration::from_millis(20);
pub(super) const COARSE_TICK: Duration = Duration::from_millis(2_500);

/// Two changes that are less than this apart, in nanoseconds, do not come from a clock with ticks, of which the finest has 1 ms.
const FINE_NS: i64 = 900_000;

/// The state of the directory at the last listing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DirSeen {
    pub(crate) stamp: DirStamp,
    /// When this stamp was first seen.
    pub(crate) first: Instant,
    /// Whether the listing was taken so long after `first` that no change can hide behind the same stamp.
    pub(crate) confirmed: bool,
}

impl DirSeen {
    /// Whether a change may still hide behind the stamp.
    pub(crate) fn in_tick(&self, now: Instant) -> bool {
        let tick = if self.stamp.changed_ns % 1_000_000_000 == 0 {
            COARSE_TICK
        } else {
            TICK
        };
        now.duration_since(self.first) < tick
    }
}

/// When the directory last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirStamp {
    file: FileId,
    changed_ns: i128,
}

impl DirStamp {
    /// As it stands in the journal.
    pub(crate) fn nanos(self) -> Option<i64> {
        i64::try_from(self.changed_ns).ok()
    }
}

impl From<&Metadata> for DirStamp {
    fn from(meta: &Metadata) -> Self {
        Self {
            file: meta.id,
            changed_ns: meta.changed_ns,
        }
    }
}

/// What the journal says and the files, on a medium that cannot be written, do not.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// Decisions that are served from the journal; with the digest of what the file holds instead.
    pub(crate) serve: HashMap<DecisionId, Option<Digest>>,
    /// Files that should not be there, with the digest of what they hold.
    pub(crate) hide: HashMap<Arc<str>, Option<Digest>>,
}

impl Overlay {
    pub(crate) fn is_empty(&self) -> bool {
        self.serve.is_empty() && self.hide.is_empty()
    }
}

/// What a handle knows.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) journal: Journal,
    pub(crate) known: HashMap<DecisionId, Known>,
    /// The journaled decisions whose files' names do not tell their ids.
    pub(crate) unnamed: HashMap<Arc<str>, DecisionId>,
    /// Lines that no mark covers yet: a writer is at work, or died.
    pub(crate) pending: Vec<(u64, Record)>,
    pub(crate) index: Index,
    /// Whether the index has the directory's names.
    pub(crate) listed: bool,
    pub(crate) dir: Option<DirSeen>,
    /// Whether the directory may have been changed by others since the journaled files were last looked for.
    pub(crate) changed_by_others: bool,
    /// Journaled files that were seen to be missing since.
    pub(crate) vanished: Vec<Arc<str>>,
    /// Whether the directory's times were seen to be finer than ticks.
    pub(crate) fine_times: bool,
    /// Up to which offset of the journal the files are known to have reached the device.
    pub(crate) durable: u64,
    /// Where the journal was read from, after a checkpoint.
    pub(crate) start: u64,
    /// Until the files have been compared with the journal: all its lines since the checkpoint.
    pub(crate) tail: Option<Vec<Record>>,
    pub(crate) overlay: Overlay,
}

impl State {
    pub(crate) fn new(journal: Journal) -> Self {
        Self {
            journal,
            known: HashMap::new(),
            unnamed: HashMap::new(),
            pending: Vec::new(),
            index: Index::default(),
            listed: false,
            dir: None,
            changed_by_others: true,
            vanished: Vec::new(),
            fine_times: false,
            durable: 0,
            start: 0,
            tail: Some(Vec::new()),
            overlay: Overlay::default(),
        }
    }

    /// Takes over one line.
    pub(crate) fn apply(&mut self, event: Event) {
        match event {
            Event::Record(_, Record::Found | Record::Segment(_) | Record::Pruned(_)) => {}
            Event::Record(_, Record::Void(lines)) => {
                self.pending.retain(|(seq, _)| !lines.contains(seq));
            }
            Event::Record(seq, record) => self.pending.push((seq, record)),
            Event::Mark(mark) => self.mark(&mark),
        }
    }

    fn mark(&mut self, mark: &Mark) {
        let later = self
            .pending
            .iter()
            .position(|(seq, _)| *seq > mark.seq)
            .unwrap_or(self.pending.len());
        for (_, record) in self.pending.drain(..later).collect::<Vec<_>>() {
            self.merge(record);
        }
        let apart = mark
            .dir
            .map_or(0, |(before, after)| after.saturating_sub(before));
        self.fine_times |= (1..FINE_NS).contains(&apart);
        if let (Some(seen), Some((before, after))) = (&mut self.dir, mark.dir)
            && seen.stamp.nanos() == Some(before)
            && before != after
        {
            // The change of the directory is that of the lines, which were taken over just now.
            seen.stamp.changed_ns = i128::from(after);
            seen.first = Instant::now();
            // Others may have changed it between the two times; that shows when it is listed the next time.
            seen.confirmed = false;
        }
    }

    /// Takes over a line that was carried out.
    pub(crate) fn merge(&mut self, record: Record) {
        match &record {
            Record::Put(put) => {
                let known = Known::from(put);
                if self.listed {
                    for gone in &put.gone {
                        self.index.remove(&gone.file);
                    }
                    let row = self.index.row(&put.file);
                    let there = row.is_some_and(|row| {
                        row.id.as_ref() == Some(&put.id)
                            && row.is(known.token, known.effective(), known.at)
                    });
                    if there {
                        self.index.doubt(&put.file);
                    } else {
                        self.index.expect(&put.file, &put.id);
                    }
                }
                self.remember(put.id.clone(), known);
            }
            Record::Delete(delete) => {
                for gone in &delete.gone {
                    self.index.remove(&gone.file);
                }
                self.forget(&delete.id);
            }
            Record::Missing(id) => self.forget(id),
            Record::Found | Record::Void(_) | Record::Segment(_) | Record::Pruned(_) => {}
        }
        if let Some(tail) = &mut self.tail {
            tail.push(record);
        }
    }

    /// The line about this id that is being carried out, if there is one.
    pub(crate) fn pending_put(&self, id: &DecisionId) -> Option<&Put> {
        self.pending
            .iter()
            .rev()
            .find_map(|(_, record)| match record {
                Record::Put(put) if put.id == *id => Some(put),
                _ => None,
            })
    }

    /// Whether a writer is at work on this id.
    pub(crate) fn is_pending(&self, id: &DecisionId) -> bool {
        self.pending.iter().any(|(_, record)| match record {
            Record::Put(put) => put.id == *id,
            Record::Delete(delete) => delete.id == *id,
            Record::Missing(_)
            | Record::Found
            | Record::Void(_)
            | Record::Segment(_)
            | Record::Pruned(_) => false,
        })
    }

    /// A file is no longer there: if it is a decision's of the journal, that is to be noted.
    pub(crate) fn note_vanished(&mut self, name: &Arc<str>) {
        if self.known_file(name).is_some() {
            self.vanished.push(Arc::clone(name));
        }
    }

    /// Whether a file that is no JSON as we read it is as the journal, or a writer who is at work, has it.
    pub(crate) fn is_raw(&self, name: &str, digest: Option<Digest>) -> bool {
        let known = self.known_file(name).map(|(_, known)| known);
        let coming = self.pending.iter().filter_map(|(_, record)| match record {
            Record::Put(put) if *put.file == *name => Some((put.raw, put.token.digest)),
            _ => None,
        });
        known
            .map(|known| (known.raw, known.token.digest))
            .into_iter()
            .chain(coming)
            .any(|(raw, of)| raw && Some(of) == digest)
    }

    fn forget(&mut self, id: &DecisionId) {
        if let Some(known) = self.known.remove(id) {
            self.unnamed.remove(&known.file);
        }
    }

    /// Takes over the journaled state of a decision.
    pub(crate) fn remember(&mut self, id: DecisionId, known: Known) {
        if let Some(before) = self.known.get(&id) {
            self.unnamed.remove(&before.file);
        }
        if layout::id_of(&known.file).as_ref() != Some(&id) {
            self.unnamed.insert(Arc::clone(&known.file), id.clone());
        }
        self.known.insert(id, known);
    }

    /// The journaled state of which this file is the document.
    pub(crate) fn known_file(&self, name: &str) -> Option<(&DecisionId, &Known)> {
        let by_name = layout::id_of(name);
        let claimed = self.unnamed.get(name).or(by_name.as_ref())?;
        let (id, known) = self.known.get_key_value(claimed)?;
        (*known.file == *name).then_some((id, known))
    }
}
