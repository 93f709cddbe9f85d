//! A plain model of a store of decisions, and random histories that it and a store live through together.

use std::sync::Arc;

use async_trait::async_trait;
use minutebook_core::{
    Capability, Decision, DecisionFilter, DecisionQuery, DecisionRepository, ErrorKind, Order,
    Revision, SaveMode, SaveOutcome, StoredDecision, Symbol, TimeRange,
};
use proptest::prelude::*;

use super::support::{Repo, Store, document, id, line};
use crate::case::{Failure, Outcome};
use crate::check::{ensure, ensure_eq, shown};
use crate::explore::{NewHarness, STEPS, World, histories, insist, no_faults, scripts};
use crate::faults::{Faulty, Script, is_injected};

/// Ids that a careless store mixes up.
const IDS: [&str; 7] = ["1", "x_1", "X_1", "a", "a*", "ab", "é"];
const TIMES: [Option<&str>; 5] = [
    None,
    Some("2025-01-01"),
    Some("2025-01-02T00:00:00.000000001Z"),
    Some("2024-12-31T23:00:00"),
    Some("2025-01-01T01:00:00+01:00"),
];
const PAIRS: [&str; 3] = ["BTCUSD", "btcusd", "ETHUSD"];

/// What a save expects to find, in terms of what the history has seen.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Create,
    Upsert,
    Update,
    /// With the revision that is stored, or an old one if nothing is.
    UpdateSeen,
    /// With a revision that was stored before.
    UpdateOld,
}

#[derive(Debug, Clone)]
enum Filter {
    All,
    Pair(usize),
    Prefix(&'static str),
    Time(usize, usize),
}

#[derive(Debug, Clone)]
enum Step {
    Save {
        id: usize,
        time: usize,
        pair: usize,
        n: u8,
        mode: Mode,
    },
    Delete {
        id: usize,
    },
    DeleteMatching(Filter),
    Query {
        filter: Filter,
        order: usize,
        limit: Option<usize>,
    },
    Count(Filter),
    Get {
        id: usize,
    },
    Wait,
    Reopen,
}

fn filters() -> impl Strategy<Value = Filter> {
    prop_oneof![
        Just(Filter::All),
        (0..PAIRS.len()).prop_map(Filter::Pair),
        prop_oneof![Just("x"), Just("a"), Just("a*"), Just("1")].prop_map(Filter::Prefix),
        (1..TIMES.len(), 1..TIMES.len()).prop_map(|(start, end)| Filter::Time(start, end)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mode = prop_oneof![
        Just(Mode::Create),
        Just(Mode::Upsert),
        Just(Mode::Update),
        Just(Mode::UpdateSeen),
        Just(Mode::UpdateOld)
    ];
    let save = (0..IDS.len(), 0..TIMES.len(), 0..PAIRS.len(), 0..2_u8, mode).prop_map(
        |(id, time, pair, n, mode)| Step::Save {
            id,
            time,
            pair,
            n,
            mode,
        },
    );
    let query = (filters(), 0..3_usize, proptest::option::of(0..6_usize)).prop_map(
        |(filter, order, limit)| Step::Query {
            filter,
            order,
            limit,
        },
    );
    let step = prop_oneof![
        10 => save,
        3 => (0..IDS.len()).prop_map(|id| Step::Delete { id }),
        1 => filters().prop_map(Step::DeleteMatching),
        3 => query,
        1 => filters().prop_map(Step::Count),
        2 => (0..IDS.len()).prop_map(|id| Step::Get { id }),
        2 => Just(Step::Wait),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..STEPS)
}

impl Filter {
    fn build(&self) -> Outcome<DecisionFilter> {
        let instant =
            |n: usize| minutebook_core::time::parse_timestamp(TIMES[n].unwrap_or_default());
        Ok(match self {
            Self::All => DecisionFilter::new(),
            Self::Pair(pair) => DecisionFilter::new().asset_pair(Symbol::new(PAIRS[*pair])?),
            Self::Prefix(prefix) => DecisionFilter::new().id_prefix(*prefix),
            Self::Time(start, end) => {
                let (start, end) = (instant(*start)?, instant(*end)?);
                DecisionFilter::new().time(TimeRange::new(start.min(end), start.max(end))?)
            }
        })
    }
}

/// Compares random histories of a store with the model.
///
/// # Errors
/// The shortest history found after which the two differ.
pub fn random_histories(new: NewHarness<'_, dyn DecisionRepository>) -> Outcome {
    histories::<_, Replay>(new, steps(), no_faults())
}

/// Compares random histories in which calls fail before and after they took effect.
///
/// # Errors
/// The shortest history found after which the store is in a state that no outcome of the failed calls explains.
pub fn random_histories_with_faults(new: NewHarness<'_, dyn DecisionRepository>) -> Outcome {
    histories::<_, Replay>(new, steps(), scripts())
}

fn faulty(repo: Repo, script: &Script) -> Repo {
    Arc::new(Faulty::new(repo, script.clone()))
}

/// A store and what must be in it.
struct Replay {
    store: Store,
    repo: Repo,
    script: Script,
    /// The model: every decision that is stored, in no order.
    stored: Vec<StoredDecision>,
    /// Every revision that was ever stored.
    old: Vec<Revision>,
}

#[async_trait]
impl World<dyn DecisionRepository> for Replay {
    type Step = Step;

    async fn open(store: Store, script: Script) -> Outcome<Self> {
        Ok(Self {
            repo: faulty(store.open().await?, &script),
            store,
            script,
            stored: Vec::new(),
            old: Vec::new(),
        })
    }

    async fn step(mut self, step: Step) -> Outcome<Self> {
        match step {
            Step::Reopen => self.reopen().await,
            step => self.take(step).await.map(|()| self),
        }
    }

    async fn agrees(&self) -> Outcome {
        self.query(&DecisionQuery::new().order(Order::Oldest)).await
    }
}

impl Replay {
    fn find(&self, id: &str) -> Option<&StoredDecision> {
        self.stored
            .iter()
            .find(|stored| stored.decision.id().as_str() == id)
    }

    fn put(&mut self, stored: StoredDecision) {
        self.stored
            .retain(|other| other.decision.id() != stored.decision.id());
        self.old.push(stored.revision.clone());
        self.stored.push(stored);
    }

    async fn take(&mut self, step: Step) -> Outcome {
        match step {
            Step::Save {
                id,
                time,
                pair,
                n,
                mode,
            } => {
                let time = TIMES[time]
                    .map_or_else(String::new, |time| format!(r#","timestamp":"{time}""#));
                let text = format!(
                    r#"{{"id":"{}"{time},"asset_pair":"{}","n":{n}.0}}"#,
                    IDS[id], PAIRS[pair]
                );
                self.save(&document(&text)?, mode).await
            }
            Step::Delete { id: n } => self.delete(IDS[n]).await,
            Step::DeleteMatching(filter) => self.delete_matching(&filter.build()?).await,
            Step::Query {
                filter,
                order,
                limit,
            } => {
                let mut query = DecisionQuery::new()
                    .filter(filter.build()?)
                    .order(super::query::ORDERS[order]);
                query.limit = limit;
                self.query(&query).await
            }
            Step::Count(filter) => {
                let filter = filter.build()?;
                let expected = self
                    .stored
                    .iter()
                    .filter(|stored| filter.matches(stored))
                    .count() as u64;
                ensure_eq!(
                    insist(|| self.repo.count(&filter)).await?,
                    expected,
                    "the count"
                );
                Ok(())
            }
            Step::Get { id: n } => {
                let name = id(IDS[n])?;
                let found = insist(|| self.repo.get(&name)).await?;
                ensure_eq!(
                    found.as_ref().map(line),
                    self.find(IDS[n]).map(line),
                    "get of {name}"
                );
                Ok(())
            }
            Step::Wait | Step::Reopen => {
                self.store.step();
                Ok(())
            }
        }
    }

    async fn reopen(self) -> Outcome<Self> {
        if !self.repo.capabilities().has(Capability::Persistent) {
            return Ok(self);
        }
        let repo = faulty(self.store.reopen(self.repo).await?, &self.script);
        let world = Self { repo, ..self };
        world.agrees().await?;
        Ok(world)
    }

    /// What the model says of a save: its outcome, or how it fails.
    fn expected(&self, decision: &Decision, mode: &SaveMode) -> Result<SaveOutcome, ErrorKind> {
        let revisions = self.repo.capabilities().has(Capability::Revisions);
        let stored = self.find(decision.id().as_str());
        match (mode, stored) {
            (SaveMode::Update { expected: Some(_) }, _) if !revisions => {
                Err(ErrorKind::Unsupported)
            }
            (SaveMode::Create, Some(_)) => Err(ErrorKind::AlreadyExists),
            (SaveMode::Update { .. }, None) => Err(ErrorKind::NotFound),
            (
                SaveMode::Update {
                    expected: Some(expected),
                },
                Some(stored),
            ) if *expected != stored.revision => Err(ErrorKind::Conflict),
            (_, None) => Ok(SaveOutcome::Created),
            (_, Some(stored)) if stored.decision.to_json() == decision.to_json() => {
                Ok(SaveOutcome::Unchanged)
            }
            (_, Some(_)) => Ok(SaveOutcome::Updated),
        }
    }

    async fn save(&mut self, decision: &Decision, mode: Mode) -> Outcome {
        let seen = self
            .find(decision.id().as_str())
            .map(|stored| stored.revision.clone());
        let old = self
            .old
            .iter()
            .rfind(|revision| Some(*revision) != seen.as_ref())
            .cloned();
        let mode = match mode {
            Mode::Create => SaveMode::Create,
            Mode::Upsert => SaveMode::Upsert,
            Mode::Update => SaveMode::Update { expected: None },
            Mode::UpdateSeen => SaveMode::Update {
                expected: seen.or(old),
            },
            Mode::UpdateOld => SaveMode::Update { expected: old },
        };
        let before = self.find(decision.id().as_str()).cloned();
        let expected = self.expected(decision, &mode);
        let now = self.store.now();
        let result = self.repo.save(decision, mode).await;
        let found = {
            let id = decision.id();
            insist(|| self.repo.get(id)).await?
        };
        let unknown = matches!(&result, Err(error) if is_injected(error));
        let changed = matches!(expected, Ok(SaveOutcome::Created | SaveOutcome::Updated));
        match (result, expected) {
            (Err(_), _) if unknown => {}
            (Ok(receipt), Ok(outcome)) => {
                ensure_eq!(receipt.outcome, outcome, "the outcome of the save");
                let stored = found
                    .as_ref()
                    .map(|stored| (&stored.revision, stored.recorded_at));
                ensure_eq!(
                    stored,
                    Some((&receipt.revision, receipt.recorded_at)),
                    "get and the receipt"
                );
            }
            (Err(error), Err(kind)) => {
                ensure_eq!(error.kind(), kind, "how the save failed: {error}");
            }
            (result, expected) => {
                return Err(Failure::new(format!(
                    "the save gave {} and the model says {expected:?}",
                    shown(&result)
                )));
            }
        }
        // Either nothing changed, or the decision is there in a new state. After a fault the read decides which it was.
        if found.as_ref().map(line) == before.as_ref().map(line) && (unknown || !changed) {
            return Ok(());
        }
        ensure!(
            changed,
            "nothing should have changed, but there is {}",
            shown(&found)
        );
        let found = found.ok_or_else(|| Failure::new("the saved decision is not there"))?;
        ensure_eq!(
            found.decision.to_json(),
            decision.to_json(),
            "the stored document"
        );
        if let Some(now) = now {
            ensure_eq!(found.recorded_at, now, "recorded_at");
        }
        ensure!(
            before.is_none_or(|before| before.revision != found.revision),
            "a change kept the revision {}",
            found.revision
        );
        self.put(found);
        Ok(())
    }

    async fn delete(&mut self, name: &str) -> Outcome {
        let name = id(name)?;
        let before = self.find(name.as_str()).cloned();
        match self.repo.delete(&name).await {
            Err(error) if is_injected(&error) => {
                let found = insist(|| self.repo.get(&name)).await?;
                if found.is_some() {
                    ensure_eq!(
                        found.as_ref().map(line),
                        before.as_ref().map(line),
                        "what a failed deletion left"
                    );
                    return Ok(());
                }
            }
            result => ensure_eq!(
                result?,
                before.is_some(),
                "whether there was something to delete"
            ),
        }
        self.stored.retain(|stored| *stored.decision.id() != name);
        let found = insist(|| self.repo.get(&name)).await?;
        ensure_eq!(found, None, "get after the deletion");
        Ok(())
    }

    async fn delete_matching(&mut self, filter: &DecisionFilter) -> Outcome {
        let doomed = self
            .stored
            .iter()
            .filter(|stored| filter.matches(stored))
            .count() as u64;
        match self.repo.delete_matching(filter).await {
            Err(error) if is_injected(&error) => {
                // Several documents need not go together; each is as it was or gone.
                let everything = DecisionQuery::new();
                let left = insist(|| self.repo.query(&everything)).await?;
                let left: Vec<_> = left.into_iter().map(|stored| line(&stored)).collect();
                self.stored
                    .retain(|stored| !filter.matches(stored) || left.contains(&line(stored)));
            }
            result => {
                ensure_eq!(result?, doomed, "how many were deleted");
                self.stored.retain(|stored| !filter.matches(stored));
            }
        }
        self.agrees().await
    }

    async fn query(&self, query: &DecisionQuery) -> Outcome {
        let mut expected: Vec<_> = self
            .stored
            .iter()
            .filter(|stored| query.filter.matches(stored))
            .collect();
        expected.sort_by_key(|stored| {
            let time = match query.order {
                Order::RecentlyWritten => stored.recorded_at,
                _ => stored.decision.timestamp().unwrap_or(stored.recorded_at),
            };
            (time, stored.decision.id().as_str().to_owned())
        });
        if query.order != Order::Oldest {
            expected.reverse();
        }
        let limit = query.limit.unwrap_or(usize::MAX).min(expected.len());
        let page = insist(|| self.repo.query(query)).await?;
        let found: Vec<_> = page.decisions.iter().map(line).collect();
        let expected: Vec<_> = expected[..limit]
            .iter()
            .map(|stored| line(stored))
            .collect();
        ensure_eq!(found, expected, "the answer to {query:?}");
        Ok(())
    }
}
