//! An open file of a simulated disk.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::SimFs;
use super::disk::{Ino, clean};
use super::process::{Gate, OpKind, dead};
use crate::fs::{FsFile, LockMode, LockWait, Metadata};

/// What Linux says to a write to a file that is open for reading, ...
const EBADF: i32 = 9;
/// ... and to cutting it.
const EINVAL: i32 = 22;

#[derive(Debug)]
pub(super) struct SimFile {
    fs: SimFs,
    ino: Ino,
    handle: u64,
    path: PathBuf,
    access: Access,
}

/// What an open file may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Append,
    WriteAt,
}

impl SimFile {
    pub(super) fn new(fs: SimFs, ino: Ino, handle: u64, path: PathBuf, access: Access) -> Self {
        Self {
            fs,
            ino,
            handle,
            path,
            access,
        }
    }

    fn gate(&self, kind: OpKind, bytes: usize) -> io::Result<Gate> {
        self.fs.process.pass(&self.fs.disk, kind, &self.path, bytes)
    }

    fn sync(&self, kind: OpKind) -> io::Result<()> {
        let passed = self.gate(kind, 0);
        let mut state = self.fs.disk.state();
        match passed {
            Ok(_) => state.sync_file(self.ino),
            Err(e) => {
                if !self.fs.is_dead() {
                    state.lose_file(self.ino);
                }
                return Err(e);
            }
        }
        Ok(())
    }

    fn check_writable(&self, errno: i32) -> io::Result<()> {
        if self.access == Access::Read {
            Err(io::Error::from_raw_os_error(errno))
        } else {
            Ok(())
        }
    }
}

impl FsFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.gate(OpKind::Read, 0)?;
        self.fs.disk.state().read(self.ino, buf, offset)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.check_writable(EBADF)?;
        let (take, dies) = match self.gate(OpKind::Append, bytes.len())? {
            Gate::Go => (bytes.len(), false),
            Gate::Short(n) => (n.min(bytes.len()), false),
            Gate::DieAfter(n) => (n, true),
        };
        let n = self
            .fs
            .disk
            .state()
            .append(self.ino, bytes.get(..take).unwrap_or(bytes))?;
        if dies { Err(dead()) } else { Ok(n) }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if self.access != Access::WriteAt {
            return Err(io::Error::from_raw_os_error(EBADF));
        }
        let (take, dies) = match self.gate(OpKind::WriteAt, bytes.len())? {
            Gate::Go => (bytes.len(), false),
            Gate::Short(n) => (n.min(bytes.len()), false),
            Gate::DieAfter(n) => (n, true),
        };
        let bytes = bytes.get(..take).unwrap_or(bytes);
        let n = self.fs.disk.state().write_at(self.ino, bytes, offset)?;
        if dies { Err(dead()) } else { Ok(n) }
    }

    fn link_to(&self, path: &Path) -> io::Result<()> {
        self.fs.gate(OpKind::HardLink, path)?;
        self.fs.disk.state().link_file(self.ino, &clean(path))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable(EINVAL)?;
        self.gate(OpKind::SetLen, 0)?;
        self.fs.disk.state().set_len(self.ino, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(OpKind::SyncData)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(OpKind::SyncAll)
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.gate(OpKind::Metadata, 0)?;
        self.fs.disk.state().metadata(self.ino)
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        if self.fs.is_dead() {
            return Err(dead());
        }
        if let Some(inode) = self.fs.disk.state().inode_mut(self.ino) {
            inode.mode = mode;
        }
        Ok(())
    }

    fn set_modified(&self, time: std::time::SystemTime) -> io::Result<()> {
        if self.fs.is_dead() {
            return Err(dead());
        }
        let mut state = self.fs.disk.state();
        let step = state.time_step.as_nanos().max(1);
        let over = time
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() % step);
        let over = std::time::Duration::from_nanos(u64::try_from(over).unwrap_or(0));
        if let Some(inode) = state.inode_mut(self.ino) {
            inode.modified = time - over;
        }
        // As every change of a file's looks.
        state.touch_changed(self.ino);
        state.tell_written(self.ino);
        Ok(())
    }

    fn lock(&self, mode: LockMode, wait: LockWait) -> io::Result<()> {
        self.gate(OpKind::Lock, 0)?;
        let start = Instant::now();
        let mut state = self.fs.disk.state();
        loop {
            if self.fs.is_dead() {
                return Err(dead());
            }
            if state.try_lock(self.ino, self.handle, self.fs.process.id(), mode) {
                return Ok(());
            }
            let limit = match wait {
                LockWait::Try => return Err(io::ErrorKind::WouldBlock.into()),
                LockWait::Block => None,
                LockWait::Timeout(limit) => match limit.checked_sub(start.elapsed()) {
                    Some(left) => Some(left),
                    None => return Err(io::ErrorKind::TimedOut.into()),
                },
            };
            state = self.fs.disk.wait_for_lock(state, limit);
        }
    }

    fn unlock(&self) -> io::Result<()> {
        if self.fs.is_dead() {
            return Err(dead());
        }
        self.fs.disk.unlock(self.ino, self.handle);
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.fs.disk.unlock(self.ino, self.handle);
    }
}
