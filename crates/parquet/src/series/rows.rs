//! Rows in memory: in order of time, without repeats, put together.

use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use minutebook_core::series::batch::{align, timestamps};
use minutebook_core::time::{format_timestamp, from_nanos};

use crate::error::{Fault, Result};

/// The batch in order of time; equal times keep their order.
pub(super) fn sorted(batch: RecordBatch) -> Result<RecordBatch> {
    let times = timestamps(&batch)?.values();
    if times.is_sorted() {
        return Ok(batch);
    }
    let rows = u32::try_from(batch.num_rows()).map_err(|_| {
        Fault::Invalid("more than 4,294,967,295 rows in one batch; write them in parts".into())
    })?;
    let mut order: Vec<u32> = (0..rows).collect();
    order.sort_by_key(|row| times.get(*row as usize));
    take_record_batch(&batch, &UInt32Array::from(order))
        .map_err(|e| Fault::Invalid(format!("the rows cannot be sorted: {e}")))
}

/// Batches under one another with one schema, in order of time; at equal times earlier batches come first.
pub(super) fn joined(batches: &[RecordBatch], schema: &SchemaRef) -> Result<RecordBatch> {
    let aligned = batches
        .iter()
        .map(|batch| align(batch, schema))
        .collect::<Result<Vec<_>, _>>()?;
    let joined = concat_batches(schema, &aligned)
        .map_err(|e| Fault::Invalid(format!("the rows do not fit into one segment: {e}")))?;
    sorted(joined)
}

/// Refuses a sorted batch that has a timestamp twice.
pub(super) fn distinct(batch: &RecordBatch) -> Result<()> {
    let times = timestamps(batch)?.values();
    let twice = times.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    });
    match twice {
        Some(time) => Err(Fault::Invalid(format!(
            "the timestamp {} is in the batch twice; an upsert needs each once",
            format_timestamp(from_nanos(time))
        ))),
        None => Ok(()),
    }
}

/// The schema of a series that begins with this batch.
pub(super) fn first_schema(batch: &RecordBatch) -> SchemaRef {
    Arc::clone(batch.schema_ref())
}
