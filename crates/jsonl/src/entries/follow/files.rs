//! The files of a series that is followed, and what tells them apart.

use std::io;
use std::sync::Arc;

use minutebook_core::SeriesId;
use minutebook_fs::{FileId, FsError, FsFile};

use crate::error::JsonlError;
use crate::segments::{SealedFile, View};
use crate::store::{Series, Store};

/// So many bytes of its first line tell a file from another one.
const MARK_BYTES: usize = 256;
/// One file of the series, not opened yet if it is sealed.
pub(super) enum File {
    Sealed(u64),
    Open(u64, Arc<dyn FsFile>, bool),
}

impl File {
    pub(super) fn number(&self) -> u64 {
        match self {
            Self::Sealed(number) | Self::Open(number, ..) => *number,
        }
    }
}

/// The files of a series in order.
pub(super) fn files(view: &View) -> Vec<File> {
    let mut files = Vec::new();
    let mut next = 1;
    if let Some(manifest) = &view.manifest {
        files.extend(
            manifest
                .segments
                .iter()
                .map(|entry| File::Sealed(entry.number)),
        );
        next = manifest.next;
        if let Some(raw) = &view.raw {
            files.push(File::Open(next, Arc::clone(raw), false));
            next += 1;
        }
    }
    if let Some(live) = &view.live {
        files.push(File::Open(next, Arc::clone(live), true));
    }
    files
}

pub(super) fn open_file(
    store: &Store,
    series: &Series,
    file: &File,
) -> Result<Arc<dyn FsFile>, JsonlError> {
    match file {
        File::Open(_, file, _) => Ok(Arc::clone(file)),
        File::Sealed(number) => {
            let path = series.sealed.sealed(*number);
            let file = SealedFile::open(&*store.config.fs, &path)?.ok_or(JsonlError::Moved)?;
            file.is_not_another(*number)?;
            Ok(Arc::new(file))
        }
    }
}

/// Which file the plain file is, and how long; `None` if there is none.
pub(super) fn look(store: &Store, id: &SeriesId) -> Result<Option<(FileId, u64)>, JsonlError> {
    let series = store.series(id)?;
    match store.config.fs.identify(&series.data) {
        Ok(found) => Ok(Some((found.id, found.len))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(FsError::not_applied("read", "look at the file", &series.data, error).into())
        }
    }
}

/// A checksum of the begin of a file's first line. Lines never change, so neither does it.
pub(super) fn mark(file: &dyn FsFile) -> Result<u32, JsonlError> {
    let mut bytes = vec![0; MARK_BYTES];
    let read = file.read_full_at(&mut bytes, 0).map_err(JsonlError::Read)?;
    let bytes = bytes.get(..read).unwrap_or_default();
    let line = memchr::memchr(b'\n', bytes).map_or(bytes, |end| bytes.get(..end).unwrap_or(bytes));
    // 0 is kept for "not known yet".
    Ok(crc32fast::hash(line).max(1))
}
