//! Making a series durable.

use minutebook_core::SeriesId;

use super::ParquetTimeSeriesRepository;
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
        let store = self.inner.storage.as_local()?.synced()?;
        let config = self.inner.config.clone();
        Some(Self::over(Storage::local(store), config))
    }
}
