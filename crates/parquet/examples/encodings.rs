//! What a column takes, in bytes and in time to read, under each encoding, compressed or not: `cargo run --release -p minutebook-parquet
//! --example encodings -- FILE.parquet...`.
//!
//! Numbers of the files are taken as they are; columns of floats whose values are whole cents are also tried as decimals. A random walk
//! without a grid is made beside them. Row groups and pages are those of segments; one thread reads; medians of five.
#![allow(clippy::print_stdout, reason = "a program that prints a table")]
#![allow(clippy::cast_precision_loss, reason = "counts shown as rates")]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Decimal128Array, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use minutebook_parquet::{LoadParquet, load_parquet};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

const RUNS: usize = 5;
/// More rows tell nothing more.
const ROWS: usize = 1 << 20;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    println!(
        "| column | encoding | bytes a value, plain | zstd | ns to read a value, plain | zstd |"
    );
    println!("|---|---|--:|--:|--:|--:|");
    for path in std::env::args().skip(1) {
        let table = load_parquet(&path, &LoadParquet::default())?;
        let rows = table.num_rows().min(ROWS);
        for (field, column) in table.schema().fields().iter().zip(table.columns()) {
            show(field.name(), &column.slice(0, rows))?;
            if let Some(cents) = cents(&column.slice(0, rows)) {
                show(&format!("{} as decimal", field.name()), &cents)?;
            }
        }
    }
    show("walk without a grid", &walk(ROWS))
}

fn show(name: &str, column: &ArrayRef) -> Outcome<()> {
    let encodings = match column.data_type() {
        DataType::Float64 => vec![Encoding::PLAIN, Encoding::BYTE_STREAM_SPLIT],
        DataType::Int64 | DataType::Timestamp(..) | DataType::Decimal128(..) => {
            vec![Encoding::PLAIN, Encoding::DELTA_BINARY_PACKED]
        }
        _ => return Ok(()),
    };
    let tried = encodings.into_iter().map(|encoding| (encoding, false));
    for (encoding, dictionary) in tried.chain([(Encoding::PLAIN, true)]) {
        let called = if dictionary {
            "DICTIONARY".to_owned()
        } else {
            encoding.to_string()
        };
        let packed = Compression::ZSTD(ZstdLevel::default());
        let plain = measure(column, encoding, dictionary, Compression::UNCOMPRESSED)?;
        let packed = measure(column, encoding, dictionary, packed)?;
        println!(
            "| {name} | {called} | {:.2} | {:.2} | {:.2} | {:.2} |",
            plain.0, packed.0, plain.1, packed.1
        );
    }
    Ok(())
}

/// Bytes and nanoseconds a value.
fn measure(
    column: &ArrayRef,
    encoding: Encoding,
    dictionary: bool,
    compression: Compression,
) -> Outcome<(f64, f64)> {
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_encoding(encoding)
        .set_dictionary_enabled(dictionary)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(1 << 17))
        .set_data_page_row_count_limit(1 << 13)
        .set_write_batch_size(1 << 10)
        .build();
    let field = Field::new("x", column.data_type().clone(), true);
    let schema = Arc::new(Schema::new(vec![field]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(column)])?;
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, Arc::clone(&schema), Some(properties))?;
    writer.write(&batch)?;
    let metadata = writer.close()?;
    let stored: i64 = metadata
        .row_groups()
        .iter()
        .map(RowGroupMetaData::compressed_size)
        .sum();
    let file = Bytes::from(file);
    let mut times = Vec::with_capacity(RUNS);
    for run in 0..=RUNS {
        let began = Instant::now();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone())?
            .with_batch_size(1 << 13)
            .build()?;
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        times.push(began.elapsed());
        if run == 0 {
            times.clear();
            let read = concat_batches(&schema, &batches)?;
            if read != batch {
                return Err("a value came back as another".into());
            }
        }
    }
    times.sort_unstable();
    let median = times.get(RUNS / 2).copied().unwrap_or_default();
    let rows = column.len().max(1) as f64;
    Ok((stored as f64 / rows, median.as_secs_f64() * 1e9 / rows))
}

/// The values as decimals with two places, if that loses nothing.
fn cents(column: &ArrayRef) -> Option<ArrayRef> {
    let values = column.as_primitive_opt::<Float64Type>()?;
    let cents = values.values().iter().map(|value| {
        #[allow(clippy::cast_possible_truncation, reason = "checked by going back")]
        let cents = (value * 100.0).round() as i64;
        (((cents as f64) / 100.0).to_bits() == value.to_bits()).then_some(i128::from(cents))
    });
    let cents: Vec<i128> = cents.collect::<Option<_>>()?;
    let array = Decimal128Array::from(cents)
        .with_precision_and_scale(18, 2)
        .ok()?;
    Some(Arc::new(array))
}

fn walk(rows: usize) -> ArrayRef {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut price = 1_000.0_f64;
    let values = (0..rows).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        price *= 1.0 + ((state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) / 1_000.0;
        price
    });
    Arc::new(Float64Array::from_iter_values(values))
}
