//! The change feed: each save and each deletion, in order, from a place that can be kept and gone back to.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::StreamExt;

use super::DecisionState;
use crate::error::Result;
use crate::id::{check_text, text_newtype};

text_newtype! {
    /// A place in the feed of changes, between two of them: an opaque token that can be stored as text.
    ///
    /// A watch that starts after it gives the changes that follow, and none twice, also in another process or after a restart.
    Position, |text| {
        check_text("position", text, 200)?;
        Ok(text.into())
    }
}

/// Where a watch starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WatchFrom {
    /// With the first change that is kept.
    Start,
    /// With the first change after this call.
    #[default]
    Now,
    /// With the first change after this place.
    After(Position),
}

/// One change: a save that changed something, or a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionChange {
    /// The place after this change: whoever has handled it goes on from here.
    pub position: Position,
    /// What the decision has become.
    pub state: DecisionState,
}

/// The changes of a watch, one after another. It waits for those to come and does not end by itself; an error is its last item.
///
/// The stream holds few changes in memory: a reader that is slow is waited for.
///
/// ```
/// use minutebook_core::{DecisionRepository, Result, WatchFrom};
///
/// async fn follow(repo: &dyn DecisionRepository) -> Result<()> {
///     let mut changes = repo.watch(WatchFrom::Now).await?;
///     while let Some(change) = changes.next().await {
///         let change = change?;
///         println!("{} is now {:?}", change.state.id, change.state.content);
///         // Kept where it survives: the next run goes on with `WatchFrom::After` from here.
///         let _resume: String = change.position.to_string();
///     }
///     Ok(())
/// }
/// ```
pub struct ChangeStream {
    position: Position,
    changes: Pin<Box<dyn Stream<Item = Result<DecisionChange>> + Send>>,
    ended: bool,
}

impl ChangeStream {
    /// A stream of these changes, which follow `position`.
    pub fn new(
        position: Position,
        changes: impl Stream<Item = Result<DecisionChange>> + Send + 'static,
    ) -> Self {
        Self {
            position,
            changes: Box::pin(changes),
            ended: false,
        }
    }

    /// The place after the last change that was given; before the first, the place where the watch started.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Waits for the next change. `None` only after an error.
    pub async fn next(&mut self) -> Option<Result<DecisionChange>> {
        StreamExt::next(self).await
    }
}

impl Stream for ChangeStream {
    type Item = Result<DecisionChange>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = self.changes.poll_next_unpin(context);
        match &item {
            Poll::Ready(Some(Ok(change))) => self.position = change.position.clone(),
            Poll::Ready(_) => self.ended = true,
            Poll::Pending => {}
        }
        item
    }
}

impl fmt::Debug for ChangeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeStream")
            .field("position", &self.position)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, StateContent};

    #[tokio::test]
    async fn the_position_follows_and_an_error_ends_it() {
        let change = |n: u32| DecisionChange {
            position: Position::new(n.to_string()).unwrap(),
            state: DecisionState {
                id: "d".parse().unwrap(),
                revision: None,
                recorded_at: chrono::DateTime::default(),
                content: StateContent::Deleted,
            },
        };
        let items = vec![
            Ok(change(1)),
            Ok(change(2)),
            Err(Error::invalid("x")),
            Ok(change(3)),
        ];
        let start = Position::new("0").unwrap();
        let mut stream = ChangeStream::new(start, futures_util::stream::iter(items));
        assert_eq!(stream.position().as_str(), "0");
        assert_eq!(stream.next().await.unwrap().unwrap(), change(1));
        assert!(stream.next().await.unwrap().is_ok());
        assert!(stream.next().await.unwrap().is_err());
        assert!(stream.next().await.is_none());
        assert_eq!(stream.position().as_str(), "2");
    }
}
