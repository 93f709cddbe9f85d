//! Taking rows out: those in a range, or with the keys of a batch.

use std::ops::Range;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use minutebook_core::OnConflict;

use super::Inner;
use super::draft::{Draft, Group};
use super::keys::{Keys, described};
use crate::codec::{Segments, without};
use crate::error::{Fault, Result};
use crate::log::{Log, Segment};

/// A segment with more dead ranges than this is written anew.
const MAX_DEAD: usize = 128;

/// Which rows to take out.
enum Out<'a> {
    /// In `[start, end)`.
    Range(i64, Option<i64>),
    /// With one of these keys.
    Keys(&'a Keys),
}

impl Out<'_> {
    /// Whether a segment may have such rows.
    fn touches(&self, min: i64, max: i64) -> bool {
        match self {
            Self::Range(start, end) => max >= *start && end.is_none_or(|end| min < end),
            Self::Keys(keys) => keys.touch(min, max),
        }
    }
}

impl Draft {
    /// Takes out the rows in `[start, end)`, and says how many.
    pub(super) async fn remove_range(
        &mut self,
        inner: &Inner,
        log: &Log,
        (start, end): (i64, Option<i64>),
    ) -> Result<u64> {
        self.remove(inner, log, Out::Range(start, end)).await
    }

    /// Takes out the rows with these keys, and says how many.
    pub(super) async fn remove_keys(
        &mut self,
        inner: &Inner,
        log: &Log,
        keys: &Keys,
    ) -> Result<u64> {
        self.remove(inner, log, Out::Keys(keys)).await
    }

    async fn remove(&mut self, inner: &Inner, log: &Log, out: Out<'_>) -> Result<u64> {
        let mut removed = 0;
        let mut groups = std::mem::take(&mut self.groups);
        for group in &mut groups {
            let segments = match &mut *group {
                Group::Kept(reference) if !out.touches(reference.min, reference.max) => continue,
                Group::Kept(reference) => inner.group(log, reference).await?.to_vec(),
                // By a step of the same write before.
                Group::Changed(segments) => std::mem::take(segments),
            };
            let (left, count) = self.remove_from(inner, log, segments, &out).await?;
            if count > 0 || matches!(group, Group::Changed(_)) {
                *group = Group::Changed(left);
            }
            removed += count;
        }
        self.groups = groups;
        let segments = std::mem::take(&mut self.segments);
        let (left, count) = self.remove_from(inner, log, segments, &out).await?;
        self.segments = left;
        Ok(removed + count)
    }

    async fn remove_from(
        &mut self,
        inner: &Inner,
        log: &Log,
        segments: Vec<Segment>,
        out: &Out<'_>,
    ) -> Result<(Vec<Segment>, u64)> {
        let reader = inner.segments(log);
        let mut left = Vec::with_capacity(segments.len());
        let mut removed = 0;
        for mut segment in segments {
            let rows = match out {
                _ if !out.touches(segment.min, segment.max) => Vec::new(),
                Out::Range(start, end) => reader.live(&segment, *start, *end).await?,
                Out::Keys(keys) => keys.matching(&reader, &segment).await?.0,
            };
            let count: u64 = rows.iter().map(|range| range.end - range.start).sum();
            removed += count;
            if count == 0 {
                left.push(segment);
                continue;
            }
            if count == segment.live_rows() {
                continue;
            }
            segment.dead = union(&segment.dead, &rows);
            if segment.dead.len() > MAX_DEAD || segment.live_rows() < segment.rows / 4 {
                let batches = self.read_rows(inner, log, &segment).await?;
                left.extend(self.write_joined(inner, log, batches).await?);
            } else {
                tighten(&reader, &mut segment).await?;
                left.push(segment);
            }
        }
        Ok((left, removed))
    }

    /// Makes room for a batch by its keys: gives what of it is to be added, how many stored rows it replaces, and how many
    /// of its own are left out.
    pub(super) async fn key(
        &mut self,
        inner: &Inner,
        log: &Log,
        batch: RecordBatch,
        on_conflict: OnConflict,
    ) -> Result<Keyed> {
        let keys = Keys::of(self.key.as_ref(), &self.schema, &batch)?;
        let mut there = vec![false; batch.num_rows()];
        let reader = inner.segments(log);
        let Some((first, last)) = keys.span() else {
            return Ok(Keyed::new(batch, 0, 0, 0));
        };
        let base = self.base.as_ref().filter(|known| !known.commit.deleted);
        if let Some(known) = base {
            let range = (first, last.checked_add(1));
            let take = minutebook_core::Take::All;
            for segment in inner.overlapping(log, &known.commit, range, take).await? {
                for i in keys.matching(&reader, &segment).await?.1 {
                    if let Some(there) = there.get_mut(i) {
                        *there = true;
                    }
                }
            }
        }
        let hits = there.iter().filter(|there| **there).count() as u64;
        let fresh = there.len() as u64 - hits;
        match on_conflict {
            _ if hits == 0 => Ok(Keyed::new(batch, fresh, 0, 0)),
            OnConflict::Fail => {
                let at = there.iter().position(|there| *there).unwrap_or(0);
                Err(Fault::Exists(format!(
                    "a row {} is there already, and {} more of the batch's {}",
                    described(self.key.as_ref(), &batch, at),
                    hits - 1,
                    there.len()
                )))
            }
            OnConflict::Keep => {
                let keep: BooleanArray = there.iter().map(|there| Some(!there)).collect();
                let batch = filter_record_batch(&batch, &keep)
                    .map_err(|e| Fault::Invalid(format!("the rows cannot be filtered: {e}")))?;
                Ok(Keyed::new(batch, fresh, 0, hits))
            }
            OnConflict::Replace => {
                let gone = keys.only(&there);
                let replaced = self.remove_keys(inner, log, &gone).await?;
                Ok(Keyed::new(batch, fresh, replaced, 0))
            }
        }
    }
}

/// What an upsert comes to.
pub(super) struct Keyed {
    /// The rows to add.
    pub(super) batch: RecordBatch,
    pub(super) inserted: u64,
    pub(super) replaced: u64,
    pub(super) skipped: u64,
}

impl Keyed {
    fn new(batch: RecordBatch, inserted: u64, replaced: u64, skipped: u64) -> Self {
        Self {
            batch,
            inserted,
            replaced,
            skipped,
        }
    }
}

/// Dead ranges and more of them.
fn union(dead: &[(u64, u64)], more: &[Range<u64>]) -> Vec<(u64, u64)> {
    let mut all: Vec<(u64, u64)> = dead
        .iter()
        .copied()
        .chain(more.iter().map(|r| (r.start, r.end)))
        .collect();
    all.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(all.len());
    for (from, to) in all {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// Brings first and last time up to date with the rows that count.
async fn tighten(reader: &Segments, segment: &mut Segment) -> Result<()> {
    let live = without(0..segment.rows, &segment.dead);
    let (Some(first), Some(last)) = (live.first(), live.last()) else {
        return Ok(());
    };
    let (first, last) = (first.start, last.end - 1);
    if let Some(time) = reader.times(segment, one(first)).await?.first() {
        segment.min = *time;
    }
    if let Some(time) = reader.times(segment, one(last)).await?.first() {
        segment.max = *time;
    }
    Ok(())
}

fn one(row: u64) -> Vec<Range<u64>> {
    std::iter::once(row..row + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_ranges_join() {
        assert_eq!(
            union(&[(2, 4), (8, 9)], &[4..6, 0..1]),
            [(0, 1), (2, 6), (8, 9)]
        );
        assert_eq!(union(&[], &[3..5, 7..8]), [(3, 5), (7, 8)]);
        assert_eq!(union(&[(0, 10)], &[3..5, 10..11]), [(0, 11)]);
    }
}
