//! Scalars as JSON text.

use serde::Serialize;

use crate::error::JsonlError;

/// Appends a scalar as JSON: floats in their shortest form that reads back, with a `.0` where they are whole.
#[inline]
pub(crate) fn push_json<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), JsonlError> {
    serde_json::to_writer(out, value)
        .map_err(|error| JsonlError::Input(format!("a value has no JSON text: {error}")))
}

/// Appends text as a JSON string.
#[inline]
pub(crate) fn push(out: &mut Vec<u8>, text: &str) -> Result<(), JsonlError> {
    // Nearly always there is nothing to escape.
    if is_plain(text.as_bytes()) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
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
        fn every_byte_is_told_apart(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let special = |byte: &u8| matches!(*byte, b'"' | b'\\' | 0..0x20);
            prop_assert_eq!(is_plain(&bytes), !bytes.iter().any(special));
        }
    }
}
