//! A sealed segment as a file of plain lines, so that whatever reads a plain file reads it too.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use minutebook_fs::{Fs, FsError, FsFile, LockMode, LockWait, Metadata, OpenMode};

use super::format::{Sealed, damaged};
use super::stats::Stats;
use super::{Entry, FRAME_BYTES};
use crate::error::JsonlError;

/// The lines of a sealed segment. Reading at an offset decompresses the frames there; the last one is kept for the next call.
#[derive(Debug)]
pub(crate) struct SealedFile {
    file: Arc<dyn FsFile>,
    path: std::path::PathBuf,
    sealed: OnceLock<Sealed>,
    last: Mutex<Option<(usize, Arc<Vec<u8>>)>>,
}

impl SealedFile {
    /// Opens the file; nothing of it is read yet. `None` if it is not there.
    pub(crate) fn open(fs: &dyn Fs, path: &Path) -> Result<Option<Self>, JsonlError> {
        match fs.open(path, OpenMode::Read) {
            Ok(file) => Ok(Some(Self {
                file: file.into(),
                path: path.to_owned(),
                sealed: OnceLock::new(),
                last: Mutex::default(),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FsError::not_applied("read", "open", path, error).into()),
        }
    }

    fn sealed(&self) -> io::Result<&Sealed> {
        if let Some(sealed) = self.sealed.get() {
            return Ok(sealed);
        }
        let sealed = match Sealed::open(Arc::clone(&self.file), &self.path) {
            Ok(sealed) => sealed,
            Err(JsonlError::Read(error)) => return Err(error),
            Err(error) => return Err(io::Error::other(error)),
        };
        Ok(self.sealed.get_or_init(|| sealed))
    }

    /// What is known of the file itself.
    pub(crate) fn of_file(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// The index of the segment.
    pub(crate) fn stats(&self) -> Result<Stats, JsonlError> {
        self.sealed().map_err(JsonlError::Read)?.stats()
    }

    /// The index of the segment, and how many bytes its lines are.
    pub(crate) fn stats_and_bytes(&self) -> Result<(Stats, u64), JsonlError> {
        Ok((self.stats()?, self.bytes()?))
    }

    /// How many bytes its lines are.
    pub(crate) fn bytes(&self) -> Result<u64, JsonlError> {
        Ok(self.sealed().map_err(JsonlError::Read)?.bytes)
    }

    /// The index of the segment, if this is the file that an entry of the manifest means: one with its lines, or sealed anew under its name.
    pub(crate) fn stats_of(&self, entry: &Entry) -> Result<Stats, JsonlError> {
        let stats = self.stats()?;
        if stats.digest == entry.digest || (stats.number, &stats.id) == (entry.number, &entry.id) {
            return Ok(stats);
        }
        Err(self.is_of(stats.number))
    }

    /// Makes sure that it does not say it has another number than this one.
    pub(crate) fn is_not_another(&self, number: u64) -> Result<(), JsonlError> {
        // The lines can be read without an index too.
        match self.stats() {
            Ok(stats) if stats.number != number => Err(self.is_of(stats.number)),
            _ => Ok(()),
        }
    }

    fn is_of(&self, number: u64) -> JsonlError {
        let what =
            format!("another segment lies in its place, which says that it is number {number}");
        JsonlError::Read(damaged(&self.path, 0, what))
    }

    /// BLAKE3 of the lines, all of which are read; and how many bytes they are.
    pub(crate) fn digest(&self) -> Result<(String, u64), JsonlError> {
        let sealed = self.sealed().map_err(JsonlError::Read)?;
        let mut hasher = blake3::Hasher::new();
        for number in 0..sealed.frames() {
            hasher.update(&sealed.frame(number).map_err(JsonlError::Read)?);
        }
        Ok((hasher.finalize().to_hex().to_string(), sealed.bytes))
    }

    /// What the manifest keeps of the segment.
    pub(super) fn entry(&self, number: u64) -> Result<Entry, JsonlError> {
        let sealed = self.sealed().map_err(JsonlError::Read)?;
        Ok(sealed.stats()?.entry(number, sealed))
    }

    /// What a manifest keeps of it, if it is a segment of this number and all its lines are those that were sealed.
    pub(crate) fn whole(&self, number: u64) -> Result<Option<Entry>, JsonlError> {
        let stats = self.stats()?;
        let (digest, _) = self.digest()?;
        if stats.number != number || digest != stats.digest {
            return Ok(None);
        }
        self.entry(number).map(Some)
    }

    fn frame(&self, sealed: &Sealed, number: usize) -> io::Result<Arc<Vec<u8>>> {
        let lock = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, lines)) = lock().as_ref().filter(|(known, _)| *known == number) {
            return Ok(Arc::clone(lines));
        }
        let lines = Arc::new(sealed.frame(number)?);
        *lock() = Some((number, Arc::clone(&lines)));
        Ok(lines)
    }
}

impl FsFile for SealedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let sealed = self.sealed()?;
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset + done as u64;
            if at >= sealed.bytes {
                break;
            }
            let number = usize::try_from(at / FRAME_BYTES as u64).unwrap_or(usize::MAX);
            let from = usize::try_from(at % FRAME_BYTES as u64).unwrap_or(0);
            let lines = self.frame(sealed, number)?;
            let there = lines.get(from..).unwrap_or_default();
            let len = there.len().min(rest.len());
            if len == 0 {
                break;
            }
            rest.get_mut(..len)
                .unwrap_or_default()
                .copy_from_slice(there.get(..len).unwrap_or_default());
            done += len;
        }
        Ok(done)
    }

    fn append(&self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn metadata(&self) -> io::Result<Metadata> {
        let mut meta = self.file.metadata()?;
        meta.len = self.sealed()?.bytes;
        Ok(meta)
    }

    fn set_mode(&self, _: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn lock(&self, _: LockMode, _: LockWait) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn unlock(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
