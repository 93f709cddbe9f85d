//! Floats as JSON text.

use serde_json::ser::to_writer;

use super::line::Out;
use super::text::{Short, push_bytes};
use crate::error::JsonlError;

/// Appends a finite float in its shortest form that reads back, with a `.0` where it is whole: the text that the library writes.
///
/// Prices and sizes mostly have a few decimals. Such a float is told by its value: if a whole number of at most 15 digits divided by a power of ten that a float holds exactly is
/// the float, that decimal is the shortest, since no two decimals of 15 digits are the same float (IEEE 754 binary64). It takes a third of the general way.
#[inline]
pub(crate) fn push_float(out: &mut impl Out, value: f64) -> Result<(), JsonlError> {
    let size = value.abs();
    if let Some(count) = Decimal::<4>::of(size) {
        push_sign(out, value);
        push_whole(out, count / 10_000);
        push_last(out, b'.', count % 10_000);
        return Ok(());
    }
    // Below, the library writes an exponent.
    if size >= 0.000_1
        && let Some(count) = Decimal::<8>::of(size)
    {
        push_sign(out, value);
        push_whole(out, count / 100_000_000);
        let four = u64::from(b'.') | (digits(count / 10_000 % 10_000) << 8);
        out.put(&four.to_le_bytes(), 4);
        // What follows is not all zeros: four places would have been enough.
        push_last(out, four.to_le_bytes()[4], count % 10_000);
        return Ok(());
    }
    to_writer(Short(out), &value)
        .map_err(|error| JsonlError::Input(format!("a number has no JSON text: {error}")))
}

/// Floats that are decimals with up to so many places.
struct Decimal<const PLACES: i32>;

impl<const PLACES: i32> Decimal<PLACES> {
    /// How many of the last place a float is, if it is a decimal of 15 digits at most with no more places.
    #[inline]
    fn of(size: f64) -> Option<u64> {
        const MOST: f64 = 1e15;
        let scale = const { power(PLACES) };
        let scaled = size * scale;
        if scaled >= MOST {
            return None;
        }
        #[allow(
            clippy::cast_possible_truncation,
            reason = "below 10^15; of NaN and infinity comes something that is not the float"
        )]
        let count = (scaled + 0.5) as i64;
        #[allow(
            clippy::cast_precision_loss,
            clippy::float_cmp,
            reason = "at most 10^15; it is this float or another one"
        )]
        let is_it = count as f64 / scale == size;
        is_it.then_some(count.unsigned_abs())
    }
}

const fn power(places: i32) -> f64 {
    let (mut power, mut n) = (1.0, 0);
    while n < places {
        power *= 10.0;
        n += 1;
    }
    power
}

#[inline]
fn push_sign(out: &mut impl Out, value: f64) {
    if value.is_sign_negative() {
        out.put(b"-", 1);
    }
}

#[inline]
fn push_whole(out: &mut impl Out, number: u64) {
    push_bytes(out, itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a byte and four digits without the zeros that end them; one digit at least.
#[inline]
fn push_last(out: &mut impl Out, before: u8, number: u64) {
    let zeros = if number.is_multiple_of(1_000) {
        3
    } else if number.is_multiple_of(100) {
        2
    } else {
        usize::from(number.is_multiple_of(10))
    };
    let text = u64::from(before) | (digits(number) << 8);
    out.put(&text.to_le_bytes(), 5 - zeros);
}

/// A number below 10,000 as four digits, the first in the lowest byte. They stay in a register: bytes that are stored one by one and read as a word are waited for.
#[inline]
pub(super) fn digits(number: u64) -> u64 {
    let pairs = (number / 100) | ((number % 100) << 16);
    // 103 / 1024 is a tenth for whole numbers below 100.
    let tens = ((pairs * 103) >> 10) & 0x000f_000f;
    let ones = pairs - tens * 10;
    0x3030_3030 + (tens | (ones << 8))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[allow(clippy::cast_precision_loss, reason = "the nearest is as good")]
    fn decimal(count: i64, places: i32) -> f64 {
        count as f64 / 10_f64.powi(places)
    }

    fn same(value: f64) -> Result<(), TestCaseError> {
        let mut out = Vec::new();
        push_float(&mut out, value).unwrap();
        prop_assert_eq!(
            String::from_utf8(out).unwrap(),
            serde_json::to_string(&value).unwrap()
        );
        Ok(())
    }

    #[test]
    fn the_edges_are_written_as_the_library_writes_them() {
        let mut edges = vec![
            0.0,
            0.1,
            0.3,
            1.0,
            1.005,
            5e-324,
            1e-7,
            123.456_7,
            123.456_78,
            0.1 + 0.2,
            1e21,
            2.5e-5,
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::EPSILON,
            9_007_199_254_740_993.0,
        ];
        for places in -12..24 {
            let power = 10_f64.powi(places);
            edges.extend([
                power,
                9.0 * power,
                1.234_567_89 * power,
                123_456_789_012_345.0 / power,
            ]);
        }
        for edge in edges {
            for value in [edge, -edge, edge.next_up(), edge.next_down()] {
                if value.is_finite() {
                    same(value).unwrap();
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn floats_are_written_as_the_library_writes_them(
            value in prop_oneof![
                prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
                (any::<i64>(), -3..12).prop_map(|(count, places)| decimal(count, places)),
                (-1_000_000_000_i64..1_000_000_000, -3..12).prop_map(|(count, places)| decimal(count, places)),
                (-10_000_i64..10_000, -3..12).prop_map(|(count, places)| decimal(count, places)),
            ],
        ) {
            for value in [value, value.next_up(), value.next_down()] {
                same(value)?;
            }
        }
    }
}
