//! Arrow batches to lines.

mod column;
mod line;
mod number;
mod text;
mod time;

use arrow_array::{RecordBatch, TimestampNanosecondArray};
use arrow_schema::DataType;
use minutebook_core::series::batch::timestamps;

use crate::buffers::{Buffer, PIECE_BYTES};
use crate::codec::kind::{ColumnType, Seen};
use crate::error::JsonlError;
use crate::in_order::{self, Made, in_order};
use crate::index::{BLOCK_BYTES, Block, Part};
use column::Source;
use time::Stamps;

pub(crate) use line::{Line, Out};
pub(crate) use number::push_float;
pub(crate) use text::{Fixed, push as push_text, push_bytes, push_json};
pub(crate) use time::push_instant;

/// Pieces of lines in order, each with what is in it.
pub(crate) type Pieces<'a, 'p> =
    dyn Iterator<Item = Result<Made<'p, Result<Part, JsonlError>>, JsonlError>> + 'a;

/// Rows that can be written as lines.
#[derive(Debug)]
pub(crate) struct Rows {
    times: TimestampNanosecondArray,
    /// The columns apart from the time, each with what stands before its values.
    sources: Vec<(Fixed, Source)>,
    /// The columns apart from the time.
    pub(crate) columns: Vec<EncodedColumn>,
    max_line_bytes: usize,
}

/// Rows as lines, with what an index would find out by reading them.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    /// The lines, each ended by `\n`, in pieces of complete lines; none is empty.
    pub(crate) parts: Vec<Buffer>,
    /// What is in them, with offsets from the first byte.
    pub(crate) part: Part,
}

impl Encoded {
    /// The lines' bytes.
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }
}

/// A column of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncodedColumn {
    pub(crate) name: String,
    /// The type as which it reads; `None` for a column of type Null, which fits every column.
    pub(crate) column_type: Option<ColumnType>,
    /// What its values show.
    pub(crate) seen: Seen,
}

/// From so many rows on, several threads write them.
const PARALLEL: usize = 4_096;

impl Rows {
    /// The rows of a checked batch: the time first, then every column.
    ///
    /// # Errors
    /// If a value has no JSON text (NaN, infinity, integers beyond `i64`) or a column's type has none.
    pub(crate) fn new(batch: &RecordBatch, max_line_bytes: usize) -> Result<Self, JsonlError> {
        let mut sources = Vec::with_capacity(batch.num_columns());
        let mut columns = Vec::with_capacity(batch.num_columns());
        let schema = batch.schema();
        for (field, array) in schema.fields().iter().zip(batch.columns()).skip(1) {
            let source = Source::new(field.name(), array)?;
            columns.push(EncodedColumn {
                name: field.name().clone(),
                column_type: column_type(field.data_type()),
                seen: source.seen(),
            });
            sources.push((key(field.name())?, source));
        }
        Ok(Self {
            times: timestamps(batch)?.clone(),
            sources,
            columns,
            max_line_bytes,
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.times.len()
    }

    /// Whether it is worth the while to write them piece by piece, and certain that none is refused when others are in the file already: with `max_bytes` of lines at
    /// most.
    pub(crate) fn can_be_piecewise(&self, max_bytes: usize) -> bool {
        let Some(line) = self.longest().filter(|_| self.count() >= PARALLEL) else {
            return false;
        };
        line <= self.max_line_bytes
            && self
                .count()
                .checked_mul(line)
                .is_some_and(|all| all <= max_bytes)
    }

    /// No line has more bytes; `None` if that is not known before they are written.
    fn longest(&self) -> Option<usize> {
        const AROUND: usize = "{\"timestamp\":\"2024-01-01T00:00:00.123456789Z\"}\n".len();
        let mut all = AROUND;
        for (key, source) in &self.sources {
            all += key.len() + source.longest()?;
        }
        Some(all)
    }

    /// All rows as lines.
    ///
    /// # Errors
    /// If a line would be too long.
    pub(crate) fn encode(&self) -> Result<Encoded, JsonlError> {
        self.piecewise(|pieces| {
            let mut all = Encoded::default();
            for piece in pieces {
                let mut piece = piece?;
                let part = piece.more.take().unwrap_or_else(|| Ok(Part::default()))?;
                let before = all.len() as u64;
                self.add(&mut all.part, part, before);
                all.parts.push(piece.take());
            }
            Ok(all)
        })
    }

    /// Gives the rows as lines to `use_all`, in pieces while later ones are still being written.
    pub(crate) fn piecewise<T>(&self, use_all: impl FnOnce(&mut Pieces<'_, '_>) -> T) -> T {
        let line = self.longest().unwrap_or(48 + 24 * self.sources.len());
        let rows = match self.count() {
            few if few < PARALLEL => few.max(1),
            _ => (PIECE_BYTES / line).max(1),
        };
        let threads = in_order::threads(self.count(), PARALLEL);
        in_order(
            self.count().div_ceil(rows),
            threads,
            |n, bytes| self.lines(n * rows, rows, bytes),
            use_all,
        )
    }

    /// Adds what is in a piece to what is in those before it, which have `before` bytes.
    pub(crate) fn add(&self, all: &mut Part, mut piece: Part, before: u64) {
        piece.shift(before);
        let first = all.rows == 0;
        all.append(piece);
        if first && all.rows > 0 {
            for column in &self.columns {
                all.columns.add(&column.name, column.seen);
            }
        }
    }

    /// So many rows from `first` on, as lines behind `bytes`.
    fn lines(
        &self,
        first: usize,
        rows: usize,
        mut bytes: Buffer,
    ) -> (Buffer, Result<Part, JsonlError>) {
        let mut part = Part::default();
        let mut block = Block::at(0, 0);
        let mut stamps = Stamps::default();
        let times = self.times.values().iter().enumerate();
        let times = times.skip(first).take(rows);
        let count = times.len();
        bytes.reserve(count.min(64) * (48 + 24 * self.sources.len()));
        for (n, (row, nanos)) in times.enumerate() {
            let start = bytes.len();
            bytes.extend_from_slice(b"{\"timestamp\":\"");
            stamps.push(&mut *bytes, *nanos);
            bytes.push(b'"');
            for (key, source) in &self.sources {
                key.push(&mut *bytes);
                if let Err(error) = source.push(row, &mut bytes) {
                    return (bytes, Err(error));
                }
            }
            bytes.extend_from_slice(b"}\n");
            let len = bytes.len() - start;
            if n == 63 {
                // What the rows so far show of the others, and a little more.
                let rest = bytes.len() / 64 * (count - 64);
                bytes.reserve((rest + rest / 16).min(64 << 20));
            }
            if len > self.max_line_bytes {
                let why = format!(
                    "row {} makes a line of {len} bytes; the limit is {}",
                    row + 1,
                    self.max_line_bytes
                );
                return (bytes, Err(JsonlError::Input(why)));
            }
            block.row(*nanos);
            block.len += len as u64;
            if block.len >= BLOCK_BYTES {
                let next = Block::at(block.end(), n as u64 + 1);
                part.blocks.push(std::mem::replace(&mut block, next));
            }
        }
        if block.len > 0 {
            part.blocks.push(block);
        }
        part.lines = count as u64;
        part.rows = part.lines;
        (bytes, Ok(part))
    }
}

/// `,"name":`
fn key(name: &str) -> Result<Fixed, JsonlError> {
    let mut key = vec![b','];
    push_json(&mut key, name)?;
    key.push(b':');
    Ok(Fixed::new(&key))
}

/// The type as which a column comes back.
fn column_type(data_type: &DataType) -> Option<ColumnType> {
    match data_type {
        DataType::Null => None,
        DataType::Dictionary(_, values) => column_type(values),
        DataType::RunEndEncoded(_, values) => column_type(values.data_type()),
        DataType::Boolean => Some(ColumnType::Boolean),
        data_type if data_type.is_integer() => Some(ColumnType::Int64),
        data_type if data_type.is_floating() => Some(ColumnType::Float64),
        _ => Some(ColumnType::Utf8),
    }
}
