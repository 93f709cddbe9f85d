//! Keeping what the catalog says of data true.

use futures_util::stream::{self, StreamExt};

use super::{Inspection, no_data};
use crate::{
    Capability, CatalogExt, DatasetChange, DatasetEntry, DatasetFilter, DatasetName, Error,
    ErrorKind, Minutebook, Result, Revision, SaveMode, StoredEntry,
};

/// So often data is looked at again because its entry changed meanwhile.
const ATTEMPTS: usize = 5;
/// So many datasets are looked at at the same time; what they bring is written together.
const TOGETHER: usize = 16;

/// What became of one dataset of many that were brought up to date.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refreshed {
    /// The dataset.
    pub name: DatasetName,
    /// Its revision now, or why it could not be brought up to date.
    pub result: Result<Revision>,
}

impl Minutebook {
    /// Registers a dataset with what its data is like, and with the kind of digest that the entry has. Data that is not there yet is no error: the entry then has no statistics.
    /// Gives what was found beside the revision.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect) (a path of another platform is registered as it is), and as
    /// [`Catalog::register`](crate::Catalog::register).
    pub async fn register_dataset(
        &self,
        entry: DatasetEntry,
        mode: SaveMode,
    ) -> Result<(Revision, Option<Inspection>)> {
        let found = match self.inspect_again(&entry).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            found => found?,
        };
        let mut entry = match found.clone() {
            Some(found) => found.describe(entry),
            None => entry,
        };
        if let Some(contents) = &mut entry.contents {
            // Data that was registered before and is the same has not changed now.
            let before = self.catalog().get(&entry.name).await?;
            let before = before.and_then(|stored| stored.entry.contents);
            contents.changed_at = match before {
                Some(before) if before.same_data(contents) => before.changed_at,
                _ => Some(self.now().into()),
            };
        }
        let revision = self.catalog().register(&entry, mode).await?;
        Ok((revision, found))
    }

    /// Brings a dataset's statistics up to date.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name is not in the catalog or its data is not there; as [`inspect`](Self::inspect).
    pub async fn refresh(&self, name: &DatasetName) -> Result<Revision> {
        let found = self.catalog().require(name).await?;
        self.refresh_entry(found).await
    }

    async fn refresh_entry(&self, mut stored: StoredEntry) -> Result<Revision> {
        let name = stored.entry.name.clone();
        for attempt in 1.. {
            let entry = &stored.entry;
            let found = self.inspect_again(entry).await;
            let found = found
                .map_err(|error| error.with_resource(&name))?
                .ok_or_else(|| no_data(&entry.file_path).with_resource(&name))?;
            let change = self.if_unchanged(found.change(), &stored);
            match self.catalog().update(&name, &change).await {
                Err(error) if error.kind() == ErrorKind::Conflict && attempt < ATTEMPTS => {}
                done => return done,
            }
            stored = self.catalog().require(&name).await?;
        }
        Err(Error::new(ErrorKind::Conflict, "it changes all the time").with_resource(name))
    }

    /// What was found out about data goes to the entry that named it, and not to one that says something else by now.
    fn if_unchanged(&self, change: DatasetChange, stored: &StoredEntry) -> DatasetChange {
        let catalog = self.catalog().capabilities();
        if catalog.has(Capability::Revisions) {
            change.expecting(stored.revision.clone())
        } else {
            change
        }
    }

    /// Brings the statistics of all matching datasets up to date, each for itself: one that fails stops no other.
    ///
    /// # Errors
    /// If the catalog cannot be listed.
    pub async fn refresh_all(&self, filter: &DatasetFilter) -> Result<Vec<Refreshed>> {
        let entries = self.catalog().list(filter).await?;
        Ok(self.refresh_each(entries.into_iter()).await)
    }

    /// Brings the statistics of those matching datasets up to date whose data has changed since, or that never had any
    /// ([`stale`](Self::stale)).
    ///
    /// # Errors
    /// If the catalog cannot be listed.
    pub async fn refresh_stale(&self, filter: &DatasetFilter) -> Result<Vec<Refreshed>> {
        let stale = self.stale(filter).await?;
        let due = stale.into_iter().filter(super::Stale::wants_statistics);
        Ok(self.refresh_each(due.map(|stale| stale.entry)).await)
    }

    async fn refresh_each(&self, entries: impl Iterator<Item = StoredEntry>) -> Vec<Refreshed> {
        let each = entries.map(|entry| async move {
            let name = entry.entry.name.clone();
            let result = self.refresh_entry(entry).await;
            Refreshed { name, result }
        });
        stream::iter(each).buffered(TOGETHER).collect().await
    }

    /// Tells where a dataset's data is now, with what it is like there.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name is not in the catalog or nothing is at the new place; as [`inspect`](Self::inspect).
    pub async fn relocate(&self, name: &DatasetName, path: &str) -> Result<Revision> {
        for attempt in 1.. {
            let stored = self.catalog().require(name).await?;
            let mut moved = stored.entry.clone();
            path.clone_into(&mut moved.file_path);
            let found = self.inspect_again(&moved).await?;
            let found = found.ok_or_else(|| no_data(path).with_resource(name))?;
            let change = self.if_unchanged(found.change().file_path(path), &stored);
            match self.catalog().update(name, &change).await {
                Err(error) if error.kind() == ErrorKind::Conflict && attempt < ATTEMPTS => {}
                done => return done,
            }
        }
        Err(Error::new(ErrorKind::Conflict, "it changes all the time").with_resource(name))
    }
}
