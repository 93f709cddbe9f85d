//! Typed rows over Arrow batches.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray, RecordBatch};
use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};

use super::batch::mismatch;
use crate::error::Result;

/// A typed row that converts from and to Arrow batches: [`Bar`](super::Bar), [`Tick`](super::Tick), or one of your own.
pub trait Row: Sized + Send {
    /// The columns, `timestamp` first.
    fn schema() -> SchemaRef;

    /// When the row is.
    fn timestamp(&self) -> DateTime<Utc>;

    /// Rows as a batch of [`schema`](Self::schema), in the order given.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a timestamp that nanoseconds in 64 bits do not reach.
    fn to_batch(rows: &[Self]) -> Result<RecordBatch>;

    /// The rows of a batch that has at least these columns; others are left aside.
    ///
    /// # Errors
    /// [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) naming a column that is missing, of another type, or null where it must not be.
    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>>;
}

/// A column of this type that has no null.
pub(super) fn required<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>> {
    let array = optional::<T>(batch, name)?
        .ok_or_else(|| mismatch(format!("there is no column \"{name}\"")))?;
    match array.null_count() {
        0 => Ok(array),
        nulls => Err(mismatch(format!("the column \"{name}\" has {nulls} nulls"))),
    }
}

/// A column of this type, or `None` if there is no such column.
pub(super) fn optional<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<Option<&'a PrimitiveArray<T>>> {
    batch
        .column_by_name(name)
        .map(|column| {
            column.as_primitive_opt::<T>().ok_or_else(|| {
                mismatch(format!(
                    "the column \"{name}\" has the type {}; it should be {}",
                    column.data_type(),
                    T::DATA_TYPE
                ))
            })
        })
        .transpose()
}
