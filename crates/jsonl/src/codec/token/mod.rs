//! Values measured in one look at their text.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::codec::fields::{Raw, Shape};

/// A value with what its text showed while it was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'a> {
    /// The text: of a plain string what stands between the quotes, of anything else all of it.
    pub(crate) text: &'a str,
    pub(crate) shape: Shape,
    /// The digits of a number as one, if they fit.
    digits: u64,
    /// How many of them follow the point.
    scale: u8,
    negative: bool,
    /// Whether `digits` and `scale` say all.
    exact: bool,
}

/// Powers of ten that a float holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Powers of ten within 64 bits.
const WHOLE_POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut n = 1;
    while n < powers.len() {
        powers[n] = powers[n - 1] * 10;
        n += 1;
    }
    powers
};

impl<'a> Token<'a> {
    /// A value that was read field by field.
    pub(crate) fn of(raw: Raw<'a>) -> Self {
        let text = match raw.shape {
            Shape::Plain => raw
                .text
                .get(1..raw.text.len().wrapping_sub(1))
                .unwrap_or_default(),
            _ => raw.text,
        };
        Self::new(text, raw.shape)
    }

    /// A value that is all of this text, if it is a simple one.
    pub(crate) fn simple(text: &'a str) -> Option<Self> {
        let (token, end) = token(text, 0)?;
        (end == text.len()).then_some(token)
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self.shape, Shape::Int | Shape::Float)
    }

    /// The value of a string; `None` for anything else.
    pub(crate) fn string(&self) -> Option<Cow<'a, str>> {
        match self.shape {
            Shape::Plain => Some(Cow::Borrowed(self.text)),
            // It was read once already, so this succeeds.
            Shape::Escaped => serde_json::from_str::<String>(self.text)
                .ok()
                .map(Cow::Owned),
            _ => None,
        }
    }

    /// Appends the value of a string, and nothing for anything else.
    #[inline]
    pub(crate) fn push_string(&self, out: &mut Vec<u8>) {
        match self.shape {
            Shape::Plain => out.extend_from_slice(self.text.as_bytes()),
            Shape::Escaped => {
                let before = out.len();
                if !unescape(self.text, out) {
                    out.truncate(before);
                    let text = self.string().unwrap_or_default();
                    out.extend_from_slice(text.as_bytes());
                }
            }
            _ => {}
        }
    }

    fn new(text: &'a str, shape: Shape) -> Self {
        Self {
            text,
            shape,
            digits: 0,
            scale: 0,
            negative: false,
            exact: false,
        }
    }

    /// An integer of 64 bits.
    #[inline]
    pub(crate) fn int(&self) -> Option<i64> {
        if self.shape != Shape::Int {
            return None;
        }
        match i64::try_from(self.digits) {
            Ok(digits) if self.exact => Some(if self.negative { -digits } else { digits }),
            _ => self.text.parse().ok(),
        }
    }

    /// A number as the nearest float; `None` for anything else, and beyond the floats.
    #[inline]
    pub(crate) fn float(&self) -> Option<f64> {
        const EXACT: u64 = 1 << 53;
        if !self.is_number() {
            return None;
        }
        if let Some(power) = POWERS.get(usize::from(self.scale))
            && self.exact
            && self.digits <= EXACT
        {
            // Both are exact, so one division rounds as reading the text would.
            #[allow(clippy::cast_precision_loss, reason = "at most 2^53")]
            let value = self.digits as f64 / power;
            return Some(if self.negative { -value } else { value });
        }
        self.text
            .parse::<f64>()
            .ok()
            .filter(|value| value.is_finite())
    }

    /// Whether it is a number of so few digits and without an exponent that it is in the range of every type of numbers.
    #[inline]
    pub(crate) fn is_short(&self) -> bool {
        self.exact
    }

    /// Whether it is an integer of at most 2^53, which every float holds exactly; `None` if its text must be looked at.
    #[inline]
    pub(crate) fn is_small_int(&self) -> Option<bool> {
        (self.shape == Shape::Int && self.exact).then_some(self.digits <= 1 << 53)
    }
}

/// A value and the offset after it. `None` for what is not measured here, whether it is JSON or not: numbers with an exponent, escapes of surrogates, values nested
/// very deep or over a line break.
#[inline]
pub(in crate::codec) fn token(text: &str, at: usize) -> Option<(Token<'_>, usize)> {
    let bytes = text.as_bytes();
    match bytes.get(at)? {
        b'"' => string(text, at),
        b'-' | b'0'..=b'9' => number(text, at),
        b't' => word(text, at, "true", Shape::Bool),
        b'f' => word(text, at, "false", Shape::Bool),
        b'n' => word(text, at, "null", Shape::Null),
        b'{' | b'[' => {
            let end = nested(text, at)?;
            Some((Token::new(text.get(at..end)?, Shape::Nested), end))
        }
        _ => None,
    }
}

#[inline]
fn string(text: &str, at: usize) -> Option<(Token<'_>, usize)> {
    let bytes = text.as_bytes();
    let start = at + 1;
    let end = start + plain_len(bytes.get(start..)?)?;
    if bytes.get(end) == Some(&b'"') {
        return Some((Token::new(text.get(start..end)?, Shape::Plain), end + 1));
    }
    let end = escaped_end(bytes, end)?;
    Some((Token::new(text.get(at..end)?, Shape::Escaped), end))
}

/// The offset after a string in which `at` is the first backslash.
fn escaped_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += escape(bytes.get(at + 1..)?)?.1 + 1,
            _ => return None,
        }
        at += plain_len(bytes.get(at..)?)?;
    }
}

/// What follows a backslash: the character that is meant, and the bytes of it.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let character = match bytes.first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let digits = bytes.get(1..5)?;
            let mut code = 0;
            for digit in digits {
                code = code * 16 + char::from(*digit).to_digit(16)?;
            }
            // Half a surrogate pair is none.
            return Some((char::from_u32(code)?, 5));
        }
        _ => return None,
    };
    Some((character, 1))
}

/// Appends what a string with escapes, quotes included, means. `false` if it has an escape that [`escape`] does not know.
fn unescape(text: &str, out: &mut Vec<u8>) -> bool {
    let mut rest = text.get(1..text.len().wrapping_sub(1)).unwrap_or_default();
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (plain, after) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let Some((character, len)) = after.as_bytes().get(1..).and_then(escape) else {
            return false;
        };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = after.get(len + 1..).unwrap_or_default();
    }
    out.extend_from_slice(rest.as_bytes());
    true
}

/// The offset after an object or an array that lies on one line.
fn nested(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    // A bit for each level: whether it is an object.
    let (mut levels, mut depth) = (0_u64, 0);
    let mut at = from;
    loop {
        at = after_blanks(bytes, at);
        match bytes.get(at)? {
            opening @ (b'{' | b'[') => {
                if depth == u64::BITS {
                    return None;
                }
                let is_object = *opening == b'{';
                levels = levels << 1 | u64::from(is_object);
                depth += 1;
                at = after_blanks(bytes, at + 1);
                match (bytes.get(at)?, is_object) {
                    (b'}', true) | (b']', false) => {}
                    (_, true) => {
                        at = key(text, at)?;
                        continue;
                    }
                    (_, false) => continue,
                }
            }
            _ => at = token(text, at)?.1,
        }
        // What ends with this value.
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = after_blanks(bytes, at);
            match (bytes.get(at)?, levels & 1 == 1) {
                (b',', true) => {
                    at = key(text, after_blanks(bytes, at + 1))?;
                    break;
                }
                (b',', false) => {
                    at += 1;
                    break;
                }
                (b'}', true) | (b']', false) => {
                    at += 1;
                    levels >>= 1;
                    depth -= 1;
                }
                _ => return None,
            }
        }
    }
}

/// The offset after a key and its colon.
#[inline]
fn key(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let at = after_blanks(bytes, string(text, at)?.1);
    (bytes.get(at) == Some(&b':')).then_some(at + 1)
}

/// Line breaks are white space to JSON, but here the end of the line.
#[inline]
fn after_blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

#[inline]
fn word<'a>(text: &'a str, at: usize, word: &str, shape: Shape) -> Option<(Token<'a>, usize)> {
    let end = at + word.len();
    let found = text.get(at..end).filter(|found| *found == word)?;
    Some((Token::new(found, shape), end))
}

/// A number without exponent.
#[inline]
fn number(text: &str, from: usize) -> Option<(Token<'_>, usize)> {
    let bytes = text.as_bytes();
    let negative = bytes.get(from) == Some(&b'-');
    let first = from + usize::from(negative);
    let (mut digits, whole) = run_of_digits(bytes, first);
    let mut at = first + whole;
    if whole == 0 || (whole > 1 && bytes.get(first) == Some(&b'0')) {
        return None;
    }
    let mut shape = Shape::Int;
    let mut scale = 0;
    if bytes.get(at) == Some(&b'.') {
        let fraction;
        (fraction, scale) = run_of_digits(bytes, at + 1);
        if scale == 0 {
            return None;
        }
        at += 1 + scale;
        // Beyond 19 digits in all the number is not looked at.
        let power = WHOLE_POWERS.get(scale).copied().unwrap_or_default();
        digits = digits.wrapping_mul(power).wrapping_add(fraction);
        shape = Shape::Float;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        return None;
    }
    let token = Token {
        text: text.get(from..at)?,
        shape,
        digits,
        scale: u8::try_from(scale).unwrap_or(u8::MAX),
        negative,
        // 19 digits are always within 64 bits.
        exact: whole + scale <= 19,
    };
    Some((token, at))
}

/// The digits that begin at an offset, as a number modulo 2^64, and how many they are.
#[inline]
fn run_of_digits(bytes: &[u8], from: usize) -> (u64, usize) {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let (mut value, mut count) = (0_u64, 0);
    // Eight at a time, without a branch for each: how many digits a number has cannot be foreseen.
    if let Some(chunk) = bytes.get(from..).and_then(|rest| rest.first_chunk::<8>()) {
        // Digits become 0 to 9. Adding sets the high bit of the first byte that is more, and carries only into those behind it.
        let word = u64::from_le_bytes(*chunk) ^ ZEROS;
        let others = (word.wrapping_add(0x7676_7676_7676_7676) | word) & HIGHS;
        count = (others.trailing_zeros() / 8) as usize;
        if count == 0 {
            return (0, 0);
        }
        let word = word << (64 - 8 * count);
        let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
        let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
        let high = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
        value = low.wrapping_add(high) >> 32;
        if count < 8 {
            return (value, count);
        }
    }
    while let Some(digit) = bytes
        .get(from + count)
        .map(|byte| byte.wrapping_sub(b'0'))
        .filter(|digit| *digit <= 9)
    {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        count += 1;
    }
    (value, count)
}

/// The length of a text up to the first quote or backslash; `None` if a control character or the end comes first.
#[inline]
fn plain_len(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    // Eight bytes at a time: the high bit of each byte that is a quote, a backslash or below a blank. The lowest one that is set is right.
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        let found = (quote.wrapping_sub(ONES) & !quote
            | slash.wrapping_sub(ONES) & !slash
            | word.wrapping_sub(ONES * 0x20) & !word)
            & HIGHS;
        if found != 0 {
            at += (found.trailing_zeros() / 8) as usize;
            return matches!(bytes.get(at), Some(b'"' | b'\\')).then_some(at);
        }
        at += 8;
    }
    loop {
        match bytes.get(at)? {
            b'"' | b'\\' => return Some(at),
            0..0x20 => return None,
            _ => at += 1,
        }
    }
}
