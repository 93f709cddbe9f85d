//! Retention: which decisions may go, as a value; what would go, as a plan; and the plan carried out.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Cursor, DecisionFilter, DecisionId, DecisionQuery, DecisionRepository, StoredDecision,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Revision, shown};
use crate::report::ReadReport;
use crate::time::format_timestamp;

/// How many decisions are looked at, or deleted, with one call to the store.
const CHUNK: usize = 1_000;

/// Which decisions may go. A decision goes if one of the limits says so and nothing keeps it; without a limit nothing goes.
///
/// ```
/// use chrono::TimeDelta;
/// use minutebook_core::RetentionPolicy;
///
/// // Of each pair the newest 1,000, nothing older than a year; but what has an outcome stays for good.
/// let policy = RetentionPolicy::new()
///     .older_than(TimeDelta::days(365))
///     .newest(1_000)
///     .per_pair()
///     .keep_with("/outcome");
/// assert!(policy.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct RetentionPolicy {
    /// Which decisions it is about; all others stay and are not counted.
    pub filter: DecisionFilter,
    /// Older ones go, by their effective time ([`StoredDecision::time`]).
    pub max_age: Option<TimeDelta>,
    /// All but so many of the newest go.
    pub newest: Option<usize>,
    /// Whether `newest` counts each asset pair by itself; decisions without a pair are one of them.
    pub per_pair: bool,
    /// What has something else than `null` at one of these JSON pointers stays. It counts among the newest all the same.
    pub keep_with: Vec<String>,
}

impl RetentionPolicy {
    /// Nothing goes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only these decisions are looked at.
    #[must_use]
    pub fn filter(mut self, filter: DecisionFilter) -> Self {
        self.filter = filter;
        self
    }

    /// What is older than this goes.
    #[must_use]
    pub fn older_than(mut self, age: TimeDelta) -> Self {
        self.max_age = Some(age);
        self
    }

    /// All but so many of the newest go.
    #[must_use]
    pub fn newest(mut self, count: usize) -> Self {
        self.newest = Some(count);
        self
    }

    /// The newest are counted for each pair by itself.
    #[must_use]
    pub fn per_pair(mut self) -> Self {
        self.per_pair = true;
        self
    }

    /// What has something at this JSON pointer stays.
    #[must_use]
    pub fn keep_with(mut self, pointer: impl Into<String>) -> Self {
        self.keep_with.push(pointer.into());
        self
    }

    /// What is wrong with the policy itself.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for an age below zero, `per_pair` without a count, and what is no JSON pointer.
    pub fn check(&self) -> Result<()> {
        if self.max_age.is_some_and(|age| age < TimeDelta::zero()) {
            return Err(Error::invalid(
                "the age of a retention policy is below zero",
            ));
        }
        if self.per_pair && self.newest.is_none() {
            return Err(Error::invalid(
                "a retention policy per pair needs a count: how many of the newest stay",
            ));
        }
        match self.keep_with.iter().find(|pointer| !pointer.starts_with('/')) {
            Some(pointer) => Err(Error::invalid(
                "a field that keeps a decision is named by a JSON pointer, which starts with a slash: /outcome",
            )
            .with_resource(shown(pointer))),
            None => Ok(()),
        }
    }

    fn is_kept(&self, stored: &StoredDecision) -> bool {
        self.keep_with.iter().any(|pointer| {
            stored
                .decision
                .pointer(pointer)
                .is_some_and(|value| !value.is_null())
        })
    }

    /// What would go at this time.
    pub(crate) async fn plan<R: DecisionRepository + ?Sized>(
        &self,
        repository: &R,
        now: DateTime<Utc>,
    ) -> Result<RetentionPlan> {
        self.check()?;
        let mut plan = RetentionPlan::default();
        if let Some(age) = self.max_age {
            plan.cutoff = Some(now.checked_sub_signed(age).ok_or_else(|| {
                Error::invalid(
                    "the age of the retention policy reaches before the beginning of time",
                )
                .with_resource(format_timestamp(now))
            })?);
        } else if self.newest.is_none() {
            return Ok(plan);
        }
        let mut seen: HashMap<Option<String>, usize> = HashMap::new();
        let mut query = DecisionQuery::new()
            .filter(self.filter.clone())
            .limit(CHUNK);
        loop {
            let page = repository.query(&query).await?;
            let last = page
                .decisions
                .last()
                .map(|last| Cursor::at(query.order, last));
            for stored in page.decisions {
                plan.examined += 1;
                let pair = stored
                    .decision
                    .asset_pair()
                    .map(|pair| pair.to_ascii_uppercase());
                let group = if self.per_pair { pair.clone() } else { None };
                let rank = seen.entry(group).or_default();
                *rank += 1;
                let reason = if plan.cutoff.is_some_and(|cutoff| stored.time() < cutoff) {
                    ExpiryReason::Age
                } else if self.newest.is_some_and(|newest| *rank > newest) {
                    ExpiryReason::Count
                } else {
                    continue;
                };
                if self.is_kept(&stored) {
                    plan.kept += 1;
                    continue;
                }
                plan.expired.push(Expired {
                    id: stored.decision.id().clone(),
                    time: stored.time(),
                    revision: stored.revision,
                    asset_pair: pair,
                    reason,
                });
            }
            // Problems are those of what a page looked at; each page looks at all that cannot be read.
            plan.report = page.report;
            match (page.next, last) {
                (Some(_), Some(last)) => query.after = Some(last),
                _ => return Ok(plan),
            }
        }
    }
}

/// Why a decision goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExpiryReason {
    /// It is too old.
    Age,
    /// There are enough newer ones.
    Count,
}

impl ExpiryReason {
    /// Its name, as the command line shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Count => "count",
        }
    }
}

/// A decision that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Which one.
    pub id: DecisionId,
    /// In which state it was when the plan was made; in another state it stays.
    pub revision: Revision,
    /// Its effective time.
    pub time: DateTime<Utc>,
    /// What it is about, in upper case.
    pub asset_pair: Option<String>,
    /// Why it goes.
    pub reason: ExpiryReason,
}

/// What a policy would delete. Making it changes nothing.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct RetentionPlan {
    /// What goes, the newest first.
    pub expired: Vec<Expired>,
    /// What is older than this goes, if the policy has an age.
    pub cutoff: Option<DateTime<Utc>>,
    /// How many decisions were looked at.
    pub examined: u64,
    /// How many would go, were it not for a field that keeps them.
    pub kept: u64,
    /// Documents that could not be read as decisions. They stay.
    pub report: ReadReport,
}

impl RetentionPlan {
    /// Deletes what is still as it was when the plan was made.
    pub(crate) async fn apply<R: DecisionRepository + ?Sized>(
        &self,
        repository: &R,
    ) -> Result<RetentionOutcome> {
        let mut outcome = RetentionOutcome::default();
        for chunk in self.expired.chunks(CHUNK) {
            let seen = chunk
                .iter()
                .map(|item| (item.id.clone(), item.revision.clone()))
                .collect();
            let results = repository.delete_seen(seen).await;
            for (item, result) in chunk.iter().zip(results) {
                match result {
                    Ok(true) => outcome.deleted += 1,
                    Ok(false) => outcome.gone += 1,
                    Err(error) if error.kind() == ErrorKind::Conflict => {
                        outcome.changed.push(item.id.clone());
                    }
                    Err(error) if error.kind() == ErrorKind::Unsupported => return Err(error),
                    Err(error) => outcome.failed.push((item.id.clone(), error)),
                }
            }
        }
        Ok(outcome)
    }
}

/// What became of a plan.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RetentionOutcome {
    /// How many were deleted.
    pub deleted: u64,
    /// How many were gone already.
    pub gone: u64,
    /// Those that were changed since the plan was made, and stay.
    pub changed: Vec<DecisionId>,
    /// Those that could not be deleted, and why.
    pub failed: Vec<(DecisionId, Error)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_makes_no_sense_is_refused() {
        for policy in [
            RetentionPolicy::new().older_than(TimeDelta::days(-1)),
            RetentionPolicy::new().per_pair(),
            RetentionPolicy::new().keep_with("outcome"),
        ] {
            let error = policy.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{policy:?}");
        }
        assert!(RetentionPolicy::new().check().is_ok());
    }
}
