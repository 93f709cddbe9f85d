//! Typed rows over Arrow batches.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, Float64Array, RecordBatch};
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

    /// The rows of a batch that has at least these columns; others are left aside. Whole numbers serve where numbers are needed.
    ///
    /// # Errors
    /// [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) naming a column that is missing, of another type, or null where it must not be.
    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>>;
}

/// A column of numbers that has no null.
pub(super) fn required<'a>(batch: &'a RecordBatch, name: &str) -> Result<Cow<'a, Float64Array>> {
    let array =
        optional(batch, name)?.ok_or_else(|| mismatch(format!("there is no column \"{name}\"")))?;
    match array.null_count() {
        0 => Ok(array),
        nulls => Err(mismatch(format!("the column \"{name}\" has {nulls} nulls"))),
    }
}

/// A column of numbers, or `None` if there is no such column.
///
/// Whole numbers are taken too: a feed or another program writes a price of 100.0 as 100.
pub(super) fn optional<'a>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<Option<Cow<'a, Float64Array>>> {
    let Some(column) = batch.column_by_name(name) else {
        return Ok(None);
    };
    if let Some(array) = column.as_primitive_opt::<Float64Type>() {
        return Ok(Some(Cow::Borrowed(array)));
    }
    let whole = column.as_primitive_opt::<Int64Type>().ok_or_else(|| {
        mismatch(format!(
            "the column \"{name}\" has the type {}; it should be Float64",
            column.data_type()
        ))
    })?;
    #[allow(
        clippy::cast_precision_loss,
        reason = "prices and volumes lie far below 2^53, where each whole number is exact"
    )]
    let array = whole.unary::<_, Float64Type>(|value| value as f64);
    Ok(Some(Cow::Owned(array)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn whole_numbers_are_numbers_and_text_is_not() {
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![Some(100), None]));
        let text: ArrayRef = Arc::new(StringArray::from(vec!["1", "2"]));
        let batch = RecordBatch::try_from_iter([("whole", whole), ("text", text)]).unwrap();
        let read = optional(&batch, "whole").unwrap().unwrap();
        assert_eq!(*read, Float64Array::from(vec![Some(100.0), None]));
        assert!(required(&batch, "whole").is_err());
        assert!(optional(&batch, "text").is_err());
        assert!(optional(&batch, "none").unwrap().is_none());
    }
}
