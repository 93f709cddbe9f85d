//! The repository: series as segments and versions.

mod absorb;
mod adopt;
mod append;
mod back;
mod check;
mod cleanup;
mod compact;
mod describe;
mod diff;
mod draft;
mod edit;
mod held;
mod keys;
mod mend;
mod merge;
mod named;
mod pack;
mod plan;
mod repository;
mod restore;
mod rows;
mod salvage;
mod snapshot;
mod stream;
mod sync;
mod vacuum;
mod verify;
mod versions;
mod write;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minutebook_core::SeriesId;
use object_store::ObjectStore;

pub use absorb::{AbsorbReceipt, AbsorbedState};
pub use adopt::{AdoptDirectory, AdoptReport, AdoptedDirectory, AdoptedSeries};
pub use check::SeriesChecked;
pub use compact::{CompactionPlan, CompactionReason, CompactionReport, CompactionStep};
pub use diff::{ChangedRange, VersionDiff};
pub use held::HeldSegments;
pub use mend::LeftOut;
pub use named::NamedSnapshot;
pub use vacuum::{VacuumOptions, VacuumReport};
pub use verify::VerifyReport;
pub use versions::VersionInfo;

use crate::codec::{SegmentCache, Segments, WriteOptions, segment_options};
use crate::config::ParquetConfig;
use crate::error::Fault;
use crate::log::{Known, Log, Segment};
use crate::store::url::{self, Place};
use crate::store::{DurableStore, Storage};

/// Time series in Parquet files.
///
/// Each series is a directory of immutable segments and a log of versions. A write adds segments and then, in one step, a version
/// that names what the series consists of; so it is atomic, no writer's rows are lost, and a reader sees one version. No lock is
/// needed, in one process or in many. Segments are ordinary Parquet with `timestamp` as the index that pandas sees.
///
/// Clones share their caches.
///
/// ```
/// use minutebook_core::{Bar, SeriesId, TimeSeriesRepositoryExt, Timeframe, time::parse_timestamp};
/// use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository};
///
/// # let dir = tempfile::tempdir()?;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let repo = ParquetTimeSeriesRepository::open(dir.path().join("series"), ParquetConfig::default())?;
/// let series = SeriesId::bars("BTCUSD".parse()?, Timeframe::HOUR);
/// let bar = Bar {
///     timestamp: parse_timestamp("2024-01-01")?,
///     open: 1.0, high: 2.0, low: 0.5, close: 1.5, volume: 10.0,
/// };
/// repo.append_bars(&series, &[bar]).await?;
/// assert_eq!(repo.latest_bar(&series).await?, Some(bar));
/// # Ok::<(), minutebook_core::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ParquetTimeSeriesRepository {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Storage,
    config: ParquetConfig,
    cache: Arc<SegmentCache>,
    state: Mutex<HashMap<SeriesId, State>>,
    groups: Mutex<HashMap<String, Arc<Vec<Segment>>>>,
}

/// What this handle remembers of a series.
#[derive(Default, Clone)]
struct State {
    known: Option<Known>,
    /// Held by the one of this process's writers whose turn it is, so that they do not race each other.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Group files kept in memory.
const CACHED_GROUPS: usize = 1_024;

impl ParquetTimeSeriesRepository {
    /// Opens a directory. Nothing is read or written now; the first write creates what is missing.
    ///
    /// # Errors
    /// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) if the path exists and is no directory.
    pub fn open(dir: impl AsRef<Path>, config: ParquetConfig) -> minutebook_core::Result<Self> {
        let dir: PathBuf = dir.as_ref().to_owned();
        match config.fs.metadata(&dir) {
            Ok(meta) if meta.is_file() => {
                let fault = Fault::Invalid("it is a file; a directory is needed".into());
                return Err(fault.told("open", dir.display()));
            }
            _ => {}
        }
        let store = DurableStore::new(Arc::clone(&config.fs), dir, config.durability);
        Ok(Self::over(Storage::local(store), config))
    }

    /// Uses any store. Before the first write it is asked to create an object twice, and refused
    /// ([`Unsupported`](minutebook_core::ErrorKind::Unsupported)) if it does.
    pub fn with_store(store: Arc<dyn ObjectStore>, config: ParquetConfig) -> Self {
        Self::over(Storage::foreign(store), config)
    }

    /// Uses the part of a store below a prefix (`research/series`), as [`with_store`](Self::with_store) does: several stores in one bucket.
    ///
    /// # Errors
    /// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) for a prefix that no object can have.
    pub fn with_store_below(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        config: ParquetConfig,
    ) -> minutebook_core::Result<Self> {
        let prefix = object_store::path::Path::parse(prefix).map_err(|error| {
            Fault::Invalid(format!("no object can have this prefix: {error}")).told("open", prefix)
        })?;
        Ok(Self::with_store(url::below(store, &prefix), config))
    }

    /// Opens a store by its URL: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` (each with the feature of its name: `s3`,
    /// `gcs`, `azure`), `file:///directory`, or `memory:///prefix`, which is gone with the last clone.
    ///
    /// Buckets are set up from the environment (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME` and so
    /// on), and from `options`, which go first and have the same names in lower case (`aws_endpoint`, `aws_allow_http`). Nothing is asked of the
    /// network now; [`probe`](Self::probe) does.
    ///
    /// ```
    /// use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository};
    ///
    /// let none: [(&str, &str); 0] = [];
    /// let repo = ParquetTimeSeriesRepository::open_url("memory:///series", none, ParquetConfig::default())?;
    /// # let _ = repo;
    /// # Ok::<(), minutebook_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Unsupported`](minutebook_core::ErrorKind::Unsupported) for a store whose feature is not built in;
    /// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) for what is no URL, an unknown option, or settings that are not enough.
    pub fn open_url<K: Into<String>, V: Into<String>>(
        text: &str,
        options: impl IntoIterator<Item = (K, V)>,
        config: ParquetConfig,
    ) -> minutebook_core::Result<Self> {
        let options = options.into_iter();
        let options: Vec<(String, String)> = options.map(|(k, v)| (k.into(), v.into())).collect();
        match url::place(text, &options).map_err(|fault| fault.told("open", text))? {
            Place::Directory(dir) => Self::open(dir, config),
            Place::Store(store) => Ok(Self::with_store(store, config)),
        }
    }

    /// Asks the store now what it is otherwise asked before the first write: to create an object twice. One that does it cannot keep
    /// series. A local directory is known to refuse and is not asked.
    ///
    /// # Errors
    /// [`Unsupported`](minutebook_core::ErrorKind::Unsupported) if it overwrites; [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if it does not
    /// answer, or the credentials do not allow to write.
    pub async fn probe(&self) -> minutebook_core::Result<()> {
        let near = object_store::path::Path::default();
        let probed = self.inner.storage.probe(&near);
        probed.await.map_err(|fault| fault.told("open", "store"))
    }

    fn over(storage: Storage, config: ParquetConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                storage,
                cache: Arc::new(SegmentCache::new(config.cache_bytes)),
                config,
                state: Mutex::default(),
                groups: Mutex::default(),
            }),
        }
    }

    /// The settings.
    pub fn config(&self) -> &ParquetConfig {
        &self.inner.config
    }
}

impl Inner {
    fn log(&self, series: &SeriesId) -> Log {
        Log::new(&self.storage, series)
    }

    fn segments(&self, log: &Log) -> Segments {
        Segments {
            storage: self.storage.clone(),
            dir: log.dir.clone(),
            cache: Arc::clone(&self.cache),
        }
    }

    fn write_options(&self) -> WriteOptions {
        segment_options(self.config.row_group_rows, self.config.page_rows)
    }

    fn state(&self) -> MutexGuard<'_, HashMap<SeriesId, State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn group_cache(&self) -> MutexGuard<'_, HashMap<String, Arc<Vec<Segment>>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ParquetTimeSeriesRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetTimeSeriesRepository")
            .field("storage", &self.inner.storage)
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}
