//! What of a span of time a series has: data, nothing because there is nothing, or nobody knows.

use arrow_array::RecordBatch;
use chrono::{DateTime, Utc};

use super::batch::timestamps;
use super::{Calendar, Timeframe};
use crate::error::{Error, Result};
use crate::time::{TimeRange, from_nanos};

/// What is known of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CoverageState {
    /// The bars are there.
    Data,
    /// The market was open and there is no bar, and it is known that there is none to be had.
    Empty,
    /// Bars are missing, and nobody said that there are none: a gap.
    Unknown,
}

impl CoverageState {
    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Empty => "empty",
            Self::Unknown => "unknown",
        }
    }
}

/// Bars of one state that follow each other. Times at which the market is closed do not part them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoverageSpan {
    /// What is known of them.
    pub state: CoverageState,
    /// The open of the first bar.
    pub start: DateTime<Utc>,
    /// The close of the last bar.
    pub end: DateTime<Utc>,
    /// How many bars.
    pub bars: u64,
}

/// What of a range a series has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    spans: Vec<CoverageSpan>,
}

impl Coverage {
    /// The spans, ascending.
    pub fn spans(&self) -> &[CoverageSpan] {
        &self.spans
    }

    /// The spans in which bars are missing.
    pub fn gaps(&self) -> impl Iterator<Item = &CoverageSpan> {
        self.spans
            .iter()
            .filter(|span| span.state == CoverageState::Unknown)
    }

    /// How many bars have this state.
    pub fn bars(&self, state: CoverageState) -> u64 {
        let spans = self.spans.iter().filter(|span| span.state == state);
        spans.map(|span| span.bars).sum()
    }

    /// Whether no bar is missing.
    pub fn is_complete(&self) -> bool {
        self.gaps().next().is_none()
    }
}

/// Finds the coverage of bars that come batch by batch in ascending order of time.
///
/// A bar counts for the span of the timeframe's grid that it lies in. Which bars there should be says the calendar; a bar at a time when
/// the market is closed is data all the same.
///
/// ```
/// use minutebook_core::series::{CoverageFinder, CoverageState};
/// use minutebook_core::{Calendar, TimeRange, Timeframe, time::parse_timestamp};
///
/// let range = TimeRange::new(parse_timestamp("2024-01-05")?, parse_timestamp("2024-01-09")?)?;
/// let mut finder = CoverageFinder::new(Timeframe::DAY, Calendar::weekdays(), range)?;
/// finder.add(parse_timestamp("2024-01-05")?)?; // a Friday; Monday the 8th is missing
/// let coverage = finder.finish()?;
/// assert_eq!(coverage.bars(CoverageState::Data), 1);
/// assert_eq!(coverage.gaps().next().map(|gap| gap.start), Some(parse_timestamp("2024-01-08")?));
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CoverageFinder {
    timeframe: Timeframe,
    calendar: Calendar,
    /// Nothing is missing there, in nanoseconds, ascending and apart.
    complete: Vec<(i64, i64)>,
    /// The open of the next bar that there may be.
    next: i64,
    end: i64,
    spans: Vec<CoverageSpan>,
}

impl CoverageFinder {
    /// More spans than this are refused, so that a range of millions of gaps cannot fill the memory.
    pub const MAX_SPANS: usize = 1_000_000;

    /// Looks at the bars that open in this range.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the range is open at an end.
    pub fn new(timeframe: Timeframe, calendar: Calendar, range: TimeRange) -> Result<Self> {
        let ((start, Some(end)), Some(_)) = (range.nanos(), range.start()) else {
            return Err(Error::invalid(
                "coverage needs a range with a start and an end",
            ));
        };
        let open = timeframe.floor(start).unwrap_or(start);
        let next = if open < start {
            timeframe.next(open).unwrap_or(i64::MAX)
        } else {
            open
        };
        Ok(Self {
            timeframe,
            calendar,
            complete: Vec::new(),
            next,
            end,
            spans: Vec::new(),
        })
    }

    /// Takes these ranges as complete: where no bar is, none is to be had.
    #[must_use]
    pub fn complete(mut self, ranges: &[TimeRange]) -> Self {
        let nanos = ranges.iter().map(TimeRange::nanos);
        let known = nanos.map(|(start, end)| (start, end.unwrap_or(i64::MAX)));
        self.complete
            .extend(known.filter(|(start, end)| start < end));
        self.complete.sort_unstable();
        self.complete.dedup_by(|next, before| {
            let joins = next.0 <= before.1;
            if joins {
                before.1 = before.1.max(next.1);
            }
            joins
        });
        self
    }

    /// Adds the bars of a batch.
    ///
    /// # Errors
    /// As [`add`](Self::add), and [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) for a batch without times.
    pub fn add_batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let times = timestamps(batch)?.values();
        times.iter().try_for_each(|time| self.add_nanos(*time))
    }

    /// Adds a bar.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if there are more spans than [`MAX_SPANS`](Self::MAX_SPANS).
    pub fn add(&mut self, time: DateTime<Utc>) -> Result<()> {
        time.timestamp_nanos_opt()
            .map_or(Ok(()), |nanos| self.add_nanos(nanos))
    }

    fn add_nanos(&mut self, time: i64) -> Result<()> {
        // Bars on the grid are the rule, and one after the other.
        if time < self.next || time >= self.end {
            return Ok(());
        }
        let open = self.timeframe.floor(time).unwrap_or(time);
        if open < self.next {
            return Ok(());
        }
        self.missing(open)?;
        let close = self.timeframe.next(open).unwrap_or(i64::MAX);
        self.put(CoverageState::Data, open, close, 1)?;
        self.next = close;
        Ok(())
    }

    /// The coverage up to the end of the range.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn finish(mut self) -> Result<Coverage> {
        self.missing(self.end)?;
        Ok(Coverage { spans: self.spans })
    }

    /// Accounts for the bars from the next one on to `until`, none of which is there.
    fn missing(&mut self, until: i64) -> Result<()> {
        if self.next >= until {
            return Ok(());
        }
        let calendar = self.calendar.clone();
        let mut at = self.next;
        // The last bar may be expected for a session that begins after the range's end.
        let last = self.timeframe.floor(until.saturating_sub(1));
        let horizon = last.and_then(|open| self.timeframe.next(open));
        for (from, to) in calendar.open_spans(self.next, horizon.unwrap_or(until).max(until)) {
            // The bar that is running when the market opens is expected too.
            let first = from.max(at);
            let first = self.timeframe.floor(first).unwrap_or(first).max(at);
            let (from, to) = (first, to.min(until));
            if from < to {
                at = self.open_span(from, to)?;
            }
        }
        self.next = self.next.max(until);
        Ok(())
    }

    /// Accounts for the bars that open in `[from, to)`, at all of which the market is open; gives the open of the next.
    fn open_span(&mut self, from: i64, to: i64) -> Result<i64> {
        let mut at = from;
        while at < to {
            let i = self.complete.partition_point(|(_, end)| *end <= at);
            let (state, until) = match self.complete.get(i) {
                Some((start, end)) if *start <= at => (CoverageState::Empty, *end),
                Some((start, _)) => (CoverageState::Unknown, *start),
                None => (CoverageState::Unknown, i64::MAX),
            };
            let until = until.min(to);
            let (bars, next) = self.steps(at, until);
            self.put(state, at, next, bars)?;
            at = next;
        }
        Ok(at)
    }

    /// How many bars open in `[from, to)`, and where the next one does.
    fn steps(&self, from: i64, to: i64) -> (u64, i64) {
        if let Some(length) = self.timeframe.duration().and_then(|d| d.num_nanoseconds()) {
            let span = i128::from(to) - i128::from(from);
            let bars = (span + i128::from(length) - 1) / i128::from(length);
            let next = i128::from(from) + bars * i128::from(length);
            return (
                u64::try_from(bars).unwrap_or(u64::MAX),
                i64::try_from(next).unwrap_or(i64::MAX),
            );
        }
        let (mut bars, mut at) = (0, from);
        while at < to {
            at = self.timeframe.next(at).unwrap_or(i64::MAX);
            bars += 1;
        }
        (bars, at)
    }

    fn put(&mut self, state: CoverageState, from: i64, to: i64, bars: u64) -> Result<()> {
        let end = from_nanos(to);
        match self.spans.last_mut() {
            Some(last) if last.state == state => {
                last.end = end;
                last.bars += bars;
                return Ok(());
            }
            _ => {}
        }
        if self.spans.len() >= Self::MAX_SPANS {
            return Err(Error::invalid(format!(
                "more than {} spans; ask for a shorter range",
                Self::MAX_SPANS
            )));
        }
        self.spans.push(CoverageSpan {
            state,
            start: from_nanos(from),
            end,
            bars,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_timestamp;

    fn at(text: &str) -> DateTime<Utc> {
        parse_timestamp(text).unwrap()
    }

    fn range(start: &str, end: &str) -> TimeRange {
        TimeRange::new(at(start), at(end)).unwrap()
    }

    fn shape(coverage: &Coverage) -> Vec<(&'static str, u64)> {
        let spans = coverage.spans().iter();
        spans.map(|span| (span.state.name(), span.bars)).collect()
    }

    #[test]
    fn three_states_are_told_apart() {
        let all = range("2024-01-01T00:00:00Z", "2024-01-01T10:00:00Z");
        let known = range("2024-01-01T04:00:00Z", "2024-01-01T06:00:00Z");
        let mut finder = CoverageFinder::new(Timeframe::HOUR, Calendar::always(), all)
            .unwrap()
            .complete(&[known]);
        for hour in [0, 1, 3, 7] {
            finder
                .add(at(&format!("2024-01-01T0{hour}:00:00Z")))
                .unwrap();
        }
        let coverage = finder.finish().unwrap();
        assert_eq!(
            shape(&coverage),
            [
                ("data", 2),
                ("unknown", 1),
                ("data", 1),
                ("empty", 2),
                ("unknown", 1),
                ("data", 1),
                ("unknown", 2)
            ]
        );
        assert_eq!(coverage.gaps().count(), 3);
        assert!(!coverage.is_complete());
    }

    #[test]
    fn weekends_are_no_gaps_and_do_not_part_data() {
        let all = range("2024-01-04", "2024-01-10");
        let mut finder = CoverageFinder::new(Timeframe::DAY, Calendar::weekdays(), all).unwrap();
        for day in ["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"] {
            finder.add(at(day)).unwrap();
        }
        assert_eq!(shape(&finder.finish().unwrap()), [("data", 4)]);
        let none = CoverageFinder::new(Timeframe::DAY, Calendar::weekdays(), all).unwrap();
        assert_eq!(shape(&none.finish().unwrap()), [("unknown", 4)]);
        let always = CoverageFinder::new(Timeframe::DAY, Calendar::always(), all).unwrap();
        assert_eq!(shape(&always.finish().unwrap()), [("unknown", 6)]);
    }

    #[test]
    fn sessions_expect_the_bars_that_they_touch() {
        let calendar: Calendar = "mon-fri 14:30-21:00".parse().unwrap();
        let all = range("2024-01-04", "2024-01-09");
        let finder = CoverageFinder::new(Timeframe::HOUR, calendar.clone(), all).unwrap();
        // 14:00 to 20:00 on Thursday, Friday and Monday.
        assert_eq!(shape(&finder.finish().unwrap()), [("unknown", 21)]);
        let finder = CoverageFinder::new(
            Timeframe::WEEK,
            calendar.clone(),
            range("2024-01-01", "2024-02-05"),
        )
        .unwrap();
        assert_eq!(shape(&finder.finish().unwrap()), [("unknown", 5)]);
        let months = CoverageFinder::new(
            Timeframe::MONTH,
            calendar,
            range("2023-12-15", "2024-06-01"),
        )
        .unwrap();
        assert_eq!(shape(&months.finish().unwrap()), [("unknown", 5)]);
    }

    #[test]
    fn the_count_agrees_with_asking_bar_by_bar() {
        let calendars = [
            "24/7",
            "weekdays",
            "sun-thu 22:00-22:00",
            "mon-fri 09:30-16:00 -05:00",
            "wed 23:30-00:10",
        ];
        for calendar in calendars {
            let calendar: Calendar = calendar.parse().unwrap();
            for timeframe in ["5m", "1h", "4h", "1d", "1w"] {
                let timeframe: Timeframe = timeframe.parse().unwrap();
                let all = range("2024-01-03T01:02:03Z", "2024-02-07T05:06:07Z");
                let mut open = timeframe.floor(all.nanos().0).unwrap();
                let mut expected = 0;
                while open < all.nanos().1.unwrap() {
                    let bar = from_nanos(open);
                    expected += u64::from(all.contains(bar) && calendar.expects(timeframe, bar));
                    open = timeframe.next(open).unwrap();
                }
                let finder = CoverageFinder::new(timeframe, calendar.clone(), all).unwrap();
                let coverage = finder.finish().unwrap();
                assert_eq!(
                    coverage.bars(CoverageState::Unknown),
                    expected,
                    "{calendar} {timeframe}"
                );
            }
        }
        assert!(CoverageFinder::new(Timeframe::DAY, Calendar::always(), TimeRange::all()).is_err());
    }
}
