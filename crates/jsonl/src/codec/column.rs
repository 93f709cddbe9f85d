//! Collects the values of one column, with a way back when a line turns out to be broken.

use std::sync::Arc;

use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::ArrowError;

use super::fields::Shape;
use super::instant;
use super::kind::ColumnType;
use super::token::Token;
use crate::config::EpochUnit;

/// The values of one column so far.
#[derive(Debug)]
pub(crate) struct Column {
    values: Values,
    rows: usize,
    /// Which rows have a value; none of them is null as long as there is nothing here.
    valid: Option<BooleanBufferBuilder>,
    unit: Option<EpochUnit>,
}

#[derive(Debug)]
enum Values {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(BooleanBufferBuilder),
    Text { offsets: Vec<i32>, bytes: Vec<u8> },
    Time(Vec<i64>),
}

impl Column {
    /// An empty column with room for so many rows. Numbers in a column of times count `unit`s.
    pub(crate) fn new(column_type: ColumnType, rows: usize, unit: Option<EpochUnit>) -> Self {
        let values = match column_type {
            ColumnType::Int64 => Values::Int(Vec::with_capacity(rows)),
            ColumnType::Float64 => Values::Float(Vec::with_capacity(rows)),
            ColumnType::Boolean => Values::Bool(BooleanBufferBuilder::new(rows)),
            ColumnType::Utf8 => {
                let mut offsets = Vec::with_capacity(rows + 1);
                offsets.push(0);
                Values::Text {
                    offsets,
                    bytes: Vec::with_capacity(rows * 8),
                }
            }
            ColumnType::Time => Values::Time(Vec::with_capacity(rows)),
        };
        Self {
            values,
            rows: 0,
            valid: None,
            unit,
        }
    }

    /// The number of rows.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Adds a value, or null if it does not fit the type: then the answer is `false`.
    #[inline]
    pub(crate) fn push(&mut self, value: &Token<'_>) -> bool {
        let fits = match &mut self.values {
            Values::Int(ints) => match int(value) {
                Some(int) => {
                    ints.push(int);
                    true
                }
                None => false,
            },
            Values::Float(floats) => match float(value) {
                Some(float) => {
                    floats.push(float);
                    true
                }
                None => false,
            },
            Values::Bool(bools) => match value.shape {
                Shape::Bool => {
                    bools.append(value.text == "true");
                    true
                }
                _ => false,
            },
            Values::Text { offsets, bytes } => push_text(offsets, bytes, value),
            Values::Time(times) => match instant::nanos(value, self.unit) {
                Some(nanos) => {
                    times.push(nanos);
                    true
                }
                None => false,
            },
        };
        if fits {
            self.rows += 1;
            if let Some(valid) = &mut self.valid {
                valid.append(true);
            }
            return true;
        }
        self.push_null();
        value.shape == Shape::Null
    }

    /// Adds a null.
    pub(crate) fn push_null(&mut self) {
        match &mut self.values {
            Values::Int(values) | Values::Time(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Bool(values) => values.append(false),
            Values::Text { offsets, bytes } => offsets.push(end(bytes)),
        }
        let rows = self.rows;
        self.valid
            .get_or_insert_with(|| {
                let mut valid = BooleanBufferBuilder::new(rows + 1);
                valid.append_n(rows, true);
                valid
            })
            .append(false);
        self.rows += 1;
    }

    /// Adds nulls up to so many rows.
    #[inline]
    pub(crate) fn pad(&mut self, rows: usize) {
        while self.len() < rows {
            self.push_null();
        }
    }

    /// Forgets the rows from this one on, if there are such.
    #[inline]
    pub(crate) fn truncate_to(&mut self, rows: usize) {
        if self.len() > rows {
            self.truncate(rows);
        }
    }

    /// Makes floats of integers; `false` if a float would change one of them.
    pub(crate) fn widen(&mut self) -> bool {
        let Values::Int(ints) = &self.values else {
            return false;
        };
        // 2^53: up to there every integer is a float.
        if ints.iter().any(|int| int.unsigned_abs() > 1 << 53) {
            return false;
        }
        #[allow(clippy::cast_precision_loss, reason = "at most 2^53, as just checked")]
        let mut floats: Vec<f64> = ints.iter().map(|int| *int as f64).collect();
        floats.reserve(ints.capacity() - ints.len());
        self.values = Values::Float(floats);
        true
    }

    /// Forgets the rows from this one on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Int(values) | Values::Time(values) => values.truncate(rows),
            Values::Float(values) => values.truncate(rows),
            Values::Bool(values) => values.truncate(rows),
            Values::Text { offsets, bytes } => {
                offsets.truncate(rows + 1);
                let end = offsets.last().copied().unwrap_or(0);
                bytes.truncate(usize::try_from(end).unwrap_or(0));
            }
        }
        self.rows = self.rows.min(rows);
        if let Some(valid) = &mut self.valid {
            valid.truncate(rows);
        }
    }

    /// The column as an Arrow array.
    pub(crate) fn finish(self) -> Result<ArrayRef, ArrowError> {
        let nulls = self
            .valid
            .map(|valid| NullBuffer::new(valid.build()))
            // A null that was taken back leaves none.
            .filter(|nulls| nulls.null_count() > 0);
        Ok(match self.values {
            Values::Int(values) => Arc::new(PrimitiveArray::<Int64Type>::try_new(
                ScalarBuffer::from(values),
                nulls,
            )?),
            Values::Float(values) => Arc::new(PrimitiveArray::<Float64Type>::try_new(
                ScalarBuffer::from(values),
                nulls,
            )?),
            Values::Bool(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Text { offsets, bytes } => Arc::new(StringArray::try_new(
                OffsetBuffer::new(ScalarBuffer::from(offsets)),
                Buffer::from_vec(bytes),
                nulls,
            )?),
            Values::Time(values) => Arc::new(
                PrimitiveArray::<TimestampNanosecondType>::try_new(
                    ScalarBuffer::from(values),
                    nulls,
                )?
                .with_timezone("UTC"),
            ),
        })
    }
}

/// Text as it is; of every other value its JSON text. `false` for null, and where 2 GiB of text would not fit into one array.
fn push_text(offsets: &mut Vec<i32>, bytes: &mut Vec<u8>, value: &Token<'_>) -> bool {
    let before = bytes.len();
    match value.shape {
        Shape::Null => return false,
        Shape::Escaped => value.push_string(bytes),
        Shape::Plain | Shape::Bool | Shape::Int | Shape::Float | Shape::Nested => {
            bytes.extend_from_slice(value.text.as_bytes());
        }
    }
    if let Ok(end) = i32::try_from(bytes.len()) {
        offsets.push(end);
        true
    } else {
        bytes.truncate(before);
        false
    }
}

fn end(bytes: &[u8]) -> i32 {
    // `push_text` lets no more in than this.
    i32::try_from(bytes.len()).unwrap_or(i32::MAX)
}

/// An integer, also one in a string.
#[inline]
fn int(value: &Token<'_>) -> Option<i64> {
    match value.shape {
        Shape::Int => value.int(),
        Shape::Plain => value.text.trim().parse().ok(),
        _ => None,
    }
}

/// A finite number, also one in a string. An integer that a float would change is none.
#[inline]
fn float(value: &Token<'_>) -> Option<f64> {
    match value.shape {
        Shape::Float => value.float(),
        Shape::Int => {
            let float = value.float()?;
            let exact = value
                .is_small_int()
                .unwrap_or_else(|| value.text.len() <= 15 || exact(value.text, float));
            exact.then_some(float)
        }
        Shape::Plain => {
            let number: f64 = value.text.trim().parse().ok()?;
            number.is_finite().then_some(number)
        }
        _ => None,
    }
}

/// Whether the float is exactly the integer of this text.
fn exact(text: &str, float: f64) -> bool {
    format!("{float:.0}") == text
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    use super::*;
    use crate::codec::fields::Fields;

    fn push(column: &mut Column, json: &str) -> bool {
        let text = format!("{{\"a\":{json}}}");
        let field = Fields::new(&text).next().unwrap().unwrap();
        column.push(&Token::of(field.value))
    }

    #[test]
    fn values_fit_or_become_null() {
        let mut column = Column::new(ColumnType::Float64, 4, None);
        assert!(push(&mut column, "1"));
        assert!(push(&mut column, "\"2059.10000000\""));
        assert!(push(&mut column, "null"));
        assert!(!push(&mut column, "\"inf\""));
        assert!(!push(&mut column, "9007199254740993"));
        assert!(push(&mut column, "-9007199254740992"));
        let array = column.finish().unwrap();
        let floats = array.as_primitive::<Float64Type>();
        assert_eq!(
            (floats.value(0), floats.value(1), floats.null_count()),
            (1.0, 2059.1, 3)
        );
        assert!(floats.is_valid(5));
    }

    #[test]
    fn a_broken_row_is_forgotten() {
        for column_type in [
            ColumnType::Utf8,
            ColumnType::Int64,
            ColumnType::Boolean,
            ColumnType::Float64,
            ColumnType::Time,
        ] {
            let mut column = Column::new(column_type, 4, Some(EpochUnit::Seconds));
            let json = if column_type == ColumnType::Boolean {
                "true"
            } else {
                "12"
            };
            assert!(push(&mut column, json));
            column.push_null();
            assert!(push(&mut column, json));
            column.truncate(2);
            assert!(push(&mut column, json));
            let array = column.finish().unwrap();
            assert_eq!((array.len(), array.null_count()), (3, 1), "{column_type:?}");
            assert!(array.is_valid(2));
        }
    }

    #[test]
    fn text_takes_every_value_as_its_json() {
        let mut column = Column::new(ColumnType::Utf8, 4, None);
        for json in ["\"a\\n\\u00e9\"", "1.50", "{\"x\": [1]}", "true"] {
            assert!(push(&mut column, json));
        }
        let array = column.finish().unwrap();
        let texts: Vec<_> = array.as_string::<i32>().iter().flatten().collect();
        assert_eq!(texts, ["a\né", "1.50", "{\"x\": [1]}", "true"]);
    }
}
