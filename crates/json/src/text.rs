//! JSON text laid out as Python's `json.dump(..., indent=n, sort_keys=True, ensure_ascii=False)` does, number text kept.

use minutebook_core::json::{RawObject, pretty, push_string};
use serde_json::value::RawValue;

/// What JSON text is indented with inside: [`pretty`] lays out two blanks a level.
const BLANKS: usize = 2;

/// The text with the keys of every object in ascending order, on one line.
///
/// # Errors
/// If it is no JSON, has a key twice, or nests too deep.
pub(crate) fn sorted(text: &str) -> Result<String, serde_json::Error> {
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

/// The text over several lines, so many blanks a level.
pub(crate) fn indented(text: &str, indent: usize) -> String {
    let laid_out = pretty(text);
    if indent == BLANKS {
        return laid_out;
    }
    // No string holds a line break as it is, so blanks at the start of a line are always the layout's.
    let mut out = String::with_capacity(laid_out.len());
    for (i, line) in laid_out.lines().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        let content = line.trim_start_matches(' ');
        let depth = (line.len() - content.len()) / BLANKS;
        out.extend(std::iter::repeat_n(' ', depth * indent));
        out.push_str(content);
    }
    out
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
    fn indents_as_asked() {
        let text = r#"{"a":["  x",{"b":1}]}"#;
        assert_eq!(
            indented(text, 4),
            "{\n    \"a\": [\n        \"  x\",\n        {\n            \"b\": 1\n        }\n    ]\n}"
        );
        assert_eq!(indented(text, 0).lines().count(), 8);
    }
}
