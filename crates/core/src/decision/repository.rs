//! The trait of a store of decisions.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Decision, DecisionFilter, DecisionId, DecisionPage, DecisionQuery, StoredDecision};
use crate::capability::Capabilities;
use crate::error::Result;
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

/// A store of decisions, one document each.
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
        }
    };
}

forward!(Arc);
forward!(Box);
