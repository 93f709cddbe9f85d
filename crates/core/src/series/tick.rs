//! Ticks: single trades or prices as they came.

use std::fmt;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::batch::{arrow_mismatch, mismatch, timestamp_array, timestamp_field, timestamps};
use super::row::{Row, optional, required};
use crate::error::{Error, Result};
use crate::id::shown;
use crate::time::from_nanos;

/// Who took the initiative in a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The buyer.
    Buy,
    /// The seller.
    Sell,
}

impl Side {
    /// `buy` or `sell`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Side {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Buy, Self::Sell]
            .into_iter()
            .find(|side| side.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                Error::invalid("a side is \"buy\" or \"sell\"").with_resource(shown(text))
            })
    }
}

/// One tick: a price at an instant, with size and side where the feed has them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// When it happened, UTC, to the nanosecond.
    pub timestamp: DateTime<Utc>,
    /// The price.
    pub price: f64,
    /// How much, in units of the instrument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<f64>,
    /// Who took the initiative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
}

impl Row for Tick {
    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            timestamp_field(),
            Field::new("price", DataType::Float64, false),
            Field::new("size", DataType::Float64, true),
            Field::new("side", DataType::Utf8, true),
        ]))
    }

    fn timestamp(&self) -> DateTime<Utc> {
        self.timestamp
    }

    fn to_batch(rows: &[Self]) -> Result<RecordBatch> {
        RecordBatch::try_new(
            Self::schema(),
            vec![
                timestamp_array(rows.iter().map(|tick| tick.timestamp))?,
                Arc::new(Float64Array::from_iter_values(
                    rows.iter().map(|tick| tick.price),
                )),
                Arc::new(rows.iter().map(|tick| tick.size).collect::<Float64Array>()),
                Arc::new(
                    rows.iter()
                        .map(|tick| tick.side.map(Side::as_str))
                        .collect::<StringArray>(),
                ),
            ],
        )
        .map_err(arrow_mismatch)
    }

    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>> {
        let times = timestamps(batch)?;
        let price = required(batch, "price")?;
        let size = optional(batch, "size")?;
        let side = match batch.column_by_name("side") {
            None => None,
            Some(column) => Some(column.as_string_opt::<i32>().ok_or_else(|| {
                mismatch(format!(
                    "the column \"side\" has the type {}; it should be Utf8",
                    column.data_type()
                ))
            })?),
        };
        (0..batch.num_rows())
            .map(|i| {
                Ok(Self {
                    timestamp: from_nanos(times.value(i)),
                    price: price.value(i),
                    size: size.as_ref().filter(|a| a.is_valid(i)).map(|a| a.value(i)),
                    side: side
                        .filter(|a| a.is_valid(i))
                        .map(|a| a.value(i).parse())
                        .transpose()?,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_cross_arrow_exactly() {
        let tick = |side| Tick {
            timestamp: from_nanos(1_700_000_000_123_456_789),
            price: 0.1,
            size: None,
            side,
        };
        let ticks = [
            tick(Some(Side::Sell)),
            Tick {
                size: Some(2.0),
                ..tick(None)
            },
        ];
        let batch = Tick::to_batch(&ticks).unwrap();
        assert_eq!(Tick::from_batch(&batch).unwrap(), ticks);
        let bare = Tick::from_batch(&batch.project(&[0, 1]).unwrap()).unwrap();
        assert_eq!((bare[1].size, bare[0].side), (None, None));
        assert!(Tick::from_batch(&batch.project(&[0, 2]).unwrap()).is_err());
    }
}
