//! The bare operations that the system offers: what any store needs at least.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Result;

/// The size of the blocks in which long files are read and written.
const BLOCK: usize = 256 << 10;

/// Opens, reads and closes a file; the buffer is reused.
pub(crate) fn read_file(path: &Path, buffer: &mut Vec<u8>) -> Result<usize> {
    buffer.clear();
    Ok(File::open(path)?.read_to_end(buffer)?)
}

/// Reads a file to its end through a small reused buffer.
pub(crate) fn read_through(path: &Path) -> Result<u64> {
    let mut buffer = vec![0; BLOCK];
    let mut file = File::open(path)?;
    let mut total = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(total),
            some => total += some as u64,
        }
    }
}

/// Makes a new file of these bytes; synced if asked.
pub(crate) fn write_file(path: &Path, bytes: &[u8], sync: bool) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all(bytes)?;
    if sync {
        file.sync_all()?;
    }
    Ok(())
}

/// Replaces a file in one step: temporary file, rename; with both syncs if asked.
pub(crate) fn replace_file(directory: &Path, name: &str, bytes: &[u8], sync: bool) -> Result<()> {
    let temporary = directory.join("t.tmp");
    write_file(&temporary, bytes, sync)?;
    std::fs::rename(&temporary, directory.join(name))?;
    if sync {
        sync_dir(directory)?;
    }
    Ok(())
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(directory: &Path) -> Result<()> {
    Ok(File::open(directory)?.sync_all()?)
}

/// A file that is kept open for appending.
pub(crate) fn appendable(path: &Path) -> Result<File> {
    Ok(OpenOptions::new().append(true).create(true).open(path)?)
}

/// Lists a directory and counts the entries.
pub(crate) fn list(directory: &Path) -> Result<usize> {
    let mut entries = 0;
    for entry in std::fs::read_dir(directory)? {
        entry?;
        entries += 1;
    }
    Ok(entries)
}

/// Copies bytes into fresh memory, as a decoder has to fill its result.
pub(crate) fn fill(bytes: usize) -> Vec<u8> {
    static SOURCE: [u8; 1 << 16] = [7; 1 << 16];
    let mut out = Vec::with_capacity(bytes);
    while out.len() < bytes {
        let part = SOURCE.len().min(bytes - out.len());
        out.extend_from_slice(&SOURCE[..part]);
    }
    out
}
