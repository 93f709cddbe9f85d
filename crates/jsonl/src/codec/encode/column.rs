//! One column's values as JSON text.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float64Array, Int64Array, LargeListArray,
    ListArray, StringArray, StructArray,
};
use arrow_cast::{CastOptions, can_cast_types, cast_with_options};
use arrow_schema::{DataType, TimeUnit};
use chrono::DateTime;
use minutebook_core::time::{format_timestamp, from_nanos};

use super::number::push_float;
use super::text::push_json;
use crate::codec::kind::Seen;
use crate::error::JsonlError;

/// The values of a column, in a form that writes itself.
#[derive(Debug)]
pub(super) enum Source {
    Null,
    Int(Int64Array),
    Float(Float64Array),
    Bool(BooleanArray),
    Text(StringArray),
    List(ListArray, Box<Self>),
    LargeList(LargeListArray, Box<Self>),
    FixedList(FixedSizeListArray, Box<Self>),
    Struct(StructArray, Vec<(Vec<u8>, Self)>),
}

impl Source {
    /// A column's values: exact where JSON has the type, else as text.
    ///
    /// # Errors
    /// If the type has no JSON form, or a value has none: NaN, infinity, an integer beyond `i64`.
    pub(super) fn new(name: &str, array: &ArrayRef) -> Result<Self, JsonlError> {
        match array.data_type() {
            DataType::Null => Ok(Self::Null),
            DataType::Boolean => Ok(Self::Bool(array.as_boolean().clone())),
            DataType::Dictionary(_, values) => Self::new(name, &cast(name, array, values)?),
            DataType::RunEndEncoded(_, values) => {
                Self::new(name, &cast(name, array, values.data_type())?)
            }
            data_type if data_type.is_integer() => {
                let array = cast(name, array, &DataType::Int64)?;
                Ok(Self::Int(array.as_primitive::<Int64Type>().clone()))
            }
            data_type if data_type.is_floating() => {
                let array = cast(name, array, &DataType::Float64)?;
                let floats = array.as_primitive::<Float64Type>().clone();
                finite(name, &floats)?;
                Ok(Self::Float(floats))
            }
            DataType::Timestamp(_, zone) => Ok(Self::Text(instants(name, array, zone.is_some())?)),
            DataType::List(_) => {
                let list = array.as_list::<i32>().clone();
                let items = Self::new(name, list.values())?;
                Ok(Self::List(list, Box::new(items)))
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>().clone();
                let items = Self::new(name, list.values())?;
                Ok(Self::LargeList(list, Box::new(items)))
            }
            DataType::FixedSizeList(_, _) => {
                let list = array.as_fixed_size_list().clone();
                let items = Self::new(name, list.values())?;
                Ok(Self::FixedList(list, Box::new(items)))
            }
            DataType::Struct(fields) => {
                let object = array.as_struct().clone();
                let mut members = Vec::with_capacity(fields.len());
                for (i, (field, column)) in fields.iter().zip(object.columns()).enumerate() {
                    let mut key = if i == 0 { vec![] } else { vec![b','] };
                    push_json(&mut key, field.name())?;
                    key.push(b':');
                    members.push((key, Self::new(name, column)?));
                }
                Ok(Self::Struct(object, members))
            }
            _ => {
                let array = cast(name, array, &DataType::Utf8)?;
                Ok(Self::Text(array.as_string::<i32>().clone()))
            }
        }
    }

    /// What the values show to whoever reads them.
    pub(super) fn seen(&self) -> Seen {
        let mut seen = Seen::NONE;
        match self {
            Self::Int(ints) => ints
                .iter()
                .flatten()
                .for_each(|int| seen.add(Seen::of_int(int))),
            Self::Float(floats) if floats.null_count() < floats.len() => seen.add(Seen::FLOAT),
            Self::Bool(bools) if bools.null_count() < bools.len() => seen.add(Seen::BOOL),
            Self::Text(texts) if texts.null_count() < texts.len() => seen.add(Seen::TEXT),
            Self::List(list, _) if list.null_count() < list.len() => seen.add(Seen::NESTED),
            Self::LargeList(list, _) if list.null_count() < list.len() => seen.add(Seen::NESTED),
            Self::FixedList(list, _) if list.null_count() < list.len() => seen.add(Seen::NESTED),
            Self::Struct(object, _) if object.null_count() < object.len() => seen.add(Seen::NESTED),
            _ => {}
        }
        seen
    }

    /// No value takes more bytes; `None` if that is not known before they are written.
    pub(super) fn longest(&self) -> Option<usize> {
        Some(match self {
            Self::Null => 4,
            Self::Bool(_) => 5,
            Self::Int(_) => 20,
            // A sign, 17 digits, a point and the longest exponent.
            Self::Float(_) => 1 + 17 + 1 + 5,
            Self::Text(texts) => {
                let offsets = texts.value_offsets();
                let lens = offsets.iter().zip(offsets.iter().skip(1));
                let longest = lens.map(|(from, to)| to - from).max().unwrap_or(0);
                // Each byte may be escaped as `\u0000`.
                usize::try_from(longest).ok()?.checked_mul(6)? + 4
            }
            Self::List(..) | Self::LargeList(..) | Self::FixedList(..) | Self::Struct(..) => {
                return None;
            }
        })
    }

    /// Appends a row's value.
    pub(super) fn push(&self, row: usize, out: &mut Vec<u8>) -> Result<(), JsonlError> {
        match self {
            Self::Int(ints) if ints.is_valid(row) => push_json(out, &ints.value(row))?,
            Self::Float(floats) if floats.is_valid(row) => push_float(out, floats.value(row))?,
            Self::Bool(bools) if bools.is_valid(row) => push_json(out, &bools.value(row))?,
            Self::Text(texts) if texts.is_valid(row) => {
                super::text::push(out, texts.value(row))?;
            }
            Self::List(list, items) if list.is_valid(row) => {
                let offsets = list.value_offsets();
                let bounds = offsets.get(row).zip(offsets.get(row + 1));
                let bounds = bounds.map(|(from, to)| (i64::from(*from), i64::from(*to)));
                push_items(bounds, items, out)?;
            }
            Self::LargeList(list, items) if list.is_valid(row) => {
                let offsets = list.value_offsets();
                let bounds = offsets.get(row).zip(offsets.get(row + 1));
                push_items(bounds.map(|(from, to)| (*from, *to)), items, out)?;
            }
            Self::FixedList(list, items) if list.is_valid(row) => {
                let from = i64::from(list.value_offset(row));
                push_items(
                    Some((from, from + i64::from(list.value_length()))),
                    items,
                    out,
                )?;
            }
            Self::Struct(object, members) if object.is_valid(row) => {
                out.push(b'{');
                for (key, member) in members {
                    out.extend_from_slice(key);
                    member.push(row, out)?;
                }
                out.push(b'}');
            }
            _ => out.extend_from_slice(b"null"),
        }
        Ok(())
    }
}

fn push_items(
    bounds: Option<(i64, i64)>,
    items: &Source,
    out: &mut Vec<u8>,
) -> Result<(), JsonlError> {
    out.push(b'[');
    let (from, to) = bounds.unwrap_or_default();
    for item in from..to {
        if item > from {
            out.push(b',');
        }
        items.push(usize::try_from(item).unwrap_or(usize::MAX), out)?;
    }
    out.push(b']');
    Ok(())
}

/// Instants as RFC 3339 in UTC; without a zone, as the same without `Z`.
fn instants(name: &str, array: &ArrayRef, zoned: bool) -> Result<StringArray, JsonlError> {
    let counts = match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => array
            .as_primitive::<TimestampSecondType>()
            .reinterpret_cast::<Int64Type>(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => array
            .as_primitive::<TimestampMillisecondType>()
            .reinterpret_cast(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => array
            .as_primitive::<TimestampMicrosecondType>()
            .reinterpret_cast(),
        _ => array
            .as_primitive::<TimestampNanosecondType>()
            .reinterpret_cast(),
    };
    let instant = |count: i64| match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => DateTime::from_timestamp(count, 0),
        DataType::Timestamp(TimeUnit::Millisecond, _) => DateTime::from_timestamp_millis(count),
        DataType::Timestamp(TimeUnit::Microsecond, _) => DateTime::from_timestamp_micros(count),
        _ => Some(from_nanos(count)),
    };
    counts
        .iter()
        .map(|count| {
            let Some(count) = count else { return Ok(None) };
            let instant = instant(count).ok_or_else(|| {
                JsonlError::Input(format!(
                    "a time in the column \"{name}\" lies outside what RFC 3339 can write"
                ))
            })?;
            let mut text = format_timestamp(instant);
            if !zoned {
                text.truncate(text.len().saturating_sub(1));
            }
            Ok(Some(text))
        })
        .collect()
}

fn cast(name: &str, array: &ArrayRef, to: &DataType) -> Result<ArrayRef, JsonlError> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    let from = array.data_type();
    let binary = matches!(
        from,
        DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    );
    if binary || !can_cast_types(from, to) {
        return Err(JsonlError::Types(format!(
            "the column \"{name}\" has the type {from}, for which JSON has no form; cast it first"
        )));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(array, to, &options).map_err(|error| {
        JsonlError::Input(format!(
            "a value of the column \"{name}\" has no exact JSON form: {error}"
        ))
    })
}

fn finite(name: &str, floats: &Float64Array) -> Result<(), JsonlError> {
    let bad =
        (0..floats.len()).find(|row| floats.is_valid(*row) && !floats.value(*row).is_finite());
    match bad {
        None => Ok(()),
        Some(row) => Err(JsonlError::Input(format!(
            "the column \"{name}\" has {} in row {}, for which JSON has no text; use null",
            floats.value(row),
            row + 1
        ))),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{Int32Builder, ListBuilder};
    use arrow_array::types::Int32Type;
    use arrow_array::{
        BinaryArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Int16Array,
        TimestampMillisecondArray, UInt64Array,
    };

    use super::*;

    fn texts(array: impl Array + 'static) -> Vec<String> {
        let array: ArrayRef = Arc::new(array);
        let source = Source::new("x", &array).unwrap();
        (0..array.len())
            .map(|row| {
                let mut out = Vec::new();
                source.push(row, &mut out).unwrap();
                String::from_utf8(out).unwrap()
            })
            .collect()
    }

    #[test]
    fn scalars_are_exact() {
        assert_eq!(
            texts(Float64Array::from(vec![
                Some(1.0),
                None,
                Some(0.1),
                Some(-0.0),
                Some(1e300)
            ])),
            ["1.0", "null", "0.1", "-0.0", "1e+300"]
        );
        assert_eq!(texts(Float32Array::from(vec![0.5])), ["0.5"]);
        assert_eq!(
            texts(Int64Array::from(vec![i64::MIN])),
            ["-9223372036854775808"]
        );
        assert_eq!(texts(Int16Array::from(vec![-7])), ["-7"]);
        assert_eq!(texts(StringArray::from(vec!["a\"\n☃"])), ["\"a\\\"\\n☃\""]);
    }

    #[test]
    fn other_types_become_text_or_nested_values() {
        assert_eq!(texts(Date32Array::from(vec![19_723])), ["\"2024-01-01\""]);
        let times = || TimestampMillisecondArray::from(vec![1_704_067_200_123]);
        let zoned = times().with_timezone("Europe/Berlin");
        assert_eq!(texts(zoned), ["\"2024-01-01T00:00:00.123Z\""]);
        assert_eq!(texts(times()), ["\"2024-01-01T00:00:00.123\""]);
        let decimals = Decimal128Array::from(vec![12_340]).with_precision_and_scale(10, 3);
        assert_eq!(texts(decimals.unwrap()), ["\"12.340\""]);
        let dictionary: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
        assert_eq!(texts(dictionary), ["\"a\"", "\"b\"", "\"a\""]);
        let mut list = ListBuilder::new(Int32Builder::new());
        list.append_value([Some(1), None]);
        list.append_null();
        list.append_value([]);
        assert_eq!(texts(list.finish()), ["[1,null]", "null", "[]"]);
        let object = StructArray::from(vec![
            (
                Arc::new(arrow_schema::Field::new("a", DataType::Int64, true)),
                Arc::new(Int64Array::from(vec![1])) as ArrayRef,
            ),
            (
                Arc::new(arrow_schema::Field::new("b", DataType::Utf8, true)),
                Arc::new(StringArray::from(vec!["x"])) as ArrayRef,
            ),
        ]);
        assert_eq!(texts(object), ["{\"a\":1,\"b\":\"x\"}"]);
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        let refused = |array: ArrayRef| Source::new("x", &array).unwrap_err().to_string();
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = refused(Arc::new(Float64Array::from(vec![1.0, bad])));
            assert!(
                error.contains("\"x\"") && error.contains("row 2"),
                "{error}"
            );
        }
        refused(Arc::new(UInt64Array::from(vec![u64::MAX])));
        refused(Arc::new(BinaryArray::from(vec![&b"\x00"[..]])));
    }
}
