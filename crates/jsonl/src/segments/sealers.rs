//! The threads that compress what was sealed: few of them, however many series are due at once.
//!
//! A series that waits for its turn holds no lock and no file. Until it had it, no further plain file of it is sealed.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use minutebook_fs::{LockMode, LockWait};

use super::{Guard, finish};
use crate::error::JsonlError;
use crate::store::{Series, Store};

/// So many of a store compress at the same time. Each has a few files open.
const THREADS: usize = 2;

/// So long a thread that has nothing else to do waits for a series that somebody has locked, before it looks for others.
const PATIENCE: Duration = Duration::from_millis(250);

/// The series of a store of which something waits to be compressed, and the threads that do it. A thread ends when there is nothing left.
#[derive(Debug, Default)]
pub(crate) struct Sealers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Series>>,
    /// Those that somebody else had locked when it was their turn.
    locked: VecDeque<Arc<Series>>,
    threads: usize,
    /// Nobody has a handle of the store any more.
    ended: bool,
}

impl Sealers {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic leaves nothing half-done: each change is an assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits is still compressed, but for series that somebody else has locked: whoever rotates or compacts them next begins with that.
    pub(crate) fn end(&self) {
        self.state().ended = true;
    }
}

impl State {
    /// Leaves what waits to the next rotation, as nobody is there to do it.
    fn give_up(&mut self) {
        for series in self.waiting.drain(..).chain(self.locked.drain(..)) {
            series.due.waits.store(false, Ordering::Release);
        }
    }
}

/// Has what was sealed of a series compressed. Who waits for his turn holds no lock: each is an open file.
pub(super) fn compress_later(store: &Arc<Store>, series: &Arc<Series>, guard: Guard) {
    series.due.waits.store(true, Ordering::Release);
    drop(guard);
    let mut state = store.sealers.state();
    state.waiting.push_back(Arc::clone(series));
    if state.threads >= THREADS {
        return;
    }
    state.threads += 1;
    drop(state);
    let mut at_work = AtWork {
        store: Arc::clone(store),
        counted: true,
    };
    let thread = std::thread::Builder::new().name("minutebook-seal".to_owned());
    // What was to be its own is dropped if there is none.
    if let Err(error) = thread.spawn(move || at_work.run()) {
        tracing::warn!(%error, "no thread to compress a segment; another one or the next rotation does it");
    }
}

/// A thread that is at work.
struct AtWork {
    store: Arc<Store>,
    /// It is among the threads that are counted.
    counted: bool,
}

impl AtWork {
    fn run(&mut self) {
        while let Some((series, wait)) = self.next() {
            let turn = Turn(&series);
            let store = &*self.store;
            let done = Guard::take(store, &series, LockMode::Exclusive, wait)
                .and_then(|guard| finish(store, &series, &guard));
            match done {
                Ok(_) => {}
                Err(JsonlError::Fs(error)) if error.is_locked() => {
                    // It still waits.
                    std::mem::forget(turn);
                    let waiting = Arc::clone(&series);
                    store.sealers.state().locked.push_back(waiting);
                }
                Err(error) => {
                    let path = series.data.display();
                    tracing::warn!(%path, %error, "a sealed segment was not compressed; the next rotation tries again");
                }
            }
        }
    }

    /// The series whose turn it is, and how long to wait for it.
    fn next(&mut self) -> Option<(Arc<Series>, LockWait)> {
        let mut state = self.store.sealers.state();
        if let Some(series) = state.waiting.pop_front() {
            return Some((series, LockWait::Try));
        }
        if state.ended {
            state.give_up();
        }
        if let Some(series) = state.locked.pop_front() {
            return Some((series, LockWait::Timeout(PATIENCE)));
        }
        // At once, so that who comes now knows that another one is needed.
        state.threads -= 1;
        self.counted = false;
        None
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        // It panicked, or never began.
        let mut state = self.store.sealers.state();
        state.threads -= 1;
        if state.threads == 0 {
            state.give_up();
        }
    }
}

/// A series whose turn it is. Afterwards it waits no more, also if that panicked.
struct Turn<'a>(&'a Series);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.due.waits.store(false, Ordering::Release);
    }
}
