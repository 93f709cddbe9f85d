//! What follows from the trait: the calls that applications write.

use async_trait::async_trait;

use super::{Catalog, DatasetEntry, DatasetFilter, DatasetName, Lineage, StoredEntry};
use crate::decision::SaveMode;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Revision;

/// Shorthands over every [`Catalog`].
#[async_trait]
pub trait CatalogExt: Catalog {
    /// Registers a dataset, whether its name is new or not.
    async fn upsert(&self, entry: &DatasetEntry) -> Result<Revision> {
        self.register(entry, SaveMode::Upsert).await
    }

    /// Reads an entry that must be there; `NotFound` if it is not.
    async fn require(&self, name: &DatasetName) -> Result<StoredEntry> {
        self.get(name).await?.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "there is no such dataset in the catalog",
            )
            .with_operation("get")
            .with_resource(name)
        })
    }

    /// The names of the datasets that match, in ascending order.
    async fn names(&self, filter: &DatasetFilter) -> Result<Vec<DatasetName>> {
        let entries = self.list(filter).await?;
        Ok(entries
            .into_iter()
            .map(|stored| stored.entry.name)
            .collect())
    }

    /// Which datasets were made from which.
    async fn lineage(&self) -> Result<Lineage> {
        let entries = self.list(&DatasetFilter::new()).await?;
        Ok(Lineage::of(entries.iter().map(|stored| &stored.entry)))
    }
}

impl<T: Catalog + ?Sized> CatalogExt for T {}
