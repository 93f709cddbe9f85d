//! Making a series durable.

use minutebook_core::SeriesId;

use object_store::path::Path;

use super::{Inner, ParquetTimeSeriesRepository};
use crate::error::Result;
use crate::store::Storage;

impl ParquetTimeSeriesRepository {
    /// Makes durable what there is of a series, whoever wrote it, with [`Buffered`](minutebook_fs::Durability::Buffered) too: its versions, the files that they name, and the
    /// directories on the way. A store that was handed over keeps what it acknowledged, so nothing is done there.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if a sync fails: then it is not known what of it is durable.
    pub async fn sync(&self, series: &SeriesId) -> minutebook_core::Result<()> {
        let root = self.inner.log(series).dir.root();
        let synced = self.inner.storage.sync_below(&root).await;
        synced.map_err(|fault| fault.told("sync", series))
    }

    /// The same directory as a handle that syncs what it writes; `None` if this one does.
    pub(super) fn synced(&self) -> Option<Self> {
        let storage = self.inner.synced_storage()?;
        Some(Self::over(storage, self.inner.config.clone()))
    }
}

impl Inner {
    /// The same directory as a store that syncs what it does; `None` if this one does.
    pub(super) fn synced_storage(&self) -> Option<Storage> {
        self.storage.as_local()?.synced().map(Storage::local)
    }

    /// Before files are removed: makes durable what took their place, where writes are not synced. A power cut could else leave neither.
    pub(super) async fn settle(&self, below: &Path) -> Result<()> {
        match self.synced_storage() {
            Some(storage) => storage.sync_below(below).await,
            None => Ok(()),
        }
    }
}
