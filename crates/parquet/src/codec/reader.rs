//! Parquet bytes to rows: given rows of given columns, and nothing else, are fetched and decoded.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use minutebook_fs::task;
use minutebook_fs::task::TaskError;
use object_store::path::Path;
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderBuilder, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;

use super::footer::Footer;
use super::pages::{self, Unvouched};
use crate::error::{Fault, Result};
use crate::store::{DurableStore, Storage, named};

/// Row groups of so many bytes, not compressed, are decoded where they are asked for.
const INLINE_BYTES: u64 = 256 << 10;

/// What to read of a file.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Root columns by name; those that the file does not have are left out.
    pub(crate) columns: Option<Vec<String>>,
    /// Row ranges, ascending and apart.
    pub(crate) rows: Vec<Range<u64>>,
    pub(crate) batch_size: usize,
}

/// Reads rows. The batches have the file's own columns and types.
pub(crate) async fn read(
    storage: &Storage,
    path: &Path,
    footer: &Arc<Footer>,
    wanted: Wanted,
    unvouched: Unvouched,
) -> Result<Vec<RecordBatch>> {
    let Some(decoder) = decoder(footer, &wanted).map_err(|e| damaged(path, e))? else {
        return Ok(Vec::new());
    };
    if let Some(local) = storage.as_local() {
        if footer.bytes_of(&wanted.rows) <= INLINE_BYTES {
            let decoded = task::inline(|| drive(decoder, footer, local, path, unvouched));
            return decoded.map_err(|error| undecoded(path, error))?;
        }
        let (local, at, footer) = (local.clone(), path.clone(), Arc::clone(footer));
        return decoding(path, move || {
            drive(decoder, &footer, &local, &at, unvouched)
        })
        .await?;
    }
    let mut step = Step {
        decoder,
        batches: Vec::new(),
    };
    loop {
        let (next, needs) = decoding(path, move || {
            let needs = step.run();
            (step, needs)
        })
        .await?;
        step = next;
        match needs.map_err(|e| damaged(path, e))? {
            Some(ranges) => {
                let data = storage.ranges(path, &ranges).await?;
                pages::check(footer.metadata(), &ranges, &data, unvouched)
                    .map_err(|e| damaged(path, e))?;
                step.decoder
                    .push_ranges(ranges, data)
                    .map_err(|e| damaged(path, e))?;
            }
            None => return Ok(step.batches),
        }
    }
}

/// Decoding runs off the asynchronous threads; a panic in it is damage in the file.
async fn decoding<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let done = task::blocking(work).await;
    done.map_err(|error| undecoded(path, error))
}

fn undecoded(path: &Path, error: TaskError) -> Fault {
    match error {
        TaskError::Panicked(text) => {
            Fault::corrupt(path, format!("the bytes make no sense: {text}"))
        }
        other => Fault::Task(other),
    }
}

struct Step {
    decoder: ParquetPushDecoder,
    batches: Vec<RecordBatch>,
}

impl Step {
    /// Decodes until bytes are missing (and says which) or nothing is left.
    fn run(&mut self) -> Result<Option<Vec<Range<u64>>>, ParquetError> {
        loop {
            match self.decoder.try_decode()? {
                DecodeResult::NeedsData(ranges) => return Ok(Some(ranges)),
                DecodeResult::Data(batch) => self.batches.push(batch),
                DecodeResult::Finished => return Ok(None),
            }
        }
    }
}

/// Decodes to the end, reading from a local store on this thread.
fn drive(
    decoder: ParquetPushDecoder,
    footer: &Footer,
    store: &DurableStore,
    path: &Path,
    unvouched: Unvouched,
) -> Result<Vec<RecordBatch>> {
    let mut step = Step {
        decoder,
        batches: Vec::new(),
    };
    while let Some(ranges) = step.run().map_err(|e| damaged(path, e))? {
        let data: Vec<Bytes> = named(path, store.read_ranges(path, &ranges))?;
        pages::check(footer.metadata(), &ranges, &data, unvouched).map_err(|e| damaged(path, e))?;
        step.decoder
            .push_ranges(ranges, data)
            .map_err(|e| damaged(path, e))?;
    }
    Ok(step.batches)
}

/// Decodes on this thread, batch by batch, until `take` says no more.
pub(crate) fn decode_with(
    footer: &Footer,
    wanted: &Wanted,
    mut fetch: impl FnMut(&[Range<u64>]) -> Result<Vec<Bytes>, ParquetError>,
    mut take: impl FnMut(RecordBatch) -> bool,
) -> Result<(), ParquetError> {
    let Some(mut decoder) = decoder(footer, wanted)? else {
        return Ok(());
    };
    loop {
        match decoder.try_decode()? {
            DecodeResult::NeedsData(ranges) => {
                let data = fetch(&ranges)?;
                pages::check(footer.metadata(), &ranges, &data, Unvouched::Read)?;
                decoder.push_ranges(ranges, data)?;
            }
            DecodeResult::Data(batch) => {
                if !take(batch) {
                    return Ok(());
                }
            }
            DecodeResult::Finished => return Ok(()),
        }
    }
}

fn decoder(footer: &Footer, wanted: &Wanted) -> Result<Option<ParquetPushDecoder>, ParquetError> {
    let builder = ParquetPushDecoderBuilder::new_with_metadata(footer.arrow.clone());
    let builder = configured(builder, footer, wanted)?;
    builder.map(ParquetPushDecoderBuilder::build).transpose()
}

/// Decodes on this thread from what reads pages one by one: of columns without an index of pages those that are left out are not read.
pub(crate) fn decode_from(
    bytes: impl ChunkReader + 'static,
    footer: &Footer,
    wanted: &Wanted,
    mut take: impl FnMut(RecordBatch) -> bool,
) -> Result<(), ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, footer.arrow.clone());
    let Some(builder) = configured(builder, footer, wanted)? else {
        return Ok(());
    };
    for batch in builder.build()? {
        if !take(batch?) {
            break;
        }
    }
    Ok(())
}

/// A reader of the rows and columns that are wanted; `None` if there are no such rows.
fn configured<T>(
    builder: ArrowReaderBuilder<T>,
    footer: &Footer,
    wanted: &Wanted,
) -> Result<Option<ArrowReaderBuilder<T>>, ParquetError> {
    let mut groups = Vec::new();
    let mut chosen: Vec<Range<usize>> = Vec::new();
    let mut total = 0_u64;
    let mut count = 0_u64;
    for (i, group) in footer.row_groups().enumerate() {
        let before = chosen.len();
        let first = wanted
            .rows
            .partition_point(|range| range.end <= group.start);
        for range in wanted
            .rows
            .iter()
            .skip(first)
            .take_while(|range| range.start < group.end)
        {
            let start = range.start.max(group.start) - group.start + total;
            let end = range.end.min(group.end) - group.start + total;
            count += end - start;
            chosen.push(index(start)?..index(end)?);
        }
        if chosen.len() > before {
            groups.push(i);
            total += group.end - group.start;
        }
    }
    if groups.is_empty() {
        return Ok(None);
    }
    let schema = footer.metadata().file_metadata().schema_descr();
    let mask = match &wanted.columns {
        None => ProjectionMask::all(),
        Some(names) => {
            let roots = schema.root_schema().get_fields().iter().enumerate();
            let kept = roots.filter(|(_, field)| names.iter().any(|name| name == field.name()));
            ProjectionMask::roots(schema, kept.map(|(i, _)| i).collect::<Vec<_>>())
        }
    };
    let mut builder = builder
        .with_row_groups(groups)
        .with_projection(mask)
        .with_batch_size(wanted.batch_size.max(1));
    if count < total {
        let selection = RowSelection::from_consecutive_ranges(chosen.into_iter(), index(total)?);
        builder = builder.with_row_selection(selection);
    }
    Ok(Some(builder))
}

fn index(row: u64) -> Result<usize, ParquetError> {
    usize::try_from(row).map_err(|_| ParquetError::General("too many rows for this machine".into()))
}

pub(crate) fn damaged(path: &Path, error: ParquetError) -> Fault {
    let message = error.to_string();
    Fault::corrupt_by(path, message, error)
}
