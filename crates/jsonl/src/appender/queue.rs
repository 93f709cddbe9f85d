//! What stands between those who push and the thread that writes.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use minutebook_core::SeriesId;

use super::AppenderStatus;
use crate::entries::Lines;
use crate::error::{Failure, JsonlError};
use crate::store::Series;

/// Lines of one series that wait to be written.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) series: Arc<Series>,
    pub(super) lines: Lines,
}

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

#[derive(Debug)]
pub(super) struct Queue {
    pace: Pace,
    state: Mutex<State>,
    /// The thread waits here for something to do.
    work: Condvar,
    /// Threads wait here for the thread. Tasks leave their wakers.
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    places: HashMap<SeriesId, usize>,
    bytes: usize,
    accepted: u64,
    written: u64,
    durable: u64,
    /// The last entry that somebody waits for.
    wanted: u64,
    /// The first and the last entry of which somebody waits for that it is durable.
    wanted_durable: Option<(u64, u64)>,
    /// Somebody waits for room.
    full: bool,
    unsynced_since: Option<Instant>,
    failure: Option<Failure>,
    /// What was accepted and is not known to be written, after a failure.
    unwritten: Vec<Waiting>,
    closing: bool,
    ended: bool,
    wakers: Vec<Waker>,
}

/// How far an entry must have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Written,
    Durable,
}

impl Queue {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            state: Mutex::default(),
            work: Condvar::new(),
            news: Condvar::new(),
        }
    }

    /// What `Ok` of a flush promises.
    pub(super) fn stage(&self) -> Stage {
        if self.pace.synced {
            Stage::Durable
        } else {
            Stage::Written
        }
    }

    /// Takes lines in if there is room, and gives the number of their last entry. `None` if the queue is full.
    pub(super) fn offer(
        &self,
        series: &Arc<Series>,
        lines: &Lines,
    ) -> Result<Option<u64>, JsonlError> {
        let mut state = self.lock();
        self.admit(&mut state, series, lines).transpose()
    }

    /// As [`offer`](Self::offer), as soon as there is room.
    pub(super) async fn push(
        &self,
        series: &Arc<Series>,
        lines: &Lines,
    ) -> Result<u64, JsonlError> {
        self.until(|state| {
            let admitted = self.admit(state, series, lines);
            if admitted.is_none() {
                state.full = true;
                self.work.notify_one();
            }
            admitted
        })
        .await
    }

    /// As [`push`](Self::push), on this thread.
    pub(super) fn push_blocking(
        &self,
        series: &Arc<Series>,
        lines: &Lines,
    ) -> Result<u64, JsonlError> {
        self.until_blocking(|state| {
            let admitted = self.admit(state, series, lines);
            if admitted.is_none() {
                state.full = true;
                self.work.notify_one();
            }
            admitted
        })
    }

    fn admit(
        &self,
        state: &mut State,
        series: &Arc<Series>,
        lines: &Lines,
    ) -> Option<Result<u64, JsonlError>> {
        if let Some(failure) = &state.failure {
            return Some(Err(JsonlError::Stopped(failure.clone())));
        }
        if state.closing {
            return Some(Err(JsonlError::Closed));
        }
        let after = state.bytes + lines.len();
        if state.bytes > 0 && after > self.pace.max_queued_bytes {
            return None;
        }
        let batch = self.pace.batch_bytes;
        if state.bytes == 0 || (state.bytes < batch && after >= batch) {
            self.work.notify_one();
        }
        state.bytes = after;
        state.accepted += lines.count;
        state.add(series, lines);
        Some(Ok(state.accepted))
    }

    /// The number of the last entry that was accepted.
    pub(super) fn accepted(&self) -> u64 {
        self.lock().accepted
    }

    /// Returns when everything up to an entry has come so far.
    pub(super) async fn reach(&self, entry: u64, stage: Stage) -> Result<(), JsonlError> {
        self.until(self.reached(entry, stage)).await
    }

    /// As [`reach`](Self::reach), on this thread.
    pub(super) fn reach_blocking(&self, entry: u64, stage: Stage) -> Result<(), JsonlError> {
        self.until_blocking(self.reached(entry, stage))
    }

    fn reached(
        &self,
        entry: u64,
        stage: Stage,
    ) -> impl FnMut(&mut State) -> Option<Result<(), JsonlError>> {
        let mut asked = false;
        move |state| {
            let done = match stage {
                Stage::Written => state.written,
                Stage::Durable => state.durable,
            };
            if let Some(failure) = &state.failure {
                // Also for what came so far: who flushes asks whether all is well.
                return Some(Err(JsonlError::Stopped(failure.clone())));
            }
            if done >= entry {
                return Some(Ok(()));
            }
            if state.ended {
                return Some(Err(JsonlError::Closed));
            }
            if !asked {
                asked = true;
                state.want(entry, stage);
                self.work.notify_one();
            }
            None
        }
    }

    /// Lets the thread write and sync what is there, and end.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }

    /// Returns when the thread has ended.
    pub(super) async fn ended(&self) -> Result<(), JsonlError> {
        self.until(Self::outcome).await
    }

    /// As [`ended`](Self::ended), on this thread.
    pub(super) fn ended_blocking(&self) -> Result<(), JsonlError> {
        self.until_blocking(Self::outcome)
    }

    fn outcome(state: &mut State) -> Option<Result<(), JsonlError>> {
        state.ended.then(|| match &state.failure {
            Some(failure) => Err(JsonlError::Stopped(failure.clone())),
            None => Ok(()),
        })
    }

    pub(super) fn status(&self) -> AppenderStatus {
        let state = self.lock();
        AppenderStatus {
            accepted: state.accepted,
            written: state.written,
            durable: state.durable,
            queued_bytes: state.bytes,
            failed: state.failure.is_some(),
        }
    }

    /// What was accepted and is not known to be written, after a failure.
    pub(super) fn take_unwritten(&self) -> Vec<Waiting> {
        std::mem::take(&mut self.lock().unwritten)
    }

    /// For the thread: waits until there is something to do.
    pub(super) fn next(&self) -> Job {
        let mut state = self.lock();
        let mut since = None;
        loop {
            let waiting = !state.waiting.is_empty();
            if state.failure.is_none() {
                // Before the next write, or a stream of pushes would put it off for ever.
                if state.sync_is_due(&self.pace) {
                    return Job::Sync(state.written);
                }
                let now = Instant::now();
                let lingered =
                    since.is_some_and(|since| now.duration_since(since) >= self.pace.linger);
                if waiting && (lingered || state.hurry(&self.pace)) {
                    return state.take();
                }
                if waiting {
                    since.get_or_insert(now);
                }
            }
            if state.closing {
                return Job::End;
            }
            state = self.sleep(state, since);
        }
    }

    fn sleep<'a>(
        &self,
        state: MutexGuard<'a, State>,
        since: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        let write_at = since.and_then(|since| since.checked_add(self.pace.linger));
        let sync_at = state
            .unsynced_since
            .zip(self.pace.sync_interval)
            .and_then(|(since, interval)| since.checked_add(interval));
        let next = [write_at, sync_at].into_iter().flatten().min();
        match next.filter(|_| state.failure.is_none()) {
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now());
                self.work
                    .wait_timeout(state, left)
                    .map_or_else(|poison| poison.into_inner().0, |(state, _)| state)
            }
            None => self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// For the thread: everything up to this entry is in the files.
    pub(super) fn note_written(&self, entry: u64) {
        let mut state = self.lock();
        state.written = entry;
        state.unsynced_since.get_or_insert_with(Instant::now);
        self.tell(state);
    }

    /// For the thread: everything up to this entry is durable.
    pub(super) fn note_durable(&self, entry: u64) {
        let mut state = self.lock();
        state.durable = entry;
        state.unsynced_since = (state.written > entry).then(Instant::now);
        state.wanted_durable = state
            .wanted_durable
            .filter(|(_, last)| *last > entry)
            .map(|(_, last)| (entry + 1, last));
        self.tell(state);
    }

    /// For the thread: a write or a sync failed. `rest` is what is not known to be written.
    pub(super) fn fail(&self, failure: Failure, mut rest: Vec<Waiting>) {
        let mut state = self.lock();
        rest.append(&mut state.waiting);
        state.places.clear();
        state.bytes = 0;
        state.unwritten = rest;
        state.failure.get_or_insert(failure);
        self.tell(state);
    }

    /// For the thread, as the last thing it does. `hand` is what it was about to write, if it panicked over it.
    pub(super) fn end(&self, panicked: bool, mut hand: Vec<Waiting>) {
        let mut state = self.lock();
        state.ended = true;
        state.closing = true;
        if panicked {
            state.failure.get_or_insert_with(Failure::panicked);
            hand.append(&mut state.waiting);
            state.unwritten.append(&mut hand);
            state.places.clear();
            state.bytes = 0;
        }
        self.tell(state);
    }

    fn tell(&self, mut state: MutexGuard<'_, State>) {
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.news.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn until<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        poll_fn(|context| {
            let mut state = self.lock();
            if let Some(value) = ready(&mut state) {
                return Poll::Ready(value);
            }
            if !state
                .wakers
                .iter()
                .any(|known| known.will_wake(context.waker()))
            {
                state.wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    fn until_blocking<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut state = self.lock();
        loop {
            if let Some(value) = ready(&mut state) {
                return value;
            }
            state = self
                .news
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing here is left half-done by a panic: each change is a few assignments.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, series: &Arc<Series>, lines: &Lines) {
        let last = self.waiting.last_mut();
        if let Some(last) = last.filter(|last| Arc::ptr_eq(&last.series, series)) {
            last.lines.extend(lines);
        } else if let Some(place) = self.places.get(&series.id) {
            if let Some(known) = self.waiting.get_mut(*place) {
                known.lines.extend(lines);
            }
        } else {
            self.places.insert(series.id.clone(), self.waiting.len());
            let mut own = Lines::default();
            own.extend(lines);
            self.waiting.push(Waiting {
                series: Arc::clone(series),
                lines: own,
            });
        }
    }

    fn want(&mut self, entry: u64, stage: Stage) {
        self.wanted = self.wanted.max(entry);
        if stage == Stage::Durable {
            let (first, last) = self.wanted_durable.unwrap_or((entry, entry));
            self.wanted_durable = Some((first.min(entry), last.max(entry)));
        }
    }

    fn hurry(&self, pace: &Pace) -> bool {
        self.closing
            || self.full
            || self.wanted > self.written
            || self.bytes >= pace.batch_bytes
            || pace.linger.is_zero()
    }

    fn sync_is_due(&self, pace: &Pace) -> bool {
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

    fn take(&mut self) -> Job {
        self.places.clear();
        self.bytes = 0;
        self.full = false;
        Job::Write(std::mem::take(&mut self.waiting), self.accepted)
    }
}
