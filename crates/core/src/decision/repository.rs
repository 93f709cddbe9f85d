//! The trait of a store of decisions.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    At, ChangeStream, Decision, DecisionFilter, DecisionId, DecisionPage, DecisionQuery,
    DecisionState, GroupBy, GroupCount, Groups, Order, StoredDecision, WatchFrom,
};
use crate::capability::Capabilities;
use crate::error::{Error, Result};
use crate::id::Revision;

/// What a save expects to find.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SaveMode {
    /// Nothing: `AlreadyExists` if there is something.
    Create,
    /// Anything: the last writer wins.
    Upsert,
    /// Something: `NotFound` if there is nothing; with a revision, `Conflict` if it is no longer the one expected.
    Update {
        /// The state that the caller has seen.
        expected: Option<Revision>,
    },
}

/// What a save did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SaveOutcome {
    /// There was nothing; now there is.
    Created,
    /// There was another state; it was replaced.
    Updated,
    /// The same state was there already; nothing was written.
    Unchanged,
}

/// The receipt of a save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveReceipt {
    /// The state that is now stored.
    pub revision: Revision,
    /// When the store took it, UTC.
    pub recorded_at: DateTime<Utc>,
    /// What happened.
    pub outcome: SaveOutcome,
}

/// How many decisions the default methods read at once.
const PAGE: usize = 1_000;

/// Counts by group with one question after another, as [`DecisionRepository::count_by`] does unless a backend knows better: for backends that
/// know better in some cases alone.
///
/// # Errors
/// As [`DecisionRepository::query`], and `InvalidInput` for what [`GroupBy::check`] refuses.
pub async fn count_by_pages<R: DecisionRepository + ?Sized>(
    repository: &R,
    filter: &DecisionFilter,
    by: &GroupBy,
) -> Result<Vec<GroupCount>> {
    by.check()?;
    let mut groups = Groups::new(by.clone());
    let mut query = DecisionQuery::new()
        .filter(filter.clone())
        .order(Order::Oldest)
        .limit(PAGE);
    loop {
        let page = repository.query(&query).await?;
        for stored in &page.decisions {
            groups.add(stored);
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(groups.counts()),
        }
    }
}

/// A store of decisions, one document each.
///
/// Seven methods make a store; the others have defaults, which a backend replaces where it can do better, or where it can do
/// what the default refuses (each such call names its [`Capability`](crate::Capability)).
///
/// All methods take `&self` and may be called from many tasks at once. A future that is dropped before it is
/// ready leaves the outcome of its write open. What the backend cannot do is in [`capabilities`](Self::capabilities).
///
/// Each item under "Behavior" is a case of the conformance suite `minutebook-testkit`.
#[async_trait]
pub trait DecisionRepository: Debug + Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Saves a decision.
    ///
    /// # Behavior
    /// - After `Ok`, `get` and queries see it.
    /// - The document comes back as it was: unknown fields, their order and number text included.
    /// - Saving an id again leaves one decision, also when its date has changed.
    /// - `Create` on an id that is there fails with `AlreadyExists` and changes nothing.
    /// - `Update` of an id that is not there fails with `NotFound` and changes nothing.
    /// - `Update` with a revision that is no longer the stored one fails with `Conflict` and changes nothing.
    /// - Every change gives a new revision; an unchanged document keeps revision and `recorded_at`, whatever the mode that allows the save.
    /// - Of concurrent `Create`s of one id exactly one succeeds; of concurrent `Update`s with the same revision exactly one succeeds.
    async fn save(&self, decision: &Decision, mode: SaveMode) -> Result<SaveReceipt>;

    /// Reads one decision.
    ///
    /// # Behavior
    /// - An id that is not there is `Ok(None)`.
    /// - An id matches itself only: no part of another id, no other case, no pattern.
    async fn get(&self, id: &DecisionId) -> Result<Option<StoredDecision>>;

    /// Reads the decisions that match, in order.
    ///
    /// # Behavior
    /// - Every condition of the filter is applied; all must hold.
    /// - Orders as [`Order`](super::Order) says, ties by id.
    /// - `limit` cuts after the order is applied; 0 gives an empty page.
    /// - Following `next` visits every match exactly once, and ends.
    /// - A cursor of another order is `InvalidInput`.
    async fn query(&self, query: &DecisionQuery) -> Result<DecisionPage>;

    /// Counts the decisions that match.
    ///
    /// # Behavior
    /// - Equals the length of the same filter's query without limit.
    async fn count(&self, filter: &DecisionFilter) -> Result<u64>;

    /// Deletes a decision and says whether it was there.
    ///
    /// # Behavior
    /// - Afterwards `get` is `Ok(None)`; deleting again is `Ok(false)`.
    /// - No other decision is touched, whatever characters the id has.
    /// - A deleted id can be created again.
    async fn delete(&self, id: &DecisionId) -> Result<bool>;

    /// Deletes the decisions that match and says how many.
    ///
    /// # Behavior
    /// - Exactly the decisions that the same filter's query gives are gone; all others stay.
    async fn delete_matching(&self, filter: &DecisionFilter) -> Result<u64>;

    /// Saves many decisions, in order, and gives one result for each. A backend that waits for a disk or a network waits few times.
    ///
    /// # Behavior
    /// - Each decision is saved as `save` would, one after another; one that fails does not keep the others from being saved.
    /// - Repeating the call changes nothing that was saved already: under `Upsert` it is `Unchanged`, under `Create` `AlreadyExists`.
    async fn save_all(&self, decisions: Vec<Decision>, mode: SaveMode) -> Vec<Result<SaveReceipt>> {
        let mut results = Vec::with_capacity(decisions.len());
        for decision in &decisions {
            results.push(self.save(decision, mode.clone()).await);
        }
        results
    }

    /// Deletes decisions that are still in the states that the caller has seen, and gives one result for each, in order, as
    /// `delete` does. Needs [`Capability::Revisions`](crate::Capability::Revisions).
    ///
    /// # Behavior
    /// - What has another revision by now fails with `Conflict` and stays; what is not there is `Ok(false)`.
    /// - Each is deleted by itself; one that fails does not keep the others from being deleted.
    async fn delete_seen(&self, seen: Vec<(DecisionId, Revision)>) -> Vec<Result<bool>> {
        let refuse = |id| {
            let message = "this store does not compare revisions, so it cannot delete by them";
            Err(Error::unsupported(message)
                .with_operation("delete_seen")
                .with_resource(id))
        };
        seen.into_iter().map(|(id, _)| refuse(id)).collect()
    }

    /// Counts the decisions that match in groups, in ascending order of their keys, those without a key last. What changes while it
    /// counts may be counted or not.
    ///
    /// # Behavior
    /// - Each match is in exactly one group, and no group is empty.
    /// - A field that is named by no JSON pointer is `InvalidInput`.
    async fn count_by(&self, filter: &DecisionFilter, by: &GroupBy) -> Result<Vec<GroupCount>> {
        count_by_pages(self, filter, by).await
    }

    /// Every kept state of a decision, the oldest first. Needs [`Capability::History`](crate::Capability::History).
    ///
    /// # Behavior
    /// - Each state that a save or a deletion brought is there once, with the revision and `recorded_at` of its receipt; the last is the present one.
    /// - An id that was never there has no history.
    async fn history(&self, id: &DecisionId) -> Result<Vec<DecisionState>> {
        Err(
            Error::unsupported("this store does not keep earlier states")
                .with_operation("history")
                .with_resource(id),
        )
    }

    /// One state of a decision: that of a revision, or what was known at a time. Needs
    /// [`Capability::History`](crate::Capability::History).
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the state is known but retention took its document away.
    ///
    /// # Behavior
    /// - It is the state as `get` gave it then; `Ok(None)` before the first save, while it was deleted, and for a revision that it never had.
    async fn get_at(&self, id: &DecisionId, at: &At) -> Result<Option<StoredDecision>> {
        at.pick(&self.history(id).await?)
            .map_err(|error| error.with_operation("get_at"))
    }

    /// Follows the changes. Needs [`Capability::Watch`](crate::Capability::Watch).
    ///
    /// # Behavior
    /// - Each save that changed something and each deletion after the starting place is given once, in the order in which the store took them.
    /// - It waits for changes to come, those of other handles too, and misses none however quickly they follow each other.
    /// - A stream that starts after a change's position goes on with the change that follows it.
    /// - A position that the feed does not have, or no longer has, is `NotFound`.
    async fn watch(&self, from: WatchFrom) -> Result<ChangeStream> {
        let _ = from;
        Err(Error::unsupported("this store's changes cannot be followed").with_operation("watch"))
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        #[async_trait]
        impl<T: DecisionRepository + ?Sized> DecisionRepository for $pointer<T> {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            async fn save(&self, decision: &Decision, mode: SaveMode) -> Result<SaveReceipt> {
                (**self).save(decision, mode).await
            }

            async fn get(&self, id: &DecisionId) -> Result<Option<StoredDecision>> {
                (**self).get(id).await
            }

            async fn query(&self, query: &DecisionQuery) -> Result<DecisionPage> {
                (**self).query(query).await
            }

            async fn count(&self, filter: &DecisionFilter) -> Result<u64> {
                (**self).count(filter).await
            }

            async fn delete(&self, id: &DecisionId) -> Result<bool> {
                (**self).delete(id).await
            }

            async fn delete_matching(&self, filter: &DecisionFilter) -> Result<u64> {
                (**self).delete_matching(filter).await
            }

            async fn save_all(
                &self,
                decisions: Vec<Decision>,
                mode: SaveMode,
            ) -> Vec<Result<SaveReceipt>> {
                (**self).save_all(decisions, mode).await
            }

            async fn delete_seen(&self, seen: Vec<(DecisionId, Revision)>) -> Vec<Result<bool>> {
                (**self).delete_seen(seen).await
            }

            async fn count_by(
                &self,
                filter: &DecisionFilter,
                by: &GroupBy,
            ) -> Result<Vec<GroupCount>> {
                (**self).count_by(filter, by).await
            }

            async fn history(&self, id: &DecisionId) -> Result<Vec<DecisionState>> {
                (**self).history(id).await
            }

            async fn get_at(&self, id: &DecisionId, at: &At) -> Result<Option<StoredDecision>> {
                (**self).get_at(id, at).await
            }

            async fn watch(&self, from: WatchFrom) -> Result<ChangeStream> {
                (**self).watch(from).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
