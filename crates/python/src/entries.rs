//! Lines of JSON as Python objects: what a whole tick log is loaded with.
//!
//! Usual lines (an object of texts, numbers and their like) are read here, in one pass from bytes to objects. Whatever is unusual
//! (escapes, NaN, integers of any size, deep nesting, damage) is left to Python's own `json.loads`, so that the answer is its answer.

use std::path::PathBuf;
use std::str;

use minutebook_fs::OsFs;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

use crate::error;

/// Deeper values are left to Python.
const MAX_DEPTH: usize = 32;
/// After so many lines signals and other threads get their turn.
const TURN: usize = 4_096;
/// Texts up to this length are looked for among those seen before.
const SHORT: usize = 12;

/// The values of the lines of a file and the numbers (from 1) of lines that are no JSON; `None` if there is no file.
///
/// `loads` is asked for lines that are not usual; what it raises as a `ValueError` makes the line a skipped one.
#[pyfunction]
#[allow(clippy::type_complexity, reason = "a pair for Python")]
pub(crate) fn load_lines<'py>(
    py: Python<'py>,
    path: PathBuf,
    loads: &Bound<'py, PyAny>,
) -> PyResult<Option<(Bound<'py, PyList>, Vec<u64>)>> {
    let read = py.detach(|| minutebook_fs::read(&OsFs, &path, u64::MAX));
    let bytes = match read {
        Err(_) if path.is_symlink() => std::fs::read(&path).map(Some)?,
        read => read.map_err(|failed| error::file("load", &path, failed))?,
    };
    let Some(bytes) = bytes else { return Ok(None) };
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let mut maker = Maker::default();
    let mut values: Vec<Bound<'py, PyAny>> = Vec::new();
    let mut skipped = Vec::new();
    let mut number = 0;
    for line in text.split(|byte| *byte == b'\n') {
        number += 1;
        for part in line.split(|byte| *byte == b'\r') {
            let part = part.trim_ascii();
            if part.is_empty() {
                continue;
            }
            match maker.value(py, part, loads)? {
                Some(value) => values.push(value),
                None => skipped.push(number),
            }
        }
        if number % (TURN as u64) == 0 {
            py.check_signals()?;
            py.detach(|| ());
        }
    }
    Ok(Some((PyList::new(py, values)?, skipped)))
}

/// A text and the object for it.
type Known<'py> = (Box<[u8]>, Bound<'py, PyString>);

/// Makes objects of lines, with the keys and short texts of the lines before.
#[derive(Default)]
struct Maker<'py> {
    /// The keys of the objects at the top, by their place.
    keys: Vec<(Vec<u8>, Bound<'py, PyString>)>,
    /// Texts that were seen, by a hash.
    texts: Vec<Option<Known<'py>>>,
}

impl<'py> Maker<'py> {
    /// The value of a line; `None` if it is no JSON.
    fn value(
        &mut self,
        py: Python<'py>,
        line: &[u8],
        loads: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Ok(text) = str::from_utf8(line) {
            let mut reader = Reader { text, at: 0 };
            if let Some(value) = self.any(py, &mut reader, 0)?
                && reader.at_end()
            {
                return Ok(Some(value));
            }
            return match loads.call1((text.trim(),)) {
                Ok(value) => Ok(Some(value)),
                Err(raised) if raised.is_instance_of::<pyo3::exceptions::PyValueError>(py) => {
                    Ok(None)
                }
                Err(raised) if raised.is_instance_of::<pyo3::exceptions::PyRecursionError>(py) => {
                    Ok(None)
                }
                Err(raised) => Err(raised),
            };
        }
        Ok(None)
    }

    /// A value; `None` for what is left to Python.
    fn any(
        &mut self,
        py: Python<'py>,
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(first) = reader.peek() else {
            return Ok(None);
        };
        Ok(match first {
            b'"' => reader.plain().map(|text| self.text(py, text).into_any()),
            b'{' if depth < MAX_DEPTH => return self.object(py, reader, depth),
            b'[' if depth < MAX_DEPTH => return self.array(py, reader, depth),
            b't' if reader.word("true") => Some(PyBool::new(py, true).to_owned().into_any()),
            b'f' if reader.word("false") => Some(PyBool::new(py, false).to_owned().into_any()),
            b'n' if reader.word("null") => Some(py.None().into_bound(py)),
            b'-' | b'0'..=b'9' => match reader.number() {
                Some(Number::Int(value)) => Some(PyInt::new(py, value).into_any()),
                Some(Number::Float(value)) => Some(PyFloat::new(py, value).into_any()),
                None => None,
            },
            _ => None,
        })
    }

    fn object(
        &mut self,
        py: Python<'py>,
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        reader.at += 1;
        let object = PyDict::new(py);
        if reader.eat(b'}') {
            return Ok(Some(object.into_any()));
        }
        for place in 0.. {
            if reader.peek() != Some(b'"') {
                return Ok(None);
            }
            let Some(key) = reader.plain() else {
                return Ok(None);
            };
            let key = if depth == 0 {
                self.key(py, place, key)
            } else {
                self.text(py, key)
            };
            if !reader.eat(b':') {
                return Ok(None);
            }
            let Some(value) = self.any(py, reader, depth + 1)? else {
                return Ok(None);
            };
            object.set_item(key, value)?;
            if reader.eat(b'}') {
                return Ok(Some(object.into_any()));
            }
            if !reader.eat(b',') {
                return Ok(None);
            }
        }
        Ok(None)
    }

    fn array(
        &mut self,
        py: Python<'py>,
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        reader.at += 1;
        let array = PyList::empty(py);
        if reader.eat(b']') {
            return Ok(Some(array.into_any()));
        }
        loop {
            let Some(value) = self.any(py, reader, depth + 1)? else {
                return Ok(None);
            };
            array.append(value)?;
            if reader.eat(b']') {
                return Ok(Some(array.into_any()));
            }
            if !reader.eat(b',') {
                return Ok(None);
            }
        }
    }

    /// A key of an object at the top: most often the one that the line before had in this place.
    fn key(&mut self, py: Python<'py>, place: usize, key: &str) -> Bound<'py, PyString> {
        if let Some((known, object)) = self.keys.get(place)
            && *known == key.as_bytes()
        {
            return object.clone();
        }
        let object = PyString::intern(py, key);
        let entry = (key.as_bytes().to_vec(), object.clone());
        if let Some(old) = self.keys.get_mut(place) {
            *old = entry;
        } else if place < 1_024 {
            self.keys.push(entry);
        }
        object
    }

    /// A text; short ones that come again and again are one object.
    fn text(&mut self, py: Python<'py>, text: &str) -> Bound<'py, PyString> {
        if text.len() > SHORT {
            return PyString::new(py, text);
        }
        if self.texts.is_empty() {
            self.texts.resize_with(1_024, || None);
        }
        let hash = text.bytes().fold(5_381_u32, |hash, byte| {
            hash.wrapping_mul(33) ^ u32::from(byte)
        });
        let place = (hash ^ hash >> 10) as usize & 1_023;
        let Some(slot) = self.texts.get_mut(place) else {
            return PyString::new(py, text);
        };
        match slot {
            Some((known, object)) if **known == *text.as_bytes() => object.clone(),
            _ => {
                let object = PyString::new(py, text);
                *slot = Some((text.as_bytes().into(), object.clone()));
                object
            }
        }
    }
}

enum Number {
    Int(i64),
    Float(f64),
}

/// A place in a line.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t') = self.bytes().get(self.at) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip_blanks();
        self.bytes().get(self.at).copied()
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self
            .bytes()
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word.as_bytes()));
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// A text without escapes, after its opening quote was seen.
    fn plain(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        let rest = self.bytes().get(start..)?;
        let len = rest
            .iter()
            .position(|byte| matches!(*byte, b'"' | b'\\' | 0..0x20))?;
        if rest.get(len) != Some(&b'"') {
            return None;
        }
        self.at = start + len + 1;
        self.text.get(start..start + len)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.bytes().get(self.at) {
            self.at += 1;
        }
        self.at - start
    }

    /// A number as JSON has it, if it is not too long.
    fn number(&mut self) -> Option<Number> {
        let start = self.at;
        self.at += usize::from(self.bytes().get(self.at) == Some(&b'-'));
        let zero = self.bytes().get(self.at) == Some(&b'0');
        let whole = self.digits();
        if whole == 0 || (zero && whole > 1) {
            return None;
        }
        let mut float = false;
        if self.bytes().get(self.at) == Some(&b'.') {
            self.at += 1;
            float = true;
            if self.digits() == 0 {
                return None;
            }
        }
        if let Some(b'e' | b'E') = self.bytes().get(self.at) {
            self.at += 1;
            float = true;
            if let Some(b'+' | b'-') = self.bytes().get(self.at) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        let text = self.text.get(start..self.at)?;
        if float {
            text.parse().ok().map(Number::Float)
        } else if whole <= 18 {
            text.parse().ok().map(Number::Int)
        } else {
            None
        }
    }
}
