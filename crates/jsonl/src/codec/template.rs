//! Reads lines by the shape of the lines before them.
//!
//! The lines of a feed have the same keys in the same order with the same blanks. Once a line was read field by field, what stands before each
//! of its values is remembered; a line with the same text there needs no look at its keys, and was taken apart when its values
//! were measured. A line of any other shape, or with a value that is not simple (nested, escaped, with an exponent), is left to
//! [`Fields`](super::fields::Fields).

use std::borrow::Cow;

use super::fields::{Raw, Shape};

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

/// Takes the values of a line in order, each with what stands at its place.
pub(crate) trait Sink<'a, P> {
    /// What was taken so far was of a line that has another shape after all.
    fn clear(&mut self);
    /// The next value.
    fn take(&mut self, place: &P, token: Token<'a>);
}

impl<'a, P: Copy> Sink<'a, P> for Vec<(P, Token<'a>)> {
    #[inline]
    fn clear(&mut self) {
        Self::clear(self);
    }

    #[inline]
    fn take(&mut self, place: &P, token: Token<'a>) {
        self.push((*place, token));
    }
}

/// The shapes of the lines so far, and what stands at each place of them.
#[derive(Debug)]
pub(crate) struct Templates<P> {
    known: Vec<Template<P>>,
    /// The one that fitted last.
    current: usize,
    /// Lines since one fitted.
    misses: u32,
}

#[derive(Debug)]
struct Template<P> {
    /// What stands before each value, from the end of the value before it, and what the value belongs to.
    values: Vec<(Lead, P)>,
    /// What follows the last value.
    tail: Lead,
}

/// A text that must stand at a place. Its first 16 bytes are compared as one number: most texts between values are no longer than that.
#[derive(Debug)]
struct Lead {
    text: Box<[u8]>,
    head: u128,
    /// The bytes of `head` that count.
    mask: u128,
}

impl Lead {
    const HEAD: usize = 16;

    fn new(text: &[u8]) -> Self {
        let (mut head, mut mask) = ([0; Self::HEAD], [0; Self::HEAD]);
        for ((byte, head), mask) in text.iter().zip(&mut head).zip(&mut mask) {
            *head = *byte;
            *mask = u8::MAX;
        }
        Self {
            text: text.into(),
            head: u128::from_le_bytes(head),
            mask: u128::from_le_bytes(mask),
        }
    }

    /// The offset after the text, if it stands at `at`.
    #[inline]
    fn after(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let rest = bytes.get(at..)?;
        let len = self.text.len();
        if let Some(chunk) = rest.first_chunk::<{ Self::HEAD }>() {
            if (u128::from_le_bytes(*chunk) ^ self.head) & self.mask != 0 {
                return None;
            }
            if len <= Self::HEAD {
                return Some(at + len);
            }
        }
        rest.starts_with(&self.text).then_some(at + len)
    }
}

impl<P> Default for Templates<P> {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            current: 0,
            misses: 0,
        }
    }
}

impl<P> Templates<P> {
    /// Reads the line that begins at `at` and ends with a newline or the text: gives its values to `sink`, and the offset after it.
    ///
    /// `None` if it has none of the shapes; then nothing is said about it.
    #[inline]
    pub(crate) fn line<'a>(
        &mut self,
        text: &'a str,
        at: usize,
        sink: &mut impl Sink<'a, P>,
    ) -> Option<usize> {
        for turn in 0..self.known.len() {
            let which = match self.current + turn {
                over if over >= self.known.len() => over - self.known.len(),
                which => which,
            };
            if let Some(end) = self.known.get(which)?.line(text, at, sink) {
                self.misses = 0;
                self.current = which;
                return Some(end);
            }
        }
        self.misses = self.misses.saturating_add(1);
        None
    }

    /// Whether the line at hand, which had none of the shapes, is worth remembering: of lines that are all different only ever fewer are.
    pub(crate) fn wants_more(&self) -> bool {
        self.misses.is_power_of_two()
    }

    /// Remembers the shape of a line that was read field by field. `values` has where each value begins and ends, and what it belongs to.
    pub(crate) fn learn(&mut self, line: &str, values: Vec<(usize, usize, P)>) {
        /// A feed alternates between few shapes.
        const MOST: usize = 4;
        let bytes = line.as_bytes();
        let mut template = Template {
            values: Vec::with_capacity(values.len()),
            tail: Lead::new(b""),
        };
        let mut end = 0;
        for (from, to, place) in values {
            let Some(lead) = bytes.get(end..from) else {
                return;
            };
            template.values.push((Lead::new(lead), place));
            end = to;
        }
        template.tail = Lead::new(bytes.get(end..).unwrap_or_default());
        if template.values.is_empty() {
            return;
        }
        if self.known.len() < MOST {
            self.current = self.known.len();
            self.known.push(template);
        } else {
            // The one after the one that fitted last: not that one, and each in its turn.
            self.current = (self.current + 1) % MOST;
            if let Some(old) = self.known.get_mut(self.current) {
                *old = template;
            }
        }
    }
}

impl<P> Template<P> {
    #[inline]
    fn line<'a>(&self, text: &'a str, from: usize, sink: &mut impl Sink<'a, P>) -> Option<usize> {
        let bytes = text.as_bytes();
        sink.clear();
        let mut at = from;
        for (lead, place) in &self.values {
            let start = lead.after(bytes, at)?;
            let (token, end) = token(text, start)?;
            sink.take(place, token);
            at = end;
        }
        at = self.tail.after(bytes, at)?;
        match bytes.get(at..)? {
            [b'\n', ..] => Some(at + 1),
            [b'\r', b'\n', ..] => Some(at + 2),
            [] => Some(at),
            _ => None,
        }
    }
}

/// A simple value and the offset after it.
#[inline]
fn token(text: &str, at: usize) -> Option<(Token<'_>, usize)> {
    let bytes = text.as_bytes();
    match bytes.get(at)? {
        b'"' => {
            let start = at + 1;
            let end = start + plain_len(bytes.get(start..)?)?;
            Some((Token::new(text.get(start..end)?, Shape::Plain), end + 1))
        }
        b'-' | b'0'..=b'9' => number(text, at),
        b't' => word(text, at, "true", Shape::Bool),
        b'f' => word(text, at, "false", Shape::Bool),
        b'n' => word(text, at, "null", Shape::Null),
        _ => None,
    }
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

/// The length of a string up to its closing quote; `None` if it has an escape or a control character first, or no end.
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
            return (bytes.get(at) == Some(&b'"')).then_some(at);
        }
        at += 8;
    }
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' | 0..0x20 => return None,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::fields::Fields;

    /// The values of a line as they are read field by field, and its shape learnt.
    fn learn(templates: &mut Templates<usize>, line: &str) -> Option<Vec<(String, Shape)>> {
        let mut fields = Fields::new(line);
        let (mut values, mut found) = (Vec::new(), Vec::new());
        while let Some(field) = fields.next().ok()? {
            let end = fields.position();
            values.push((end - field.value.text.len(), end, values.len()));
            let token = Token::of(field.value);
            found.push((token.text.to_owned(), token.shape));
        }
        templates.learn(line, values);
        Some(found)
    }

    #[test]
    fn a_line_of_the_same_shape_needs_no_look_at_its_keys() {
        let mut templates = Templates::default();
        learn(
            &mut templates,
            r#"{"t": "a", "p": 1.5, "n":null ,"b":true}"#,
        )
        .unwrap();
        let mut tokens = Vec::new();
        let text = "{\"t\": \"é\", \"p\": -20, \"n\":\"12345678\\\" ,\"b\":false}\n{\"t\": \"é\", \"p\": -20, \"n\":\"1234567\" ,\"b\":false}\r\n";
        assert!(templates.line(text, 0, &mut tokens).is_none(), "an escape");
        let at = text.find('\n').unwrap() + 1;
        assert_eq!(templates.line(text, at, &mut tokens), Some(text.len()));
        let texts: Vec<_> = tokens
            .iter()
            .map(|(place, token)| (*place, token.text))
            .collect();
        assert_eq!(texts, [(0, "é"), (1, "-20"), (2, "1234567"), (3, "false")]);
        assert_eq!(tokens[1].1.int(), Some(-20));
    }

    #[test]
    fn several_shapes_are_known_at_once() {
        let mut templates = Templates::default();
        for n in 0..4 {
            learn(&mut templates, &format!("{{\"k{n}\":1}}")).unwrap();
        }
        let mut fits = |line: &str| templates.line(line, 0, &mut Vec::new()).is_some();
        for n in [0, 3, 1, 2, 2] {
            assert!(fits(&format!("{{\"k{n}\":7}}\n")), "{n}");
        }
        assert!(!fits("{\"k9\":7}\n"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// Numbers are read as their text says.
        #[test]
        fn numbers_are_exact(text in "-?(0|[1-9][0-9]{0,21})(\\.[0-9]{1,24})?") {
            let (token, end) = token(&text, 0).unwrap();
            prop_assert_eq!(end, text.len());
            if token.shape == Shape::Int {
                prop_assert_eq!(token.int(), text.parse::<i64>().ok());
            }
            let float = token.float().unwrap();
            prop_assert_eq!(float.to_bits(), text.parse::<f64>().unwrap().to_bits());
        }

        /// Every float that is written is read back.
        #[test]
        fn floats_come_back(value in proptest::num::f64::NORMAL) {
            let text = format!("{value}");
            let (token, _) = token(&text, 0).unwrap();
            prop_assert_eq!(token.float().unwrap().to_bits(), value.to_bits());
        }

        /// A line that has a known shape is read as field by field; a broken one never has a known shape.
        #[test]
        fn lines_are_read_as_field_by_field(
            base in prop::sample::select(vec![
                r#"{"timestamp": "2024-01-01T00:00:00.014825", "price": 42496.1, "size": -1.5, "n": 0}"#,
                r#"{"s":"some words é☃ here","b":true,"f":false,"x":null,"i":123}"#,
            ]),
            edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(
                b"{}[]\",:\\0123456789.-+eEtrufalsn \t\r\x00x".to_vec()), any::<u8>()), 0..3),
        ) {
            let mut templates = Templates::default();
            learn(&mut templates, base).unwrap();
            let mut bytes = base.as_bytes().to_vec();
            for (index, byte, action) in edits {
                let at = index.index(bytes.len().max(1));
                match action % 3 {
                    0 if at < bytes.len() => bytes[at] = byte,
                    1 if at < bytes.len() => { bytes.remove(at); }
                    _ => bytes.insert(at.min(bytes.len()), byte),
                }
            }
            if let Ok(text) = String::from_utf8(bytes) {
                let line = format!("{text}\n");
                let mut tokens = Vec::new();
                if templates.line(&line, 0, &mut tokens).is_some() {
                    let quick: Vec<_> = tokens.iter().map(|(_, t)| (t.text.to_owned(), t.shape)).collect();
                    let line = text.strip_suffix('\r').unwrap_or(&text);
                    prop_assert_eq!(Some(quick), learn(&mut Templates::default(), line), "{}", text);
                }
            }
        }
    }
}
