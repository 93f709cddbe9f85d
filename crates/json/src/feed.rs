//! A stream out of a thread: the thread looks for items and waits for the reader, the reader waits for items.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use minutebook_core::Result;

/// How many items wait for the reader at most.
const ROOM: usize = 64;

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<Result<T>>,
    waiting: Option<Waker>,
    /// Nobody reads any more.
    closed: bool,
    /// Nothing comes any more.
    ended: bool,
}

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Queue<T>>,
    /// There is room again, or nobody reads any more.
    changed: Condvar,
}

impl<T> Shared<T> {
    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        // Every change is one assignment, so a panic elsewhere leaves nothing half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an item over, when there is room for it; `false` if nobody reads any more.
    fn send(&self, item: Result<T>) -> bool {
        let queue = self.changed.wait_while(self.queue(), |queue| {
            !queue.closed && queue.items.len() >= ROOM
        });
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        if queue.closed {
            return false;
        }
        queue.items.push_back(item);
        let waker = queue.waiting.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Waits for the time to pass; `false` at once when nobody reads any more.
    fn pause(&self, interval: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.queue(), interval, |queue| !queue.closed);
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !queue.closed
    }

    fn end(&self) {
        let mut queue = self.queue();
        queue.ended = true;
        let waker = queue.waiting.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The reader's end. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Feed<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Stream for Feed<T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut queue = self.shared.queue();
        if let Some(item) = queue.items.pop_front() {
            drop(queue);
            self.shared.changed.notify_one();
            return Poll::Ready(Some(item));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        queue.waiting = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Feed<T> {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.changed.notify_all();
    }
}

/// Ends the stream when the thread ends, however it does.
struct EndGuard<T>(Arc<Shared<T>>);

impl<T> Drop for EndGuard<T> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Starts a thread that calls `next` until it fails: at once after an item, and after `interval` when there is none.
pub(crate) fn spawn<T: Send + 'static>(
    interval: Duration,
    mut next: impl FnMut() -> Result<Option<T>> + Send + 'static,
) -> io::Result<Feed<T>> {
    let shared = Arc::new(Shared {
        queue: Mutex::new(Queue {
            items: VecDeque::new(),
            waiting: None,
            closed: false,
            ended: false,
        }),
        changed: Condvar::new(),
    });
    let writer = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("minutebook-watch".to_owned())
        .spawn(move || {
            let guard = EndGuard(writer);
            loop {
                let go_on = match next() {
                    Ok(Some(item)) => guard.0.send(Ok(item)),
                    Ok(None) => guard.0.pause(interval),
                    Err(error) => {
                        guard.0.send(Err(error));
                        false
                    }
                };
                if !go_on {
                    return;
                }
            }
        })?;
    Ok(Feed { shared })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The next item, waited for by polling from time to time: a waker that does nothing is enough here.
    fn next<T>(feed: &mut Feed<T>) -> Option<Result<T>> {
        loop {
            let polled = Pin::new(&mut *feed).poll_next(&mut Context::from_waker(Waker::noop()));
            match polled {
                Poll::Ready(item) => return item,
                Poll::Pending => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    #[test]
    fn a_slow_reader_is_waited_for_and_an_error_is_the_last_item() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let mut feed = spawn(Duration::from_millis(1), move || {
            match count.fetch_add(1, Ordering::SeqCst) {
                1_000 => Err(minutebook_core::Error::invalid("enough")),
                n if n % 7 == 0 => Ok(None),
                n => Ok(Some(n)),
            }
        })
        .unwrap();
        assert_eq!(next(&mut feed).unwrap().unwrap(), 1);
        std::thread::sleep(Duration::from_millis(50));
        assert!(made.load(Ordering::SeqCst) < 200, "it runs ahead");
        let mut expected = (2..1_000).filter(|n| n % 7 != 0);
        loop {
            match next(&mut feed) {
                Some(Ok(n)) => assert_eq!(Some(n), expected.next()),
                Some(Err(_)) => break,
                None => panic!("the error is missing"),
            }
        }
        assert_eq!(expected.next(), None);
        assert!(next(&mut feed).is_none());
    }

    #[test]
    fn dropping_the_reader_ends_the_thread() {
        let alive = Arc::new(());
        let inside = Arc::clone(&alive);
        let feed = spawn(Duration::from_hours(1), move || {
            let _ = &inside;
            Ok(None::<u8>)
        })
        .unwrap();
        drop(feed);
        while Arc::strong_count(&alive) > 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
