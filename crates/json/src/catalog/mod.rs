//! The catalog: one registry file, read when it has changed, replaced whole under a lock.

mod entry;
mod file;
mod ops;
mod registry;
mod resolve;
mod scan;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use minutebook_core::{
    Capabilities, Capability, Catalog, DatasetChange, DatasetEntry, DatasetFilter, DatasetName,
    Revision, SaveMode, StoredEntry,
};
use minutebook_fs::task::blocking;
use minutebook_fs::{FsError, create_dir_all};

use crate::config::JsonCatalogConfig;
use crate::error::{JsonError, Result};
use file::File;
use ops::{Done, Op};
use registry::Registry;
pub use resolve::{Resolved, resolve};

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
        Ok(Self {
            file: Arc::new(File::new(dir.join(name), lock_path, config)),
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

    async fn change(
        &self,
        operation: &'static str,
        name: &DatasetName,
        op: Op,
    ) -> minutebook_core::Result<Done> {
        self.work(operation, name.to_string(), move |file| file.change(op))
            .await
    }

    async fn store(
        &self,
        operation: &'static str,
        name: &DatasetName,
        op: Op,
    ) -> minutebook_core::Result<Revision> {
        match self.change(operation, name, op).await? {
            Done::Stored(revision) => Ok(revision),
            Done::Removed(_) => Err(JsonError::Missing.into_core(operation, name)),
        }
    }

    async fn take_out(
        &self,
        operation: &'static str,
        name: &DatasetName,
        seen: Option<&Revision>,
    ) -> minutebook_core::Result<bool> {
        let op = Op::Remove(name.clone(), seen.cloned());
        match self.change(operation, name, op).await? {
            Done::Removed(removed) => Ok(removed),
            Done::Stored(_) => Ok(true),
        }
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
        let op = Op::Register(Box::new(entry.clone()), mode);
        self.store("register", &entry.name, op).await
    }

    async fn get(&self, name: &DatasetName) -> minutebook_core::Result<Option<StoredEntry>> {
        let registry = self.registry("get").await?;
        let stored = registry.entry(name);
        stored
            .map(Option::<&StoredEntry>::cloned)
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
        let op = Op::Update(name.clone(), Box::new(change.clone()));
        self.store("update", name, op).await
    }

    async fn rename(
        &self,
        name: &DatasetName,
        to: &DatasetName,
    ) -> minutebook_core::Result<Revision> {
        self.store("rename", name, Op::Rename(name.clone(), to.clone()))
            .await
    }

    async fn remove(&self, name: &DatasetName) -> minutebook_core::Result<bool> {
        self.take_out("remove", name, None).await
    }

    async fn remove_seen(
        &self,
        name: &DatasetName,
        seen: &Revision,
    ) -> minutebook_core::Result<bool> {
        self.take_out("remove_seen", name, Some(seen)).await
    }
}
