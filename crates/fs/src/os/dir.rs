//! A directory that is held open, found without following a link.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fsync, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::fs::{FileKind, FsDir, not_a_dir, plain_names};

/// One component at a time, so that it is the same on every Unix; names without `..` can only lead down.
pub(super) fn open_below(root: &Path, below: &Path) -> io::Result<Box<dyn FsDir>> {
    let mut path = PathBuf::new();
    let mut held = None::<OwnedFd>;
    for name in std::iter::once(root.as_os_str()).chain(plain_names(below)?) {
        path.push(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match &held {
            None => openat(CWD, name, flags, Mode::empty()),
            Some(parent) => openat(parent, name, flags, Mode::empty()),
        };
        held = Some(opened.map_err(|error| match error {
            // Which of them a link gives differs by system.
            Errno::NOTDIR | Errno::LOOP | Errno::MLINK => not_a_dir(&path),
            error => error.into(),
        })?);
    }
    match held {
        Some(dir) => Ok(Box::new(OsDir(dir))),
        None => Err(not_a_dir(root)),
    }
}

#[derive(Debug)]
struct OsDir(OwnedFd);

impl FsDir for OsDir {
    fn kind(&self, name: &OsStr) -> io::Result<FileKind> {
        let found = statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Dir,
            FileType::Symlink => FileKind::Symlink,
            _ => FileKind::Other,
        })
    }

    fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }

    fn remove_dir(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.0)?)
    }
}
