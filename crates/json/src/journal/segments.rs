//! The journal as a chain of files: sealed segments, compressed or not, and the active file behind them.
//!
//! An offset is one in the plain lines of all of them together, so it stays what it is when the active file is sealed or a sealed one
//! compressed. Each file but the first starts with a line that tells its own offset and which file was before it; so the
//! chain is found from its end, without listing the directory.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_fs::{Fs, FsError, FsFile, LineOptions, LineReader, OpenMode};
use zstd::stream::read::Decoder;

use super::line::{Parsed, Record, parse};
use crate::error::{JsonError, Result};
use crate::layout;

/// Lines that begin a segment are shorter.
const MAX_START: usize = 4 << 10;

/// One file of the journal.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    /// The offset of its first byte.
    pub(crate) base: u64,
    /// The number of its first line.
    pub(crate) first: u64,
    /// The number of the first line of the file before it.
    before: Option<u64>,
    file: Arc<dyn FsFile>,
    packed: bool,
}

impl Segment {
    /// Opens the active file; `None` if there is none.
    pub(crate) fn active(fs: &dyn Fs, dir: &Path) -> Result<Option<Self>> {
        Self::open(fs, dir.join(layout::JOURNAL), false)
    }

    /// Opens the sealed segment that starts with this line; `None` if there is none any more.
    pub(crate) fn sealed(fs: &dyn Fs, dir: &Path, first: u64) -> Result<Option<Self>> {
        let packed = dir.join(layout::packed_segment(first));
        let plain = dir.join(layout::sealed_segment(first));
        // Compressing creates the one before it removes the other.
        for (path, is_packed) in [(&packed, true), (&plain, false), (&packed, true)] {
            if let Some(segment) = Self::open(fs, path.clone(), is_packed)? {
                return Ok(Some(Self { first, ..segment }));
            }
        }
        Ok(None)
    }

    fn open(fs: &dyn Fs, path: PathBuf, packed: bool) -> Result<Option<Self>> {
        let file: Arc<dyn FsFile> = match fs.open(&path, OpenMode::Read) {
            Ok(file) => Arc::from(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, error)),
        };
        let mut segment = Self {
            path,
            base: 0,
            first: 1,
            before: None,
            file,
            packed,
        };
        let mut head = Vec::new();
        let read = segment
            .plain(0)?
            .take(MAX_START as u64)
            .read_to_end(&mut head);
        read.map_err(|error| failed(&segment.path, error))?;
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if let Parsed::Entry(entry) = parse(0, line)
            && let Record::Segment(start) = entry.record
        {
            segment.base = start.base;
            segment.first = entry.seq;
            segment.before = Some(start.before);
        }
        Ok(Some(segment))
    }

    /// Its plain bytes from an offset within it on.
    fn plain(&self, from: u64) -> Result<Box<dyn Read + Send>> {
        let source = At {
            file: Arc::clone(&self.file),
            offset: if self.packed { 0 } else { from },
        };
        if !self.packed {
            return Ok(Box::new(source));
        }
        let step = |error| failed(&self.path, error);
        let mut plain = Decoder::new(source).map_err(step)?;
        let skipped = io::copy(&mut plain.by_ref().take(from), &mut io::sink()).map_err(step)?;
        if skipped < from {
            return Err(failed(&self.path, io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Box::new(plain))
    }

    /// All its plain bytes; for those that were written by one call of ours and so are bounded.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.plain(0)?.read_to_end(&mut bytes);
        read.map_err(|error| failed(&self.path, error))?;
        Ok(bytes)
    }

    /// Reads its plain bytes from the start.
    pub(crate) fn reader(&self) -> Result<impl Read> {
        self.plain(0)
    }

    pub(crate) fn is_packed(&self) -> bool {
        self.packed
    }
}

/// The files of the journal that hold what is at `from` and after it, the oldest first.
pub(crate) fn chain(fs: &dyn Fs, dir: &Path, from: u64) -> Result<Vec<Segment>> {
    let mut chain: Vec<Segment> = Segment::active(fs, dir)?.into_iter().collect();
    while let Some(last) = chain.last() {
        let Some(before) = last.before.filter(|_| last.base > from) else {
            break;
        };
        match Segment::sealed(fs, dir, before)? {
            Some(segment) if segment.base < last.base => chain.push(segment),
            // Taken away, with what was before it.
            _ => break,
        }
    }
    chain.reverse();
    Ok(chain)
}

/// Reads a stretch of the plain lines, which may reach over several files.
pub(crate) fn read(fs: &dyn Fs, dir: &Path, from: u64, len: usize) -> Result<Vec<u8>> {
    let chain = chain(fs, dir, from)?;
    let mut bytes = Vec::new();
    for (i, segment) in chain.iter().enumerate() {
        let end = chain.get(i + 1).map_or(u64::MAX, |next| next.base);
        let start = from + bytes.len() as u64;
        let wanted = (len - bytes.len()) as u64;
        if start < segment.base || start >= end || wanted == 0 {
            continue;
        }
        let part = segment.plain(start - segment.base)?;
        let read = part.take(wanted.min(end - start)).read_to_end(&mut bytes);
        read.map_err(|error| failed(&segment.path, error))?;
    }
    Ok(bytes)
}

/// Reads a file from a place on.
struct At {
    file: Arc<dyn FsFile>,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buf, self.offset)?;
        self.offset += n as u64;
        Ok(n)
    }
}

/// Where lines come from.
pub(super) enum Source {
    /// A file as it is.
    Plain(LineReader),
    /// A compressed one: the reader, the offset of its next byte, and a line that is longer than allowed is skipped.
    Packed(BufReader<Box<dyn Read + Send>>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Packed(_) => "Packed",
        })
    }
}

impl Source {
    pub(super) fn new(segment: &Segment, from: u64, max_line: usize) -> Result<Self> {
        let at = from.saturating_sub(segment.base);
        if segment.packed {
            let plain = segment.plain(at)?;
            return Ok(Self::Packed(BufReader::with_capacity(64 << 10, plain)));
        }
        let options = LineOptions::default().start(at).max_line_bytes(max_line);
        Ok(Self::Plain(LineReader::new(
            Arc::clone(&segment.file),
            options,
        )))
    }
}

pub(super) fn failed(path: &Path, error: io::Error) -> JsonError {
    FsError::not_applied("read", "read the journal", path, error).into()
}
