//! The log's end as it is read from the ring.

use std::io;
use std::path::Path;

use crate::fs::{FileKind, Fs, OpenMode};

use super::frame::{Frame, HEAD};

/// No ring is longer.
const MAX_BYTES: u64 = 64 << 20;

/// The end of a log as the ring has it.
#[derive(Debug)]
pub(crate) struct Copy {
    log: u64,
    offset: u64,
    bytes: Vec<u8>,
}

impl Copy {
    /// Reads what is in the ring; `None` if there is nothing.
    pub(crate) fn read(fs: &dyn Fs, path: &Path) -> io::Result<Option<Self>> {
        let file = match fs.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = file.len()?.min(MAX_BYTES);
        let mut all = vec![0; usize::try_from(len).unwrap_or(0)];
        let read = file.read_full_at(&mut all, 0)?;
        let mut rest = all.get(..read).unwrap_or_default();
        let Some((first, _)) = Frame::decode(rest) else {
            return Ok(None);
        };
        let mut copy = Self {
            log: first.log,
            offset: first.offset,
            bytes: Vec::new(),
        };
        let mut number = 0;
        while let Some((frame, content)) = Frame::decode(rest) {
            let follows = frame.epoch == first.epoch
                && frame.number == number
                && frame.offset == copy.offset + copy.bytes.len() as u64;
            if !follows {
                break;
            }
            copy.bytes.extend_from_slice(content);
            number += 1;
            rest = rest.get(HEAD + content.len()..).unwrap_or_default();
        }
        Ok(Some(copy))
    }

    /// Whether the log at `path` lacks something of it, as a power cut leaves it: it is shorter, or has zeros in place of bytes. Not a file of
    /// other bytes, and not another one that has its name now.
    pub(crate) fn is_lacked(&self, fs: &dyn Fs, path: &Path) -> io::Result<bool> {
        let Some(there) = self.in_log(fs, path)? else {
            return Ok(false);
        };
        let pairs = || there.iter().zip(&self.bytes);
        if let Some(at) = pairs().position(|(there, own)| there != own && *there != 0) {
            let offset = self.offset + at as u64;
            tracing::warn!(path = %path.display(), offset, "the log was changed since; what its ring has is left aside");
            return Ok(false);
        }
        Ok(there.len() < self.bytes.len() || pairs().any(|(there, own)| there != own))
    }

    /// Whether it is of the log at `path`: that has all of it, or [lacks](Self::is_lacked) some.
    pub(super) fn is_of(&self, fs: &dyn Fs, path: &Path) -> io::Result<bool> {
        let there = self.in_log(fs, path)?;
        Ok(there.is_some_and(|there| there == self.bytes) || self.is_lacked(fs, path)?)
    }

    /// What the log at `path` has in its place; `None` if it is not the log of which this is the end.
    fn in_log(&self, fs: &dyn Fs, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let found = match fs.identify(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if found.kind != FileKind::File || found.id.inode != self.log || found.len < self.offset {
            return Ok(None);
        }
        let file = fs.open(path, OpenMode::Read)?;
        let mut there = vec![0; self.bytes.len()];
        let read = file.read_full_at(&mut there, self.offset)?;
        there.truncate(read);
        Ok(Some(there))
    }

    /// Writes it where it was, and makes that durable.
    pub(crate) fn put_back(&self, fs: &dyn Fs, path: &Path) -> io::Result<()> {
        let file = fs.open(path, OpenMode::Write)?;
        file.write_all_at(&self.bytes, self.offset)?;
        file.sync_all()
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The offset after its last byte.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}
