//! Complete lines of a file, so many bytes at a time as stay in the processor's cache until they are parsed.

use std::io;

use minutebook_fs::FsFile;

const CHUNK_BYTES: usize = 256 << 10;

/// Reads a stretch that begins at the start of a line and ends after a newline.
#[derive(Debug)]
pub(super) struct Chunks<'f> {
    file: &'f dyn FsFile,
    /// Where to read next.
    next: u64,
    end: u64,
    max_line_bytes: usize,
    buf: Vec<u8>,
    /// What of `buf` was handed over.
    given: usize,
    filled: usize,
}

#[derive(Debug)]
pub(super) enum Chunk<'b> {
    /// Complete lines, and the offset of the first. Some may be longer than the limit.
    Lines(u64, &'b [u8]),
    /// A line that was skipped: it is longer than the limit.
    TooLong { offset: u64, end: u64 },
}

impl<'f> Chunks<'f> {
    pub(super) fn new(file: &'f dyn FsFile, start: u64, end: u64, max_line_bytes: usize) -> Self {
        Self {
            file,
            next: start,
            end,
            max_line_bytes,
            buf: Vec::new(),
            given: 0,
            filled: 0,
        }
    }

    /// The next lines; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Chunk<'_>>> {
        self.buf.copy_within(self.given..self.filled, 0);
        self.filled -= self.given;
        self.given = 0;
        loop {
            // The begin of a line, without a newline in it.
            let kept = self.filled;
            if kept > self.max_line_bytes {
                return self.skip().map(Some);
            }
            if self.next >= self.end && kept == 0 {
                return Ok(None);
            }
            // Grows with the longest line, by doubling, so that a long line is not looked at once per chunk.
            if self.read(kept, CHUNK_BYTES.max(kept))? == 0 {
                return Err(cut());
            }
            let new = self.buf.get(kept..self.filled).unwrap_or_default();
            if let Some(newline) = memchr::memrchr(b'\n', new) {
                self.given = kept + newline + 1;
                let offset = self.next - self.filled as u64;
                let lines = self.buf.get(..self.given).unwrap_or_default();
                return Ok(Some(Chunk::Lines(offset, lines)));
            }
        }
    }

    /// Reads so many bytes behind the first `kept` ones, or to the end.
    fn read(&mut self, kept: usize, most: usize) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        let wanted = most.min(left);
        if self.buf.len() < kept + wanted {
            self.buf.resize(kept + wanted, 0);
        }
        let room = self.buf.get_mut(kept..kept + wanted).unwrap_or_default();
        let read = self.file.read_full_at(room, self.next)?;
        if read < wanted {
            return Err(cut());
        }
        self.next += read as u64;
        self.filled = kept + read;
        Ok(read)
    }

    /// Looks for the end of a line that is too long.
    fn skip(&mut self) -> io::Result<Chunk<'_>> {
        let offset = self.next - self.filled as u64;
        loop {
            if self.read(0, CHUNK_BYTES)? == 0 {
                return Err(cut());
            }
            let read = self.buf.get(..self.filled).unwrap_or_default();
            if let Some(newline) = memchr::memchr(b'\n', read) {
                self.given = newline + 1;
                let end = self.next - (self.filled - self.given) as u64;
                // What follows may hold complete lines: it is read again, as a chunk.
                self.next = end;
                self.given = 0;
                self.filled = 0;
                return Ok(Chunk::TooLong { offset, end });
            }
        }
    }
}

fn cut() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the file was cut while it was read",
    )
}
