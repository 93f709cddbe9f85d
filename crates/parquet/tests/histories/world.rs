//! The store beside the model: each step is done to both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use minutebook_core::{
    Clock, Error, ErrorKind, ManualClock, Snapshot, TimeSeriesRepository, Version, WriteMode,
};
use minutebook_parquet::{Metadata, ParquetTimeSeriesRepository, Retention, VacuumOptions};

use crate::common::shaky::Shaky;
use crate::common::{range, series};
use crate::model::{Key, NAMES, Quote, State, Step, table};

/// A kept version: when it was committed, and what it says.
pub(crate) type Kept = (i64, State);

/// The store, and what must be in it.
pub(crate) struct World<'a> {
    pub(crate) open: &'a dyn Fn(Arc<ManualClock>) -> ParquetTimeSeriesRepository,
    pub(crate) shaky: Option<&'a Shaky>,
    pub(crate) repo: ParquetTimeSeriesRepository,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) now: Option<State>,
    /// The number of the newest entry, deletions included.
    pub(crate) version: u64,
    pub(crate) kept: BTreeMap<u64, Kept>,
    pub(crate) named: BTreeMap<usize, (u64, State)>,
    pub(crate) made: i64,
    pub(crate) seed: u64,
}

impl World<'_> {
    fn nanos(&self) -> i64 {
        self.clock.now().timestamp_nanos_opt().unwrap()
    }

    fn faults(&self, on: bool) {
        if let Some(shaky) = self.shaky {
            let seed = if on { self.seed } else { 0 };
            shaky.state.store(seed, Ordering::SeqCst);
        }
    }

    /// Whether an error is one of the store's that fails; after one of these nothing is known.
    fn open_outcome(&self, error: &Error) -> bool {
        self.shaky.is_some() && error.kind() == ErrorKind::Unavailable
    }

    fn advance(&mut self, next: State) {
        self.version += 1;
        self.kept.insert(self.version, (self.nanos(), next.clone()));
        self.now = Some(next);
    }

    /// Finds out whether a change of which the answer was lost was made: the version says it.
    async fn settle(&mut self, next: Option<State>) {
        let summary = self.repo.summary(&series()).await.unwrap();
        if let Some((summary, next)) = summary.zip(next)
            && summary.version.0 > self.version
        {
            self.advance(next);
        }
    }

    pub(crate) async fn step(&mut self, step: &Step) {
        self.clock.advance(TimeDelta::seconds(1));
        self.seed += 2;
        self.faults(true);
        match step {
            Step::Append(rows) => self.write(rows, WriteMode::Append).await,
            Step::Upsert(rows, on_conflict) => {
                let on_conflict = *on_conflict;
                self.write(rows, WriteMode::Upsert { on_conflict }).await;
            }
            Step::Replace(rows, from, to) => {
                self.write(rows, WriteMode::ReplaceRange(range(*from, *to)))
                    .await;
            }
            Step::DeleteRange(from, to) => self.delete_range(*from, *to).await,
            Step::DeleteSeries => self.delete_series().await,
            Step::Declare(key) => self.declare(*key).await,
            Step::Compact => self.compact().await,
            Step::Restore(back) => self.restore(*back).await,
            Step::Name(name, back) => self.name(*name, *back).await,
            Step::Unname(name) => self.unname(*name).await,
            Step::Vacuum(keep) => self.vacuum(*keep).await,
            Step::Reopen => self.repo = (self.open)(Arc::clone(&self.clock)),
        }
        self.faults(false);
        let found = self.read(Snapshot::Latest).await;
        assert_eq!(
            found,
            self.now.as_ref().map(State::ordered),
            "after {step:?}"
        );
        let summary = self.repo.summary(&series()).await.unwrap();
        let known = summary.map(|summary| (summary.rows, summary.version.0, summary.key));
        let expected = self.now.as_ref();
        let expected =
            expected.map(|now| (now.rows.len() as u64, self.version, now.key.declared()));
        assert_eq!(known, expected, "the summary after {step:?}");
    }

    async fn write(&mut self, rows: &[(i64, usize)], mode: WriteMode) {
        let mut made: Vec<Quote> = Vec::new();
        for (time, symbol) in rows {
            self.made += 1;
            made.push((*time, *symbol, self.made));
        }
        if made.is_empty() && self.now.as_ref().is_none_or(|now| !now.columns) {
            return;
        }
        let before = self.now.clone().unwrap_or_else(State::empty);
        let expected = before.write(&made, mode);
        let written = self.repo.write(&series(), table(&made), mode).await;
        match (written, expected) {
            (Err(error), expected) if self.open_outcome(&error) => {
                self.faults(false);
                let next = expected.ok();
                let next = next.filter(|(_, (inserted, replaced, _))| inserted + replaced > 0);
                self.settle(next.map(|(next, _)| next)).await;
            }
            (Ok(receipt), Ok((next, counts))) => {
                let found = (receipt.inserted, receipt.replaced, receipt.skipped);
                assert_eq!(found, counts, "the receipt");
                if counts.0 + counts.1 > 0 {
                    self.advance(next);
                }
                assert_eq!(receipt.version.0, self.version);
            }
            (Err(error), Err(kind)) => assert_eq!(error.kind(), kind, "{error:?}"),
            (written, expected) => panic!("{written:?} instead of {expected:?}"),
        }
    }

    async fn delete_range(&mut self, from: i64, to: i64) {
        let next = self.now.clone().map(|mut now| {
            let before = now.rows.len();
            now.rows.retain(|row| !(from..to).contains(&row.0));
            (before - now.rows.len(), now)
        });
        let deleted = self.repo.delete(&series(), Some(range(from, to))).await;
        let next = next.filter(|(gone, _)| *gone > 0);
        match deleted {
            Err(error) if self.open_outcome(&error) => {
                self.faults(false);
                self.settle(next.map(|(_, next)| next)).await;
            }
            deleted => {
                let gone = next.as_ref().map_or(0, |(gone, _)| *gone as u64);
                assert_eq!(deleted.unwrap(), gone);
                if let Some((_, next)) = next {
                    self.advance(next);
                }
            }
        }
    }

    async fn delete_series(&mut self) {
        let deleted = self.repo.delete(&series(), None).await;
        let there = self.now.is_some();
        match deleted {
            Err(error) if self.open_outcome(&error) => {
                self.faults(false);
                let left = self.repo.summary(&series()).await.unwrap();
                if left.is_some() {
                    return;
                }
            }
            deleted => {
                let rows = self.now.as_ref().map_or(0, |now| now.rows.len() as u64);
                assert_eq!(deleted.unwrap(), rows);
            }
        }
        if there {
            self.version += 1;
            self.kept.clear();
            self.now = None;
        }
    }

    async fn declare(&mut self, key: Key) {
        let before = self.now.clone();
        let next = match &before {
            None if key == Key::None => Err(ErrorKind::NotFound),
            None => Ok(Some(State {
                key,
                ..State::empty()
            })),
            Some(now) if now.key == key => Ok(None),
            Some(now) if key == Key::Symbol && !now.columns => {
                // The column comes with the first rows.
                Ok(Some(State { key, ..now.clone() }))
            }
            Some(now) if key != Key::None && State::twice(&now.rows, key) => {
                Err(ErrorKind::AlreadyExists)
            }
            Some(now) => Ok(Some(State { key, ..now.clone() })),
        };
        let declared = self
            .repo
            .declare_key(&series(), key.declared().as_ref())
            .await;
        match (declared, next) {
            (Err(error), next) if self.open_outcome(&error) => {
                self.faults(false);
                self.settle(next.ok().flatten()).await;
            }
            (Ok(version), Ok(next)) => {
                if let Some(next) = next {
                    self.advance(next);
                }
                assert_eq!(version.0, self.version);
            }
            (Err(error), Err(kind)) => assert_eq!(error.kind(), kind, "{error:?}"),
            (declared, next) => panic!("{declared:?} instead of {next:?}"),
        }
    }

    async fn compact(&mut self) {
        let compacted = self.repo.compact(&series()).await;
        let now = self.now.clone();
        match compacted {
            Err(error) if self.open_outcome(&error) => {
                self.faults(false);
                self.settle(now).await;
            }
            Err(error) => assert!(
                now.is_none() && error.kind() == ErrorKind::NotFound,
                "{error:?}"
            ),
            Ok(report) => {
                if !report.steps.is_empty() {
                    self.advance(now.unwrap());
                }
                assert_eq!(report.version.0, self.version);
                self.faults(false);
                let plan = self.repo.plan_compaction(&series()).await.unwrap();
                assert!(
                    plan.is_empty(),
                    "a second run would change something: {plan:?}"
                );
            }
        }
    }

    async fn restore(&mut self, back: usize) {
        let Some((version, (_, state))) = self.kept.iter().rev().nth(back) else {
            return;
        };
        let (version, state) = (*version, state.clone());
        let wanted = Snapshot::Version(Version(version));
        let restored = self.repo.restore(&series(), wanted, &Metadata::new()).await;
        match restored {
            Err(error) if self.open_outcome(&error) => {
                self.faults(false);
                self.settle(Some(state)).await;
            }
            restored => {
                let restored = restored.unwrap().0;
                // The same files, or the version as it is.
                if restored > self.version {
                    self.advance(state);
                } else {
                    assert_eq!(self.now.as_ref(), Some(&state));
                }
                assert_eq!(restored, self.version);
            }
        }
    }

    async fn name(&mut self, name: usize, back: usize) {
        let Some((version, (_, state))) = self.kept.iter().rev().nth(back) else {
            return;
        };
        let pinned = (*version, state.clone());
        let named = [(series(), Snapshot::Version(Version(pinned.0)))];
        let made = self
            .repo
            .create_snapshot(NAMES[name], &named, &Metadata::new())
            .await;
        match made {
            Err(error) if self.open_outcome(&error) => {
                self.faults(false);
                let found = self.repo.snapshot(NAMES[name]).await.unwrap();
                if found.is_some() {
                    self.named.entry(name).or_insert(pinned);
                }
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                assert!(self.named.contains_key(&name), "{error:?}");
            }
            made => {
                made.unwrap();
                assert!(self.named.insert(name, pinned).is_none());
            }
        }
    }

    async fn unname(&mut self, name: usize) {
        let dropped = self.repo.drop_snapshot(NAMES[name]).await;
        match dropped {
            Err(error) if self.open_outcome(&error) => {
                self.faults(false);
                let found = self.repo.snapshot(NAMES[name]).await.unwrap();
                if found.is_none() {
                    self.named.remove(&name);
                }
            }
            dropped => {
                assert_eq!(dropped.unwrap(), self.named.remove(&name).is_some());
            }
        }
    }

    async fn vacuum(&mut self, keep: u64) {
        let options = VacuumOptions::default().retention(Retention::versions(keep));
        match self.repo.vacuum(&series(), &options).await {
            Err(error) if self.open_outcome(&error) => {
                self.faults(false);
                // Interrupted, it is done again.
                self.repo.vacuum(&series(), &options).await.unwrap();
            }
            done => drop(done.unwrap()),
        }
        let newest = self.version;
        self.kept.retain(|version, _| version + keep > newest);
    }
}
