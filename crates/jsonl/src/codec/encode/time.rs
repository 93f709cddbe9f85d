//! Instants as RFC 3339 text.

use super::line::Out;
use super::number::digits;

/// Appends `2024-01-01T00:00:00.123Z`: in UTC, with 0, 3, 6 or 9 digits of fraction as needed.
///
/// The same text as [`minutebook_core::time::format_timestamp`], at a tenth of the cost: it is written once a row.
pub(crate) fn push_instant(out: &mut impl Out, nanos: i64) {
    Stamps::default().push(out, nanos);
}

const MINUTE: i64 = 60_000_000_000;

/// Writes instants one after another. What the last one begins with is kept: neighbours mostly lie in the same minute.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    /// A minute counted from 1970, and its text: `2024-01-01T00:00:`.
    minute: Option<(i64, [u8; 17])>,
}

impl Stamps {
    /// Appends an instant, as [`push_instant`].
    #[inline]
    pub(super) fn push(&mut self, out: &mut impl Out, nanos: i64) {
        let minute = nanos.div_euclid(MINUTE);
        let rest = nanos.rem_euclid(MINUTE).unsigned_abs();
        let start = match self.minute {
            Some((known, text)) if known == minute => text,
            _ => {
                let text = minute_text(minute);
                self.minute = Some((minute, text));
                text
            }
        };
        out.put(&start, start.len());
        let (second, fraction) = (rest / 1_000_000_000, rest % 1_000_000_000);
        // `00.123456789` from the lowest byte on.
        let text = u128::from(digits(second) >> 16)
            | (u128::from(b'.') << 16)
            | (u128::from(digits(fraction / 100_000)) << 24)
            | (u128::from(digits(fraction / 10 % 10_000)) << 56)
            | (u128::from(digit_of(fraction % 10)) << 88);
        let len = match fraction {
            0 => 2,
            _ if fraction.is_multiple_of(1_000_000) => 6,
            _ if fraction.is_multiple_of(1_000) => 9,
            _ => 12,
        };
        let end = 8 * len;
        let text = (text & ((1 << end) - 1)) | (u128::from(b'Z') << end);
        out.put(&text.to_le_bytes(), len + 1);
    }
}

fn minute_text(minute: i64) -> [u8; 17] {
    let (year, month, day) = civil(minute.div_euclid(1_440));
    let of_day = minute.rem_euclid(1_440).unsigned_abs();
    // 64 bits of nanoseconds reach from 1677 to 2262, so four digits are enough.
    let [y1, y2] = two_digits(year.unsigned_abs() / 100);
    let [y3, y4] = two_digits(year.unsigned_abs() % 100);
    let [m1, m2] = two_digits(month.unsigned_abs());
    let [d1, d2] = two_digits(day.unsigned_abs());
    let [h1, h2] = two_digits(of_day / 60);
    let [n1, n2] = two_digits(of_day % 60);
    [
        y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':',
    ]
}

#[inline]
fn two_digits(value: u64) -> [u8; 2] {
    [digit_of(value / 10 % 10), digit_of(value % 10)]
}

/// A value below ten as its digit.
#[inline]
fn digit_of(value: u64) -> u8 {
    b'0' + value.to_le_bytes()[0]
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use minutebook_core::time::{format_timestamp, from_nanos};
    use proptest::prelude::*;

    use super::*;

    fn text(nanos: i64) -> String {
        let mut out = Vec::new();
        push_instant(&mut out, nanos);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_day_and_every_edge_is_as_the_library_writes_it() {
        for day in -106_751..=106_751_i64 {
            let nanos = day * 86_400_000_000_000 + 999_999_999;
            assert_eq!(text(nanos), format_timestamp(from_nanos(nanos)));
        }
        for nanos in [i64::MIN, i64::MAX, 0, -1, 1_000, 1_000_000, 120_000_000] {
            assert_eq!(text(nanos), format_timestamp(from_nanos(nanos)));
        }
    }

    proptest! {
        /// Instants that follow each other, of the same minute and of others, on both sides of 1970.
        #[test]
        fn neighbours_are_as_the_library_writes_them(
            first in -200_000_000_000_i64..200_000_000_000,
            steps in prop::collection::vec((-30_000_i64..90_000, 0..7_u32), 0..20),
        ) {
            let mut stamps = Stamps::default();
            let mut nanos = first;
            for (step, power) in steps {
                nanos += step * 10_i64.pow(power);
                let mut out = Vec::new();
                stamps.push(&mut out, nanos);
                prop_assert_eq!(String::from_utf8(out).unwrap(), format_timestamp(from_nanos(nanos)));
            }
        }

        #[test]
        fn every_instant_is_as_the_library_writes_it(nanos: i64) {
            prop_assert_eq!(text(nanos), format_timestamp(from_nanos(nanos)));
        }
    }
}
