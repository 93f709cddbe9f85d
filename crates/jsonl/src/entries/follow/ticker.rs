//! Waiting without a runtime: one thread, while anybody waits, wakes those whose time has come.

use std::future::poll_fn;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

static TICKER: Ticker = Ticker {
    state: Mutex::new(State {
        waiting: Vec::new(),
        running: false,
    }),
    more: Condvar::new(),
};

struct Ticker {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    waiting: Vec<(Instant, Waker)>,
    running: bool,
}

/// Returns after a while.
pub(super) async fn sleep(duration: Duration) {
    let until = Instant::now() + duration;
    poll_fn(|context| {
        if Instant::now() >= until {
            return Poll::Ready(());
        }
        if TICKER.wake_at(until, context.waker()) {
            Poll::Pending
        } else {
            // Without a thread there is nobody to wake this task: better late than never.
            std::thread::sleep(duration);
            Poll::Ready(())
        }
    })
    .await;
}

impl Ticker {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a task woken at an instant; `false` if the system gives no thread for it.
    fn wake_at(&'static self, at: Instant, waker: &Waker) -> bool {
        let mut state = self.lock();
        let known = state
            .waiting
            .iter()
            .any(|(until, known)| *until == at && known.will_wake(waker));
        if !known {
            state.waiting.push((at, waker.clone()));
        }
        if !state.running {
            let spawned = std::thread::Builder::new()
                .name("minutebook-ticker".to_owned())
                .spawn(|| self.run());
            state.running = spawned.is_ok();
            if !state.running {
                state.waiting.clear();
            }
            return state.running;
        }
        drop(state);
        self.more.notify_one();
        true
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let mut due = Vec::new();
            state.waiting.retain(|(at, waker)| {
                let later = *at > now;
                if !later {
                    due.push(waker.clone());
                }
                later
            });
            if !due.is_empty() {
                drop(state);
                due.into_iter().for_each(Waker::wake);
                state = self.lock();
                continue;
            }
            let Some(next) = state.waiting.iter().map(|(at, _)| *at).min() else {
                state.running = false;
                return;
            };
            let left = next.saturating_duration_since(now);
            state = self
                .more
                .wait_timeout(state, left)
                .map_or_else(|poison| poison.into_inner().0, |(state, _)| state);
        }
    }
}
