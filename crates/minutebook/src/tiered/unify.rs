//! One schema for the columns of both sides.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch, StringArray, new_null_array};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::sides::{Side, are_floats};
use crate::series::batch::{TIMESTAMP, timestamp_type};
use crate::time::{format_timestamp, from_nanos};
use crate::{Error, ErrorKind, Problem, ProblemKind, Result, SeriesId};

/// The columns of both sides.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    /// Those of the cold side in their order, then those that the hot one has besides.
    pub(super) schema: SchemaRef,
    /// Those that are read as text, since no other type holds the values of both, and what is said of each.
    pub(super) texts: Vec<(String, Problem)>,
}

/// One schema for both sides.
pub(super) async fn columns(series: &SeriesId, cold: &Side, hot: &Side) -> Result<Columns> {
    let (of_cold, of_hot) = (&cold.summary.schema, &hot.summary.schema);
    let mut fields: Vec<FieldRef> = Vec::with_capacity(of_cold.fields().len());
    let mut texts = Vec::new();
    for field in of_cold.fields() {
        let name = field.name();
        if name == TIMESTAMP {
            fields.push(Arc::clone(field));
            continue;
        }
        let data_type = match (cold.type_of(name), hot.type_of(name)) {
            (None, Some(known)) => known.clone(),
            (Some(a), Some(b)) if a != b => {
                let fits = match (a, b) {
                    (DataType::Int64, DataType::Float64) => cold.scan.fits_floats(name).await?,
                    (DataType::Float64, DataType::Int64) => hot.scan.fits_floats(name).await?,
                    _ => false,
                };
                if fits {
                    DataType::Float64
                } else if has_text(a) && has_text(b) {
                    let message = format!(
                        "the column \"{name}\" has the type {a} in the cold store and {b} in the hot one; read as text"
                    );
                    let problem =
                        Problem::new(ProblemKind::TypeChanged, series.to_string(), message);
                    texts.push((name.clone(), problem));
                    DataType::Utf8
                } else {
                    return Err(mismatch(name, a, b));
                }
            }
            _ => field.data_type().clone(),
        };
        fields.push(Arc::new(Field::new(name, data_type, true)));
    }
    for field in of_hot.fields() {
        if of_cold.fields().find(field.name()).is_none() {
            fields.push(Arc::new(field.as_ref().clone().with_nullable(true)));
        }
    }
    let schema = Schema::new_with_metadata(fields, of_cold.metadata().clone());
    Ok(Columns {
        schema: Arc::new(schema),
        texts,
    })
}

/// Whether values of a type are one text each, the same that a JSON line has of them.
fn has_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean | DataType::Utf8 | DataType::Float32 | DataType::Float64 => true,
        DataType::Timestamp(_, zone) => zone.as_deref() == Some("UTC"),
        other => other.is_integer(),
    }
}

fn mismatch(name: &str, a: &DataType, b: &DataType) -> Error {
    Error::new(
        ErrorKind::SchemaMismatch,
        format!(
            "the column \"{name}\" has the types {a} and {b}, one in the cold store and one in the hot one, and no one type holds the values of both; read the two apart, or without the column"
        ),
    )
}

/// Refuses a batch with a column that has another type in the cold store.
pub(super) fn check(cold: &SchemaRef, batch: &RecordBatch, exact: bool) -> Result<()> {
    for field in batch.schema().fields() {
        let Some((_, known)) = cold.fields().find(field.name()) else {
            continue;
        };
        let (stored, new) = (known.data_type(), field.data_type());
        let same = if exact {
            stored == new
        } else {
            *new == DataType::Null || as_json(stored) == as_json(new)
        };
        // What is wrong with the time column is said by the hot store.
        if !same && field.name() != TIMESTAMP {
            return Err(Error::new(
                ErrorKind::SchemaMismatch,
                format!(
                    "the column \"{}\" has the type {stored} in the series and {new} in the batch",
                    field.name()
                ),
            ));
        }
    }
    Ok(())
}

/// The type as which a column comes back from JSON.
fn as_json(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => as_json(values),
        DataType::RunEndEncoded(_, values) => as_json(values.data_type()),
        DataType::Boolean => DataType::Boolean,
        data_type if data_type.is_integer() => DataType::Int64,
        data_type if data_type.is_floating() => DataType::Float64,
        _ => DataType::Utf8,
    }
}

/// A batch of one side with the columns of the answer.
pub(super) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let wanted = field.data_type();
        columns.push(match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == wanted => Arc::clone(column),
            Some(column) if column.null_count() < column.len() => floats(column, wanted)
                .or_else(|| texts(column, wanted))
                .ok_or_else(|| mismatch(field.name(), wanted, column.data_type()))?,
            _ => new_null_array(wanted, batch.num_rows()),
        });
    }
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| {
        Error::new(ErrorKind::SchemaMismatch, "the columns do not fit together").with_source(error)
    })
}

/// Integers as floats, if floats are wanted and hold each of them.
#[allow(
    clippy::cast_precision_loss,
    reason = "only up to 2^53, where every integer is a float"
)]
fn floats(column: &ArrayRef, wanted: &DataType) -> Option<ArrayRef> {
    let ints = column
        .as_primitive_opt::<Int64Type>()
        .filter(|_| *wanted == DataType::Float64)?;
    are_floats(ints).then(|| {
        let floats: PrimitiveArray<Float64Type> = ints.unary(|int| int as f64);
        Arc::new(floats) as ArrayRef
    })
}

/// Values as texts, if texts are wanted: numbers in their shortest form, instants as RFC 3339 in UTC.
fn texts(column: &ArrayRef, wanted: &DataType) -> Option<ArrayRef> {
    let from = column.data_type();
    if *wanted != DataType::Utf8 || !has_text(from) {
        return None;
    }
    if !matches!(from, DataType::Timestamp(..)) {
        return cast(column, wanted).ok();
    }
    let nanos = cast(column, &timestamp_type()).ok()?;
    let nanos = nanos.as_primitive_opt::<TimestampNanosecondType>()?.iter();
    let texts = nanos.map(|nanos| Some(format_timestamp(from_nanos(nanos?))));
    Some(Arc::new(texts.collect::<StringArray>()))
}
