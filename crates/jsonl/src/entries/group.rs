//! Synced appends of one process to one series that wait at the same time: one of their tasks has all of them written under one lock and synced with one
//! sync, by one thread. A thread for each would cost more in switching between them than the sync does.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant;

use futures_util::future::{Either, select};
use minutebook_fs::task::{TaskError, blocking};
use minutebook_fs::{Durability, Locked};

use super::append::under_lock;
use super::check::Lines;
use super::pace::Pace;
use crate::error::{Failure, JsonlError};
use crate::segments;
use crate::store::{Series, Store};

/// Up to so many bytes are appended under one lock, so that other processes get their turn.
const MOST_BYTES: usize = 8 << 20;

/// The appends to a series that wait.
#[derive(Debug, Default)]
pub(crate) struct Group {
    state: Mutex<State>,
    /// The thread waits here for those to come that it has answered.
    came: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    /// A thread is at work, or was asked for.
    working: bool,
    /// The thread waits until there are so many.
    awaited: Option<usize>,
    pace: Pace,
}

#[derive(Debug)]
struct Request {
    lines: Lines,
    answer: Arc<Answer>,
}

type Outcome = Result<u64, JsonlError>;

/// What becomes of a request.
#[derive(Debug)]
enum Reply {
    Done(Outcome),
    /// Who was to work for all never began: the lines are to be brought once more.
    Again(Lines),
}

/// Where the answer to a request is put.
#[derive(Debug, Default)]
struct Answer {
    state: Mutex<(Option<Reply>, Option<Waker>)>,
}

impl Answer {
    fn give(&self, reply: Reply) {
        let waker = {
            let mut state = lock(&self.state);
            state.0 = Some(reply);
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn wait(&self) -> Reply {
        poll_fn(|context| {
            let mut state = lock(&self.state);
            if let Some(reply) = state.0.take() {
                return Poll::Ready(reply);
            }
            state.1 = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// Appends lines durably, and gives the version after them. Once it was polled it is done, even if the future is dropped then.
pub(super) async fn append(store: &Arc<Store>, series: &Arc<Series>, mut lines: Lines) -> Outcome {
    loop {
        let answer = Arc::new(Answer::default());
        let starts = {
            let mut state = lock(&series.group.state);
            state.waiting.push_back(Request {
                lines,
                answer: Arc::clone(&answer),
            });
            if state.awaited.is_some_and(|n| state.waiting.len() >= n) {
                series.group.came.notify_one();
            }
            !std::mem::replace(&mut state.working, true)
        };
        let reply = if starts {
            start(store, series, &answer).await
        } else {
            answer.wait().await
        };
        lines = match reply {
            Reply::Done(outcome) => return outcome,
            Reply::Again(_) if starts => return Err(TaskError::Cancelled.into()),
            // The runtime of who was to work has ended, which says nothing of this one.
            Reply::Again(lines) => lines,
        };
    }
}

/// Has a thread work for all who wait.
async fn start(store: &Arc<Store>, series: &Arc<Series>, answer: &Answer) -> Reply {
    let turn = Turn {
        store: Arc::clone(store),
        series: Arc::clone(series),
        hand: VecDeque::new(),
        ended: false,
    };
    // The thread goes on with the requests of others; who asked for it waits for its own answer only.
    let work = std::pin::pin!(blocking(move || turn.work()));
    let own = std::pin::pin!(answer.wait());
    match select(work, own).await {
        // A turn answers everybody, however it ends.
        Either::Left((_, own)) => own.await,
        Either::Right((reply, _)) => reply,
    }
}

/// One who works for all.
#[derive(Debug)]
struct Turn {
    store: Arc<Store>,
    series: Arc<Series>,
    /// What was taken and is not answered yet.
    hand: VecDeque<Request>,
    ended: bool,
}

impl Turn {
    fn work(mut self) {
        loop {
            {
                let mut state = self.series.group.gathered();
                self.hand = state.take();
                if self.hand.is_empty() {
                    state.working = false;
                    self.ended = true;
                    return;
                }
            }
            while !self.hand.is_empty() {
                self.append();
            }
            if self.series.index_is_due(&self.store) && !self.series.keep_index_aside(&self.store) {
                self.series.keep_index(&self.store);
            }
        }
    }

    /// Appends what is in hand, up to the first that fails: what it may have left is closed by whoever takes the lock next, so the others are appended under another one.
    fn append(&mut self) {
        let (store, series) = (&self.store, &self.series);
        segments::before_append(store, series);
        let begun = Instant::now();
        let mut outcomes = Vec::with_capacity(self.hand.len());
        let done = store.log(series).with_lock(Durability::Synced, |log| {
            if let Some(joined) = Joined::of(&self.hand)
                && joined.append(store, series, log, &self.hand, &mut outcomes)
            {
                return Ok(());
            }
            for request in &self.hand {
                outcomes.push(under_lock(store, series, log, &request.lines));
                if outcomes.last().is_some_and(Result::is_err) {
                    break;
                }
            }
            Ok(())
        });
        let failed = done.err().map(|error: JsonlError| {
            // Without the lock it is the same for all.
            let tried = if outcomes.is_empty() {
                self.hand.len()
            } else {
                outcomes.len()
            };
            outcomes.resize_with(tried, || Ok(0));
            Failure::new(&error, None)
        });
        {
            let mut state = lock(&series.group.state);
            let all = state.waiting.len() + outcomes.len();
            state.pace.synced(all, begun.elapsed());
        }
        for (request, outcome) in self.hand.drain(..outcomes.len()).zip(outcomes) {
            request.answer.give(Reply::Done(match &failed {
                Some(failure) => outcome.and_then(|_| Err(JsonlError::Shared(failure.clone()))),
                None => outcome,
            }));
        }
    }
}

/// The lines of several requests, which are written as one.
struct Joined(Lines);

impl Joined {
    /// Up to so many bytes are copied for it.
    const MOST_BYTES: usize = 1 << 20;

    /// `None` if there is only one, if they are long, or not all of them say the same of the series.
    fn of(requests: &VecDeque<Request>) -> Option<Self> {
        let unit = requests.front()?.lines.unit;
        let bytes = requests.iter().map(|request| request.lines.len());
        let bytes: usize = bytes.sum();
        let alike = requests.iter().all(|request| request.lines.unit == unit);
        if requests.len() < 2 || !alike || bytes > Self::MOST_BYTES {
            return None;
        }
        let mut lines = Lines::default();
        lines.bytes.reserve_exact(bytes);
        for request in requests {
            lines.extend(&request.lines);
        }
        Some(Self(lines))
    }

    /// Writes them, and gives each request its outcome; `false` if that failed and nothing was written: then it is to be told of each by itself.
    fn append(
        &self,
        store: &Store,
        series: &Series,
        log: &mut Locked<'_>,
        requests: &VecDeque<Request>,
        outcomes: &mut Vec<Outcome>,
    ) -> bool {
        let before = log.len();
        match under_lock(store, series, log, &self.0) {
            Ok(end) => {
                let mut left = self.0.len() as u64;
                outcomes.extend(requests.iter().map(|request| {
                    left -= request.lines.len() as u64;
                    Ok(end - left)
                }));
            }
            // Lines may also be there of which something else could not be found out afterwards.
            Err(error) if error.nothing_applied() && log.len() == before => return false,
            Err(error) => {
                let failure = Failure::new(&error, None);
                let told = || Err(JsonlError::Shared(failure.clone()));
                outcomes.resize_with(requests.len(), told);
            }
        }
        true
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // It panicked, or the runtime ended before it began.
        let waiting = {
            let mut state = lock(&self.series.group.state);
            state.working = false;
            state.awaited = None;
            std::mem::take(&mut state.waiting)
        };
        for request in self.hand.drain(..) {
            let lost = Err(TaskError::Cancelled.into());
            request.answer.give(Reply::Done(lost));
        }
        for request in waiting {
            request.answer.give(Reply::Again(request.lines));
        }
    }
}

impl Group {
    /// For the thread: those who wait, when those whom it has just answered had a moment to come back. Whoever appends in a loop does so at once, and without that
    /// moment some of them would miss each sync.
    fn gathered(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        let Some((wanted, patience)) = state.pace.patience() else {
            return state;
        };
        let until = Instant::now() + patience;
        while state.waiting.len() < wanted {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.awaited = Some(wanted);
            let woken = self.came.wait_timeout(state, left);
            state = woken.map_or_else(|poison| poison.into_inner().0, |(state, _)| state);
        }
        state.awaited = None;
        let came = state.waiting.len();
        state.pace.came(came);
        state
    }
}

impl State {
    /// The requests that are next.
    fn take(&mut self) -> VecDeque<Request> {
        let mut bytes = 0;
        let fits = |request: &&Request| {
            bytes += request.lines.len();
            bytes <= MOST_BYTES
        };
        let count = self.waiting.iter().take_while(fits).count();
        self.waiting
            .drain(..count.max(1).min(self.waiting.len()))
            .collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here is left half-done by a panic: each change is an assignment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
