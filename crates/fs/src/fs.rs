//! The file system as a trait: the small set of operations on which everything durable is built.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::watch::DirWatch;

mod types;

pub use types::{
    DirEntry, FileId, FileKind, Identity, Locality, LockGuard, LockMode, LockWait, Metadata,
    OpenMode,
};

/// The step name of every error that comes from taking a lock.
pub(crate) const LOCK_STEP: &str = "lock";

/// A file system: [`OsFs`](crate::OsFs), [`SimFs`](crate::SimFs), or a wrapper around one of them.
///
/// # Behavior
///
/// - Paths are passed as they are: this trait checks nothing about them. Build them with [`Root`](crate::Root).
/// - No method follows a symbolic link in the last component of a path, except [`sync_dir`](Fs::sync_dir),
///   [`canonicalize`](Fs::canonicalize) and the directory of [`visit_dir`](Fs::visit_dir).
/// - Files are created with mode 0600 and directories with 0700 where the platform has modes.
/// - Nothing is durable before the file was synced (its content) and its directory was synced (its name).
pub trait Fs: Debug + Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn FsFile>>;

    /// Makes a file without a name, for reading and appending, in the file system of a directory. It gets its name from
    /// [`FsFile::link_to`], or is gone when it is closed. `Unsupported` where the platform or the file system has no such files.
    fn open_unnamed(&self, dir: &Path) -> io::Result<Box<dyn FsFile>> {
        let _ = dir;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives a file another name in one step; what had that name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// As [`rename`](Fs::rename), but fails with `AlreadyExists` if `to` exists, in one step. `Unsupported` where the
    /// platform or the file system has no such call.
    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name; fails with `AlreadyExists` if `to` exists.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory; fails with `AlreadyExists` if the name is taken.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Opens a directory below another, to remove files from it. No symbolic link is followed, neither in the last component of `root`
    /// nor in any component of `below`, which is relative and free of `..`; an empty one is `root` itself.
    ///
    /// On Unix the directory is held open, component by component: whoever replaces one of them by a link meanwhile makes this call
    /// fail, or changes nothing about what it returned. This default, for file systems without links and for platforms without
    /// such calls, looks at each component and then goes by the path.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `below` is not made of plain names; `NotADirectory` if a component is a link or no directory.
    fn open_dir_below(&self, root: &Path, below: &Path) -> io::Result<Box<dyn FsDir + '_>> {
        let mut path = root.to_owned();
        let mut found = self.metadata(&path)?;
        for name in plain_names(below)? {
            if !found.is_dir() {
                break;
            }
            path.push(name);
            found = self.metadata(&path)?;
        }
        if found.is_dir() {
            Ok(Box::new(ByPath { fs: self, path }))
        } else {
            Err(not_a_dir(&path))
        }
    }

    /// Makes the names in a directory durable: files created, renamed, linked and removed there so far.
    ///
    /// On Windows this does nothing: the platform offers no such call.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes everything durable that was written to the file system of this directory, by whomever: one call in place of one
    /// per file. `Unsupported` where the platform has no such call.
    ///
    /// # Errors
    ///
    /// As [`sync_dir`](Fs::sync_dir); also for what other programs wrote.
    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Calls `visit` with each entry of a directory, in no order, until it returns `false`. Needs no call per entry
    /// and no memory for the whole listing.
    fn visit_dir(&self, path: &Path, visit: &mut dyn FnMut(DirEntry) -> bool) -> io::Result<()>;

    /// The entries of a directory, in no order.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        self.visit_dir(path, &mut |entry| {
            entries.push(entry);
            true
        })?;
        Ok(entries)
    }

    /// What is known about the entry at `path` itself; a symbolic link is not followed.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;

    /// Which file `path` is, of what kind and length: [`metadata`](Fs::metadata) without times. A symbolic link is not
    /// followed.
    ///
    /// Asking for the times of a file makes its next write slower on Linux, which then gives it finer times; who only
    /// wants to know whether a file was replaced or has grown asks this.
    fn identify(&self, path: &Path) -> io::Result<Identity> {
        self.metadata(path).map(|m| Identity {
            kind: m.kind,
            len: m.len,
            id: m.id,
        })
    }

    /// The absolute path without symbolic links. It must exist.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;

    /// Whether `path` lies on a disk of this machine. Locks and syncs of network file systems promise less.
    fn locality(&self, path: &Path) -> io::Result<Locality>;

    /// Watches a directory from now on. `Unsupported` where the platform or the file system does not tell of every change; other
    /// errors where it has no watch left to give.
    fn watch_dir(&self, path: &Path) -> io::Result<Box<dyn DirWatch>> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// A name for a temporary file that no other call, in this or another process, returns: see
    /// [`is_temporary`](crate::is_temporary).
    fn temp_name(&self) -> String;

    /// Takes an advisory lock on a lock file of its own, which is created if absent and must never be renamed or
    /// removed. It is released when the guard is dropped or the process dies.
    ///
    /// Fails with `WouldBlock` (for [`LockWait::Try`]) or `TimedOut` if another holds it. Two locks of the same file
    /// exclude each other in one process too.
    fn lock(&self, path: &Path, mode: LockMode, wait: LockWait) -> io::Result<LockGuard> {
        let file = self.open(path, OpenMode::Lock)?;
        file.lock(mode, wait)?;
        Ok(LockGuard { file })
    }
}

/// A directory that is held: what is done goes to it, whatever became of the path that led to it.
pub trait FsDir: Debug {
    /// What the entry of this name is; a symbolic link is not followed.
    fn kind(&self, name: &OsStr) -> io::Result<FileKind>;

    /// Removes a file or a link itself.
    fn remove_file(&self, name: &OsStr) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, name: &OsStr) -> io::Result<()>;

    /// As [`Fs::sync_dir`].
    fn sync(&self) -> io::Result<()>;
}

/// A directory by its path.
#[derive(Debug)]
struct ByPath<'a, F: ?Sized> {
    fs: &'a F,
    path: PathBuf,
}

impl<F: Fs + ?Sized> FsDir for ByPath<'_, F> {
    fn kind(&self, name: &OsStr) -> io::Result<FileKind> {
        self.fs.metadata(&self.path.join(name)).map(|m| m.kind)
    }

    fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        self.fs.remove_file(&self.path.join(name))
    }

    fn remove_dir(&self, name: &OsStr) -> io::Result<()> {
        self.fs.remove_dir(&self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.fs.sync_dir(&self.path)
    }
}

/// The components of a relative path that goes down only.
pub(crate) fn plain_names(below: &Path) -> io::Result<Vec<&OsStr>> {
    let name = |component| {
        if let Component::Normal(name) = component {
            return Ok(name);
        }
        let text = format!("{} does not lead down only", below.display());
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    };
    below.components().map(name).collect()
}

pub(crate) fn not_a_dir(path: &Path) -> io::Error {
    let text = format!(
        "{} is no directory; a symbolic link is not followed here",
        path.display()
    );
    io::Error::new(io::ErrorKind::NotADirectory, text)
}

/// An open file.
///
/// All methods take `&self`: a file may be synced by one thread while another appends to it.
pub trait FsFile: Debug + Send + Sync + 'static {
    /// Reads at an offset; 0 at the end of the file. May return less than asked for.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Appends with one single write call and returns how many bytes it took, which may be fewer than asked for.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes at an offset with one single write call and returns how many bytes it took. Only for files that were opened with
    /// [`OpenMode::Write`]; `Unsupported` where the platform has no such call.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let _ = (bytes, offset);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives a file that has [no name](Fs::open_unnamed) one, in the directory that it was made for; fails with `AlreadyExists` if the name is
    /// taken, in one step.
    fn link_to(&self, path: &Path) -> io::Result<()> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes content and length durable.
    ///
    /// After an error the content written since the last success may be gone, and a repeated call may report success
    /// nevertheless: never repeat it.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes content, length and attributes durable. After an error, as [`sync_data`](FsFile::sync_data).
    fn sync_all(&self) -> io::Result<()>;

    /// Begins to write out `len` bytes from `offset` on, and does not wait for it, so that a [`sync_data`](FsFile::sync_data) that is to come finds less
    /// to do. It promises nothing: what fails of it, that sync tells. Nothing where the platform has no such call.
    fn write_out(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// What is known about the open file.
    fn metadata(&self) -> io::Result<Metadata>;

    /// Sets the permission bits; nothing where the platform has none.
    fn set_mode(&self, mode: u32) -> io::Result<()>;

    /// Sets when the content was last modified. `Unsupported` where the platform has no such call.
    fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        let _ = time;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes an advisory lock, which belongs to this open file: a second one of the same file excludes it.
    ///
    /// Fails with `WouldBlock` or `TimedOut` if another holds it.
    fn lock(&self, mode: LockMode, wait: LockWait) -> io::Result<()>;

    /// Releases the lock.
    fn unlock(&self) -> io::Result<()>;

    /// The length in bytes.
    fn len(&self) -> io::Result<u64> {
        self.metadata().map(|m| m.len)
    }

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Appends everything, in as many calls as it takes: only for files that no other program writes.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.append(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes everything at an offset, in as many calls as it takes.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            match self.write_at(rest, offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Fills `buf` from `offset` as far as the file reaches and returns how many bytes that were.
    fn read_full_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }
}

impl<T: Fs + ?Sized> Fs for Arc<T> {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn FsFile>> {
        (**self).open(path, mode)
    }
    fn open_unnamed(&self, dir: &Path) -> io::Result<Box<dyn FsFile>> {
        (**self).open_unnamed(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (**self).rename(from, to)
    }
    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        (**self).rename_no_replace(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        (**self).hard_link(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        (**self).remove_file(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        (**self).create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        (**self).remove_dir(path)
    }
    fn open_dir_below(&self, root: &Path, below: &Path) -> io::Result<Box<dyn FsDir + '_>> {
        (**self).open_dir_below(root, below)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        (**self).sync_dir(path)
    }
    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        (**self).sync_file_system(path)
    }
    fn visit_dir(&self, path: &Path, visit: &mut dyn FnMut(DirEntry) -> bool) -> io::Result<()> {
        (**self).visit_dir(path, visit)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        (**self).read_dir(path)
    }
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        (**self).metadata(path)
    }
    fn identify(&self, path: &Path) -> io::Result<Identity> {
        (**self).identify(path)
    }
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        (**self).canonicalize(path)
    }
    fn locality(&self, path: &Path) -> io::Result<Locality> {
        (**self).locality(path)
    }
    fn watch_dir(&self, path: &Path) -> io::Result<Box<dyn DirWatch>> {
        (**self).watch_dir(path)
    }
    fn temp_name(&self) -> String {
        (**self).temp_name()
    }
    fn lock(&self, path: &Path, mode: LockMode, wait: LockWait) -> io::Result<LockGuard> {
        (**self).lock(path, mode, wait)
    }
}
