//! Running a scan: pieces of the file are decoded side by side and handed over in order.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use futures_util::{StreamExt, stream};
use minutebook_core::series::ReportHandle;
use minutebook_core::{BatchStream, Problem, ProblemKind, SeriesId, Take};
use minutebook_fs::task::blocking;

use super::scan::Source;
use super::units::{Placed, Unit};
use crate::codec::decode::{Decoded, Decoder, Misfit, Plan};
use crate::error::JsonlError;
use crate::index::Rows;

/// What is left to do of a scan.
#[derive(Debug)]
pub(super) struct Pieces {
    /// What to read, each with its rows if they are at hand.
    pub(super) units: Vec<(Unit, Option<Rows>)>,
    /// The blocks that the units are made of.
    pub(super) blocks: Vec<Placed>,
    pub(super) plan: Arc<Plan>,
    /// The files that the units are in.
    pub(super) sources: Vec<Arc<Source>>,
    /// Rows to pass over first.
    pub(super) skip: u64,
    pub(super) take: Take,
    pub(super) batch_size: usize,
    pub(super) strict: bool,
}

/// What the pieces of one scan share.
#[derive(Debug)]
struct Shared {
    plan: Arc<Plan>,
    sources: Vec<Arc<Source>>,
    strict: bool,
    report: ReportHandle,
    /// Columns of which a misfit was told already.
    told: Mutex<HashSet<usize>>,
    /// Buffers for the bytes of a piece: new memory costs more than reading into it.
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// The batches of a scan.
pub(super) fn batches(
    pieces: Pieces,
    report: ReportHandle,
    series: &SeriesId,
    read_ahead: NonZeroUsize,
) -> BatchStream {
    let schema = Arc::clone(&pieces.plan.schema);
    let shared = Arc::new(Shared {
        plan: pieces.plan,
        sources: pieces.sources,
        strict: pieces.strict,
        report: report.clone(),
        told: Mutex::default(),
        buffers: Mutex::default(),
    });
    let series = series.clone();
    let decoded = stream::iter(pieces.units)
        .map(move |(unit, rows)| {
            let shared = Arc::clone(&shared);
            let series = series.clone();
            async move {
                let known = rows.map_or(Ok(None), |rows| shared.assemble(&rows));
                if let Some(batch) = known.map_err(|error| error.of_series("scan", &series))? {
                    return Ok(batch);
                }
                blocking(move || shared.decode(unit))
                    .await
                    .map_err(JsonlError::from)
                    .flatten()
                    .map_err(|error| error.of_series("scan", &series))
            }
        })
        .buffered(read_ahead.get());
    let cutter = Cutter {
        skip: pieces.skip,
        left: match pieces.take {
            Take::First(rows) | Take::Last(rows) => rows,
            _ => usize::MAX,
        },
        batch_size: pieces.batch_size,
        ready: VecDeque::new(),
        failed: false,
    };
    let cut = stream::unfold(
        (Box::pin(decoded), cutter),
        |(mut decoded, mut cutter)| async {
            loop {
                if let Some(batch) = cutter.ready.pop_front() {
                    return Some((Ok(batch), (decoded, cutter)));
                }
                if cutter.left == 0 || cutter.failed {
                    return None;
                }
                match decoded.next().await? {
                    Ok(batch) => cutter.add(&batch),
                    Err(error) => {
                        cutter.failed = true;
                        return Some((Err(error), (decoded, cutter)));
                    }
                }
            }
        },
    );
    BatchStream::with_report(schema, report, cut)
}

impl Shared {
    /// The batch of rows that were kept; `None` if the piece must be read again.
    fn assemble(&self, rows: &Rows) -> Result<Option<RecordBatch>, JsonlError> {
        Ok(rows.batch(&self.plan.schema, &self.plan.columns)?)
    }

    fn decode(&self, unit: Unit) -> Result<RecordBatch, JsonlError> {
        let source = self.sources.get(unit.source).ok_or(JsonlError::Shrunk)?;
        let mut buffer = self.buffers().pop().unwrap_or_default();
        let rows = usize::try_from(unit.rows).unwrap_or(0);
        let mut decoder = Decoder::new(&self.plan, rows);
        let lines = source.read(unit.offset, unit.len, &mut buffer)?;
        // A byte order mark that was left out counts for the offsets all the same.
        let mark = unit.len - lines.len() as u64;
        decoder.block(lines);
        self.buffers().push(buffer);
        let Decoded { batch, misfits } = decoder.finish()?;
        for mut misfit in misfits {
            misfit.byte += mark;
            self.tell(source, unit, &misfit)?;
        }
        Ok(batch)
    }

    /// Tells of the first value of a column that is not of the column's type.
    fn tell(&self, source: &Source, unit: Unit, misfit: &Misfit) -> Result<(), JsonlError> {
        let new = self
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(misfit.column);
        let Some((name, column_type)) = self.plan.columns.get(misfit.column).filter(|_| new) else {
            return Ok(());
        };
        let message = format!(
            "a value of the column \"{name}\" is no {} and was read as null; there may be more",
            column_type.data_type()
        );
        let problem = Problem::new(ProblemKind::TypeChanged, &source.resource, message)
            .at_line(unit.first_line + misfit.line + 1)
            .at_byte(unit.offset + misfit.byte);
        if self.strict {
            return Err(JsonlError::Damaged(Box::new(problem)));
        }
        self.report.add(problem);
        Ok(())
    }

    fn buffers(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts what was decoded to the rows that were asked for, in batches that are not too long.
#[derive(Debug)]
struct Cutter {
    skip: u64,
    left: usize,
    batch_size: usize,
    ready: VecDeque<RecordBatch>,
    failed: bool,
}

impl Cutter {
    fn add(&mut self, batch: &RecordBatch) {
        let rows = batch.num_rows();
        let mut from = usize::try_from(self.skip).unwrap_or(usize::MAX).min(rows);
        self.skip -= from as u64;
        while from < rows && self.left > 0 {
            let len = (rows - from).min(self.batch_size).min(self.left);
            self.ready.push_back(batch.slice(from, len));
            from += len;
            self.left -= len;
        }
    }
}
