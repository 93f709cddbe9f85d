//! A directory tree that no path leaves.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::atomic::create_dir_all;
use crate::durability::Durability;
use crate::error::FsError;
use crate::fs::{FileId, FileKind, Fs, Locality};
use crate::names::{MAX_LEN, NameError};

/// A directory, all of whose paths are made from checked components.
///
/// [`join`](Root::join) refuses components that could lead elsewhere (separators, `.`, `..`, NUL, nothing).
/// [`resolve`](Root::resolve) and [`ensure_dir`](Root::ensure_dir) refuse sub-directories that are symbolic links
/// leading out of the root as well. Whoever can replace directories of the tree by links while a call runs can deceive
/// these checks: the tree belongs to the user who runs the program (mode 0700). [`remove`](Root::remove) is not deceived.
///
/// ```
/// use std::sync::Arc;
/// use minutebook_fs::{Durability, OsFs, Root};
/// # let dir = tempfile::tempdir()?;
/// let root = Root::open_or_create(Arc::new(OsFs), &dir.path().join("store"), Durability::Synced)?;
/// assert!(root.join(&["decisions", "2026-01-05_a.json"])?.ends_with("store/decisions/2026-01-05_a.json"));
/// assert!(root.join(&["..", "passwd"]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Root {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    locality: Locality,
    /// Directories below the root whose names are known to be durable.
    durable: Arc<Mutex<HashMap<PathBuf, FileId>>>,
}

impl Root {
    /// Opens a directory; creates it and its parents if absent.
    pub fn open_or_create(
        fs: Arc<dyn Fs>,
        dir: &Path,
        durability: Durability,
    ) -> Result<Self, FsError> {
        create_dir_all(&*fs, dir, durability)?;
        Self::open(fs, dir)
    }

    /// Opens an existing directory. The path is made absolute and free of symbolic links once, here.
    ///
    /// A network file system is logged as a warning: see [`locality`](Root::locality).
    pub fn open(fs: Arc<dyn Fs>, dir: &Path) -> Result<Self, FsError> {
        const OP: &str = "open directory";
        let path = fs
            .canonicalize(dir)
            .map_err(|e| FsError::not_applied(OP, "find it", dir, e))?;
        let meta = fs
            .metadata(&path)
            .map_err(|e| FsError::not_applied(OP, "look at it", dir, e))?;
        if !meta.is_dir() {
            let error = io::Error::new(io::ErrorKind::NotADirectory, "is not a directory");
            return Err(FsError::not_applied(OP, "look at it", dir, error));
        }
        let locality = fs.locality(&path).unwrap_or(Locality::Unknown);
        if let Locality::Network(name) = locality {
            tracing::warn!(path = %path.display(), file_system = name, "locks and durability are not promised on a network file system");
        }
        Ok(Self {
            fs,
            path,
            locality,
            durable: Arc::default(),
        })
    }

    /// The directory: absolute, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file system.
    pub fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    /// Whether the directory is on this machine; network file systems may break the promises.
    pub fn locality(&self) -> Locality {
        self.locality
    }

    /// A path below the root. Touches no disk.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, with a [`NameError`] as its source, for a component that is empty, `.` or `..`, longer than 255
    /// bytes, or contains `/`, `\` or NUL.
    pub fn join<S: AsRef<OsStr>>(&self, components: &[S]) -> Result<PathBuf, FsError> {
        let mut path = self.path.clone();
        for component in components {
            let component = component.as_ref();
            check_component(component).map_err(|e| {
                let source = io::Error::new(io::ErrorKind::InvalidInput, e);
                FsError::not_applied("join", "check the name", &self.path, source)
            })?;
            path.push(component);
        }
        Ok(path)
    }

    /// As [`join`](Root::join), and looks at the directories on the way: a symbolic link among them must not leave the
    /// root. The last component is not looked at; no function of this crate follows it.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` for a link that leaves the root. Directories that do not exist yet are no error.
    pub fn resolve<S: AsRef<OsStr>>(&self, components: &[S]) -> Result<PathBuf, FsError> {
        let path = self.join(components)?;
        let dirs = components.len().saturating_sub(1);
        self.check_dirs(components.get(..dirs).unwrap_or_default(), "resolve")?;
        Ok(path)
    }

    /// Creates a directory below the root, with those on the way to it, and returns its path.
    ///
    /// Under [`Durability::Synced`] all their names are durable afterwards, whoever created them.
    pub fn ensure_dir<S: AsRef<OsStr>>(
        &self,
        components: &[S],
        durability: Durability,
    ) -> Result<PathBuf, FsError> {
        const OP: &str = "create directory";
        let path = self.join(components)?;
        let mut dir = self.path.clone();
        for (i, component) in components.iter().enumerate() {
            dir.push(component.as_ref());
            let created = match self.fs.create_dir(&dir) {
                Ok(()) => true,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
                // A read-only disk refuses before it looks; the directory may be there.
                Err(e) => match self.fs.metadata(&dir) {
                    Ok(m) if m.is_dir() => false,
                    _ => return Err(FsError::not_applied(OP, "create", &dir, e)),
                },
            };
            if !created {
                self.check_dirs(components.get(..=i).unwrap_or_default(), OP)?;
            }
            if durability.is_synced() {
                self.make_durable(&dir, created)?;
            }
        }
        Ok(path)
    }

    /// Removes a file below the root; `false` if there was none. As [`resolve`](Root::resolve) it follows links to directories in the
    /// root, but it cannot be deceived: what it found is gone through again without following any
    /// ([`remove_below`](crate::remove_below)), so that nothing outside is removed, whatever is replaced by a link meanwhile.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a path that is not below the root, or no regular file; `PermissionDenied` for a link that leaves the root;
    /// `NotADirectory` for one that was put there while this ran.
    pub fn remove(&self, path: &Path, durability: Durability) -> Result<bool, FsError> {
        const OP: &str = "remove";
        match self.below(path) {
            Ok(below) => crate::remove_below(&*self.fs, &self.path, &below, durability),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(FsError::not_applied(OP, "find the directory", path, e)),
        }
    }

    /// Removes an empty directory below the root, with links treated as by [`remove`](Root::remove).
    ///
    /// # Errors
    ///
    /// As `remove`; `NotFound`; `DirectoryNotEmpty`.
    pub fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let below = self.below(path)?;
        match (below.parent(), below.file_name()) {
            (Some(parent), Some(name)) => {
                let dir = self.fs.open_dir_below(&self.path, parent)?;
                dir.remove_dir(name)
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The path relative to the root, with the links on the way to it followed.
    fn below(&self, path: &Path) -> io::Result<PathBuf> {
        let invalid = || {
            let text = "is not below the root";
            io::Error::new(io::ErrorKind::InvalidInput, text)
        };
        path.strip_prefix(&self.path).map_err(|_| invalid())?;
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(invalid());
        };
        let dir = self.fs.canonicalize(dir)?;
        let below = dir.strip_prefix(&self.path).map_err(|_| {
            let text = "a symbolic link on the way leaves the root";
            io::Error::new(io::ErrorKind::PermissionDenied, text)
        })?;
        Ok(below.join(name))
    }

    /// A sub-directory as a root of its own; it must exist.
    pub fn subdir<S: AsRef<OsStr>>(&self, components: &[S]) -> Result<Self, FsError> {
        let path = self.join(components)?;
        self.check_dirs(components, "open directory")?;
        Self::open(Arc::clone(&self.fs), &path)
    }

    /// Syncs the parent of `dir`, unless this root did so since the directory exists.
    fn make_durable(&self, dir: &Path, created: bool) -> Result<(), FsError> {
        const OP: &str = "create directory";
        let step = |e| FsError::unknown(OP, "look at it", dir, e);
        let id = self.fs.metadata(dir).map_err(step)?.id;
        let known = self
            .durable
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(dir)
            == Some(&id);
        if created || !known {
            self.fs
                .sync_dir(dir.parent().unwrap_or(dir))
                .map_err(|e| FsError::names(OP, dir, e))?;
            self.durable
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(dir.to_owned(), id);
        }
        Ok(())
    }

    fn check_dirs<S: AsRef<OsStr>>(
        &self,
        components: &[S],
        op: &'static str,
    ) -> Result<(), FsError> {
        let mut dir = self.path.clone();
        for component in components {
            dir.push(component.as_ref());
            let refuse = |e| FsError::not_applied(op, "look at it", &dir, e);
            match self.fs.metadata(&dir) {
                Ok(m) if m.is_dir() => {}
                Ok(m) if m.kind == FileKind::Symlink => {
                    let target = self.fs.canonicalize(&dir).map_err(refuse)?;
                    if !target.starts_with(&self.path) {
                        let text = "is a symbolic link that leaves the root";
                        return Err(refuse(io::Error::new(
                            io::ErrorKind::PermissionDenied,
                            text,
                        )));
                    }
                    if !self.fs.metadata(&target).map_err(refuse)?.is_dir() {
                        return Err(refuse(io::Error::new(
                            io::ErrorKind::NotADirectory,
                            "is not a directory",
                        )));
                    }
                }
                Ok(_) => {
                    return Err(refuse(io::Error::new(
                        io::ErrorKind::NotADirectory,
                        "is not a directory",
                    )));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(e) => return Err(refuse(e)),
            }
        }
        Ok(())
    }
}

fn check_component(component: &OsStr) -> Result<(), NameError> {
    let bytes = component.as_encoded_bytes();
    if bytes.len() > MAX_LEN {
        return Err(NameError::TooLong { len: bytes.len() });
    }
    let reason = if bytes.is_empty() {
        "it is empty"
    } else if bytes == b"." || bytes == b".." {
        "it is no name"
    } else if bytes.iter().any(|b| matches!(b, b'/' | b'\\')) {
        "it has a separator"
    } else if bytes.contains(&0) {
        "it has a NUL"
    } else if cfg!(windows) && bytes.contains(&b':') {
        "it has a colon"
    } else {
        return Ok(());
    };
    Err(NameError::Component {
        component: component.to_string_lossy().into_owned(),
        reason,
    })
}
