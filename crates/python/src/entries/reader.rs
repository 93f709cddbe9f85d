//! From a line to tokens: one reader that knows what the lines before were like.

use std::str;

use super::seen::{Places, Seen};
use super::tokens::{Part, Shape, Token, part_of};

/// Deeper values are left to Python.
const MAX_DEPTH: usize = 32;

/// What the lines before tell.
pub(super) struct Known {
    /// The keys of the last object at the top.
    keys: Vec<Vec<u8>>,
    /// How the values of these keys are.
    columns: Vec<Column>,
    seen: Seen,
}

impl Known {
    pub(super) fn new(places: Places) -> Self {
        Self {
            keys: Vec::new(),
            columns: Vec::new(),
            seen: Seen::new(places),
        }
    }
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

/// Makes tokens of a line that begins at `base` of the chunk.
pub(super) fn shape_of(
    text: &[u8],
    base: usize,
    known: &mut Known,
    tokens: &mut Vec<Token>,
) -> Shape {
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
