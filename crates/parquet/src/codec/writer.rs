//! Rows to Parquet bytes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::{FieldRef, SchemaRef};
use bytes::Bytes;
use minutebook_core::series::batch::{TIMESTAMP, timestamps};
use parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::Compression;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use super::crc::{Recorder, checksummed};
use super::encoding::Choices;
use super::pandas;
use super::segments::{FEW_ROWS, NEWEST_ROWS};
use crate::config::processors;
use crate::error::{Fault, Result};
use crate::log::{Segment, TimeColumn};

/// From so many values in a row group on, its columns are encoded by several threads.
const PARALLEL_VALUES: usize = 1 << 17;

/// How files are written.
#[derive(Debug, Clone)]
pub(crate) struct WriteOptions {
    pub(crate) row_group_rows: usize,
    /// The last so many rows of a long file are a row group of their own, so that reading the newest takes neither a long page nor a large
    /// dictionary. 0 for none.
    pub(crate) tail_rows: usize,
    pub(crate) page_rows: usize,
    pub(crate) compression: Compression,
    /// Whether encodings are tried on a sample, and columns that compression does little for are left uncompressed.
    pub(crate) measured: bool,
    /// What was chosen before; else it is chosen by looking at the largest batch.
    pub(crate) choices: Option<Choices>,
    /// The column that pandas makes its index of.
    pub(crate) index: Option<String>,
    /// Whether rows are in order of the column `timestamp`, which is the first.
    pub(crate) sorted: bool,
}

/// Writes one segment of rows that are in order of time. Its file name is still to be given.
pub(crate) fn segment(batch: &RecordBatch, options: &WriteOptions) -> Result<(Bytes, Segment)> {
    let times = timestamps(batch)?.values();
    let (Some(min), Some(max)) = (times.first(), times.last()) else {
        return Err(Fault::Invalid("a segment needs a row".into()));
    };
    let (min, max) = (*min, *max);
    let (bytes, metadata) = table(&batch.schema(), std::slice::from_ref(batch), options)?;
    let data_end = data_end(&metadata);
    let footer = bytes.slice(data_end.min(bytes.len())..);
    let segment = Segment {
        file: String::new(),
        rows: batch.num_rows() as u64,
        bytes: bytes.len() as u64,
        footer: footer.len() as u64,
        min,
        max,
        digest: blake3::hash(&bytes).to_hex().to_string(),
        footer_digest: blake3::hash(&footer).to_hex().to_string(),
        dead: Vec::new(),
        time: None,
    };
    Ok((bytes, segment))
}

/// A file of another program as a segment, as it is. Its file name is still to be given.
pub(crate) fn segment_of_file(
    bytes: &Bytes,
    metadata: &ParquetMetaData,
    (min, max): (i64, i64),
    time: Option<TimeColumn>,
) -> Segment {
    let footer = bytes.slice(data_end(metadata).min(bytes.len())..);
    let rows = metadata
        .row_groups()
        .iter()
        .map(parquet::file::metadata::RowGroupMetaData::num_rows);
    Segment {
        file: String::new(),
        rows: u64::try_from(rows.sum::<i64>()).unwrap_or(0),
        bytes: bytes.len() as u64,
        footer: footer.len() as u64,
        min,
        max,
        digest: blake3::hash(bytes).to_hex().to_string(),
        footer_digest: blake3::hash(&footer).to_hex().to_string(),
        dead: Vec::new(),
        time,
    }
}

/// Writes a whole table.
pub(crate) fn table(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    options: &WriteOptions,
) -> Result<(Bytes, ParquetMetaData)> {
    writable(schema)?;
    write(schema, batches, options).map_err(unwritable)
}

/// Rows that the Parquet writer refuses.
pub(crate) fn unwritable(source: ParquetError) -> Fault {
    Fault::Schema {
        message: "the rows cannot be written as Parquet".into(),
        source: Some(source),
    }
}

fn write(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    options: &WriteOptions,
) -> parquet::errors::Result<(Bytes, ParquetMetaData)> {
    let pandas = pandas::metadata(schema, options.index.as_deref());
    let mut properties = properties(&pandas, batches, options)?;
    // pyarrow takes the metadata from the Arrow schema alone where there is one, other readers from the file.
    let mut metadata = schema.metadata().clone();
    metadata.insert(pandas::KEY.to_owned(), pandas);
    let described = schema.as_ref().clone().with_metadata(metadata);
    add_encoded_arrow_schema_to_metadata(&described, &mut properties);
    let descriptor = ArrowSchemaConverter::new().convert(schema)?;
    let mut sink = Vec::with_capacity(
        batches
            .iter()
            .map(RecordBatch::get_array_memory_size)
            .sum::<usize>()
            / 4,
    );
    let mut file = SerializedFileWriter::new(
        &mut sink,
        descriptor.root_schema_ptr(),
        Arc::new(properties),
    )?;
    let recorder = Recorder::default();
    let factory = ArrowRowGroupWriterFactory::new(&file, Arc::clone(schema))
        .with_page_store_factory(Arc::new(recorder.clone()));
    let groups = row_groups(batches, options.row_group_rows, options.tail_rows);
    for (i, group) in groups.into_iter().enumerate() {
        let writers = factory.create_column_writers(i)?;
        let recordings = recorder.take();
        let closes = encode(schema.fields(), &group, writers)?;
        let mut rows = file.next_row_group()?;
        for (recording, close) in recordings.iter().zip(&closes) {
            let (bytes, close) = checksummed(recording, close)?;
            rows.append_column(&bytes, close)?;
        }
        rows.close()?;
    }
    let metadata = file.close()?;
    Ok((sink.into(), metadata))
}

/// Encodes the columns of one row group, on several threads where that pays.
fn encode(
    fields: &[FieldRef],
    group: &[RecordBatch],
    writers: Vec<ArrowColumnWriter>,
) -> parquet::errors::Result<Vec<ColumnCloseResult>> {
    let mut leaves: Vec<Vec<ArrowLeafColumn>> = Vec::new();
    leaves.resize_with(writers.len(), Vec::new);
    for batch in group {
        let mut at = 0;
        for (field, column) in fields.iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, column)? {
                leaves
                    .get_mut(at)
                    .ok_or_else(|| ParquetError::General("more leaves than writers".into()))?
                    .push(leaf);
                at += 1;
            }
        }
    }
    let jobs: Vec<_> = writers
        .into_iter()
        .zip(leaves)
        .map(|job| Mutex::new(Some(job)))
        .collect();
    let results: Vec<_> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((job, result)) = {
            let i = next.fetch_add(1, Ordering::Relaxed);
            jobs.get(i).zip(results.get(i))
        } {
            let job = job.lock().unwrap_or_else(PoisonError::into_inner).take();
            let closed = job.map(|(writer, leaves)| column(writer, &leaves));
            *result.lock().unwrap_or_else(PoisonError::into_inner) = closed;
        }
    };
    let values = jobs.len() * group.iter().map(RecordBatch::num_rows).sum::<usize>();
    let threads = match values {
        PARALLEL_VALUES.. => processors().min(8),
        _ => 1,
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    results
        .into_iter()
        .map(|result| {
            let closed = result.into_inner().unwrap_or_else(PoisonError::into_inner);
            closed.unwrap_or_else(|| Err(ParquetError::General("a column was not encoded".into())))
        })
        .collect()
}

fn column(
    mut writer: ArrowColumnWriter,
    leaves: &[ArrowLeafColumn],
) -> parquet::errors::Result<ColumnCloseResult> {
    for leaf in leaves {
        writer.write(leaf)?;
    }
    let chunk = writer.close()?;
    let close = chunk.close();
    Ok(ColumnCloseResult {
        bytes_written: close.bytes_written,
        rows_written: close.rows_written,
        metadata: close.metadata.clone(),
        bloom_filter: close.bloom_filter.clone(),
        column_index: close.column_index.clone(),
        offset_index: close.offset_index.clone(),
    })
}

fn properties(
    pandas: &str,
    batches: &[RecordBatch],
    options: &WriteOptions,
) -> parquet::errors::Result<WriterProperties> {
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("minutebook version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(options.compression)
        .set_data_page_row_count_limit(options.page_rows)
        .set_write_batch_size(options.page_rows.min(1_024))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_key_value_metadata(Some(vec![KeyValue::new(
            pandas::KEY.to_owned(),
            pandas.to_owned(),
        )]));
    if options.sorted {
        builder = builder.set_sorting_columns(Some(vec![SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: false,
        }]));
    }
    let chosen = match (
        &options.choices,
        batches.iter().max_by_key(|b| b.num_rows()),
    ) {
        (Some(choices), _) => choices.clone(),
        (None, Some(sample)) => Choices::of(sample, options)?,
        (None, None) => Choices::default(),
    };
    Ok(chosen.set(builder).build())
}

/// Cuts batches into row groups of `rows`; of the last, if it is long, `tail` rows are a group of their own.
fn row_groups(batches: &[RecordBatch], rows: usize, tail: usize) -> Vec<Vec<RecordBatch>> {
    let rows = rows.max(1);
    let mut left: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let mut groups: Vec<Vec<RecordBatch>> = Vec::new();
    let mut room = 0;
    for batch in batches {
        let mut at = 0;
        while at < batch.num_rows() {
            if room == 0 {
                groups.push(Vec::new());
                room = match left {
                    left if left > rows || tail == 0 || left <= FEW_ROWS.max(tail) => rows,
                    left => left - tail,
                };
                left = left.saturating_sub(room);
            }
            let take = room.min(batch.num_rows() - at);
            if let Some(group) = groups.last_mut() {
                group.push(batch.slice(at, take));
            }
            room -= take;
            at += take;
        }
    }
    groups
}

/// The first byte after the last page.
fn data_end(metadata: &ParquetMetaData) -> usize {
    let chunks = metadata
        .row_groups()
        .iter()
        .flat_map(parquet::file::metadata::RowGroupMetaData::columns);
    let end = chunks.map(|chunk| {
        let (start, len) = chunk.byte_range();
        start + len
    });
    usize::try_from(end.max().unwrap_or(0)).unwrap_or(usize::MAX)
}

/// Refuses types that Parquet cannot hold, naming the column.
fn writable(schema: &SchemaRef) -> Result<()> {
    for field in schema.fields() {
        let alone = arrow_schema::Schema::new(vec![Arc::clone(field)]);
        if let Err(source) = ArrowSchemaConverter::new().convert(&alone) {
            return Err(Fault::Schema {
                message: format!(
                    "the column \"{}\" has the type {}, which Parquet cannot hold",
                    field.name(),
                    field.data_type()
                ),
                source: Some(source),
            });
        }
    }
    Ok(())
}

/// How segments are written.
pub(crate) fn segment_options(row_group_rows: usize, page_rows: usize) -> WriteOptions {
    WriteOptions {
        row_group_rows,
        tail_rows: NEWEST_ROWS,
        page_rows,
        compression: Compression::ZSTD(parquet::basic::ZstdLevel::default()),
        measured: true,
        choices: None,
        index: Some(TIMESTAMP.to_owned()),
        sorted: true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;

    use super::*;

    #[test]
    fn long_files_have_a_short_last_row_group() {
        let cut = |lens: &[usize], rows, tail| -> Vec<usize> {
            let batch = |len: &usize| {
                let values = Int64Array::from(vec![1; *len]);
                RecordBatch::try_from_iter([("x", Arc::new(values) as _)]).unwrap()
            };
            let batches: Vec<_> = lens.iter().map(batch).collect();
            let groups = row_groups(&batches, rows, tail);
            let rows = |group: &Vec<RecordBatch>| group.iter().map(RecordBatch::num_rows).sum();
            groups.iter().map(rows).collect()
        };
        assert_eq!(
            cut(&[50_000], 20_000, 1_024),
            [20_000, 20_000, 8_976, 1_024]
        );
        assert_eq!(
            cut(&[30_000, 10_000], 20_000, 1_024),
            [20_000, 18_976, 1_024]
        );
        assert_eq!(cut(&[28_192], 20_000, 1_024), [20_000, 8_192]);
        assert_eq!(cut(&[8_193], 20_000, 1_024), [7_169, 1_024]);
        assert_eq!(cut(&[7], 3, 1_024), [3, 3, 1]);
        assert_eq!(cut(&[50_000], 20_000, 0), [20_000, 20_000, 10_000]);
    }
}
