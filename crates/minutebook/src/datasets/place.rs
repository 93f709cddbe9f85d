//! Where a dataset's data is on this machine.

use std::path::PathBuf;

use super::DataPath;
use crate::{Minutebook, Result, SeriesId};

/// Where a path of the catalog leads on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A series of the store.
    Series(SeriesId),
    /// A file in the store's directory, with symbolic links followed. It need not be there.
    Inside(PathBuf),
    /// A file elsewhere, which the entry named by its whole path.
    Outside(PathBuf),
    /// A path of another platform (`C:\data\vix.parquet`), which leads nowhere here.
    Foreign(String),
}

impl Place {
    /// As text that is the same for the same place: a whole path, or `series:BTCUSD@1h`.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Series(id) => DataPath::Series(id.clone()).to_string(),
            Self::Inside(path) | Self::Outside(path) => path.display().to_string(),
            Self::Foreign(path) => path.clone(),
        }
    }

    /// The file, if it is one on this machine.
    pub fn file(&self) -> Option<&std::path::Path> {
        match self {
            Self::Inside(path) | Self::Outside(path) => Some(path),
            Self::Series(_) | Self::Foreign(_) => None,
        }
    }
}

impl Minutebook {
    /// Where a path of the catalog leads. A relative one has to stay in the store's directory, symbolic links followed; an absolute one is
    /// taken as the entry's word that its data lies elsewhere. In a store without a directory every path is taken as it is.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a series that is none, for a relative path that leaves the store's directory, and for
    /// a symbolic link that leads nowhere.
    pub fn locate(&self, path: &str) -> Result<Place> {
        match path.parse()? {
            DataPath::Series(id) => Ok(Place::Series(id)),
            DataPath::File(file) => self.locate_file(path, file),
        }
    }

    #[cfg(feature = "json")]
    fn locate_file(&self, text: &str, file: PathBuf) -> Result<Place> {
        use minutebook_json::Resolved;
        let Some(disk) = self.disk() else {
            return Ok(Place::Outside(file));
        };
        let root = disk.fs.canonicalize(&disk.layout.root).map_err(|error| {
            crate::error::io("find the store's directory", &disk.layout.root, error)
        })?;
        match minutebook_json::resolve(&root, text)? {
            Resolved::Inside(path) => {
                let path = on_disk::followed(&*disk.fs, &path)?;
                if path.starts_with(&root) {
                    return Ok(Place::Inside(path));
                }
                Err(crate::Error::invalid(format!(
                    "a symbolic link leads out of the data directory, to {}; register the whole path if that is meant",
                    path.display()
                ))
                .with_operation("resolve")
                .with_resource(text))
            }
            Resolved::Absolute(path) => {
                let path = on_disk::followed(&*disk.fs, &path)?;
                Ok(if path.starts_with(&root) {
                    Place::Inside(path)
                } else {
                    Place::Outside(path)
                })
            }
            Resolved::Foreign(path) => Ok(Place::Foreign(path)),
            Resolved::Series(_) => Ok(Place::Outside(file)),
        }
    }

    /// The file that a path of the catalog names, with no symbolic link followed.
    #[cfg(feature = "json")]
    pub(super) fn named_file(&self, text: &str) -> Result<Option<PathBuf>> {
        let Some(disk) = self.disk() else {
            return Ok(None);
        };
        let named = minutebook_json::resolve(&disk.layout.root, text)?;
        Ok(named.path().map(std::path::Path::to_owned))
    }

    #[cfg(not(feature = "json"))]
    #[allow(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "as with the feature"
    )]
    fn locate_file(&self, _: &str, file: PathBuf) -> Result<Place> {
        Ok(Place::Outside(file))
    }
}

#[cfg(feature = "json")]
mod on_disk {
    use std::io::ErrorKind;
    use std::path::{Path, PathBuf};

    use minutebook_fs::{FileKind, Fs};

    use crate::{Error, Result};

    /// The path without symbolic links, as far as it exists.
    pub(super) fn followed(fs: &dyn Fs, path: &Path) -> Result<PathBuf> {
        let mut missing = Vec::new();
        let mut existing = path;
        loop {
            match fs.canonicalize(existing) {
                Ok(mut found) => {
                    found.extend(missing.into_iter().rev());
                    return Ok(found);
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
                {
                    if fs
                        .metadata(existing)
                        .is_ok_and(|found| found.kind == FileKind::Symlink)
                    {
                        return Err(Error::invalid("this symbolic link leads nowhere")
                            .with_operation("resolve")
                            .with_resource(existing.display()));
                    }
                    missing.extend(existing.file_name());
                }
                Err(error) => return Err(crate::error::io("find the file", path, error)),
            }
            match existing.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => existing = parent,
                _ => return Ok(path.to_owned()),
            }
        }
    }
}
