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
    /// How many bytes before the place where it goes on [`LineReader`] reads once more and compares, in the same read call. 0.
    pub check_bytes: usize,
}

impl Default for LineOptions {
    fn default() -> Self {
        Self {
            start: 0,
            end: None,
            max_line_bytes: 65 << 20,
            chunk_bytes: 256 << 10,
            check_bytes: 0,
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

    /// Sets how many bytes before the place where it goes on are compared with what was read there: see [`LineReader::is_taken_back`].
    #[must_use]
    pub fn check_bytes(mut self, bytes: usize) -> Self {
        self.check_bytes = bytes;
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
    /// Up to `pos`: what stands before `offset` in the file; from there to `filled`: what was not given yet.
    buf: Vec<u8>,
    pos: usize,
    filled: usize,
    /// What was read before the place to go on at, to compare.
    expected: Vec<u8>,
    taken_back: bool,
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
            expected: Vec::new(),
            taken_back: false,
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

    /// Whether [`next`](LineReader::next) failed because lines that it had read are not in the file any more: their writer took them back, and others may
    /// stand in their place. It goes on failing; a new reader has to begin at a line that is still there. Noticed only with
    /// [`LineOptions::check_bytes`].
    pub fn is_taken_back(&self) -> bool {
        self.taken_back
    }

    /// The bytes before [`position`](LineReader::position), as far as they are known and compared.
    pub fn behind(&self) -> &[u8] {
        let from = self.pos.saturating_sub(self.options.check_bytes);
        match self.skipping {
            Some(_) => &[],
            None => self.buf.get(from..self.pos).unwrap_or_default(),
        }
    }

    /// For a new reader: what stood before its [start](LineOptions::start) when another one was there ([`behind`](LineReader::behind)).
    #[must_use]
    pub fn after(mut self, behind: &[u8]) -> Self {
        if self.buf.is_empty() && behind.len() as u64 <= self.offset {
            self.buf.extend_from_slice(behind);
            self.pos = behind.len();
            self.filled = self.pos;
            self.scanned = self.pos;
        }
        self
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
        if self.taken_back {
            return Err(taken_back());
        }
        let kept = self.filled - self.pos;
        let known = self.offset + kept as u64;
        if self.skipping.is_some() || kept > self.options.max_line_bytes {
            // Too long already: from here on only its newline matters.
            self.skipping.get_or_insert(self.offset);
            self.offset = known;
            self.pos = self.filled;
            self.scanned = self.filled;
        } else if self.at_end {
            self.drop_unread();
        }
        let surplus = self.pos.saturating_sub(self.options.check_bytes);
        if surplus > 0 {
            self.buf.copy_within(surplus..self.filled, 0);
            self.filled -= surplus;
            self.scanned -= surplus;
            self.pos -= surplus;
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
        let Some(n) = self.read()? else {
            return Ok(true);
        };
        let from = self.offset + (self.filled - self.pos) as u64;
        let was_at_end = std::mem::replace(&mut self.at_end, n < self.buf.len() - self.filled);
        self.filled += n;
        let now = from + n as u64;
        if let Some(start) = self.skipping.filter(|_| n == 0) {
            if self.file.len()? < now {
                // The line that is skipped was taken back.
                self.skip_no_more(start);
            }
            return Ok(false);
        }
        Ok(n > 0 && (now != known || !was_at_end))
    }

    /// Reads into the free part of the buffer. `None` if the unfinished line is not there any more; then it is looked for anew.
    fn read(&mut self) -> io::Result<Option<usize>> {
        let check = self.filled.min(self.options.check_bytes);
        let at = self.filled - check;
        self.expected.clear();
        let before = self.buf.get(at..self.filled).unwrap_or_default();
        self.expected.extend_from_slice(before);
        let offset = self.offset + (self.filled - self.pos) as u64 - check as u64;
        let free = self.buf.get_mut(at..).unwrap_or_default();
        let n = self.file.read_full_at(free, offset)?;
        let found = free.get(..n.min(check)).unwrap_or_default();
        if found == self.expected {
            return Ok(Some(n - check));
        }
        if let Some(before) = free.get_mut(..check) {
            before.copy_from_slice(&self.expected);
        }
        if let Some(start) = self.skipping {
            self.skip_no_more(start);
        } else if self.filled > self.pos {
            self.drop_unread();
        } else {
            self.taken_back = true;
            return Err(taken_back());
        }
        Ok(None)
    }

    /// A writer whose write was cut short takes it back, and another line takes its place: a line without its newline is read again from its
    /// start, or parts of two lines would be joined.
    fn drop_unread(&mut self) {
        self.filled = self.pos;
        self.scanned = self.pos;
    }

    /// The line that was skipped since `start` is not there any more.
    fn skip_no_more(&mut self, start: u64) {
        self.skipping = None;
        self.offset = start;
        self.pos = 0;
        self.drop_unread();
    }
}

fn taken_back() -> io::Error {
    io::Error::other(
        "lines that were read are not in the file any more: their writer took them back",
    )
}

#[cfg(test)]
mod tests;
