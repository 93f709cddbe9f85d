//! Reading a whole file.

use std::io;
use std::path::Path;

use super::not_a_file;
use crate::error::FsError;
use crate::fs::{Fs, FsFile, Metadata, OpenMode};

/// Reads a whole file; `None` if there is none.
///
/// # Errors
///
/// `FileTooLarge` above `max_bytes`, before more than that was read; an error for a symbolic link, a directory or a
/// pipe; any I/O error.
pub fn read(fs: &dyn Fs, path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>, FsError> {
    const OP: &str = "read";
    let file = match fs.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(FsError::not_applied(OP, "open", path, e)),
    };
    read_open(&*file, max_bytes)
        .map(|(bytes, _)| Some(bytes))
        .map_err(|e| FsError::not_applied(OP, "read", path, e))
}

/// As [`read`], and says how the file looked all the while; `None` also if it changed meanwhile.
///
/// # Errors
///
/// As [`read`].
pub fn read_seen(
    fs: &dyn Fs,
    path: &Path,
    max_bytes: u64,
) -> Result<Option<(Vec<u8>, Metadata)>, FsError> {
    const OP: &str = "read";
    let step = |step| move |e| FsError::not_applied(OP, step, path, e);
    let file = match fs.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(step("open")(e)),
    };
    let (bytes, before) = read_open(&*file, max_bytes).map_err(step("read"))?;
    let after = file.metadata().map_err(step("look at the file"))?;
    let same = (before.len, before.modified, before.changed_ns)
        == (after.len, after.modified, after.changed_ns);
    Ok(same.then_some((bytes, after)))
}

fn read_open(file: &dyn FsFile, max_bytes: u64) -> io::Result<(Vec<u8>, Metadata)> {
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(not_a_file(meta.kind));
    }
    let too_large = |len: u64| {
        io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{len} bytes, the limit is {max_bytes}"),
        )
    };
    if meta.len > max_bytes {
        return Err(too_large(meta.len));
    }
    let expected = usize::try_from(meta.len).map_err(|_| too_large(meta.len))?;
    // One byte more than expected: if it stays unread the file ended where it should, which saves a call.
    let mut bytes = vec![0; expected + 1];
    let mut done = 0;
    loop {
        let n = file.read_full_at(bytes.get_mut(done..).unwrap_or_default(), done as u64)?;
        done += n;
        if done as u64 > max_bytes {
            return Err(too_large(done as u64));
        }
        if done < bytes.len() {
            bytes.truncate(done);
            return Ok((bytes, meta));
        }
        bytes.resize(bytes.len() * 2, 0); // it grows while it is read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Durability, OsFs, replace};

    #[test]
    fn what_is_read_is_told_with_its_look() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        assert!(read_seen(&OsFs, &path, 10).unwrap().is_none());
        replace(&OsFs, &path, b"{}", Durability::Buffered).unwrap();
        let (bytes, seen) = read_seen(&OsFs, &path, 10).unwrap().unwrap();
        assert_eq!((&*bytes, seen), (&b"{}"[..], OsFs.metadata(&path).unwrap()));
        let error = read_seen(&OsFs, &path, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
