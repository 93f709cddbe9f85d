//! Reading a whole file.

use std::io;
use std::path::Path;

use super::not_a_file;
use crate::error::FsError;
use crate::fs::{Fs, FsFile, OpenMode};

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
        .map(Some)
        .map_err(|e| FsError::not_applied(OP, "read", path, e))
}

fn read_open(file: &dyn FsFile, max_bytes: u64) -> io::Result<Vec<u8>> {
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
            return Ok(bytes);
        }
        bytes.resize(bytes.len() * 2, 0); // it grows while it is read
    }
}
