//! Pieces to batches.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use minutebook_core::Direction;
use minutebook_core::series::batch::align;

use super::merge;
use super::plan::{Part, Piece};
use crate::codec::{Footer, Segments, Wanted};
use crate::error::{Fault, Result};

/// Rows that are decoded at once at most, unless a single batch is larger.
const UNIT_ROWS: u64 = 1 << 17;
/// Fewer rows are not worth another thread.
const SHARED_ROWS: u64 = 1 << 14;
/// Rows that all parts of a merge hold decoded, together.
const MERGE_ROWS: u64 = 1 << 20;

/// So many parts of a merge may be decoded ahead.
const FEW_PARTS: usize = 8;

/// How batches are made.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) reader: Segments,
    /// The schema of the answer.
    pub(super) schema: SchemaRef,
    /// The columns of it, or `None` for all that the segment has.
    pub(super) columns: Option<Vec<String>>,
    pub(super) batch_size: usize,
    pub(super) read_ahead: usize,
}

/// The batches of all pieces.
pub(super) fn batches(
    mut pieces: Vec<Piece>,
    shape: Shape,
    direction: Direction,
) -> BoxStream<'static, Result<RecordBatch>> {
    let backwards = direction == Direction::NewestFirst;
    if backwards {
        pieces.reverse();
    }
    // Pieces of one part that follow each other are one run: its row groups are decoded ahead across segments.
    let mut runs: VecDeque<Vec<Piece>> = VecDeque::new();
    for piece in pieces {
        let single = piece.parts.len() == 1;
        match runs.back_mut() {
            Some(run) if single && run.iter().all(|p| p.parts.len() == 1) => run.push(piece),
            _ => runs.push_back(vec![piece]),
        }
    }
    stream::iter(runs)
        .map(move |mut run| {
            if run.len() == 1
                && let Some(piece) = run.pop_if(|piece| piece.parts.len() > 1)
            {
                return merged(piece, shape.clone(), backwards);
            }
            let parts = run.into_iter().flat_map(|piece| piece.parts).collect();
            in_order(parts, shape.clone(), UNIT_ROWS, backwards)
        })
        .flatten()
        .boxed()
}

/// Parts one after another.
fn in_order(
    parts: Vec<Part>,
    shape: Shape,
    unit_rows: u64,
    backwards: bool,
) -> BoxStream<'static, Result<RecordBatch>> {
    let ahead = shape.read_ahead.max(1);
    let unit_rows = unit_rows.max(shape.batch_size as u64);
    let threads = if parts.len() == 1 { ahead } else { 1 };
    let (splitting, decoding) = (shape.clone(), shape);
    stream::iter(parts)
        .map(move |part| {
            let shape = splitting.clone();
            async move { units(&shape, part, unit_rows, threads).await }
        })
        .buffered(2)
        .map_ok(move |mut units| {
            if backwards {
                units.reverse();
            }
            stream::iter(units.into_iter().map(Ok::<_, Fault>))
        })
        .try_flatten()
        .map(move |unit| {
            let shape = decoding.clone();
            async move {
                let (part, rows) = unit?;
                let mut batches = decode(&shape, &part, rows).await?;
                if backwards {
                    batches.reverse();
                    batches = batches.iter().map(turned).collect::<Result<_>>()?;
                }
                Ok::<_, Fault>(stream::iter(batches.into_iter().map(Ok::<_, Fault>)))
            }
        })
        .buffered(ahead)
        .try_flatten()
        .boxed()
}

/// Parts whose times overlap, in order of time.
fn merged(piece: Piece, shape: Shape, backwards: bool) -> BoxStream<'static, Result<RecordBatch>> {
    // A few parts may each be decoded ahead; of many, each is read as it is needed, for the memory's sake.
    let read_ahead = if piece.parts.len() <= FEW_PARTS {
        shape.read_ahead
    } else {
        1
    };
    let units = (piece.parts.len() * read_ahead) as u64;
    let unit_rows = (MERGE_ROWS / units).clamp(shape.batch_size.min(1 << 17) as u64, UNIT_ROWS);
    let (schema, batch_size) = (Arc::clone(&shape.schema), shape.batch_size);
    let shape = Shape {
        read_ahead,
        ..shape
    };
    let (mut skip, mut take) = (piece.skip, piece.take);
    if backwards {
        // From the other end: what follows the rows that are taken is left out.
        let rest = piece.count().saturating_sub(skip);
        take = take.min(rest);
        skip = rest - take;
    }
    let order = merge::Order { backwards };
    let sources = piece.parts.into_iter().map(|part| merge::Source {
        key: order.key(if backwards { part.max } else { part.min }, part.order),
        order: part.order,
        batches: in_order(vec![part], shape.clone(), unit_rows, backwards),
    });
    merge::merge(schema, sources.collect(), order, (skip, take), batch_size)
}

/// Cuts the rows of a part at row groups and into portions.
async fn units(
    shape: &Shape,
    part: Part,
    unit_rows: u64,
    threads: usize,
) -> Result<Vec<(Arc<Part>, Vec<Range<u64>>)>> {
    let footer = shape.reader.footer_for(&part.segment, &part.rows).await?;
    let mut cuts: Vec<Vec<Range<u64>>> = Vec::new();
    let mut rows: VecDeque<Range<u64>> = part.rows.iter().cloned().collect();
    for group in footer.row_groups() {
        let mut room = 0;
        while let Some(range) = rows.pop_front() {
            if range.start >= group.end {
                rows.push_front(range);
                break;
            }
            if room == 0 {
                cuts.push(Vec::new());
                room = unit_rows;
            }
            let end = range
                .end
                .min(group.end)
                .min(range.start.saturating_add(room));
            room -= end - range.start;
            if end < range.end {
                rows.push_front(end..range.end);
            }
            if let Some(cut) = cuts.last_mut() {
                cut.push(range.start..end);
            }
        }
    }
    share(&mut cuts, threads, &footer);
    let part = Arc::new(part);
    Ok(cuts
        .into_iter()
        .map(|cut| (Arc::clone(&part), cut))
        .collect())
}

/// Cuts what one thread would be long at, at the borders of pages, so that no page is decoded twice.
fn share(cuts: &mut Vec<Vec<Range<u64>>>, threads: usize, footer: &Footer) {
    let rows = |cut: &[Range<u64>]| cut.iter().map(|range| range.end - range.start).sum::<u64>();
    let total: u64 = cuts.iter().map(|cut| rows(cut)).sum();
    let fair = total / threads.max(1) as u64;
    for _ in 1..threads {
        let Some(at) = (0..cuts.len()).max_by_key(|at| cuts.get(*at).map(|cut| rows(cut))) else {
            return;
        };
        let Some(cut) = cuts.get_mut(at) else { return };
        let count = rows(cut);
        if count < SHARED_ROWS || count * 2 < fair * 3 {
            return;
        }
        let Some(rest) = split(cut, count / 2, footer) else {
            return;
        };
        cuts.insert(at + 1, rest);
    }
}

/// Takes the rows from the border of a page near the middle on off a cut.
fn split(cut: &mut Vec<Range<u64>>, middle: u64, footer: &Footer) -> Option<Vec<Range<u64>>> {
    let mut left = middle;
    let middle = cut.iter().find_map(|range| {
        let count = range.end - range.start;
        let found = (left < count).then_some(range.start + left);
        left = left.saturating_sub(count);
        found
    })?;
    let (first, last) = (cut.first()?.start, cut.last()?.end);
    let borders = footer.page_starts(middle);
    let border = borders
        .into_iter()
        .filter(|border| (first + 1..last).contains(border))
        .min_by_key(|border| border.abs_diff(middle))?;
    let rest = cut
        .iter()
        .map(|range| range.start.max(border)..range.end)
        .filter(|range| range.start < range.end)
        .collect();
    for range in cut.iter_mut() {
        range.end = range.end.min(border);
    }
    cut.retain(|range| range.start < range.end);
    Some(rest)
}

/// The rows in the opposite order.
fn turned(batch: &RecordBatch) -> Result<RecordBatch> {
    let rows = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
    let order = arrow_array::UInt32Array::from_iter_values((0..rows).rev());
    arrow_select::take::take_record_batch(batch, &order)
        .map_err(|e| Fault::Invalid(format!("the rows cannot be turned: {e}")))
}

async fn decode(shape: &Shape, part: &Part, rows: Vec<Range<u64>>) -> Result<Vec<RecordBatch>> {
    let wanted = Wanted {
        columns: shape.columns.clone(),
        rows,
        batch_size: shape.batch_size,
    };
    let batches = shape.reader.rows(&part.segment, wanted).await?;
    let aligned = batches.iter().map(|batch| align(batch, &shape.schema));
    Ok(aligned.collect::<Result<_, _>>()?)
}
