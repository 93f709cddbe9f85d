//! The rules of a batch and how to make one that keeps them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch, TimestampNanosecondArray};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};

pub use super::widen::common_type;
use crate::error::{Error, ErrorKind, Result};
use crate::time::{from_nanos, parse_timestamp, to_nanos};

/// The name of the time column of every series.
pub const TIMESTAMP: &str = "timestamp";

/// The type of the time column: nanoseconds since 1970-01-01T00:00:00 UTC.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// The time column's field: not null, as its type says.
pub fn timestamp_field() -> Field {
    Field::new(TIMESTAMP, timestamp_type(), false)
}

/// A time column of these instants.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput) for an instant that nanoseconds in 64 bits do not reach.
pub fn timestamp_array(times: impl IntoIterator<Item = DateTime<Utc>>) -> Result<ArrayRef> {
    let nanos = times
        .into_iter()
        .map(to_nanos)
        .collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(
        TimestampNanosecondArray::from(nanos).with_timezone("UTC"),
    ))
}

/// The nanoseconds of a batch's time column.
///
/// # Errors
/// [`SchemaMismatch`](ErrorKind::SchemaMismatch) if there is no such column, it has another type, or a null in it.
pub fn timestamps(batch: &RecordBatch) -> Result<&TimestampNanosecondArray> {
    let column = batch
        .column_by_name(TIMESTAMP)
        .ok_or_else(|| mismatch("there is no column \"timestamp\""))?;
    let array = column
        .as_primitive_opt::<TimestampNanosecondType>()
        .filter(|array| *array.data_type() == timestamp_type())
        .ok_or_else(|| {
            mismatch(format!(
                "the column \"timestamp\" has the type {}; it must be Timestamp(ns, \"UTC\")",
                column.data_type()
            ))
        })?;
    match array.null_count() {
        0 => Ok(array),
        nulls => Err(mismatch(format!(
            "the column \"timestamp\" has {nulls} nulls; every row needs a time"
        ))),
    }
}

/// The earliest and the latest instant of a batch, or `None` if it has no row.
///
/// # Errors
/// As [`timestamps`].
pub fn bounds(batch: &RecordBatch) -> Result<Option<(DateTime<Utc>, DateTime<Utc>)>> {
    let values = timestamps(batch)?.values();
    let (min, max) = (values.iter().min(), values.iter().max());
    Ok(min
        .zip(max)
        .map(|(min, max)| (from_nanos(*min), from_nanos(*max))))
}

/// Checks a batch and puts `timestamp` first: what every backend does before it writes.
///
/// # Errors
/// [`SchemaMismatch`](ErrorKind::SchemaMismatch) if the time column breaks the rules or a column name occurs twice.
pub fn checked(batch: RecordBatch) -> Result<RecordBatch> {
    timestamps(&batch)?;
    let schema = batch.schema();
    for (i, field) in schema.fields().iter().enumerate() {
        if schema.fields()[..i]
            .iter()
            .any(|other| other.name() == field.name())
        {
            return Err(mismatch(format!(
                "the column \"{}\" is there twice",
                field.name()
            )));
        }
    }
    let at = schema.index_of(TIMESTAMP).map_err(arrow_mismatch)?;
    if at == 0 {
        return Ok(batch);
    }
    let order: Vec<usize> = std::iter::once(at)
        .chain((0..schema.fields().len()).filter(|i| *i != at))
        .collect();
    batch.project(&order).map_err(arrow_mismatch)
}

/// Makes a batch keep the rules: takes `time_column` (any Arrow timestamp or date; text as
/// [`parse_timestamp`] reads it; without a zone it is UTC; or `Int64` nanoseconds) as the time, names it `timestamp` and puts it first.
///
/// # Errors
/// [`SchemaMismatch`](ErrorKind::SchemaMismatch) if the column is not there, is no time, has a null, or there is another `timestamp` column;
/// [`InvalidInput`](ErrorKind::InvalidInput) if a time does not fit into nanoseconds.
pub fn conform(batch: &RecordBatch, time_column: &str) -> Result<RecordBatch> {
    let schema = batch.schema();
    let at = schema
        .index_of(time_column)
        .map_err(|_| mismatch(format!("there is no column \"{time_column}\"")))?;
    if time_column != TIMESTAMP && schema.index_of(TIMESTAMP).is_ok() {
        return Err(mismatch(format!(
            "the batch has both \"{time_column}\" and \"timestamp\"; drop or rename one"
        )));
    }
    let mut fields = vec![Arc::new(timestamp_field())];
    let time = to_utc_nanos(batch.column(at), time_column)?;
    if time.null_count() > 0 {
        return Err(mismatch(format!(
            "the column \"{time_column}\" has {} nulls; every row needs a time",
            time.null_count()
        )));
    }
    let mut columns = vec![time];
    for (i, field) in schema.fields().iter().enumerate() {
        if i != at {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(batch.column(i)));
        }
    }
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    let batch = RecordBatch::try_new(Arc::new(schema), columns).map_err(arrow_mismatch)?;
    checked(batch)
}

fn to_utc_nanos(column: &ArrayRef, name: &str) -> Result<ArrayRef> {
    let scaled = |array: PrimitiveArray<Int64Type>, factor: i64| -> Result<ArrayRef> {
        let nanos = array
            .try_unary::<_, TimestampNanosecondType, Error>(|value| {
                value.checked_mul(factor).ok_or_else(|| {
                    Error::invalid(format!(
                        "a time in \"{name}\" lies outside 1677-09-21 to 2262-04-11, the range of nanoseconds"
                    ))
                })
            })?;
        Ok(Arc::new(nanos.with_timezone("UTC")))
    };
    match column.data_type() {
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => scaled(
                column
                    .as_primitive::<TimestampSecondType>()
                    .reinterpret_cast(),
                1_000_000_000,
            ),
            TimeUnit::Millisecond => scaled(
                column
                    .as_primitive::<TimestampMillisecondType>()
                    .reinterpret_cast(),
                1_000_000,
            ),
            TimeUnit::Microsecond => scaled(
                column
                    .as_primitive::<TimestampMicrosecondType>()
                    .reinterpret_cast(),
                1_000,
            ),
            TimeUnit::Nanosecond => scaled(
                column
                    .as_primitive::<TimestampNanosecondType>()
                    .reinterpret_cast(),
                1,
            ),
        },
        DataType::Int64 => scaled(column.as_primitive::<Int64Type>().clone(), 1),
        DataType::Date32 => {
            let days: PrimitiveArray<Int64Type> =
                column.as_primitive::<Date32Type>().unary(i64::from);
            scaled(days, 86_400_000_000_000)
        }
        DataType::Date64 => scaled(
            column.as_primitive::<Date64Type>().reinterpret_cast(),
            1_000_000,
        ),
        text if is_text(text) => from_texts(column, name),
        other => Err(mismatch(format!(
            "the column \"{name}\" has the type {other}, which is no time"
        ))),
    }
}

/// Whether a type is text, plain or by a dictionary.
pub fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn from_texts(column: &ArrayRef, name: &str) -> Result<ArrayRef> {
    let texts = arrow_cast::cast(column, &DataType::LargeUtf8).map_err(arrow_mismatch)?;
    let texts = texts.as_string::<i64>().iter().enumerate();
    let nanos = texts.map(|(row, text)| {
        let parse = |text: &str| {
            parse_timestamp(text).and_then(to_nanos).map_err(|error| {
                let message = format!("row {row} of \"{name}\" is \"{text}\", which is no time");
                Error::invalid(message).with_source(error)
            })
        };
        text.map(parse).transpose()
    });
    let nanos = nanos.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(
        TimestampNanosecondArray::from(nanos).with_timezone("UTC"),
    ))
}

/// The schema that holds both: `stored`'s columns in their order, then those that `incoming` adds, as nullable. A column that has
/// different types in the two gets the one that holds every value of both exactly ([`common_type`]).
///
/// # Errors
/// [`SchemaMismatch`](ErrorKind::SchemaMismatch) naming a column for whose types there is no such type.
pub fn merge_schemas(stored: &SchemaRef, incoming: &SchemaRef) -> Result<SchemaRef> {
    let mut fields: Vec<FieldRef> = stored.fields().iter().map(Arc::clone).collect();
    for (i, field) in fields.iter_mut().enumerate() {
        match incoming.fields().find(field.name()) {
            Some((_, new)) if new.data_type() != field.data_type() => {
                let common = common_type(field.data_type(), new.data_type()).ok_or_else(|| {
                    mismatch(format!(
                        "the column \"{}\" has the type {} in the series and {} in the batch",
                        field.name(),
                        field.data_type(),
                        new.data_type()
                    ))
                })?;
                let nullable = field.is_nullable() || new.is_nullable();
                let widened = field.as_ref().clone().with_data_type(common);
                *field = Arc::new(widened.with_nullable(nullable));
            }
            Some((_, new)) if field.is_nullable() || !new.is_nullable() => {}
            _ if i == 0 && field.name() == TIMESTAMP => {}
            _ => *field = Arc::new(field.as_ref().clone().with_nullable(true)),
        }
    }
    for new in incoming.fields() {
        if stored.fields().find(new.name()).is_none() {
            fields.push(Arc::new(new.as_ref().clone().with_nullable(true)));
        }
    }
    Ok(Arc::new(Schema::new_with_metadata(
        fields,
        stored.metadata().clone(),
    )))
}

/// The batch with exactly the columns of `schema`: in its order, nulls for what the batch does not have, narrower types widened.
///
/// # Errors
/// [`SchemaMismatch`](ErrorKind::SchemaMismatch) if a column has a type that does not widen to the schema's, or is missing where null is not allowed.
pub fn align(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let columns = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column)
                if common_type(column.data_type(), field.data_type()).as_ref()
                    == Some(field.data_type()) =>
            {
                widened(column, field)
            }
            Some(column) => Err(mismatch(format!(
                "the column \"{}\" has the type {}; it should be {}",
                field.name(),
                column.data_type(),
                field.data_type()
            ))),
            None => Ok(arrow_array::new_null_array(
                field.data_type(),
                batch.num_rows(),
            )),
        })
        .collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(arrow_mismatch)
}

fn widened(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    let options = arrow_cast::CastOptions {
        safe: false,
        ..Default::default()
    };
    arrow_cast::cast_with_options(column, field.data_type(), &options).map_err(|error| {
        mismatch(format!(
            "the column \"{}\" cannot be widened from {} to {}",
            field.name(),
            column.data_type(),
            field.data_type()
        ))
        .with_source(error)
    })
}

pub(super) fn mismatch(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::SchemaMismatch, message)
}

pub(super) fn arrow_mismatch(error: arrow_schema::ArrowError) -> Error {
    mismatch(format!("the columns do not fit together: {error}")).with_source(error)
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float64Array, Int64Array, TimestampMillisecondArray};

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn conform_takes_any_timestamp_and_puts_it_first() {
        let given = batch(vec![
            ("close", Arc::new(Float64Array::from(vec![1.5]))),
            (
                "time",
                Arc::new(TimestampMillisecondArray::from(vec![1_700_000_000_123])),
            ),
        ]);
        let made = conform(&given, "time").unwrap();
        assert_eq!(made.schema().field(0), &timestamp_field());
        assert_eq!(
            timestamps(&made).unwrap().value(0),
            1_700_000_000_123_000_000
        );
        assert!(conform(&given, "nope").is_err());
        assert!(conform(&given, "close").is_err());
    }

    #[test]
    fn dates_and_texts_are_times_too() {
        let at = 1_704_153_600_000_000_000;
        let texts = |texts: Vec<Option<&str>>| Arc::new(arrow_array::StringArray::from(texts));
        let columns: [ArrayRef; 4] = [
            Arc::new(arrow_array::Date32Array::from(vec![19_724])),
            Arc::new(arrow_array::Date64Array::from(vec![1_704_153_600_000])),
            texts(vec![Some("2024-01-02")]),
            texts(vec![Some("2024-01-01 19:00:00-05:00")]),
        ];
        for column in columns {
            let given = batch(vec![("date", column)]);
            let made = conform(&given, "date").unwrap();
            assert_eq!(timestamps(&made).unwrap().value(0), at, "{given:?}");
        }
        let given = batch(vec![(
            "date",
            texts(vec![Some("2024-01-02"), Some("Monday")]),
        )]);
        let error = conform(&given, "date").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(
            error.message().contains("row 1 of \"date\" is \"Monday\""),
            "{error}"
        );
        let given = batch(vec![("date", texts(vec![None]))]);
        assert!(conform(&given, "date").is_err());
    }

    #[test]
    fn a_time_that_does_not_fit_is_refused() {
        let given = batch(vec![(
            "timestamp",
            Arc::new(TimestampMillisecondArray::from(vec![i64::MAX])),
        )]);
        assert_eq!(
            conform(&given, TIMESTAMP).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        let null = batch(vec![(
            "timestamp",
            Arc::new(TimestampMillisecondArray::from(vec![None::<i64>])),
        )]);
        assert_eq!(
            conform(&null, TIMESTAMP).unwrap_err().kind(),
            ErrorKind::SchemaMismatch
        );
    }

    #[test]
    fn schemas_merge_by_name_and_types_must_agree() {
        let time = || timestamp_array([from_nanos(1)]).unwrap();
        let one = batch(vec![
            ("timestamp", time()),
            ("a", Arc::new(Int64Array::from(vec![1]))),
        ]);
        let two = batch(vec![
            ("timestamp", time()),
            ("b", Arc::new(Int64Array::from(vec![2]))),
        ]);
        let merged = merge_schemas(&one.schema(), &two.schema()).unwrap();
        let names: Vec<_> = merged.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["timestamp", "a", "b"]);
        assert_eq!(align(&two, &merged).unwrap().column(1).null_count(), 1);
        let narrow = batch(vec![
            ("timestamp", time()),
            ("a", Arc::new(arrow_array::Int8Array::from(vec![7]))),
        ]);
        let wider = merge_schemas(&narrow.schema(), &one.schema()).unwrap();
        assert_eq!(wider.field(1).data_type(), &DataType::Int64);
        let cast = align(&narrow, &wider).unwrap();
        assert_eq!(cast.column(1).as_primitive::<Int64Type>().value(0), 7);
        assert!(align(&one, &narrow.schema()).is_err());
        let other = batch(vec![
            ("timestamp", time()),
            ("a", Arc::new(Float64Array::from(vec![1.0]))),
        ]);
        let error = merge_schemas(&one.schema(), &other.schema()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
        assert!(error.message().contains("\"a\""));
    }
}
