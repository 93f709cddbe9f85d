//! The store with a bug: each of [`Bug`] is one.

mod asked;

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use minutebook::memory::MemoryDecisionRepository;
use minutebook_core::{
    At, Capabilities, Capability, ChangeStream, Decision, DecisionFilter, DecisionId, DecisionPage,
    DecisionQuery, DecisionRepository, DecisionState, Error, ErrorKind, GroupBy, GroupCount,
    ManualClock, Result, Revision, SaveMode, SaveOutcome, SaveReceipt, StoredDecision, WatchFrom,
};
use minutebook_testkit::{Harness, test_clock};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    OrderReversed,
    TiesUnordered,
    UpsertDropped,
    RangeEndClosed,
    LimitOffByOne,
    LimitBeforeOrder,
    ConfidenceIgnored,
    FieldsIgnored,
    PairComparedExactly,
    PrefixMatchesAnywhere,
    RevisionUnchecked,
    RevisionIsDigest,
    IdMatchedAsSuffix,
    IdCaseFolded,
    IdIsPattern,
    DeleteTakesAnother,
    DeleteAlwaysTrue,
    DeleteMatchingIgnoresPair,
    RecordedAtRenewed,
    ChangeKeepsRecordedAt,
    NumbersNormalized,
    FieldsSorted,
    NullsDropped,
    EscapesNormalized,
    TimestampsRewritten,
    CountIgnoresFilter,
    CursorInclusive,
    NextOnTheLastPage,
    NextMissing,
    CursorOrderUnchecked,
    CreateOverwrites,
    UpdateCreates,
    CreateRaces,
    UpdateRaces,
    OldDateStays,
    RevisionsRefusedThoughClaimed,
    RevisionsWorkThoughUnclaimed,
    HandleCaches,
    ReopeningLosesTheLast,
    ReopeningRevivesDeleted,
    LongIdsRefused,
    OutcomeWrong,
    EffectiveTimeIgnoresRecordedAt,
    SaveAllStopsAtFailure,
    SaveAllSavesTheFirstOfTwo,
    DeleteSeenUnchecked,
    DeleteSeenStopsAtConflict,
    GroupsKeepCase,
    GroupsLeaveOutWhatHasNoKey,
    HistoryWithoutDeletions,
    HistoryOfThePresent,
    HistoryNewestFirst,
    GetAtBeforeTheTime,
    GetAtRevivesDeleted,
    WatchMissesTheSecond,
    WatchRepeatsThePosition,
    WatchOfUnknownPositionStartsNow,
    WatchEnds,
}

/// The store with a bug. What is shared between handles is in `inner`, what a handle has of its own beside it.
#[derive(Debug)]
struct Buggy {
    bug: Bug,
    inner: MemoryDecisionRepository,
    shared: Arc<Mutex<Shared>>,
    seen: Mutex<HashMap<String, Option<StoredDecision>>>,
}

/// What some bugs remember and should not.
#[derive(Debug, Default)]
struct Shared {
    ghosts: Vec<StoredDecision>,
    deleted: Vec<Decision>,
}

pub(super) struct BuggyHarness {
    bug: Bug,
    clock: Arc<ManualClock>,
    inner: MemoryDecisionRepository,
    shared: Arc<Mutex<Shared>>,
    opened: Mutex<bool>,
}

impl BuggyHarness {
    pub(super) fn with(bug: Bug) -> Self {
        let clock = test_clock();
        Self {
            bug,
            inner: MemoryDecisionRepository::with_clock(clock.clone()),
            clock,
            shared: Arc::default(),
            opened: Mutex::default(),
        }
    }
}

#[async_trait]
impl Harness<dyn DecisionRepository> for BuggyHarness {
    fn new() -> Self {
        Self::with(Bug::None)
    }

    async fn open(&self) -> Result<Arc<dyn DecisionRepository>> {
        let again = std::mem::replace(&mut *self.opened.lock().unwrap(), true);
        if again && self.bug == Bug::ReopeningLosesTheLast {
            let all = self.inner.query(&DecisionQuery::new()).await?;
            if let Some(last) = all.decisions.last() {
                self.inner.delete(last.decision.id()).await?;
            }
        }
        if again && self.bug == Bug::ReopeningRevivesDeleted {
            let deleted = std::mem::take(&mut self.shared.lock().unwrap().deleted);
            for decision in deleted {
                self.inner.save(&decision, SaveMode::Upsert).await?;
            }
        }
        Ok(Arc::new(Buggy {
            bug: self.bug,
            inner: self.inner.clone(),
            shared: self.shared.clone(),
            seen: Mutex::default(),
        }))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(self.clock.clone())
    }
}

fn digest(decision: &Decision) -> Revision {
    let mut hasher = DefaultHasher::new();
    decision.to_json().hash(&mut hasher);
    Revision::new(hasher.finish().to_string()).unwrap()
}

/// The document as a careless store would write it.
fn mangled(bug: Bug, decision: &Decision) -> Decision {
    let mut value: serde_json::Map<String, serde_json::Value> =
        match serde_json::from_str(&decision.to_json()) {
            Ok(value) => value,
            // Numbers beyond f64 do not fit a value; a careless store would not notice either.
            Err(_) => return decision.clone(),
        };
    match bug {
        Bug::NumbersNormalized => {}
        Bug::FieldsSorted => value.sort_keys(),
        Bug::NullsDropped => value.retain(|_, value| !value.is_null()),
        Bug::EscapesNormalized => {
            for (_, value) in &mut value {
                if let serde_json::Value::String(text) = value {
                    *text = text.replace("\r\n", "\n").replace('\u{0}', "");
                }
            }
        }
        Bug::TimestampsRewritten => match decision.timestamp() {
            Some(time) => return decision.clone().with_timestamp(time),
            None => return decision.clone(),
        },
        _ => return decision.clone(),
    }
    Decision::from_value(&value).unwrap()
}

#[async_trait]
impl DecisionRepository for Buggy {
    fn capabilities(&self) -> Capabilities {
        match self.bug {
            Bug::RevisionsWorkThoughUnclaimed => Capabilities::of(&[Capability::Shared]),
            Bug::ReopeningLosesTheLast | Bug::ReopeningRevivesDeleted => {
                Capabilities::of(&[Capability::Persistent, Capability::Revisions])
            }
            _ => self.inner.capabilities(),
        }
    }

    async fn save(&self, decision: &Decision, mode: SaveMode) -> Result<SaveReceipt> {
        let decision = &mangled(self.bug, decision);
        let before = self.inner.get(decision.id()).await?;
        let mode = match (self.bug, mode) {
            (Bug::RevisionUnchecked, SaveMode::Update { .. }) => {
                SaveMode::Update { expected: None }
            }
            (Bug::CreateOverwrites, SaveMode::Create)
            | (Bug::UpdateCreates, SaveMode::Update { expected: None }) => SaveMode::Upsert,
            (Bug::RevisionsRefusedThoughClaimed, SaveMode::Update { expected: Some(_) }) => {
                return Err(Error::unsupported("no revisions here"));
            }
            (Bug::CreateRaces, SaveMode::Create) if before.is_none() => {
                tokio::task::yield_now().await;
                SaveMode::Upsert
            }
            (
                Bug::UpdateRaces,
                SaveMode::Update {
                    expected: Some(expected),
                },
            ) if before
                .as_ref()
                .is_some_and(|stored| stored.revision == expected) =>
            {
                tokio::task::yield_now().await;
                SaveMode::Upsert
            }
            (
                Bug::RevisionIsDigest,
                SaveMode::Update {
                    expected: Some(expected),
                },
            ) if before
                .as_ref()
                .is_some_and(|stored| digest(&stored.decision) == expected) =>
            {
                SaveMode::Update { expected: None }
            }
            (Bug::LongIdsRefused, _) if decision.id().as_str().len() > 150 => {
                return Err(Error::invalid("the file name would be too long"));
            }
            (_, mode) => mode,
        };
        match (self.bug, &before) {
            (Bug::UpsertDropped, Some(before)) if mode == SaveMode::Upsert => {
                return Ok(SaveReceipt {
                    revision: before.revision.clone(),
                    recorded_at: before.recorded_at,
                    outcome: SaveOutcome::Updated,
                });
            }
            (Bug::RecordedAtRenewed, Some(before))
                if before.decision.to_json() == decision.to_json() && mode != SaveMode::Create =>
            {
                self.inner.delete(decision.id()).await?;
                return self.inner.save(decision, SaveMode::Create).await;
            }
            (Bug::OldDateStays, Some(before))
                if before.decision.timestamp() != decision.timestamp() =>
            {
                self.shared.lock().unwrap().ghosts.push(before.clone());
            }
            _ => {}
        }
        let mut receipt = self.inner.save(decision, mode).await?;
        match (self.bug, before) {
            (Bug::OutcomeWrong, _) => receipt.outcome = SaveOutcome::Updated,
            (Bug::RevisionIsDigest, _) => receipt.revision = digest(decision),
            (Bug::ChangeKeepsRecordedAt, Some(before)) => receipt.recorded_at = before.recorded_at,
            _ => {}
        }
        Ok(receipt)
    }

    async fn get(&self, id: &DecisionId) -> Result<Option<StoredDecision>> {
        if self.bug == Bug::HandleCaches {
            if let Some(seen) = self.seen.lock().unwrap().get(id.as_str()) {
                return Ok(seen.clone());
            }
            let found = self.inner.get(id).await?;
            self.seen
                .lock()
                .unwrap()
                .insert(id.to_string(), found.clone());
            return Ok(found);
        }
        if let Some(found) = self.inner.get(id).await? {
            return Ok(Some(self.shown(found)));
        }
        let similar = |stored: &StoredDecision| {
            let other = stored.decision.id().as_str();
            match self.bug {
                Bug::IdMatchedAsSuffix => other.ends_with(&format!("_{id}")),
                Bug::IdCaseFolded => other.eq_ignore_ascii_case(id.as_str()),
                Bug::IdIsPattern => id
                    .as_str()
                    .split_once('*')
                    .is_some_and(|(a, b)| other.starts_with(a) && other.ends_with(b)),
                _ => false,
            }
        };
        Ok(self.all().await?.into_iter().find(similar))
    }

    async fn query(&self, query: &DecisionQuery) -> Result<DecisionPage> {
        self.answered(query).await
    }

    async fn count(&self, filter: &DecisionFilter) -> Result<u64> {
        let filter = match self.bug {
            Bug::CountIgnoresFilter => DecisionFilter::new(),
            _ => filter.clone(),
        };
        Ok(self
            .query(&DecisionQuery::new().filter(filter))
            .await?
            .decisions
            .len() as u64)
    }

    async fn delete(&self, id: &DecisionId) -> Result<bool> {
        if self.bug == Bug::ReopeningRevivesDeleted
            && let Some(stored) = self.inner.get(id).await?
        {
            self.shared.lock().unwrap().deleted.push(stored.decision);
        }
        if self.bug == Bug::DeleteTakesAnother {
            let similar = DecisionFilter::new().id_prefix(id.as_str());
            return Ok(self.inner.delete_matching(&similar).await? > 0);
        }
        Ok(self.inner.delete(id).await? || self.bug == Bug::DeleteAlwaysTrue)
    }

    async fn delete_matching(&self, filter: &DecisionFilter) -> Result<u64> {
        self.inner.delete_matching(&self.filter(filter)).await
    }

    async fn save_all(
        &self,
        mut decisions: Vec<Decision>,
        mode: SaveMode,
    ) -> Vec<Result<SaveReceipt>> {
        let mut results = Vec::new();
        if self.bug == Bug::SaveAllSavesTheFirstOfTwo {
            let ids: Vec<_> = decisions.iter().map(|one| one.id().clone()).collect();
            for (i, id) in ids.iter().enumerate() {
                let first = ids.iter().position(|other| other == id).unwrap_or(i);
                decisions[i] = decisions[first].clone();
            }
        }
        for decision in &decisions {
            let stop = self.bug == Bug::SaveAllStopsAtFailure
                && results.last().is_some_and(Result::is_err);
            results.push(if stop {
                Err(Error::new(ErrorKind::AlreadyExists, "one before failed"))
            } else {
                self.save(decision, mode.clone()).await
            });
        }
        results
    }

    async fn delete_seen(&self, seen: Vec<(DecisionId, Revision)>) -> Vec<Result<bool>> {
        let claimed = self.capabilities().has(Capability::Revisions);
        let mut results: Vec<Result<bool>> = Vec::new();
        for (id, revision) in seen {
            let conflict =
                matches!(results.last(), Some(Err(error)) if error.kind() == ErrorKind::Conflict);
            results.push(if !claimed {
                Err(Error::unsupported("no revisions here"))
            } else if self.bug == Bug::DeleteSeenStopsAtConflict && conflict {
                Err(Error::new(ErrorKind::Conflict, "one before has changed"))
            } else if self.bug == Bug::DeleteSeenUnchecked {
                self.inner.delete(&id).await
            } else {
                let mut one = self.inner.delete_seen(vec![(id, revision)]).await;
                one.pop().unwrap_or(Ok(false))
            });
        }
        results
    }

    async fn count_by(&self, filter: &DecisionFilter, by: &GroupBy) -> Result<Vec<GroupCount>> {
        let mut groups = match (self.bug, by) {
            (Bug::GroupsKeepCase, GroupBy::Pair) => {
                let by = GroupBy::Field("/asset_pair".to_owned());
                self.inner.count_by(filter, &by).await?
            }
            _ => self.inner.count_by(filter, by).await?,
        };
        if self.bug == Bug::GroupsLeaveOutWhatHasNoKey {
            groups.retain(|group| group.key.is_some());
        }
        Ok(groups)
    }

    async fn history(&self, id: &DecisionId) -> Result<Vec<DecisionState>> {
        if !self.capabilities().has(Capability::History) {
            return Err(Error::unsupported("no history here"));
        }
        let mut history = self.inner.history(id).await?;
        match self.bug {
            Bug::HistoryWithoutDeletions => history.retain(|state| !state.is_deletion()),
            Bug::HistoryOfThePresent => drop(history.drain(..history.len().saturating_sub(1))),
            Bug::HistoryNewestFirst => history.reverse(),
            _ => {}
        }
        Ok(history)
    }

    async fn get_at(&self, id: &DecisionId, at: &At) -> Result<Option<StoredDecision>> {
        let mut history = self.history(id).await?;
        match (self.bug, at) {
            (Bug::GetAtBeforeTheTime, At::Time(time)) => {
                history.retain(|state| state.recorded_at < *time);
            }
            (Bug::GetAtRevivesDeleted, _) => history.retain(|state| !state.is_deletion()),
            _ => {}
        }
        at.pick(&history)
    }

    async fn watch(&self, from: WatchFrom) -> Result<ChangeStream> {
        if !self.capabilities().has(Capability::Watch) {
            return Err(Error::unsupported("no feed here"));
        }
        let from = match (self.bug, from) {
            (Bug::WatchRepeatsThePosition, WatchFrom::After(position)) => {
                let past: u64 = position.as_str().parse().unwrap_or(u64::MAX);
                let before = past.saturating_sub(1).to_string();
                let found = self.inner.watch(WatchFrom::After(position)).await?;
                let inner = self.inner.watch(WatchFrom::After(before.parse()?)).await?;
                return Ok(ChangeStream::new(found.position().clone(), inner));
            }
            (Bug::WatchOfUnknownPositionStartsNow, WatchFrom::After(position)) => {
                match self.inner.watch(WatchFrom::After(position)).await {
                    Err(_) => WatchFrom::Now,
                    found => return found,
                }
            }
            (_, from) => from,
        };
        let changes = self.inner.watch(from).await?;
        let start = changes.position().clone();
        match self.bug {
            // As one who looks at the newest now and then, and finds the later of two.
            Bug::WatchMissesTheSecond => {
                let mut n = 0_u32;
                let seen = changes.filter(move |_| {
                    n += 1;
                    std::future::ready(!n.is_multiple_of(3))
                });
                Ok(ChangeStream::new(start, seen))
            }
            Bug::WatchEnds => Ok(ChangeStream::new(start, changes.take(2))),
            _ => Ok(changes),
        }
    }
}
