//! A scan in the order of time, in bounded memory: window by window, each with the blocks that touch it. A window with more rows than may be held is split
//! by the times of its rows, which are counted first.

mod windows;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use arrow_select::interleave::interleave_record_batch;
use futures_util::stream;
use minutebook_core::series::ReportHandle;
use minutebook_core::series::batch::{timestamp_field, timestamps};
use minutebook_core::{BatchStream, Problem, ProblemKind, SeriesId, Take};
use minutebook_fs::task::blocking;

use self::windows::{Histogram, Size, Weights, Window, windows};
use super::stream::Pieces;
use super::units::{Placed, Unit, units};
use crate::codec::decode::{Decoder, Misfit, Plan};
use crate::error::JsonlError;

/// What `sort_bytes` is at most: an array holds 2 GiB of text.
const MOST_BYTES: usize = 1 << 30;

/// About so much is decoded into one piece.
const PIECE_BYTES: u64 = 1 << 20;

/// What is left of a scan.
#[derive(Debug)]
struct Ordered {
    pieces: Pieces,
    windows: VecDeque<Window>,
    weights: Weights,
    /// The most that a window may take, unless all its rows have one time.
    bytes: u64,
    /// Rows to pass over first.
    skip: usize,
    left: usize,
    now: Now,
    /// What is left to read of rows of one time, piece by piece in the order written.
    instant: Option<(Window, VecDeque<Unit>)>,
    report: ReportHandle,
    /// Columns of which a misfit was told already.
    told: HashSet<usize>,
}

/// What is handed over at the moment.
#[derive(Debug, Default)]
struct Now {
    /// Rows as they were read, in pieces: one array of all of them would be copied again and again while it grows.
    pieces: VecDeque<RecordBatch>,
    /// Piece and row of each row in the order of time, if they do not stand in it.
    order: Option<Vec<(usize, usize)>>,
    /// From here on: a place in that order, or a row of the first piece.
    at: usize,
}

/// The batches of a scan that reads all rows of its range, in the order of time: equal times in the order written. `take` cuts after that. About so many
/// `bytes` of rows are held.
pub(super) fn batches(
    pieces: Pieces,
    take: Take,
    report: ReportHandle,
    series: &SeriesId,
    bytes: usize,
) -> Result<BatchStream, JsonlError> {
    let schema = Arc::clone(&pieces.plan.schema);
    let weights = Weights::of(&pieces.plan);
    let (range, bytes) = (
        (pieces.plan.start, pieces.plan.end),
        bytes.clamp(1, MOST_BYTES) as u64,
    );
    // Half: blocks that begin before a window reach into it.
    let windows = windows(&pieces.blocks, range, weights, bytes / 2);
    let mut ordered = Ordered {
        pieces,
        windows: windows.into(),
        weights,
        bytes,
        skip: 0,
        left: usize::MAX,
        now: Now::default(),
        instant: None,
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
            if let Some(batch) = ordered.at_hand() {
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

impl Ordered {
    /// The next batch, if it takes no work.
    fn at_hand(&mut self) -> Option<RecordBatch> {
        if self.now.order.is_some() || self.skip > 0 || self.left == 0 {
            return None;
        }
        let batch = self.now.slice(self.pieces.batch_size)?;
        let batch = batch.slice(0, batch.num_rows().min(self.left));
        self.left -= batch.num_rows();
        Some(batch)
    }

    /// The next batch; `None` at the end.
    fn next(&mut self) -> Result<Option<RecordBatch>, JsonlError> {
        while self.left > 0 {
            if let Some(batch) = self.now.next(self.pieces.batch_size)? {
                let rows = batch.num_rows();
                let skip = self.skip.min(rows);
                self.skip -= skip;
                let len = (rows - skip).min(self.left);
                if len > 0 {
                    self.left -= len;
                    return Ok(Some(batch.slice(skip, len)));
                }
                continue;
            }
            if let Some((window, mut units)) = self.instant.take() {
                if let Some(unit) = units.pop_front() {
                    self.now = Now::unsorted(self.read(&window, &[unit], Size::default())?);
                    self.instant = Some((window, units));
                }
                continue;
            }
            let Some(mut window) = self.windows.pop_front() else {
                break;
            };
            let size = self.size(&window);
            if size.bytes <= self.bytes {
                let units = self.units(&window);
                self.now = Now::sorted(self.read(&window, &units, size)?)?;
            } else if window.is_instant() {
                let units = self.units(&window);
                self.instant = Some((window, units.into()));
            } else {
                // Those behind it that are to be split too are counted in the same pass.
                while let Some(behind) = self.windows.front()
                    && window.size.is_none()
                    && self.is_to_split(behind)
                {
                    window.end = behind.end;
                    self.windows.pop_front();
                }
                for window in self.split(&window)?.into_iter().rev() {
                    self.windows.push_front(window);
                }
            }
        }
        Ok(None)
    }

    fn size(&self, window: &Window) -> Size {
        window.most(&self.pieces.blocks, self.weights)
    }

    /// Whether it may be too much to hold, and was not counted yet.
    fn is_to_split(&self, window: &Window) -> bool {
        window.size.is_none() && !window.is_instant() && self.size(window).bytes > self.bytes
    }

    /// What to read for a window, neighbouring blocks together.
    fn units(&self, window: &Window) -> Vec<Unit> {
        let blocks: Vec<Placed> = window.of(&self.pieces.blocks).copied().collect();
        units(&blocks, self.pieces.batch_size)
    }

    /// Leaves the windows of the last so many rows, and passes over what is too much of the first.
    fn last(&mut self, wanted: usize) -> Result<(), JsonlError> {
        let (mut rows, mut found) = (0, VecDeque::new());
        while rows < wanted as u64
            && let Some(mut window) = self.windows.pop_back()
        {
            let known = window.size.map(|size| size.rows);
            let within = |placed: &Placed| placed.block.within(window.start, window.end);
            let count = if let Some(rows) = known {
                rows
            } else if window.of(&self.pieces.blocks).all(within) {
                self.size(&window).rows
            } else if self.is_to_split(&window) {
                while let Some(before) = self.windows.back()
                    && self.is_to_split(before)
                {
                    window.start = before.start;
                    self.windows.pop_back();
                }
                self.windows.extend(self.split(&window)?);
                continue;
            } else {
                let mut rows = 0;
                self.measure(&window, |_, _| rows += 1)?;
                rows
            };
            rows += count;
            found.push_front(window);
        }
        self.windows = found;
        let too_many = rows.saturating_sub(wanted as u64);
        self.skip = usize::try_from(too_many).unwrap_or(usize::MAX);
        Ok(())
    }

    /// Windows that may be held, or are smaller at least, in place of one that may not.
    fn split(&self, window: &Window) -> Result<Vec<Window>, JsonlError> {
        let (from, to) = window
            .of(&self.pieces.blocks)
            .fold((i64::MAX, i64::MIN), |(from, to), placed| {
                (from.min(placed.block.min), to.max(placed.block.max))
            });
        let from = from.max(window.start);
        let to = window.end.map_or(to, |end| to.min(end.saturating_sub(1)));
        if from > to {
            return Ok(Vec::new());
        }
        let mut counted = Histogram::new(from, to, self.weights);
        self.measure(window, |nanos, line| counted.row(nanos, line))?;
        Ok(counted.split(self.bytes))
    }

    /// Tells of each row of a window its time and the bytes of its line.
    fn measure(&self, window: &Window, mut each: impl FnMut(i64, usize)) -> Result<(), JsonlError> {
        let schema = Arc::new(Schema::new(vec![timestamp_field()]));
        let plan = Plan {
            schema,
            columns: Vec::new(),
            unit: self.pieces.plan.unit,
            start: window.start,
            end: window.end,
        };
        let mut decoder = Decoder::new(&plan, 1);
        let mut buffer = Vec::new();
        for unit in self.units(window) {
            let source = self.pieces.sources.get(unit.source);
            let source = source.ok_or(JsonlError::Shrunk)?;
            let lines = source.read(unit.offset, unit.len, &mut buffer)?;
            decoder.measure(lines, &mut each);
        }
        Ok(())
    }

    /// The rows of these pieces that lie in a window, in the order written. They take about `size`.
    fn read(
        &mut self,
        window: &Window,
        units: &[Unit],
        size: Size,
    ) -> Result<VecDeque<RecordBatch>, JsonlError> {
        let of_all = &self.pieces.plan;
        let plan = Plan {
            schema: Arc::clone(&of_all.schema),
            columns: of_all.columns.clone(),
            unit: of_all.unit,
            start: window.start,
            end: window.end,
        };
        let row_bytes = (size.bytes / size.rows.max(1)).max(1);
        let rows = usize::try_from(PIECE_BYTES / row_bytes).unwrap_or(0);
        let rows = rows.clamp(1, self.pieces.batch_size);
        let mut decoder = Decoder::new(&plan, rows);
        let mut pieces = VecDeque::new();
        let mut buffer = Vec::new();
        for unit in units {
            let source = self.pieces.sources.get(unit.source);
            let source = Arc::clone(source.ok_or(JsonlError::Shrunk)?);
            let lines = source.read(unit.offset, unit.len, &mut buffer)?;
            let mark = unit.len - lines.len() as u64;
            decoder.block(lines);
            for mut misfit in decoder.take_misfits() {
                misfit.byte += mark;
                self.tell(&source.resource, *unit, &misfit, &plan)?;
            }
            if decoder.rows() >= rows {
                let full = std::mem::replace(&mut decoder, Decoder::new(&plan, rows));
                pieces.push_back(full.finish()?.batch);
            }
        }
        let rest = decoder.finish()?.batch;
        if rest.num_rows() > 0 {
            pieces.push_back(rest);
        }
        Ok(pieces)
    }

    /// Tells of the first value of a column that is not of the column's type.
    fn tell(
        &mut self,
        resource: &str,
        unit: Unit,
        misfit: &Misfit,
        plan: &Plan,
    ) -> Result<(), JsonlError> {
        let Some((name, column_type)) = plan
            .columns
            .get(misfit.column)
            .filter(|_| self.told.insert(misfit.column))
        else {
            return Ok(());
        };
        let message = format!(
            "a value of the column \"{name}\" is no {} and was read as null; there may be more",
            column_type.data_type()
        );
        let problem = Problem::new(ProblemKind::TypeChanged, resource, message)
            .at_line(unit.first_line + misfit.line + 1)
            .at_byte(unit.offset + misfit.byte);
        if self.pieces.strict {
            return Err(JsonlError::Damaged(Box::new(problem)));
        }
        self.report.add(problem);
        Ok(())
    }
}

impl Now {
    /// Rows that are handed over as they stand.
    fn unsorted(pieces: VecDeque<RecordBatch>) -> Self {
        Self {
            pieces,
            ..Self::default()
        }
    }

    /// Rows in the order of time, equal times as they stand.
    fn sorted(pieces: VecDeque<RecordBatch>) -> Result<Self, JsonlError> {
        let mut last = i64::MIN;
        let mut is_sorted = true;
        for piece in &pieces {
            let times = timestamps(piece)?.values();
            is_sorted &= times.is_sorted() && times.first().is_none_or(|first| last <= *first);
            last = times.last().copied().unwrap_or(last);
        }
        if is_sorted {
            return Ok(Self::unsorted(pieces));
        }
        let mut places = Vec::with_capacity(pieces.iter().map(RecordBatch::num_rows).sum());
        for (piece, batch) in pieces.iter().enumerate() {
            let times = timestamps(batch)?.values().iter();
            places.extend(times.enumerate().map(|(row, time)| (*time, piece, row)));
        }
        places.sort_unstable();
        let places = places.into_iter().map(|(_, piece, row)| (piece, row));
        Ok(Self {
            pieces,
            order: Some(places.collect()),
            at: 0,
        })
    }

    /// The next rows of the first piece.
    fn slice(&mut self, most: usize) -> Option<RecordBatch> {
        let piece = self.pieces.front()?;
        let len = most.min(piece.num_rows() - self.at);
        let batch = piece.slice(self.at, len);
        self.at += len;
        if self.at == piece.num_rows() {
            self.pieces.pop_front();
            self.at = 0;
        }
        Some(batch)
    }

    /// The next rows; `None` at their end.
    fn next(&mut self, most: usize) -> Result<Option<RecordBatch>, JsonlError> {
        let Some(order) = &self.order else {
            return Ok(self.slice(most));
        };
        let len = most.min(order.len() - self.at);
        let places = order.get(self.at..self.at + len).unwrap_or_default();
        if places.is_empty() {
            *self = Self::default();
            return Ok(None);
        }
        let pieces: Vec<_> = self.pieces.iter().collect();
        let batch = interleave_record_batch(&pieces, places)?;
        self.at += len;
        Ok(Some(batch))
    }
}
