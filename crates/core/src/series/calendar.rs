//! When a market is open: which bars there should be.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};

use super::Timeframe;
use crate::error::{Error, Result};
use crate::id::shown;

/// When a market is open.
///
/// The text form is `24/7`, `weekdays` (Monday to Friday, whole days in UTC), or days and hours in UTC or at an offset: `mon-fri 14:30-21:00`,
/// `sun-thu 22:00-22:00` (a session that ends on the next day belongs to the day on which it begins), `mon-fri 09:30-16:00 -05:00`.
/// Days off are added with [`closed_on`](Self::closed_on).
///
/// ```
/// use minutebook_core::{Calendar, time::parse_timestamp};
///
/// let calendar: Calendar = "mon-fri 14:30-21:00".parse()?;
/// assert!(calendar.is_open(parse_timestamp("2024-01-05T20:59:59Z")?));
/// assert!(!calendar.is_open(parse_timestamp("2024-01-05T21:00:00Z")?));
/// assert!(!calendar.is_open(parse_timestamp("2024-01-06T15:00:00Z")?));
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar {
    /// `None` is always.
    sessions: Option<Sessions>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sessions {
    /// From Monday.
    days: [bool; 7],
    /// From local midnight.
    opens: TimeDelta,
    /// From local midnight of the same day; may lie on the next.
    closes: TimeDelta,
    /// What local time is ahead of UTC.
    offset: TimeDelta,
    closed: BTreeSet<NaiveDate>,
}

const DAY: TimeDelta = TimeDelta::days(1);

impl Calendar {
    /// Open at every moment.
    pub fn always() -> Self {
        Self::default()
    }

    /// Open on Mondays to Fridays, whole days in UTC.
    pub fn weekdays() -> Self {
        Self::sessions(
            &[
                Weekday::Mon,
                Weekday::Tue,
                Weekday::Wed,
                Weekday::Thu,
                Weekday::Fri,
            ],
            NaiveTime::MIN,
            NaiveTime::MIN,
        )
    }

    /// Open on these days from `opens` to `closes`, in UTC. If `closes` is not after `opens`, the session ends on the next day.
    pub fn sessions(days: &[Weekday], opens: NaiveTime, closes: NaiveTime) -> Self {
        let mut open = [false; 7];
        for day in days {
            open[day.num_days_from_monday() as usize] = true;
        }
        let opens = opens - NaiveTime::MIN;
        let closes = closes - NaiveTime::MIN;
        Self {
            sessions: Some(Sessions {
                days: open,
                opens,
                closes: if closes > opens { closes } else { closes + DAY },
                offset: TimeDelta::zero(),
                closed: BTreeSet::new(),
            }),
        }
    }

    /// Reads days and hours at this offset ahead of UTC instead of in UTC. There is no daylight saving: a market that has it needs a calendar
    /// for each half of the year.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a day or more.
    pub fn at_offset(mut self, offset: TimeDelta) -> Result<Self> {
        if offset.abs() >= DAY {
            return Err(Error::invalid("the offset from UTC is a day or more"));
        }
        if let Some(sessions) = &mut self.sessions {
            sessions.offset = offset;
        }
        Ok(self)
    }

    /// Closed on these days, for example holidays, by the date on which a session begins. A calendar that is always open is closed from midnight to
    /// midnight UTC.
    #[must_use]
    pub fn closed_on(mut self, days: impl IntoIterator<Item = NaiveDate>) -> Self {
        let sessions = self.sessions.get_or_insert_with(|| Sessions {
            days: [true; 7],
            opens: TimeDelta::zero(),
            closes: DAY,
            offset: TimeDelta::zero(),
            closed: BTreeSet::new(),
        });
        sessions.closed.extend(days);
        self
    }

    /// Whether the market is open at an instant.
    pub fn is_open(&self, time: DateTime<Utc>) -> bool {
        let Some(nanos) = time.timestamp_nanos_opt() else {
            return self.sessions.is_none();
        };
        let span = self.open_spans(nanos, nanos.saturating_add(1)).next();
        span.is_some()
    }

    /// Whether the market is open at some moment of the bar that opens then.
    pub fn expects(&self, timeframe: Timeframe, open: DateTime<Utc>) -> bool {
        let Some(open) = open.timestamp_nanos_opt() else {
            return false;
        };
        let close = timeframe.next(open).unwrap_or(i64::MAX);
        self.open_spans(open, close).next().is_some()
    }

    /// The open spans `[from, to)` in nanoseconds that meet `[start, end)`, ascending; those that touch are not joined.
    pub(crate) fn open_spans(&self, start: i64, end: i64) -> impl Iterator<Item = (i64, i64)> + '_ {
        let always = self
            .sessions
            .is_none()
            .then_some((i64::MIN, i64::MAX))
            .filter(|_| start < end);
        let sessions = self.sessions.as_ref();
        let days = sessions.into_iter().flat_map(move |sessions| {
            let first = sessions.date_before(start);
            let days = first.into_iter().flat_map(|first| first.iter_days());
            days.map(|day| (day, sessions.span(day)))
                .take_while(move |(_, span)| span.is_none_or(|(from, _)| from < end))
                .take_while(|(day, _)| day.year() < 2263)
                .filter(|(day, _)| sessions.is_on(*day))
                .filter_map(|(_, span)| span)
                .filter(move |(from, to)| *to > start && *from < end)
        });
        always.into_iter().chain(days)
    }
}

impl Sessions {
    fn is_on(&self, day: NaiveDate) -> bool {
        self.days[day.weekday().num_days_from_monday() as usize] && !self.closed.contains(&day)
    }

    /// A day whose session, and every later one, may reach beyond an instant, none before it.
    fn date_before(&self, nanos: i64) -> Option<NaiveDate> {
        let local = DateTime::from_timestamp_nanos(nanos).checked_add_signed(self.offset)?;
        local
            .checked_sub_signed(DAY + DAY)
            .map(|time| time.date_naive())
    }

    /// The session of a day in nanoseconds; `None` beyond their range.
    fn span(&self, day: NaiveDate) -> Option<(i64, i64)> {
        let midnight = day.and_time(NaiveTime::MIN).and_utc();
        let at = |past: TimeDelta| {
            midnight
                .checked_add_signed(past)?
                .checked_sub_signed(self.offset)?
                .timestamp_nanos_opt()
        };
        at(self.opens).zip(at(self.closes))
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(sessions) = &self.sessions else {
            return f.write_str("24/7");
        };
        let days: Vec<&str> = DAYS
            .iter()
            .zip(sessions.days)
            .filter_map(|(name, open)| open.then_some(*name))
            .collect();
        let clock = |past: TimeDelta| {
            let minutes = past.num_minutes().rem_euclid(24 * 60);
            format!("{:02}:{:02}", minutes / 60, minutes % 60)
        };
        write!(
            f,
            "{} {}-{}",
            days.join(","),
            clock(sessions.opens),
            clock(sessions.closes)
        )?;
        if !sessions.offset.is_zero() {
            let minutes = sessions.offset.num_minutes();
            let sign = if minutes < 0 { '-' } else { '+' };
            let minutes = minutes.abs();
            write!(f, " {sign}{:02}:{:02}", minutes / 60, minutes % 60)?;
        }
        match sessions.closed.len() {
            0 => Ok(()),
            days => write!(f, ", closed on {days} days"),
        }
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl FromStr for Calendar {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim().to_ascii_lowercase();
        match text.as_str() {
            "24/7" | "always" => return Ok(Self::always()),
            "weekdays" | "24/5" => return Ok(Self::weekdays()),
            _ => {}
        }
        parse(&text).ok_or_else(|| {
            Error::invalid(
                "not a calendar; write 24/7, weekdays, or days and hours like mon-fri 14:30-21:00 or mon-fri 09:30-16:00 -05:00",
            )
            .with_resource(shown(&text))
        })?
    }
}

fn parse(text: &str) -> Option<Result<Calendar>> {
    let mut words = text.split_whitespace();
    let (days, hours, offset) = (words.next()?, words.next()?, words.next());
    if words.next().is_some() {
        return None;
    }
    let day = |name: &str| DAYS.iter().position(|day| *day == name);
    let mut open = Vec::new();
    for part in days.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (mut at, to) = (day(from)?, day(to)?);
        loop {
            open.push(Weekday::try_from(u8::try_from(at).ok()?).ok()?);
            if at == to {
                break;
            }
            at = (at + 1) % 7;
        }
    }
    let clock = |text: &str| match text {
        "24:00" => Some(NaiveTime::MIN),
        _ => NaiveTime::parse_from_str(text, "%H:%M").ok(),
    };
    let (opens, closes) = hours.split_once('-')?;
    let calendar = Calendar::sessions(&open, clock(opens)?, clock(closes)?);
    let Some(offset) = offset else {
        return Some(Ok(calendar));
    };
    let (sign, rest) = match offset.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, offset.strip_prefix('+')?),
    };
    let time = clock(rest)?;
    Some(calendar.at_offset((time - NaiveTime::MIN) * sign))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_timestamp;

    fn at(text: &str) -> DateTime<Utc> {
        parse_timestamp(text).unwrap()
    }

    #[test]
    fn calendars_round_trip_as_text() {
        for (text, shown) in [
            ("24/7", "24/7"),
            ("weekdays", "mon,tue,wed,thu,fri 00:00-00:00"),
            ("sun-thu 22:00-22:00", "mon,tue,wed,thu,sun 22:00-22:00"),
            (
                "mon-fri 09:30-16:00 -05:00",
                "mon,tue,wed,thu,fri 09:30-16:00 -05:00",
            ),
        ] {
            let calendar: Calendar = text.parse().unwrap();
            assert_eq!(calendar.to_string(), shown);
            assert_eq!(shown.parse::<Calendar>().unwrap(), calendar);
        }
        for text in [
            "",
            "mon",
            "mon 9-17",
            "xyz 09:00-10:00",
            "mon 09:00-10:00 05:00",
            "mon 09:00-10:00 +05:00 x",
        ] {
            assert!(text.parse::<Calendar>().is_err(), "{text}");
        }
    }

    #[test]
    fn sessions_over_midnight_belong_to_their_first_day() {
        let fx: Calendar = "sun-thu 22:00-22:00".parse().unwrap();
        // 2024-01-07 is a Sunday.
        assert!(!fx.is_open(at("2024-01-07T21:59:59Z")));
        assert!(fx.is_open(at("2024-01-07T22:00:00Z")));
        assert!(fx.is_open(at("2024-01-12T21:59:59Z")));
        assert!(!fx.is_open(at("2024-01-12T22:00:00Z")));
        let off = fx.closed_on([NaiveDate::from_ymd_opt(2024, 1, 8).unwrap()]);
        assert!(off.is_open(at("2024-01-08T12:00:00Z")));
        assert!(!off.is_open(at("2024-01-09T12:00:00Z")));
    }

    #[test]
    fn a_bar_is_expected_if_the_market_opens_within_it() {
        let new_york: Calendar = "mon-fri 09:30-16:00 -05:00".parse().unwrap();
        assert!(new_york.expects(Timeframe::HOUR, at("2024-01-05T14:00:00Z")));
        assert!(!new_york.expects(Timeframe::HOUR, at("2024-01-05T13:00:00Z")));
        assert!(!new_york.expects(Timeframe::HOUR, at("2024-01-05T21:00:00Z")));
        assert!(!new_york.expects(Timeframe::DAY, at("2024-01-06")));
        assert!(new_york.expects(Timeframe::WEEK, at("2024-01-01")));
        assert!(Calendar::always().expects(Timeframe::DAY, at("2024-01-06")));
        assert!(Calendar::always().at_offset(DAY).is_err());
    }
}
