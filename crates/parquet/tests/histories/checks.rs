//! What must be readable after any step: every kept version and every named one, and what differs between them.

use std::collections::BTreeSet;

use minutebook_core::time::from_nanos;
use minutebook_core::{ErrorKind, ScanQuery, Snapshot, TimeSeriesRepository, Version};

use crate::common::series;
use crate::model::{Quote, State, quotes};
use crate::world::World;

impl World<'_> {
    /// The rows of a version; `None` if it cannot be read.
    pub(crate) async fn read(&self, snapshot: Snapshot) -> Option<Vec<Quote>> {
        let query = ScanQuery::new().as_of(snapshot).batch_size(3);
        let stream = match self.repo.scan(&series(), &query).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            stream => stream.unwrap(),
        };
        let (batches, _) = stream.collect().await.unwrap();
        Some(batches.iter().flat_map(quotes).collect())
    }

    /// Every version, by number and by time, and what differs between neighbours, is as the model says.
    pub(crate) async fn agrees(&self) {
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
