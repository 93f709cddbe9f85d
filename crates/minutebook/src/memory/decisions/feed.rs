//! Following the changes: a place in the log, and a wake-up when it grows.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::Stream;
use minutebook_core::{
    ChangeStream, DecisionChange, Error, ErrorKind, Position, Result, WatchFrom,
};

use super::lock;
use super::state::State;

/// A reader of the log.
pub(super) struct Feed {
    state: Arc<Mutex<State>>,
    /// How many changes it is past.
    past: usize,
}

impl Feed {
    pub(super) fn start(state: &Arc<Mutex<State>>, from: &WatchFrom) -> Result<ChangeStream> {
        let len = lock(state).log().len();
        let past = match from {
            WatchFrom::Start => 0,
            WatchFrom::Now => len,
            WatchFrom::After(position) => {
                let past = position.as_str().parse().ok().filter(|past| *past <= len);
                past.ok_or_else(|| {
                    Error::new(
                        ErrorKind::NotFound,
                        "the feed of this store has no such position; start with what there is, or now",
                    )
                    .with_resource(position)
                })?
            }
        };
        let feed = Self {
            state: Arc::clone(state),
            past,
        };
        Ok(ChangeStream::new(position(past)?, feed))
    }
}

fn position(past: usize) -> Result<Position> {
    Position::new(past.to_string())
}

impl Stream for Feed {
    type Item = Result<DecisionChange>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = lock(&self.state);
        let Some(change) = state.log().get(self.past).cloned() else {
            state.wait(context.waker());
            return Poll::Pending;
        };
        drop(state);
        self.past += 1;
        let change = position(self.past).map(|position| DecisionChange {
            position,
            state: change,
        });
        Poll::Ready(Some(change))
    }
}
