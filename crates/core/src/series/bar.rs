//! Bars: open, high, low, close and volume over a span of time.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::batch::{arrow_mismatch, timestamp_array, timestamp_field, timestamps};
use super::row::{Row, required};
use crate::error::Result;
use crate::time::from_nanos;

/// One OHLCV bar.
///
/// Its timestamp is its open; it is known when it has closed, at `timestamp + timeframe`
/// ([`Timeframe::close_of`](super::Timeframe::close_of)). Nothing that joins decisions to bars may use one before.
///
/// ```
/// use minutebook_core::{Bar, series::BarFault, time::parse_timestamp};
///
/// let mut bar = Bar {
///     timestamp: parse_timestamp("2024-01-01T00:00:00Z")?,
///     open: 100.0, high: 101.5, low: 99.5, close: 101.0, volume: 12.0,
/// };
/// assert_eq!(bar.fault(), None);
/// bar.high = 99.0;
/// assert_eq!(bar.fault(), Some(BarFault::HighBelowLow));
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// When the bar opens, UTC.
    pub timestamp: DateTime<Utc>,
    /// The first price.
    pub open: f64,
    /// The highest price.
    pub high: f64,
    /// The lowest price.
    pub low: f64,
    /// The last price.
    pub close: f64,
    /// What was traded, in units of the instrument.
    pub volume: f64,
}

/// What is wrong with a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BarFault {
    /// A price or the volume is NaN or infinite.
    NotFinite,
    /// The volume is below zero.
    NegativeVolume,
    /// The high is below the low.
    HighBelowLow,
    /// The open lies outside low to high.
    OpenOutside,
    /// The close lies outside low to high.
    CloseOutside,
}

impl std::fmt::Display for BarFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "a price or the volume is not a finite number",
            Self::NegativeVolume => "the volume is negative",
            Self::HighBelowLow => "the high is below the low",
            Self::OpenOutside => "the open lies outside low to high",
            Self::CloseOutside => "the close lies outside low to high",
        })
    }
}

impl Bar {
    /// What is wrong with the bar, if anything. Prices below zero are not wrong: spreads and some futures have them.
    pub fn fault(&self) -> Option<BarFault> {
        let inside = |price: f64| self.low <= price && price <= self.high;
        if ![self.open, self.high, self.low, self.close, self.volume]
            .iter()
            .all(|value| value.is_finite())
        {
            Some(BarFault::NotFinite)
        } else if self.volume < 0.0 {
            Some(BarFault::NegativeVolume)
        } else if self.high < self.low {
            Some(BarFault::HighBelowLow)
        } else if !inside(self.open) {
            Some(BarFault::OpenOutside)
        } else if !inside(self.close) {
            Some(BarFault::CloseOutside)
        } else {
            None
        }
    }
}

const PRICES: [&str; 5] = ["open", "high", "low", "close", "volume"];

impl Row for Bar {
    fn schema() -> SchemaRef {
        let mut fields = vec![timestamp_field()];
        fields.extend(PRICES.map(|name| Field::new(name, DataType::Float64, false)));
        Arc::new(Schema::new(fields))
    }

    fn timestamp(&self) -> DateTime<Utc> {
        self.timestamp
    }

    fn to_batch(rows: &[Self]) -> Result<RecordBatch> {
        let column = |get: fn(&Self) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(rows.iter().map(get)))
        };
        let columns = vec![
            timestamp_array(rows.iter().map(|bar| bar.timestamp))?,
            column(|bar| bar.open),
            column(|bar| bar.high),
            column(|bar| bar.low),
            column(|bar| bar.close),
            column(|bar| bar.volume),
        ];
        RecordBatch::try_new(Self::schema(), columns).map_err(arrow_mismatch)
    }

    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>> {
        let times = timestamps(batch)?;
        let [open, high, low, close, volume] = PRICES.map(|n| required(batch, n));
        let (open, high, low, close, volume) = (open?, high?, low?, close?, volume?);
        Ok((0..batch.num_rows())
            .map(|i| Self {
                timestamp: from_nanos(times.value(i)),
                open: open.value(i),
                high: high.value(i),
                low: low.value(i),
                close: close.value(i),
                volume: volume.value(i),
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn bar(nanos: i64, open: f64, high: f64, low: f64, close: f64) -> Bar {
        Bar {
            timestamp: from_nanos(nanos),
            open,
            high,
            low,
            close,
            volume: 1.0,
        }
    }

    #[test]
    fn bars_cross_arrow_exactly() {
        let bars = [
            bar(1, 1.1, 2.0, 0.1, 0.3),
            bar(i64::MAX, -0.0, 1e300, -5.0, 4.0),
        ];
        let batch = Bar::to_batch(&bars).unwrap();
        assert_eq!(Bar::from_batch(&batch).unwrap(), bars);
        let without = batch.project(&[0, 1, 2, 3, 4]).unwrap();
        let error = Bar::from_batch(&without).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
        assert!(error.message().contains("volume"));
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(bar(0, 1.0, 2.0, 0.5, 1.5).fault(), None);
        assert_eq!(
            bar(0, 1.0, 0.4, 0.5, 1.5).fault(),
            Some(BarFault::HighBelowLow)
        );
        assert_eq!(
            bar(0, 3.0, 2.0, 0.5, 1.5).fault(),
            Some(BarFault::OpenOutside)
        );
        assert_eq!(
            bar(0, 1.0, 2.0, 0.5, 0.1).fault(),
            Some(BarFault::CloseOutside)
        );
        assert_eq!(
            bar(0, f64::NAN, 2.0, 0.5, 1.5).fault(),
            Some(BarFault::NotFinite)
        );
        let negative = Bar {
            volume: -1.0,
            ..bar(0, 1.0, 2.0, 0.5, 1.5)
        };
        assert_eq!(negative.fault(), Some(BarFault::NegativeVolume));
    }
}
