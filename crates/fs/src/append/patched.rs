//! A log on a medium that cannot be written, shown with what it lost in a power cut.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ring::Copy;
use crate::fs::{
    DirEntry, Fs, FsDir, FsFile, Identity, Locality, LockGuard, LockMode, LockWait, Metadata,
    OpenMode,
};
use crate::watch::DirWatch;

/// A file system in which one file has what a [`Copy`] has of it.
#[derive(Debug)]
pub(super) struct Patched {
    pub(super) inner: Arc<dyn Fs>,
    pub(super) path: PathBuf,
    pub(super) copy: Arc<Copy>,
}

impl Patched {
    /// Whether the file at this path is the one that lacks something.
    fn is_it(&self, path: &Path) -> io::Result<bool> {
        Ok(path == self.path && self.copy.is_lacked(&*self.inner, path)?)
    }
}

impl Fs for Patched {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn FsFile>> {
        let file = self.inner.open(path, mode)?;
        if mode == OpenMode::Read && self.is_it(path)? {
            let copy = Arc::clone(&self.copy);
            return Ok(Box::new(PatchedFile { file, copy }));
        }
        Ok(file)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let found = self.inner.metadata(path)?;
        let len = if self.is_it(path)? {
            found.len.max(self.copy.end())
        } else {
            found.len
        };
        Ok(Metadata { len, ..found })
    }

    fn identify(&self, path: &Path) -> io::Result<Identity> {
        let found = self.inner.identify(path)?;
        let len = if self.is_it(path)? {
            found.len.max(self.copy.end())
        } else {
            found.len
        };
        Ok(Identity { len, ..found })
    }

    fn open_unnamed(&self, dir: &Path) -> io::Result<Box<dyn FsFile>> {
        self.inner.open_unnamed(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename_no_replace(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.hard_link(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir(path)
    }
    fn open_dir_below(&self, root: &Path, below: &Path) -> io::Result<Box<dyn FsDir + '_>> {
        self.inner.open_dir_below(root, below)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_dir(path)
    }
    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_file_system(path)
    }
    fn visit_dir(&self, path: &Path, visit: &mut dyn FnMut(DirEntry) -> bool) -> io::Result<()> {
        self.inner.visit_dir(path, visit)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.read_dir(path)
    }
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.canonicalize(path)
    }
    fn locality(&self, path: &Path) -> io::Result<Locality> {
        self.inner.locality(path)
    }
    fn watch_dir(&self, path: &Path) -> io::Result<Box<dyn DirWatch>> {
        self.inner.watch_dir(path)
    }
    fn temp_name(&self) -> String {
        self.inner.temp_name()
    }
    fn lock(&self, path: &Path, mode: LockMode, wait: LockWait) -> io::Result<LockGuard> {
        self.inner.lock(path, mode, wait)
    }
}

#[derive(Debug)]
struct PatchedFile {
    file: Box<dyn FsFile>,
    copy: Arc<Copy>,
}

impl FsFile for PatchedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = self.copy.offset();
        if offset >= start && offset < self.copy.end() {
            let from = usize::try_from(offset - start).unwrap_or(usize::MAX);
            let rest = self.copy.bytes().get(from..).unwrap_or_default();
            let n = rest.len().min(buf.len());
            if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
                to.copy_from_slice(from);
            }
            return Ok(n);
        }
        let room = if offset < start {
            usize::try_from(start - offset).unwrap_or(usize::MAX)
        } else {
            usize::MAX
        };
        let room = room.min(buf.len());
        self.file
            .read_at(buf.get_mut(..room).unwrap_or_default(), offset)
    }

    fn metadata(&self) -> io::Result<Metadata> {
        let found = self.file.metadata()?;
        Ok(Metadata {
            len: found.len.max(self.copy.end()),
            ..found
        })
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.file.set_mode(mode)
    }
    fn lock(&self, mode: LockMode, wait: LockWait) -> io::Result<()> {
        self.file.lock(mode, wait)
    }
    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}
