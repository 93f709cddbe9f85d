//! Rows of Arrow batches as JSON Lines or as a table.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampNanosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Schema, TimeUnit};
use minutebook::time::{format_timestamp, from_nanos};
use serde_json::{Map, Number, Value};

use super::Output;
use super::format;
use super::table::{Align, Table};
use crate::failure::{Exit, Failure, Outcome};

/// How much of a cell a table shows; all of it is in the JSON form.
const WIDEST: usize = 60;

/// Writes a batch in the form that was asked for; tables of several batches have their heading once each.
pub(crate) fn print(output: &mut Output<'_>, batch: &RecordBatch) -> Outcome {
    if output.json {
        return print_json(output, batch);
    }
    let schema = batch.schema();
    let columns: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| (field.name().as_str(), align(field.data_type())))
        .collect();
    let mut table = Table::new(&columns);
    let formatters = formatters(batch)?;
    for row in 0..batch.num_rows() {
        table.row(
            batch
                .columns()
                .iter()
                .zip(&formatters)
                .map(|(column, formatter)| match (time(column, row), formatter) {
                    (Some(at), _) => format::time(at),
                    (None, Some(formatter)) => {
                        format::shorten(&formatter.value(row).to_string(), WIDEST)
                    }
                    (None, None) => "-".to_owned(),
                }),
        );
    }
    table.print(output)
}

/// Writes one JSON object a row: the columns by name, times as RFC 3339 in UTC, what is null as `null`.
fn print_json(output: &mut Output<'_>, batch: &RecordBatch) -> Outcome {
    let schema = batch.schema();
    let formatters = formatters(batch)?;
    for row in 0..batch.num_rows() {
        let object: Map<_, _> = schema
            .fields()
            .iter()
            .zip(batch.columns().iter().zip(&formatters))
            .map(|(field, (column, formatter))| {
                (field.name().clone(), value(column, formatter.as_ref(), row))
            })
            .collect();
        output.json_line(&Value::Object(object))?;
    }
    Ok(())
}

/// One for each column, but for times, which are shown in our own way.
fn formatters(batch: &RecordBatch) -> Outcome<Vec<Option<ArrayFormatter<'_>>>> {
    const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_null("-");
    batch
        .columns()
        .iter()
        .map(|column| {
            if is_time(column) {
                return Ok(None);
            }
            ArrayFormatter::try_new(column.as_ref(), &OPTIONS)
                .map(Some)
                .map_err(|error| {
                    Failure::new(
                        Exit::Unsupported,
                        format!("a column cannot be shown: {error}"),
                    )
                })
        })
        .collect()
}

fn is_time(column: &dyn Array) -> bool {
    matches!(
        column.data_type(),
        DataType::Timestamp(TimeUnit::Nanosecond, Some(_))
    )
}

fn align(data_type: &DataType) -> Align {
    if data_type.is_numeric() {
        Align::Right
    } else {
        Align::Left
    }
}

fn time(column: &dyn Array, row: usize) -> Option<chrono::DateTime<chrono::Utc>> {
    (is_time(column) && column.is_valid(row))
        .then(|| from_nanos(column.as_primitive::<TimestampNanosecondType>().value(row)))
}

fn value(column: &dyn Array, formatter: Option<&ArrayFormatter<'_>>, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    if let Some(at) = time(column, row) {
        return format_timestamp(at).into();
    }
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int8 => column.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).into(),
        DataType::Float32 => number(f64::from(column.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => number(column.as_primitive::<Float64Type>().value(row)),
        _ => formatter.map_or(Value::Null, |formatter| {
            formatter.value(row).to_string().into()
        }),
    }
}

/// JSON has no NaN and no infinity; their names as text are better than a `null` that means "no value".
fn number(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}

/// The columns and their types, for `info`.
pub(crate) fn columns(schema: &Schema) -> Vec<(String, String)> {
    schema
        .fields()
        .iter()
        .map(|field| (field.name().clone(), field.data_type().to_string()))
        .collect()
}
