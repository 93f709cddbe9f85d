//! Half-open ranges of time.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use super::format_timestamp;
use crate::error::{Error, Result};

/// A range of instants `[start, end)`: the start belongs to it, the end does not. Either may be open.
///
/// ```
/// use minutebook_core::{TimeRange, time::parse_timestamp};
///
/// let (start, end) = (parse_timestamp("2024-01-01")?, parse_timestamp("2024-02-01")?);
/// let january = TimeRange::new(start, end)?;
/// assert!(january.contains(start) && !january.contains(end));
/// assert!(TimeRange::inclusive(start, end)?.contains(end));
/// assert!(TimeRange::new(end, start).is_err());
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TimeRange {
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
}

impl TimeRange {
    /// From `start` (in it) to `end` (not in it). Equal bounds make an empty range.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the end is before the start.
    pub fn new(start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Self> {
        Self::between(Some(start), Some(end))
    }

    /// From `start` to `end`, both in it: for callers who think in closed ranges.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the end is before the start.
    pub fn inclusive(start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Self> {
        if end < start {
            return Self::new(start, end);
        }
        Ok(Self {
            start: Some(start),
            // At the very end of time there is no instant after it, and an open end means the same.
            end: end.checked_add_signed(TimeDelta::nanoseconds(1)),
        })
    }

    /// With either bound open where it is `None`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the end is before the start.
    pub fn between(start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) -> Result<Self> {
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            return Err(Error::invalid(format!(
                "the range is inverted: it ends at {} before it starts at {}; swap the two",
                format_timestamp(end),
                format_timestamp(start)
            )));
        }
        Ok(Self { start, end })
    }

    /// All of time.
    pub const fn all() -> Self {
        Self {
            start: None,
            end: None,
        }
    }

    /// From `start` (in it) on.
    pub const fn since(start: DateTime<Utc>) -> Self {
        Self {
            start: Some(start),
            end: None,
        }
    }

    /// Up to `end` (not in it).
    pub const fn before(end: DateTime<Utc>) -> Self {
        Self {
            start: None,
            end: Some(end),
        }
    }

    /// The first instant of the range, or `None` if it is open.
    pub const fn start(&self) -> Option<DateTime<Utc>> {
        self.start
    }

    /// The first instant after the range, or `None` if it is open.
    pub const fn end(&self) -> Option<DateTime<Utc>> {
        self.end
    }

    /// Whether the range has no bounds.
    pub const fn is_all(&self) -> bool {
        self.start.is_none() && self.end.is_none()
    }

    /// Whether no instant lies in it.
    pub fn is_empty(&self) -> bool {
        self.start.is_some() && self.start == self.end
    }

    /// Whether the instant lies in it.
    pub fn contains(&self, time: DateTime<Utc>) -> bool {
        self.start.is_none_or(|start| start <= time) && self.end.is_none_or(|end| time < end)
    }

    /// Whether the closed span from `first` to `last` has an instant in it.
    pub fn overlaps(&self, first: DateTime<Utc>, last: DateTime<Utc>) -> bool {
        !self.is_empty()
            && self.start.is_none_or(|start| start <= last)
            && self.end.is_none_or(|end| first < end)
    }

    /// Whether every instant of it lies in the closed span from `first` to `last`. No span holds a range that is open or empty.
    pub fn within(&self, first: DateTime<Utc>, last: DateTime<Utc>) -> bool {
        let (Some(start), Some(end)) = (self.start, self.end) else {
            return false;
        };
        !self.is_empty() && first <= start && end - TimeDelta::nanoseconds(1) <= last
    }

    /// The bounds `[start, end)` in nanoseconds since 1970, cut to what 64 bits hold. The end is `None` where the range has none or it
    /// lies beyond. A range in which no such nanosecond lies is `(i64::MIN, Some(i64::MIN))`.
    pub fn nanos(&self) -> (i64, Option<i64>) {
        const NONE: (i64, Option<i64>) = (i64::MIN, Some(i64::MIN));
        let epoch = DateTime::UNIX_EPOCH;
        let start = match self.start.map(|start| (start, start.timestamp_nanos_opt())) {
            Some((start, None)) if start > epoch => return NONE,
            Some((_, Some(nanos))) => nanos,
            Some((_, None)) | None => i64::MIN,
        };
        match self.end.map(|end| (end, end.timestamp_nanos_opt())) {
            Some((end, None)) if end < epoch => NONE,
            Some((_, Some(end))) if end <= start => NONE,
            Some((_, end)) => (start, end),
            None => (start, None),
        }
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start {
            Some(start) => write!(f, "[{}, ", format_timestamp(start))?,
            None => f.write_str("(.., ")?,
        }
        match self.end {
            Some(end) => write!(f, "{})", format_timestamp(end)),
            None => f.write_str("..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_timestamp;

    fn at(text: &str) -> DateTime<Utc> {
        parse_timestamp(text).unwrap()
    }

    #[test]
    fn bounds_are_half_open_and_checked() {
        let range = TimeRange::new(at("2024-01-01"), at("2024-01-02")).unwrap();
        assert!(range.contains(at("2024-01-01")));
        assert!(range.contains(at("2024-01-01T23:59:59.999999999Z")));
        assert!(!range.contains(at("2024-01-02")));
        assert!(TimeRange::inclusive(at("2024-01-02"), at("2024-01-01")).is_err());
        let empty = TimeRange::new(at("2024-01-01"), at("2024-01-01")).unwrap();
        assert!(empty.is_empty() && !empty.contains(at("2024-01-01")));
        assert!(!empty.overlaps(at("2023-01-01"), at("2025-01-01")));
    }

    #[test]
    fn bounds_beyond_nanoseconds_are_cut() {
        let range = TimeRange::new(at("1500-01-01"), at("2900-01-01")).unwrap();
        assert_eq!(range.nanos(), (i64::MIN, None));
        assert_eq!(
            TimeRange::before(at("1500-01-01")).nanos(),
            (i64::MIN, Some(i64::MIN))
        );
        let beyond = TimeRange::since(at("2900-01-01"));
        assert_eq!(beyond.nanos(), (i64::MIN, Some(i64::MIN)));
    }

    #[test]
    fn overlap_looks_at_both_ends() {
        let range = TimeRange::new(at("2024-01-10"), at("2024-01-20")).unwrap();
        assert!(range.overlaps(at("2024-01-01"), at("2024-01-10")));
        assert!(!range.overlaps(at("2024-01-20"), at("2024-01-25")));
        assert!(range.overlaps(at("2024-01-19T23:59:59Z"), at("2024-01-25")));
    }
}
