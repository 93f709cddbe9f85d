//! Reading lines forwards: complete lines only, in bounded memory, from any offset.

use std::io;
use std::sync::Arc;

use crate::append::TornTail;
use crate::fs::FsFile;

mod reverse;

pub use reverse::ReverseLines;

/// Settings of [`LineReader`] and [`ReverseLines`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineOptions {
    /// Where to start: the offset of the first byte of a line. 0.
    pub start: u64,
    /// Lines that start at or after this offset are not read. The end of the file.
    pub end: Option<u64>,
    /// Longer lines (without their newline) are skipped and reported as [`Item::TooLong`]. 65 MiB.
    pub max_line_bytes: usize,
    /// Bytes per read. 256 KiB.
    pub chunk_bytes: usize,
}

impl Default for LineOptions {
    fn default() -> Self {
        Self {
            start: 0,
            end: None,
            max_line_bytes: 65 << 20,
            chunk_bytes: 256 << 10,
        }
    }
}

impl LineOptions {
    /// Sets where to start: the offset of the first byte of a line.
    #[must_use]
    pub fn start(mut self, offset: u64) -> Self {
        self.start = offset;
        self
    }

    /// Sets where to end: lines that start at or after it are not read.
    #[must_use]
    pub fn end(mut self, offset: u64) -> Self {
        self.end = Some(offset);
        self
    }

    /// Sets the longest line, without its newline.
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: usize) -> Self {
        self.max_line_bytes = bytes;
        self
    }

    /// Sets the bytes per read; at least 1.
    #[must_use]
    pub fn chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = bytes.max(1);
        self
    }
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Offset after its newline: where the next line starts.
    pub end: u64,
    /// Its bytes without `\n` or `\r\n`, and without a byte order mark if it is the file's first.
    pub bytes: &'a [u8],
}

/// What a reader comes upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A complete line.
    Line(Line<'a>),
    /// A complete line that is longer than the limit; it was skipped.
    TooLong {
        /// Offset of its first byte.
        offset: u64,
        /// Offset after its newline.
        end: u64,
    },
}

impl<'a> Item<'a> {
    /// Offset of the first byte.
    pub fn offset(&self) -> u64 {
        match self {
            Self::Line(line) => line.offset,
            Self::TooLong { offset, .. } => *offset,
        }
    }

    /// Offset after the newline.
    pub fn end(&self) -> u64 {
        match self {
            Self::Line(line) => line.end,
            Self::TooLong { end, .. } => *end,
        }
    }

    /// The line, unless it was too long.
    pub fn line(self) -> Option<Line<'a>> {
        match self {
            Self::Line(line) => Some(line),
            Self::TooLong { .. } => None,
        }
    }
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Reads the complete lines of a file, forwards.
///
/// The end of the file is looked for anew at each read, so lines that are appended meanwhile are read too; set
/// [`LineOptions::end`] for a fixed end. What follows the last newline is not a line: see
/// [`torn_tail`](LineReader::torn_tail). When [`next`](LineReader::next) returned `None`, it may be called again after the file has
/// grown.
///
/// ```
/// use minutebook_fs::{Fs, Item, LineOptions, LineReader, OpenMode, OsFs};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("a.jsonl");
/// std::fs::write(&path, "{\"a\":1}\r\n{\"a\":2}\n{\"a\"")?;
/// let mut lines = LineReader::new(OsFs.open(&path, OpenMode::Read)?, LineOptions::default());
/// let mut seen = Vec::new();
/// while let Some(item) = lines.next()? {
///     if let Item::Line(line) = item {
///         seen.push((line.offset, line.bytes.to_vec()));
///     }
/// }
/// assert_eq!(seen, [(0, b"{\"a\":1}".to_vec()), (9, b"{\"a\":2}".to_vec())]);
/// assert_eq!(lines.torn_tail().map(|tail| (tail.offset, tail.len)), Some((17, 4)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LineReader {
    file: Arc<dyn FsFile>,
    options: LineOptions,
    buf: Vec<u8>,
    /// The unread part of `buf`.
    pos: usize,
    filled: usize,
    /// From here to `filled` no newline was looked for yet.
    scanned: usize,
    /// Offset in the file of `buf[pos]`.
    offset: u64,
    /// Set while the bytes of a line that is too long are thrown away: where it started.
    skipping: Option<u64>,
    /// The last read came to the end of the file.
    at_end: bool,
    bom: bool,
}

impl LineReader {
    /// A reader of `file`.
    pub fn new(file: impl Into<Arc<dyn FsFile>>, options: LineOptions) -> Self {
        Self {
            file: file.into(),
            options,
            buf: Vec::new(),
            pos: 0,
            filled: 0,
            scanned: 0,
            offset: options.start,
            skipping: None,
            at_end: false,
            bom: false,
        }
    }

    /// The next complete line; `None` at the end.
    // Not an iterator: a line borrows the reader's buffer.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        loop {
            let start = self.skipping.unwrap_or(self.offset);
            if self.options.end.is_some_and(|end| start >= end) {
                return Ok(None);
            }
            let unread = self.buf.get(self.scanned..self.filled).unwrap_or_default();
            let Some(i) = memchr::memchr(b'\n', unread) else {
                self.scanned = self.filled;
                if self.fill()? {
                    continue;
                }
                return Ok(None);
            };
            let newline = self.scanned + i;
            let (from, len) = (self.pos, newline - self.pos);
            let end = self.offset + len as u64 + 1;
            self.pos = newline + 1;
            self.scanned = self.pos;
            self.offset = end;
            if self.skipping.take().is_some() || len > self.options.max_line_bytes {
                return Ok(Some(Item::TooLong { offset: start, end }));
            }
            let mut bytes = self.buf.get(from..newline).unwrap_or_default();
            if start == 0
                && let Some(rest) = bytes.strip_prefix(BOM)
            {
                self.bom = true;
                bytes = rest;
            }
            bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
            return Ok(Some(Item::Line(Line {
                offset: start,
                end,
                bytes,
            })));
        }
    }

    /// Whether the file starts with a UTF-8 byte order mark. Known after the first line was read.
    pub fn had_bom(&self) -> bool {
        self.bom
    }

    /// The offset after the last line that was returned: where a later reader may go on.
    pub fn position(&self) -> u64 {
        self.skipping.unwrap_or(self.offset)
    }

    /// After [`next`](LineReader::next) returned `None`: what follows the last newline, if anything does.
    pub fn torn_tail(&self) -> Option<TornTail> {
        let offset = self.position();
        if self.options.end.is_some_and(|end| offset >= end) {
            return None;
        }
        let len = self.offset + (self.filled - self.pos) as u64 - offset;
        (len > 0).then_some(TornTail { offset, len })
    }

    /// The bytes of [`torn_tail`](LineReader::torn_tail), unless they are too many: a program that writes no last newline leaves a
    /// whole line here.
    pub fn torn_tail_bytes(&self) -> Option<&[u8]> {
        self.torn_tail()?;
        if self.skipping.is_some() {
            return None;
        }
        self.buf.get(self.pos..self.filled)
    }

    /// Reads on; `false` if the file has not grown since its end was reached.
    fn fill(&mut self) -> io::Result<bool> {
        let kept = self.filled - self.pos;
        let known = self.offset + kept as u64;
        if self.skipping.is_some() || kept > self.options.max_line_bytes {
            // Too long already: from here on only its newline matters.
            self.skipping.get_or_insert(self.offset);
            self.offset = known;
            self.discard();
        } else if self.at_end {
            // A writer whose write was cut short takes it back, and another line takes its place: a line without its
            // newline is read again from its start, or parts of two lines would be joined.
            self.filled = self.pos;
            self.scanned = self.pos;
        }
        if self.pos > 0 {
            self.buf.copy_within(self.pos..self.filled, 0);
            self.filled -= self.pos;
            self.scanned -= self.pos;
            self.pos = 0;
        }
        let room = self
            .options
            .chunk_bytes
            .max(1)
            .max(if self.at_end { kept + 1 } else { 0 });
        if self.buf.len() < self.filled + room {
            // Grows with the longest line, by doubling, so that a long line is not copied once per chunk.
            let want = (self.filled + room).max(self.buf.len().saturating_mul(2));
            self.buf.resize(want, 0);
        }
        let free = self.buf.get_mut(self.filled..).unwrap_or_default();
        let from = self.offset + self.filled as u64;
        let n = self.file.read_full_at(free, from)?;
        let was_at_end = std::mem::replace(&mut self.at_end, n < free.len());
        self.filled += n;
        let now = from + n as u64;
        if let Some(start) = self.skipping.filter(|_| n == 0) {
            if self.file.len()? < now {
                // The line that is skipped was taken back.
                self.skipping = None;
                self.offset = start;
            }
            return Ok(false);
        }
        Ok(n > 0 && (now != known || !was_at_end))
    }

    fn discard(&mut self) {
        self.pos = 0;
        self.filled = 0;
        self.scanned = 0;
    }
}

#[cfg(test)]
mod tests;
