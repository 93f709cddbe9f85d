//! Rows that are kept while a file is read for the first time, so that a scan need not read it twice.
//!
//! What type a column has is known at the end only. Until then each piece of the file keeps its columns as what they have looked like there; a piece
//! whose columns turn out to be of another type is read again.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{ArrayRef, PrimitiveArray, RecordBatch, new_null_array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{ArrowError, SchemaRef};

use super::part::{Block, Columns};
use crate::codec::column::Column;
use crate::codec::fields::Shape;
use crate::codec::kind::{ColumnType, Seen};
use crate::codec::token::Token;

/// How many bytes of rows are kept at most; what is beyond is read again.
const MOST_BYTES: usize = 48 << 20;

/// How many rows a piece has at most.
const MOST_ROWS: usize = 1 << 16;

/// Which rows to keep.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// These columns only.
    pub(crate) columns: Option<HashSet<String>>,
    pub(crate) start: i64,
    pub(crate) end: Option<i64>,
    /// About so many rows a piece.
    pub(crate) rows: usize,
    left: AtomicUsize,
}

impl Wanted {
    pub(crate) fn new(
        columns: Option<HashSet<String>>,
        (start, end): (i64, Option<i64>),
        rows: usize,
    ) -> Self {
        Self {
            columns,
            start,
            end,
            // Room is made for so many at once, and a caller may ask for all rows in one batch.
            rows: rows.min(MOST_ROWS),
            left: AtomicUsize::new(MOST_BYTES),
        }
    }

    #[inline]
    fn contains(&self, nanos: i64) -> bool {
        self.start <= nanos && self.end.is_none_or(|end| nanos < end)
    }

    /// Whether there is room for another piece.
    fn has_room(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }

    fn take(&self, bytes: usize) {
        let _ = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_sub(bytes))
            });
    }
}

/// A piece of the file, with its rows if there was room for them.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Where it is; `rows` counts those that are not wanted too.
    pub(crate) place: Block,
    pub(crate) rows: Option<Rows>,
}

/// The wanted rows of a piece.
#[derive(Debug)]
pub(crate) struct Rows {
    times: ArrayRef,
    columns: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    name: Arc<str>,
    /// `None` if its values there do not go together.
    values: Option<(ColumnType, ArrayRef)>,
}

impl Rows {
    /// The rows as a batch; `None` if a column has another type than it had there.
    pub(crate) fn batch(
        &self,
        schema: &SchemaRef,
        columns: &[(String, ColumnType)],
    ) -> Result<Option<RecordBatch>, ArrowError> {
        let mut arrays = vec![Arc::clone(&self.times)];
        for (name, column_type) in columns {
            let kept = self.columns.iter().find(|kept| *kept.name == **name);
            let array = match kept.map(|kept| &kept.values) {
                None => new_null_array(&column_type.data_type(), self.times.len()),
                Some(Some((found, array))) if found == column_type => Arc::clone(array),
                // The type says that each of them is a float as well.
                #[allow(clippy::cast_precision_loss, reason = "at most 2^53")]
                Some(Some((ColumnType::Int64, array))) if *column_type == ColumnType::Float64 => {
                    let ints = array.as_primitive::<Int64Type>();
                    Arc::new(ints.unary::<_, Float64Type>(|int| int as f64)) as ArrayRef
                }
                Some(_) => return Ok(None),
            };
            arrays.push(array);
        }
        RecordBatch::try_new(Arc::clone(schema), arrays).map(Some)
    }
}

/// Collects the rows of the piece at hand.
#[derive(Debug)]
pub(super) struct Gather<'w> {
    wanted: &'w Wanted,
    /// Whether there is room for this piece.
    on: bool,
    times: Vec<i64>,
    /// By the place of the column.
    columns: Vec<Loose>,
    pieces: Vec<Piece>,
    /// The piece at hand.
    place: Block,
}

impl<'w> Gather<'w> {
    pub(super) fn new(wanted: &'w Wanted, offset: u64) -> Self {
        Self {
            wanted,
            on: wanted.has_room(),
            times: Vec::new(),
            columns: Vec::new(),
            pieces: Vec::new(),
            place: Block::at(offset, 0),
        }
    }

    /// Begins a row; `false` if it is not wanted.
    #[inline]
    pub(super) fn row(&mut self, nanos: i64) -> bool {
        if !self.on || !self.wanted.contains(nanos) {
            return false;
        }
        if self.times.is_empty() {
            self.times.reserve(self.wanted.rows);
        }
        self.times.push(nanos);
        true
    }

    /// A value of the row that was begun.
    #[inline]
    pub(super) fn value(&mut self, place: usize, token: &Token<'_>, seen: Seen, all: &Columns) {
        let row = self.times.len() - 1;
        if place >= self.columns.len() {
            self.extend(place, all);
        }
        if let Some(column) = self.columns.get_mut(place) {
            column.push(row, self.wanted.rows, token, seen);
        }
    }

    #[cold]
    fn extend(&mut self, place: usize, all: &Columns) {
        let named = all.iter().take(place + 1).skip(self.columns.len());
        for (name, _) in named {
            let wanted = self.wanted.columns.as_ref();
            self.columns
                .push(if wanted.is_none_or(|wanted| wanted.contains(name)) {
                    Loose::Empty
                } else {
                    Loose::Unwanted
                });
        }
    }

    /// A block is complete. The piece is too, if another block would make it too long, or if `last`.
    pub(super) fn block(&mut self, block: &Block, last: bool, all: &Columns) {
        self.place.len = block.end() - self.place.offset;
        self.place.rows += block.rows;
        self.place.min = self.place.min.min(block.min);
        self.place.max = self.place.max.max(block.max);
        if last || self.place.rows + block.rows > self.wanted.rows as u64 {
            self.cut(block.end(), all);
        }
    }

    /// Closes the piece; the next one begins at `offset`.
    fn cut(&mut self, offset: u64, all: &Columns) {
        let next = Block::at(offset, 0);
        let place = std::mem::replace(&mut self.place, next);
        let times = std::mem::take(&mut self.times);
        let columns = std::mem::take(&mut self.columns);
        let rows = self.on.then(|| {
            let rows = times.len();
            let mut bytes = rows * 8;
            let columns = columns
                .into_iter()
                .zip(all.iter_shared())
                .filter_map(|(column, name)| {
                    let values = column.finish(rows)?;
                    bytes += values
                        .as_ref()
                        .map_or(0, |(_, array)| array.get_array_memory_size());
                    Some(Kept {
                        name: Arc::clone(name),
                        values,
                    })
                })
                .collect();
            self.wanted.take(bytes);
            let times =
                PrimitiveArray::<TimestampNanosecondType>::new(ScalarBuffer::from(times), None);
            Rows {
                times: Arc::new(times.with_timezone("UTC")),
                columns,
            }
        });
        if place.len > 0 {
            self.pieces.push(Piece { place, rows });
        }
        self.on = self.wanted.has_room();
    }

    pub(super) fn finish(self) -> Vec<Piece> {
        self.pieces
    }

    /// If a piece begins at this offset, it does so at this line.
    pub(super) fn begin_at_line(&mut self, offset: u64, line: u64) {
        if self.place.offset == offset {
            self.place.first_line = line;
        }
    }

    /// The next piece begins here.
    pub(super) fn begin_at(&mut self, offset: u64, line: u64) {
        self.place = Block::at(offset, line);
    }
}

/// A column whose type is what its values so far have had.
#[derive(Debug)]
enum Loose {
    Unwanted,
    /// No value yet.
    Empty,
    Some(ColumnType, Box<Column>),
    /// Its values do not go together.
    Broken,
}

impl Loose {
    #[inline]
    fn push(&mut self, row: usize, room: usize, token: &Token<'_>, seen: Seen) {
        if let Self::Some(column_type, column) = self {
            column.pad(row);
            column.truncate_to(row);
            let same = match (*column_type, token.shape) {
                (_, Shape::Null)
                | (ColumnType::Utf8, _)
                | (ColumnType::Int64, Shape::Int)
                | (ColumnType::Float64, Shape::Float | Shape::Int)
                | (ColumnType::Boolean, Shape::Bool) => true,
                (ColumnType::Int64, Shape::Float) => {
                    *column_type = ColumnType::Float64;
                    column.widen()
                }
                _ => false,
            };
            if !same || !column.push(token) {
                *self = Self::Broken;
            }
            return;
        }
        if !matches!(self, Self::Empty) || token.shape == Shape::Null {
            return;
        }
        let column_type = seen.column_type();
        let mut column = Box::new(Column::new(column_type, room, None));
        column.pad(row);
        if column.push(token) {
            *self = Self::Some(column_type, column);
        } else {
            *self = Self::Broken;
        }
    }

    /// The values of so many rows. `None` if there is none; nothing within if they do not go together.
    #[allow(clippy::option_option, reason = "three cases, told apart in one place")]
    fn finish(self, rows: usize) -> Option<Option<(ColumnType, ArrayRef)>> {
        match self {
            Self::Unwanted | Self::Empty => None,
            Self::Some(column_type, mut column) => {
                column.pad(rows);
                Some(column.finish().ok().map(|array| (column_type, array)))
            }
            Self::Broken => Some(None),
        }
    }
}
