//! What stands between those who push and the thread that writes.

use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant;

use super::AppenderStatus;
use super::state::{Job, Pace, Refusal, Stage, State, Waiting};
use crate::entries::Lines;
use crate::error::{Failure, JsonlError};
use crate::store::Series;

/// An entry that was taken in.
#[derive(Debug)]
pub(super) struct Accepted {
    number: u64,
    refusal: Refusal,
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

    /// Takes lines in if there is room. `None` if the queue is full.
    pub(super) fn offer(
        &self,
        series: &Arc<Series>,
        lines: &Lines,
    ) -> Result<Option<Accepted>, JsonlError> {
        let mut state = self.lock();
        self.admit(&mut state, series, lines).transpose()
    }

    /// As [`offer`](Self::offer), as soon as there is room.
    pub(super) async fn push(
        &self,
        series: &Arc<Series>,
        lines: &Lines,
    ) -> Result<Accepted, JsonlError> {
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
    ) -> Result<Accepted, JsonlError> {
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
    ) -> Option<Result<Accepted, JsonlError>> {
        if let Some(failure) = &state.failure {
            return Some(Err(JsonlError::Stopped(failure.clone())));
        }
        if state.closing {
            return Some(Err(JsonlError::Closed));
        }
        // Or it would stand in the file before those that were refused.
        if let Some(failure) = state.refused.get(&series.id) {
            return Some(Err(JsonlError::Refused(failure.clone())));
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
        let refusal = state.add(series, lines);
        Some(Ok(Accepted {
            number: state.accepted,
            refusal,
        }))
    }

    /// Returns when an entry has come so far.
    pub(super) async fn reach(&self, entry: Accepted, stage: Stage) -> Result<(), JsonlError> {
        self.until(self.reached_by(entry, stage)).await
    }

    /// As [`reach`](Self::reach), on this thread.
    pub(super) fn reach_blocking(&self, entry: Accepted, stage: Stage) -> Result<(), JsonlError> {
        self.until_blocking(self.reached_by(entry, stage))
    }

    fn reached_by(
        &self,
        entry: Accepted,
        stage: Stage,
    ) -> impl FnMut(&mut State) -> Option<Result<(), JsonlError>> {
        let mut reached = self.reached(entry.number, stage);
        move |state| match entry.refusal.get() {
            Some(failure) => Some(Err(JsonlError::Shared(failure.clone()))),
            None => reached(state),
        }
    }

    /// Returns when everything that was accepted so far has come so far, or was refused: then with the first refusal.
    pub(super) async fn reach_all(&self, stage: Stage) -> Result<(), JsonlError> {
        self.until(self.all_reached(stage)).await
    }

    /// As [`reach_all`](Self::reach_all), on this thread.
    pub(super) fn reach_all_blocking(&self, stage: Stage) -> Result<(), JsonlError> {
        self.until_blocking(self.all_reached(stage))
    }

    fn all_reached(
        &self,
        stage: Stage,
    ) -> impl FnMut(&mut State) -> Option<Result<(), JsonlError>> {
        let (accepted, refusals) = {
            let state = self.lock();
            (state.accepted, state.refusals)
        };
        let mut reached = self.reached(accepted, stage);
        move |state| match reached(state)? {
            Ok(()) => Some(state.refusal_since(refusals).map_or(Ok(()), Err)),
            failed => Some(failed),
        }
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
            None => state.refusal_since(state.refusals).map_or(Ok(()), Err),
        })
    }

    pub(super) fn status(&self) -> AppenderStatus {
        let state = self.lock();
        AppenderStatus {
            accepted: state.accepted,
            written: state.written_entries,
            durable: state.durable_entries,
            refused: state.refused_entries,
            queued_bytes: state.bytes,
            failed: state.failure.is_some(),
        }
    }

    /// What was accepted and is not known to be written, after a failure or a refusal. What was refused may be pushed again then.
    pub(super) fn take_unwritten(&self) -> Vec<Waiting> {
        let mut state = self.lock();
        state.refused.clear();
        state.first_refusal = None;
        std::mem::take(&mut state.unwritten)
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

    /// For the thread: everything up to this entry, of them so many, is in the files, unless it was refused.
    pub(super) fn note_written(&self, entry: u64, entries: u64) {
        let mut state = self.lock();
        // What was refused may have been the last that waited.
        state.written = if state.waiting.is_empty() {
            state.accepted
        } else {
            entry
        };
        state.written_entries += entries;
        state.unsynced_since.get_or_insert_with(Instant::now);
        self.tell(state);
    }

    /// For the thread: everything up to this entry is durable.
    pub(super) fn note_durable(&self, entry: u64) {
        let mut state = self.lock();
        state.durable = entry;
        // Nothing is written while it is synced.
        state.durable_entries = state.written_entries;
        state.unsynced_since = (state.written > entry).then(Instant::now);
        state.wanted_durable = state
            .wanted_durable
            .filter(|(_, last)| *last > entry)
            .map(|(_, last)| (entry + 1, last));
        self.tell(state);
    }

    /// For the thread: lines of a series were refused. So is what was pushed to it meanwhile: it would stand in the file without those before it.
    pub(super) fn refuse(&self, failure: &Failure, refused: Waiting) {
        let mut state = self.lock();
        let id = refused.series.id.clone();
        let later = state.take_of(&id);
        for mut waiting in [Some(refused), later].into_iter().flatten() {
            // Nobody else sets it.
            let _ = waiting.refusal.set(failure.clone());
            state.refused_entries += waiting.lines.count;
            waiting.refusal = Refusal::default();
            state.unwritten.push(waiting);
        }
        state.refused.insert(id, failure.clone());
        state.first_refusal.get_or_insert_with(|| failure.clone());
        state.last_refusal = Some(failure.clone());
        state.refusals += 1;
        self.tell(state);
    }

    /// For the thread: a write or a sync failed. `rest` is what is not known to be written.
    pub(super) fn fail(&self, failure: Failure, mut rest: Vec<Waiting>) {
        let mut state = self.lock();
        rest.append(&mut state.waiting);
        state.places.clear();
        state.bytes = 0;
        state.unwritten.append(&mut rest);
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
