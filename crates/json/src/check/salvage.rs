//! What can still be read of a registry that does not parse.

use std::collections::BTreeMap;

use minutebook_core::json::{pretty, push_string};
use serde_json::value::RawValue;

use super::registry::entry;

/// What was saved of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// A registry of the entries that can be read, each with its text as it was.
    pub text: String,
    /// Their names.
    pub kept: Vec<String>,
    /// Names, as far as they can be read, of entries that are no datasets or break off.
    pub dropped: Vec<String>,
}

/// Reads every entry that is whole out of the bytes of a registry, damaged anywhere. `take_out` names entries that are to be left out too.
///
/// ```
/// use minutebook_json::salvage_registry;
///
/// let torn = br#"{"a": {"instrument": "A", "file_path": "a.parquet"}, "b": {"instr"#;
/// let saved = salvage_registry(torn, &[]);
/// assert_eq!(saved.kept, ["a"]);
/// assert_eq!(saved.dropped, ["b"]);
/// ```
pub fn salvage_registry(bytes: &[u8], take_out: &[&str]) -> Salvaged {
    let mut kept: BTreeMap<String, String> = BTreeMap::new();
    let mut dropped = Vec::new();
    let mut at = bytes
        .iter()
        .position(|byte| *byte == b'{')
        .map_or(bytes.len(), |at| at + 1);
    while let Some(found) = next_member(bytes, at) {
        at = found.end;
        match found.raw.map(|raw| entry(&found.name, &raw).map(|_| raw)) {
            Some(Ok(raw)) if !take_out.contains(&found.name.as_str()) => {
                kept.insert(found.name, raw);
            }
            _ => dropped.push(found.name),
        }
    }
    dropped.retain(|name| !kept.contains_key(name));
    let mut text = String::from("{");
    for (i, (name, raw)) in kept.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        push_string(&mut text, name);
        text.push(':');
        text.push_str(raw);
    }
    text.push('}');
    Salvaged {
        text: pretty(&text),
        kept: kept.into_keys().collect(),
        dropped,
    }
}

struct Member {
    name: String,
    /// The value, if it is whole.
    raw: Option<String>,
    end: usize,
}

/// The next member of the object from `at` on.
fn next_member(bytes: &[u8], mut at: usize) -> Option<Member> {
    loop {
        // A key is the next string that a colon follows.
        let quote = at + bytes.get(at..)?.iter().position(|byte| *byte == b'"')?;
        let Some((name, end)) = value::<String>(bytes, quote) else {
            at = quote + 1;
            continue;
        };
        let rest = bytes.get(end..)?;
        let colon = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        if rest.get(colon) != Some(&b':') {
            at = quote + 1;
            continue;
        }
        let start = end + colon + 1;
        return Some(match value::<Box<RawValue>>(bytes, start) {
            Some((raw, end)) if raw.get().trim_start().starts_with('{') => Member {
                name,
                raw: Some(raw.get().to_owned()),
                end,
            },
            // What is no object is no entry; inside of what breaks off the search goes on at the next line of the outermost indent.
            Some((_, end)) => Member {
                name,
                raw: None,
                end,
            },
            None => Member {
                name,
                raw: None,
                end: next_line(bytes, start),
            },
        });
    }
}

/// A value that begins at an offset, and where it ends.
fn value<T: serde::de::DeserializeOwned>(bytes: &[u8], at: usize) -> Option<(T, usize)> {
    let mut stream = serde_json::Deserializer::from_slice(bytes.get(at..)?).into_iter::<T>();
    let value = stream.next()?.ok()?;
    Some((value, at + stream.byte_offset()))
}

/// Where the next entry begins in the layout in which registries are written: a line that is indented by two blanks.
fn next_line(bytes: &[u8], at: usize) -> usize {
    const START: &[u8] = b"\n  \"";
    bytes
        .get(at..)
        .unwrap_or_default()
        .windows(START.len())
        .position(|window| window == START)
        .map_or(bytes.len(), |found| at + found + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{
  "a": {
    "file_path": "a.parquet",
    "instrument": "A",
    "metadata": {"note": "x \" {"}
  },
  "b": {
    "file_path": "b.parquet",
    "instrument": "B"
  },
  "c": {
    "file_path": "c.parquet",
    "instrument": "C"
  }
}"#;

    #[test]
    fn cut_anywhere_what_was_whole_is_kept() {
        let saved = salvage_registry(WHOLE.as_bytes(), &[]);
        assert_eq!(saved.kept, ["a", "b", "c"]);
        for end in 0..WHOLE.len() {
            let saved = salvage_registry(&WHOLE.as_bytes()[..end], &[]);
            let whole = ["\"a\"", "\"b\"", "\"c\""]
                .iter()
                .filter(|key| {
                    let start = WHOLE.find(*key).unwrap();
                    let close = start + WHOLE[start..].find("\n  }").unwrap() + 4;
                    close <= end
                })
                .count();
            assert_eq!(saved.kept.len(), whole, "cut at {end}");
        }
    }

    #[test]
    fn an_entry_in_the_middle_costs_itself_alone() {
        let damaged = WHOLE.replace("\"file_path\": \"b.parquet\",", "\"file_path\": \u{1}");
        let saved = salvage_registry(damaged.as_bytes(), &[]);
        assert_eq!(saved.kept, ["a", "c"]);
        assert_eq!(saved.dropped, ["b"]);
        let mut bytes = WHOLE.as_bytes().to_vec();
        let at = WHOLE.find("b.parquet").unwrap();
        bytes[at] = 0xff;
        assert_eq!(salvage_registry(&bytes, &[]).kept, ["a", "c"]);
    }

    #[test]
    fn entries_are_taken_out_by_name() {
        let saved = salvage_registry(WHOLE.as_bytes(), &["a"]);
        assert_eq!(saved.kept, ["b", "c"]);
        assert_eq!(saved.dropped, ["a"]);
        assert!(saved.text.contains("\"instrument\": \"C\""));
    }
}
