//! What is said of a series: its metadata, the notes of its commits, and the ranges in which nothing is missing.

use arrow_array::RecordBatch;
use minutebook_core::time::from_nanos;
use minutebook_core::{SeriesId, TimeRange, Version, WriteMode, WriteReceipt};

use super::draft::Draft;
use super::write::{ATTEMPTS, Committed, Patience};
use super::{Inner, ParquetTimeSeriesRepository};
use crate::error::{Fault, Result};
use crate::log::{Metadata, Operation};

impl ParquetTimeSeriesRepository {
    /// Writes as [`write`](minutebook_core::TimeSeriesRepository::write) does, with a note on the commit: who wrote, from which source, by which run.
    /// [`versions`](Self::versions) gives it back. A write that changes nothing makes no commit and leaves no note.
    ///
    /// # Errors
    /// As `write`.
    pub async fn write_noted(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
        note: &Metadata,
    ) -> minutebook_core::Result<WriteReceipt> {
        let written = self.inner.write(series, batch, mode, note).await;
        self.inner.explained(series, "write", written).await
    }

    /// What is said of the series; nothing of one that is not there. Every operation but the deletion of the series keeps it.
    ///
    /// # Errors
    /// [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if the log is damaged.
    pub async fn metadata(&self, series: &SeriesId) -> minutebook_core::Result<Metadata> {
        let commit = self.inner.current(&self.inner.log(series)).await;
        match commit {
            Ok(commit) => Ok(commit.map_or_else(Metadata::new, |commit| commit.metadata.clone())),
            Err(fault) => Err(fault.told("metadata", series)),
        }
    }

    /// Sets entries of the series' metadata, and removes those whose value is `None`. The others stay.
    ///
    /// # Errors
    /// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such series.
    pub async fn describe(
        &self,
        series: &SeriesId,
        changes: &[(String, Option<String>)],
    ) -> minutebook_core::Result<Version> {
        let change = |draft: &mut Draft| {
            for (key, value) in changes {
                match value {
                    Some(value) => draft.metadata.insert(key.clone(), value.clone()),
                    None => draft.metadata.remove(key),
                };
            }
        };
        let done = self.inner.alter(series, Operation::Describe, &change).await;
        done.map_err(|fault| fault.told("describe", series))
    }

    /// Says that nothing is missing in a range: where it has no rows, there are none to be had. With `false` takes that back. Deleting rows
    /// takes it back for their range too.
    ///
    /// # Errors
    /// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such series.
    pub async fn mark_complete(
        &self,
        series: &SeriesId,
        range: TimeRange,
        complete: bool,
    ) -> minutebook_core::Result<Version> {
        let change = |draft: &mut Draft| draft.mark(range.nanos(), complete);
        let done = self.inner.alter(series, Operation::Mark, &change).await;
        done.map_err(|fault| fault.told("mark", series))
    }

    /// The ranges in which nothing is missing, ascending: for
    /// [`coverage`](minutebook_core::TimeSeriesRepositoryExt::coverage), which tells data, known to be empty and unknown apart.
    ///
    /// # Errors
    /// [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if the log is damaged.
    pub async fn complete_ranges(
        &self,
        series: &SeriesId,
    ) -> minutebook_core::Result<Vec<TimeRange>> {
        let commit = self.inner.current(&self.inner.log(series)).await;
        let commit = commit.map_err(|fault| fault.told("coverage", series))?;
        let ranges = commit.iter().flat_map(|commit| &commit.complete);
        ranges
            .map(|(start, end)| {
                let bound = |nanos: i64, open: i64| (nanos != open).then(|| from_nanos(nanos));
                TimeRange::between(bound(*start, i64::MIN), bound(*end, i64::MAX))
            })
            .collect()
    }
}

impl Inner {
    /// Commits a change that touches no rows; the version as it is if it changes nothing.
    async fn alter(
        &self,
        series: &SeriesId,
        operation: Operation,
        change: &(dyn Fn(&mut Draft) + Sync),
    ) -> Result<Version> {
        let log = self.log(series);
        let turn = self.state().entry(series.clone()).or_default().turn.clone();
        let _turn = turn.lock().await;
        let mut patience = Patience::default();
        for _ in 0..ATTEMPTS {
            let mut draft = self.draft(&log).await?;
            if !draft.exists() {
                return Err(Fault::NoSeries);
            }
            let before = (draft.metadata.clone(), draft.complete.clone());
            change(&mut draft);
            if (&draft.metadata, &draft.complete) == (&before.0, &before.1) {
                return Ok(Version(draft.base_version()));
            }
            let version = Version(draft.version());
            match self.commit(&log, draft, operation).await? {
                Committed::Done => return Ok(version),
                missed => patience.again(missed)?,
            }
        }
        Err(Fault::Conflict { attempts: ATTEMPTS })
    }
}

impl Draft {
    /// Adds a range to those that are complete, or takes it from them.
    pub(super) fn mark(&mut self, (start, end): (i64, Option<i64>), complete: bool) {
        let end = end.unwrap_or(i64::MAX);
        if start < end {
            self.complete = marked(&self.complete, (start, end), complete);
        }
    }
}

fn marked(ranges: &[(i64, i64)], (start, end): (i64, i64), complete: bool) -> Vec<(i64, i64)> {
    let mut left: Vec<(i64, i64)> = Vec::with_capacity(ranges.len() + 1);
    for (from, to) in ranges {
        left.push((*from, (*to).min(start)));
        left.push(((*from).max(end), *to));
    }
    if complete {
        left.push((start, end));
    }
    left.retain(|(from, to)| from < to);
    left.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::with_capacity(left.len());
    for (from, to) in left {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// What is in ranges of both, each ascending and apart.
pub(super) fn in_both(ours: &[(i64, i64)], theirs: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let both = ours.iter().flat_map(|(from, to)| {
        let parts = theirs
            .iter()
            .map(|(start, end)| (*from.max(start), *to.min(end)));
        parts.filter(|(from, to)| from < to)
    });
    both.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_part() {
        let ranges = marked(&[], (0, 10), true);
        let ranges = marked(&ranges, (20, 30), true);
        assert_eq!(ranges, [(0, 10), (20, 30)]);
        assert_eq!(marked(&ranges, (10, 20), true), [(0, 30)]);
        assert_eq!(marked(&ranges, (5, 25), false), [(0, 5), (25, 30)]);
        assert_eq!(marked(&ranges, (0, 30), false), []);
        let common = in_both(&ranges, &[(-5, 1), (3, 20), (21, 22), (29, 40)]);
        assert_eq!(common, [(0, 1), (3, 10), (21, 22), (29, 30)]);
        assert_eq!(in_both(&ranges, &[]), []);
        assert_eq!(marked(&ranges, (2, 3), false), [(0, 2), (3, 10), (20, 30)]);
    }
}
