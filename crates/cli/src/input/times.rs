//! Times in files: the forms that are recognised, and those that have to be named.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use minutebook::time::{parse_timestamp, to_nanos};

use crate::failure::{Failure, Outcome};

/// How times are written in a file.
#[derive(Debug, Clone)]
pub(crate) struct TimeReader {
    format: Format,
    zone: FixedOffset,
}

#[derive(Debug, Clone)]
enum Format {
    Auto,
    Epoch(i64),
    Strftime(String),
}

impl TimeReader {
    /// After what the user said: a `strftime` format or an epoch unit (`s`, `ms`, `us`, `ns`), and the zone of times without offset.
    pub(crate) fn new(format: Option<&str>, zone: Option<&str>) -> Outcome<Self> {
        let format = match format {
            None => Format::Auto,
            Some(text) => match epoch_unit(text) {
                Some(nanos) => Format::Epoch(nanos),
                None if text.contains('%') => Format::Strftime(text.to_owned()),
                None => {
                    return Err(Failure::usage(format!(
                        "--time-format {text}: write a format like %d/%m/%Y, or s, ms, us or ns for a number since 1970"
                    )));
                }
            },
        };
        let zone = zone.map_or_else(|| FixedOffset::east_opt(0), read_zone);
        let zone = zone.ok_or_else(|| {
            Failure::usage(
                "--timezone: write UTC or an offset like -05:00; for a zone with summer time convert the file first",
            )
        })?;
        Ok(Self { format, zone })
    }

    /// The instant in nanoseconds since 1970, or what is wrong with the text.
    pub(crate) fn nanos(&self, text: &str) -> Result<i64, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("the time is empty".to_owned());
        }
        let time = match &self.format {
            Format::Epoch(unit) => return epoch(text, *unit),
            Format::Strftime(format) => self.strftime(text, format),
            Format::Auto => match self.auto(text) {
                Some(time) => Some(time),
                None => {
                    return guess_epoch(text)
                        .map_or_else(|| Err(unreadable(text)), |unit| epoch(text, unit));
                }
            },
        };
        let time = time.ok_or_else(|| unreadable(text))?;
        to_nanos(time).map_err(|error| error.message().to_owned())
    }

    fn strftime(&self, text: &str, format: &str) -> Option<DateTime<Utc>> {
        if let Ok(time) = DateTime::parse_from_str(text, format) {
            return Some(time.to_utc());
        }
        let naive = NaiveDateTime::parse_from_str(text, format)
            .ok()
            .or_else(|| {
                let date = NaiveDate::parse_from_str(text, format).ok()?;
                Some(date.and_time(NaiveTime::MIN))
            });
        self.in_zone(naive?)
    }

    fn auto(&self, text: &str) -> Option<DateTime<Utc>> {
        const SLASHED: [&str; 5] = [
            "%m/%d/%Y %H:%M:%S%.f",
            "%m/%d/%Y %H:%M",
            "%m/%d/%Y %I:%M:%S %p",
            "%m/%d/%Y %I:%M %p",
            "%Y/%m/%d %H:%M:%S%.f",
        ];
        if let Ok(time) = parse_timestamp(text) {
            let shown = text.ends_with(['Z', 'z']) || has_offset(text);
            return if shown {
                Some(time)
            } else {
                self.in_zone(time.naive_utc())
            };
        }
        let date = ["%m/%d/%Y", "%Y/%m/%d", "%Y%m%d"]
            .iter()
            // chrono's %Y takes any number of digits; a year here has four.
            .filter(|format| **format != "%Y%m%d" || text.len() == 8)
            .filter_map(|format| NaiveDate::parse_from_str(text, format).ok())
            .find(|date| (1000..10_000).contains(&chrono::Datelike::year(date)));
        if let Some(date) = date {
            return self.in_zone(date.and_time(NaiveTime::MIN));
        }
        SLASHED
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
            .and_then(|naive| self.in_zone(naive))
    }

    fn in_zone(&self, naive: NaiveDateTime) -> Option<DateTime<Utc>> {
        self.zone
            .from_local_datetime(&naive)
            .single()
            .map(|time| time.to_utc())
    }
}

fn unreadable(text: &str) -> String {
    let shown: String = text.escape_debug().take(60).collect();
    format!("\"{shown}\" is no time in a known form; name its form with --time-format")
}

/// Whether a time that parsed ends in an offset: a sign behind the time of day.
fn has_offset(text: &str) -> bool {
    text.rfind(['+', '-'])
        .is_some_and(|at| text.get(..at).is_some_and(|before| before.contains(':')))
}

pub(crate) fn epoch_unit(text: &str) -> Option<i64> {
    match text {
        "s" => Some(1_000_000_000),
        "ms" => Some(1_000_000),
        "us" => Some(1_000),
        "ns" => Some(1),
        _ => None,
    }
}

/// The unit of a bare number, by its digits: those of our time are unmistakable.
fn guess_epoch(text: &str) -> Option<i64> {
    let digits = text
        .split('.')
        .next()
        .filter(|whole| whole.bytes().all(|b| b.is_ascii_digit()))?;
    match digits.len() {
        9 | 10 => epoch_unit("s"),
        12 | 13 => epoch_unit("ms"),
        15 | 16 => epoch_unit("us"),
        18 | 19 => epoch_unit("ns"),
        _ => None,
    }
}

/// Exact for whole and decimal numbers: no detour over floating point.
fn epoch(text: &str, unit: i64) -> Result<i64, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    let whole: Option<i64> = whole.parse().ok();
    let mut nanos = whole.and_then(|whole| whole.checked_mul(unit));
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        let digit = digit
            .is_ascii_digit()
            .then(|| i64::from(digit - b'0') * place);
        nanos = nanos.zip(digit).and_then(|(nanos, digit)| {
            if negative {
                nanos.checked_sub(digit)
            } else {
                nanos.checked_add(digit)
            }
        });
    }
    nanos.ok_or_else(|| unreadable(text))
}

fn read_zone(text: &str) -> Option<FixedOffset> {
    if matches!(text, "UTC" | "utc" | "Z") {
        return FixedOffset::east_opt(0);
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: Option<&str>, zone: Option<&str>) -> Result<String, String> {
        let nanos = TimeReader::new(format, zone).unwrap().nanos(text)?;
        Ok(minutebook::time::format_timestamp(
            minutebook::time::from_nanos(nanos),
        ))
    }

    #[test]
    fn the_forms_of_real_files_are_recognised() {
        for (text, expected) in [
            ("2000-03-01", "2000-03-01T00:00:00Z"),
            ("3/1/2000", "2000-03-01T00:00:00Z"),
            ("12/31/2018 16:30", "2018-12-31T16:30:00Z"),
            ("1/3/2014 4:05:06 PM", "2014-01-03T16:05:06Z"),
            ("2000/03/01", "2000-03-01T00:00:00Z"),
            ("20000301", "2000-03-01T00:00:00Z"),
            ("2024-01-01 09:30:00-05:00", "2024-01-01T14:30:00Z"),
            ("1700000000", "2023-11-14T22:13:20Z"),
            ("1700000000123", "2023-11-14T22:13:20.123Z"),
            ("1700000000123456789", "2023-11-14T22:13:20.123456789Z"),
            ("1700000000.5", "2023-11-14T22:13:20.500Z"),
        ] {
            assert_eq!(read(text, None, None).unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "soon",
            "31/12/2018",
            "12",
            "1/1/99",
            "170000000000000000000",
        ] {
            assert!(read(text, None, None).is_err(), "{text}");
        }
    }

    #[test]
    fn what_the_user_says_counts() {
        assert_eq!(
            read("31/12/2018", Some("%d/%m/%Y"), None).unwrap(),
            "2018-12-31T00:00:00Z"
        );
        assert_eq!(
            read("5", Some("ms"), None).unwrap(),
            "1970-01-01T00:00:00.005Z"
        );
        assert_eq!(
            read("-0.5", Some("s"), None).unwrap(),
            "1969-12-31T23:59:59.500Z"
        );
        assert_eq!(
            read("2024-01-01 09:30", None, Some("-05:00")).unwrap(),
            "2024-01-01T14:30:00Z"
        );
        // An offset in the text wins over the zone of the file.
        assert_eq!(
            read("2024-01-01T09:30Z", None, Some("-05:00")).unwrap(),
            "2024-01-01T09:30:00Z"
        );
        assert!(TimeReader::new(Some("DD/MM"), None).is_err());
        assert!(TimeReader::new(None, Some("Europe/Berlin")).is_err());
    }
}
