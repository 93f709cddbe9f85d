//! A local directory as an object store that survives power cuts.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use minutebook_core::time::from_system;
use minutebook_fs::{
    Applied, Created, Durability, Fs, FsError, FsFile, Metadata, OpenMode, Root, create_new, read,
    replace, task,
};
use object_store::path::Path;
use object_store::{ObjectMeta, PutMode, Result};

/// An [`ObjectStore`](object_store::ObjectStore) over a directory, on any [`Fs`].
///
/// An object is a file, whole or not there: it is written under another name, synced, and given its name in one step; with
/// [`PutMode::Create`] only if the name is free. Under [`Durability::Synced`] `Ok` means that content and name reached the device.
/// Files are private to the user (0600, directories 0700), and no symbolic link is followed. Paths are taken as they are, component by
/// component, without encoding.
///
/// Opening touches nothing; the directory is created by the first write.
#[derive(Clone)]
pub struct DurableStore {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) fs: Arc<dyn Fs>,
    dir: PathBuf,
    durability: Durability,
    root: OnceLock<Root>,
    /// Directories that this store has made durable.
    ensured: Mutex<HashSet<PathBuf>>,
}

/// Asks a [`DurableStore`] to sync the directory before it creates the object: what is in it already, written by another
/// process that may not have synced it yet, is then at least as durable as the new object. Other stores ignore it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SyncBefore;

impl DurableStore {
    /// A store in this directory.
    pub fn new(fs: Arc<dyn Fs>, dir: impl Into<PathBuf>, durability: Durability) -> Self {
        Self {
            inner: Arc::new(Inner {
                fs,
                dir: dir.into(),
                durability,
                root: OnceLock::new(),
                ensured: Mutex::default(),
            }),
        }
    }

    /// Reads ranges of an object, on this thread: what decoding uses, which is off the asynchronous threads already.
    pub(crate) fn read_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.read_ranges(location, ranges)
    }

    /// Reads a whole object on this thread; more than `max` bytes are an error.
    pub(crate) fn read_whole(&self, location: &Path, max: u64) -> Result<Bytes> {
        let path = self.inner.file(location)?;
        let bytes = read(&*self.inner.fs, &path, max).map_err(|error| told(location, error))?;
        bytes.map(Bytes::from).ok_or_else(|| missing(location))
    }

    /// A store in the same directory that syncs what it writes; `None` if this one does.
    pub(crate) fn synced(&self) -> Option<Self> {
        let Inner {
            fs,
            dir,
            durability,
            ..
        } = &*self.inner;
        (!durability.is_synced()).then(|| Self::new(Arc::clone(fs), dir, Durability::Synced))
    }

    /// Does something with the paths of the store's directory and of a location in it, off the asynchronous threads. Nothing is done if the directory is not there.
    pub(super) async fn on_disk<T: Default + Send + 'static>(
        &self,
        location: &Path,
        work: impl FnOnce(&dyn Fs, &FilePath, &FilePath) -> std::result::Result<T, FsError>
        + Send
        + 'static,
    ) -> Result<T> {
        let location = location.clone();
        self.run(move |inner| {
            let Some(root) = inner.existing()? else {
                return Ok(T::default());
            };
            let path = inner.file(&location)?;
            work(&*inner.fs, root.path(), &path).map_err(|error| told(&location, error))
        })
        .await
    }

    /// What is known of an object; asked on this thread.
    pub(crate) fn look(&self, location: &Path) -> Result<ObjectMeta> {
        let path = self.inner.file(location)?;
        match self.inner.fs.metadata(&path) {
            Ok(meta) if meta.is_file() => Ok(object_meta(location.clone(), &meta)),
            Ok(_) => Err(missing(location)),
            Err(e) => Err(told(
                location,
                FsError::not_applied("look", "look at the file", &path, e),
            )),
        }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        task::blocking(move || work(&inner))
            .await
            .map_err(generic)?
    }
}

impl Inner {
    /// The root, if the directory is there.
    pub(super) fn existing(&self) -> Result<Option<&Root>> {
        if let Some(root) = self.root.get() {
            return Ok(Some(root));
        }
        match Root::open(Arc::clone(&self.fs), &self.dir) {
            Ok(root) => Ok(Some(self.root.get_or_init(|| root))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(generic(error)),
        }
    }

    fn created(&self) -> Result<&Root> {
        if let Some(root) = self.existing()? {
            return Ok(root);
        }
        let root = Root::open_or_create(Arc::clone(&self.fs), &self.dir, self.durability)
            .map_err(generic)?;
        Ok(self.root.get_or_init(|| root))
    }

    /// The file of an object that should be there.
    pub(super) fn file(&self, location: &Path) -> Result<PathBuf> {
        let root = self.existing()?.ok_or_else(|| missing(location))?;
        root.resolve(&parts(location))
            .map_err(|error| told(location, error))
    }

    /// The file of an object that is to be written, its directory made.
    fn target(&self, location: &Path, again: bool) -> Result<PathBuf> {
        let root = self.created()?;
        let parts = parts(location);
        let (_, dirs) = parts
            .split_last()
            .ok_or_else(|| generic(io::Error::from(io::ErrorKind::InvalidInput)))?;
        let dir = root.join(dirs).map_err(|error| told(location, error))?;
        if again || !self.lock_ensured().contains(&dir) {
            root.ensure_dir(dirs, self.durability)
                .map_err(|error| told(location, error))?;
            self.lock_ensured().insert(dir);
        }
        root.join(&parts).map_err(|error| told(location, error))
    }

    fn lock_ensured(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.ensured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(
        &self,
        location: &Path,
        bytes: &[u8],
        mode: &PutMode,
        sync_before: bool,
    ) -> Result<()> {
        match self.put_once(location, bytes, mode, sync_before, false) {
            // Somebody removed the directory since this store made it.
            Err(object_store::Error::NotFound { .. }) => {
                self.put_once(location, bytes, mode, sync_before, true)
            }
            result => result,
        }
    }

    fn put_once(
        &self,
        location: &Path,
        bytes: &[u8],
        mode: &PutMode,
        sync_before: bool,
        again: bool,
    ) -> Result<()> {
        let path = self.target(location, again)?;
        let wrong = |error| told(location, error);
        if sync_before
            && self.durability.is_synced()
            && let Some(dir) = path.parent()
        {
            self.fs.sync_dir(dir).map_err(|e| {
                let lost = FsError::names("create", &path, e);
                wrong(FsError {
                    applied: Applied::No,
                    ..lost
                })
            })?;
        }
        match mode {
            PutMode::Overwrite => replace(&*self.fs, &path, bytes, self.durability).map_err(wrong),
            PutMode::Create => {
                match create_new(&*self.fs, &path, bytes, self.durability).map_err(wrong)? {
                    Created::Created => Ok(()),
                    Created::AlreadyExists => Err(object_store::Error::AlreadyExists {
                        path: location.to_string(),
                        source: "the name is taken".into(),
                    }),
                }
            }
            PutMode::Update(_) => Err(object_store::Error::NotSupported {
                source: "a local directory has no conditional update".into(),
            }),
        }
    }

    pub(super) fn open(&self, location: &Path) -> Result<(Box<dyn FsFile>, Metadata)> {
        let path = self.file(location)?;
        let fail = |step| {
            let path = path.clone();
            move |e| told(location, FsError::not_applied("read", step, &path, e))
        };
        let file = self.fs.open(&path, OpenMode::Read).map_err(fail("open"))?;
        let meta = file.metadata().map_err(fail("look at the file"))?;
        if !meta.is_file() {
            return Err(missing(location));
        }
        Ok((file, meta))
    }

    pub(super) fn read_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (file, meta) = self.open(location)?;
        ranges
            .iter()
            .map(|range| {
                if range.end > meta.len || range.start > range.end {
                    let text = format!("bytes {range:?} of {location}, which has {}", meta.len);
                    return Err(generic(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
                }
                read_at(&*file, location, range.clone())
            })
            .collect()
    }

    fn delete(&self, location: &Path, durability: Durability) -> Result<PathBuf> {
        let path = self.file(location)?;
        let root = self.existing()?.ok_or_else(|| missing(location))?;
        let removed = root
            .remove(&path, durability)
            .map_err(|error| told(location, error))?;
        if removed {
            Ok(path)
        } else {
            Err(missing(location))
        }
    }

    /// Deletes in order, and syncs each directory once at the end.
    pub(super) fn delete_all(&self, locations: Vec<Path>) -> Vec<Result<Path>> {
        let mut dirs = HashSet::new();
        let mut results = Vec::with_capacity(locations.len());
        for location in locations {
            results.push(self.delete(&location, Durability::Buffered).map(|path| {
                dirs.extend(path.parent().map(FilePath::to_owned));
                location
            }));
        }
        if self.durability.is_synced() {
            for dir in dirs {
                if let Err(error) = self.fs.sync_dir(&dir) {
                    results.push(Err(generic(FsError::names("remove", &dir, error))));
                }
            }
        }
        results
    }
}

impl fmt::Display for DurableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableStore({})", self.inner.dir.display())
    }
}

impl fmt::Debug for DurableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableStore")
            .field("fs", &self.inner.fs)
            .field("dir", &self.inner.dir)
            .field("durability", &self.inner.durability)
            .finish_non_exhaustive()
    }
}

pub(super) fn read_at(file: &dyn FsFile, location: &Path, range: Range<u64>) -> Result<Bytes> {
    let len = usize::try_from(range.end - range.start).map_err(generic)?;
    let mut buffer = vec![0; len];
    let done = file.read_full_at(&mut buffer, range.start).map_err(|e| {
        told(
            location,
            FsError::not_applied("read", "read", FilePath::new(location.as_ref()), e),
        )
    })?;
    if done < len {
        let text = format!("{location} ends {} bytes early", len - done);
        return Err(generic(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
    }
    Ok(Bytes::from(buffer))
}

pub(super) fn object_meta(location: Path, meta: &Metadata) -> ObjectMeta {
    ObjectMeta {
        location,
        last_modified: from_system(meta.modified),
        size: meta.len,
        e_tag: Some(format!(
            "{:x}-{:x}-{:x}",
            meta.id.inode, meta.changed_ns, meta.len
        )),
        version: None,
    }
}

fn parts(location: &Path) -> Vec<String> {
    location
        .parts()
        .map(|part| part.as_ref().to_owned())
        .collect()
}

pub(super) fn missing(location: &Path) -> object_store::Error {
    object_store::Error::NotFound {
        path: location.to_string(),
        source: io::Error::from(io::ErrorKind::NotFound).into(),
    }
}

pub(super) fn told(location: &Path, error: FsError) -> object_store::Error {
    let path = location.to_string();
    match error.kind() {
        io::ErrorKind::NotFound => object_store::Error::NotFound {
            path,
            source: error.into(),
        },
        io::ErrorKind::PermissionDenied => object_store::Error::PermissionDenied {
            path,
            source: error.into(),
        },
        io::ErrorKind::Unsupported => object_store::Error::NotSupported {
            source: error.into(),
        },
        _ => generic(error),
    }
}

pub(super) fn generic(
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> object_store::Error {
    object_store::Error::Generic {
        store: "DurableStore",
        source: source.into(),
    }
}
