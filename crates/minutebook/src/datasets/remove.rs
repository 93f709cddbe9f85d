//! Removing a dataset together with its data.

use super::Place;
use crate::{
    Capability, CatalogExt, DatasetFilter, DatasetName, Error, ErrorKind, Minutebook, Result,
};

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// Whether there was data.
    pub data: bool,
}

impl Minutebook {
    /// Removes a dataset and its data: the file, or the series of the store. The data goes first, so that after a failure the entry still tells
    /// of it, and the call can be repeated.
    ///
    /// Only files inside the store's directory are deleted, symbolic links followed, and none that belong to the store's own parts. The file
    /// is deleted from the directory that was found, held open: nothing outside goes even if a directory on the way is replaced by a
    /// link meanwhile.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name is not in the catalog; [`Conflict`](ErrorKind::Conflict) if the entry was changed, or registered anew, while its
    /// data was removed: then it stays; [`InvalidInput`](ErrorKind::InvalidInput), with nothing removed, if the data lies
    /// outside the store's directory, is a symbolic link or a part of the store, or if another entry stands for the same data.
    pub async fn remove_with_data(&self, name: &DatasetName) -> Result<Removed> {
        let stored = self.catalog().require(name).await?;
        let entry = stored.entry;
        let place = self.locate(&entry.file_path)?;
        let refuse = |why: String| {
            Err(Error::invalid(format!("{why}; nothing was removed"))
                .with_operation("remove")
                .with_resource(name))
        };
        for other in self.catalog().list(&DatasetFilter::new()).await? {
            let other = other.entry;
            if other.name != *name && self.locate(&other.file_path).is_ok_and(|at| at == place) {
                return refuse(format!("\"{}\" stands for the same data", other.name));
            }
        }
        let data = match &place {
            Place::Series(id) => {
                let there = self.repository_of(id).summary(id).await?.is_some();
                self.repository_of(id).delete(id, None).await?;
                there
            }
            Place::Inside(file) => match self.own_part(file) {
                Some(part) => {
                    return refuse(format!(
                        "{} belongs to the store's {part}, which has its own ways to delete",
                        file.display()
                    ));
                }
                None => self.delete_file(&entry.file_path, file).await?,
            },
            Place::Outside(file) => {
                return refuse(format!(
                    "{} lies outside the store's directory",
                    file.display()
                ));
            }
            Place::Foreign(file) => {
                return refuse(format!("{file} is a path of another platform"));
            }
        };
        let catalog = self.catalog();
        let gone = if catalog.capabilities().has(Capability::Revisions) {
            catalog.remove_seen(name, &stored.revision).await
        } else {
            catalog.remove(name).await
        };
        match gone {
            Err(error) if error.kind() == ErrorKind::Conflict => Err(Error::new(
                ErrorKind::Conflict,
                "its data was removed, and the entry stays: it was changed meanwhile",
            )
            .with_operation("remove")
            .with_resource(name)),
            gone => gone.map(|_| Removed { data }),
        }
    }

    /// Which part of the store a file belongs to.
    #[cfg(feature = "disk")]
    pub(super) fn own_part(&self, file: &std::path::Path) -> Option<&'static str> {
        let disk = self.disk()?;
        let layout = &disk.layout;
        let root = disk.fs.canonicalize(&layout.root).ok()?;
        let parts = [
            (&layout.decisions, "decisions"),
            (&layout.ticks, "ticks"),
            (&layout.series, "series"),
            (&layout.documents, "documents"),
            (&layout.registry, "catalog"),
        ];
        for (place, part) in parts {
            // A part that is the store's directory itself takes nothing from the others.
            let place = disk
                .fs
                .canonicalize(place)
                .unwrap_or_else(|_| place.clone());
            if place != root && file.starts_with(&place) {
                return Some(part);
            }
        }
        let inside = file.strip_prefix(&root).ok()?;
        let first = inside.components().next()?.as_os_str().to_str()?;
        let settings = first == crate::config::CONFIG_FILE;
        (settings || first.starts_with('.') || first == "quarantine").then_some("own files")
    }

    #[cfg(not(feature = "disk"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn own_part(&self, _: &std::path::Path) -> Option<&'static str> {
        None
    }

    #[cfg(feature = "json")]
    async fn delete_file(&self, text: &str, file: &std::path::Path) -> Result<bool> {
        use std::sync::Arc;

        use minutebook_fs::{FileKind, Root, task};
        let Some(disk) = self.disk() else {
            return Ok(false);
        };
        // The place has its links followed; whether the last component itself is one the entry's own path tells.
        if let Some(named) = self.named_file(text)?
            && let Ok(found) = disk.fs.metadata(&named)
            && found.kind != FileKind::File
        {
            let what = match found.kind {
                FileKind::Symlink => "a symbolic link; delete the link yourself",
                _ => "no regular file",
            };
            return Err(
                Error::invalid(format!("this is {what}; nothing was removed"))
                    .with_operation("remove")
                    .with_resource(text),
            );
        }
        let (fs, path) = (Arc::clone(&disk.fs), file.to_owned());
        let root = disk.layout.root.clone();
        let durability = disk.config.durability.unwrap_or_default().into();
        let removed =
            task::blocking(move || Root::open(fs, &root)?.remove(&path, durability)).await;
        let removed = removed.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the removal came to no end").with_source(error)
        })?;
        removed.map_err(|error| crate::error::fs("delete the file", file, error))
    }

    #[cfg(not(feature = "json"))]
    #[allow(
        clippy::unused_async,
        clippy::unused_self,
        reason = "as with the feature"
    )]
    async fn delete_file(&self, _: &str, file: &std::path::Path) -> Result<bool> {
        Err(
            Error::new(ErrorKind::Unsupported, "there are no files here")
                .with_resource(file.display()),
        )
    }
}
