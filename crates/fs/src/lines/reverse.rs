//! Reading lines backwards: the last ones first.

use std::io;
use std::sync::Arc;

use super::{BOM, Item, Line, LineOptions};
use crate::append::complete_len;
use crate::fs::FsFile;

/// Reads the complete lines of a file, the last one first, down to [`LineOptions::start`].
///
/// Where it begins is decided when it is made: at the end of the last complete line, or of the last one that starts
/// before [`LineOptions::end`], which must then be the end of a line.
///
/// ```
/// use minutebook_fs::{Fs, Item, LineOptions, OpenMode, OsFs, ReverseLines};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("a.jsonl");
/// std::fs::write(&path, "one\ntwo\nthr")?;
/// let mut lines = ReverseLines::new(OsFs.open(&path, OpenMode::Read)?, LineOptions::default())?;
/// assert_eq!(lines.next()?.and_then(Item::line).map(|l| l.bytes), Some(&b"two"[..]));
/// assert_eq!(lines.next()?.and_then(Item::line).map(|l| l.bytes), Some(&b"one"[..]));
/// assert_eq!(lines.next()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ReverseLines {
    file: Arc<dyn FsFile>,
    options: LineOptions,
    /// The tail end holds the bytes from `offset` to `end`; what is before it is room to read into.
    buf: Vec<u8>,
    /// Where the bytes start in `buf`.
    head: usize,
    /// Where the unread bytes end in `buf`: after the newline of the next line to return.
    tail: usize,
    /// Offset in the file of `buf[head]`.
    offset: u64,
    /// From `head` to here no newline was looked for yet.
    unscanned: usize,
    /// Set while a line that is too long is skipped: the offset after its newline.
    skipping: Option<u64>,
    bom: bool,
}

impl ReverseLines {
    /// A reader of `file`.
    pub fn new(file: impl Into<Arc<dyn FsFile>>, options: LineOptions) -> io::Result<Self> {
        let file = file.into();
        let mut end = complete_len(&*file)?;
        if let Some(limit) = options.end {
            end = end.min(limit);
        }
        end = end.max(options.start);
        Ok(Self {
            file,
            options,
            buf: Vec::new(),
            head: 0,
            tail: 0,
            offset: end,
            unscanned: 0,
            skipping: None,
            bom: false,
        })
    }

    /// The line before the one returned last; `None` at the start.
    // Not an iterator: a line borrows the reader's buffer.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        loop {
            let unread = self.tail - self.head;
            if unread == 0 && self.skipping.is_none() && self.offset <= self.options.start {
                return Ok(None);
            }
            // The line's own newline is the last unread byte; the one before it is looked for.
            let limit = if self.skipping.is_some() {
                self.tail
            } else {
                self.tail.saturating_sub(1)
            };
            let scan = self
                .buf
                .get(self.head..self.unscanned.min(limit).max(self.head))
                .unwrap_or_default();
            let start = match memchr::memrchr(b'\n', scan) {
                Some(i) => self.head + i + 1,
                None if self.offset <= self.options.start => self.head,
                None => {
                    self.fill()?;
                    continue;
                }
            };
            let offset = self.offset + (start - self.head) as u64;
            let end = self.skipping.take();
            let (from, to) = (start, self.tail);
            self.tail = start;
            self.unscanned = start.saturating_sub(1).max(self.head);
            if let Some(end) = end {
                return Ok(Some(Item::TooLong { offset, end }));
            }
            let end = offset + (to - from) as u64;
            let bytes = self.buf.get(from..to).unwrap_or_default();
            let mut bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            if bytes.len() > self.options.max_line_bytes {
                return Ok(Some(Item::TooLong { offset, end }));
            }
            if offset == 0
                && let Some(rest) = bytes.strip_prefix(BOM)
            {
                self.bom = true;
                bytes = rest;
            }
            bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
            return Ok(Some(Item::Line(Line { offset, end, bytes })));
        }
    }

    /// Whether the file starts with a UTF-8 byte order mark. Known after its first line was read.
    pub fn had_bom(&self) -> bool {
        self.bom
    }

    /// Reads the bytes before those in the buffer.
    fn fill(&mut self) -> io::Result<()> {
        if self.skipping.is_some()
            || self.tail - self.head > self.options.max_line_bytes.saturating_add(1)
        {
            // Too long already: from here on only where it starts matters.
            let end = self.offset + (self.tail - self.head) as u64;
            self.skipping.get_or_insert(end);
            self.head = self.buf.len();
            self.tail = self.head;
        }
        let left = self.offset - self.options.start;
        let want = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(self.options.chunk_bytes.max(1));
        let kept = self.tail - self.head;
        if self.head < want {
            let mut size = self.buf.len();
            if size < want + kept {
                size = (want + kept).max(size.saturating_mul(2));
            }
            let mut buf = vec![0; size];
            let head = size - kept;
            if let (Some(to), Some(from)) =
                (buf.get_mut(head..), self.buf.get(self.head..self.tail))
            {
                to.copy_from_slice(from);
            }
            self.buf = buf;
            self.head = head;
            self.tail = size;
        }
        let at = self.offset - want as u64;
        let room = self
            .buf
            .get_mut(self.head - want..self.head)
            .unwrap_or_default();
        if self.file.read_full_at(room, at)? < want {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file was cut while it was read",
            ));
        }
        self.unscanned = self.head;
        self.head -= want;
        self.offset = at;
        Ok(())
    }
}
