//! The rows of both sides as one stream.

use std::collections::VecDeque;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use futures_util::{Stream, StreamExt, stream};

use super::unify;
use crate::series::ReportHandle;
use crate::series::batch::timestamps;
use crate::{BatchStream, Error, ErrorKind, Result, ScanQuery, Take};

/// How the rows of the two sides follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By time, those of the cold side first where times are equal.
    Time,
    /// Those of the cold side, then those of the hot one.
    Written,
}

/// A batch is handed over as soon as its rows take about so many bytes.
const BATCH_BYTES: usize = 4 << 20;

/// A side with the rows that are at hand.
struct Head {
    stream: Option<BatchStream>,
    batch: Option<RecordBatch>,
    /// What a row of the batch takes, about.
    row_bytes: usize,
}

/// Puts two sides together.
pub(super) struct Merge {
    cold: Head,
    hot: Head,
    schema: SchemaRef,
    order: Order,
    take: Take,
    batch_size: usize,
    left: usize,
    pending: VecDeque<RecordBatch>,
    /// Rows that are pending, and about what they take.
    rows: usize,
    bytes: usize,
    ready: VecDeque<RecordBatch>,
    report: ReportHandle,
    done: bool,
}

impl Merge {
    pub(super) fn new(
        cold: Option<BatchStream>,
        hot: Option<BatchStream>,
        schema: SchemaRef,
        query: &ScanQuery,
        order: Order,
        report: ReportHandle,
    ) -> Self {
        let head = |stream| Head {
            stream,
            batch: None,
            row_bytes: 0,
        };
        Self {
            cold: head(cold),
            hot: head(hot),
            schema,
            order,
            take: query.take,
            batch_size: query.batch_size.max(1),
            left: match query.take {
                Take::First(rows) => rows,
                _ => usize::MAX,
            },
            pending: VecDeque::new(),
            rows: 0,
            bytes: 0,
            ready: VecDeque::new(),
            report,
            done: false,
        }
    }

    /// The rows as batches.
    pub(super) fn batches(self) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
        stream::unfold(Some(self), |merge| async move {
            let mut merge = merge?;
            match merge.next().await {
                Ok(Some(batch)) => Some((Ok(batch), Some(merge))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if self.done {
                return Ok(None);
            }
            self.fill().await?;
        }
    }

    /// Brings more rows, or the end.
    async fn fill(&mut self) -> Result<()> {
        if let Take::Last(wanted) = self.take {
            // Each side gives its last so many; which of them are wanted is known when both have ended.
            while let Some((slice, _)) = self.step().await? {
                self.rows += slice.num_rows();
                self.pending.push_back(slice);
                while let Some(first) = self.pending.front()
                    && self.rows - first.num_rows() >= wanted
                {
                    self.rows -= first.num_rows();
                    self.pending.pop_front();
                }
            }
            let all = self.join()?;
            let rows = all.num_rows();
            self.cut(&all.slice(rows - wanted.min(rows), wanted.min(rows)));
            self.done = true;
            return Ok(());
        }
        while self.rows < self.batch_size && self.bytes < BATCH_BYTES && self.left > 0 {
            let Some((slice, row_bytes)) = self.step().await? else {
                self.done = true;
                break;
            };
            let len = slice.num_rows().min(self.left);
            self.left -= len;
            self.rows += len;
            self.bytes += len.saturating_mul(row_bytes);
            self.pending.push_back(slice.slice(0, len));
        }
        if self.left == 0 && !self.done {
            self.done = true;
            self.tell();
        }
        let batch = self.join()?;
        self.cut(&batch);
        Ok(())
    }

    fn join(&mut self) -> Result<RecordBatch> {
        (self.rows, self.bytes) = (0, 0);
        let mut pending = std::mem::take(&mut self.pending);
        match &*pending.make_contiguous() {
            [one] => Ok(one.clone()),
            all => concat_batches(&self.schema, all).map_err(|error| {
                Error::new(ErrorKind::SchemaMismatch, "the rows do not fit together")
                    .with_source(error)
            }),
        }
    }

    fn cut(&mut self, batch: &RecordBatch) {
        for from in (0..batch.num_rows()).step_by(self.batch_size) {
            let len = self.batch_size.min(batch.num_rows() - from);
            self.ready.push_back(batch.slice(from, len));
        }
    }

    /// The next rows, all of one side, and about what each takes; `None` at the end of both.
    async fn step(&mut self) -> Result<Option<(RecordBatch, usize)>> {
        self.cold.refill(&self.schema, &self.report).await?;
        if self.order == Order::Written
            && let Some(batch) = self.cold.batch.take()
        {
            return Ok(Some((batch, self.cold.row_bytes)));
        }
        self.hot.refill(&self.schema, &self.report).await?;
        let (of_cold, rows) = match (&self.cold.batch, &self.hot.batch) {
            (None, None) => return Ok(None),
            (Some(cold), None) => (true, cold.num_rows()),
            (None, Some(hot)) => (false, hot.num_rows()),
            (Some(cold), Some(hot)) => {
                let (cold, hot) = (timestamps(cold)?.values(), timestamps(hot)?.values());
                let (next_cold, next_hot) = (cold.first().copied(), hot.first().copied());
                let before = cold.partition_point(|time| Some(*time) <= next_hot);
                if before > 0 {
                    (true, before)
                } else {
                    let before = hot.partition_point(|time| Some(*time) < next_cold);
                    (false, before.max(1))
                }
            }
        };
        let from = if of_cold {
            &mut self.cold
        } else {
            &mut self.hot
        };
        Ok(from.split(rows))
    }

    /// Hands over what the sides have skipped, where they are not read to their ends.
    fn tell(&mut self) {
        for head in [&mut self.cold, &mut self.hot] {
            if let Some(stream) = head.stream.take() {
                self.report.merge(stream.report());
            }
        }
    }
}

impl Head {
    /// Makes sure that there are rows at hand, unless the side has ended.
    async fn refill(&mut self, schema: &SchemaRef, report: &ReportHandle) -> Result<()> {
        while self.batch.is_none()
            && let Some(stream) = &mut self.stream
        {
            if let Some(batch) = stream.next().await {
                let batch = unify::conform(&batch?, schema)?;
                self.row_bytes = bytes(&batch) / batch.num_rows().max(1);
                self.batch = (batch.num_rows() > 0).then_some(batch);
            } else {
                report.merge(stream.report());
                self.stream = None;
            }
        }
        Ok(())
    }

    fn split(&mut self, rows: usize) -> Option<(RecordBatch, usize)> {
        let batch = self.batch.take()?;
        let rest = batch.num_rows() - rows;
        if rest > 0 {
            self.batch = Some(batch.slice(rows, rest));
        }
        Some((batch.slice(0, rows), self.row_bytes))
    }
}

/// What the values of a batch take.
fn bytes(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    columns
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0))
        .sum()
}

/// The batch in order of time; equal times keep their order.
pub(super) fn sorted(batch: RecordBatch) -> Result<RecordBatch> {
    let times = timestamps(&batch)?.values();
    if times.is_sorted() {
        return Ok(batch);
    }
    let rows = u32::try_from(batch.num_rows())
        .map_err(|_| Error::invalid("more than 4,294,967,295 rows to be put in order"))?;
    let mut order: Vec<u32> = (0..rows).collect();
    order.sort_by_key(|row| times.get(*row as usize));
    take_record_batch(&batch, &UInt32Array::from(order)).map_err(|error| {
        Error::new(ErrorKind::SchemaMismatch, "the rows cannot be sorted").with_source(error)
    })
}
