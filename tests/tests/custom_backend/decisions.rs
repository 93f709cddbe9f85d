//! Decisions in a log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use minutebook_core::time::{format_timestamp, parse_timestamp};
use minutebook_core::{
    Capabilities, Capability, Clock, Decision, DecisionFilter, DecisionId, DecisionPage,
    DecisionQuery, DecisionRepository, Error, ErrorKind, ReadReport, Result, Revision, SaveMode,
    SaveOutcome, SaveReceipt, StoredDecision,
};
use serde_json::{Value, json};

use crate::log::{BACKEND, Log, damaged};

/// A [`DecisionRepository`] over one file.
#[derive(Debug)]
pub(crate) struct LogDecisions {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    log: Log,
    decisions: BTreeMap<DecisionId, StoredDecision>,
    /// Counts the changes, so that no revision is given twice.
    changes: u64,
}

impl LogDecisions {
    /// Opens the store, and makes it if it is missing.
    pub(crate) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let (log, lines) = Log::open(path)?;
        let mut state = State {
            log,
            decisions: BTreeMap::new(),
            changes: 0,
        };
        for (n, line) in lines.iter().enumerate() {
            state
                .replay(line)
                .map_err(|error| damaged(path, n, error))?;
        }
        Ok(Self {
            clock,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn replay(&mut self, line: &Value) -> Result<()> {
        self.changes += 1;
        let text = |field: &str| line[field].as_str().unwrap_or_default();
        if let Some(id) = line["delete"].as_str() {
            self.decisions.remove(&DecisionId::new(id)?);
            return Ok(());
        }
        let stored = StoredDecision {
            decision: Decision::from_json(text("put"))?,
            revision: Revision::new(self.changes.to_string())?,
            recorded_at: parse_timestamp(text("recorded_at"))?,
        };
        let id = stored.decision.id().clone();
        self.decisions.insert(id, stored);
        Ok(())
    }

    /// Writes a change, and only then makes it visible.
    fn apply(&mut self, change: &Value) -> Result<()> {
        self.log.append(change)?;
        self.replay(change)
    }

    fn save(
        &mut self,
        decision: &Decision,
        mode: &SaveMode,
        clock: &dyn Clock,
    ) -> Result<SaveReceipt> {
        let stored = self.decisions.get(decision.id());
        let fail = |kind, message: &str| Err(Error::new(kind, message));
        match (mode, stored) {
            (SaveMode::Update { expected: Some(_) }, _) => {
                return Err(Error::unsupported("this store does not compare revisions"));
            }
            (SaveMode::Create, Some(_)) => {
                return fail(ErrorKind::AlreadyExists, "the id is taken");
            }
            (SaveMode::Update { .. }, None) => {
                return fail(ErrorKind::NotFound, "nothing to update");
            }
            _ => {}
        }
        let outcome = match stored {
            None => SaveOutcome::Created,
            // By text: 1.10 for 1.1 and another order of fields are changes.
            Some(stored) if stored.decision.to_json() == decision.to_json() => {
                SaveOutcome::Unchanged
            }
            Some(_) => SaveOutcome::Updated,
        };
        if outcome != SaveOutcome::Unchanged {
            // As a string: a JSON value would forget how the numbers were written.
            let recorded_at = format_timestamp(clock.now());
            self.apply(&json!({ "put": decision.to_json(), "recorded_at": recorded_at }))?;
        }
        let stored = self.decisions.get(decision.id());
        let stored =
            stored.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the save left nothing"))?;
        Ok(SaveReceipt {
            revision: stored.revision.clone(),
            recorded_at: stored.recorded_at,
            outcome,
        })
    }

    fn delete(&mut self, id: &DecisionId) -> Result<bool> {
        if !self.decisions.contains_key(id) {
            return Ok(false);
        }
        self.apply(&json!({ "delete": id }))?;
        Ok(true)
    }
}

#[async_trait]
impl DecisionRepository for LogDecisions {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Persistent])
    }

    async fn save(&self, decision: &Decision, mode: SaveMode) -> Result<SaveReceipt> {
        let saved = self.state().save(decision, &mode, &*self.clock);
        saved.map_err(|error| {
            error
                .with_backend(BACKEND)
                .with_operation("save")
                .with_resource(decision.id())
        })
    }

    async fn get(&self, id: &DecisionId) -> Result<Option<StoredDecision>> {
        Ok(self.state().decisions.get(id).cloned())
    }

    async fn query(&self, query: &DecisionQuery) -> Result<DecisionPage> {
        query.check()?;
        let state = self.state();
        Ok(query.answer(state.decisions.values().cloned(), ReadReport::default()))
    }

    async fn count(&self, filter: &DecisionFilter) -> Result<u64> {
        let state = self.state();
        let matching = state
            .decisions
            .values()
            .filter(|stored| filter.matches(stored));
        Ok(matching.count() as u64)
    }

    async fn delete(&self, id: &DecisionId) -> Result<bool> {
        self.state().delete(id)
    }

    async fn delete_matching(&self, filter: &DecisionFilter) -> Result<u64> {
        let mut state = self.state();
        let matching = state
            .decisions
            .values()
            .filter(|stored| filter.matches(stored));
        let ids: Vec<_> = matching
            .map(|stored| stored.decision.id().clone())
            .collect();
        for id in &ids {
            state.delete(id)?;
        }
        Ok(ids.len() as u64)
    }
}
