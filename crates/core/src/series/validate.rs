//! Whether bars are what they should be: a report, bar by bar.

use std::borrow::Cow;
use std::fmt;

use arrow_array::{Array, Float64Array, RecordBatch};
use chrono::{DateTime, Utc};

use super::bar::BarFault;
use super::batch::{TIMESTAMP, mismatch, timestamps};
use super::row::optional;
use super::{Bar, Calendar, Timeframe};
use crate::error::Result;
use crate::time::{format_timestamp, from_nanos};

/// What is wrong with one bar of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BarIssueKind {
    /// The bar contradicts itself.
    Fault(BarFault),
    /// A price is below zero. Spreads and some futures have such prices; allow them for those.
    NegativePrice,
    /// A price or the volume is null.
    Missing,
    /// The timestamp is that of the bar before.
    Duplicate,
    /// The timestamp is before that of the bar before.
    OutOfOrder,
    /// The timestamp is no open of the timeframe's grid.
    OffGrid,
    /// The market is closed over the whole of the bar.
    MarketClosed,
}

impl BarIssueKind {
    /// Its name in `snake_case`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fault(BarFault::NotFinite) => "not_finite",
            Self::Fault(BarFault::NegativeVolume) => "negative_volume",
            Self::Fault(BarFault::HighBelowLow) => "high_below_low",
            Self::Fault(BarFault::OpenOutside) => "open_outside",
            Self::Fault(BarFault::CloseOutside) => "close_outside",
            Self::NegativePrice => "negative_price",
            Self::Missing => "missing",
            Self::Duplicate => "duplicate",
            Self::OutOfOrder => "out_of_order",
            Self::OffGrid => "off_grid",
            Self::MarketClosed => "market_closed",
        }
    }
}

impl fmt::Display for BarIssueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::NegativePrice => f.write_str("a price is negative"),
            Self::Missing => f.write_str("a price or the volume is missing"),
            Self::Duplicate => f.write_str("the timestamp is there already"),
            Self::OutOfOrder => f.write_str("the timestamp is before that of the bar before"),
            Self::OffGrid => f.write_str("the timestamp is not on the timeframe's grid"),
            Self::MarketClosed => f.write_str("the market is closed then"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarIssue {
    /// Which row, counted from 0.
    pub row: u64,
    /// Its timestamp.
    pub timestamp: DateTime<Utc>,
    /// What is wrong with it.
    pub kind: BarIssueKind,
}

impl fmt::Display for BarIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", format_timestamp(self.timestamp), self.kind)
    }
}

/// What a validation found. Every issue is counted; the first [`BarReport::KEPT`] of each kind are kept whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BarReport {
    rows: u64,
    counts: Vec<(BarIssueKind, u64)>,
    issues: Vec<BarIssue>,
}

impl BarReport {
    /// How many issues of a kind a report keeps in full.
    pub const KEPT: u64 = 100;

    /// How many bars were looked at.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }

    /// How many issues there are of each kind that occurs, in the order in which the kinds were met.
    pub fn counts(&self) -> &[(BarIssueKind, u64)] {
        &self.counts
    }

    /// The first issues of each kind, in the order of the rows.
    pub fn issues(&self) -> &[BarIssue] {
        &self.issues
    }

    fn add(&mut self, issue: BarIssue) {
        let at = self.counts.iter().position(|(kind, _)| *kind == issue.kind);
        let count = if let Some((_, count)) = at.and_then(|at| self.counts.get_mut(at)) {
            *count += 1;
            *count
        } else {
            self.counts.push((issue.kind, 1));
            1
        };
        if count <= Self::KEPT {
            self.issues.push(issue);
        }
    }
}

/// Validates bars that come batch by batch in the order of the series.
///
/// ```
/// use minutebook_core::series::{BarIssueKind, BarValidator};
/// use minutebook_core::{Bar, Row, Timeframe, time::parse_timestamp};
///
/// let bar = |text: &str| -> minutebook_core::Result<Bar> {
///     Ok(Bar { timestamp: parse_timestamp(text)?, open: 1.0, high: 2.0, low: 0.5, close: 1.5, volume: 10.0 })
/// };
/// let mut validator = BarValidator::new().timeframe(Timeframe::HOUR);
/// validator.add(&Bar::to_batch(&[bar("2024-01-01T00:00Z")?, bar("2024-01-01T00:30Z")?])?)?;
/// let report = validator.finish();
/// assert_eq!(report.issues()[0].kind, BarIssueKind::OffGrid);
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct BarValidator {
    timeframe: Option<Timeframe>,
    calendar: Option<Calendar>,
    negative_prices: bool,
    before: Option<i64>,
    report: BarReport,
}

const COLUMNS: [&str; 5] = ["open", "high", "low", "close", "volume"];

impl BarValidator {
    /// Looks at the bars themselves and at the order of their times.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks also whether each bar lies on the grid of this timeframe.
    #[must_use]
    pub fn timeframe(mut self, timeframe: Timeframe) -> Self {
        self.timeframe = Some(timeframe);
        self
    }

    /// Looks also whether the market is open; needs a timeframe.
    #[must_use]
    pub fn calendar(mut self, calendar: Calendar) -> Self {
        self.calendar = Some(calendar);
        self
    }

    /// Takes prices below zero as they are.
    #[must_use]
    pub fn allow_negative_prices(mut self) -> Self {
        self.negative_prices = true;
        self
    }

    /// The columns that a validation reads; a scan may be limited to them.
    pub fn columns() -> [&'static str; 5] {
        COLUMNS
    }

    /// Looks at the bars of a batch. A column of volumes may be missing, one of prices may not.
    ///
    /// # Errors
    /// [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) if the batch has no times or prices.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let times = timestamps(batch)?.values();
        let price = |name: &str| {
            optional(batch, name)?.ok_or_else(|| mismatch(format!("there is no column \"{name}\"")))
        };
        let [open, high, low, close, volume] = COLUMNS;
        let prices = [price(open)?, price(high)?, price(low)?, price(close)?];
        let volume = optional(batch, volume)?;
        for (i, time) in times.iter().enumerate() {
            self.order(*time);
            self.values(*time, i, &prices, volume.as_ref());
            self.before = Some(self.before.map_or(*time, |before| before.max(*time)));
            self.report.rows += 1;
        }
        Ok(())
    }

    /// What was found.
    pub fn finish(self) -> BarReport {
        self.report
    }

    fn order(&mut self, time: i64) {
        match self.before {
            Some(before) if time == before => self.tell(time, BarIssueKind::Duplicate),
            Some(before) if time < before => self.tell(time, BarIssueKind::OutOfOrder),
            _ => {}
        }
        let Some(timeframe) = self.timeframe else {
            return;
        };
        let open = timeframe.floor(time).unwrap_or(time);
        if open != time {
            self.tell(time, BarIssueKind::OffGrid);
        }
        let closed = self
            .calendar
            .as_ref()
            .is_some_and(|calendar| !calendar.expects(timeframe, from_nanos(open)));
        if closed {
            self.tell(time, BarIssueKind::MarketClosed);
        }
    }

    fn values(
        &mut self,
        time: i64,
        row: usize,
        prices: &[Cow<'_, Float64Array>; 4],
        volume: Option<&Cow<'_, Float64Array>>,
    ) {
        if prices
            .iter()
            .chain(volume)
            .any(|column| column.is_null(row))
        {
            self.tell(time, BarIssueKind::Missing);
            return;
        }
        let [open, high, low, close] = prices;
        let bar = Bar {
            timestamp: from_nanos(time),
            open: open.value(row),
            high: high.value(row),
            low: low.value(row),
            close: close.value(row),
            volume: volume.map_or(0.0, |volume| volume.value(row)),
        };
        if let Some(fault) = bar.fault() {
            self.tell(time, BarIssueKind::Fault(fault));
        }
        let negative = [bar.open, bar.high, bar.low, bar.close]
            .iter()
            .any(|price| *price < 0.0);
        if negative && !self.negative_prices {
            self.tell(time, BarIssueKind::NegativePrice);
        }
    }

    fn tell(&mut self, time: i64, kind: BarIssueKind) {
        self.report.add(BarIssue {
            row: self.report.rows,
            timestamp: from_nanos(time),
            kind,
        });
    }
}

/// The columns of a schema that a validation reads, the volume only where there is one.
pub(super) fn columns_of(schema: &arrow_schema::Schema) -> Vec<&'static str> {
    let there = |name: &&str| *name != "volume" || schema.index_of(name).is_ok();
    COLUMNS
        .into_iter()
        .filter(there)
        .filter(|name| *name != TIMESTAMP)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Row;
    use crate::time::parse_timestamp;

    fn bar(time: &str, open: f64, high: f64, low: f64, close: f64) -> Bar {
        Bar {
            timestamp: parse_timestamp(time).unwrap(),
            open,
            high,
            low,
            close,
            volume: 1.0,
        }
    }

    #[test]
    fn every_issue_is_told_with_its_row() {
        let bars = [
            bar("2024-01-05T10:00Z", 1.0, 2.0, 0.5, 1.5),
            bar("2024-01-05T10:00Z", 1.0, 2.0, 0.5, 1.5),
            bar("2024-01-05T09:00Z", 1.0, 0.4, 0.5, 1.5),
            bar("2024-01-05T11:30Z", 1.0, f64::NAN, 0.5, 1.5),
            bar("2024-01-06T11:00Z", -1.0, 2.0, -1.5, 1.5),
        ];
        let batch = Bar::to_batch(&bars).unwrap();
        let validator = BarValidator::new()
            .timeframe(Timeframe::HOUR)
            .calendar(Calendar::weekdays());
        let found = |parts: &[RecordBatch], mut validator: BarValidator| {
            for part in parts {
                validator.add(part).unwrap();
            }
            let report = validator.finish();
            let issues = report.issues().iter();
            issues.map(|i| (i.row, i.kind.name())).collect::<Vec<_>>()
        };
        let expected = [
            (1, "duplicate"),
            (2, "out_of_order"),
            (2, "high_below_low"),
            (3, "off_grid"),
            (3, "not_finite"),
            (4, "market_closed"),
            (4, "negative_price"),
        ];
        assert_eq!(
            found(std::slice::from_ref(&batch), validator.clone()),
            expected
        );
        let rows: Vec<_> = (0..5).map(|i| batch.slice(i, 1)).collect();
        assert_eq!(found(&rows, validator.clone()), expected);
        let allowed = found(
            &[batch.slice(4, 1)],
            BarValidator::new().allow_negative_prices(),
        );
        assert_eq!(allowed, []);
    }

    #[test]
    fn counts_go_on_where_the_list_ends() {
        let bars = vec![bar("2024-01-05T10:00Z", 1.0, 2.0, 0.5, 1.5); 1_000];
        let mut validator = BarValidator::new();
        validator.add(&Bar::to_batch(&bars).unwrap()).unwrap();
        let report = validator.finish();
        assert_eq!(report.counts(), [(BarIssueKind::Duplicate, 999)]);
        assert_eq!(report.issues().len() as u64, BarReport::KEPT);
        assert!(!report.is_clean() && report.rows() == 1_000);
    }
}
