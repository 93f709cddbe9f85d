//! Merging sorted sources by time; at equal times the order of commits decides.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::interleave::interleave_record_batch;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use crate::error::{Fault, Result};

/// Below this average length of a run, rows are picked one by one instead of run by run.
const SHORT_RUN: usize = 16;

/// What comes before what: rows by time, and of equal time by the order of their commits; or exactly the reverse.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) backwards: bool,
}

/// The place of a row in an [`Order`]: the smaller comes first.
type Key = (i64, usize);

impl Order {
    pub(super) fn key(self, time: i64, order: usize) -> Key {
        // The complement turns the order and overflows nowhere.
        if self.backwards {
            (!time, !order)
        } else {
            (time, order)
        }
    }
}

/// One source: batches in the order of the merge, `timestamp` first.
pub(super) struct Source {
    pub(super) order: usize,
    /// No row comes before this.
    pub(super) key: Key,
    pub(super) batches: BoxStream<'static, Result<RecordBatch>>,
}

/// A source with rows at hand.
struct Cursor {
    source: Source,
    batch: RecordBatch,
    at: usize,
}

struct Merge {
    schema: SchemaRef,
    order: Order,
    batch_size: usize,
    skip: u64,
    take: u64,
    /// Not begun yet, the first to begin last.
    waiting: Vec<Source>,
    active: Vec<Cursor>,
    picked: Vec<(RecordBatch, Range<usize>)>,
    rows: usize,
}

/// The rows of all sources, but for the first `skip`, and `take` of the rest.
pub(super) fn merge(
    schema: SchemaRef,
    mut sources: Vec<Source>,
    order: Order,
    (skip, take): (u64, u64),
    batch_size: usize,
) -> BoxStream<'static, Result<RecordBatch>> {
    sources.sort_by_key(|source| std::cmp::Reverse(source.key));
    let merge = Merge {
        schema,
        order,
        batch_size,
        skip,
        take,
        waiting: sources,
        active: Vec::new(),
        picked: Vec::new(),
        rows: 0,
    };
    stream::try_unfold(merge, |mut merge| async move {
        Ok(merge.next().await?.map(|batch| (batch, merge)))
    })
    .boxed()
}

impl Merge {
    /// The next batch, or `None` at the end.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.rows < self.batch_size && self.take > 0 {
            self.begin().await?;
            let Some((i, _)) = self.first() else {
                break;
            };
            let rival = self.rival(i);
            let Some(cursor) = self.active.get_mut(i) else {
                break;
            };
            let run = cursor.run(self.order, rival);
            self.pick(i, run).await?;
        }
        if self.rows == 0 {
            return Ok(None);
        }
        self.emit().map(Some)
    }

    /// Opens the sources whose first row may be the next.
    async fn begin(&mut self) -> Result<()> {
        loop {
            let now = self.first().map(|(_, key)| key);
            let due = self
                .waiting
                .pop_if(|source| now.is_none_or(|now| source.key <= now));
            let Some(mut source) = due else {
                return Ok(());
            };
            if let Some(batch) = next_filled(&mut source).await? {
                let at = 0;
                self.active.push(Cursor { source, batch, at });
            }
        }
    }

    /// The cursor whose row comes next.
    fn first(&self) -> Option<(usize, Key)> {
        let keys = self
            .active
            .iter()
            .enumerate()
            .filter_map(|(i, cursor)| Some((i, cursor.key(self.order)?)));
        keys.min_by_key(|(_, key)| *key)
    }

    /// The earliest row that any other source may have.
    fn rival(&self, of: usize) -> Option<Key> {
        let others = self.active.iter().enumerate().filter(|(i, _)| *i != of);
        let waiting = self.waiting.last().map(|source| source.key);
        others
            .filter_map(|(_, cursor)| cursor.key(self.order))
            .chain(waiting)
            .min()
    }

    async fn pick(&mut self, i: usize, mut run: Range<usize>) -> Result<()> {
        let Some(cursor) = self.active.get_mut(i) else {
            return Ok(());
        };
        let skipped = to_rows(self.skip).min(run.len());
        self.skip -= skipped as u64;
        cursor.at = run.start + skipped;
        run.start += skipped;
        let room = (self.batch_size - self.rows)
            .min(to_rows(self.take))
            .min(run.len());
        run.end = run.start + room;
        cursor.at = run.end;
        self.take -= room as u64;
        self.rows += room;
        if !run.is_empty() {
            self.picked.push((cursor.batch.clone(), run));
        }
        if cursor.at == cursor.batch.num_rows() {
            match next_filled(&mut cursor.source).await? {
                Some(batch) => (cursor.batch, cursor.at) = (batch, 0),
                None => {
                    self.active.swap_remove(i);
                }
            }
        }
        Ok(())
    }

    fn emit(&mut self) -> Result<RecordBatch> {
        let picked = std::mem::take(&mut self.picked);
        let rows = std::mem::take(&mut self.rows);
        let failed =
            |e: ArrowError| Fault::Invalid(format!("the rows cannot be put together: {e}"));
        if let [(batch, run)] = picked.as_slice() {
            return Ok(batch.slice(run.start, run.len()));
        }
        if rows / picked.len() >= SHORT_RUN {
            let slices: Vec<_> = picked
                .iter()
                .map(|(batch, run)| batch.slice(run.start, run.len()))
                .collect();
            return concat_batches(&self.schema, &slices).map_err(failed);
        }
        // Many runs are of one batch: interleaving needs each batch once.
        let mut batches: Vec<&RecordBatch> = Vec::new();
        let mut indices = Vec::with_capacity(rows);
        for (batch, run) in &picked {
            let same = |other: &&RecordBatch| same_rows(other, batch);
            let i = batches.iter().position(same).unwrap_or_else(|| {
                batches.push(batch);
                batches.len() - 1
            });
            indices.extend(run.clone().map(|row| (i, row)));
        }
        interleave_record_batch(&batches, &indices).map_err(failed)
    }
}

impl Cursor {
    fn times(&self) -> &[i64] {
        let times = self.batch.columns().first().and_then(time_array);
        times.unwrap_or_default()
    }

    /// The place of the row at hand.
    fn key(&self, order: Order) -> Option<Key> {
        let time = self.times().get(self.at)?;
        Some(order.key(*time, self.source.order))
    }

    /// The rows from here on that come before `rival`, at least one.
    fn run(&self, order: Order, rival: Option<Key>) -> Range<usize> {
        let rest = self.times().get(self.at..).unwrap_or_default();
        let len = rival.map_or(rest.len(), |rival| {
            rest.partition_point(|time| order.key(*time, self.source.order) < rival)
        });
        self.at..self.at + len.max(1)
    }
}

fn time_array(column: &ArrayRef) -> Option<&[i64]> {
    column
        .as_primitive_opt::<TimestampNanosecondType>()
        .map(|times| times.values().as_ref())
}

fn same_rows(a: &RecordBatch, b: &RecordBatch) -> bool {
    let first = |batch: &RecordBatch| {
        batch
            .columns()
            .first()
            .and_then(time_array)
            .map(<[i64]>::as_ptr)
    };
    a.num_rows() == b.num_rows() && first(a) == first(b)
}

async fn next_filled(source: &mut Source) -> Result<Option<RecordBatch>> {
    while let Some(batch) = source.batches.try_next().await? {
        if batch.num_rows() > 0 {
            return Ok(Some(batch));
        }
    }
    Ok(None)
}

fn to_rows(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
