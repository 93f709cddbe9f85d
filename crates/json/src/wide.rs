//! JSON as Python's `json` module writes it, which is wider than JSON: `NaN` and infinities, numbers of any length, lone surrogates
//! in escapes, any depth, and keys that occur twice. Checked without recursion, so that no depth can overflow the stack.

/// What is wrong with a text, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotWide {
    pub(crate) at: usize,
    pub(crate) message: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    Nothing,
}

/// The fields of the object that the text is: the key as a JSON string, and the text of the value.
pub(crate) fn fields(text: &str) -> Result<Vec<(&str, &str)>, NotWide> {
    let bytes = text.as_bytes();
    let mut fields = Vec::new();
    // The key of the field that is being read, and where its value starts.
    let mut key: Option<(usize, usize)> = None;
    let mut value = 0;
    let fail = |at, message| Err(NotWide { at, message });
    let mut stack: Vec<u8> = Vec::new();
    let mut expect = Expect::Value;
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            i += 1;
            continue;
        }
        let start = i;
        let before = expect;
        if stack.len() == 1 && before == Expect::Value {
            value = start;
        }
        expect = match (expect, byte) {
            (Expect::Value | Expect::ValueOrEnd, b'{') => {
                stack.push(b'{');
                i += 1;
                Expect::KeyOrEnd
            }
            _ if stack.is_empty() && expect == Expect::Value => {
                return fail(i, "it is no JSON object");
            }
            (Expect::Value | Expect::ValueOrEnd, b'[') => {
                stack.push(b'[');
                i += 1;
                Expect::ValueOrEnd
            }
            (Expect::ValueOrEnd | Expect::CommaOrEnd, b']') if stack.last() == Some(&b'[') => {
                i += 1;
                closed(&mut stack)
            }
            (Expect::KeyOrEnd | Expect::CommaOrEnd, b'}') if stack.last() == Some(&b'{') => {
                i += 1;
                closed(&mut stack)
            }
            (Expect::CommaOrEnd, b',') => {
                i += 1;
                match stack.last() {
                    Some(b'{') => Expect::Key,
                    _ => Expect::Value,
                }
            }
            (Expect::Colon, b':') => {
                i += 1;
                Expect::Value
            }
            (Expect::Key | Expect::KeyOrEnd, b'"') => {
                i = string(bytes, i)?;
                Expect::Colon
            }
            (Expect::Value | Expect::ValueOrEnd, b'"') => {
                i = string(bytes, i)?;
                Expect::CommaOrEnd
            }
            (Expect::Value | Expect::ValueOrEnd, _) => {
                i = scalar(bytes, i)?;
                Expect::CommaOrEnd
            }
            (Expect::Nothing, _) => return fail(i, "there is something after the object"),
            (Expect::Key | Expect::KeyOrEnd, _) => return fail(i, "a key is missing"),
            (Expect::Colon, _) => return fail(i, "a colon is missing"),
            (Expect::CommaOrEnd, _) => return fail(i, "a comma or an end is missing"),
        };
        if stack.len() == 1 {
            match (expect, key) {
                (Expect::Colon, _) => key = Some((start, i)),
                (Expect::CommaOrEnd, Some((from, to))) => {
                    // Tokens begin and end at ASCII bytes, so these are boundaries of characters.
                    fields.extend(text.get(from..to).zip(text.get(value..i)));
                    key = None;
                }
                _ => {}
            }
        }
    }
    match expect {
        Expect::Nothing => Ok(fields),
        _ => fail(bytes.len(), "it breaks off"),
    }
}

fn closed(stack: &mut Vec<u8>) -> Expect {
    stack.pop();
    if stack.is_empty() {
        Expect::Nothing
    } else {
        Expect::CommaOrEnd
    }
}

/// The end of the string that starts here.
fn string(bytes: &[u8], start: usize) -> Result<usize, NotWide> {
    let mut i = start + 1;
    loop {
        match bytes.get(i) {
            Some(b'"') => return Ok(i + 1),
            Some(b'\\') => {
                let known = match bytes.get(i + 1) {
                    Some(b'u') => {
                        let digits = bytes.get(i + 2..i + 6).unwrap_or_default();
                        digits.len() == 4 && digits.iter().all(u8::is_ascii_hexdigit)
                    }
                    Some(escaped) => b"\"\\/bfnrt".contains(escaped),
                    None => false,
                };
                if !known {
                    return Err(NotWide {
                        at: i,
                        message: "this is no escape",
                    });
                }
                i += 2;
            }
            Some(0..=0x1F) => {
                return Err(NotWide {
                    at: i,
                    message: "a control character in a string has to be escaped",
                });
            }
            Some(_) => i += 1,
            None => {
                return Err(NotWide {
                    at: start,
                    message: "this string does not end",
                });
            }
        }
    }
}

/// The end of the number or word that starts here.
fn scalar(bytes: &[u8], start: usize) -> Result<usize, NotWide> {
    let rest = bytes.get(start..).unwrap_or_default();
    let len = rest
        .iter()
        .position(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.'))
        .unwrap_or(rest.len());
    let word = rest.get(..len).unwrap_or_default();
    let known: [&[u8]; 6] = [
        b"true",
        b"false",
        b"null",
        b"NaN",
        b"Infinity",
        b"-Infinity",
    ];
    if known.contains(&word) || is_number(word) {
        Ok(start + len)
    } else {
        Err(NotWide {
            at: start,
            message: "this is no value",
        })
    }
}

fn is_number(word: &[u8]) -> bool {
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let word = word.strip_prefix(b"-").unwrap_or(word);
    let (number, exponent) = match word.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    };
    let (whole, fraction) = match number.iter().position(|b| *b == b'.') {
        Some(at) => (&number[..at], Some(&number[at + 1..])),
        None => (number, None),
    };
    let exponent = exponent.map(|text| {
        text.strip_prefix(b"-")
            .or_else(|| text.strip_prefix(b"+"))
            .unwrap_or(text)
    });
    digits(whole)
        && (whole.len() == 1 || whole[0] != b'0')
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_writes_is_taken() {
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        for text in [
            "{}",
            " {\"a\": [NaN, Infinity, -Infinity, -0.0, 1e400, 1E+5, 2e-7]}\n",
            "{\"a\": 123456789012345678901234567890123456789012345678901234567890}",
            "{\"a\": \"\\ud800\", \"\\udfff\\n\\\"\": null, \"é☃\": true}",
            "{\"1\": 1, \"1\": 2}",
            "{\"a\": {\"b\": [{}, [], [[]]]}, \"c\": false}",
            &deep,
        ] {
            assert!(fields(text).is_ok(), "{}", &text[..text.len().min(80)]);
        }
        let text = r#"{ "a" : {"b": [NaN, 2]} , "c": "x,}" ,"d":-1, "e": [] }"#;
        let expected = [
            ("\"a\"", r#"{"b": [NaN, 2]}"#),
            ("\"c\"", "\"x,}\""),
            ("\"d\"", "-1"),
            ("\"e\"", "[]"),
        ];
        assert_eq!(fields(text).unwrap(), expected);
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for (text, at) in [
            ("", 0),
            ("[1]", 0),
            ("NaN", 0),
            ("{\"a\": 1", 7),
            ("{\"a\": 1,}", 8),
            ("{\"a\": [1,]}", 9),
            ("{\"a\" 1}", 5),
            ("{\"a\": 01}", 6),
            ("{\"a\": 1.}", 6),
            ("{\"a\": nan}", 6),
            ("{\"a\": +1}", 6),
            ("{\"a\": \"x}", 6),
            ("{\"a\": \"\\x\"}", 7),
            ("{\"a\": \"\\ud8\"}", 7),
            ("{\"a\": \"\n\"}", 7),
            ("{\"a\": 1]", 7),
            ("{\"a\": 1} {}", 9),
            ("{a: 1}", 1),
            ("\u{feff}{}", 0),
        ] {
            assert_eq!(fields(text).unwrap_err().at, at, "{text}");
        }
    }
}
