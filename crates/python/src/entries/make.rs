//! From tokens to Python objects. A tick is an object like the one before it with other values, and is made so.

use std::str;

use pyo3::exceptions::{PyRecursionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

use super::tokens::{Chunk, Line, Part, Shape, Token, number};

/// Texts up to this length are looked for among those seen before.
const SHORT: usize = 12;
/// How many texts are kept.
const TEXTS: usize = 1 << 10;
/// How many numbers are kept: prices and sizes come again and again.
const NUMBERS: usize = 1 << 14;

/// Something and the object for it.
type Known<'py, T, O> = Option<(T, Bound<'py, O>)>;

/// Makes objects of lines, with the keys, short texts and numbers of the lines before.
pub(super) struct Maker<'py> {
    py: Python<'py>,
    loads: Bound<'py, PyAny>,
    values: Bound<'py, PyList>,
    skipped: Vec<u64>,
    /// The keys of the last object at the top.
    keys: Vec<Bound<'py, PyString>>,
    /// An object with these keys, to be copied; `None` if a key is there twice.
    template: Option<Bound<'py, PyDict>>,
    texts: Vec<Known<'py, Box<[u8]>, PyString>>,
    numbers: Vec<Known<'py, [u8; 8], PyAny>>,
}

impl<'py> Maker<'py> {
    pub(super) fn new(py: Python<'py>, loads: Bound<'py, PyAny>) -> Self {
        Self {
            py,
            loads,
            values: PyList::empty(py),
            skipped: Vec::new(),
            keys: Vec::new(),
            template: None,
            texts: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// The values, and the numbers of the lines that are no JSON.
    pub(super) fn done(self) -> (Bound<'py, PyList>, Vec<u64>) {
        (self.values, self.skipped)
    }

    /// Makes the values of a chunk's lines.
    pub(super) fn take(&mut self, chunk: &Chunk) -> PyResult<()> {
        if self.texts.is_empty() {
            self.texts.resize_with(TEXTS, || None);
            self.numbers.resize_with(NUMBERS, || None);
        }
        let mut tokens = Tokens {
            bytes: &chunk.bytes,
            tokens: chunk.tokens.iter(),
        };
        for line in &chunk.lines {
            let value = match line.shape {
                Shape::Same => match &self.template {
                    Some(template) => {
                        let copy = template.copy()?;
                        self.fill(&copy, &mut tokens)?;
                        Some(copy.into_any())
                    }
                    None => self.other(&mut tokens)?,
                },
                Shape::Other => self.other(&mut tokens)?,
                Shape::Python => self.python(line, chunk)?,
                Shape::NoText => None,
            };
            match value {
                Some(value) => self.values.append(value)?,
                None => self.skipped.push(line.number),
            }
        }
        Ok(())
    }

    /// What Python makes of a line; `None` if it is no JSON.
    fn python(&mut self, line: &Line, chunk: &Chunk) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Ok(text) = str::from_utf8(line.text.of(&chunk.bytes)) else {
            return Ok(None);
        };
        match self.loads.call1((text.trim(),)) {
            Ok(value) => Ok(Some(value)),
            Err(raised)
                if raised.is_instance_of::<PyValueError>(self.py)
                    || raised.is_instance_of::<PyRecursionError>(self.py) =>
            {
                Ok(None)
            }
            Err(raised) => Err(raised),
        }
    }

    /// A value at the top.
    fn other(&mut self, tokens: &mut Tokens<'_>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match tokens.next() {
            Some(Token::Object) => {
                let object = PyDict::new(self.py);
                let (keys, count) = self.members(&object, tokens)?;
                self.template = None;
                if count == object.len() {
                    let template = PyDict::new(self.py);
                    for key in &keys {
                        template.set_item(key, self.py.None())?;
                    }
                    self.template = Some(template);
                }
                self.keys = keys;
                Ok(Some(object.into_any()))
            }
            Some(token) => self.value(token, tokens),
            None => Ok(None),
        }
    }

    /// Puts the values of an object into one that has its keys.
    fn fill(&mut self, object: &Bound<'py, PyDict>, tokens: &mut Tokens<'_>) -> PyResult<()> {
        let mut place = 0;
        tokens.next();
        while let Some(Token::Key(_)) = tokens.next() {
            let Some(token) = tokens.next() else { break };
            if let Some(value) = self.value(token, tokens)?
                && let Some(key) = self.keys.get(place)
            {
                object.set_item(key, value)?;
            }
            place += 1;
        }
        Ok(())
    }

    /// Puts keys and values into an object; gives the keys, and how many there were.
    fn members(
        &mut self,
        object: &Bound<'py, PyDict>,
        tokens: &mut Tokens<'_>,
    ) -> PyResult<(Vec<Bound<'py, PyString>>, usize)> {
        let mut keys = Vec::new();
        while let Some(Token::Key(key)) = tokens.next() {
            let Some(token) = tokens.next() else { break };
            let key = PyString::intern(self.py, tokens.text(key));
            if let Some(value) = self.value(token, tokens)? {
                object.set_item(&key, value)?;
            }
            keys.push(key);
        }
        let count = keys.len();
        Ok((keys, count))
    }

    /// The value that begins with a token.
    fn value(
        &mut self,
        token: Token,
        tokens: &mut Tokens<'_>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = self.py;
        Ok(Some(match token {
            Token::Text(part) => self.text(tokens.text(part)).into_any(),
            Token::Short(short) => return Ok(self.number(short)),
            Token::Int(value) => PyInt::new(py, value).into_any(),
            Token::Float(value) => PyFloat::new(py, value).into_any(),
            Token::True => PyBool::new(py, true).to_owned().into_any(),
            Token::False => PyBool::new(py, false).to_owned().into_any(),
            Token::Null => py.None().into_bound(py),
            Token::Object => {
                let object = PyDict::new(py);
                while let Some(Token::Key(key)) = tokens.next() {
                    let key = self.text(tokens.text(key));
                    let Some(token) = tokens.next() else { break };
                    if let Some(value) = self.value(token, tokens)? {
                        object.set_item(key, value)?;
                    }
                }
                object.into_any()
            }
            Token::Array => {
                let array = PyList::empty(py);
                while let Some(token) = tokens.next() {
                    if matches!(token, Token::End) {
                        break;
                    }
                    if let Some(value) = self.value(token, tokens)? {
                        array.append(value)?;
                    }
                }
                array.into_any()
            }
            Token::Key(_) | Token::End => return Ok(None),
        }))
    }

    /// A number; those that come again and again are one object.
    fn number(&mut self, short: [u8; 8]) -> Option<Bound<'py, PyAny>> {
        let hash = u64::from_le_bytes(short).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let place = usize::try_from(hash >> 50).unwrap_or(0);
        let slot = self.numbers.get_mut(place)?;
        if let Some((known, object)) = slot
            && *known == short
        {
            return Some(object.clone());
        }
        let object = match number(short)? {
            Token::Int(value) => PyInt::new(self.py, value).into_any(),
            Token::Float(value) => PyFloat::new(self.py, value).into_any(),
            _ => return None,
        };
        *slot = Some((short, object.clone()));
        Some(object)
    }

    /// A text; short ones that come again and again are one object.
    fn text(&mut self, text: &str) -> Bound<'py, PyString> {
        if text.len() > SHORT {
            return PyString::new(self.py, text);
        }
        let hash = text.bytes().fold(5_381_u32, |hash, byte| {
            hash.wrapping_mul(33) ^ u32::from(byte)
        });
        let place = (hash ^ hash >> 10) as usize % TEXTS;
        let Some(slot) = self.texts.get_mut(place) else {
            return PyString::new(self.py, text);
        };
        match slot {
            Some((known, object)) if **known == *text.as_bytes() => object.clone(),
            _ => {
                let object = PyString::new(self.py, text);
                *slot = Some((text.as_bytes().into(), object.clone()));
                object
            }
        }
    }
}

/// What is left of a chunk's tokens.
struct Tokens<'a> {
    bytes: &'a [u8],
    tokens: std::slice::Iter<'a, Token>,
}

impl Tokens<'_> {
    fn next(&mut self) -> Option<Token> {
        self.tokens.next().copied()
    }

    fn text(&self, part: Part) -> &str {
        // The line was looked through for what is no UTF-8.
        str::from_utf8(part.of(self.bytes)).unwrap_or_default()
    }
}
