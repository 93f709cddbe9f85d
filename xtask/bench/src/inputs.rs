//! Reading the inputs, which the peers' scripts or `generate` have written.

pub(crate) mod generate;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use minutebook_core::series::batch::conform;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The first `count` lines of a file.
pub(crate) fn lines(path: &Path, count: usize) -> Result<Vec<String>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let lines = BufReader::new(file)
        .lines()
        .take(count)
        .collect::<std::io::Result<Vec<_>>>()?;
    ensure!(
        lines.len() == count,
        "{} has only {} lines; {count} are needed",
        path.display(),
        lines.len()
    );
    Ok(lines)
}

/// A whole Parquet file as one batch, `timestamp` first.
pub(crate) fn frame(path: &Path) -> Result<RecordBatch> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?
        .with_batch_size(1 << 20)
        .build()?;
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    let first = batches.first().context("an empty input")?;
    // pandas leaves its own description in the schema; the store would carry it along.
    let batch = concat_batches(&first.schema(), &batches)?;
    let schema = batch
        .schema()
        .as_ref()
        .clone()
        .with_metadata(std::collections::HashMap::default());
    Ok(conform(&batch.with_schema(schema.into())?, "timestamp")?)
}
