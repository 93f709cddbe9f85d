//! From a file's bytes to objects of the vault: whole, or only what came after those that are there.

use std::path::Path;

use minutebook_fs::FsFile;

use super::Copier;
use crate::Result;
use crate::backup::manifest::{Entry, Piece};
use crate::backup::vault::{Digest, Incoming};
use crate::error::io;

pub(super) const CHUNK: usize = 1 << 20;
/// A file that grows is in so many pieces at most; then it is stored whole again.
const MAX_PIECES: usize = 256;

/// What has been read of a file.
pub(super) struct Taken {
    pub(super) digest: Digest,
    pub(super) pieces: Vec<Piece>,
    /// Bytes that were not in the vault.
    pub(super) new: u64,
}

impl Copier {
    /// Copies what was appended since; `None` if what was there before is not what it was.
    pub(super) fn grown(
        &mut self,
        file: &dyn FsFile,
        from: &Path,
        known: &Entry,
        len: u64,
    ) -> Result<Option<Taken>> {
        let mut pieces = known.objects();
        if pieces.len() >= MAX_PIECES {
            return Ok(None);
        }
        let mut whole = blake3::Hasher::new();
        read(file, from, 0, known.len, |bytes| {
            whole.update(bytes);
            Ok(())
        })?;
        if whole.finalize().to_hex().as_str() != known.blake3 {
            return Ok(None);
        }
        let mut new = 0;
        if known.len < len {
            let incoming = self.vault.begin()?;
            let mut piece = blake3::Hasher::new();
            let copied = read(file, from, known.len, len, |bytes| {
                whole.update(bytes);
                piece.update(bytes);
                incoming.write(bytes)
            });
            let name: Digest = piece.finalize().into();
            new = self.take(incoming, copied, name, len - known.len)?;
            pieces.push(Piece {
                blake3: blake3::Hash::from(name).to_hex().to_string(),
                len: len - known.len,
            });
        }
        Ok(Some(Taken {
            digest: whole.finalize().into(),
            pieces: if pieces.len() < 2 { Vec::new() } else { pieces },
            new,
        }))
    }

    pub(super) fn whole(&mut self, file: &dyn FsFile, from: &Path, len: u64) -> Result<Taken> {
        let taken = |digest: Digest, new: u64| Taken {
            digest,
            pieces: Vec::new(),
            new,
        };
        if len <= CHUNK as u64 {
            // Small files come to the disk only if they are new.
            let mut content = Vec::new();
            read(file, from, 0, len, |bytes| {
                content.extend_from_slice(bytes);
                Ok(())
            })?;
            let name: Digest = blake3::hash(&content).into();
            if content.is_empty() || self.vault.has(&name) {
                return Ok(taken(name, 0));
            }
            let incoming = self.vault.begin()?;
            let written = incoming.write(&content);
            return Ok(taken(name, self.take(incoming, written, name, len)?));
        }
        let incoming = self.vault.begin()?;
        let mut hasher = blake3::Hasher::new();
        let copied = read(file, from, 0, len, |bytes| {
            hasher.update(bytes);
            incoming.write(bytes)
        });
        let name: Digest = hasher.finalize().into();
        Ok(taken(name, self.take(incoming, copied, name, len)?))
    }

    /// Gives bytes to the vault if they were copied; returns how many were new.
    pub(super) fn take(
        &mut self,
        incoming: Incoming,
        copied: Result<()>,
        name: Digest,
        len: u64,
    ) -> Result<u64> {
        if let Err(error) = copied {
            self.vault.discard(incoming)?;
            return Err(error);
        }
        Ok(if self.vault.take(incoming, name, len)? {
            len
        } else {
            0
        })
    }
}

/// The digest of a file's first bytes.
pub(in crate::backup) fn hash(file: &dyn FsFile, from: &Path, len: u64) -> Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    read(file, from, 0, len, |bytes| {
        hasher.update(bytes);
        Ok(())
    })?;
    Ok(hasher.finalize().into())
}

/// Gives a stretch of a file, piece by piece.
pub(in crate::backup) fn read(
    file: &dyn FsFile,
    from: &Path,
    start: u64,
    end: u64,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let failed = |error| io("read the file", from, error);
    let size = usize::try_from(end.saturating_sub(start))
        .unwrap_or(CHUNK)
        .clamp(1, CHUNK);
    let mut buffer = vec![0; size];
    let mut at = start;
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(size).min(size);
        let piece = buffer.get_mut(..want).unwrap_or_default();
        let read = file.read_full_at(piece, at).map_err(failed)?;
        if read == 0 {
            return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
        }
        each(piece.get(..read).unwrap_or_default())?;
        at += read as u64;
    }
    Ok(())
}
