//! What follows from the trait: the calls that applications write.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    Decision, DecisionFilter, DecisionId, DecisionQuery, DecisionRepository, RetentionOutcome,
    RetentionPlan, RetentionPolicy, SaveMode, SaveReceipt, StoredDecision,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Revision;
use crate::series::Symbol;
use crate::time::TimeRange;

/// Shorthands over every [`DecisionRepository`].
///
/// ```
/// use minutebook_core::{Decision, DecisionRepository, DecisionRepositoryExt, Result, Symbol};
///
/// async fn last_two(repo: &dyn DecisionRepository, pair: &Symbol) -> Result<Vec<Decision>> {
///     let recent = repo.recent(2, Some(pair)).await?;
///     Ok(recent.into_iter().map(|stored| stored.decision).collect())
/// }
/// ```
#[async_trait]
pub trait DecisionRepositoryExt: DecisionRepository {
    /// Saves a new decision; `AlreadyExists` if the id is taken.
    async fn create(&self, decision: &Decision) -> Result<SaveReceipt> {
        self.save(decision, SaveMode::Create).await
    }

    /// Saves a decision, whether it is new or not.
    async fn upsert(&self, decision: &Decision) -> Result<SaveReceipt> {
        self.save(decision, SaveMode::Upsert).await
    }

    /// Saves a decision that is there already; `NotFound` if it is not.
    async fn update(&self, decision: &Decision) -> Result<SaveReceipt> {
        self.save(decision, SaveMode::Update { expected: None })
            .await
    }

    /// Saves a decision over exactly the state that the caller has seen; `Conflict` if another writer was first.
    async fn update_from(&self, decision: &Decision, seen: &Revision) -> Result<SaveReceipt> {
        let expected = Some(seen.clone());
        self.save(decision, SaveMode::Update { expected }).await
    }

    /// Reads a decision that must be there; `NotFound` if it is not.
    async fn require(&self, id: &DecisionId) -> Result<StoredDecision> {
        self.get(id).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such decision")
                .with_operation("get")
                .with_resource(id)
        })
    }

    /// Whether there is a decision with this id.
    async fn contains(&self, id: &DecisionId) -> Result<bool> {
        Ok(self.get(id).await?.is_some())
    }

    /// The newest decisions by their own time, of one pair or of all.
    async fn recent(&self, limit: usize, pair: Option<&Symbol>) -> Result<Vec<StoredDecision>> {
        let filter = DecisionFilter {
            asset_pair: pair.cloned(),
            ..DecisionFilter::default()
        };
        let query = DecisionQuery::new().filter(filter).limit(limit);
        Ok(self.query(&query).await?.decisions)
    }

    /// The newest decision, of one pair or of all.
    async fn latest(&self, pair: Option<&Symbol>) -> Result<Option<StoredDecision>> {
        Ok(self.recent(1, pair).await?.pop())
    }

    /// Deletes the decisions made before this instant and says how many there were.
    async fn delete_before(&self, cutoff: DateTime<Utc>) -> Result<u64> {
        let filter = DecisionFilter::new().time(TimeRange::before(cutoff));
        self.delete_matching(&filter).await
    }

    /// What a retention policy would delete at this time; nothing is deleted.
    ///
    /// # Errors
    /// `InvalidInput` for a policy that makes no sense ([`RetentionPolicy::check`]), and what the store's queries meet.
    async fn plan_retention(
        &self,
        policy: &RetentionPolicy,
        now: DateTime<Utc>,
    ) -> Result<RetentionPlan> {
        policy.plan(self, now).await
    }

    /// Deletes what a plan names and is still as it was when the plan was made; what was changed since stays. Needs
    /// [`Capability::Revisions`](crate::Capability::Revisions).
    ///
    /// # Errors
    /// `Unsupported` without revisions; what else fails is in the outcome, decision by decision.
    async fn apply_retention(&self, plan: &RetentionPlan) -> Result<RetentionOutcome> {
        plan.apply(self).await
    }

    /// Deletes every decision and says how many there were.
    async fn wipe(&self) -> Result<u64> {
        self.delete_matching(&DecisionFilter::new()).await
    }
}

impl<T: DecisionRepository + ?Sized> DecisionRepositoryExt for T {}
