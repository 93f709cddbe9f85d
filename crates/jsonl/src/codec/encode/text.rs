//! Scalars as JSON text.

use std::io;

use serde::Serialize;

use super::line::Out;
use crate::error::JsonlError;

/// Appends a scalar as JSON: floats in their shortest form that reads back, with a `.0` where they are whole.
#[inline]
pub(crate) fn push_json<T: Serialize + ?Sized>(
    out: &mut impl Out,
    value: &T,
) -> Result<(), JsonlError> {
    serde_json::to_writer(Short(out), value)
        .map_err(|error| JsonlError::Input(format!("a value has no JSON text: {error}")))
}

/// Appends a few bytes. Copies of a length that the compiler knows need no call, which would take longer than the copy: so it is two that overlap.
#[inline]
pub(crate) fn push_bytes(out: &mut impl Out, bytes: &[u8]) {
    #[inline]
    fn two<const N: usize>(out: &mut impl Out, bytes: &[u8]) -> bool {
        if bytes.len() <= 2 * N
            && let (Some(head), Some(tail)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>())
        {
            out.put(head, bytes.len() - N);
            out.put(tail, N);
            return true;
        }
        false
    }
    let is_done = match bytes.len() {
        4..=8 => two::<4>(out, bytes),
        9..=16 => two::<8>(out, bytes),
        17..=32 => two::<16>(out, bytes),
        _ => false,
    };
    if !is_done {
        out.put_all(bytes);
    }
}

/// Takes what the library writes, mostly the few digits of a number.
pub(super) struct Short<'o, O>(pub(super) &'o mut O);

impl<O: Out> io::Write for Short<'_, O> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        push_bytes(self.0, bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        push_bytes(self.0, bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A text that is appended again and again: what stands before the values of a column.
#[derive(Debug)]
pub(crate) struct Fixed {
    /// The whole text, if it is short.
    head: [u8; Self::HEAD],
    text: Box<[u8]>,
}

impl Fixed {
    const HEAD: usize = 32;

    pub(crate) fn new(text: &[u8]) -> Self {
        let mut head = [0; Self::HEAD];
        for (to, from) in head.iter_mut().zip(text) {
            *to = *from;
        }
        Self {
            head,
            text: text.into(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    #[inline]
    pub(crate) fn push(&self, out: &mut impl Out) {
        if self.text.len() <= Self::HEAD {
            out.put(&self.head, self.text.len());
        } else {
            out.put_all(&self.text);
        }
    }
}

/// Appends text as a JSON string.
#[inline]
pub(crate) fn push(out: &mut impl Out, text: &str) -> Result<(), JsonlError> {
    // Nearly always there is nothing to escape.
    if is_plain(text.as_bytes()) {
        out.put(b"\"", 1);
        push_bytes(out, text.as_bytes());
        out.put(b"\"", 1);
        Ok(())
    } else {
        push_json(out, text)
    }
}

/// Whether nothing in a text has to be escaped.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let (chunks, rest) = text.as_chunks::<8>();
    for chunk in chunks {
        if has_special(*chunk) {
            return false;
        }
    }
    let special = |byte: &u8| matches!(*byte, b'"' | b'\\' | 0..0x20);
    !rest.iter().any(special)
}

/// Whether one of eight bytes is a quote, a backslash or below a blank.
#[inline]
fn has_special(chunk: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(chunk);
    let quote = word ^ (ONES * u64::from(b'"'));
    let slash = word ^ (ONES * u64::from(b'\\'));
    // What one byte borrows from the next can only make more of them look special, once one is.
    let found = quote.wrapping_sub(ONES) & !quote
        | slash.wrapping_sub(ONES) & !slash
        | word.wrapping_sub(ONES * 0x20) & !word;
    found & HIGHS != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn text_is_written_as_the_library_writes_it(
            text in prop_oneof![any::<String>(), "[ -~]{0,40}", "[a-z\u{0}-\u{1f}\"\\\\é]{0,20}"],
        ) {
            let mut out = Vec::new();
            push(&mut out, &text).unwrap();
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn a_few_bytes_are_appended_as_they_are(
            before in prop::collection::vec(any::<u8>(), 0..4),
            bytes in prop::collection::vec(any::<u8>(), 0..70),
        ) {
            let expected = [before.clone(), bytes.clone()].concat();
            let mut out = before.clone();
            push_bytes(&mut out, &bytes);
            prop_assert_eq!(&out, &expected);
            let mut out = before;
            let fixed = Fixed::new(&bytes);
            fixed.push(&mut out);
            prop_assert_eq!((out, fixed.len()), (expected, bytes.len()));
        }

        #[test]
        fn every_byte_is_told_apart(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let special = |byte: &u8| matches!(*byte, b'"' | b'\\' | 0..0x20);
            prop_assert_eq!(is_plain(&bytes), !bytes.iter().any(special));
        }
    }
}
