//! The operating system's file system.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::fs::{
    DirEntry, FileKind, Fs, FsFile, Identity, Locality, LockMode, LockWait, Metadata, OpenMode,
};
use crate::temp::format_temp_name;

#[cfg(unix)]
mod dir;
mod platform;
#[cfg(target_os = "linux")]
mod watch;

/// The real file system.
///
/// ```
/// use minutebook_fs::{Durability, OsFs, read, replace};
/// # let dir = tempfile::tempdir()?;
/// let path = dir.path().join("note.json");
/// replace(&OsFs, &path, b"{}\n", Durability::Synced)?;
/// assert_eq!(read(&OsFs, &path, 1024)?.as_deref(), Some(&b"{}\n"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OsFs;

impl Fs for OsFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn FsFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            // A lock file is opened for writing, since network file systems ask for that, and for appending, so that a
            // write by mistake overwrites nothing.
            OpenMode::Append | OpenMode::Lock => options.append(true).create(true),
            OpenMode::AppendExisting => options.append(true),
            OpenMode::CreateNew => options.append(true).create_new(true),
            OpenMode::Write => options.write(true),
        };
        Ok(Box::new(OsFile(platform::open(path, &mut options)?)))
    }

    fn open_unnamed(&self, dir: &Path) -> io::Result<Box<dyn FsFile>> {
        Ok(Box::new(OsFile(platform::open_unnamed(dir)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        platform::rename_no_replace(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        platform::create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    #[cfg(unix)]
    fn open_dir_below(&self, root: &Path, below: &Path) -> io::Result<Box<dyn crate::FsDir + '_>> {
        dir::open_below(root, below)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        platform::sync_dir(path)
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        platform::sync_file_system(path)
    }

    fn visit_dir(&self, path: &Path, visit: &mut dyn FnMut(DirEntry) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let kind = kind_of(entry.file_type()?);
            if !visit(DirEntry {
                name: entry.file_name(),
                kind,
            }) {
                break;
            }
        }
        Ok(())
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        fs::symlink_metadata(path).map(|m| platform::metadata(&m))
    }

    fn identify(&self, path: &Path) -> io::Result<Identity> {
        platform::identify(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn locality(&self, path: &Path) -> io::Result<Locality> {
        platform::locality(path)
    }

    #[cfg(target_os = "linux")]
    fn watch_dir(&self, path: &Path) -> io::Result<Box<dyn crate::DirWatch>> {
        watch::watch_dir(path)
    }

    fn temp_name(&self) -> String {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        static NONCE: OnceLock<u64> = OnceLock::new();
        // The process id alone is not enough: two containers may share a directory and have the same ids.
        let nonce = *NONCE.get_or_init(|| {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_u32(std::process::id());
            hasher.finish()
        });
        format_temp_name(
            std::process::id(),
            nonce,
            COUNTER.fetch_add(1, Ordering::Relaxed),
        )
    }
}

#[derive(Debug)]
struct OsFile(File);

impl FsFile for OsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        platform::read_at(&self.0, buf, offset)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        platform::write_at(&self.0, bytes, offset)
    }

    fn link_to(&self, path: &Path) -> io::Result<()> {
        platform::link_to(&self.0, path)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn write_out(&self, offset: u64, len: u64) {
        platform::write_out(&self.0, offset, len);
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata().map(|m| platform::metadata(&m))
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        platform::set_mode(&self.0, mode)
    }

    fn set_modified(&self, time: std::time::SystemTime) -> io::Result<()> {
        self.0.set_modified(time)
    }

    fn lock(&self, mode: LockMode, wait: LockWait) -> io::Result<()> {
        match wait {
            LockWait::Block => loop {
                let result = match mode {
                    LockMode::Shared => self.0.lock_shared(),
                    LockMode::Exclusive => self.0.lock(),
                };
                match result {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    result => return result,
                }
            },
            LockWait::Try => self
                .try_lock(mode)?
                .then_some(())
                .ok_or_else(|| io::ErrorKind::WouldBlock.into()),
            LockWait::Timeout(limit) => {
                let start = Instant::now();
                let mut pause = Duration::from_micros(20);
                while !self.try_lock(mode)? {
                    let left = limit.saturating_sub(start.elapsed());
                    if left.is_zero() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    std::thread::sleep(pause.min(left));
                    pause = (pause * 2).min(Duration::from_millis(5));
                }
                Ok(())
            }
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

impl OsFile {
    fn try_lock(&self, mode: LockMode) -> io::Result<bool> {
        loop {
            let result = match mode {
                LockMode::Shared => self.0.try_lock_shared(),
                LockMode::Exclusive => self.0.try_lock(),
            };
            return match result {
                Ok(()) => Ok(true),
                Err(TryLockError::WouldBlock) => Ok(false),
                Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(TryLockError::Error(e)) => Err(e),
            };
        }
    }
}

fn kind_of(file_type: fs::FileType) -> FileKind {
    if file_type.is_file() {
        FileKind::File
    } else if file_type.is_dir() {
        FileKind::Dir
    } else if file_type.is_symlink() {
        FileKind::Symlink
    } else {
        FileKind::Other
    }
}
