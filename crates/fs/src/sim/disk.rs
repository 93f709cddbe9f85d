//! The state of a simulated disk: files and directories as they are, and what of them is durable.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{epoch, lock};
use crate::fs::{FileId, FileKind, LockMode, Metadata};

mod after;
mod content;
mod names;
mod watch;

pub(super) type Ino = u64;
/// Files with their content, directories with `None`.
pub(super) type Tree = BTreeMap<PathBuf, Option<Arc<Vec<u8>>>>;

/// A path without root, `.` and `..`.
pub(super) fn clean(path: &Path) -> Vec<OsString> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::ParentDir => drop(names.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    names
}

#[derive(Debug)]
pub(super) struct Disk {
    state: Mutex<State>,
    lock_freed: Condvar,
}

#[derive(Debug, Clone)]
pub(super) struct State {
    inodes: BTreeMap<Ino, Inode>,
    /// Changes of names that are not durable, in order.
    pub(super) pending: Vec<NameChange>,
    seq: u64,
    next_ino: Ino,
    handles: u64,
    processes: u32,
    fold: bool,
    pub(super) clock: SystemTime,
    pub(super) capacity: Option<u64>,
    /// Whether directories can be watched.
    pub(super) watchable: bool,
    /// In what steps a file keeps a time that is set.
    pub(super) time_step: Duration,
    watches: BTreeMap<u64, Watched>,
}

/// What a watch has to tell.
#[derive(Debug, Clone)]
struct Watched {
    dir: Ino,
    names: Vec<OsString>,
    lost: bool,
}

pub(super) const ROOT: Ino = 1;

#[derive(Debug, Clone)]
pub(super) struct Inode {
    pub(super) node: Node,
    pub(super) modified: SystemTime,
    changed: SystemTime,
    pub(super) mode: u32,
    locks: Vec<LockHeld>,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    File(FileData),
    Dir(DirData),
}

#[derive(Debug, Clone, Default)]
pub(super) struct FileData {
    pub(super) live: Arc<Vec<u8>>,
    pub(super) durable: Arc<Vec<u8>>,
    /// What was done since the last sync, in order.
    pub(super) pending: Vec<DataChange>,
}

#[derive(Debug, Clone)]
pub(super) enum DataChange {
    Write { offset: u64, bytes: Arc<[u8]> },
    SetLen(u64),
}

#[derive(Debug, Clone, Default)]
pub(super) struct DirData {
    live: BTreeMap<OsString, Entry>,
    /// By key, with the number of the change that made it so; `None` was removed.
    durable: BTreeMap<OsString, (Option<Entry>, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    name: OsString,
    pub(super) ino: Ino,
}

/// One change of names, which a crash leaves done or not done as a whole.
#[derive(Debug, Clone)]
pub(super) struct NameChange {
    pub(super) seq: u64,
    pub(super) what: String,
    pub(super) sets: Vec<(Ino, OsString, Option<Entry>)>,
    /// A sync of its directory failed: later syncs report success and do nothing for it.
    lost: bool,
}

#[derive(Debug, Clone)]
struct LockHeld {
    handle: u64,
    process: u32,
    mode: LockMode,
}

impl Disk {
    pub(super) fn new(fold: bool) -> Self {
        let root = Inode {
            node: Node::Dir(DirData::default()),
            modified: epoch(),
            changed: epoch(),
            mode: 0o700,
            locks: Vec::new(),
        };
        Self::with(State {
            inodes: BTreeMap::from([(ROOT, root)]),
            pending: Vec::new(),
            seq: 0,
            next_ino: ROOT + 1,
            handles: 0,
            processes: 0,
            fold,
            clock: epoch(),
            capacity: None,
            watchable: true,
            time_step: Duration::from_nanos(1),
            watches: BTreeMap::new(),
        })
    }

    pub(super) fn with(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            lock_freed: Condvar::new(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn next_process(&self) -> u32 {
        let mut state = self.state();
        state.processes += 1;
        state.processes
    }

    /// The same disk, without locks.
    pub(super) fn copy(&self) -> Self {
        let mut state = self.state().clone();
        for inode in state.inodes.values_mut() {
            inode.locks.clear();
        }
        state.watches.clear();
        Self::with(state)
    }

    pub(super) fn settle(&self) {
        let mut state = self.state();
        let files: Vec<Ino> = state.inodes.keys().copied().collect();
        for ino in files {
            state.sync_file(ino);
        }
        for change in std::mem::take(&mut state.pending) {
            state.make_durable(change);
        }
    }

    pub(super) fn wait_for_lock<'a>(
        &self,
        state: MutexGuard<'a, State>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match limit {
            None => self
                .lock_freed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                self.lock_freed
                    .wait_timeout(state, limit)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        }
    }

    pub(super) fn unlock(&self, ino: Ino, handle: u64) {
        self.free_locks(|at, held| at == ino && held.handle == handle);
    }

    pub(super) fn release_locks(&self, process: u32) {
        self.free_locks(|_, held| held.process == process);
    }

    fn free_locks(&self, which: impl Fn(Ino, &LockHeld) -> bool) {
        for (ino, inode) in &mut self.state().inodes {
            inode.locks.retain(|held| !which(*ino, held));
        }
        self.lock_freed.notify_all();
    }
}

impl State {
    pub(super) fn inode(&self, ino: Ino) -> Option<&Inode> {
        self.inodes.get(&ino)
    }

    pub(super) fn inode_mut(&mut self, ino: Ino) -> Option<&mut Inode> {
        self.inodes.get_mut(&ino)
    }

    pub(super) fn next_handle(&mut self) -> u64 {
        self.handles += 1;
        self.handles
    }

    fn key(&self, name: &OsStr) -> OsString {
        match name.to_str() {
            Some(text) if self.fold => text.to_lowercase().into(),
            _ => name.to_owned(),
        }
    }

    fn tick(&mut self) -> SystemTime {
        self.clock += Duration::from_micros(1);
        self.clock
    }

    fn is_dir(&self, ino: Ino) -> bool {
        self.kind(ino) == FileKind::Dir
    }

    fn kind(&self, ino: Ino) -> FileKind {
        match self.inodes.get(&ino).map(|inode| &inode.node) {
            Some(Node::Dir(_)) => FileKind::Dir,
            Some(Node::File(_)) => FileKind::File,
            None => FileKind::Other,
        }
    }

    pub(super) fn metadata(&self, ino: Ino) -> io::Result<Metadata> {
        let inode = self.inodes.get(&ino).ok_or(io::ErrorKind::NotFound)?;
        let (kind, len) = match &inode.node {
            Node::File(file) => (FileKind::File, file.live.len() as u64),
            Node::Dir(_) => (FileKind::Dir, 0),
        };
        let changed = inode
            .changed
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos());
        Ok(Metadata {
            kind,
            len,
            modified: inode.modified,
            changed_ns: i128::try_from(changed).unwrap_or(i128::MAX),
            id: FileId {
                device: 1,
                inode: ino,
            },
            mode: Some(inode.mode),
        })
    }

    /// All paths with what is there.
    pub(super) fn tree(&self) -> Tree {
        let mut tree = BTreeMap::new();
        let mut todo = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, ino)) = todo.pop() {
            let Ok(dir) = self.dir(ino) else { continue };
            for entry in dir.live.values() {
                let path = path.join(&entry.name);
                match self.inodes.get(&entry.ino).map(|inode| &inode.node) {
                    Some(Node::File(file)) => drop(tree.insert(path, Some(Arc::clone(&file.live)))),
                    Some(Node::Dir(_)) => {
                        tree.insert(path.clone(), None);
                        todo.push((path, entry.ino));
                    }
                    None => {}
                }
            }
        }
        tree
    }

    pub(super) fn put(&mut self, path: &[OsString], bytes: &[u8]) -> io::Result<()> {
        let mut at = Vec::new();
        for name in path.split_last().ok_or(io::ErrorKind::InvalidInput)?.1 {
            at.push(name.clone());
            match self.create_dir(&at) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                result => {
                    result?;
                    self.settle_last();
                }
            }
        }
        let ino = if let Ok(ino) = self.lookup(path) {
            ino
        } else {
            let ino = self.create_file(path)?;
            self.settle_last();
            ino
        };
        let file = self.file_mut(ino)?;
        file.live = Arc::new(bytes.to_vec());
        file.durable = Arc::clone(&file.live);
        file.pending.clear();
        self.touch(ino);
        Ok(())
    }

    fn settle_last(&mut self) {
        if let Some(change) = self.pending.pop() {
            self.make_durable(change);
        }
    }
}
