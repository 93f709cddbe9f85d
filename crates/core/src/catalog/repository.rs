//! The trait of a catalog.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use super::{DatasetChange, DatasetEntry, DatasetFilter, DatasetName, StoredEntry};
use crate::capability::Capabilities;
use crate::decision::SaveMode;
use crate::error::{Error, Result};
use crate::id::Revision;

/// A catalog of datasets.
///
/// All methods take `&self` and may be called from many tasks at once. What the backend cannot do is in
/// [`capabilities`](Self::capabilities).
///
/// Each item under "Behavior" is a case of the conformance suite `minutebook-testkit`.
#[async_trait]
pub trait Catalog: Debug + Send + Sync + 'static {
    /// What this catalog can do.
    fn capabilities(&self) -> Capabilities;

    /// Registers a dataset.
    ///
    /// # Behavior
    /// - After `Ok`, `get` and `list` see it, every field as it was, unknown ones included.
    /// - `registered_at` is set where it is missing (to the stored entry's, where there is one) and kept where it is there.
    /// - `Create` on a name that is there fails with `AlreadyExists` and changes nothing.
    /// - `Update` of a name that is not there fails with `NotFound`; with a revision that is no longer the stored one, with `Conflict`; both change nothing.
    /// - Every change gives a new revision; an unchanged entry keeps its revision.
    /// - Of concurrent registrations of different names none is lost.
    /// - Metadata under the key `minutebook`, which is kept for the catalog, is refused with `InvalidInput`.
    async fn register(&self, entry: &DatasetEntry, mode: SaveMode) -> Result<Revision>;

    /// Reads one entry.
    ///
    /// # Behavior
    /// - A name that is not there is `Ok(None)`; names are compared exactly.
    async fn get(&self, name: &DatasetName) -> Result<Option<StoredEntry>>;

    /// The entries that match, in ascending order of their names.
    ///
    /// # Behavior
    /// - Every condition of the filter is applied; all must hold.
    async fn list(&self, filter: &DatasetFilter) -> Result<Vec<StoredEntry>>;

    /// Changes an entry.
    ///
    /// # Behavior
    /// - What the change does not name stays.
    /// - A name that is not there is an error of kind `NotFound`; a revision that is no longer the stored one is `Conflict` and changes nothing.
    /// - Setting statistics stamps `last_updated`.
    /// - Concurrent changes to one entry are all applied.
    /// - A change of the metadata key `minutebook` is refused with `InvalidInput`.
    async fn update(&self, name: &DatasetName, change: &DatasetChange) -> Result<Revision>;

    /// Gives an entry another name, in one step: no reader sees it under both names or under neither.
    ///
    /// # Behavior
    /// - Afterwards it stands under the new name with every field as it was, and no more under the old one; other entries stay.
    /// - What was made from it (`derived_from`) names the new one.
    /// - A name that is not there is an error of kind `NotFound`, a new name that is taken one of kind `AlreadyExists`; both change nothing.
    /// - Giving an entry the name that it has changes nothing and keeps its revision.
    /// - Of concurrent renames to one name one succeeds.
    async fn rename(&self, name: &DatasetName, to: &DatasetName) -> Result<Revision>;

    /// Removes an entry and says whether it was there. The data stays.
    ///
    /// # Behavior
    /// - Afterwards `get` is `Ok(None)`; removing again is `Ok(false)`; other entries stay.
    async fn remove(&self, name: &DatasetName) -> Result<bool>;

    /// Removes an entry that is still in the state that the caller has seen, as `remove` does. Needs
    /// [`Capability::Revisions`](crate::Capability::Revisions).
    ///
    /// # Behavior
    /// - What has another revision by now fails with `Conflict` and stays; what is not there is `Ok(false)`.
    /// - Of a removal and a change of the same state at once exactly one succeeds.
    async fn remove_seen(&self, name: &DatasetName, seen: &Revision) -> Result<bool> {
        let _ = seen;
        let message = "this catalog does not compare revisions, so it cannot remove by them";
        Err(Error::unsupported(message)
            .with_operation("remove_seen")
            .with_resource(name))
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        #[async_trait]
        impl<T: Catalog + ?Sized> Catalog for $pointer<T> {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            async fn register(&self, entry: &DatasetEntry, mode: SaveMode) -> Result<Revision> {
                (**self).register(entry, mode).await
            }

            async fn get(&self, name: &DatasetName) -> Result<Option<StoredEntry>> {
                (**self).get(name).await
            }

            async fn list(&self, filter: &DatasetFilter) -> Result<Vec<StoredEntry>> {
                (**self).list(filter).await
            }

            async fn update(&self, name: &DatasetName, change: &DatasetChange) -> Result<Revision> {
                (**self).update(name, change).await
            }

            async fn rename(&self, name: &DatasetName, to: &DatasetName) -> Result<Revision> {
                (**self).rename(name, to).await
            }

            async fn remove(&self, name: &DatasetName) -> Result<bool> {
                (**self).remove(name).await
            }

            async fn remove_seen(&self, name: &DatasetName, seen: &Revision) -> Result<bool> {
                (**self).remove_seen(name, seen).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
