//! Reading the segments of a series: their footers, their rows, and where in them a time is.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use minutebook_core::series::batch::{TIMESTAMP, conform, timestamps};
use object_store::path::Path;

use super::cache::SegmentCache;
use super::footer::Footer;
use super::pages::Unvouched;
use super::reader::{self, Wanted};
use crate::error::{Fault, Result};
use crate::layout::SeriesDir;
use crate::log::Segment;
use crate::store::Storage;

/// So many rows at the end of a segment are kept decoded once one of them was asked for, and are a row group of their own in a long segment.
pub(crate) const NEWEST_ROWS: usize = 1 << 10;
/// Of a last row group of so many rows no index of pages is needed: about one page of each column.
pub(crate) const FEW_ROWS: usize = NEWEST_ROWS << 3;
/// The time is the first column, and flat.
const TIME_LEAF: usize = 0;

/// Reads segments of one series.
#[derive(Debug, Clone)]
pub(crate) struct Segments {
    pub(crate) storage: Storage,
    pub(crate) dir: SeriesDir,
    pub(crate) cache: Arc<SegmentCache>,
}

impl Segments {
    pub(crate) fn path(&self, segment: &Segment) -> Path {
        self.dir.data(&segment.file)
    }

    /// The footer, checked against the log.
    pub(crate) async fn footer(&self, segment: &Segment) -> Result<Arc<Footer>> {
        self.read_footer(segment, true).await
    }

    /// The footer for reading these rows: as [`footer`](Self::footer), but the index of pages may be left out where it is of no use.
    pub(crate) async fn footer_for(
        &self,
        segment: &Segment,
        rows: &[Range<u64>],
    ) -> Result<Arc<Footer>> {
        self.read_footer(segment, !is_newest(segment, rows)).await
    }

    async fn read_footer(&self, segment: &Segment, indexed: bool) -> Result<Arc<Footer>> {
        let path = self.path(segment);
        if let Some(footer) = self.cache.footer(path.as_ref())
            && (footer.indexed || !indexed)
        {
            return Ok(footer);
        }
        let range = segment.bytes.saturating_sub(segment.footer)..segment.bytes;
        let tail = match self.storage.as_local() {
            Some(local) => crate::store::named(
                &path,
                local.read_ranges(&path, std::slice::from_ref(&range)),
            )?,
            None => {
                self.storage
                    .ranges(&path, std::slice::from_ref(&range))
                    .await?
            }
        };
        let tail = tail.into_iter().next().unwrap_or_default();
        if blake3::hash(&tail).to_hex().as_str() != segment.footer_digest {
            return Err(Fault::corrupt(
                &path,
                "the footer's digest does not match the log",
            ));
        }
        let fetch = |ranges: &[Range<u64>]| {
            let cut = |wanted: &Range<u64>| {
                let start = usize::try_from(wanted.start.checked_sub(range.start)?).ok()?;
                let end = usize::try_from(wanted.end.checked_sub(range.start)?).ok()?;
                (start <= end && end <= tail.len()).then(|| tail.slice(start..end))
            };
            let outside = || {
                parquet::errors::ParquetError::General(
                    "the footer is longer than the log says".into(),
                )
            };
            ranges
                .iter()
                .map(|wanted| cut(wanted).ok_or_else(outside))
                .collect()
        };
        let bare = (!indexed).then(|| Footer::read_bare(segment.bytes, fetch));
        let footer = match bare {
            Some(Ok(bare)) if bare.tail_rows() <= FEW_ROWS as u64 => Ok(bare),
            Some(Err(fault)) => Err(fault),
            _ => Footer::read(segment.bytes, fetch),
        };
        let footer = footer.map_err(|e| reader::damaged(&path, e))?;
        if footer.rows() != segment.rows {
            let message = format!(
                "it has {} rows and the log says {}",
                footer.rows(),
                segment.rows
            );
            return Err(Fault::corrupt(&path, message));
        }
        let footer = Arc::new(footer);
        self.cache.keep_footer(path.as_ref(), &footer);
        Ok(footer)
    }

    /// Rows of some columns, by position; columns that the segment does not have are left out. The last rows of a segment, which are
    /// asked for again and again, are kept in memory.
    pub(crate) async fn rows(&self, segment: &Segment, wanted: Wanted) -> Result<Vec<RecordBatch>> {
        let start = newest_start(segment);
        if !is_newest(segment, &wanted.rows) {
            return self.decoded(segment, wanted, Unvouched::Read).await;
        }
        let path = self.path(segment);
        if let Some(kept) = self.cache.rows(path.as_ref(), &wanted.columns) {
            return cut(&kept, start, &wanted);
        }
        let all = Wanted {
            columns: wanted.columns.clone(),
            rows: std::iter::once(start..segment.rows).collect(),
            batch_size: NEWEST_ROWS,
        };
        let batches = self.decoded(segment, all, Unvouched::Read).await?;
        let Some(first) = batches.first() else {
            return Ok(batches);
        };
        let kept = concat_batches(&first.schema(), &batches)
            .map_err(|e| Fault::Invalid(format!("the rows do not fit together: {e}")))?;
        self.cache.keep_rows(path.as_ref(), &wanted.columns, &kept);
        cut(&kept, start, &wanted)
    }

    /// As [`rows`](Self::rows), from the disk and only from pages with checksums: what has none is damage here.
    pub(crate) async fn vouched_rows(
        &self,
        segment: &Segment,
        wanted: Wanted,
    ) -> Result<Vec<RecordBatch>> {
        self.decoded(segment, wanted, Unvouched::Refuse).await
    }

    async fn decoded(
        &self,
        segment: &Segment,
        mut wanted: Wanted,
        unvouched: Unvouched,
    ) -> Result<Vec<RecordBatch>> {
        if let (Some(time), Some(columns)) = (&segment.time, &mut wanted.columns) {
            for column in columns.iter_mut().filter(|column| *column == TIMESTAMP) {
                column.clone_from(&time.name);
            }
        }
        let expected: u64 = wanted
            .rows
            .iter()
            .map(|range| range.end - range.start)
            .sum();
        let path = self.path(segment);
        let footer = self.footer_for(segment, &wanted.rows).await?;
        let batches = reader::read(&self.storage, &path, &footer, wanted, unvouched).await?;
        let got: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        if got != expected {
            return Err(Fault::corrupt(
                &path,
                format!("it gave {got} rows instead of {expected}"),
            ));
        }
        if let Some(time) = &segment.time {
            let conformed = batches.iter().map(|batch| conform(batch, &time.name));
            return Ok(conformed.collect::<std::result::Result<_, _>>()?);
        }
        Ok(batches)
    }

    /// The times of rows, by position.
    pub(crate) async fn times(&self, segment: &Segment, rows: Vec<Range<u64>>) -> Result<Vec<i64>> {
        let count = rows
            .iter()
            .map(|range| range.end - range.start)
            .sum::<u64>();
        let wanted = Wanted {
            columns: Some(vec![TIMESTAMP.to_owned()]),
            rows,
            batch_size: 1 << 16,
        };
        let mut times = Vec::with_capacity(usize::try_from(count.min(1 << 20)).unwrap_or(0));
        for batch in self.rows(segment, wanted).await? {
            times.extend_from_slice(timestamps(&batch)?.values());
        }
        Ok(times)
    }

    /// How many rows of the segment, dead ones included, are before a time.
    pub(crate) async fn rows_before(&self, segment: &Segment, time: i64) -> Result<u64> {
        let footer = self.footer(segment).await?;
        let (leaf, nanos) = match &segment.time {
            None => (TIME_LEAF, 1),
            Some(time) => (time.leaf, footer.nanos_per(&time.name).unwrap_or(0)),
        };
        for (i, group) in footer.row_groups().enumerate() {
            let bounds = footer.bounds(i, leaf).and_then(|(min, max)| {
                let scaled = min.checked_mul(nanos).zip(max.checked_mul(nanos));
                scaled.filter(|_| nanos > 0)
            });
            match bounds {
                Some((_, max)) if max < time => continue,
                Some((min, _)) if min >= time => return Ok(group.start),
                _ => {}
            }
            let within = match footer.pages(i, leaf).and_then(|pages| scaled(pages, nanos)) {
                Some(pages) => {
                    let at = pages.partition_point(|(_, _, max)| *max < time);
                    let Some((first, min, _)) = pages.get(at) else {
                        continue;
                    };
                    let start = group.start + first;
                    if *min >= time {
                        return Ok(start);
                    }
                    start
                        ..pages
                            .get(at + 1)
                            .map_or(group.end, |(next, ..)| group.start + next)
                }
                None => group.clone(),
            };
            let times = self.times(segment, vec![within.clone()]).await?;
            let before = times.partition_point(|t| *t < time) as u64;
            if within.start + before < within.end || within.end < group.end {
                return Ok(within.start + before);
            }
        }
        Ok(segment.rows)
    }

    /// The rows of the segment that count and lie in `[start, end)`, by position.
    pub(crate) async fn live(
        &self,
        segment: &Segment,
        start: i64,
        end: Option<i64>,
    ) -> Result<Vec<Range<u64>>> {
        let from = match start {
            start if start <= segment.min => 0,
            start => self.rows_before(segment, start).await?,
        };
        let to = match end {
            Some(end) if end <= segment.max => self.rows_before(segment, end).await?,
            _ => segment.rows,
        };
        Ok(without(from..to, &segment.dead))
    }
}

/// The first of the rows that are kept decoded.
fn newest_start(segment: &Segment) -> u64 {
    segment.rows.saturating_sub(NEWEST_ROWS as u64)
}

/// Whether all rows are among those at the end of the segment.
fn is_newest(segment: &Segment, rows: &[Range<u64>]) -> bool {
    let start = newest_start(segment);
    rows.first().is_some_and(|first| first.start >= start)
}

/// Row ranges of a segment out of its last rows, which begin at `start`, in batches.
fn cut(kept: &RecordBatch, start: u64, wanted: &Wanted) -> Result<Vec<RecordBatch>> {
    let index = |row: u64| usize::try_from(row.saturating_sub(start)).unwrap_or(usize::MAX);
    let mut slices = Vec::with_capacity(wanted.rows.len());
    for range in &wanted.rows {
        let (from, to) = (index(range.start), index(range.end).min(kept.num_rows()));
        slices.push(kept.slice(from.min(to), to.saturating_sub(from)));
    }
    let rows = match slices.as_slice() {
        [] => return Ok(Vec::new()),
        [one] => one.clone(),
        many => concat_batches(&kept.schema(), many)
            .map_err(|e| Fault::Invalid(format!("the rows do not fit together: {e}")))?,
    };
    let size = wanted.batch_size.max(1);
    let starts = (0..rows.num_rows()).step_by(size);
    Ok(starts
        .map(|at| rows.slice(at, size.min(rows.num_rows() - at)))
        .collect())
}

/// Pages with their bounds in nanoseconds; `None` if one does not fit.
pub(crate) fn scaled(pages: Vec<(u64, i64, i64)>, nanos: i64) -> Option<Vec<(u64, i64, i64)>> {
    match nanos {
        0 => None,
        1 => Some(pages),
        _ => pages
            .into_iter()
            .map(|(row, min, max)| Some((row, min.checked_mul(nanos)?, max.checked_mul(nanos)?)))
            .collect(),
    }
}

/// A row range without the dead ones.
pub(crate) fn without(rows: Range<u64>, dead: &[(u64, u64)]) -> Vec<Range<u64>> {
    let mut live = Vec::with_capacity(dead.len() + 1);
    let mut at = rows.start;
    for (from, to) in dead {
        let (from, to) = ((*from).min(rows.end), (*to).min(rows.end));
        if from > at {
            live.push(at..from);
        }
        at = at.max(to);
    }
    if at < rows.end {
        live.push(at..rows.end);
    }
    live
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_rows_are_cut_out() {
        let dead = [(2, 4), (6, 7), (9, 12)];
        assert_eq!(without(0..12, &dead), [0..2, 4..6, 7..9]);
        assert_eq!(without(3..10, &dead), [4..6, 7..9]);
        assert_eq!(without(2..4, &dead), Vec::<Range<u64>>::new());
        assert_eq!(without(5..5, &dead), Vec::<Range<u64>>::new());
        assert_eq!(without(0..3, &[(1, 2)]), [0..1, 2..3]);
    }
}
