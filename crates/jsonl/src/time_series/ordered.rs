//! A scan in the order of time, in bounded memory: window by window, each with the blocks that touch it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use futures_util::stream;
use minutebook_core::series::ReportHandle;
use minutebook_core::series::batch::timestamps;
use minutebook_core::{BatchStream, Problem, ProblemKind, SeriesId, Take};
use minutebook_fs::task::blocking;

use super::stream::Pieces;
use super::units::Placed;
use crate::codec::decode::{Decoder, Plan};
use crate::error::JsonlError;

/// A window is closed as soon as the blocks that begin in it have so many rows.
const WINDOW_ROWS: u64 = 1 << 16;

/// What is left of a scan.
#[derive(Debug)]
struct Ordered {
    pieces: Pieces,
    windows: VecDeque<(i64, Option<i64>)>,
    left: usize,
    ready: VecDeque<RecordBatch>,
    report: ReportHandle,
    /// Columns of which a misfit was told already.
    told: HashSet<usize>,
}

/// The batches of a scan that reads all rows of its range, in the order of time: equal times in the order written. `take` cuts after that.
pub(super) fn batches(
    pieces: Pieces,
    take: Take,
    report: ReportHandle,
    series: &SeriesId,
) -> Result<BatchStream, JsonlError> {
    let schema = Arc::clone(&pieces.plan.schema);
    let windows = windows(&pieces.blocks, (pieces.plan.start, pieces.plan.end));
    let mut ordered = Ordered {
        pieces,
        windows: windows.into(),
        left: usize::MAX,
        ready: VecDeque::new(),
        report: report.clone(),
        told: HashSet::new(),
    };
    match take {
        Take::First(rows) => ordered.left = rows,
        Take::Last(rows) => ordered.last(rows)?,
        _ => {}
    }
    let series = series.clone();
    let batches = stream::unfold(Some(ordered), move |ordered| {
        let series = series.clone();
        async move {
            let mut ordered = ordered?;
            if let Some(batch) = ordered.ready.pop_front() {
                return Some((Ok(batch), Some(ordered)));
            }
            let work = blocking(move || {
                let next = ordered.next();
                (ordered, next)
            });
            match work.await {
                Ok((ordered, Ok(batch))) => batch.map(|batch| (Ok(batch), Some(ordered))),
                Ok((_, Err(error))) => Some((Err(error.of_series("scan", &series)), None)),
                Err(error) => {
                    let error = JsonlError::from(error).of_series("scan", &series);
                    Some((Err(error), None))
                }
            }
        }
    });
    Ok(BatchStream::with_report(schema, report, batches))
}

/// Spans of time, one after another, that together are the range.
fn windows(blocks: &[Placed], (start, end): (i64, Option<i64>)) -> Vec<(i64, Option<i64>)> {
    let mut begins: Vec<(i64, u64)> = blocks
        .iter()
        .map(|placed| (placed.block.min.max(start), placed.block.rows))
        .collect();
    begins.sort_unstable();
    let mut windows = Vec::new();
    let (mut from, mut rows) = (start, 0);
    for (min, count) in begins {
        if rows >= WINDOW_ROWS && min > from {
            windows.push((from, Some(min)));
            (from, rows) = (min, 0);
        }
        rows += count;
    }
    if !blocks.is_empty() {
        windows.push((from, end));
    }
    windows
}

impl Ordered {
    /// The next batch; `None` at the end.
    fn next(&mut self) -> Result<Option<RecordBatch>, JsonlError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if self.left == 0 {
                return Ok(None);
            }
            let Some(window) = self.windows.pop_front() else {
                return Ok(None);
            };
            let batch = self.window(window)?;
            let take = batch.num_rows().min(self.left);
            self.left -= take;
            self.cut(&batch.slice(0, take));
        }
    }

    /// Reads windows from the end until the last so many rows are at hand.
    fn last(&mut self, wanted: usize) -> Result<(), JsonlError> {
        let (mut rows, mut found) = (0, Vec::new());
        while rows < wanted
            && let Some(window) = self.windows.pop_back()
        {
            let batch = self.window(window)?;
            let take = batch.num_rows().min(wanted - rows);
            rows += take;
            found.push(batch.slice(batch.num_rows() - take, take));
        }
        self.windows.clear();
        for batch in found.into_iter().rev() {
            self.cut(&batch);
        }
        Ok(())
    }

    fn cut(&mut self, batch: &RecordBatch) {
        let size = self.pieces.batch_size;
        for from in (0..batch.num_rows()).step_by(size) {
            let len = size.min(batch.num_rows() - from);
            self.ready.push_back(batch.slice(from, len));
        }
    }

    /// The rows of a window, in order.
    fn window(&mut self, (start, end): (i64, Option<i64>)) -> Result<RecordBatch, JsonlError> {
        let of_all = &self.pieces.plan;
        let plan = Plan {
            schema: Arc::clone(&of_all.schema),
            columns: of_all.columns.clone(),
            unit: of_all.unit,
            start,
            end,
        };
        let mut batches = Vec::new();
        let mut buffer = Vec::new();
        for Placed { source, block } in &self.pieces.blocks {
            if !block.overlaps(start, end) {
                continue;
            }
            let source = self.pieces.sources.get(*source).ok_or(JsonlError::Shrunk)?;
            let mut decoder = Decoder::new(&plan, usize::try_from(block.rows).unwrap_or(0));
            let lines = source.read(block.offset, block.len, &mut buffer)?;
            let mark = block.len - lines.len() as u64;
            decoder.block(lines);
            let decoded = decoder.finish()?;
            for misfit in decoded.misfits {
                let Some((name, column_type)) = plan
                    .columns
                    .get(misfit.column)
                    .filter(|_| self.told.insert(misfit.column))
                else {
                    continue;
                };
                let message = format!(
                    "a value of the column \"{name}\" is no {} and was read as null; there may be more",
                    column_type.data_type()
                );
                let problem = Problem::new(ProblemKind::TypeChanged, &source.resource, message)
                    .at_line(block.first_line + misfit.line + 1)
                    .at_byte(block.offset + misfit.byte + mark);
                if self.pieces.strict {
                    return Err(JsonlError::Damaged(Box::new(problem)));
                }
                self.report.add(problem);
            }
            batches.push(decoded.batch);
        }
        sorted(concat_batches(&plan.schema, &batches)?)
    }
}

/// The batch in order of time; equal times keep their order.
fn sorted(batch: RecordBatch) -> Result<RecordBatch, JsonlError> {
    let times = timestamps(&batch)?.values();
    if times.is_sorted() {
        return Ok(batch);
    }
    let rows = u32::try_from(batch.num_rows())
        .map_err(|_| JsonlError::Input("more than 4,294,967,295 rows at one time".to_owned()))?;
    let mut order: Vec<u32> = (0..rows).collect();
    order.sort_by_key(|row| times.get(*row as usize));
    Ok(take_record_batch(&batch, &UInt32Array::from(order))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Block;

    fn placed(min: i64, max: i64, rows: u64) -> Placed {
        let mut block = Block::at(0, 0);
        block.row(min);
        block.row(max);
        block.rows = rows;
        Placed { source: 0, block }
    }

    #[test]
    fn windows_follow_each_other_and_are_not_split_at_one_time() {
        let rows = WINDOW_ROWS;
        let blocks = [
            placed(10, 20, rows),
            placed(5, 12, rows),
            placed(10, 30, rows),
            placed(40, 50, 1),
        ];
        assert_eq!(
            windows(&blocks, (i64::MIN, None)),
            [(i64::MIN, Some(10)), (10, Some(40)), (40, None)]
        );
        assert_eq!(
            windows(&blocks, (10, Some(11))),
            [(10, Some(40)), (40, Some(11))]
        );
        assert!(windows(&[], (0, None)).is_empty());
    }
}
