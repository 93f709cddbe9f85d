//! Temporary files: named so that they are recognised, locked so that a left-over is told from one in use.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::FsError;
use crate::fs::{FileKind, Fs, FsFile, LockMode, LockWait, OpenMode};

const PREFIX: &str = ".minutebook-";
const SUFFIX: &str = ".tmp";

/// Attempts to get a temporary file; more than one is needed only if a clean-up looked at the file in the instant
/// between its creation and its lock.
const ATTEMPTS: usize = 16;

/// Longer than a writer takes, on a busy machine too, from making its file to locking it.
const MOMENT: Duration = Duration::from_millis(20);

pub(crate) fn format_temp_name(process: u32, nonce: u64, counter: u64) -> String {
    format!("{PREFIX}{process:x}-{nonce:016x}-{counter:x}{SUFFIX}")
}

/// Whether a file name is that of one of our temporary files: `.minutebook-<process>-<nonce>-<counter>.tmp`, all in
/// hexadecimal digits.
///
/// Whoever lists a directory leaves such files alone: they come and go at any time.
///
/// ```
/// use minutebook_fs::{Fs, OsFs, is_temporary};
/// assert!(is_temporary(&OsFs.temp_name()));
/// assert!(!is_temporary(".minutebook-notes.tmp"));
/// ```
pub fn is_temporary(name: &str) -> bool {
    let Some(middle) = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
    else {
        return false;
    };
    let mut parts = 0;
    middle.split('-').all(|part| {
        parts += 1;
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit())
    }) && parts == 3
}

/// The temporary files in `dir` that no live process owns: left-overs of processes that died while writing.
///
/// A writer holds a lock on its temporary file until the file has its final name, and the system releases the lock
/// when the writer dies; so a temporary file that can be locked has no owner. Where the file system has no locks
/// nothing is returned. A writer that is looked at in the instant before it has its lock takes another file, so what was found is looked at
/// again after a moment.
pub fn stray_temporaries(fs: &dyn Fs, dir: &Path) -> Result<Vec<PathBuf>, FsError> {
    let look = || strays(fs, dir, "list left-overs", |_| Ok(()));
    let mut found = look()?;
    if !found.is_empty() {
        std::thread::sleep(MOMENT);
        let again = look()?;
        found.retain(|path| again.contains(path));
    }
    Ok(found)
}

/// Removes what [`stray_temporaries`] finds and returns the paths.
pub fn remove_stray_temporaries(fs: &dyn Fs, dir: &Path) -> Result<Vec<PathBuf>, FsError> {
    strays(fs, dir, "remove left-overs", |path| {
        match fs.remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    })
}

fn strays(
    fs: &dyn Fs,
    dir: &Path,
    op: &'static str,
    each: impl Fn(&Path) -> io::Result<()>,
) -> Result<Vec<PathBuf>, FsError> {
    let mut candidates = Vec::new();
    fs.visit_dir(dir, &mut |entry| {
        if entry.kind == FileKind::File && entry.name.to_str().is_some_and(is_temporary) {
            candidates.push(dir.join(entry.name));
        }
        true
    })
    .map_err(|e| FsError::not_applied(op, "list the directory", dir, e))?;
    let mut found = Vec::new();
    for path in candidates {
        let Ok(file) = fs.open(&path, OpenMode::Read) else {
            continue; // it got its final name, or it is not ours to open
        };
        // What can be locked because it has its final name by now is no left-over.
        if file.lock(LockMode::Exclusive, LockWait::Try).is_ok() && is_at(fs, &path, &*file) {
            each(&path).map_err(|e| FsError::unknown(op, "remove", &path, e))?;
            found.push(path);
        }
    }
    Ok(found)
}

/// Whether this file is the one at the path.
fn is_at(fs: &dyn Fs, path: &Path, file: &dyn FsFile) -> bool {
    let there = fs.metadata(path).ok();
    let opened = file.metadata().ok();
    there
        .zip(opened)
        .is_some_and(|(there, opened)| there.id == opened.id)
}

/// A temporary file of this process; removed when dropped before it got its final name.
#[derive(Debug)]
pub(crate) struct Temp<'a> {
    fs: &'a dyn Fs,
    path: PathBuf,
    file: Box<dyn FsFile>,
    armed: bool,
}

impl<'a> Temp<'a> {
    pub(crate) fn create(fs: &'a dyn Fs, dir: &Path) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let path = dir.join(fs.temp_name());
            let file = match fs.open(&path, OpenMode::CreateNew) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                result => result?,
            };
            let temp = Self {
                fs,
                path,
                file,
                armed: true,
            };
            match temp.file.lock(LockMode::Exclusive, LockWait::Try) {
                // Without locks no clean-up can take the file either.
                Err(e) if e.kind() == io::ErrorKind::Unsupported => return Ok(temp),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                result => return result.map(|()| temp),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "no free name for a temporary file",
        ))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &dyn FsFile {
        &*self.file
    }

    /// The name is gone: the file was renamed, or removed by its owner.
    pub(crate) fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        match self.fs.remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(path = %self.path.display(), %error, "a temporary file is left over");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OsFs;

    #[test]
    fn a_file_that_got_its_name_is_not_at_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, named) = (dir.path().join(OsFs.temp_name()), dir.path().join("x"));
        let file = OsFs.open(&temporary, OpenMode::CreateNew).unwrap();
        assert!(is_at(&OsFs, &temporary, &*file));
        OsFs.rename(&temporary, &named).unwrap();
        assert!(!is_at(&OsFs, &temporary, &*file));
        assert!(is_at(&OsFs, &named, &*file));
        std::fs::write(&temporary, "of somebody else").unwrap();
        assert!(!is_at(&OsFs, &temporary, &*file));
    }

    #[test]
    fn only_our_own_names_are_temporary() {
        assert!(is_temporary(&format_temp_name(77, u64::MAX, 3)));
        for name in [
            "",
            ".tmp",
            ".minutebook-.tmp",
            ".minutebook-1-2.tmp",
            ".minutebook-1-2-3-4.tmp",
            ".minutebook-1--3.tmp",
            ".minutebook-g-1-2.tmp",
            "minutebook-1-2-3.tmp",
            ".minutebook-1-2-3.tmp.json",
        ] {
            assert!(!is_temporary(name), "{name}");
        }
    }
}
