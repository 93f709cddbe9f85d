//! A plain model of a catalog, and random histories that it and a catalog live through together.

use std::sync::Arc;

use async_trait::async_trait;
use minutebook_core::time::{WrittenTime, parse_timestamp};
use minutebook_core::{
    Capability, Catalog, DatasetChange, DatasetEntry, DatasetFilter, ErrorKind, Revision, SaveMode,
    Statistics, StoredEntry,
};
use proptest::prelude::*;

use super::support::{Repo, Store, line, name};
use crate::case::{Failure, Outcome};
use crate::check::{ensure, ensure_eq, shown};
use crate::explore::{NewHarness, STEPS, World, histories, insist, no_faults, scripts};
use crate::faults::{Faulty, Script, is_injected};

/// Names that a careless store mixes up.
const NAMES: [&str; 5] = ["vix", "VIX", "vix 5y", "a/b", "é"];
const INSTRUMENTS: [&str; 2] = ["VIX", "CDX"];

/// What a call expects to find, in terms of what the history has seen.
#[derive(Debug, Clone, Copy)]
enum Expect {
    Anything,
    /// The stored revision, or an old one if nothing is there.
    Seen,
    /// A revision that was stored before.
    Old,
}

#[derive(Debug, Clone, Copy)]
enum Mode {
    Create,
    Upsert,
    Update(Expect),
}

#[derive(Debug, Clone)]
enum Step {
    Register {
        name: usize,
        instrument: usize,
        tenor: bool,
        dated: bool,
        n: u8,
        mode: Mode,
    },
    Change {
        name: usize,
        tenor: Option<bool>,
        rows: Option<u64>,
        n: Option<u8>,
        expect: Expect,
    },
    Remove {
        name: usize,
        expect: Expect,
    },
    Get {
        name: usize,
    },
    List {
        instrument: Option<usize>,
        prefix: bool,
        tenor: bool,
    },
    Wait,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let expect = || prop_oneof![2 => Just(Expect::Anything), 2 => Just(Expect::Seen), 1 => Just(Expect::Old)];
    let mode = prop_oneof![1 => Just(Mode::Create), 2 => Just(Mode::Upsert), 2 => expect().prop_map(Mode::Update)];
    let names = 0..NAMES.len();
    let register = (
        names.clone(),
        0..INSTRUMENTS.len(),
        any::<bool>(),
        any::<bool>(),
        0..2_u8,
        mode,
    )
        .prop_map(|(name, instrument, tenor, dated, n, mode)| Step::Register {
            name,
            instrument,
            tenor,
            dated,
            n,
            mode,
        });
    let change = (
        names.clone(),
        proptest::option::of(any::<bool>()),
        proptest::option::weighted(0.3, 0..3_u64),
        proptest::option::of(0..3_u8),
        expect(),
    )
        .prop_map(|(name, tenor, rows, n, expect)| Step::Change {
            name,
            tenor,
            rows,
            n,
            expect,
        });
    let list = (
        proptest::option::of(0..INSTRUMENTS.len()),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(instrument, prefix, tenor)| Step::List {
            instrument,
            prefix,
            tenor,
        });
    let step = prop_oneof![
        6 => register,
        6 => change,
        2 => (names.clone(), expect()).prop_map(|(name, expect)| Step::Remove { name, expect }),
        1 => names.prop_map(|name| Step::Get { name }),
        2 => list,
        2 => Just(Step::Wait),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..STEPS)
}

/// Compares random histories of a catalog with the model.
///
/// # Errors
/// The shortest history found after which the two differ.
pub fn random_histories(new: NewHarness<'_, dyn Catalog>) -> Outcome {
    histories::<_, Replay>(new, steps(), no_faults())
}

/// Compares random histories in which calls fail before and after they took effect.
///
/// # Errors
/// The shortest history found after which the catalog is in a state that no outcome of the failed calls explains.
pub fn random_histories_with_faults(new: NewHarness<'_, dyn Catalog>) -> Outcome {
    histories::<_, Replay>(new, steps(), scripts())
}

fn faulty(repo: Repo, script: &Script) -> Repo {
    Arc::new(Faulty::new(repo, script.clone()))
}

/// A catalog and what must be in it.
struct Replay {
    store: Store,
    repo: Repo,
    script: Script,
    /// The model: every entry that is stored, in no order.
    stored: Vec<StoredEntry>,
    /// Every revision that was ever stored.
    old: Vec<Revision>,
}

#[async_trait]
impl World<dyn Catalog> for Replay {
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
        self.agrees_on(&DatasetFilter::new()).await
    }
}

impl Replay {
    fn find(&self, text: &str) -> Option<&StoredEntry> {
        self.stored
            .iter()
            .find(|stored| stored.entry.name.as_str() == text)
    }

    fn revision(&self, text: &str, expect: Expect) -> Option<Revision> {
        let seen = self.find(text).map(|stored| stored.revision.clone());
        let old = self
            .old
            .iter()
            .rfind(|revision| Some(*revision) != seen.as_ref())
            .cloned();
        match expect {
            Expect::Anything => None,
            Expect::Seen => seen.or(old),
            Expect::Old => old,
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

    async fn take(&mut self, step: Step) -> Outcome {
        match step {
            Step::Register {
                name: which,
                instrument,
                tenor,
                dated,
                n,
                mode,
            } => {
                let mut entry =
                    DatasetEntry::new(name(NAMES[which])?, INSTRUMENTS[instrument], "x.parquet")
                        .with_metadata("n", n);
                entry.tenor = tenor.then(|| "5Y".to_owned());
                entry.registered_at = dated.then(|| WrittenTime::new("2024-05-01T10:00:00.123456"));
                let mode = match mode {
                    Mode::Create => SaveMode::Create,
                    Mode::Upsert => SaveMode::Upsert,
                    Mode::Update(expect) => SaveMode::Update {
                        expected: self.revision(NAMES[which], expect),
                    },
                };
                let expected = self.registered(&entry, &mode);
                let result = self.repo.register(&entry, mode).await;
                self.settle(NAMES[which], result, expected).await
            }
            Step::Change {
                name: which,
                tenor,
                rows,
                n,
                expect,
            } => {
                let mut change = DatasetChange::new();
                if let Some(tenor) = tenor {
                    change = change.tenor(tenor.then(|| "10Y".to_owned()));
                }
                if let Some(rows) = rows {
                    let first = Some(parse_timestamp("2024-01-01")?);
                    change = change.statistics(Statistics {
                        rows,
                        first,
                        last: first,
                    });
                }
                if let Some(n) = n {
                    change = change.metadata(
                        "n",
                        if n == 0 {
                            serde_json::Value::Null
                        } else {
                            n.into()
                        },
                    );
                }
                change.expected = self.revision(NAMES[which], expect);
                let expected = self.changed(NAMES[which], &change);
                let result = self.repo.update(&name(NAMES[which])?, &change).await;
                self.settle(NAMES[which], result, expected).await
            }
            Step::Remove {
                name: which,
                expect,
            } => {
                let seen = self.revision(NAMES[which], expect);
                self.remove(NAMES[which], seen.as_ref()).await
            }
            Step::Get { name: which } => self.same(NAMES[which]).await,
            Step::List {
                instrument,
                prefix,
                tenor,
            } => {
                let mut filter = DatasetFilter::new();
                filter.instrument = instrument.map(|n| INSTRUMENTS[n].to_owned());
                filter.name_prefix = prefix.then(|| "vix".to_owned());
                filter.tenor = tenor.then(|| "5Y".to_owned());
                self.agrees_on(&filter).await
            }
            Step::Wait | Step::Reopen => {
                self.store.step();
                Ok(())
            }
        }
    }

    /// What the model says of the expected revision.
    fn check_expected(
        &self,
        stored: Option<&StoredEntry>,
        expected: Option<&Revision>,
    ) -> Result<(), ErrorKind> {
        match (stored, expected) {
            (_, Some(_)) if !self.repo.capabilities().has(Capability::Revisions) => {
                Err(ErrorKind::Unsupported)
            }
            (None, _) => Err(ErrorKind::NotFound),
            (Some(stored), Some(expected)) if stored.revision != *expected => {
                Err(ErrorKind::Conflict)
            }
            _ => Ok(()),
        }
    }

    /// What the model says that a registration makes of the entry. `registered_at` is `None` where only the catalog knows it.
    fn registered(&self, entry: &DatasetEntry, mode: &SaveMode) -> Result<DatasetEntry, ErrorKind> {
        let stored = self.find(entry.name.as_str());
        match mode {
            SaveMode::Create if stored.is_some() => return Err(ErrorKind::AlreadyExists),
            SaveMode::Update { expected } => self.check_expected(stored, expected.as_ref())?,
            SaveMode::Create | SaveMode::Upsert => {}
        }
        let mut entry = entry.clone();
        if entry.registered_at.is_none() {
            entry.registered_at = match stored {
                Some(stored) => stored.entry.registered_at.clone(),
                None => self.store.now().map(WrittenTime::from),
            };
        }
        Ok(entry)
    }

    fn changed(&self, text: &str, change: &DatasetChange) -> Result<DatasetEntry, ErrorKind> {
        let stored = self.find(text);
        self.check_expected(stored, change.expected.as_ref())?;
        let mut entry = stored.ok_or(ErrorKind::NotFound)?.entry.clone();
        change.apply(&mut entry, self.store.now().unwrap_or_default());
        Ok(entry)
    }

    /// Compares what a call came to with what the model says, and follows it.
    async fn settle(
        &mut self,
        text: &str,
        result: minutebook_core::Result<Revision>,
        expected: Result<DatasetEntry, ErrorKind>,
    ) -> Outcome {
        let name = name(text)?;
        let before = self.find(text).cloned();
        let found = insist(|| self.repo.get(&name)).await?;
        let unknown = matches!(&result, Err(error) if is_injected(error));
        let expected = match (result, expected) {
            (Err(_), expected) if unknown => expected.ok(),
            (Ok(revision), Ok(expected)) => {
                ensure_eq!(
                    found.as_ref().map(|stored| &stored.revision),
                    Some(&revision),
                    "the stored revision is the one returned"
                );
                Some(expected)
            }
            (Err(error), Err(kind)) => {
                ensure_eq!(error.kind(), kind, "how the call failed: {error}");
                None
            }
            (result, expected) => {
                return Err(Failure::new(format!(
                    "the call gave {} and the model says {expected:?}",
                    shown(&result)
                )));
            }
        };
        let changed = expected.as_ref().is_some_and(|expected| {
            before
                .as_ref()
                .is_none_or(|before| before.entry != *expected)
        });
        if found == before && (unknown || !changed) {
            return Ok(());
        }
        let (Some(found), Some(mut expected), true) = (found.clone(), expected, changed) else {
            return Err(Failure::new(format!(
                "nothing should have changed, but there is {}",
                shown(&found)
            )));
        };
        if self.store.now().is_none() {
            // The store's own clock cannot be foreseen; that the times are there is all that can be said.
            if expected.registered_at.is_none() {
                expected
                    .registered_at
                    .clone_from(&found.entry.registered_at);
            }
            expected.last_updated.clone_from(&found.entry.last_updated);
        }
        ensure_eq!(found.entry, expected, "the stored entry");
        ensure!(
            !self.stored.contains(&found),
            "a change kept the state {}",
            shown(&found)
        );
        ensure!(
            before.is_none_or(|before| before.revision != found.revision),
            "a change kept the revision {}",
            found.revision
        );
        self.old.push(found.revision.clone());
        self.stored.retain(|stored| stored.entry.name != name);
        self.stored.push(found);
        Ok(())
    }

    async fn remove(&mut self, text: &str, seen: Option<&Revision>) -> Outcome {
        let name = name(text)?;
        // What is not there is nothing to compare.
        let expected = match self.check_expected(self.find(text), seen) {
            Err(ErrorKind::NotFound) => Ok(false),
            checked => checked.map(|()| true),
        };
        let result = match seen {
            Some(seen) => self.repo.remove_seen(&name, seen).await,
            None => self.repo.remove(&name).await,
        };
        let gone = match result {
            Err(error) if is_injected(&error) => {
                expected == Ok(true) && insist(|| self.repo.get(&name)).await?.is_none()
            }
            result => {
                let result = result.map_err(|error| error.kind());
                ensure_eq!(result, expected, "what the removal said");
                expected == Ok(true)
            }
        };
        if gone {
            self.stored.retain(|stored| stored.entry.name != name);
        }
        self.same(text).await
    }

    async fn same(&self, text: &str) -> Outcome {
        let name = name(text)?;
        let found = insist(|| self.repo.get(&name)).await?;
        ensure_eq!(found.as_ref(), self.find(text), "get of {text:?}");
        Ok(())
    }

    /// What matches is what the model holds.
    async fn agrees_on(&self, filter: &DatasetFilter) -> Outcome {
        let mut expected: Vec<_> = self
            .stored
            .iter()
            .filter(|stored| filter.matches(&stored.entry))
            .collect();
        expected.sort_by(|a, b| a.entry.name.cmp(&b.entry.name));
        let expected = expected
            .into_iter()
            .map(line)
            .collect::<Outcome<Vec<_>>>()?;
        let found = insist(|| self.repo.list(filter)).await?;
        let found = found.iter().map(line).collect::<Outcome<Vec<_>>>()?;
        ensure_eq!(found, expected, "what {filter:?} lists");
        Ok(())
    }
}
