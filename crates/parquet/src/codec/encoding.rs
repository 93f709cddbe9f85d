//! Which encoding a column gets, by looking at a sample of it.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::DataType;
use minutebook_core::series::batch::TIMESTAMP;
use parquet::basic::Encoding;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::schema::types::ColumnPath;

/// Runs of so many rows are looked at ...
const RUN: usize = 512;
/// ... at so many places.
const RUNS: usize = 16;
/// Up to this share of distinct values in the sample a dictionary pays.
const DISTINCT_PERCENT: usize = 50;

/// Sets the encoding of every flat column. What is not named here keeps the writer's default: a dictionary, and plain
/// values where that grows too large.
pub(super) fn choose(
    mut builder: WriterPropertiesBuilder,
    sample: &RecordBatch,
) -> WriterPropertiesBuilder {
    for (field, column) in sample.schema().fields().iter().zip(sample.columns()) {
        let path = ColumnPath::from(vec![field.name().clone()]);
        let (encoding, dictionary) = match field.data_type() {
            // Times ascend, so their differences are small; no dictionary does better.
            DataType::Timestamp(..) if field.name() == TIMESTAMP => {
                (Encoding::DELTA_BINARY_PACKED, false)
            }
            DataType::Float64 => (
                Encoding::BYTE_STREAM_SPLIT,
                repeats::<Float64Type>(column, f64::to_bits),
            ),
            DataType::Float32 => (
                Encoding::BYTE_STREAM_SPLIT,
                repeats::<Float32Type>(column, |v| u64::from(v.to_bits())),
            ),
            DataType::Int64 => (
                Encoding::DELTA_BINARY_PACKED,
                repeats::<Int64Type>(column, i64::cast_unsigned),
            ),
            DataType::Int32 => (
                Encoding::DELTA_BINARY_PACKED,
                repeats::<Int32Type>(column, |v| u64::from(v.cast_unsigned())),
            ),
            DataType::Timestamp(..) => (Encoding::DELTA_BINARY_PACKED, false),
            _ => continue,
        };
        builder = builder
            .set_column_encoding(path.clone(), encoding)
            .set_column_dictionary_enabled(path, dictionary);
    }
    builder
}

/// Whether values come again often enough for a dictionary.
fn repeats<T: ArrowPrimitiveType>(column: &ArrayRef, key: impl Fn(T::Native) -> u64) -> bool {
    let array = column.as_primitive::<T>();
    let rows = array.len();
    let step = (rows / RUNS).max(RUN);
    let mut seen = HashSet::new();
    let mut looked = 0;
    for start in (0..rows).step_by(step) {
        let run = array.slice(start, RUN.min(rows - start));
        for value in run.iter().flatten() {
            looked += 1;
            seen.insert(key(value));
        }
    }
    seen.len() * 100 <= looked * DISTINCT_PERCENT
}
