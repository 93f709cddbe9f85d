//! Arrow batches to lines.

mod column;
mod text;
mod time;

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use minutebook_core::series::batch::timestamps;

use crate::codec::kind::{ColumnType, Seen};
use crate::error::JsonlError;
use crate::index::{BLOCK_BYTES, Block, Part};
use column::Source;
use time::Stamps;

pub(crate) use text::{push as push_text, push_json};
pub(crate) use time::push_instant;

/// A batch as lines, with what an index would find out by reading them.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// The lines, each ended by `\n`, in pieces of complete lines; none is empty.
    pub(crate) parts: Vec<Vec<u8>>,
    /// What is in them, with offsets from the first byte.
    pub(crate) part: Part,
    /// The columns apart from the time.
    pub(crate) columns: Vec<EncodedColumn>,
}

impl Encoded {
    /// The lines' bytes.
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
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

/// Writes each row of a checked batch as one line: the time first, then every column, null as `null`.
///
/// # Errors
/// If a value has no JSON text (NaN, infinity, integers beyond `i64`) or a column's type has none, or a line would be too long.
pub(crate) fn encode(batch: &RecordBatch, max_line_bytes: usize) -> Result<Encoded, JsonlError> {
    let times = timestamps(batch)?;
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
    let (parts, mut part) = side_by_side(times.values(), &sources, max_line_bytes)?;
    if part.rows > 0 {
        for column in &columns {
            part.columns.add(&column.name, column.seen);
        }
    }
    Ok(Encoded {
        parts,
        part,
        columns,
    })
}

/// From so many rows on, several threads write them.
const PARALLEL: usize = 4_096;

/// Columns with what stands before each of their values.
type Sources = [(Vec<u8>, Source)];

/// The rows as lines, with their times and counts; written by several threads if they are many.
fn side_by_side(
    times: &[i64],
    sources: &Sources,
    max_line_bytes: usize,
) -> Result<(Vec<Vec<u8>>, Part), JsonlError> {
    let threads = match times.len() {
        few if few < PARALLEL => 1,
        _ => std::thread::available_parallelism().map_or(1, |n| n.get().min(4)),
    };
    if threads == 1 {
        let (bytes, part) = lines(times, 0, sources, max_line_bytes)?;
        let parts = if bytes.is_empty() {
            vec![]
        } else {
            vec![bytes]
        };
        return Ok((parts, part));
    }
    let size = times.len().div_ceil(threads);
    let pieces = std::thread::scope(|scope| {
        let workers: Vec<_> = times
            .chunks(size)
            .enumerate()
            .map(|(i, times)| scope.spawn(move || lines(times, i * size, sources, max_line_bytes)))
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect::<Result<Vec<_>, JsonlError>>()
    })?;
    let mut parts = Vec::with_capacity(pieces.len());
    let (mut all, mut len) = (Part::default(), 0);
    for (bytes, mut part) in pieces {
        part.shift(len);
        len += bytes.len() as u64;
        all.append(part);
        parts.push(bytes);
    }
    Ok((parts, all))
}

/// Rows as lines; `first` of the batch is the first of them.
fn lines(
    times: &[i64],
    first: usize,
    sources: &Sources,
    max_line_bytes: usize,
) -> Result<(Vec<u8>, Part), JsonlError> {
    let mut part = Part::default();
    let mut block = Block::at(0, 0);
    let mut stamps = Stamps::default();
    let mut bytes = Vec::with_capacity(times.len().min(64) * (48 + 24 * sources.len()));
    for (n, nanos) in times.iter().enumerate() {
        let row = first + n;
        let start = bytes.len();
        bytes.extend_from_slice(b"{\"timestamp\":\"");
        stamps.push(&mut bytes, *nanos);
        bytes.push(b'"');
        for (key, source) in sources {
            bytes.extend_from_slice(key);
            source.push(row, &mut bytes)?;
        }
        bytes.extend_from_slice(b"}\n");
        let len = bytes.len() - start;
        if n == 63 {
            // What the rows so far show of the others, and a little more.
            let rest = bytes.len() / 64 * (times.len() - 64);
            bytes.reserve((rest + rest / 16).min(64 << 20));
        }
        if len > max_line_bytes {
            return Err(JsonlError::Input(format!(
                "row {} makes a line of {len} bytes; the limit is {max_line_bytes}",
                row + 1
            )));
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
    part.lines = times.len() as u64;
    part.rows = part.lines;
    Ok((bytes, part))
}

/// `,"name":`
fn key(name: &str) -> Result<Vec<u8>, JsonlError> {
    let mut key = vec![b','];
    push_json(&mut key, name)?;
    key.push(b':');
    Ok(key)
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
