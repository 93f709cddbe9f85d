//! Finds a value in an entry by JSON pointer (RFC 6901), in its text.

use serde_json::value::RawValue;

use super::fields::{Fields, Flaw, Raw, Shape};

/// The way to a value: keys and array positions from the top level down. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    text: String,
    steps: Vec<String>,
}

impl Pointer {
    /// Reads `/Item/time_exchange`; `None` if it is no pointer, or one to the whole document.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let steps = text.strip_prefix('/')?;
        let mut unescaped = Vec::new();
        for step in steps.split('/') {
            let mut parts = step.split('~');
            let mut name = parts.next()?.to_owned();
            for part in parts {
                let (escape, rest) = part.split_at_checked(1)?;
                name.push(match escape {
                    "0" => '~',
                    "1" => '/',
                    _ => return None,
                });
                name.push_str(rest);
            }
            unescaped.push(name);
        }
        Some(Self {
            text: text.to_owned(),
            steps: unescaped,
        })
    }

    /// The pointer as it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The top-level key, if the pointer names nothing deeper.
    pub(crate) fn top_level(&self) -> Option<&str> {
        match self.steps.as_slice() {
            [key] => Some(key),
            _ => None,
        }
    }

    /// The top-level key with which the way begins.
    pub(crate) fn first(&self) -> &str {
        self.steps.first().map_or("", String::as_str)
    }

    /// What the pointer names below the value of its first key.
    pub(crate) fn below<'a>(&self, value: Raw<'a>) -> Result<Option<Raw<'a>>, Flaw> {
        let mut found = value;
        for step in self.steps.iter().skip(1) {
            if found.shape != Shape::Nested {
                return Ok(None);
            }
            let next = if found.text.starts_with('{') {
                member(found.text, step)?
            } else {
                element(found.text, step)?
            };
            match next {
                Some(next) => found = next,
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }
}

/// The value of a key; of the last one if it occurs twice, as JSON readers do.
fn member<'a>(object: &'a str, key: &str) -> Result<Option<Raw<'a>>, Flaw> {
    let mut fields = Fields::new(object);
    let mut found = None;
    while let Some(field) = fields.next()? {
        if field.is(key) {
            found = Some(field.value);
        }
    }
    Ok(found)
}

fn element<'a>(array: &'a str, step: &str) -> Result<Option<Raw<'a>>, Flaw> {
    let Ok(index) = step.parse::<usize>() else {
        return Ok(None);
    };
    let elements: Vec<&'a RawValue> = serde_json::from_str(array).map_err(|error| Flaw {
        at: 0,
        what: error.to_string().into(),
    })?;
    Ok(elements.get(index).map(|value| shaped(value.get())))
}

/// A value's text with its shape.
fn shaped(text: &str) -> Raw<'_> {
    let shape = match text.as_bytes() {
        [b'"', rest @ ..] if rest.contains(&b'\\') => Shape::Escaped,
        [b'"', ..] => Shape::Plain,
        [b'{' | b'[', ..] => Shape::Nested,
        b"null" => Shape::Null,
        [b't' | b'f', ..] => Shape::Bool,
        number if number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => Shape::Float,
        _ => Shape::Int,
    };
    Raw { text, shape }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
        let pointer = Pointer::parse(pointer).unwrap();
        let top = member(text, pointer.first()).unwrap()?;
        pointer.below(top).unwrap().map(|raw| raw.text)
    }

    #[test]
    fn pointers_lead_through_objects_and_arrays() {
        let text = r#"{"Item":{"t":"x","a/b":{"~":1.50}},"list":[0,{"t":2}]}"#;
        assert_eq!(find(text, "/Item/t"), Some("\"x\""));
        assert_eq!(find(text, "/Item/a~1b/~0"), Some("1.50"));
        assert_eq!(find(text, "/list/1/t"), Some("2"));
        assert_eq!(find(text, "/list/2"), None);
        assert_eq!(find(text, "/Item/t/deeper"), None);
        assert_eq!(find(text, "/nope"), None);
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for text in ["", "Item", "/a~2b", "/a~"] {
            assert_eq!(Pointer::parse(text), None, "{text}");
        }
        assert_eq!(Pointer::parse("/ts").unwrap().top_level(), Some("ts"));
    }
}
