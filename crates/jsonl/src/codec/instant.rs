//! Reads the time of an entry.

use minutebook_core::time::{parse_timestamp, to_nanos};

use super::fields::Shape;
use super::token::Token;
use crate::config::EpochUnit;

/// The nanoseconds since 1970 that a value names: text as [`parse_timestamp`] reads it, or a number in `unit`.
///
/// `None` if it is neither, if it is a number and no unit was declared, or outside what 64 bits of nanoseconds hold.
#[inline]
pub(crate) fn nanos(value: &Token<'_>, unit: Option<EpochUnit>) -> Option<i64> {
    match value.shape {
        Shape::Plain => nanos_of_text(value.text),
        Shape::Escaped => nanos_of_text(&value.string()?),
        Shape::Int => value.int()?.checked_mul(unit?.nanos()),
        Shape::Float => nanos_of_decimal(value.text, unit?),
        Shape::Null | Shape::Bool | Shape::Nested => None,
    }
}

/// As [`parse_timestamp`], in nanoseconds, with a short way for the form that nearly every line has.
#[inline]
pub(crate) fn nanos_of_text(text: &str) -> Option<i64> {
    fixed(text.as_bytes()).or_else(|| to_nanos(parse_timestamp(text).ok()?).ok())
}

/// Reads times one after another. What the minute of the last one begins with is kept, since neighbouring lines mostly lie in the same minute.
#[derive(Debug, Default)]
pub(crate) struct Instants {
    /// `2024-01-01T00:00` as one number, and when that is.
    minute: Option<(u128, i64)>,
}

impl Instants {
    /// As [`nanos`].
    #[inline]
    pub(crate) fn nanos(&mut self, value: &Token<'_>, unit: Option<EpochUnit>) -> Option<i64> {
        if value.shape == Shape::Plain
            && let Some(nanos) = self.fixed(value.text.as_bytes())
        {
            return Some(nanos);
        }
        nanos(value, unit)
    }

    /// `2024-01-01T00:00:00`, with up to nine digits of fraction, and `Z`, `+00:00` or nothing.
    ///
    /// Anything else is `None` and left to the general parser: measured, this takes 5 ns where that one takes 200.
    #[inline]
    pub(crate) fn fixed(&mut self, text: &[u8]) -> Option<i64> {
        let (minute, rest) = text.split_first_chunk::<16>()?;
        let number = u128::from_le_bytes(*minute);
        let start = match self.minute {
            Some((known, start)) if known == number => start,
            _ => {
                let start = start_of(minute)?;
                self.minute = Some((number, start));
                start
            }
        };
        let ([b':', tens, ones], rest) = rest.split_first_chunk::<3>()? else {
            return None;
        };
        let second = digit(*tens)? * 10 + digit(*ones)?;
        // A leap second is left to the general parser.
        if second > 59 {
            return None;
        }
        let (fraction, rest) = fraction(rest)?;
        if !matches!(rest, b"" | b"Z" | b"+00:00") {
            return None;
        }
        start.checked_add(second * 1_000_000_000 + fraction)
    }
}

fn fixed(text: &[u8]) -> Option<i64> {
    Instants::default().fixed(text)
}

/// When a minute begins, in nanoseconds.
fn start_of(text: &[u8; 16]) -> Option<i64> {
    if text[4] != b'-' || text[7] != b'-' || !matches!(text[10], b'T' | b' ') || text[13] != b':' {
        return None;
    }
    let two = |at: usize| Some(digit(text[at])? * 10 + digit(text[at + 1])?);
    let year = two(0)? * 100 + two(2)?;
    let (month, day) = (two(5)?, two(8)?);
    let (hour, minute) = (two(11)?, two(14)?);
    if !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
        || hour > 23
        || minute > 59
    {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60;
    seconds.checked_mul(1_000_000_000)
}

/// A fraction as nanoseconds, and what follows it.
#[inline]
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    const SCALES: [i64; 10] = [
        1_000_000_000,
        100_000_000,
        10_000_000,
        1_000_000,
        100_000,
        10_000,
        1_000,
        100,
        10,
        1,
    ];
    let Some(mut rest) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let (mut value, mut count) = (0, 0);
    // Mostly three, six or nine digits.
    while let Some(([a, b, c], next)) = rest.split_first_chunk::<3>()
        && let (Some(a), Some(b), Some(c)) = (digit(*a), digit(*b), digit(*c))
        && count <= 6
    {
        value = value * 1_000 + a * 100 + b * 10 + c;
        count += 3;
        rest = next;
    }
    while let Some((byte, next)) = rest.split_first()
        && let Some(digit) = digit(*byte)
    {
        value = value * 10 + digit;
        count += 1;
        rest = next;
        if count > 9 {
            return None;
        }
    }
    (count > 0).then_some(())?;
    Some((value * SCALES.get(count)?, rest))
}

#[inline]
fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar; years count from March, so that the leap day is the last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// A decimal count of units, exactly: `1735689600.123456789` seconds does not go through a float, which has 16 digits only.
/// What is finer than a nanosecond is cut off. An exponent is read as a float.
fn nanos_of_decimal(text: &str, unit: EpochUnit) -> Option<i64> {
    if text.contains(['e', 'E']) {
        let value = text.parse::<f64>().ok()? * approximate(unit.nanos());
        // The bounds of i64 as floats: the upper one itself is out of reach.
        let bound = 9_223_372_036_854_775_808.0;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "in range, as just checked; the fraction is meant to go"
        )]
        return (-bound..bound).contains(&value).then_some(value as i64);
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut total = i128::from(whole.parse::<i64>().ok()?) * i128::from(unit.nanos());
    let mut worth = i128::from(unit.nanos());
    for byte in fraction.bytes() {
        worth /= 10;
        total += i128::from(digit(byte)?) * worth;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "powers of ten up to 10^9 are exact"
)]
fn approximate(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::fields::Raw;

    fn general(text: &str) -> Option<i64> {
        to_nanos(parse_timestamp(text).ok()?).ok()
    }

    #[test]
    fn numbers_are_exact() {
        let raw = |text: &'static str| {
            let shape = if text.contains(['.', 'e']) {
                Shape::Float
            } else {
                Shape::Int
            };
            Token::of(Raw { text, shape })
        };
        let cases = [
            (
                "1735689600",
                EpochUnit::Seconds,
                Some(1_735_689_600_000_000_000),
            ),
            (
                "1735689600.123456789",
                EpochUnit::Seconds,
                Some(1_735_689_600_123_456_789),
            ),
            (
                "1735689600123.4567",
                EpochUnit::Milliseconds,
                Some(1_735_689_600_123_456_700),
            ),
            ("-1.5", EpochUnit::Seconds, Some(-1_500_000_000)),
            ("-0.5", EpochUnit::Seconds, Some(-500_000_000)),
            (
                "1.7356896e9",
                EpochUnit::Seconds,
                Some(1_735_689_600_000_000_000),
            ),
            ("1e300", EpochUnit::Seconds, None),
            ("9300000000", EpochUnit::Seconds, None),
            ("99999999999999999999", EpochUnit::Nanoseconds, None),
            (
                "1735689600123456789",
                EpochUnit::Nanoseconds,
                Some(1_735_689_600_123_456_789),
            ),
        ];
        for (text, unit, expected) in cases {
            assert_eq!(nanos(&raw(text), Some(unit)), expected, "{text}");
            assert_eq!(nanos(&raw(text), None), None);
        }
    }

    #[test]
    fn the_calendar_agrees_day_by_day() {
        let start = chrono::NaiveDate::from_ymd_opt(1678, 1, 1).unwrap();
        for day in start.iter_days().take(213_000) {
            let text = day.format("%Y-%m-%dT00:00:00").to_string();
            assert_eq!(fixed(text.as_bytes()), general(&text), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// The short way gives what the general one gives, or leaves the text to it.
        #[test]
        fn the_short_way_agrees(
            text in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,11})?(Z|z|\\+00:00|-05:30|\\+0000|)",
        ) {
            if let Some(nanos) = fixed(text.as_bytes()) {
                prop_assert_eq!(Some(nanos), general(&text));
            }
            prop_assert_eq!(nanos_of_text(&text), general(&text));
        }
    }
}
