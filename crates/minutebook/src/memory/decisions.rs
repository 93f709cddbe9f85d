//! Decisions in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use minutebook_core::{
    Capabilities, Capability, Clock, Decision, DecisionFilter, DecisionId, DecisionPage,
    DecisionQuery, DecisionRepository, Error, ErrorKind, ReadReport, Result, Revision, SaveMode,
    SaveOutcome, SaveReceipt, StoredDecision, SystemClock,
};

use super::{BACKEND, Counter, check_expected};

/// A [`DecisionRepository`] in memory, for tests and for trying things out: the semantics of the stores on disk, gone when the
/// last clone is dropped.
///
/// Clones share one store, as several handles on one directory do.
///
/// ```
/// use minutebook::memory::MemoryDecisionRepository;
/// use minutebook_core::{Decision, DecisionId, DecisionRepository, DecisionRepositoryExt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let repo = MemoryDecisionRepository::new();
/// let id = DecisionId::new("d-1")?;
/// repo.create(&Decision::new(id.clone()).with_asset_pair("BTCUSD")).await?;
/// assert!(repo.clone().contains(&id).await?);
/// # Ok::<_, minutebook_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct MemoryDecisionRepository {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    decisions: BTreeMap<DecisionId, StoredDecision>,
    changes: Counter,
}

impl MemoryDecisionRepository {
    /// An empty store after the system's clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty store after this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change panics half way, so a poisoned lock guards a sound state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryDecisionRepository {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn save(
        &mut self,
        decision: &Decision,
        mode: &SaveMode,
        clock: &dyn Clock,
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
        let stored = StoredDecision {
            decision: decision.clone(),
            revision: Revision::new(self.changes.next().to_string())?,
            recorded_at: clock.now(),
        };
        let receipt = SaveReceipt {
            revision: stored.revision.clone(),
            recorded_at: stored.recorded_at,
            outcome,
        };
        self.decisions.insert(decision.id().clone(), stored);
        Ok(receipt)
    }
}

#[async_trait]
impl DecisionRepository for MemoryDecisionRepository {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Shared, Capability::Revisions])
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
        query
            .check()
            .map_err(|error| error.with_backend(BACKEND).with_operation("query"))?;
        let state = self.state();
        // Sifted here already, so that only what matches is cloned.
        let candidates = state
            .decisions
            .values()
            .filter(|stored| query.filter.matches(stored));
        Ok(query.answer(candidates.cloned(), ReadReport::default()))
    }

    async fn count(&self, filter: &DecisionFilter) -> Result<u64> {
        let state = self.state();
        Ok(state
            .decisions
            .values()
            .filter(|stored| filter.matches(stored))
            .count() as u64)
    }

    async fn delete(&self, id: &DecisionId) -> Result<bool> {
        Ok(self.state().decisions.remove(id).is_some())
    }

    async fn delete_matching(&self, filter: &DecisionFilter) -> Result<u64> {
        let mut state = self.state();
        let before = state.decisions.len();
        state.decisions.retain(|_, stored| !filter.matches(stored));
        Ok((before - state.decisions.len()) as u64)
    }
}
