//! Keys in order.

use serde_json::value::RawValue;

use super::{RawObject, UniqueKeys, push_string};

/// The text with the keys of every object in ascending order, on one line; numbers and strings stay as they are.
///
/// # Errors
/// If it is no JSON, has a key twice, or nests too deep.
pub fn sorted(text: &str) -> Result<String, serde_json::Error> {
    let mut out = String::with_capacity(text.len());
    push_sorted(&mut out, text.trim())?;
    Ok(out)
}

fn push_sorted(out: &mut String, text: &str) -> Result<(), serde_json::Error> {
    match text.as_bytes().first() {
        Some(b'{') => {
            let object = RawObject::parse(text)?;
            let mut fields: Vec<_> = object.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (i, (key, value)) in fields.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_string(out, key);
                out.push(':');
                push_sorted(out, value)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            out.push('[');
            for (i, item) in items.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_sorted(out, item.get())?;
            }
            out.push(']');
        }
        _ => out.push_str(text),
    }
    Ok(())
}

/// Whether the text is one JSON value in which no object has a key twice.
///
/// # Errors
/// What is wrong and where (line, column).
pub fn check(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<UniqueKeys>(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth_and_numbers_stay() {
        let text = r#"{"b": 1.10, "a": [{"z": 1e5, "é": "\u00e9", "y": []}], "A": {}}"#;
        assert_eq!(
            sorted(text).unwrap(),
            r#"{"A":{},"a":[{"y":[],"z":1e5,"é":"\u00e9"}],"b":1.10}"#
        );
        assert!(sorted(r#"{"a": 1, "a": 2}"#).is_err());
    }

    #[test]
    fn only_one_value_is_json() {
        assert!(check(" [1, {\"a\": null}]\n").is_ok());
        for text in ["", "1 2", "{\"a\": 1, \"a\": 2}", "NaN", "[1,]"] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
