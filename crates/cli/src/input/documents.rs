//! Decision documents: one JSON object, an array of them, or one after another (JSON Lines).

use minutebook::json_text::RawObject;
use serde_json::value::RawValue;

use super::source::Source;
use crate::failure::{Failure, Outcome};

/// A document and the line on which it begins.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) line: u64,
    pub(crate) fields: RawObject,
}

/// All documents of an input.
pub(crate) fn read(source: &mut Source) -> Outcome<Vec<Document>> {
    let text = source.text()?;
    let name = source.name.clone();
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let documents = if text.trim_start().starts_with('[') {
        array(&name, text)?
    } else {
        sequence(&name, text)?
    };
    if documents.is_empty() {
        return Err(Failure::data(format!("{name}: there is no document in it")));
    }
    Ok(documents)
}

fn array(name: &str, text: &str) -> Outcome<Vec<Document>> {
    let values: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| malformed(name, error.line() as u64, &error))?;
    // Each value borrows from the text, so where it lies tells its line.
    let mut lines = Lines::new(text);
    values
        .into_iter()
        .map(|value| {
            let at = value.get().as_ptr() as usize - text.as_ptr() as usize;
            object(name, lines.of(at), value.get())
        })
        .collect()
}

fn sequence(name: &str, text: &str) -> Outcome<Vec<Document>> {
    let mut documents = Vec::new();
    let mut lines = Lines::new(text);
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    loop {
        let from = stream.byte_offset();
        match stream.next() {
            None => return Ok(documents),
            Some(Ok(value)) => {
                let at = value.get().as_ptr() as usize - text.as_ptr() as usize;
                documents.push(object(name, lines.of(at), value.get())?);
            }
            Some(Err(error)) => {
                // What ends too early is told where it begins, everything else where it is.
                let rest = text.get(from..).unwrap_or("");
                let begin = from + (rest.len() - rest.trim_start().len());
                let line = if error.is_eof() {
                    lines.of(begin)
                } else {
                    error.line() as u64
                };
                return Err(malformed(name, line, &error));
            }
        }
    }
}

fn object(name: &str, line: u64, text: &str) -> Outcome<Document> {
    let fields = RawObject::parse(text).map_err(|error| {
        let line = line + (error.line() as u64).saturating_sub(1);
        malformed(name, line, &error)
    })?;
    Ok(Document { line, fields })
}

fn malformed(name: &str, line: u64, error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    Failure::data(format!(
        "{name}, line {line}: not a JSON object ({what}); mend or remove it"
    ))
}

/// How many line breaks there are.
pub(crate) fn line_breaks(text: &[u8]) -> u64 {
    text.split(|byte| *byte == b'\n').count() as u64 - 1
}

/// Counts lines up to places that only grow.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            at: 0,
            line: 1,
        }
    }

    fn of(&mut self, at: usize) -> u64 {
        let passed = self.text.get(self.at..at).unwrap_or_default();
        self.line += line_breaks(passed);
        self.at = at.max(self.at);
        self.line
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn lines(text: &str) -> Result<Vec<u64>, String> {
        let mut source = Source::open(Path::new("-"), &mut text.as_bytes()).unwrap();
        match read(&mut source) {
            Ok(documents) => Ok(documents.iter().map(|document| document.line).collect()),
            Err(Failure::Message { text, .. }) => Err(text),
            Err(Failure::OutputClosed) => unreachable!(),
        }
    }

    #[test]
    fn every_form_is_read_with_its_lines() {
        assert_eq!(lines("{\"a\":\n 1}").unwrap(), [1]);
        assert_eq!(lines("\u{feff}{\"a\":1}\n\n{\"a\":2}\n").unwrap(), [1, 3]);
        assert_eq!(lines("{\n\"a\":1\n}\n{\"a\":2}").unwrap(), [1, 4]);
        assert_eq!(lines("[\n {\"a\": 1},\n {\"a\": 2}\n]").unwrap(), [2, 3]);
    }

    #[test]
    fn what_is_malformed_is_named_with_its_line() {
        for (text, line) in [
            ("{\"a\":1}\n{\"a\":\n", "line 2"),
            ("{\"a\":1}\n5\n", "line 2"),
            ("[{\"a\":1},\n 7]", "line 2"),
            ("[{\"a\":1},\n {\"a\":1", "line 2"),
            ("{\"a\":1}\n{\"a\":1,\n\"a\":2}\n", "line"),
            ("", "no document"),
            ("[]", "no document"),
        ] {
            let message = lines(text).unwrap_err();
            assert!(message.contains(line), "{message}");
        }
    }
}
