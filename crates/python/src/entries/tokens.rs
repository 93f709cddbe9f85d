//! From bytes to tokens, a piece of a file at a time, without the interpreter.

use std::io;
use std::str;

use minutebook_fs::FsFile;

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
    Int(i64),
    Float(f64),
    /// A number of at most eight characters: itself, in the order of memory.
    Short([u8; 8]),
    True,
    False,
    Null,
}

/// How a line is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// An object with the keys of the object before, in their order.
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
    keys: Keys,
    is_over: bool,
}

impl Chunks {
    pub(super) fn new(file: Box<dyn FsFile>) -> Self {
        Self {
            file,
            at: 0,
            rest: Vec::new(),
            lines: 0,
            keys: Keys::default(),
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
        let has_returns = memchr::memchr(b'\r', &chunk.bytes).is_some();
        while begin < chunk.bytes.len() {
            let rest = chunk.bytes.get(begin..).unwrap_or(&[]);
            let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = rest.get(..len).unwrap_or(rest);
            self.lines += 1;
            if has_returns {
                let mut at = begin;
                for part in line.split(|byte| *byte == b'\r') {
                    let read = (self.lines, at, part);
                    line_of(read, &mut self.keys, &mut chunk.tokens, &mut chunk.lines);
                    at += part.len() + 1;
                }
            } else {
                let read = (self.lines, begin, line);
                line_of(read, &mut self.keys, &mut chunk.tokens, &mut chunk.lines);
            }
            begin += len + 1;
        }
    }
}

/// Reads a line: its number, its place in the chunk, its bytes.
fn line_of(
    (number, at, line): (u64, usize, &[u8]),
    keys: &mut Keys,
    tokens: &mut Vec<Token>,
    lines: &mut Vec<Line>,
) {
    let lead = line.len() - line.trim_ascii_start().len();
    let text = line.trim_ascii();
    if text.is_empty() {
        return;
    }
    let before = tokens.len();
    let mut reader = Reader {
        bytes: text,
        at: 0,
        base: at + lead,
        tokens,
    };
    // Within texts no control character may stand; a tab between them is rare enough to be left to Python too.
    let lowest = text.iter().fold(u8::MAX, |lowest, byte| lowest.min(*byte));
    let shape = match str::from_utf8(text) {
        Err(_) => Shape::NoText,
        Ok(_) if lowest < b' ' => Shape::Python,
        Ok(_) => reader.line(keys).unwrap_or(Shape::Python),
    };
    if matches!(shape, Shape::NoText | Shape::Python) {
        tokens.truncate(before);
    }
    lines.push(Line {
        number,
        text: part_of(at + lead, text.len()),
        shape,
    });
}

fn part_of(at: usize, len: usize) -> Part {
    // A chunk has less than 4 GiB.
    let small = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    Part {
        at: small(at),
        len: small(len),
    }
}

/// The keys of the last object at the top.
#[derive(Default)]
struct Keys {
    known: Vec<Vec<u8>>,
    count: usize,
}

impl Keys {
    /// The key that was in this place.
    fn expected(&self, place: usize) -> Option<&[u8]> {
        let known = self.known.get(place).filter(|_| place < self.count);
        known.map(Vec::as_slice)
    }

    /// Notes the key that is in this place now.
    fn note(&mut self, place: usize, key: &[u8]) {
        match self.known.get_mut(place) {
            Some(known) => {
                known.clear();
                known.extend_from_slice(key);
            }
            None => self.known.push(key.to_vec()),
        }
    }
}

/// A place in a line. What it finds goes to the tokens; `None` is for what is left to Python.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the line begins in the chunk.
    base: usize,
    tokens: &'a mut Vec<Token>,
}

impl Reader<'_> {
    fn line(&mut self, keys: &mut Keys) -> Option<Shape> {
        if self.peek() != Some(b'{') {
            self.any(0)?;
            return self.peek().is_none().then_some(Shape::Other);
        }
        self.at += 1;
        self.tokens.push(Token::Object);
        let mut is_same = true;
        let mut count = 0;
        let read = self.members(0, |reader| {
            let key = match keys.expected(count) {
                Some(expected) if reader.is_at(expected) => reader.known(expected.len()),
                _ => {
                    let start = reader.at + 1;
                    let key = reader.plain()?;
                    is_same = false;
                    keys.note(count, reader.bytes.get(start..reader.at - 1)?);
                    key
                }
            };
            count += 1;
            Some(key)
        });
        is_same &= count == keys.count;
        // A line that could not be read in whole has changed what is known of the keys.
        keys.count = if read.is_some() { count } else { 0 };
        read?;
        if self.peek().is_some() {
            keys.count = 0;
            return None;
        }
        Some(if is_same && count > 0 {
            Shape::Same
        } else {
            Shape::Other
        })
    }

    fn any(&mut self, depth: usize) -> Option<()> {
        let token = match self.peek()? {
            b'"' => Token::Text(self.plain()?),
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

    /// A text without escapes, after its opening quote was seen. Control characters were looked for before.
    fn plain(&mut self) -> Option<Part> {
        let rest = self.bytes.get(self.at + 1..)?;
        let len = rest.iter().position(|byte| matches!(*byte, b'"' | b'\\'))?;
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
        let text = self.bytes.get(start..self.at)?;
        if let Some(short) = short(text) {
            return Some(Token::Short(short));
        }
        let text = str::from_utf8(text).ok()?;
        if is_float {
            text.parse().ok().map(Token::Float)
        } else if whole <= 18 {
            text.parse().ok().map(Token::Int)
        } else {
            None
        }
    }
}

fn short(text: &[u8]) -> Option<[u8; 8]> {
    let mut short = [0; 8];
    short.get_mut(..text.len())?.copy_from_slice(text);
    Some(short)
}

/// The number that a short one is.
pub(super) fn number(short: [u8; 8]) -> Option<Token> {
    let text = str::from_utf8(&short).ok()?.trim_end_matches('\0');
    match text.parse() {
        Ok(value) => Some(Token::Int(value)),
        Err(_) => text.parse().ok().map(Token::Float),
    }
}
