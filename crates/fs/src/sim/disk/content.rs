//! Content on a simulated disk: writes, cuts, syncs, and syncs that fail.

use std::io;
use std::sync::Arc;

use super::{DataChange, FileData, Ino, LockHeld, Node, State};
use crate::fs::LockMode;

impl State {
    pub(super) fn file(&self, ino: Ino) -> io::Result<&FileData> {
        match self.inodes.get(&ino).map(|inode| &inode.node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn file_mut(&mut self, ino: Ino) -> io::Result<&mut FileData> {
        match self.inodes.get_mut(&ino).map(|inode| &mut inode.node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(in crate::sim) fn read(&self, ino: Ino, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let live = &self.file(ino)?.live;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(live.len());
        let rest = live.get(start..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }

    pub(in crate::sim) fn append(&mut self, ino: Ino, bytes: &[u8]) -> io::Result<usize> {
        let take = match self.capacity {
            None => bytes.len(),
            Some(capacity) => {
                let free = capacity.saturating_sub(self.used());
                if free == 0 && !bytes.is_empty() {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                bytes.len().min(usize::try_from(free).unwrap_or(usize::MAX))
            }
        };
        let bytes = bytes.get(..take).unwrap_or(bytes);
        let file = self.file_mut(ino)?;
        let offset = file.live.len() as u64;
        Arc::make_mut(&mut file.live).extend_from_slice(bytes);
        if take > 0 {
            file.pending.push(DataChange::Write {
                offset,
                bytes: bytes.into(),
            });
        }
        self.touch(ino);
        Ok(take)
    }

    /// Writes within the file or behind its end; room is only asked for what is behind.
    pub(in crate::sim) fn write_at(
        &mut self,
        ino: Ino,
        bytes: &[u8],
        offset: u64,
    ) -> io::Result<usize> {
        let len = self.file(ino)?.live.len() as u64;
        let grows = (offset + bytes.len() as u64).saturating_sub(len);
        let free = self
            .capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()));
        let missing = grows.saturating_sub(free);
        let take = bytes.len()
            - bytes
                .len()
                .min(usize::try_from(missing).unwrap_or(usize::MAX));
        if take == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let change = DataChange::Write {
            offset,
            bytes: bytes.get(..take).unwrap_or(bytes).into(),
        };
        let file = self.file_mut(ino)?;
        change.apply(Arc::make_mut(&mut file.live));
        file.pending.push(change);
        self.touch(ino);
        Ok(take)
    }

    pub(in crate::sim) fn set_len(&mut self, ino: Ino, len: u64) -> io::Result<()> {
        let file = self.file_mut(ino)?;
        DataChange::SetLen(len).apply(Arc::make_mut(&mut file.live));
        file.pending.push(DataChange::SetLen(len));
        self.touch(ino);
        Ok(())
    }

    pub(in crate::sim) fn sync_file(&mut self, ino: Ino) {
        if let Ok(file) = self.file_mut(ino) {
            let durable = Arc::make_mut(&mut file.durable);
            for change in std::mem::take(&mut file.pending) {
                change.apply(durable);
            }
        }
    }

    /// A sync failed: what it should have made durable is dropped, and shown until the machine stops.
    pub(in crate::sim) fn lose_file(&mut self, ino: Ino) {
        if let Ok(file) = self.file_mut(ino) {
            file.pending.clear();
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.tree()
            .values()
            .flatten()
            .map(|bytes| bytes.len() as u64)
            .sum()
    }

    pub(super) fn touch(&mut self, ino: Ino) {
        let now = self.tick();
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.modified = now;
            inode.changed = now;
        }
        self.tell_written(ino);
    }

    pub(in crate::sim) fn touch_changed(&mut self, ino: Ino) {
        let now = self.clock;
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.changed = now;
        }
    }

    pub(in crate::sim) fn try_lock(
        &mut self,
        ino: Ino,
        handle: u64,
        process: u32,
        mode: LockMode,
    ) -> bool {
        let Some(inode) = self.inodes.get_mut(&ino) else {
            return false;
        };
        let exclusive = mode == LockMode::Exclusive;
        let free = inode
            .locks
            .iter()
            .all(|held| held.handle == handle || !(exclusive || held.mode == LockMode::Exclusive));
        if free {
            inode.locks.retain(|held| held.handle != handle);
            inode.locks.push(LockHeld {
                handle,
                process,
                mode,
            });
        }
        free
    }
}

impl DataChange {
    pub(in crate::sim) fn apply(&self, content: &mut Vec<u8>) {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        match self {
            Self::SetLen(len) => content.resize(size(*len), 0),
            Self::Write { offset, bytes } => {
                let start = size(*offset);
                let end = start + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                if let Some(to) = content.get_mut(start..end) {
                    to.copy_from_slice(bytes);
                }
            }
        }
    }
}
