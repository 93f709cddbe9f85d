//! From tokens to Python objects. A tick is an object like the one before it with other values, and is made so.

use std::str;

use pyo3::exceptions::{PyRecursionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

use super::seen::Places;
use super::template::Template;
use super::tokens::{Chunk, Line, Part, Shape, Token};

/// Makes objects of lines, with the keys, short texts and numbers of the lines before.
pub(super) struct Maker<'py> {
    py: Python<'py>,
    loads: Bound<'py, PyAny>,
    values: Bound<'py, PyList>,
    skipped: Vec<u64>,
    /// What the last object at the top was like.
    template: Template<'py>,
    known: Known<'py>,
}

impl<'py> Maker<'py> {
    pub(super) fn new(py: Python<'py>, loads: Bound<'py, PyAny>, places: Places) -> Self {
        Self {
            py,
            loads,
            values: PyList::empty(py),
            skipped: Vec::new(),
            template: Template::default(),
            known: Known {
                py,
                texts: none(places.texts),
                numbers: none(places.numbers),
            },
        }
    }

    /// The values, and the numbers of the lines that are no JSON.
    pub(super) fn done(self) -> (Bound<'py, PyList>, Vec<u64>) {
        (self.values, self.skipped)
    }

    /// Makes the values of a chunk's lines.
    pub(super) fn take(&mut self, chunk: &Chunk) -> PyResult<()> {
        let mut tokens = Tokens {
            bytes: &chunk.bytes,
            tokens: chunk.tokens.iter(),
        };
        for line in &chunk.lines {
            let value = match line.shape {
                Shape::Same => {
                    for _ in 0..line.count {
                        let object = self.same(&mut tokens)?;
                        self.values.append(&object)?;
                    }
                    continue;
                }
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

    /// An object like the one before, of the values that follow.
    #[inline]
    fn same(&mut self, tokens: &mut Tokens<'_>) -> PyResult<Bound<'py, PyDict>> {
        let object = self.template.next(self.py)?;
        for (key, held) in self.template.members() {
            let Some(token) = tokens.next() else { break };
            let member = Member {
                object: &object,
                key,
                held: held.as_ref(),
            };
            self.known.put(&member, token, tokens)?;
        }
        if self.template.wants_values() {
            self.template.hold(&object)?;
        }
        Ok(object)
    }

    /// A value at the top.
    fn other(&mut self, tokens: &mut Tokens<'_>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(token) = tokens.next() else {
            return Ok(None);
        };
        if !matches!(token, Token::Object) {
            return self.known.value(token, tokens);
        }
        let object = PyDict::new(self.py);
        let mut keys = Vec::new();
        while let Some(Token::Key(key)) = tokens.next() {
            let Some(token) = tokens.next() else { break };
            let key = PyString::intern(self.py, tokens.key(key));
            if let Some(value) = self.known.value(token, tokens)? {
                object.set_item(&key, value)?;
            }
            keys.push(key);
        }
        self.template = Template::of(keys);
        Ok(Some(object.into_any()))
    }
}

fn none<T>(count: usize) -> Vec<Option<T>> {
    let mut places = Vec::new();
    places.resize_with(count, || None);
    places
}

/// A place in an object, and what is in it already.
struct Member<'a, 'py> {
    object: &'a Bound<'py, PyDict>,
    key: &'a Bound<'py, PyString>,
    held: Option<&'a Bound<'py, PyAny>>,
}

impl<'py> Member<'_, 'py> {
    fn set(&self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        if self.held.is_some_and(|held| held.is(value)) {
            return Ok(());
        }
        self.object.set_item(self.key, value)
    }
}

/// The objects of texts and numbers that came before, in their places.
struct Known<'py> {
    py: Python<'py>,
    texts: Vec<Option<Bound<'py, PyAny>>>,
    numbers: Vec<Option<Bound<'py, PyAny>>>,
}

impl<'py> Known<'py> {
    /// Puts the value that begins with a token in its place. Objects that are kept are lent, since counting who has them is a call each time.
    #[inline]
    fn put(
        &mut self,
        member: &Member<'_, 'py>,
        token: Token,
        tokens: &mut Tokens<'_>,
    ) -> PyResult<()> {
        let py = self.py;
        let (places, at, value) = match token {
            Token::SameText(at) => {
                return there(&self.texts, at).map_or(Ok(()), |value| member.set(value));
            }
            Token::SameNumber(at) => {
                return there(&self.numbers, at).map_or(Ok(()), |value| member.set(value));
            }
            Token::NewText(at, part) => (&mut self.texts, at, tokens.text(py, part)?),
            Token::NewFloat(at, value) => {
                (&mut self.numbers, at, PyFloat::new(py, value).into_any())
            }
            Token::NewInt(at, value) => (&mut self.numbers, at, PyInt::new(py, value).into_any()),
            Token::Text(part) => {
                let value = tokens.text(py, part)?;
                return member.object.set_item(member.key, &value);
            }
            Token::Float(value) => {
                let value = PyFloat::new(py, value);
                return member.object.set_item(member.key, &value);
            }
            other => return self.put_other(member, other, tokens),
        };
        member.object.set_item(member.key, &value)?;
        if let Some(place) = places.get_mut(at as usize) {
            *place = Some(value);
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn put_other(
        &mut self,
        member: &Member<'_, 'py>,
        token: Token,
        tokens: &mut Tokens<'_>,
    ) -> PyResult<()> {
        let value = self.value(token, tokens)?;
        value.map_or(Ok(()), |value| member.set(&value))
    }

    /// The value that begins with a token.
    fn value(
        &mut self,
        token: Token,
        tokens: &mut Tokens<'_>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = self.py;
        Ok(Some(match token {
            Token::Text(part) => tokens.text(py, part)?,
            Token::SameText(at) => return Ok(there(&self.texts, at).cloned()),
            Token::NewText(at, part) => {
                let text = tokens.text(py, part)?;
                kept(&mut self.texts, at, text)
            }
            Token::SameNumber(at) => return Ok(there(&self.numbers, at).cloned()),
            Token::NewFloat(at, value) => {
                kept(&mut self.numbers, at, PyFloat::new(py, value).into_any())
            }
            Token::NewInt(at, value) => {
                kept(&mut self.numbers, at, PyInt::new(py, value).into_any())
            }
            Token::Int(value) => PyInt::new(py, value).into_any(),
            Token::Float(value) => PyFloat::new(py, value).into_any(),
            Token::True => PyBool::new(py, true).to_owned().into_any(),
            Token::False => PyBool::new(py, false).to_owned().into_any(),
            Token::Null => py.None().into_bound(py),
            Token::Object => {
                let object = PyDict::new(py);
                while let Some(Token::Key(key)) = tokens.next() {
                    let key = PyString::intern(py, tokens.key(key));
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
}

fn there<'a, 'py>(
    places: &'a [Option<Bound<'py, PyAny>>],
    at: u32,
) -> Option<&'a Bound<'py, PyAny>> {
    places.get(at as usize)?.as_ref()
}

/// Keeps an object in its place.
fn kept<'py>(
    places: &mut [Option<Bound<'py, PyAny>>],
    at: u32,
    object: Bound<'py, PyAny>,
) -> Bound<'py, PyAny> {
    if let Some(place) = places.get_mut(at as usize) {
        *place = Some(object.clone());
    }
    object
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

    /// A text; the interpreter looks once more whether it is UTF-8.
    fn text<'py>(&self, py: Python<'py>, part: Part) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyString::from_bytes(py, part.of(self.bytes))?.into_any())
    }

    fn key(&self, part: Part) -> &str {
        // The line was looked through for what is no UTF-8.
        str::from_utf8(part.of(self.bytes)).unwrap_or_default()
    }
}
