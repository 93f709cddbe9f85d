//! What was there when it was judged, so that a repair that comes later acts on nothing else.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use minutebook_core::check::{Finding, Mend};
use minutebook_fs::{FileId, Fs, FsFile, OpenMode};

const CHUNK: usize = 1 << 20;

/// The files and stretches of files that findings are about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    files: HashMap<PathBuf, Stamp>,
    stretches: HashMap<(PathBuf, u64), blake3::Hash>,
}

/// Which file, how long, and when it last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    id: FileId,
    len: u64,
    changed_ns: i128,
}

/// What is noted of one finding.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Note {
    File(PathBuf, Stamp),
    Stretch((PathBuf, u64), blake3::Hash),
}

impl Note {
    /// What a file was before it was judged: `None` if it was not there.
    pub(super) fn before(fs: &dyn Fs, path: &Path) -> Option<Self> {
        Some(Self::File(path.to_owned(), stamp(fs, path)?))
    }

    /// Looks at what a repair would move or take out.
    pub(super) fn of(fs: &dyn Fs, finding: &Finding) -> Option<Self> {
        match &finding.mend {
            Mend::MoveAway | Mend::Rename(_) => {
                Some(Self::File(finding.path.clone(), stamp(fs, &finding.path)?))
            }
            Mend::TakeOut { from, to, .. } => {
                let file = fs.open(&finding.path, OpenMode::Read).ok()?;
                let hash = hash(&*file, *from, *to).ok()?;
                Some(Self::Stretch((finding.path.clone(), *from), hash))
            }
            _ => None,
        }
    }
}

fn stamp(fs: &dyn Fs, path: &Path) -> Option<Stamp> {
    let meta = fs.metadata(path).ok()?;
    Some(Stamp {
        id: meta.id,
        len: meta.len,
        changed_ns: meta.changed_ns,
    })
}

/// The digest of a stretch, or of all from its start on.
fn hash(file: &dyn FsFile, from: u64, to: Option<u64>) -> std::io::Result<blake3::Hash> {
    let end = match to {
        Some(to) => to,
        None => file.len()?,
    };
    let mut hasher = blake3::Hasher::new();
    let mut buffer = Vec::new();
    let mut at = from;
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
        buffer.resize(want, 0);
        let read = file.read_full_at(&mut buffer, at)?;
        if read == 0 {
            break;
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        at += read as u64;
    }
    Ok(hasher.finalize())
}

impl Seen {
    pub(super) fn note(&mut self, note: Note) {
        match note {
            Note::File(path, stamp) => drop(self.files.insert(path, stamp)),
            Note::Stretch(place, hash) => drop(self.stretches.insert(place, hash)),
        }
    }

    /// Whether the file is the one that was judged, and as it was.
    pub(crate) fn is_file(&self, fs: &dyn Fs, path: &Path) -> bool {
        match self.files.get(path) {
            None => true,
            // What has gone is nothing to do any more.
            Some(before) => stamp(fs, path).is_none_or(|now| now == *before),
        }
    }

    /// Whether the stretch has the bytes that were judged.
    pub(crate) fn is_stretch(
        &self,
        file: &dyn FsFile,
        path: &Path,
        from: u64,
        to: Option<u64>,
    ) -> std::io::Result<bool> {
        match self.stretches.get(&(path.to_owned(), from)) {
            None => Ok(true),
            Some(before) => Ok(hash(file, from, to)? == *before),
        }
    }
}
