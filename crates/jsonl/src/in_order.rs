//! Pieces of work that several threads do, and whose results are used in order while later ones are still being made: lines are encoded while those before them are
//! written. Only a few results are there at a time, in memory that is used again, so they are written from the processor's cache.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::buffers::Buffer;
use crate::error::{Failure, JsonlError};

/// So many pieces may be made and not yet used.
const AHEAD: usize = 4;

/// How many threads a piece of work of so many items is worth, if it is worth more than one from `least` items on.
pub(crate) fn threads(items: usize, least: usize) -> usize {
    if items < least {
        return 1;
    }
    std::thread::available_parallelism().map_or(1, |n| n.get().min(4))
}

/// Has `pieces` pieces made by `threads` threads, the calling one among them, and gives them to `use_all` in order. `make` gets the number of a piece and
/// an empty buffer.
pub(crate) fn in_order<M: Send, T>(
    pieces: usize,
    threads: usize,
    make: impl Fn(usize, Buffer) -> (Buffer, M) + Sync,
    use_all: impl FnOnce(&mut dyn Iterator<Item = Result<Made<'_, M>, JsonlError>>) -> T,
) -> T {
    let line = Line {
        state: Mutex::default(),
        changed: Condvar::new(),
        pieces,
        make,
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(pieces) {
            let helper = std::thread::Builder::new().name("minutebook-encode".to_owned());
            if let Err(error) = helper.spawn_scoped(scope, || line.help()) {
                tracing::debug!(%error, "no thread to help; this one does it alone");
            }
        }
        // However this ends, the helpers end with it.
        let _end = End(&line);
        let mut next = 0;
        use_all(&mut std::iter::from_fn(|| {
            let made = line.next(next)?;
            next += 1;
            Some(made)
        }))
    })
}

/// A piece, and its place in the line.
pub(crate) struct Made<'l, M> {
    bytes: Buffer,
    /// What was made beside the bytes.
    pub(crate) more: Option<M>,
    used: &'l dyn Used,
}

impl<M> Made<'_, M> {
    /// The bytes, to be kept.
    pub(crate) fn take(mut self) -> Buffer {
        std::mem::take(&mut self.bytes)
    }
}

impl<M> AsRef<[u8]> for Made<'_, M> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<M> Drop for Made<'_, M> {
    fn drop(&mut self) {
        // Its memory first, for the piece that can be made then.
        drop(std::mem::take(&mut self.bytes));
        self.used.used();
    }
}

trait Used {
    /// A piece was used.
    fn used(&self);
}

struct Line<M, F> {
    state: Mutex<State<M>>,
    changed: Condvar,
    pieces: usize,
    make: F,
}

struct State<M> {
    /// The next that nobody makes yet.
    next: usize,
    /// Used so far.
    used: usize,
    ready: HashMap<usize, (Buffer, M)>,
    /// Nobody wants more.
    ended: bool,
    /// A helper panicked, so a piece will never come.
    panicked: bool,
}

impl<M> Default for State<M> {
    fn default() -> Self {
        Self {
            next: 0,
            used: 0,
            ready: HashMap::new(),
            ended: false,
            panicked: false,
        }
    }
}

impl<M> State<M> {
    /// The number of a piece that can be made now.
    fn claim(&mut self, pieces: usize) -> Option<usize> {
        let number = self.next;
        (number < pieces && number < self.used + AHEAD).then(|| {
            self.next += 1;
            number
        })
    }
}

impl<M, F: Fn(usize, Buffer) -> (Buffer, M)> Line<M, F> {
    fn help(&self) {
        let guard = Helper(self);
        let mut state = self.state();
        while !state.ended && state.next < self.pieces {
            let Some(number) = state.claim(self.pieces) else {
                state = self.wait(state);
                continue;
            };
            drop(state);
            let made = (self.make)(number, Buffer::new());
            state = self.state();
            state.ready.insert(number, made);
            self.changed.notify_all();
        }
        drop(state);
        std::mem::forget(guard);
    }

    /// The piece with this number, which is the next to be used; `None` behind the last.
    fn next(&self, number: usize) -> Option<Result<Made<'_, M>, JsonlError>> {
        if number >= self.pieces {
            return None;
        }
        let mut state = self.state();
        loop {
            if let Some((bytes, more)) = state.ready.remove(&number) {
                return Some(Ok(Made {
                    bytes,
                    more: Some(more),
                    used: self,
                }));
            }
            if state.panicked {
                return Some(Err(JsonlError::Shared(Failure::panicked())));
            }
            let Some(claimed) = state.claim(self.pieces) else {
                state = self.wait(state);
                continue;
            };
            drop(state);
            let made = (self.make)(claimed, Buffer::new());
            state = self.state();
            state.ready.insert(claimed, made);
        }
    }
}

impl<M, F> Line<M, F> {
    fn state(&self) -> MutexGuard<'_, State<M>> {
        // Nothing here is left half-done by a panic: each change is an assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State<M>>) -> MutexGuard<'s, State<M>> {
        let woken = self.changed.wait(state);
        woken.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M, F> Used for Line<M, F> {
    fn used(&self) {
        self.state().used += 1;
        self.changed.notify_all();
    }
}

/// Dropped by a helper that panics.
struct Helper<'l, M, F>(&'l Line<M, F>);

impl<M, F> Drop for Helper<'_, M, F> {
    fn drop(&mut self) {
        self.0.state().panicked = true;
        self.0.changed.notify_all();
    }
}

/// Dropped by the one who uses the pieces.
struct End<'l, M, F>(&'l Line<M, F>);

impl<M, F> Drop for End<'_, M, F> {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn pieces_come_in_order_and_few_are_made_ahead() {
        for threads in [1, 2, 4] {
            let made = AtomicUsize::new(0);
            let make = |number: usize, mut buffer: Buffer| {
                assert!(buffer.is_empty());
                made.fetch_add(1, Ordering::SeqCst);
                buffer.extend_from_slice(number.to_string().as_bytes());
                (buffer, number)
            };
            let seen = in_order(50, threads, make, |pieces| {
                let mut seen = Vec::new();
                for piece in pieces {
                    let mut piece = piece.unwrap();
                    assert!(made.load(Ordering::SeqCst) <= seen.len() + AHEAD);
                    let number = piece.more.take().unwrap();
                    assert_eq!(piece.as_ref(), number.to_string().as_bytes());
                    seen.push(number);
                }
                seen
            });
            assert_eq!(seen, (0..50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_stops_early_ends_the_others() {
        let make = |number: usize, buffer: Buffer| (buffer, number);
        let first = in_order(1_000, 4, make, |pieces| {
            pieces.next().and_then(|piece| piece.unwrap().more.take())
        });
        assert_eq!(first, Some(0));
        let none = in_order(0, 4, make, |pieces| pieces.next().is_none());
        assert!(none);
    }

    #[test]
    fn a_panic_in_a_helper_is_an_error_in_place_of_its_piece() {
        let user = std::thread::current().id();
        let make = |number: usize, buffer: Buffer| {
            // The one that uses them makes none, so that a helper has to.
            assert!(std::thread::current().id() == user, "as planned");
            std::thread::sleep(std::time::Duration::from_millis(1));
            (buffer, number)
        };
        let told = AtomicUsize::new(0);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            in_order(1_000, 2, make, |pieces| {
                for piece in pieces {
                    if piece.is_err() {
                        told.store(1, Ordering::SeqCst);
                        break;
                    }
                }
            });
        }));
        assert!(outcome.is_err(), "it goes on to the caller");
        assert_eq!(told.load(Ordering::SeqCst), 1);
    }
}
