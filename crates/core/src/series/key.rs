//! What tells the rows of a series apart: the time, or the time and further columns.

use std::fmt;

use arrow_array::{Array, RecordBatch};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{DataType, Schema};
use serde::{Deserialize, Serialize};

use super::batch::{TIMESTAMP, mismatch, timestamps};
use crate::error::{Error, ErrorKind, Result};
use crate::time::{format_timestamp, from_nanos};

/// More columns than any key needs.
const MAX_COLUMNS: usize = 16;

/// The key of a series: `timestamp`, always first, and the columns that are declared beside it.
///
/// ```
/// use minutebook_core::SeriesKey;
///
/// let key = SeriesKey::new(["timestamp", "trade_id"])?;
/// assert_eq!(key.columns(), ["timestamp", "trade_id"]);
/// // The time is part of every key, named or not.
/// assert_eq!(SeriesKey::new(["trade_id"])?, key);
/// assert_eq!(SeriesKey::timestamp().to_string(), "timestamp");
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct SeriesKey {
    columns: Vec<String>,
}

impl SeriesKey {
    /// The time alone: what upserts go by where nothing is declared.
    pub fn timestamp() -> Self {
        Self {
            columns: vec![TIMESTAMP.to_owned()],
        }
    }

    /// The time and these columns.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a column without a name or named twice, and for more than 16 of them.
    pub fn new<T: Into<String>>(columns: impl IntoIterator<Item = T>) -> Result<Self> {
        let mut key = Self::timestamp();
        let given: Vec<String> = columns.into_iter().map(Into::into).collect();
        for (i, column) in given.iter().enumerate() {
            if column.is_empty() {
                return Err(Error::invalid("a column of the key has no name"));
            }
            if given.iter().take(i).any(|other| other == column) {
                return Err(Error::invalid(format!(
                    "the key names the column \"{column}\" twice"
                )));
            }
        }
        let others = given.into_iter().filter(|column| column != TIMESTAMP);
        key.columns.extend(others);
        if key.columns.len() > MAX_COLUMNS {
            return Err(Error::invalid(format!(
                "a key has at most {MAX_COLUMNS} columns"
            )));
        }
        Ok(key)
    }

    /// The columns, `timestamp` first.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether it is the time alone.
    pub fn is_timestamp(&self) -> bool {
        self.columns.len() == 1
    }
}

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.columns.join(", "))
    }
}

impl TryFrom<Vec<String>> for SeriesKey {
    type Error = Error;

    fn try_from(columns: Vec<String>) -> Result<Self> {
        Self::new(columns)
    }
}

impl From<SeriesKey> for Vec<String> {
    fn from(key: SeriesKey) -> Self {
        key.columns
    }
}

/// Makes the keys of rows comparable. For who writes a backend.
///
/// Keys of one encoder are equal as bytes exactly if they are equal in every column.
#[derive(Debug)]
pub struct KeyEncoder {
    key: SeriesKey,
    converter: RowConverter,
}

impl KeyEncoder {
    /// For rows with the columns of a series. A column of the key that the series does not have yet is missing in every row.
    ///
    /// # Errors
    /// [`SchemaMismatch`](ErrorKind::SchemaMismatch) for a column that cannot be part of a key: floating point, which has no one form of a
    /// number, and what is nested.
    pub fn new(key: &SeriesKey, schema: &Schema) -> Result<Self> {
        let mut fields = Vec::with_capacity(key.columns.len());
        for column in &key.columns {
            let found = schema.field_with_name(column).ok();
            let data_type = found.map_or(&DataType::Null, |field| field.data_type());
            if !can_be_key(data_type) {
                return Err(mismatch(format!(
                    "the column \"{column}\" has the type {data_type}, which no key can have; texts, bytes, whole numbers, decimals, booleans, dates and times can"
                )));
            }
            fields.push(SortField::new(data_type.clone()));
        }
        let converter = RowConverter::new(fields)
            .map_err(|error| mismatch(format!("the key {key} is not possible: {error}")))?;
        Ok(Self {
            key: key.clone(),
            converter,
        })
    }

    /// The keys of a batch's rows, in their order. The batch has the columns and types that the encoder was made for.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if a row has a null in a column of the key, or the column is missing;
    /// [`SchemaMismatch`](ErrorKind::SchemaMismatch) if a type differs.
    pub fn keys(&self, batch: &RecordBatch) -> Result<RowKeys> {
        let mut columns = Vec::with_capacity(self.key.columns.len());
        for name in &self.key.columns {
            match batch.column_by_name(name) {
                Some(column) if column.logical_null_count() == 0 => {
                    columns.push(std::sync::Arc::clone(column));
                }
                None if batch.num_rows() == 0 => {
                    return Ok(RowKeys(self.converter.empty_rows(0, 0)));
                }
                found => {
                    let nulls = found.and_then(Array::logical_nulls);
                    let row =
                        nulls.and_then(|nulls| (0..nulls.len()).find(|row| nulls.is_null(*row)));
                    let times = timestamps(batch)?.values();
                    let time = times.get(row.unwrap_or(0)).copied().unwrap_or_default();
                    return Err(Error::invalid(format!(
                        "\"{name}\" is null in the row at {}; it is part of the key ({}), which every row needs",
                        format_timestamp(from_nanos(time)),
                        self.key
                    )));
                }
            }
        }
        self.converter
            .convert_columns(&columns)
            .map(RowKeys)
            .map_err(|error| {
                mismatch(format!("the key cannot be read: {error}")).with_source(error)
            })
    }

    /// Says in words which key a row of a batch has, for messages.
    pub fn describe(&self, batch: &RecordBatch, row: usize) -> String {
        let value = |name: &String| {
            let column = batch.column_by_name(name)?;
            arrow_cast::display::array_value_to_string(column, row).ok()
        };
        let parts = self.key.columns.iter();
        let parts = parts.map(|name| format!("{name} {}", value(name).unwrap_or_default()));
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// The keys of some rows.
#[derive(Debug)]
pub struct RowKeys(Rows);

impl RowKeys {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.0.num_rows()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each row's key, in the order of the rows.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|row| row.data())
    }

    /// Refuses a batch, the one that the keys are of, that has a key twice.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput), which names the key.
    pub fn distinct(&self, encoder: &KeyEncoder, batch: &RecordBatch) -> Result<()> {
        let mut seen = std::collections::HashSet::with_capacity(self.len());
        match self.iter().position(|key| !seen.insert(key)) {
            None => Ok(()),
            Some(row) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the batch has a row with {} twice; a key may be there once",
                    encoder.describe(batch, row)
                ),
            )),
        }
    }
}

fn can_be_key(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Null
        | T::Boolean
        | T::Utf8
        | T::LargeUtf8
        | T::Utf8View
        | T::Binary
        | T::LargeBinary
        | T::BinaryView
        | T::FixedSizeBinary(_)
        | T::Timestamp(..)
        | T::Date32
        | T::Date64
        | T::Time32(_)
        | T::Time64(_)
        | T::Duration(_)
        | T::Decimal32(..)
        | T::Decimal64(..)
        | T::Decimal128(..)
        | T::Decimal256(..) => true,
        T::Dictionary(_, values) => can_be_key(values),
        other => other.is_integer(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int32Type;
    use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, StringArray};

    use super::super::batch::timestamp_array;
    use super::*;

    fn batch(rows: &[(i64, Option<&str>)]) -> RecordBatch {
        let times = timestamp_array(rows.iter().map(|(time, _)| from_nanos(*time))).unwrap();
        let symbols: StringArray = rows.iter().map(|(_, symbol)| *symbol).collect();
        let symbols: ArrayRef = Arc::new(symbols);
        RecordBatch::try_from_iter([(TIMESTAMP, times), ("symbol", symbols)]).unwrap()
    }

    #[test]
    fn keys_are_equal_if_all_columns_are() {
        let key = SeriesKey::new(["symbol"]).unwrap();
        let rows = batch(&[
            (1, Some("a")),
            (1, Some("b")),
            (2, Some("a")),
            (1, Some("a")),
        ]);
        let encoder = KeyEncoder::new(&key, &rows.schema()).unwrap();
        let keys = encoder.keys(&rows).unwrap();
        let all: Vec<_> = keys.iter().collect();
        assert_eq!(all[0], all[3]);
        assert!(all[0] != all[1] && all[0] != all[2]);
        let error = keys.distinct(&encoder, &rows).unwrap_err();
        assert!(error.message().contains("symbol a"), "{error}");
        assert!(keys.len() == 4 && !keys.is_empty());
        // Written one by one they are the same keys: what is stored is compared with what comes.
        let alone = encoder.keys(&rows.slice(1, 1)).unwrap();
        assert_eq!(alone.iter().next(), Some(all[1]));
    }

    #[test]
    fn dictionaries_are_compared_by_their_values() {
        let key = SeriesKey::new(["symbol"]).unwrap();
        let make = |values: [&str; 2]| {
            let symbols: DictionaryArray<Int32Type> = values.into_iter().collect();
            let times = timestamp_array([from_nanos(1), from_nanos(1)]).unwrap();
            let symbols: ArrayRef = Arc::new(symbols);
            RecordBatch::try_from_iter([(TIMESTAMP, times), ("symbol", symbols)]).unwrap()
        };
        let (one, two) = (make(["a", "b"]), make(["b", "a"]));
        let encoder = KeyEncoder::new(&key, &one.schema()).unwrap();
        let (one, two) = (encoder.keys(&one).unwrap(), encoder.keys(&two).unwrap());
        assert_eq!(one.iter().next(), two.iter().nth(1));
    }

    #[test]
    fn what_is_no_key_is_refused_and_named() {
        let key = SeriesKey::new(["symbol"]).unwrap();
        let rows = batch(&[(1, Some("a")), (2, None)]);
        let encoder = KeyEncoder::new(&key, &rows.schema()).unwrap();
        let error = encoder.keys(&rows).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains("\"symbol\""), "{error}");
        let missing = rows.project(&[0]).unwrap();
        assert!(encoder.keys(&missing).is_err());
        assert!(encoder.keys(&missing.slice(0, 0)).unwrap().is_empty());
        let price: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
        let schema = RecordBatch::try_from_iter([("symbol", price)]).unwrap();
        let error = KeyEncoder::new(&key, &schema.schema()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
        let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let schema = RecordBatch::try_from_iter([("symbol", number)]).unwrap();
        KeyEncoder::new(&key, &schema.schema()).unwrap();
    }

    #[test]
    fn a_key_has_the_time_and_each_column_once() {
        assert!(SeriesKey::new(["a", "a"]).is_err());
        assert!(SeriesKey::new([""]).is_err());
        assert!(SeriesKey::new((0..16).map(|n| format!("c{n}"))).is_err());
        let key = SeriesKey::new(["a", TIMESTAMP]).unwrap();
        assert_eq!(key.columns(), [TIMESTAMP, "a"]);
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(text, "[\"timestamp\",\"a\"]");
        assert_eq!(serde_json::from_str::<SeriesKey>(&text).unwrap(), key);
        assert!(serde_json::from_str::<SeriesKey>("[\"a\",\"a\"]").is_err());
    }
}
