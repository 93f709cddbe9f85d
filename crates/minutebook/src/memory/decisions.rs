//! Decisions in memory.

mod feed;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use minutebook_core::{
    Capabilities, Capability, ChangeStream, Clock, Decision, DecisionFilter, DecisionId,
    DecisionPage, DecisionQuery, DecisionRepository, DecisionState, Error, GroupBy, GroupCount,
    Groups, ReadReport, Result, Revision, SaveMode, SaveReceipt, StoredDecision, SystemClock,
    WatchFrom,
};

use super::BACKEND;
use feed::Feed;
use state::State;

/// A [`DecisionRepository`] in memory, for tests and for trying things out: the semantics of the stores on disk, gone when the
/// last clone is dropped.
///
/// Clones share one store, as several handles on one directory do. Every state that a decision went through is kept, for `history`
/// and `watch`.
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
        lock(&self.state)
    }

    /// Changes the state, and then wakes those who follow the changes.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let done = change(&mut state);
        let waiting = state.take_waiting();
        drop(state);
        for waker in waiting {
            waker.wake();
        }
        done
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // No change panics half way, so a poisoned lock guards a sound state.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for MemoryDecisionRepository {
    fn default() -> Self {
        Self::new()
    }
}

fn named<'a>(operation: &'static str, id: &'a DecisionId) -> impl FnOnce(Error) -> Error + use<'a> {
    move |error| {
        error
            .with_backend(BACKEND)
            .with_operation(operation)
            .with_resource(id)
    }
}

#[async_trait]
impl DecisionRepository for MemoryDecisionRepository {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Shared,
            Capability::Revisions,
            Capability::History,
            Capability::Watch,
        ])
    }

    async fn save(&self, decision: &Decision, mode: SaveMode) -> Result<SaveReceipt> {
        self.change(|state| state.save(decision, &mode, self.clock.now()))
            .map_err(named("save", decision.id()))
    }

    async fn get(&self, id: &DecisionId) -> Result<Option<StoredDecision>> {
        Ok(self.state().decisions().get(id).cloned())
    }

    async fn query(&self, query: &DecisionQuery) -> Result<DecisionPage> {
        query
            .check()
            .map_err(|error| error.with_backend(BACKEND).with_operation("query"))?;
        let state = self.state();
        // Sifted here already, so that only what matches is cloned.
        let candidates = state.matching(&query.filter);
        Ok(query.answer(candidates.cloned(), ReadReport::default()))
    }

    async fn count(&self, filter: &DecisionFilter) -> Result<u64> {
        Ok(self.state().matching(filter).count() as u64)
    }

    async fn delete(&self, id: &DecisionId) -> Result<bool> {
        Ok(self.change(|state| state.delete(id, self.clock.now())))
    }

    async fn delete_matching(&self, filter: &DecisionFilter) -> Result<u64> {
        Ok(self.change(|state| {
            let ids: Vec<_> = state
                .matching(filter)
                .map(|stored| stored.decision.id().clone())
                .collect();
            for id in &ids {
                state.delete(id, self.clock.now());
            }
            ids.len() as u64
        }))
    }

    async fn save_all(&self, decisions: Vec<Decision>, mode: SaveMode) -> Vec<Result<SaveReceipt>> {
        self.change(|state| {
            let save = |decision: &Decision| {
                state
                    .save(decision, &mode, self.clock.now())
                    .map_err(named("save_all", decision.id()))
            };
            decisions.iter().map(save).collect()
        })
    }

    async fn delete_seen(&self, seen: Vec<(DecisionId, Revision)>) -> Vec<Result<bool>> {
        self.change(|state| {
            let delete = |(id, revision): &(DecisionId, Revision)| {
                state
                    .delete_seen(id, revision, self.clock.now())
                    .map_err(named("delete_seen", id))
            };
            seen.iter().map(delete).collect()
        })
    }

    async fn count_by(&self, filter: &DecisionFilter, by: &GroupBy) -> Result<Vec<GroupCount>> {
        by.check()
            .map_err(|error| error.with_backend(BACKEND).with_operation("count_by"))?;
        let mut groups = Groups::new(by.clone());
        for stored in self.state().matching(filter) {
            groups.add(stored);
        }
        Ok(groups.counts())
    }

    async fn history(&self, id: &DecisionId) -> Result<Vec<DecisionState>> {
        Ok(self.state().history(id))
    }

    async fn watch(&self, from: WatchFrom) -> Result<ChangeStream> {
        Feed::start(&self.state, &from)
            .map_err(|error| error.with_backend(BACKEND).with_operation("watch"))
    }
}
