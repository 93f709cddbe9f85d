//! Which encoding a column gets, and whether it is compressed: by trying them on a sample of it.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, FieldRef, Schema};
use arrow_select::concat::concat;
use minutebook_core::series::batch::TIMESTAMP;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding};
use parquet::errors::Result;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::writer::WriteOptions;

/// Runs of so many rows are tried ...
const RUN: usize = 4_096;
/// ... at so many places of one row group. Long runs: what lies between them counts as a leap where differences are kept.
const RUNS: usize = 2;
/// From so many rows on the encodings are tried; what is smaller is soon merged into something larger.
const TRIED_ROWS: usize = RUN * RUNS;
/// Up to this share of distinct values in the sample a dictionary may pay.
const DISTINCT_PERCENT: usize = 50;
/// A column is compressed if that saves at least this share of its bytes ...
const SAVED_PERCENT: usize = 20;
/// ... and at least a byte in so many values: opening a decompressor costs more than reading that little.
const VALUES_PER_SAVED_BYTE: usize = 4;

/// How one column is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Choice {
    /// Of the values, or of those that the dictionary has no room for.
    encoding: Encoding,
    dictionary: bool,
    compressed: bool,
}

/// What was chosen for the columns of a table, by their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choices(Vec<(String, Choice)>);

impl Choices {
    /// Chooses for every flat column of fixed width. What is not named keeps the writer's default: a dictionary, and plain
    /// values where that grows too large.
    pub(crate) fn of(sample: &RecordBatch, options: &WriteOptions) -> Result<Self> {
        let mut choices = Vec::new();
        for (field, column) in sample.schema().fields().iter().zip(sample.columns()) {
            let Some(encoding) = encoding_of(field) else {
                continue;
            };
            let mut choice = if options.measured && column.len() >= TRIED_ROWS {
                tried(field, column, encoding, options)?
            } else {
                assumed(field, column, encoding, options)
            };
            if choice.encoding == Encoding::BYTE_STREAM_SPLIT && !choice.compressed {
                // Splitting only serves compression; as they are the values take the same bytes and are read faster.
                choice.encoding = Encoding::PLAIN;
            }
            choices.push((field.name().clone(), choice));
        }
        Ok(Self(choices))
    }

    pub(super) fn set(&self, mut builder: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
        for (name, choice) in &self.0 {
            let path = ColumnPath::from(vec![name.clone()]);
            builder = builder
                .set_column_encoding(path.clone(), choice.encoding)
                .set_column_dictionary_enabled(path.clone(), choice.dictionary);
            if !choice.compressed {
                builder = builder.set_column_compression(path, Compression::UNCOMPRESSED);
            }
        }
        builder
    }
}

/// What suits the type where values do not repeat.
fn encoding_of(field: &FieldRef) -> Option<Encoding> {
    match field.data_type() {
        DataType::Float64 | DataType::Float32 => Some(Encoding::BYTE_STREAM_SPLIT),
        DataType::Int64
        | DataType::Int32
        | DataType::Timestamp(..)
        | DataType::Decimal32(..)
        | DataType::Decimal64(..) => Some(Encoding::DELTA_BINARY_PACKED),
        // So many digits are kept in an integer; more of them in bytes.
        DataType::Decimal128(digits, _) if *digits <= 18 => Some(Encoding::DELTA_BINARY_PACKED),
        _ => None,
    }
}

/// Whether values can come again at all. Times ascend, so no dictionary does better than their differences.
fn may_repeat(field: &FieldRef) -> bool {
    field.name() != TIMESTAMP && !matches!(field.data_type(), DataType::Timestamp(..))
}

/// Without a trial.
fn assumed(
    field: &FieldRef,
    column: &ArrayRef,
    encoding: Encoding,
    options: &WriteOptions,
) -> Choice {
    let rows = column.len();
    let runs = runs(0..rows, (rows / 16).max(512), 512);
    let taken: Vec<ArrayRef> = runs.map(|run| column.slice(run.start, run.len())).collect();
    let looked = taken.iter().map(Array::len).sum();
    Choice {
        encoding,
        dictionary: may_repeat(field) && pays(distinct(taken.iter()), looked),
        compressed: !options.measured,
    }
}

/// The smallest of what was tried on a sample. Compression counts only where it saves enough to pay for itself at every read.
fn tried(
    field: &FieldRef,
    column: &ArrayRef,
    encoding: Encoding,
    options: &WriteOptions,
) -> Result<Choice> {
    // One row group: a dictionary serves no more than that.
    let rows = column.len().min(options.row_group_rows);
    let start = (column.len() - rows) / 2;
    let taken: Vec<ArrayRef> = runs(start..start + rows, rows / RUNS, RUN)
        .map(|run| column.slice(run.start, run.len()))
        .collect();
    let parts: Vec<&dyn Array> = taken.iter().map(AsRef::as_ref).collect();
    let sample = concat(&parts)?;
    let scale = rows.div_ceil(sample.len().max(1));
    let seen = if may_repeat(field) {
        distinct(std::iter::once(&sample))
    } else {
        0
    };
    // Prices wander: the number of different ones grows as the square root of the number of rows.
    let words = seen * scale.isqrt() * width(field);
    let mut best: Option<(usize, Choice)> = None;
    for dictionary in [false, true] {
        if dictionary && !(may_repeat(field) && pays(seen, sample.len())) {
            continue;
        }
        let size = trial(field, &sample, encoding, dictionary, options)?;
        let (data, packed) = if dictionary {
            let own = seen * width(field);
            let data = size.raw.saturating_sub(own) * scale;
            (
                data + words,
                size.data * scale + size.dictionary * scale.isqrt(),
            )
        } else {
            (size.raw * scale, size.data * scale)
        };
        let saved = data.saturating_sub(packed);
        let compressed =
            saved * 100 >= data * SAVED_PERCENT && saved * VALUES_PER_SAVED_BYTE >= rows;
        let cost = if compressed {
            packed + rows / VALUES_PER_SAVED_BYTE
        } else {
            data
        };
        if best.is_none_or(|(least, _)| cost < least) {
            let choice = Choice {
                encoding,
                dictionary,
                compressed,
            };
            best = Some((cost, choice));
        }
    }
    Ok(best.map_or_else(|| assumed(field, column, encoding, options), |(_, c)| c))
}

/// Bytes of a column that was written.
struct Size {
    /// Not compressed, a dictionary included.
    raw: usize,
    /// Compressed, without the dictionary.
    data: usize,
    dictionary: usize,
}

fn trial(
    field: &FieldRef,
    sample: &ArrayRef,
    encoding: Encoding,
    dictionary: bool,
    options: &WriteOptions,
) -> Result<Size> {
    let properties = WriterProperties::builder()
        .set_compression(options.compression)
        .set_data_page_row_count_limit(options.page_rows)
        .set_write_batch_size(options.page_rows.min(1_024))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_encoding(encoding)
        .set_dictionary_enabled(dictionary)
        .build();
    let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(sample)])?;
    let writing = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(std::io::sink(), schema, writing)?;
    writer.write(&batch)?;
    let metadata = writer.close()?;
    let chunks = metadata
        .row_groups()
        .iter()
        .flat_map(RowGroupMetaData::columns);
    let mut size = Size {
        raw: 0,
        data: 0,
        dictionary: 0,
    };
    for chunk in chunks {
        let words = chunk
            .dictionary_page_offset()
            .map_or(0, |start| chunk.data_page_offset() - start);
        size.raw += bytes(chunk.uncompressed_size());
        size.data += bytes(chunk.compressed_size() - words);
        size.dictionary += bytes(words);
    }
    Ok(size)
}

fn bytes(count: i64) -> usize {
    usize::try_from(count).unwrap_or(0)
}

fn width(field: &FieldRef) -> usize {
    field.data_type().primitive_width().unwrap_or(8)
}

fn pays(distinct: usize, looked: usize) -> bool {
    distinct * 100 <= looked * DISTINCT_PERCENT
}

/// Runs of rows, one at each step.
fn runs(
    rows: std::ops::Range<usize>,
    step: usize,
    run: usize,
) -> impl Iterator<Item = std::ops::Range<usize>> {
    let end = rows.end;
    rows.step_by(step.max(1))
        .take(16)
        .map(move |start| start..(start + run.min(step.max(1))).min(end))
}

/// How many different values there are, by their bits.
fn distinct<'a>(columns: impl Iterator<Item = &'a ArrayRef>) -> usize {
    let mut bits: Vec<u64> = Vec::new();
    for column in columns {
        let data = column.to_data();
        let (Some(width), Some(values)) =
            (column.data_type().primitive_width(), data.buffers().first())
        else {
            continue;
        };
        let values = values.as_slice().chunks_exact(width);
        bits.extend(values.skip(data.offset()).take(data.len()).map(|value| {
            // What is wider than that is a decimal of at most 18 digits: its lower half tells it from others.
            let low = value.iter().take(8).rev();
            low.fold(0, |bits, byte| bits << 8 | u64::from(*byte))
        }));
    }
    bits.sort_unstable();
    bits.dedup();
    bits.len()
}

#[cfg(test)]
mod tests {
    use arrow_array::{Decimal128Array, Float64Array};
    use arrow_schema::Field;

    use super::super::writer::segment_options;
    use super::*;

    fn choice(values: impl Fn(u64) -> f64) -> Choice {
        let field = Arc::new(Field::new("x", DataType::Float64, false));
        let column: ArrayRef = Arc::new(Float64Array::from_iter_values((0..40_000).map(values)));
        tried(
            &field,
            &column,
            Encoding::BYTE_STREAM_SPLIT,
            &segment_options(1 << 17, 1 << 13),
        )
        .unwrap()
    }

    fn noise(i: u64) -> u64 {
        let mixed = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11
    }

    #[test]
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn the_values_decide() {
        // Few values without order: a dictionary, of which little more can be squeezed.
        let grid = choice(|i| (noise(i) % 1_000) as f64 / 100.0);
        assert!(grid.dictionary && !grid.compressed, "{grid:?}");
        // No value twice, and random digits: bytes apart, as they are.
        let random = choice(|i| f64::from_bits(noise(i) | (1 << 62)));
        assert!(!random.dictionary, "{random:?}");
        // One value in long runs: small as it is.
        let flat = choice(|i| (i / 10_000) as f64);
        assert!(flat.dictionary && !flat.compressed, "{flat:?}");
        // Ascending, so most bytes repeat: compressed.
        let steady = choice(|i| 1e6 + i as f64);
        assert!(!steady.dictionary && steady.compressed, "{steady:?}");
    }

    #[test]
    fn decimals_that_fit_an_integer_are_kept_as_differences() {
        let field = |digits| Arc::new(Field::new("p", DataType::Decimal128(digits, 2), true));
        assert_eq!(encoding_of(&field(18)), Some(Encoding::DELTA_BINARY_PACKED));
        assert_eq!(encoding_of(&field(19)), None);
        let prices = (0..20_000_u64).map(|i| 1_000_000 + i128::from(i * 3 + noise(i) % 7));
        let column: ArrayRef = Arc::new(
            Decimal128Array::from_iter_values(prices)
                .with_precision_and_scale(18, 2)
                .unwrap(),
        );
        let options = segment_options(1 << 17, 1 << 13);
        let size = |encoding, dictionary| {
            let size = trial(&field(18), &column, encoding, dictionary, &options).unwrap();
            size.data + size.dictionary
        };
        let chosen = tried(&field(18), &column, Encoding::DELTA_BINARY_PACKED, &options).unwrap();
        assert!(!chosen.dictionary, "{chosen:?}");
        assert!(size(Encoding::DELTA_BINARY_PACKED, false) * 2 < size(Encoding::PLAIN, false));
    }
}
