//! Documents: one JSON file each, in directories as their names say.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use minutebook_core::time::from_system;
use minutebook_core::{
    Capabilities, Capability, DocumentFilter, DocumentInfo, DocumentName, DocumentRepository,
    Error, ErrorKind, StoredDocument,
};
use minutebook_fs::task::blocking;
use minutebook_fs::{
    Durability, FileKind, Fs, FsError, OsFs, Root, create_dir_all, is_temporary, names,
};

use crate::error::{BACKEND, JsonError, Result};

pub(crate) const SUFFIX: &str = ".json";

/// Settings of [`JsonDocuments`].
#[derive(Clone)]
#[non_exhaustive]
pub struct JsonDocumentsConfig {
    /// The file system. The operating system's.
    pub fs: Arc<dyn Fs>,
    /// What `Ok` of a write promises. [`Durability::Synced`].
    pub durability: Durability,
    /// The largest document, in bytes. 256 MiB.
    pub max_document_bytes: u64,
}

impl Default for JsonDocumentsConfig {
    fn default() -> Self {
        Self {
            fs: Arc::new(OsFs),
            durability: Durability::Synced,
            max_document_bytes: 256 << 20,
        }
    }
}

impl JsonDocumentsConfig {
    /// Sets the file system.
    #[must_use]
    pub fn fs(mut self, fs: Arc<dyn Fs>) -> Self {
        self.fs = fs;
        self
    }

    /// Sets what `Ok` of a write promises.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the largest document, in bytes.
    #[must_use]
    pub fn max_document_bytes(mut self, bytes: u64) -> Self {
        self.max_document_bytes = bytes;
        self
    }
}

impl fmt::Debug for JsonDocumentsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonDocumentsConfig")
            .field("durability", &self.durability)
            .field("max_document_bytes", &self.max_document_bytes)
            .finish_non_exhaustive()
    }
}

/// Documents in a directory: `runs/2025-01-02/params` is the file `runs/2025-01-02/params.json`, plain JSON that every program reads. The format
/// is described in `docs/format/documents.md`.
///
/// ```
/// use minutebook_core::{DocumentFilter, DocumentRepository, DocumentRepositoryExt};
/// use minutebook_json::{JsonDocuments, JsonDocumentsConfig};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let dir = tempfile::tempdir()?;
/// let documents = JsonDocuments::open(dir.path(), JsonDocumentsConfig::default())?;
/// let name = "runs/2025-01-02/params".parse()?;
/// documents.save_value(&name, &serde_json::json!({"window": 20})).await?;
/// assert!(dir.path().join("runs/2025-01-02/params.json").exists());
/// assert_eq!(documents.list(&DocumentFilter::new().prefix("runs/")).await?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct JsonDocuments {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: Root,
    config: JsonDocumentsConfig,
}

impl JsonDocuments {
    /// Opens a directory of documents, and makes it if it is missing.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if it cannot be made or opened.
    pub fn open(
        directory: impl AsRef<Path>,
        config: JsonDocumentsConfig,
    ) -> minutebook_core::Result<Self> {
        let directory = directory.as_ref();
        let open = || -> Result<Root> {
            create_dir_all(&*config.fs, directory, config.durability)?;
            Ok(Root::open(Arc::clone(&config.fs), directory)?)
        };
        let root = open().map_err(|error| error.into_core("open", directory.display()))?;
        Ok(Self {
            inner: Arc::new(Inner { root, config }),
        })
    }

    /// The directory: absolute.
    pub fn path(&self) -> &Path {
        self.inner.root.path()
    }

    /// The file of a document.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if the way to it leads out of the directory.
    pub fn file(&self, name: &DocumentName) -> minutebook_core::Result<PathBuf> {
        let file = self.inner.file(name);
        file.map_err(|error| error.into_core("resolve", name))
    }

    async fn work<T: Send + 'static>(
        &self,
        operation: &'static str,
        resource: String,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> minutebook_core::Result<T> {
        let inner = Arc::clone(&self.inner);
        let done = blocking(move || work(&inner)).await;
        done.map_err(JsonError::from)
            .and_then(|done| done)
            .map_err(|error| error.into_core(operation, resource))
    }
}

impl Inner {
    /// The names on the way to a document's file.
    fn components(name: &DocumentName) -> Vec<String> {
        let mut parts: Vec<String> = name.as_str().split('/').map(names::encode).collect();
        if let Some(last) = parts.last_mut() {
            last.push_str(SUFFIX);
        }
        parts
    }

    fn file(&self, name: &DocumentName) -> Result<PathBuf> {
        Ok(self.root.resolve(&Self::components(name))?)
    }

    fn save(&self, name: &DocumentName, text: &str) -> Result<()> {
        let components = Self::components(name);
        let directories = components.len().saturating_sub(1);
        let (durability, directories) = (
            self.config.durability,
            components.get(..directories).unwrap_or_default(),
        );
        self.root.ensure_dir(directories, durability)?;
        let path = self.root.resolve(&components)?;
        minutebook_fs::replace(&*self.config.fs, &path, text.as_bytes(), durability)?;
        Ok(())
    }

    fn get(&self, name: &DocumentName) -> Result<Option<StoredDocument>> {
        let (fs, path) = (&self.config.fs, self.file(name)?);
        let Some(bytes) = minutebook_fs::read(&**fs, &path, self.config.max_document_bytes)? else {
            return Ok(None);
        };
        let saved_at = match fs.metadata(&path) {
            Ok(found) => from_system(found.modified),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(FsError::not_applied("read", "look at the file", &path, error).into());
            }
        };
        let damaged = |message: String| {
            JsonError::Core(
                Error::new(
                    ErrorKind::Corrupt,
                    format!("{message}; the file was left as it is"),
                )
                .with_resource(path.display()),
            )
        };
        let text = String::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
        minutebook_core::json::check(&text)
            .map_err(|error| damaged(format!("the document does not parse: {error}")))?;
        let info = DocumentInfo::new(name.clone(), saved_at, text.len() as u64);
        Ok(Some(StoredDocument { info, text }))
    }

    fn list(&self, filter: &DocumentFilter) -> Result<Vec<DocumentInfo>> {
        let mut found = Vec::new();
        let mut open = vec![(self.root.path().to_owned(), String::new())];
        while let Some((directory, prefix)) = open.pop() {
            let entries = match self.config.fs.read_dir(&directory) {
                Ok(entries) => entries,
                // It was removed while the others were looked at.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    let step = "list the directory";
                    return Err(FsError::not_applied("list", step, &directory, error).into());
                }
            };
            for entry in entries {
                let path = directory.join(&entry.name);
                let name = entry.name.to_str().unwrap_or_default();
                let part = match entry.kind {
                    FileKind::Dir => Some(name),
                    FileKind::File => name.strip_suffix(SUFFIX),
                    FileKind::Symlink | FileKind::Other => None,
                };
                let Some(part) = part.and_then(|part| names::decode(part).ok()) else {
                    if !is_temporary(name) {
                        tracing::debug!(path = %path.display(), "this is no document");
                    }
                    continue;
                };
                let text = format!("{prefix}{part}");
                if entry.kind == FileKind::Dir {
                    let below = format!("{text}/");
                    // Only where a name that is wanted can lie.
                    let wanted = filter.prefix.as_deref().is_none_or(|prefix| {
                        below.starts_with(prefix) || prefix.starts_with(&below)
                    });
                    if wanted {
                        open.push((path, below));
                    }
                } else if let Ok(name) = DocumentName::new(&text) {
                    found.extend(self.info(name, &path)?.filter(|info| filter.matches(info)));
                }
            }
        }
        found.sort_by(|a, b| (a.time(), &a.name).cmp(&(b.time(), &b.name)));
        Ok(found)
    }

    fn info(&self, name: DocumentName, path: &Path) -> Result<Option<DocumentInfo>> {
        match self.config.fs.metadata(path) {
            Ok(found) => {
                let saved_at = from_system(found.modified);
                Ok(Some(DocumentInfo::new(name, saved_at, found.len)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FsError::not_applied("list", "look at the file", path, error).into()),
        }
    }

    fn delete(&self, name: &DocumentName) -> Result<bool> {
        let path = self.file(name)?;
        Ok(minutebook_fs::remove(
            &*self.config.fs,
            &path,
            self.config.durability,
        )?)
    }
}

#[async_trait]
impl DocumentRepository for JsonDocuments {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Persistent, Capability::Shared])
    }

    async fn save(&self, name: &DocumentName, text: &str) -> minutebook_core::Result<()> {
        minutebook_core::json::check(text).map_err(|error| {
            Error::invalid(format!("the document is not one JSON value: {error}"))
                .with_source(error)
                .with_backend(BACKEND)
                .with_operation("save")
                .with_resource(name)
        })?;
        let (owned, text) = (name.clone(), text.to_owned());
        self.work("save", name.to_string(), move |inner| {
            inner.save(&owned, &text)
        })
        .await
    }

    async fn get(&self, name: &DocumentName) -> minutebook_core::Result<Option<StoredDocument>> {
        let owned = name.clone();
        self.work("get", name.to_string(), move |inner| inner.get(&owned))
            .await
    }

    async fn list(&self, filter: &DocumentFilter) -> minutebook_core::Result<Vec<DocumentInfo>> {
        let owned = filter.clone();
        self.work("list", self.path().display().to_string(), move |inner| {
            inner.list(&owned)
        })
        .await
    }

    async fn delete(&self, name: &DocumentName) -> minutebook_core::Result<bool> {
        let owned = name.clone();
        self.work("delete", name.to_string(), move |inner| {
            inner.delete(&owned)
        })
        .await
    }
}
