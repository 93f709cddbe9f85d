//! Whether a store is the one of which a directory of backups has the generations.
//!
//! A backup reads a store and writes nothing into it, and directories of the originals have no place for a name. So a store is known by where it is
//! (its whole path), by which directory that is (device and inode), and, where those two contradict each other, by what is in it: a store that was
//! moved or restored still has files that the newest generation has, another one at the same place has none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minutebook_fs::Fs;

use super::copy::hash;
use super::manifest::{Directory, Entry, Manifest, Stamp};
use super::source::Source;
use crate::config::CONFIG_FILE;
use crate::error::io;
use crate::{Error, ErrorKind, Result};

/// Shorter files may be the same in stores that have nothing to do with each other.
const TELLING: u64 = 64;
/// So many bytes are read at most, for one answer: the smallest files come first.
const MAX_READ: u64 = 256 << 20;

/// Where a store is, and which directory that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) path: PathBuf,
    pub(super) directory: Directory,
}

impl Identity {
    pub(super) fn of(fs: &dyn Fs, root: &Path) -> Result<Self> {
        let failed = |error| io("look at the store's directory", root, error);
        let path = fs.canonicalize(root).map_err(failed)?;
        let meta = fs.metadata(&path).map_err(failed)?;
        Ok(Self {
            path,
            directory: Directory::from(meta.id),
        })
    }
}

/// Refuses a store that does not go on with what the newest generation has.
pub(super) fn check(source: &Source, newest: &Manifest, place: &Path) -> Result<()> {
    let (now, header) = (&source.identity, &newest.header);
    let before = Path::new(&header.source);
    // What an earlier release wrote may be relative to wherever it ran, and says nothing then.
    let path = before.is_absolute().then(|| {
        before == now.path
            || source
                .fs
                .canonicalize(before)
                .is_ok_and(|it| it == now.path)
    });
    let directory = header.directory.map(|it| it == now.directory);
    let same = match (path, directory) {
        (Some(true), Some(true) | None) => true,
        (Some(false), Some(false) | None) => false,
        _ => shares(source, &newest.entries)?,
    };
    if same {
        return Ok(());
    }
    let of = if path == Some(true) {
        format!(
            "of another store that was in {} (none of its files is in the one that is there now)",
            header.source
        )
    } else {
        format!(
            "of the store in {}, and this one is in {}",
            header.source,
            now.path.display()
        )
    };
    Err(Error::new(
        ErrorKind::AlreadyExists,
        format!(
            "the newest generation here, {}, is {of}; name a directory of its own for this store's backups, or, if it is the same store in \
             another place, allow it to go on with these (--source-moved, BackupOptions::source_moved)",
            header.generation
        ),
    )
    .with_resource(place.display()))
}

/// Whether a file of the store is, or begins with, what the generation has of it.
fn shares(source: &Source, entries: &BTreeMap<String, Entry>) -> Result<bool> {
    let mut same_length = Vec::new();
    for entry in entries.values() {
        if entry.path == CONFIG_FILE || entry.len < TELLING {
            continue;
        }
        let path = source.place_of(&entry.path);
        // What cannot be looked at is told by the copy, which looks at everything.
        let Ok(meta) = source.fs.metadata(&path) else {
            continue;
        };
        if meta.is_file() && meta.len >= entry.len {
            if entry.stamp == Some(Stamp::from(&meta)) {
                return Ok(true);
            }
            same_length.push((entry, path));
        }
    }
    same_length.sort_by_key(|(entry, _)| entry.len);
    let mut read = 0_u64;
    for (entry, path) in same_length {
        read = read.saturating_add(entry.len);
        if read > MAX_READ {
            break;
        }
        let file = source
            .fs
            .open(&path, minutebook_fs::OpenMode::Read)
            .map_err(|error| io("read the file", &path, error))?;
        let found = blake3::Hash::from(hash(&*file, &path, entry.len)?);
        if found.to_hex().as_str() == entry.blake3 {
            return Ok(true);
        }
    }
    Ok(false)
}
