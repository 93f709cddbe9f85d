//! Instants in UTC, half-open ranges of them, and clocks.
//!
//! Inside, time is UTC with nanoseconds. A timestamp without an offset is read as UTC, and the text that
//! the user wrote is what comes back ([`WrittenTime`]).

mod clock;
mod range;

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

pub use clock::{Clock, ManualClock, SystemClock};
pub use range::TimeRange;

use crate::error::{Error, Result};
use crate::id::shown;

/// Reads a timestamp: RFC 3339, the same without offset (taken as UTC), with `T` or a blank, with or
/// without seconds and fraction, or a date alone (midnight UTC).
///
/// ```
/// use minutebook_core::time::parse_timestamp;
///
/// let naive = parse_timestamp("2025-12-02T15:51:23.549058")?;
/// assert_eq!(naive, parse_timestamp("2025-12-02 15:51:23.549058Z")?);
/// assert_eq!(naive, parse_timestamp("2025-12-02T17:51:23.549058+02:00")?);
/// assert_eq!(parse_timestamp("2025-12-02")?, parse_timestamp("2025-12-02T00:00Z")?);
/// # Ok::<(), minutebook_core::Error>(())
/// ```
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is none of these.
pub fn parse_timestamp(text: &str) -> Result<DateTime<Utc>> {
    read_timestamp(text.trim()).ok_or_else(|| {
        Error::invalid(
            "not a timestamp; write it as 2025-12-31T23:59:59.123456789Z \
             (without an offset it is UTC) or as a date",
        )
        .with_resource(shown(text))
    })
}

fn read_timestamp(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    for format in [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
    ] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Some(time.and_utc());
        }
    }
    for format in [
        "%Y-%m-%dT%H:%M:%S%.f%#z",
        "%Y-%m-%d %H:%M:%S%.f%#z",
        "%Y-%m-%dT%H:%M%#z",
    ] {
        if let Ok(time) = DateTime::parse_from_str(text, format) {
            return Some(time.to_utc());
        }
    }
    // chrono's `%#z` does not take the letter Z, so the short form with it is read here.
    if let Some(time) = text.strip_suffix('Z') {
        return NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M")
            .ok()
            .map(|time| time.and_utc());
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_time(NaiveTime::MIN).and_utc())
}

/// Writes an instant as RFC 3339 in UTC with as many fraction digits (0, 3, 6, 9) as it needs.
pub fn format_timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// The instant as nanoseconds since 1970-01-01T00:00:00Z, as Arrow and Parquet keep it.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) outside 1677-09-21 to 2262-04-11, where 64 bits do not reach.
pub fn to_nanos(time: DateTime<Utc>) -> Result<i64> {
    time.timestamp_nanos_opt().ok_or_else(|| {
        Error::invalid("the time lies outside 1677-09-21 to 2262-04-11, the range of nanoseconds")
            .with_resource(format_timestamp(time))
    })
}

/// A time of the system, such as a file's, as a time that can be written: one beyond what there is a date for becomes the first or last that
/// there is. (File systems keep any number of seconds, and nobody checks what is set.)
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use minutebook_core::time::from_system;
/// let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
/// assert_eq!(from_system(second).timestamp(), 1);
/// ```
pub fn from_system(time: std::time::SystemTime) -> DateTime<Utc> {
    let (since, before) = match time.duration_since(std::time::SystemTime::UNIX_EPOCH) {
        Ok(since) => (since, false),
        Err(error) => (error.duration(), true),
    };
    let span = chrono::TimeDelta::from_std(since).ok();
    let epoch = DateTime::<Utc>::UNIX_EPOCH;
    let found = span.and_then(|span| {
        if before {
            epoch.checked_sub_signed(span)
        } else {
            epoch.checked_add_signed(span)
        }
    });
    found.unwrap_or(if before {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    })
}

/// The instant that many nanoseconds after 1970-01-01T00:00:00Z.
pub fn from_nanos(nanos: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(nanos)
}

/// A timestamp as its author wrote it, with the instant that it names where it can be read.
///
/// ```
/// use minutebook_core::time::{WrittenTime, parse_timestamp};
///
/// let written = WrittenTime::new("2024-01-01T00:00:00");
/// assert_eq!(written.text(), "2024-01-01T00:00:00");
/// assert_eq!(written.instant(), Some(parse_timestamp("2024-01-01T00:00:00Z").unwrap()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct WrittenTime {
    text: String,
    instant: Option<DateTime<Utc>>,
}

impl WrittenTime {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let instant = read_timestamp(text.trim());
        Self { text, instant }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The instant, or `None` if the text is no timestamp.
    pub fn instant(&self) -> Option<DateTime<Utc>> {
        self.instant
    }
}

impl From<DateTime<Utc>> for WrittenTime {
    fn from(time: DateTime<Utc>) -> Self {
        Self {
            text: format_timestamp(time),
            instant: Some(time),
        }
    }
}

impl From<String> for WrittenTime {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<WrittenTime> for String {
    fn from(time: WrittenTime) -> Self {
        time.text
    }
}

impl fmt::Display for WrittenTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_written_form_names_the_same_instant() {
        let instant = parse_timestamp("2025-12-02T15:51:00Z").unwrap();
        for text in [
            "2025-12-02T15:51:00",
            "2025-12-02 15:51:00",
            "2025-12-02T15:51",
            "2025-12-02T15:51Z",
            "2025-12-02 15:51:00.000",
            "2025-12-02T15:51:00+00:00",
            "2025-12-02T15:51:00+0000",
            "2025-12-02T10:51:00-05:00",
            "2025-12-02T16:51:00.0+01",
            " 2025-12-02T15:51:00Z ",
        ] {
            assert_eq!(parse_timestamp(text).unwrap(), instant, "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp_is_refused() {
        for text in [
            "",
            "yesterday",
            "2025-13-01",
            "12/02/2025",
            "1735689600",
            "2025-12-02T25:00",
        ] {
            assert!(parse_timestamp(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nanoseconds_survive() {
        let time = parse_timestamp("2025-03-25T23:07:00.773674205Z").unwrap();
        assert_eq!(from_nanos(to_nanos(time).unwrap()), time);
        assert_eq!(format_timestamp(time), "2025-03-25T23:07:00.773674205Z");
        assert!(to_nanos(parse_timestamp("1600-01-01").unwrap()).is_err());
    }
}
