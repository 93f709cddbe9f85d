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
use super::vault::Digest;
use crate::config::CONFIG_FILE;
use crate::error::io;
use crate::{Error, ErrorKind, Result};

/// Shorter files may be the same in stores that have nothing to do with each other.
const TELLING: u64 = 64;
/// So many bytes are read, for one answer, before another file is begun: the smallest come first.
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
        _ => shares(source, &newest.entries, MAX_READ)?,
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

/// Whether a file of the store is, or begins with, what the generation has of it. `most` is how much is read before another file is begun.
fn shares(source: &Source, entries: &BTreeMap<String, Entry>, most: u64) -> Result<bool> {
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
            let stamp = Stamp::from(&meta);
            if entry.stamp.is_some_and(|before| before.same_file(&stamp)) {
                return Ok(true);
            }
            same_length.push((entry, path));
        }
    }
    same_length.sort_by_key(|(entry, _)| entry.len);
    let mut read = 0_u64;
    for (entry, path) in same_length {
        // One is compared however long it is.
        if read > 0 && read.saturating_add(entry.len) > most {
            break;
        }
        let found = match beginning(source, &path, entry.len) {
            // A writer has just taken it away, packed it or made it shorter.
            Err(error) if has_changed(&error) => continue,
            found => blake3::Hash::from(found?),
        };
        if found.to_hex().as_str() == entry.blake3 {
            return Ok(true);
        }
        read = read.saturating_add(entry.len);
    }
    Ok(false)
}

fn beginning(source: &Source, path: &Path, len: u64) -> Result<Digest> {
    let file = source
        .fs
        .open(path, minutebook_fs::OpenMode::Read)
        .map_err(|error| io("read the file", path, error))?;
    hash(&*file, path, len)
}

fn has_changed(error: &Error) -> bool {
    use std::io::ErrorKind::{NotFound, UnexpectedEof};
    std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<std::io::Error>())
        .is_some_and(|cause| matches!(cause.kind(), NotFound | UnexpectedEof))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use minutebook_fs::{OpKind, SimFs};

    use super::*;
    use crate::Minutebook;
    use crate::backup::BackupOptions;
    use crate::backup::vault::list_of;

    const STORE: &str = "/store";
    const BACKUPS: &str = "/backups";

    fn open(disk: &SimFs) -> Minutebook {
        let options = Minutebook::options()
            .environment(crate::Environment::empty())
            .fs(Arc::new(disk.clone()));
        options.create(STORE).unwrap()
    }

    /// A store with files of these lengths, and what a backup has of it.
    async fn backed_up(disk: &SimFs, lens: &[usize]) -> BTreeMap<String, Entry> {
        let book = open(disk);
        for len in lens {
            let text = len.to_string().repeat(*len);
            disk.put(format!("{STORE}/{len}.csv"), &text.as_bytes()[..*len])
                .unwrap();
        }
        let options = BackupOptions::new();
        let made = book.backup(BACKUPS, &options).await.unwrap();
        let list = list_of(Path::new(BACKUPS), &made.generation);
        Manifest::read(disk, &list).unwrap().unwrap().entries
    }

    fn source(disk: &SimFs) -> Source {
        Source::new(open(disk).disk().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn one_file_is_compared_however_long_it_is() {
        let disk = SimFs::new();
        let mut entries = backed_up(&disk, &[500, 700]).await;
        for entry in entries.values_mut() {
            entry.stamp = None;
        }
        assert!(shares(&source(&disk), &entries, 1).unwrap());
        // The shorter one is another, and the longer one is too much then.
        disk.put(format!("{STORE}/500.csv"), &[1; 500]).unwrap();
        assert!(!shares(&source(&disk), &entries, 600).unwrap());
        assert!(shares(&source(&disk), &entries, 2_000).unwrap());
    }

    #[tokio::test]
    async fn a_disk_that_is_mounted_anew_has_the_same_files() {
        let disk = SimFs::new();
        let mut entries = backed_up(&disk, &[500]).await;
        entries.retain(|path, _| path.ends_with("500.csv"));
        let entry = entries.values_mut().next().unwrap();
        let now = disk.metadata(Path::new("/store/500.csv")).unwrap();
        let mut stamp = serde_json::to_value(Stamp::from(&now)).unwrap();
        stamp["device"] = 77.into();
        entry.stamp = Some(serde_json::from_value(stamp).unwrap());
        // Nothing can be told from the content.
        entry.blake3 = String::new();
        assert!(shares(&source(&disk), &entries, MAX_READ).unwrap());
    }

    #[tokio::test]
    async fn what_a_writer_takes_away_or_shortens_meanwhile_tells_nothing() {
        let disk = SimFs::new();
        let mut entries = backed_up(&disk, &[500, 600, 700]).await;
        entries.retain(|path, _| path.contains(".csv"));
        for entry in entries.values_mut() {
            entry.stamp = None;
        }
        let (process, other) = (disk.new_process(), disk.clone());
        process.on_op(move |event| {
            if event.path.ends_with("500.csv") && event.kind == OpKind::Open {
                other.remove_file(&event.path).ok();
            }
            if event.path.ends_with("600.csv") && event.kind == OpKind::Read {
                other.put(&event.path, b"short").unwrap();
            }
        });
        let source = source(&process);
        assert!(shares(&source, &entries, MAX_READ).unwrap());
        assert!(disk.get(format!("{STORE}/500.csv")).is_none());
        assert_eq!(disk.get(format!("{STORE}/600.csv")).unwrap(), b"short");
    }
}
