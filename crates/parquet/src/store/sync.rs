//! Making durable what was written without syncs.

use std::io;
use std::path::Path as FilePath;

use minutebook_fs::{FileKind, Fs, FsError, OpenMode};
use object_store::path::Path;

use super::{DurableStore, Storage, store_fault};
use crate::error::Result;

impl Storage {
    /// Makes every object below a location durable, whoever wrote it. A store that is not ours keeps what it acknowledged.
    pub(crate) async fn sync_below(&self, location: &Path) -> Result<()> {
        let Some(local) = self.as_local() else {
            return Ok(());
        };
        let synced = local.sync_below(location).await;
        synced.map_err(|source| store_fault(location, source))
    }
}

impl DurableStore {
    async fn sync_below(&self, location: &Path) -> object_store::Result<()> {
        self.on_disk(location, |fs, root, path| {
            tree(fs, path)?;
            // The names of the directories on the way.
            let way = path.ancestors().skip(1);
            for dir in way.take_while(|dir| dir.starts_with(root)) {
                directory(fs, dir)?;
            }
            Ok(())
        })
        .await
    }
}

/// Syncs files, then the directories that name them.
fn tree(fs: &dyn Fs, dir: &FilePath) -> std::result::Result<(), FsError> {
    let entries = match fs.read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(FsError::unknown("sync", "read the directory", dir, error)),
    };
    for entry in entries {
        let path = dir.join(&entry.name);
        match entry.kind {
            FileKind::Dir => tree(fs, &path)?,
            FileKind::File => {
                let synced = fs.open(&path, OpenMode::AppendExisting);
                match synced.and_then(|file| file.sync_all()) {
                    Ok(()) => {}
                    // Nothing that a version names is removed while somebody can read it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(FsError::unknown("sync", "sync", &path, error)),
                }
            }
            _ => {}
        }
    }
    directory(fs, dir)
}

fn directory(fs: &dyn Fs, dir: &FilePath) -> std::result::Result<(), FsError> {
    match fs.sync_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FsError::names("sync", dir, error))
        }
        _ => Ok(()),
    }
}
