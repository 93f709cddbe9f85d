//! What writers that were killed have left in a directory: temporary files, which are no objects.

use std::io;

use minutebook_fs::{remove_stray_temporaries, stray_temporaries};
use object_store::path::Path;

use super::{Storage, store_fault};
use crate::error::Result;

impl Storage {
    /// The temporary files right in a directory of which no live process is the writer, by name with their sizes; and removes them, if told so. Only a
    /// local store has any.
    pub(crate) async fn strays(&self, dir: &Path, remove: bool) -> Result<Vec<(String, u64)>> {
        let Some(local) = self.as_local() else {
            return Ok(Vec::new());
        };
        let found = local.on_disk(dir, move |fs, _, path| {
            let mut found = match stray_temporaries(fs, path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                found => found?,
            };
            let size = |path: &std::path::PathBuf| {
                let name = path.file_name()?.to_str()?.to_owned();
                Some((path.clone(), name, fs.metadata(path).ok()?.len))
            };
            let sizes: Vec<_> = found.iter().filter_map(size).collect();
            if remove && !found.is_empty() {
                found = remove_stray_temporaries(fs, path)?;
            }
            let gone = sizes.into_iter().filter(|(path, ..)| found.contains(path));
            Ok(gone.map(|(_, name, size)| (name, size)).collect())
        });
        found.await.map_err(|source| store_fault(dir, source))
    }
}
