//! Finding the times in a file that somebody else wrote.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, RecordBatch};
use arrow_schema::{DataType, Schema, TimeUnit};

use minutebook_core::series::batch::{conform, is_text};

use crate::codec::pandas;
use crate::error::{Fault, Result};

/// Names under which times stand, in order of preference; case does not matter.
const NAMES: [&str; 4] = ["timestamp", "time", "datetime", "date"];

/// The column that is the time index: what pandas calls the index if that is a time, else a column with a usual name.
pub(super) fn column(schema: &Schema) -> Option<String> {
    named(schema, |data_type| nanos_per(data_type).is_some())
}

/// The column that would be the time index if its texts are times, where no column is a time.
pub(super) fn text_column(schema: &Schema) -> Option<String> {
    match column(schema) {
        Some(_) => None,
        None => named(schema, is_text),
    }
}

fn named(schema: &Schema, fits: impl Fn(&DataType) -> bool) -> Option<String> {
    let is_time = |name: &str| {
        schema
            .field_with_name(name)
            .is_ok_and(|field| fits(field.data_type()))
    };
    if let Some(index) = pandas_index(schema).filter(|index| is_time(index)) {
        return Some(index);
    }
    NAMES.iter().find_map(|name| {
        let mut fields = schema.fields().iter();
        let field = fields
            .find(|field| field.name().eq_ignore_ascii_case(name) && is_time(field.name()))?;
        Some(field.name().clone())
    })
}

/// The column that the metadata of pandas calls the index, if it is there.
pub(super) fn pandas_index(schema: &Schema) -> Option<String> {
    let index = pandas::index_column(schema.metadata().get(pandas::KEY)?)?;
    schema.index_of(&index).is_ok().then_some(index)
}

/// Nanoseconds in one unit of a type, if it is a time. Without a zone it is UTC.
pub(crate) fn nanos_per(data_type: &DataType) -> Option<i64> {
    match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => Some(1_000_000_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => Some(1_000_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(1),
        DataType::Date32 => Some(86_400_000_000_000),
        _ => None,
    }
}

/// The times of a column in its own unit; `None` if it is no time.
pub(super) fn values(column: &ArrayRef) -> Option<Vec<Option<i64>>> {
    fn of<T: ArrowPrimitiveType>(column: &ArrayRef) -> Vec<Option<i64>>
    where
        i64: From<T::Native>,
    {
        column
            .as_primitive::<T>()
            .iter()
            .map(|value| value.map(i64::from))
            .collect()
    }
    match column.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => Some(of::<TimestampSecondType>(column)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Some(of::<TimestampMillisecondType>(column))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Some(of::<TimestampMicrosecondType>(column))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(of::<TimestampNanosecondType>(column)),
        DataType::Date32 => Some(of::<Date32Type>(column)),
        DataType::Date64 => Some(of::<Date64Type>(column)),
        _ => None,
    }
}

/// A column as times where it has texts; as it is otherwise. The error names the first text that is no time.
pub(super) fn readable(column: &ArrayRef, name: &str) -> Result<ArrayRef> {
    if !is_text(column.data_type()) {
        return Ok(Arc::clone(column));
    }
    let alone = RecordBatch::try_from_iter_with_nullable([(name, Arc::clone(column), true)]);
    let alone = alone.map_err(|e| Fault::Invalid(format!("\"{name}\" cannot be read: {e}")))?;
    Ok(Arc::clone(conform(&alone, name)?.column(0)))
}

/// A closed span of nanoseconds, in 128 bits so that no unit overflows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: i128,
    pub(super) end: i128,
}

impl Span {
    /// Whether an instant, so many units of `nanos` each, lies in it.
    pub(super) fn contains(&self, value: i64, nanos: i64) -> bool {
        let at = i128::from(value) * i128::from(nanos);
        (self.start..=self.end).contains(&at)
    }

    /// Whether a closed span of values meets it.
    pub(super) fn meets(&self, (min, max): (i64, i64), nanos: i64) -> bool {
        i128::from(max) * i128::from(nanos) >= self.start
            && i128::from(min) * i128::from(nanos) <= self.end
    }

    /// Which rows of a column lie in it. A row without a time does not.
    pub(super) fn rows(&self, column: &ArrayRef) -> Option<BooleanArray> {
        let nanos = nanos_per(column.data_type())?;
        let inside = values(column)?
            .into_iter()
            .map(|value| Some(value.is_some_and(|v| self.contains(v, nanos))));
        Some(inside.collect())
    }
}
