//! From bytes to tokens, a piece of a file at a time, without the interpreter.
//!
//! A line with the keys of the one before it gives the tokens of its values alone.

use std::io;
use std::str;
use std::sync::Arc;

use minutebook_fs::FsFile;

use super::reader::{Known, shape_of};
use super::seen::Places;

/// So much of a file is read at once.
const PIECE: usize = 1 << 18;
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A part of a chunk's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    at: u32,
    len: u32,
}

impl Part {
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        let start = self.at as usize;
        bytes.get(start..start + self.len as usize).unwrap_or(&[])
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Token {
    /// An object begins: a key, its value, and so on to the [`End`](Token::End).
    Object,
    /// An array begins: values to the [`End`](Token::End).
    Array,
    End,
    Key(Part),
    Text(Part),
    /// A text to be kept in this place.
    NewText(u32, Part),
    /// The text that is in this place.
    SameText(u32),
    Int(i64),
    Float(f64),
    /// A number to be kept in this place.
    NewInt(u32, i64),
    /// A number to be kept in this place.
    NewFloat(u32, f64),
    /// The number that is in this place.
    SameNumber(u32),
    True,
    False,
    Null,
}

/// How a line is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// An object with the keys of the object before, in their order: one value for each.
    Same,
    /// Any other value.
    Other,
    /// Not usual: left to Python.
    Python,
    /// Not UTF-8, so no JSON.
    NoText,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    pub(super) text: Part,
    pub(super) shape: Shape,
    /// How many lines in a row have this shape, of which this is the first: more than one only with the keys of the line before.
    pub(super) count: u32,
}

/// Some lines: their bytes, and the tokens of the usual ones one after another.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) tokens: Vec<Token>,
    pub(super) lines: Vec<Line>,
}

/// A file, chunk by chunk; each ends with a line, and the last one with the file.
pub(super) struct Chunks {
    file: Arc<dyn FsFile>,
    at: u64,
    /// What of the last piece belongs to the next chunk.
    rest: Vec<u8>,
    lines: u64,
    known: Known,
    is_over: bool,
}

impl Chunks {
    pub(super) fn new(file: Arc<dyn FsFile>, places: Places) -> Self {
        Self {
            file,
            at: 0,
            rest: Vec::new(),
            lines: 0,
            known: Known::new(places),
            is_over: false,
        }
    }

    /// Fills the chunk anew; false at the end of the file.
    pub(super) fn next(&mut self, chunk: &mut Chunk) -> io::Result<bool> {
        chunk.tokens.clear();
        chunk.lines.clear();
        if self.is_over {
            return Ok(false);
        }
        let bytes = &mut chunk.bytes;
        bytes.clear();
        bytes.append(&mut self.rest);
        let mut looked = 0;
        let end = loop {
            let start = bytes.len();
            bytes.resize(start + PIECE, 0);
            let space = bytes.get_mut(start..).unwrap_or(&mut []);
            let done = self.file.read_full_at(space, self.at)?;
            self.at += done as u64;
            bytes.truncate(start + done);
            if bytes.len() > u32::MAX as usize {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    "a line is longer than 4 GiB",
                ));
            }
            if done < PIECE {
                self.is_over = true;
                break bytes.len();
            }
            let new = bytes.get(looked..).unwrap_or(&[]);
            if let Some(last) = memchr::memrchr(b'\n', new) {
                break looked + last + 1;
            }
            looked = bytes.len();
        };
        self.rest.extend_from_slice(bytes.get(end..).unwrap_or(&[]));
        bytes.truncate(end);
        self.read(chunk);
        Ok(true)
    }

    /// Makes lines and tokens of the chunk's bytes.
    fn read(&mut self, chunk: &mut Chunk) {
        let mut begin = 0;
        if self.lines == 0 && chunk.bytes.starts_with(BOM) {
            begin = BOM.len();
        }
        let is_plain = is_plain(&chunk.bytes);
        let has_returns = !is_plain && memchr::memchr(b'\r', &chunk.bytes).is_some();
        while begin < chunk.bytes.len() {
            let rest = chunk.bytes.get(begin..).unwrap_or(&[]);
            let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = rest.get(..len).unwrap_or(rest);
            self.lines += 1;
            if has_returns {
                let mut at = begin;
                for part in line.split(|byte| *byte == b'\r') {
                    let read = (self.lines, at, part, is_plain);
                    line_of(read, &mut self.known, &mut chunk.tokens, &mut chunk.lines);
                    at += part.len() + 1;
                }
            } else {
                let read = (self.lines, begin, line, is_plain);
                line_of(read, &mut self.known, &mut chunk.tokens, &mut chunk.lines);
            }
            begin += len + 1;
        }
    }
}

/// Whether it is UTF-8 without control characters but those that end lines.
fn is_plain(bytes: &[u8]) -> bool {
    let is_control = |byte: u8| u8::from(byte < b' ') & u8::from(byte != b'\n');
    let has_control = bytes
        .iter()
        .fold(0, |found, byte| found | is_control(*byte));
    has_control == 0 && str::from_utf8(bytes).is_ok()
}

/// Reads a line: its number, its place in the chunk, its bytes, and whether the whole chunk is plain.
fn line_of(
    (number, at, line, is_plain): (u64, usize, &[u8], bool),
    known: &mut Known,
    tokens: &mut Vec<Token>,
    lines: &mut Vec<Line>,
) {
    let lead = line.len() - line.trim_ascii_start().len();
    let text = line.trim_ascii();
    if text.is_empty() {
        return;
    }
    // Within texts no control character may stand; a tab between them is rare enough to be left to Python too.
    let shape = if is_plain || self::is_plain(text) {
        shape_of(text, at + lead, known, tokens)
    } else if str::from_utf8(text).is_ok() {
        Shape::Python
    } else {
        Shape::NoText
    };
    if shape == Shape::Same
        && let Some(last) = lines.last_mut()
        && last.shape == Shape::Same
    {
        last.count += 1;
        return;
    }
    lines.push(Line {
        count: 1,
        number,
        text: part_of(at + lead, text.len()),
        shape,
    });
}

pub(super) fn part_of(at: usize, len: usize) -> Part {
    // A chunk has less than 4 GiB.
    let small = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    Part {
        at: small(at),
        len: small(len),
    }
}
