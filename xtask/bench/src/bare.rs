//! The bare operations that the system offers: what any store needs at least.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Result, anyhow};
use minutebook_fs::task::parallelism;
use minutebook_fs::{Fs as _, OsFs};

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

/// Makes a new file that nobody sees in part: written without a name, then given one.
pub(crate) fn create_file(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let file = OsFs.open_unnamed(directory)?;
    file.write_all(bytes)?;
    Ok(file.link_to(&directory.join(name))?)
}

/// Makes new files of these texts, named by their places from `first` on, by one thread for each processor.
pub(crate) fn create_files(directory: &Path, first: usize, texts: &[&str]) -> Result<()> {
    let each = texts.len().div_ceil(parallelism()).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = texts
            .chunks(each)
            .enumerate()
            .map(|(part, texts)| {
                scope.spawn(move || {
                    for (i, text) in texts.iter().enumerate() {
                        let name = format!("{}.json", first + part * each + i);
                        create_file(directory, &name, text.as_bytes())?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        }
        Ok(())
    })
}

/// A file with room that is written over, line behind line, and synced each time.
#[derive(Debug)]
pub(crate) struct Room {
    file: File,
    at: u64,
}

impl Room {
    const BYTES: u64 = 1 << 20;

    pub(crate) fn new(path: &Path) -> Result<Self> {
        write_file(path, &fill(1 << 20), true)?;
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(Self { file, at: 0 })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.at + bytes.len() as u64 > Self::BYTES {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(self.file.sync_data()?)
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(directory: &Path) -> Result<()> {
    Ok(File::open(directory)?.sync_all()?)
}

/// Has everything written out that was written to the file system of this directory.
pub(crate) fn settle(directory: &Path) -> Result<()> {
    Ok(OsFs.sync_file_system(directory)?)
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
