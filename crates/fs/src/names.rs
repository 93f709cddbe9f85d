//! Safe file names: any text to one name and back.
//!
//! The verbatim characters are `A-Z a-z 0-9 . _ + = -`. Every other byte of the UTF-8 text is written as `%` and two
//! upper-case hexadecimal digits; so are a first `.` or `-`, a last `.`, and the first letter of a name that Windows
//! reserves (`con`, `nul`, `com1`, ... also with an extension). The empty text is `%`. `@`, `~`, `,` and the glob characters are
//! never produced, so layouts may use them as separators.

use std::fmt::Write as _;

/// The longest file name, in bytes, that the usual file systems take.
pub const MAX_LEN: usize = 255;

/// Why a file name is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Longer than [`MAX_LEN`].
    #[error("a name of {len} bytes is longer than the {MAX_LEN} that file systems take")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Not what encoding produces: some other program named the file.
    #[error("`{0}` is not a name that the encoding produces")]
    NotEncoded(String),
    /// A path component that may not be used.
    #[error("`{component}` cannot be a path component: {reason}")]
    Component {
        /// The component.
        component: String,
        /// Why.
        reason: &'static str,
    },
}

/// The file name for a text: injective, and [`decode`] gives the text back.
///
/// Texts that differ in ASCII case alone have names that differ in case alone: on a case-insensitive disk they meet.
/// See [`encode_folded`].
///
/// ```
/// use minutebook_fs::names::{decode, encode};
/// assert_eq!(encode("BTC/USD"), "BTC%2FUSD");
/// assert_eq!(decode("BTC%2FUSD")?, "BTC/USD");
/// # Ok::<(), minutebook_fs::names::NameError>(())
/// ```
pub fn encode(text: &str) -> String {
    encode_with(text, is_verbatim)
}

/// The file name for a text that is canonical in lower case: no two texts' names meet on a case-insensitive disk.
///
/// The caller lower-cases ASCII first if case does not distinguish; what upper-case ASCII is left is escaped, and so
/// is everything beyond ASCII, so that no rule of a disk for folding case can make two names equal.
///
/// ```
/// use minutebook_fs::names::encode_folded;
/// assert_eq!(encode_folded("btcusd"), "btcusd");
/// assert_eq!(encode_folded("\u{212A}"), "%E2%84%AA"); // KELVIN SIGN, which folds to `k`
/// ```
pub fn encode_folded(text: &str) -> String {
    encode_with(text, |byte| is_verbatim(byte) && !byte.is_ascii_uppercase())
}

/// The text of a name that [`encode`] produced, and of no other name.
pub fn decode(name: &str) -> Result<String, NameError> {
    decode_with(name, encode)
}

/// The text of a name that [`encode_folded`] produced, and of no other name.
pub fn decode_folded(name: &str) -> Result<String, NameError> {
    decode_with(name, encode_folded)
}

/// Refuses names that the usual file systems do not take for their length. To be asked of the whole name, with what a
/// layout puts before and after the encoded text.
pub fn check_len(name: &str) -> Result<(), NameError> {
    if name.len() > MAX_LEN {
        Err(NameError::TooLong { len: name.len() })
    } else {
        Ok(())
    }
}

fn is_verbatim(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'=' | b'-')
}

fn encode_with(text: &str, verbatim: impl Fn(u8) -> bool) -> String {
    if text.is_empty() {
        return "%".to_owned();
    }
    let last = text.len() - 1;
    let escape_first = text.starts_with(['.', '-']) || is_reserved(text);
    let mut name = String::with_capacity(text.len());
    for (i, byte) in text.bytes().enumerate() {
        if verbatim(byte) && !(i == 0 && escape_first) && !(i == last && byte == b'.') {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

fn decode_with(name: &str, encode: fn(&str) -> String) -> Result<String, NameError> {
    let foreign = || NameError::NotEncoded(name.to_owned());
    if name == "%" {
        return Ok(String::new());
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let ([high, low], tail) = rest.split_first_chunk::<2>().ok_or_else(foreign)?;
        bytes.push(hex(*high).ok_or_else(foreign)? << 4 | hex(*low).ok_or_else(foreign)?);
        rest = tail;
    }
    let text = String::from_utf8(bytes).map_err(|_| foreign())?;
    // Encoding again is the one check that covers every rule.
    if encode(&text) == name {
        Ok(text)
    } else {
        Err(foreign())
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

/// Whether Windows takes the name for a device, with any extension.
fn is_reserved(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or(text).to_ascii_lowercase();
    match stem.as_str() {
        "con" | "prn" | "aux" | "nul" => true,
        _ => {
            let digit = stem
                .strip_prefix("com")
                .or_else(|| stem.strip_prefix("lpt"));
            digit.is_some_and(|d| d.len() == 1 && d.bytes().all(|b| b.is_ascii_digit()))
        }
    }
}

#[cfg(test)]
mod tests;
