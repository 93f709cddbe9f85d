//! What a handle knows: the journal as far as read, the directory as last listed, and how old that knowledge is.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use minutebook_core::DecisionId;
use minutebook_fs::{FileId, Metadata};

use super::index::Index;
use crate::codec::Digest;
use crate::error::Result;
use crate::journal::{Event, Journal, Knowledge, Known, Mark, Put, Record};

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
    pub(crate) fn device(self) -> u64 {
        self.file.device
    }

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
    /// Which run of the machine this is, where the platform tells.
    pub(crate) boot: Option<String>,
    pub(crate) journal: Journal,
    pub(crate) known: Knowledge,
    /// Lines that no mark covers yet: a writer is at work, or died.
    pub(crate) pending: Vec<(u64, Record)>,
    pub(crate) index: Index,
    /// Whether the index has the directory's names.
    pub(crate) listed: bool,
    pub(crate) dir: Option<DirSeen>,
    /// Journaled files that were seen to be missing, or to hold another decision.
    pub(crate) vanished: BTreeSet<Arc<str>>,
    /// Files that do not look as the checkpoint has them and hold the same: the next one takes their looks over.
    pub(crate) restamped: HashSet<Arc<str>>,
    /// Runs of a checkpoint's table that were there at the last listing.
    pub(crate) runs: Vec<String>,
    /// Whether the journal tells of anything but what was there before it.
    pub(crate) begun: bool,
    /// Whether the directory's times were seen to be finer than ticks.
    pub(crate) fine_times: bool,
    /// Up to which line this handle has made the journal durable.
    pub(crate) synced: u64,
    /// Up to which offset of the journal the files are known to have reached the device.
    pub(crate) durable: u64,
    /// Where the journal was read from, after a checkpoint.
    pub(crate) start: u64,
    /// Until the files have been compared with the journal: all its lines since the checkpoint.
    pub(crate) tail: Option<Vec<Record>>,
    /// What an open could not compare, because a writer was at work, by decision. A later line about a decision settles what was in doubt of it.
    pub(crate) doubt: HashMap<DecisionId, Vec<Record>>,
    pub(crate) overlay: Overlay,
}

impl State {
    pub(crate) fn new(journal: Journal, boot: Option<String>) -> Self {
        Self {
            boot,
            journal,
            known: Knowledge::default(),
            pending: Vec::new(),
            index: Index::default(),
            listed: false,
            dir: None,
            vanished: BTreeSet::new(),
            restamped: HashSet::new(),
            runs: Vec::new(),
            begun: false,
            fine_times: false,
            synced: 0,
            durable: 0,
            start: 0,
            tail: Some(Vec::new()),
            doubt: HashMap::new(),
            overlay: Overlay::default(),
        }
    }

    /// Takes over one line.
    pub(crate) fn apply(&mut self, event: Event) {
        match event {
            Event::Record(_, Record::Segment(_) | Record::Pruned(_)) => {}
            Event::Record(_, Record::Void(lines)) => {
                self.pending.retain(|(seq, _)| !lines.contains(seq));
            }
            Event::Record(seq, record) => self.pending.push((seq, record)),
            Event::Mark(mark) => self.mark(&mark),
        }
    }

    fn mark(&mut self, mark: &Mark) {
        if !mark.begun && self.boot.is_some() && mark.boot == self.boot {
            // Its writer has compared them.
            self.settle_doubt(HashMap::clear);
        }
        let later = self
            .pending
            .iter()
            .position(|(seq, _)| *seq > mark.seq)
            .unwrap_or(self.pending.len());
        let merged: Vec<_> = self.pending.drain(..later).collect();
        for (_, record) in merged {
            self.merge(record);
        }
        if !self.vanished.is_empty() {
            // What a line tells of is not to be noted.
            let vanished = std::mem::take(&mut self.vanished);
            for name in &vanished {
                self.note_vanished(name);
            }
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

    /// Files that were written one after another: if their times are closer than ticks are, times are finer than those.
    pub(crate) fn compare_times(&mut self, written: impl Iterator<Item = i64>) {
        let mut last = None;
        for time in written {
            let apart = last.map_or(0, |last| time.saturating_sub(last));
            self.fine_times |= (1..FINE_NS).contains(&apart);
            last = Some(time);
        }
    }

    /// Takes over a line that was carried out.
    pub(crate) fn merge(&mut self, record: Record) {
        self.begun |= !matches!(record, Record::Found(_));
        match &record {
            Record::Put(put) => {
                if self.listed {
                    for gone in &put.gone {
                        self.index.remove(&gone.file);
                    }
                }
                self.take_over(&put.id, Known::from(put));
            }
            Record::Found(found) => self.take_over(&found.id, Known::from(found)),
            Record::Delete(delete) => {
                for gone in &delete.gone {
                    self.index.remove(&gone.file);
                }
                self.known.remove(&delete.id);
            }
            Record::Missing(id) => self.known.remove(id),
            Record::Void(_) | Record::Segment(_) | Record::Pruned(_) => {}
        }
        if let Some(id) = record.id() {
            self.settle_doubt(|doubt| drop(doubt.remove(id)));
        }
        if let Some(tail) = &mut self.tail {
            tail.push(record);
        }
    }

    /// Leaves the comparison to the first write: lines that come until then are those of writers who have looked at the files.
    pub(crate) fn put_off(&mut self) {
        for record in self.tail.take().into_iter().flatten() {
            if let Some(id) = record.id().cloned() {
                self.doubt.entry(id).or_default().push(record);
            }
        }
    }

    /// Others have looked at files that were in doubt: the journal need not stand in for them any more.
    fn settle_doubt(&mut self, settle: impl FnOnce(&mut HashMap<DecisionId, Vec<Record>>)) {
        if self.doubt.is_empty() {
            return;
        }
        settle(&mut self.doubt);
        let Overlay { serve, hide } = &mut self.overlay;
        if serve.is_empty() && hide.is_empty() {
            return;
        }
        serve.retain(|id, _| self.doubt.contains_key(id));
        if self.doubt.is_empty() {
            hide.clear();
        }
        self.listed = false;
    }

    /// Files and journal were compared.
    pub(crate) fn compared(&mut self) {
        self.tail = None;
        self.doubt.clear();
    }

    /// Whether files may be other than the journal says.
    pub(crate) fn is_in_doubt(&self) -> bool {
        let tail = self.tail.as_ref();
        !self.pending.is_empty()
            || !self.doubt.is_empty()
            || tail.is_some_and(|tail| !tail.is_empty())
    }

    /// Whether a writer broke off: lines without a mark, or a mark as it stands before a change or a sync, without the one after it. `tells` is
    /// whether one run of the machine can be told from another.
    pub(crate) fn is_broken_off(&self, tells: bool) -> bool {
        let journal = &self.journal;
        let half = journal.begun || (tells && journal.boot.is_none());
        journal.offset > 0 && (journal.marked.0 != journal.offset || half)
    }

    /// Up to which line everything was carried out.
    pub(crate) fn settled(&self) -> u64 {
        let first = self.pending.first();
        first.map_or(self.journal.chain.seq, |(seq, _)| seq.saturating_sub(1))
    }

    /// When the directory had last changed at the last mark, for one that tells of no change of it.
    pub(crate) fn dir_mark(&self) -> Option<(i64, i64)> {
        self.journal.dir_after.map(|after| (after, after))
    }

    /// Takes over a decision's new state, which its file has to be looked at for.
    fn take_over(&mut self, id: &DecisionId, known: Known) {
        if self.listed {
            let row = self.index.row(&known.file);
            let there = row.is_some_and(|row| {
                row.id.as_ref() == Some(id) && row.is(known.token, known.effective(), known.at)
            });
            if there {
                self.index.doubt(&known.file);
            } else {
                self.index.expect(&known.file, id);
            }
        }
        self.known.insert(id.clone(), known);
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
            Record::Found(found) => found.id == *id,
            Record::Missing(_) | Record::Void(_) | Record::Segment(_) | Record::Pruned(_) => false,
        })
    }

    /// A file is no longer there: if it is a decision's of the journal, that is to be noted.
    pub(crate) fn note_vanished(&mut self, name: &Arc<str>) {
        // If that cannot be told now, it is when it is noted.
        if !matches!(self.known.by_file(name), Ok(None)) {
            self.vanished.insert(Arc::clone(name));
        }
    }

    /// Whether a file that is no JSON as we read it is as the journal, or a writer who is at work, has it.
    pub(crate) fn is_raw(&self, name: &str, digest: Option<Digest>) -> Result<bool> {
        let known = self.known.by_file(name)?;
        let coming = self.pending.iter().filter_map(|(_, record)| match record {
            Record::Put(put) if *put.file == *name => Some((put.raw, put.token.digest)),
            _ => None,
        });
        Ok(known
            .map(|(_, known)| (known.raw, known.token.digest))
            .into_iter()
            .chain(coming)
            .any(|(raw, of)| raw && Some(of) == digest))
    }
}
