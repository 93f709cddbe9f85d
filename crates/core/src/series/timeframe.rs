//! The span that a bar covers.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Months, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::shown;

/// The span of a bar: a count of seconds, minutes, hours, days, weeks or months.
///
/// The text form is the count and `s`, `m`, `h`, `d`, `w` or `mo` (`M`, `H1`, `M15`, `D1`, `1min`, `1hour`, `1day` are read too). Spans of
/// equal length are one timeframe: `60m` is `1h`, `24h` is `1d`. Weeks stay weeks, since their grid begins on a Monday.
///
/// ```
/// use minutebook_core::{Timeframe, time::parse_timestamp};
///
/// let hour: Timeframe = "60m".parse()?;
/// assert_eq!(hour.to_string(), "1h");
/// let open = parse_timestamp("2024-01-31T23:00:00Z")?;
/// assert_eq!(hour.close_of(open), Some(parse_timestamp("2024-02-01")?));
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timeframe {
    unit: Unit,
    count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
}

impl Unit {
    const fn text(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
            Self::Day => "d",
            Self::Week => "w",
            Self::Month => "mo",
        }
    }

    /// The next coarser unit and how many of this one it takes.
    const fn coarser(self) -> Option<(Self, u32)> {
        match self {
            Self::Second => Some((Self::Minute, 60)),
            Self::Minute => Some((Self::Hour, 60)),
            Self::Hour => Some((Self::Day, 24)),
            Self::Day | Self::Week | Self::Month => None,
        }
    }
}

impl Timeframe {
    const fn of(count: u32, unit: Unit) -> Self {
        let (mut count, mut unit) = (count, unit);
        while let Some((coarser, factor)) = unit.coarser() {
            if !count.is_multiple_of(factor) {
                break;
            }
            count /= factor;
            unit = coarser;
        }
        Self { unit, count }
    }

    /// One minute.
    pub const MINUTE: Self = Self::of(1, Unit::Minute);
    /// One hour.
    pub const HOUR: Self = Self::of(1, Unit::Hour);
    /// One day.
    pub const DAY: Self = Self::of(1, Unit::Day);
    /// One week, from Monday.
    pub const WEEK: Self = Self::of(1, Unit::Week);
    /// One calendar month.
    pub const MONTH: Self = Self::of(1, Unit::Month);

    /// The length, or `None` for months, which differ.
    pub fn duration(self) -> Option<TimeDelta> {
        let count = i64::from(self.count);
        match self.unit {
            Unit::Second => TimeDelta::try_seconds(count),
            Unit::Minute => TimeDelta::try_minutes(count),
            Unit::Hour => TimeDelta::try_hours(count),
            Unit::Day => TimeDelta::try_days(count),
            Unit::Week => TimeDelta::try_weeks(count),
            Unit::Month => None,
        }
    }

    /// The open of the bar that an instant lies in. Spans are counted from midnight UTC of 1970-01-01, weeks from a Monday, months from the first of
    /// January 1970. `None` beyond the range of nanoseconds (1677 to 2262).
    ///
    /// ```
    /// use minutebook_core::{Timeframe, time::parse_timestamp};
    ///
    /// let week = Timeframe::WEEK.open_of(parse_timestamp("2024-01-05T12:30:00Z")?);
    /// assert_eq!(week, Some(parse_timestamp("2024-01-01")?));
    /// # Ok::<(), minutebook_core::Error>(())
    /// ```
    pub fn open_of(self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let nanos = self.floor(time.timestamp_nanos_opt()?)?;
        Some(DateTime::from_timestamp_nanos(nanos))
    }

    /// As [`open_of`](Self::open_of), in nanoseconds.
    pub(crate) fn floor(self, nanos: i64) -> Option<i64> {
        /// From the Monday before 1970-01-01, a Thursday.
        const MONDAY: i64 = -3 * 86_400_000_000_000;
        if let Some(length) = self.duration() {
            let length = length.num_nanoseconds()?;
            let anchor = if self.unit == Unit::Week { MONDAY } else { 0 };
            let past = nanos.checked_sub(anchor)?.rem_euclid(length);
            return nanos.checked_sub(past);
        }
        let time = DateTime::from_timestamp_nanos(nanos);
        let months = i64::from(time.year() - 1970) * 12 + i64::from(time.month0());
        let first = months - months.rem_euclid(i64::from(self.count));
        let year = i32::try_from(1970 + first.div_euclid(12)).ok()?;
        let month = u32::try_from(first.rem_euclid(12) + 1).ok()?;
        let day = chrono::NaiveDate::from_ymd_opt(year, month, 1)?;
        day.and_time(chrono::NaiveTime::MIN)
            .and_utc()
            .timestamp_nanos_opt()
    }

    /// The open of the bar after the one that opens then, in nanoseconds.
    pub(crate) fn next(self, open: i64) -> Option<i64> {
        self.close_of(DateTime::from_timestamp_nanos(open))?
            .timestamp_nanos_opt()
    }

    /// Whether each bar of `coarser` is made of whole bars of this timeframe: minutes of hours, hours of days, days of months.
    pub fn divides(self, coarser: Self) -> bool {
        match (self.duration(), coarser.duration()) {
            (Some(fine), Some(coarse)) => {
                let (fine, coarse) = (fine.num_seconds(), coarse.num_seconds());
                // Weeks begin on Mondays, and only spans that divide a day or are weeks themselves meet that grid.
                let grids =
                    self.unit == coarser.unit || coarser.unit != Unit::Week || 86_400 % fine == 0;
                coarse % fine == 0
                    && grids
                    && (self.unit != Unit::Week || coarser.unit == Unit::Week)
            }
            (Some(fine), None) => 86_400 % fine.num_seconds() == 0,
            (None, None) => coarser.count.is_multiple_of(self.count),
            (None, Some(_)) => false,
        }
    }

    /// When a bar that opens then is complete, and so known. `None` beyond the end of time.
    pub fn close_of(self, open: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.duration() {
            Some(length) => open.checked_add_signed(length),
            None => open.checked_add_months(Months::new(self.count)),
        }
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", self.count, self.unit.text()))
    }
}

impl FromStr for Timeframe {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits_end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (count, unit) = if digits_end > 0 {
            text.split_at(digits_end)
        } else {
            // MetaTrader and some exchanges put the unit first: M15, H1, D1.
            let start = text
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(text.len());
            let (unit, count) = text.split_at(start);
            let unit = match unit {
                "S" => "s",
                "M" => "m",
                "H" => "h",
                "D" => "d",
                "W" => "w",
                "MN" => "mo",
                _ => "",
            };
            (count, unit)
        };
        let unit = match unit {
            "s" | "sec" | "second" => Some(Unit::Second),
            "m" | "min" | "minute" | "T" => Some(Unit::Minute),
            "h" | "H" | "hour" => Some(Unit::Hour),
            "d" | "D" | "day" => Some(Unit::Day),
            "w" | "W" | "week" => Some(Unit::Week),
            "mo" | "M" | "month" => Some(Unit::Month),
            _ => None,
        };
        match (count.parse(), unit) {
            (Ok(count @ 1..=100_000), Some(unit)) => Ok(Self::of(count, unit)),
            _ => Err(Error::invalid(
                "not a timeframe; write a count and s, m, h, d, w or mo: 1m, 15m, 1h, 4h, 1d, 1w, 1mo",
            )
            .with_resource(shown(text))),
        }
    }
}

impl TryFrom<String> for Timeframe {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Timeframe> for String {
    fn from(timeframe: Timeframe) -> Self {
        timeframe.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_timestamp;

    #[test]
    fn equal_spans_are_one_timeframe() {
        for (text, canonical) in [
            ("60s", "1m"),
            ("3600s", "1h"),
            ("90m", "90m"),
            ("24h", "1d"),
            ("7d", "7d"),
            ("1w", "1w"),
            ("1M", "1mo"),
            ("M15", "15m"),
            ("H4", "4h"),
            ("1day", "1d"),
        ] {
            assert_eq!(text.parse::<Timeframe>().unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn what_is_no_timeframe_is_refused() {
        for text in [
            "",
            "h",
            "0m",
            "1x",
            "-1h",
            "1.5h",
            "99999999999m",
            "hourly",
            "1 h",
        ] {
            assert!(text.parse::<Timeframe>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_grid_begins_at_midnight_on_mondays_and_on_the_first() {
        let at = |text: &str| parse_timestamp(text).unwrap();
        for (timeframe, time, open) in [
            ("15m", "2024-01-01T00:29:59.9Z", "2024-01-01T00:15:00Z"),
            ("1d", "1969-12-31T23:00:00Z", "1969-12-31"),
            ("1w", "1970-01-01", "1969-12-29"),
            ("1mo", "1969-12-31", "1969-12-01"),
            ("3mo", "2024-06-30T23:59:59Z", "2024-04-01"),
        ] {
            let timeframe: Timeframe = timeframe.parse().unwrap();
            assert_eq!(
                timeframe.open_of(at(time)),
                Some(at(open)),
                "{timeframe} {time}"
            );
        }
        for (fine, coarse, expected) in [
            ("1m", "1h", true),
            ("7m", "1h", false),
            ("1h", "1w", true),
            ("7d", "1w", false),
            ("1w", "1mo", false),
            ("4h", "1mo", true),
            ("1mo", "3mo", true),
            ("1w", "14d", false),
            ("1h", "1h", true),
        ] {
            let parsed = |text: &str| text.parse::<Timeframe>().unwrap();
            assert_eq!(
                parsed(fine).divides(parsed(coarse)),
                expected,
                "{fine} {coarse}"
            );
        }
    }

    #[test]
    fn months_follow_the_calendar() {
        let open = parse_timestamp("2024-02-01").unwrap();
        assert_eq!(
            Timeframe::MONTH.close_of(open),
            Some(parse_timestamp("2024-03-01").unwrap())
        );
        assert_eq!(Timeframe::MONTH.duration(), None);
    }
}
