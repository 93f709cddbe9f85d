//! What waits, how far the rest has come, and what is to be done next.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant};

use minutebook_core::SeriesId;

use crate::entries::Lines;
use crate::error::{Failure, JsonlError};
use crate::store::Series;

/// Lines of one series that wait to be written.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) series: Arc<Series>,
    pub(super) lines: Lines,
    pub(super) refusal: Refusal,
}

/// Why lines were refused, once they were: it says so of all that were written together.
pub(super) type Refusal = Arc<OnceLock<Failure>>;

/// What the thread does next.
#[derive(Debug)]
pub(super) enum Job {
    /// Write these; they reach up to this entry.
    Write(Vec<Waiting>, u64),
    /// Make durable what was written, up to this entry.
    Sync(u64),
    End,
}

/// When to write and when to sync.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) synced: bool,
    pub(super) sync_interval: Option<Duration>,
    pub(super) linger: Duration,
    pub(super) batch_bytes: usize,
    pub(super) max_queued_bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) waiting: Vec<Waiting>,
    pub(super) places: HashMap<SeriesId, usize>,
    pub(super) bytes: usize,
    pub(super) accepted: u64,
    /// Everything up to this entry is in the files or was refused; and what of it is in the files is durable up to the other.
    pub(super) written: u64,
    pub(super) durable: u64,
    /// The last entry that somebody waits for.
    pub(super) wanted: u64,
    /// The first and the last entry of which somebody waits for that it is durable.
    pub(super) wanted_durable: Option<(u64, u64)>,
    /// Somebody waits for room.
    pub(super) full: bool,
    pub(super) unsynced_since: Option<Instant>,
    pub(super) failure: Option<Failure>,
    /// Series whose entries were refused, until those are taken back.
    pub(super) refused: HashMap<SeriesId, Failure>,
    /// The first refusal since then.
    pub(super) first_refusal: Option<Failure>,
    /// The last one, and how many there were since the appender was made.
    pub(super) last_refusal: Option<Failure>,
    pub(super) refusals: u64,
    /// How many entries are in the files, are durable, and were refused.
    pub(super) written_entries: u64,
    pub(super) durable_entries: u64,
    pub(super) refused_entries: u64,
    /// What was accepted and is not known to be written, after a failure or a refusal.
    pub(super) unwritten: Vec<Waiting>,
    pub(super) closing: bool,
    pub(super) ended: bool,
    pub(super) wakers: Vec<Waker>,
}

/// How far an entry must have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Written,
    Durable,
}

impl State {
    pub(super) fn add(&mut self, series: &Arc<Series>, lines: &Lines) -> Refusal {
        let last = self
            .waiting
            .last()
            .filter(|it| Arc::ptr_eq(&it.series, series));
        let place = match last {
            Some(_) => Some(self.waiting.len() - 1),
            None => self.places.get(&series.id).copied(),
        };
        if let Some(known) = place.and_then(|place| self.waiting.get_mut(place)) {
            known.lines.extend(lines);
            return Arc::clone(&known.refusal);
        }
        self.places.insert(series.id.clone(), self.waiting.len());
        let mut own = Lines::default();
        own.extend(lines);
        let refusal = Refusal::default();
        self.waiting.push(Waiting {
            series: Arc::clone(series),
            lines: own,
            refusal: Arc::clone(&refusal),
        });
        refusal
    }

    /// Takes out what waits of a series.
    pub(super) fn take_of(&mut self, id: &SeriesId) -> Option<Waiting> {
        let place = self.places.remove(id)?;
        if place >= self.waiting.len() {
            return None;
        }
        let taken = self.waiting.swap_remove(place);
        if let Some(moved) = self.waiting.get(place) {
            self.places.insert(moved.series.id.clone(), place);
        }
        self.bytes -= taken.lines.len();
        Some(taken)
    }

    /// What tells a flush that began after so many refusals that not everything is written.
    pub(super) fn refusal_since(&self, refusals: u64) -> Option<JsonlError> {
        let later = self
            .last_refusal
            .as_ref()
            .filter(|_| self.refusals > refusals);
        let failure = self.first_refusal.as_ref().or(later)?;
        Some(JsonlError::Shared(failure.clone()))
    }

    pub(super) fn want(&mut self, entry: u64, stage: Stage) {
        self.wanted = self.wanted.max(entry);
        if stage == Stage::Durable {
            let (first, last) = self.wanted_durable.unwrap_or((entry, entry));
            self.wanted_durable = Some((first.min(entry), last.max(entry)));
        }
    }

    pub(super) fn hurry(&self, pace: &Pace) -> bool {
        self.closing
            || self.full
            || self.wanted > self.written
            || self.bytes >= pace.batch_bytes
            || pace.linger.is_zero()
    }

    pub(super) fn sync_is_due(&self, pace: &Pace) -> bool {
        let due = |interval| {
            self.unsynced_since
                .is_some_and(|since| since.elapsed() >= interval)
        };
        self.written > self.durable
            && (pace.synced
                || self
                    .wanted_durable
                    .is_some_and(|(first, _)| first <= self.written)
                || pace.sync_interval.is_some_and(due)
                || (self.closing && self.waiting.is_empty()))
    }

    pub(super) fn take(&mut self) -> Job {
        self.places.clear();
        self.bytes = 0;
        self.full = false;
        Job::Write(std::mem::take(&mut self.waiting), self.accepted)
    }
}
