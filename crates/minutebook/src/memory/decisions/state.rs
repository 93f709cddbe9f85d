//! What the store holds, and every change that led to it.

use std::collections::{BTreeMap, HashMap};
use std::task::Waker;

use chrono::{DateTime, Utc};
use minutebook_core::{
    Decision, DecisionFilter, DecisionId, DecisionState, Error, ErrorKind, Result, Revision,
    SaveMode, SaveOutcome, SaveReceipt, StateContent, StoredDecision,
};

use super::super::check_expected;

#[derive(Debug, Default)]
pub(super) struct State {
    decisions: BTreeMap<DecisionId, StoredDecision>,
    /// Every change, in order. A revision is the number of its change, counted from 1.
    log: Vec<DecisionState>,
    /// Where in the log each decision is.
    places: HashMap<DecisionId, Vec<usize>>,
    /// Those who wait for the next change.
    waiting: Vec<Waker>,
}

impl State {
    pub(super) fn decisions(&self) -> &BTreeMap<DecisionId, StoredDecision> {
        &self.decisions
    }

    pub(super) fn matching<'a>(
        &'a self,
        filter: &'a DecisionFilter,
    ) -> impl Iterator<Item = &'a StoredDecision> {
        self.decisions
            .values()
            .filter(|stored| filter.matches(stored))
    }

    pub(super) fn log(&self) -> &[DecisionState] {
        &self.log
    }

    pub(super) fn history(&self, id: &DecisionId) -> Vec<DecisionState> {
        let places = self.places.get(id).into_iter().flatten();
        places
            .filter_map(|place| self.log.get(*place))
            .cloned()
            .collect()
    }

    /// Wakes this task at the next change.
    pub(super) fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|known| known.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    pub(super) fn take_waiting(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.waiting)
    }

    fn note(&mut self, state: DecisionState) {
        let places = self.places.entry(state.id.clone()).or_default();
        places.push(self.log.len());
        self.log.push(state);
    }

    pub(super) fn save(
        &mut self,
        decision: &Decision,
        mode: &SaveMode,
        now: DateTime<Utc>,
    ) -> Result<SaveReceipt> {
        let stored = self.decisions.get(decision.id());
        match (mode, stored) {
            (SaveMode::Create, Some(_)) => {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    "there is a decision with this id already; update it or use another id",
                ));
            }
            (SaveMode::Update { .. }, None) => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    "there is no such decision to update",
                ));
            }
            (SaveMode::Update { expected }, Some(stored)) => {
                check_expected(expected.as_ref(), &stored.revision)?;
            }
            (SaveMode::Create, None) | (SaveMode::Upsert, _) => {}
        }
        let outcome = match stored {
            // By text: equality of documents does not look at the order of their fields.
            Some(stored) if stored.decision.to_json() == decision.to_json() => {
                return Ok(SaveReceipt {
                    revision: stored.revision.clone(),
                    recorded_at: stored.recorded_at,
                    outcome: SaveOutcome::Unchanged,
                });
            }
            Some(_) => SaveOutcome::Updated,
            None => SaveOutcome::Created,
        };
        let revision = Revision::new((self.log.len() + 1).to_string())?;
        let receipt = SaveReceipt {
            revision: revision.clone(),
            recorded_at: now,
            outcome,
        };
        let id = decision.id().clone();
        self.note(DecisionState {
            id: id.clone(),
            revision: Some(revision.clone()),
            recorded_at: now,
            content: StateContent::Saved(decision.clone()),
        });
        let stored = StoredDecision {
            decision: decision.clone(),
            revision,
            recorded_at: now,
        };
        self.decisions.insert(id, stored);
        Ok(receipt)
    }

    pub(super) fn delete(&mut self, id: &DecisionId, now: DateTime<Utc>) -> bool {
        if self.decisions.remove(id).is_none() {
            return false;
        }
        self.note(DecisionState {
            id: id.clone(),
            revision: None,
            recorded_at: now,
            content: StateContent::Deleted,
        });
        true
    }

    pub(super) fn delete_seen(
        &mut self,
        id: &DecisionId,
        seen: &Revision,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        if let Some(stored) = self.decisions.get(id) {
            check_expected(Some(seen), &stored.revision)?;
        }
        Ok(self.delete(id, now))
    }
}
