//! From bytes to tokens, a piece of a file at a time, without the interpreter.
//!
//! A line with the keys of the one before it gives the tokens of its values alone.

use std::io;
use std::str;

use minutebook_fs::FsFile;

use super::seen::{Places, Seen};

/// So much of a file is read at once.
const PIECE: usize = 1 << 19;
/// Deeper values are left to Python.
const MAX_DEPTH: usize = 32;
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
    file: Box<dyn FsFile>,
    at: u64,
    /// What of the last piece belongs to the next chunk.
    rest: Vec<u8>,
    lines: u64,
    known: Known,
    is_over: bool,
}

impl Chunks {
    pub(super) fn new(file: Box<dyn FsFile>, places: Places) -> Self {
        Self {
            file,
            at: 0,
            rest: Vec::new(),
            lines: 0,
            known: Known {
                keys: Vec::new(),
                columns: Vec::new(),
                seen: Seen::new(places),
            },
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

/// What the lines before tell.
struct Known {
    /// The keys of the last object at the top.
    keys: Vec<Vec<u8>>,
    /// How the values of these keys are.
    columns: Vec<Column>,
    seen: Seen,
}

/// Whether the values of a key are worth looking for among those that came before.
#[derive(Debug, Clone, Copy, Default)]
struct Column {
    lines: u32,
    found: u32,
}

impl Column {
    /// After so many it is decided.
    const TRIAL: u32 = 1 << 10;
    /// After so many it is tried again.
    const ROUND: u32 = 1 << 16;

    fn is_worth_it(&mut self) -> bool {
        if self.lines == Self::ROUND {
            *self = Self::default();
        }
        self.lines += 1;
        self.lines <= Self::TRIAL || self.found > Self::TRIAL / 4
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
    lines.push(Line {
        number,
        text: part_of(at + lead, text.len()),
        shape,
    });
}

/// Makes tokens of a line that begins at `base` of the chunk.
fn shape_of(text: &[u8], base: usize, known: &mut Known, tokens: &mut Vec<Token>) -> Shape {
    let before = tokens.len();
    let mut reader = Reader {
        bytes: text,
        at: 0,
        base,
        tokens,
        seen: &mut known.seen,
        looks: true,
        found: 0,
    };
    if reader.same(&known.keys, &mut known.columns).is_some() {
        return Shape::Same;
    }
    reader.undo(before);
    let mut keys = Vec::new();
    if let Some(is_object) = reader.other(&mut keys) {
        if is_object {
            known.columns = vec![Column::default(); keys.len()];
            known.keys = keys;
        }
        Shape::Other
    } else {
        reader.undo(before);
        Shape::Python
    }
}

fn part_of(at: usize, len: usize) -> Part {
    // A chunk has less than 4 GiB.
    let small = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    Part {
        at: small(at),
        len: small(len),
    }
}

/// A place in a line. What it finds goes to the tokens; `None` is for what is left to Python.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the line begins in the chunk.
    base: usize,
    tokens: &'a mut Vec<Token>,
    seen: &'a mut Seen,
    /// Whether values are looked for among those that came before.
    looks: bool,
    /// How many were found there.
    found: u32,
}

impl Reader<'_> {
    /// The values of an object with these keys.
    fn same(&mut self, keys: &[Vec<u8>], columns: &mut [Column]) -> Option<()> {
        let mut before = b'{';
        for (key, column) in keys.iter().zip(columns) {
            if !self.eat(before) || self.peek() != Some(b'"') || !self.is_at(key) {
                return None;
            }
            before = b',';
            self.known(key.len());
            if !self.eat(b':') {
                return None;
            }
            self.looks = column.is_worth_it();
            self.found = 0;
            self.any(1)?;
            column.found += u32::from(self.found > 0);
        }
        let is_whole = !keys.is_empty() && self.eat(b'}') && self.peek().is_none();
        is_whole.then_some(())
    }

    /// Any value, and whether it is an object, whose keys are noted.
    fn other(&mut self, keys: &mut Vec<Vec<u8>>) -> Option<bool> {
        let is_object = self.peek() == Some(b'{');
        if is_object {
            self.at += 1;
            self.tokens.push(Token::Object);
            self.members(0, |reader| {
                let start = reader.at + 1;
                let key = reader.plain()?;
                keys.push(reader.bytes.get(start..reader.at - 1)?.to_vec());
                Some(key)
            })?;
        } else {
            self.any(0)?;
        }
        self.peek().is_none().then_some(is_object)
    }

    /// Back to the beginning of the line: what was kept since was not, since nobody makes it.
    fn undo(&mut self, before: usize) {
        for token in self.tokens.drain(before..) {
            match token {
                Token::NewText(at, _) => self.seen.forget_text(at),
                Token::NewInt(at, _) | Token::NewFloat(at, _) => self.seen.forget_number(at),
                _ => {}
            }
        }
        self.at = 0;
        self.looks = true;
    }

    fn any(&mut self, depth: usize) -> Option<()> {
        let token = match self.peek()? {
            b'"' => self.text()?,
            b'{' if depth < MAX_DEPTH => return self.object(depth),
            b'[' if depth < MAX_DEPTH => return self.array(depth),
            b't' => self.word(b"true", Token::True)?,
            b'f' => self.word(b"false", Token::False)?,
            b'n' => self.word(b"null", Token::Null)?,
            b'-' | b'0'..=b'9' => self.number()?,
            _ => return None,
        };
        self.tokens.push(token);
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        self.tokens.push(Token::Object);
        self.members(depth, Self::plain)
    }

    /// Keys and values to the end of the object; `read_key` takes a key from its opening quote on.
    fn members(
        &mut self,
        depth: usize,
        mut read_key: impl FnMut(&mut Self) -> Option<Part>,
    ) -> Option<()> {
        if !self.eat(b'}') {
            loop {
                if self.peek() != Some(b'"') {
                    return None;
                }
                let key = read_key(self)?;
                self.tokens.push(Token::Key(key));
                if !self.eat(b':') {
                    return None;
                }
                self.any(depth + 1)?;
                if self.eat(b'}') {
                    break;
                }
                if !self.eat(b',') {
                    return None;
                }
            }
        }
        self.tokens.push(Token::End);
        Some(())
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        self.tokens.push(Token::Array);
        if !self.eat(b']') {
            loop {
                self.any(depth + 1)?;
                if self.eat(b']') {
                    break;
                }
                if !self.eat(b',') {
                    return None;
                }
            }
        }
        self.tokens.push(Token::End);
        Some(())
    }

    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &[u8], token: Token) -> Option<Token> {
        let is_there = self.bytes.get(self.at..)?.starts_with(word);
        self.at += word.len();
        is_there.then_some(token)
    }

    /// Whether this text stands here, in quotes.
    fn is_at(&self, text: &[u8]) -> bool {
        let rest = self.bytes.get(self.at + 1..).unwrap_or(&[]);
        rest.starts_with(text) && rest.get(text.len()) == Some(&b'"')
    }

    /// A text of so many bytes, after its opening quote was seen.
    fn known(&mut self, len: usize) -> Part {
        let start = self.at + 1;
        self.at = start + len + 1;
        part_of(self.base + start, len)
    }

    /// A value that is a text.
    fn text(&mut self) -> Option<Token> {
        let start = self.at + 1;
        let part = self.plain()?;
        let text = self.bytes.get(start..self.at - 1)?;
        let place = if self.looks {
            self.seen.text(text)
        } else {
            None
        };
        Some(match place {
            Some(place) if place.is_known => {
                self.found += 1;
                Token::SameText(place.at)
            }
            Some(place) => Token::NewText(place.at, part),
            None => Token::Text(part),
        })
    }

    /// A text without escapes, after its opening quote was seen. Control characters were looked for before.
    fn plain(&mut self) -> Option<Part> {
        let rest = self.bytes.get(self.at + 1..)?;
        let len = memchr::memchr2(b'"', b'\\', rest)?;
        (rest.get(len) == Some(&b'"')).then(|| self.known(len))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.at - start
    }

    /// A number as JSON has it, if it is not too long.
    fn number(&mut self) -> Option<Token> {
        let start = self.at;
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        let is_zero = self.bytes.get(self.at) == Some(&b'0');
        let whole = self.digits();
        if whole == 0 || (is_zero && whole > 1) {
            return None;
        }
        let mut is_float = false;
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            is_float = true;
            if self.digits() == 0 {
                return None;
            }
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            is_float = true;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        let bytes = self.bytes.get(start..self.at)?;
        let place = if self.looks {
            self.seen.number(bytes)
        } else {
            None
        };
        if let Some(place) = place
            && place.is_known
        {
            self.found += 1;
            return Some(Token::SameNumber(place.at));
        }
        let text = str::from_utf8(bytes).ok()?;
        let at = place.map(|place| place.at);
        if is_float {
            let value = text.parse().ok()?;
            Some(at.map_or(Token::Float(value), |at| Token::NewFloat(at, value)))
        } else if whole <= 18 {
            let value = text.parse().ok()?;
            Some(at.map_or(Token::Int(value), |at| Token::NewInt(at, value)))
        } else {
            None
        }
    }
}
