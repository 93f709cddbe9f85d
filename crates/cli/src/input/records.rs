//! CSV and JSON Lines alike as records of text cells, each with its line.

use std::io::{self, BufRead};

use csv::StringRecord;
use serde_json::Value;

use super::source::{Format, Source};
use crate::failure::{Failure, Outcome};
use crate::output::progress::{Lines, Progress};

/// How long a line may be.
const MAX_LINE: u64 = 64 << 20;

/// The records of an input, from its start.
pub(crate) struct Records {
    name: String,
    columns: Vec<String>,
    inner: Inner,
}

enum Inner {
    Csv(Box<csv::Reader<Newlines>>),
    Json(LineReader),
}

impl Records {
    /// Reads CSV (with a heading; separated by comma, semicolon, tab or bar) or JSON Lines.
    pub(crate) fn open(source: &mut Source, format: Format, progress: &Progress) -> Outcome<Self> {
        let name = source.name.clone();
        if format == Format::JsonLines {
            return Ok(Self {
                inner: Inner::Json(LineReader::new(source.reader(progress)?)),
                name,
                columns: Vec::new(),
            });
        }
        let delimiter = delimiter(source)?;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .trim(csv::Trim::All)
            // The number of cells is checked here, where the line is known.
            .flexible(true)
            .from_reader(Newlines::new(source.reader(progress)?));
        let columns: Vec<String> = match reader.headers() {
            Ok(headers) => headers.iter().map(str::to_owned).collect(),
            Err(error) => return Err(csv_failure(source, &error)),
        };
        Ok(Self {
            inner: Inner::Csv(Box::new(reader)),
            name,
            columns: columns
                .into_iter()
                .map(|c| c.trim_start_matches('\u{feff}').to_owned())
                .collect(),
        })
    }

    /// The names of the columns. Those of JSON Lines are known once all records were read, and never change their places.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Takes columns over that an earlier pass has found, so that cells have the same places again.
    pub(crate) fn with_columns(mut self, columns: &[String]) -> Self {
        if matches!(self.inner, Inner::Json(_)) {
            self.columns = columns.to_vec();
        }
        self
    }

    /// Reads the next record and says on which line it begins, or `None` at the end.
    pub(crate) fn next(&mut self, record: &mut StringRecord) -> Outcome<Option<u64>> {
        match &mut self.inner {
            Inner::Csv(reader) => {
                match reader.read_record(record) {
                    Ok(true) => {}
                    Ok(false) => return Ok(None),
                    Err(error) => return Err(csv_line_failure(&self.name, &error)),
                }
                // The reader's own position of a record is before the blank lines that it skips. Every record ends in one line break.
                let inside: usize = record.iter().map(|cell| cell.matches('\n').count()).sum();
                let line = reader.position().line().saturating_sub(1 + inside as u64);
                if record.len() != self.columns.len() {
                    return Err(Failure::data(format!(
                        "{}, line {line}: {} cells where the heading has {}; mend or remove the line",
                        self.name,
                        record.len(),
                        self.columns.len()
                    )));
                }
                Ok(Some(line))
            }
            Inner::Json(lines) => {
                let line = lines
                    .next()
                    .map_err(|e| Failure::file("read", &self.name, &e))?;
                let Some((at, line)) = line else {
                    return Ok(None);
                };
                let object: serde_json::Map<String, Value> = serde_json::from_slice(line)
                    .map_err(|error| json_failure(&self.name, at, &error))?;
                for key in object.keys() {
                    if !self.columns.contains(key) {
                        self.columns.push(key.clone());
                    }
                }
                record.clear();
                for column in &self.columns {
                    match object.get(column) {
                        None | Some(Value::Null) => record.push_field(""),
                        Some(Value::String(text)) => record.push_field(text.trim()),
                        Some(value) => record.push_field(&value.to_string()),
                    }
                }
                Ok(Some(at))
            }
        }
    }
}

/// The way out of a malformed line, after which nothing was written.
pub(crate) fn json_failure(name: &str, line: u64, error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    // The parser counts lines within this one line, which tells nothing.
    let what = text.split(" at line ").next().unwrap_or(&text);
    Failure::data(format!(
        "{name}, line {line}, column {}: not a JSON object ({what}); mend or remove the line",
        error.column()
    ))
}

fn csv_failure(source: &Source, error: &csv::Error) -> Failure {
    match error.kind() {
        csv::ErrorKind::Io(io) => source.broken(io),
        _ => csv_line_failure(&source.name, error),
    }
}

fn csv_line_failure(name: &str, error: &csv::Error) -> Failure {
    let line = error.position().map_or(0, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => Failure::data(format!(
            "{name}, line {line}: not UTF-8; convert the file to UTF-8 first"
        )),
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Failure::data(
            format!("{name}: the data is cut short; fetch the file again"),
        ),
        csv::ErrorKind::Io(error) => Failure::file("read", name, error),
        _ => Failure::data(format!("{name}, line {line}: {error}")),
    }
}

/// The separator that the heading has most of; a comma where it has none.
fn delimiter(source: &mut Source) -> Outcome<u8> {
    let mut lines = LineReader::new(source.reader(&Progress::new(false, "", 0))?);
    let heading = match lines.next() {
        Ok(line) => line.map(|(_, line)| line.to_vec()).unwrap_or_default(),
        Err(error) => return Err(source.broken(&error)),
    };
    let count = |byte: u8| heading.split(|b| *b == byte).count();
    Ok(*b",;\t|"
        .iter()
        .rev()
        .max_by_key(|byte| count(**byte))
        .unwrap_or(&b','))
}

/// Line breaks of every kind as `\n`, one at the end included, so that lines can be counted.
struct Newlines {
    inner: Lines,
    last: u8,
    ended: bool,
}

impl Newlines {
    fn new(inner: Lines) -> Self {
        Self {
            inner,
            last: b'\n',
            ended: false,
        }
    }
}

impl io::Read for Newlines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut written = 0;
        while written == 0 && !buffer.is_empty() && !self.ended {
            let bytes = match self.inner.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if bytes.is_empty() {
                self.ended = true;
                if self.last != b'\n' && self.last != b'\r' {
                    buffer[0] = b'\n';
                    written = 1;
                }
                break;
            }
            let taken = bytes.len().min(buffer.len());
            for byte in &bytes[..taken] {
                let second_half = *byte == b'\n' && self.last == b'\r';
                self.last = *byte;
                if !second_half {
                    buffer[written] = if *byte == b'\r' { b'\n' } else { *byte };
                    written += 1;
                }
            }
            self.inner.consume(taken);
        }
        Ok(written)
    }
}

/// Lines without their ends, blank ones left out, a byte order mark taken off, none longer than a limit.
pub(crate) struct LineReader {
    inner: Lines,
    buffer: Vec<u8>,
    line: u64,
}

impl LineReader {
    pub(crate) fn new(inner: Lines) -> Self {
        Self {
            inner,
            buffer: Vec::new(),
            line: 0,
        }
    }

    /// The next line and its number, counted from 1.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        use io::Read as _;
        loop {
            self.buffer.clear();
            let n = (&mut self.inner)
                .take(MAX_LINE)
                .read_until(b'\n', &mut self.buffer)?;
            if n == 0 {
                return Ok(None);
            }
            self.line += 1;
            if n as u64 == MAX_LINE && !self.buffer.ends_with(b"\n") {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {} is longer than 64 MiB", self.line),
                ));
            }
            if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            self.buffer.truncate(self.buffer.trim_ascii_end().len());
            if !self.buffer.trim_ascii_start().is_empty() {
                return Ok(Some((self.line, &self.buffer)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    type Read = (Vec<String>, Vec<(u64, Vec<String>)>);

    fn all(text: &str) -> Result<Read, String> {
        let mut source = Source::open(Path::new("-"), &mut text.as_bytes()).unwrap();
        let format = source.format().unwrap();
        let message = |failure| match failure {
            Failure::Message { text, .. } => text,
            Failure::OutputClosed => unreachable!(),
        };
        let mut records =
            Records::open(&mut source, format, &Progress::new(false, "", 0)).map_err(message)?;
        let (mut record, mut rows) = (StringRecord::new(), Vec::new());
        while let Some(line) = records.next(&mut record).map_err(message)? {
            rows.push((line, record.iter().map(str::to_owned).collect()));
        }
        Ok((records.columns().to_vec(), rows))
    }

    #[test]
    fn csv_of_every_separator_is_read_with_its_lines() {
        for text in [
            "\u{feff}a,b\n1,2\n\n3,\"x\ny\"\n",
            "a;b\r\n1;2\r\n\r\n3;\"x\ny\"",
            "a\tb\n1\t 2\n\n3\t\"x\ny\"\n",
        ] {
            let (columns, rows) = all(text).unwrap();
            assert_eq!(columns, ["a", "b"]);
            assert_eq!(rows[0], (2, vec!["1".to_owned(), "2".to_owned()]));
            assert_eq!(
                rows[1],
                (4, vec!["3".to_owned(), "x\ny".to_owned()]),
                "{text:?}"
            );
        }
    }

    #[test]
    fn json_lines_have_the_columns_of_all_lines() {
        let (columns, rows) =
            all("{\"a\": 1.50, \"b\": \"x\"}\r\n\n{\"c\": {\"d\": [1]}, \"a\": null}\n").unwrap();
        assert_eq!(columns, ["a", "b", "c"]);
        assert_eq!(rows[0], (1, vec!["1.5".to_owned(), "x".to_owned()]));
        assert_eq!(
            rows[1],
            (
                3,
                vec![String::new(), String::new(), "{\"d\":[1]}".to_owned()]
            )
        );
    }

    #[test]
    fn a_malformed_line_is_named() {
        assert!(all("a,b\n1,2\n3\n").unwrap_err().contains("line 3"));
        assert!(
            all("{\"a\": 1}\n{\"a\": \n")
                .unwrap_err()
                .contains("line 2")
        );
        assert!(all("{\"a\": 1}\n[1]\n").unwrap_err().contains("line 2"));
    }
}
