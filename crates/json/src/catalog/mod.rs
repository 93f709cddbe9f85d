//! The catalog: one registry file, read when it has changed, replaced whole under a lock.

mod registry;
mod resolve;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use minutebook_core::{
    Capabilities, Capability, Catalog, DatasetChange, DatasetEntry, DatasetFilter, DatasetName,
    Revision, SaveMode, StoredEntry,
};
use minutebook_fs::task::blocking;
use minutebook_fs::{FileId, FsError, LockMode, create_dir_all};

use crate::config::JsonCatalogConfig;
use crate::error::{JsonError, Result};
use registry::Registry;
pub use resolve::{Resolved, resolve};

/// So long after a file's state was first seen no change can hide behind the same times: see [`Snapshot::confirmed`].
const TICK: Duration = Duration::from_millis(20);
const COARSE_TICK: Duration = Duration::from_millis(2_500);

/// A catalog of datasets in one JSON file, in the structure of the original's `registry.json`.
///
/// Any number of threads and processes may work on one file: each change reads, changes and replaces it under a lock beside
/// it, so none is lost, and a reader sees the file whole, old or new. What other programs write is seen by the next call.
/// A missing file is an empty catalog; a file that does not parse is an error and is never overwritten.
///
/// ```
/// use minutebook_core::{Catalog, DatasetEntry, DatasetFilter, SaveMode};
/// use minutebook_json::{JsonCatalog, JsonCatalogConfig};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let dir = tempfile::tempdir()?;
/// let catalog = JsonCatalog::open(dir.path().join("registry.json"), JsonCatalogConfig::default())?;
/// let entry = DatasetEntry::new("cdx_ig_5y".parse()?, "CDX.NA.IG", "data/cdx_ig_5y.parquet").with_tenor("5Y");
/// catalog.register(&entry, SaveMode::Create).await?;
/// assert_eq!(catalog.list(&DatasetFilter::new().instrument("CDX.NA.IG")).await?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct JsonCatalog {
    file: Arc<File>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    lock_path: PathBuf,
    config: JsonCatalogConfig,
    /// The registry as last read.
    last: RwLock<Option<Snapshot>>,
    /// One writer of this process at a time, so that the others wait here and not for the lock file.
    writer: Mutex<()>,
}

/// The registry, and the state of the file that it was read from.
#[derive(Debug, Clone)]
struct Snapshot {
    registry: Arc<Registry>,
    stamp: Option<Stamp>,
    /// When this stamp was first seen.
    first: Instant,
    /// Whether the content was read so long after `first` that a later change must have given another stamp.
    confirmed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: FileId,
    len: u64,
    modified: std::time::SystemTime,
    changed_ns: i128,
}

impl Stamp {
    fn tick(stamp: Option<&Self>) -> Duration {
        match stamp {
            Some(stamp) if stamp.changed_ns % 1_000_000_000 == 0 => COARSE_TICK,
            _ => TICK,
        }
    }
}

impl JsonCatalog {
    /// Opens a registry. Its directory is created if it is missing, the file by the first change.
    ///
    /// # Errors
    /// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) if the path has no file name,
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the directory cannot be created. What is in the file is looked
    /// at by the first call.
    pub fn open(
        file: impl AsRef<Path>,
        config: JsonCatalogConfig,
    ) -> minutebook_core::Result<Self> {
        let path = file.as_ref();
        let named = |error: JsonError| error.into_core("open", path.display());
        let name = path.file_name().ok_or_else(|| {
            minutebook_core::Error::invalid("a registry needs a file name")
                .with_resource(path.display())
        })?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let fs = &config.fs;
        let dir = match fs.canonicalize(parent) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                create_dir_all(&**fs, parent, config.durability)
                    .map_err(|error| named(error.into()))?;
                fs.canonicalize(parent)
            }
            found => found,
        };
        let dir = dir.map_err(|error| {
            named(FsError::not_applied("open", "find the directory", parent, error).into())
        })?;
        let lock_path = dir.join(format!(".{}.lock", name.to_string_lossy()));
        let file = File {
            path: dir.join(name),
            lock_path,
            config,
            last: RwLock::new(None),
            writer: Mutex::new(()),
        };
        Ok(Self {
            file: Arc::new(file),
        })
    }

    /// The registry's file: absolute.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    async fn work<T: Send + 'static>(
        &self,
        operation: &'static str,
        resource: String,
        f: impl FnOnce(&File) -> Result<T> + Send + 'static,
    ) -> minutebook_core::Result<T> {
        let file = Arc::clone(&self.file);
        let result = blocking(move || f(&file)).await;
        result
            .map_err(JsonError::from)
            .and_then(|done| done)
            .map_err(|error| error.into_core(operation, resource))
    }

    /// The registry: at once if it has not changed, else off the asynchronous threads.
    async fn registry(&self, operation: &'static str) -> minutebook_core::Result<Arc<Registry>> {
        let place = || self.path().display().to_string();
        match self
            .file
            .unchanged()
            .map_err(|error| error.into_core(operation, place()))?
        {
            Some(registry) => Ok(registry),
            None => self.work(operation, place(), File::read).await,
        }
    }
}

impl File {
    /// The registry as last read, if the file has not changed since. One call to the system.
    fn unchanged(&self) -> Result<Option<Arc<Registry>>> {
        let last = self
            .last
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(last) = last.filter(|last| last.confirmed) else {
            return Ok(None);
        };
        Ok((self.stamp()? == last.stamp).then_some(last.registry))
    }

    fn stamp(&self) -> Result<Option<Stamp>> {
        match self.config.fs.metadata(&self.path) {
            Ok(meta) => Ok(Some(Stamp {
                file: meta.id,
                len: meta.len,
                modified: meta.modified,
                changed_ns: meta.changed_ns,
            })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(FsError::not_applied("read", "look at the file", &self.path, error).into())
            }
        }
    }

    /// The registry as it is now.
    fn read(&self) -> Result<Arc<Registry>> {
        if let Some(registry) = self.unchanged()? {
            return Ok(registry);
        }
        let stamp = self.stamp()?;
        let now = Instant::now();
        let bytes =
            minutebook_fs::read(&*self.config.fs, &self.path, self.config.max_registry_bytes)?;
        let last = self
            .last
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let same = last
            .as_ref()
            .filter(|last| last.registry.is_from(bytes.as_deref()));
        let registry = match same {
            Some(last) => Arc::clone(&last.registry),
            None => Arc::new(Registry::parse(&self.path, bytes)?),
        };
        let first = match &last {
            Some(last) if last.stamp == stamp => last.first,
            _ => now,
        };
        // Times have ticks: only what is read a tick after its stamp was first seen is known to be the last under it.
        let confirmed = now.duration_since(first) >= Stamp::tick(stamp.as_ref());
        let next = Snapshot {
            registry: Arc::clone(&registry),
            stamp,
            first,
            confirmed,
        };
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Some(next);
        Ok(registry)
    }

    /// Reads, changes and replaces under the lock. `change` gives the registry that is to be written, if any.
    fn change<T>(
        &self,
        change: impl FnOnce(&Registry) -> Result<(Option<Registry>, T)>,
    ) -> Result<T> {
        let _turn = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let config = &self.config;
        let _lock = config
            .fs
            .lock(&self.lock_path, LockMode::Exclusive, config.lock_wait)
            .map_err(|error| FsError::not_applied("write", "lock", &self.lock_path, error))?;
        let (next, value) = change(&*self.read()?)?;
        if let Some(next) = next {
            minutebook_fs::replace(
                &*config.fs,
                &self.path,
                next.to_text().as_bytes(),
                config.durability,
            )?;
        }
        Ok(value)
    }
}

#[async_trait]
impl Catalog for JsonCatalog {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Persistent,
            Capability::Shared,
            Capability::Revisions,
        ])
    }

    async fn register(
        &self,
        entry: &DatasetEntry,
        mode: SaveMode,
    ) -> minutebook_core::Result<Revision> {
        let name = entry.name.to_string();
        let entry = entry.clone();
        self.work("register", name, move |file| {
            file.change(|registry| registry.register(entry, &mode, file.config.clock.now()))
        })
        .await
    }

    async fn get(&self, name: &DatasetName) -> minutebook_core::Result<Option<StoredEntry>> {
        let registry = self.registry("get").await?;
        registry
            .get(name)
            .map_err(|error| error.into_core("get", name))
    }

    async fn list(&self, filter: &DatasetFilter) -> minutebook_core::Result<Vec<StoredEntry>> {
        let registry = self.registry("list").await?;
        registry
            .list(filter)
            .map_err(|error| error.into_core("list", self.path().display()))
    }

    async fn update(
        &self,
        name: &DatasetName,
        change: &DatasetChange,
    ) -> minutebook_core::Result<Revision> {
        let (wanted, change) = (name.clone(), change.clone());
        self.work("update", name.to_string(), move |file| {
            file.change(|registry| registry.update(&wanted, &change, file.config.clock.now()))
        })
        .await
    }

    async fn remove(&self, name: &DatasetName) -> minutebook_core::Result<bool> {
        let wanted = name.clone();
        self.work("remove", name.to_string(), move |file| {
            file.change(|registry| Ok(registry.remove(&wanted)))
        })
        .await
    }
}
