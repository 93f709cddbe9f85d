//! Random histories against a plain model that remembers every version: writes, keys, compaction, restoring, snapshots, retention, on a
//! directory, in memory, and on a store that fails.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

#[path = "../common/mod.rs"]
mod common;
mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use common::shaky::Shaky;
use common::{range, series, threaded};
use minutebook_core::time::from_nanos;
use minutebook_core::{
    Clock, Error, ErrorKind, ManualClock, ScanQuery, Snapshot, TimeSeriesRepository, Version,
    WriteMode,
};
use minutebook_parquet::{
    Metadata, ParquetConfig, ParquetTimeSeriesRepository, Retention, VacuumOptions,
};
use model::{Key, NAMES, Quote, State, Step, quotes, steps, table};
use object_store::memory::InMemory;
use proptest::test_runner::{Config, TestRunner};

/// A kept version: when it was committed, and what it says.
type Kept = (i64, State);

/// The store, and what must be in it.
struct World<'a> {
    open: &'a dyn Fn(Arc<ManualClock>) -> ParquetTimeSeriesRepository,
    shaky: Option<&'a Shaky>,
    repo: ParquetTimeSeriesRepository,
    clock: Arc<ManualClock>,
    now: Option<State>,
    /// The number of the newest entry, deletions included.
    version: u64,
    kept: BTreeMap<u64, Kept>,
    named: BTreeMap<usize, (u64, State)>,
    made: i64,
    seed: u64,
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

    async fn step(&mut self, step: &Step) {
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
            // An answer that was lost: the snapshot is there, and not by this name's first owner.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if self.shaky.is_some() {
                    self.named.entry(name).or_insert(pinned);
                }
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

    /// The rows of a version; `None` if it cannot be read.
    async fn read(&self, snapshot: Snapshot) -> Option<Vec<Quote>> {
        let query = ScanQuery::new().as_of(snapshot).batch_size(3);
        let stream = match self.repo.scan(&series(), &query).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            stream => stream.unwrap(),
        };
        let (batches, _) = stream.collect().await.unwrap();
        Some(batches.iter().flat_map(quotes).collect())
    }

    /// Every version, by number and by time, and what differs between neighbours, is as the model says.
    async fn agrees(&self) {
        let version = |n: u64| Snapshot::Version(Version(n));
        for (n, (at, state)) in &self.kept {
            let expected = Some(state.ordered());
            assert_eq!(self.read(version(*n)).await, expected, "version {n}");
            let time = Snapshot::Time(from_nanos(*at));
            assert_eq!(self.read(time).await, expected, "version {n} by its time");
            let later = Snapshot::Time(from_nanos(*at + 999_999_999));
            assert_eq!(
                self.read(later).await,
                expected,
                "version {n} just before the next"
            );
        }
        for (name, (n, state)) in &self.named {
            let found = self.read(version(*n)).await;
            assert_eq!(
                found,
                Some(state.ordered()),
                "version {n}, which {name} names"
            );
        }
        let pinned: BTreeSet<u64> = self.named.values().map(|(n, _)| *n).collect();
        for n in 1..=self.version {
            if !self.kept.contains_key(&n) && !pinned.contains(&n) {
                assert_eq!(self.read(version(n)).await, None, "version {n} is not kept");
            }
        }
        let kept: Vec<_> = self.kept.iter().collect();
        for pair in kept.windows(2) {
            let [(a, (_, old)), (b, (_, new))] = pair else {
                unreachable!()
            };
            self.differ((**a, old), (**b, new)).await;
        }
        if let [(a, (_, old)), .., (b, (_, new))] = kept.as_slice() {
            self.differ((**b, new), (**a, old)).await;
        }
        let verified = self.repo.verify(&series()).await;
        if self.now.is_some() {
            assert!(verified.unwrap().problems.is_clean());
        }
    }

    async fn differ(&self, (a, old): (u64, &State), (b, new): (u64, &State)) {
        let version = |n: u64| Snapshot::Version(Version(n));
        let found = self.repo.diff(&series(), version(a), version(b)).await;
        let ranges = found.unwrap().ranges;
        let (old, new) = (old.ordered(), new.ordered());
        let times: BTreeSet<i64> = old.iter().chain(&new).map(|row| row.0).collect();
        let at = |rows: &[Quote], time: i64| -> Vec<Quote> {
            rows.iter().filter(|row| row.0 == time).copied().collect()
        };
        let mut counts = (0, 0, 0);
        for time in times {
            let (was, is) = (at(&old, time), at(&new, time));
            let inside = ranges
                .iter()
                .any(|range| (range.first..=range.last).contains(&from_nanos(time)));
            assert_eq!(
                inside,
                was != is,
                "time {time} between versions {a} and {b}: {ranges:?}"
            );
            match (was.len() as u64, is.len() as u64) {
                _ if was == is => {}
                (0, inserted) => counts.0 += inserted,
                (removed, 0) => counts.1 += removed,
                _ => counts.2 += 1,
            }
        }
        let sum = |count: fn(&minutebook_parquet::ChangedRange) -> u64| -> u64 {
            ranges.iter().map(count).sum()
        };
        let found = (sum(|r| r.inserted), sum(|r| r.removed), sum(|r| r.changed));
        assert_eq!(found, counts, "between versions {a} and {b}: {ranges:?}");
    }
}

fn config(clock: Arc<ManualClock>) -> ParquetConfig {
    let mut config = ParquetConfig::default().clock(clock).merge_floor_rows(4);
    config.row_group_rows = 3;
    config.page_rows = 2;
    config.target_segment_rows = 7;
    config
}

/// Long after any time at which a store can have written a file: nothing is too young to be removed.
fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(from_nanos(7_258_118_400_000_000_000)))
}

fn live(
    steps: &[Step],
    shaky: Option<&Shaky>,
    open: &dyn Fn(Arc<ManualClock>) -> ParquetTimeSeriesRepository,
) {
    threaded(async {
        let clock = clock();
        let mut world = World {
            open,
            shaky,
            repo: open(Arc::clone(&clock)),
            clock,
            now: None,
            version: 0,
            kept: BTreeMap::new(),
            named: BTreeMap::new(),
            made: 0,
            seed: 1,
        };
        for (i, step) in steps.iter().enumerate() {
            world.step(step).await;
            if matches!(step, Step::Vacuum(_) | Step::Compact) || i % 9 == 8 {
                world.agrees().await;
            }
        }
        world.repo = open(Arc::clone(&world.clock));
        world.agrees().await;
    });
}

fn explore(cases: u32, test: impl Fn(Vec<Step>)) {
    let cases =
        std::env::var("MINUTEBOOK_PROPTEST_CASES").map_or(cases, |cases| cases.parse().unwrap());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let run = TestRunner::new(config).run(&steps(), |steps| {
        test(steps);
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn in_memory() {
    explore(48, |steps| {
        let store = Arc::new(InMemory::new());
        live(&steps, None, &|clock| {
            ParquetTimeSeriesRepository::with_store(Arc::clone(&store) as _, config(clock))
        });
    });
}

#[test]
fn in_a_directory() {
    explore(12, |steps| {
        let dir = tempfile::tempdir().unwrap();
        live(&steps, None, &|clock| {
            ParquetTimeSeriesRepository::open(dir.path(), config(clock)).unwrap()
        });
    });
}

#[test]
fn on_a_store_that_fails() {
    explore(48, |steps| {
        let store = Arc::new(Shaky::default());
        live(&steps, Some(&store), &|clock| {
            ParquetTimeSeriesRepository::with_store(Arc::clone(&store) as _, config(clock))
        });
    });
}
