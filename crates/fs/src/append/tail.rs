//! The end of a log: where its complete lines end, and what a crash left after them.

use std::io;

use crate::fs::FsFile;

/// Bytes at the end of a log without a newline after them: a line that a crash cut short, or one that another program
/// left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TornTail {
    /// Offset of its first byte.
    pub offset: u64,
    /// Its bytes.
    pub len: u64,
}

const CHUNK: usize = 64 << 10;

/// The offset after the last newline of a file: what readers may read. 0 if it has no complete line.
///
/// Reads backwards from the end, in bounded memory.
pub fn complete_len(file: &dyn FsFile) -> io::Result<u64> {
    complete_len_of(file, file.len()?)
}

/// What follows the last newline of a file, if anything does.
pub fn torn_tail(file: &dyn FsFile) -> io::Result<Option<TornTail>> {
    torn_tail_of(file, file.len()?)
}

pub(crate) fn torn_tail_of(file: &dyn FsFile, len: u64) -> io::Result<Option<TornTail>> {
    let offset = complete_len_of(file, len)?;
    Ok((offset < len).then_some(TornTail {
        offset,
        len: len - offset,
    }))
}

pub(crate) fn complete_len_of(file: &dyn FsFile, len: u64) -> io::Result<u64> {
    let mut end = len;
    // Nearly always the last byte is the newline; only otherwise is more than that byte needed.
    let mut size = 1;
    let mut buf = Vec::new();
    while end > 0 {
        let step = usize::try_from(end).unwrap_or(usize::MAX).min(size);
        let start = end - step as u64;
        buf.resize(step, 0);
        let n = file.read_full_at(&mut buf, start)?;
        let bytes = buf.get(..n).unwrap_or_default();
        if let Some(i) = memchr::memrchr(b'\n', bytes) {
            return Ok(start + i as u64 + 1);
        }
        end = start;
        size = CHUNK;
    }
    Ok(0)
}
