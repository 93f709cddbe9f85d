//! [`TimeSeriesRepository`] over append-only JSON Lines.

mod delete;
mod list;
mod ordered;
mod scan;
mod snapshot;
mod stream;
mod summary;
mod units;
mod write;

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use minutebook_core::{
    BatchStream, Capabilities, Capability, ReadReport, Result, ScanQuery, SeriesFilter, SeriesId,
    SeriesSummary, TimeRange, TimeSeriesRepository, WriteMode, WriteReceipt,
};
use minutebook_fs::task::blocking;

use crate::config::{JsonlConfig, declared_types};
use crate::error::JsonlError;
use crate::store::{Last, Store};

pub(crate) use scan::{Source, SourceFile, again_if_moved, damage, rows_in, shown, wanted};
pub use snapshot::SeriesSnapshot;
pub(crate) use summary::version;
pub(crate) use units::{Placed, taken};
pub(crate) use write::{forget, put_types};

const CAPABILITIES: Capabilities = Capabilities::of(&[Capability::Persistent, Capability::Shared]);

/// Time series as append-only JSON Lines files in one directory, shared by any number of threads and processes.
///
/// Rows come back in the order in which they were appended. Beside the trait there are calls that take and give entries as JSON text:
/// [`append_entries`](Self::append_entries) and [`entries`](Self::entries).
///
/// ```
/// use minutebook_core::{SeriesId, Tick, TimeRange, TimeSeriesRepositoryExt, time::parse_timestamp};
/// use minutebook_jsonl::{JsonlConfig, JsonlTimeSeriesRepository};
///
/// # let dir = tempfile::tempdir()?;
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let repo = JsonlTimeSeriesRepository::open(dir.path(), JsonlConfig::default())?;
/// let btc = SeriesId::ticks("BTCUSD".parse()?);
/// let timestamp = parse_timestamp("2025-01-01T00:00:00.5Z")?;
/// repo.append_ticks(&btc, &[Tick { timestamp, price: 42_496.1, size: Some(0.5), side: None }]).await?;
/// assert_eq!(repo.last_ticks(&btc, 1).await?[0].price, 42_496.1);
/// # Ok::<(), minutebook_core::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct JsonlTimeSeriesRepository {
    pub(crate) store: Arc<Store>,
    /// Waits for the index when the last handle is dropped.
    pub(crate) last: Arc<Last>,
}

impl JsonlTimeSeriesRepository {
    /// Opens a directory, which is created if absent. Clones of the repository share everything.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the directory cannot be made or opened,
    /// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) if the declared schema has a type that cannot be declared.
    pub fn open(dir: impl AsRef<Path>, config: JsonlConfig) -> Result<Self> {
        let dir = dir.as_ref();
        match Store::open(dir, config) {
            Ok(store) => {
                let store = Arc::new(store);
                let last = Arc::new(Last(Arc::clone(&store)));
                Ok(Self { store, last })
            }
            Err(error) => Err(error.of("open").with_resource(dir.display())),
        }
    }

    /// The directory: absolute, without symbolic links.
    pub fn path(&self) -> &Path {
        self.store.root.path()
    }

    /// Makes durable what this repository appended with [`Buffered`](minutebook_fs::Durability::Buffered): everything that was appended before the call, whoever else syncs
    /// at the same time.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if a sync fails, now or before, also one for an index: then it is not known what of it is durable. Appends to
    /// that series, and later calls, are refused until the directory is opened again: read the series before writing to it.
    pub async fn sync(&self) -> Result<()> {
        let store = Arc::clone(&self.store);
        let synced = blocking(move || store.sync()).await;
        synced
            .map_err(JsonlError::from)
            .flatten()
            .map_err(|error| error.of("sync"))
    }

    /// Writes down beside the series' file where its times lie and what types its columns have had, so that processes to come need not read it from its start. Writers do
    /// so by themselves ([`JsonlConfig::index_bytes`]); this is for files that other programs wrote. It is a cache: deleted, damaged or of
    /// another file, it is left aside.
    ///
    /// # Errors
    /// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such series, [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if it cannot be
    /// read or the index cannot be written.
    pub async fn write_index(&self, series: &SeriesId) -> Result<()> {
        let (store, id) = (Arc::clone(&self.store), series.clone());
        blocking(move || {
            let (series, _) = store.find(&id)?.ok_or(JsonlError::NoSeries)?;
            series.write_index(&store).map(drop)
        })
        .await
        .map_err(JsonlError::from)
        .flatten()
        .map_err(|error| error.of_series("write_index", series))
    }

    /// As [`scan`](TimeSeriesRepository::scan), with columns declared for this call: they are read as these types, and are there even if no
    /// entry has them. See [`JsonlConfig::declared`].
    ///
    /// # Errors
    /// As [`scan`](TimeSeriesRepository::scan), and [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) for a type that cannot be declared.
    pub async fn scan_declared(
        &self,
        series: &SeriesId,
        query: &ScanQuery,
        declared: &SchemaRef,
    ) -> Result<BatchStream> {
        let declared = declared_types(Some(declared))
            .map_err(|error| JsonlError::from(error).of_series("scan", series))?;
        scan::scan(&self.store, series, query, declared).await
    }

    /// As [`list`](TimeSeriesRepository::list), with a report of files that look like series and are none: names that no series has,
    /// directories and links.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the directory cannot be read.
    pub async fn list_with_report(
        &self,
        filter: &SeriesFilter,
    ) -> Result<(Vec<SeriesId>, ReadReport)> {
        list::list(&self.store, filter).await
    }
}

#[async_trait]
impl TimeSeriesRepository for JsonlTimeSeriesRepository {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn write(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt> {
        write::write(&self.store, series, batch, mode).await
    }

    async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
        scan::scan(&self.store, series, query, self.store.declared.clone()).await
    }

    async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
        summary::summary(&self.store, series).await
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        list::list(&self.store, filter)
            .await
            .map(|(series, _)| series)
    }

    async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
        delete::delete(&self.store, series, range).await
    }
}
