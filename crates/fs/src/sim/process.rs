//! One process on a simulated disk: it counts what it does, and dies and fails on demand.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::disk::Disk;
use super::fault::{Effect, Fault};
use super::lock;

/// What kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpKind {
    /// Opening a file that exists, or trying to.
    Open,
    /// Opening a file that is created by it.
    Create,
    /// One write call.
    Append,
    /// One write call at an offset.
    WriteAt,
    /// Cutting or extending a file.
    SetLen,
    /// Syncing a file's content.
    SyncData,
    /// Syncing a file's content and attributes.
    SyncAll,
    /// Syncing a directory.
    SyncDir,
    /// Renaming.
    Rename,
    /// Renaming to a free name.
    RenameNoReplace,
    /// Linking.
    HardLink,
    /// Removing a file.
    RemoveFile,
    /// Creating a directory.
    CreateDir,
    /// Removing a directory.
    RemoveDir,
    /// Reading from a file.
    Read,
    /// Listing a directory.
    ReadDir,
    /// Looking at a name or an open file.
    Metadata,
    /// Taking a lock.
    Lock,
    /// Starting to watch a directory, or asking what changed in it.
    Watch,
}

impl OpKind {
    /// Whether it changes what is on the disk or what of it is durable: these are counted, and crashes happen at them.
    pub fn is_mutating(self) -> bool {
        !matches!(
            self,
            Self::Open | Self::Read | Self::ReadDir | Self::Metadata | Self::Lock | Self::Watch
        )
    }
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpEvent {
    /// What it is.
    pub kind: OpKind,
    /// On what; of two names the new one.
    pub path: PathBuf,
    /// How many bytes it wants to append.
    pub bytes: usize,
    /// How many mutating operations the process did before it.
    pub before: u64,
}

impl fmt::Display for OpEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.path.display())?;
        if self.bytes > 0 {
            write!(f, " ({} bytes)", self.bytes)
        } else {
            Ok(())
        }
    }
}

/// How an operation may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// As it should.
    Go,
    /// An append takes this many bytes only.
    Short(usize),
    /// An append takes this many bytes, and the process is dead.
    DieAfter(usize),
}

type Hook = Arc<dyn Fn(&OpEvent) + Send + Sync>;

pub(super) struct Process {
    id: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    trace: Vec<OpEvent>,
    /// Dies when this many operations were done, with so many bytes of a last append.
    crash: Option<(u64, usize)>,
    dead: bool,
    faults: Vec<Fault>,
    hook: Option<Hook>,
    temps: u64,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

thread_local! {
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

impl Process {
    pub(super) fn new(id: u32) -> Self {
        Self {
            id,
            state: Mutex::default(),
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn operations(&self) -> u64 {
        lock(&self.state).trace.len() as u64
    }

    pub(super) fn trace(&self) -> Vec<OpEvent> {
        lock(&self.state).trace.clone()
    }

    pub(super) fn arm(&self, more: u64, bytes: usize) {
        let mut state = lock(&self.state);
        state.crash = Some((state.trace.len() as u64 + more, bytes));
    }

    pub(super) fn is_dead(&self) -> bool {
        lock(&self.state).dead
    }

    pub(super) fn kill(&self) {
        lock(&self.state).dead = true;
    }

    pub(super) fn inject(&self, fault: Fault) {
        lock(&self.state).faults.push(fault);
    }

    pub(super) fn clear_faults(&self) {
        lock(&self.state).faults.clear();
    }

    pub(super) fn set_hook(&self, hook: Option<Hook>) {
        lock(&self.state).hook = hook;
    }

    pub(super) fn next_temp(&self) -> u64 {
        let mut state = lock(&self.state);
        state.temps += 1;
        state.temps
    }

    /// Asks whether an operation may be done, and counts it.
    pub(super) fn pass(
        &self,
        disk: &Disk,
        kind: OpKind,
        path: &Path,
        bytes: usize,
    ) -> io::Result<Gate> {
        self.call_hook(kind, path, bytes);
        let mut state = lock(&self.state);
        if state.dead {
            return Err(dead());
        }
        if kind.is_mutating() {
            let before = state.trace.len() as u64;
            state.trace.push(OpEvent {
                kind,
                path: path.to_owned(),
                bytes,
                before,
            });
            if let Some((_, part)) = state.crash.filter(|(at, _)| *at <= before) {
                state.dead = true;
                drop(state);
                disk.release_locks(self.id);
                return if matches!(kind, OpKind::Append | OpKind::WriteAt) && part > 0 {
                    Ok(Gate::DieAfter(part.min(bytes)))
                } else {
                    Err(dead())
                };
            }
        }
        let hit = state
            .faults
            .iter_mut()
            .find_map(|fault| fault.strike(kind, path));
        state.faults.retain(|fault| !fault.is_spent());
        match hit {
            None => Ok(Gate::Go),
            Some(Effect::Short(n)) => Ok(Gate::Short(n)),
            Some(Effect::Kind(kind)) => Err(io::Error::new(kind, "injected fault")),
            Some(Effect::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn call_hook(&self, kind: OpKind, path: &Path, bytes: usize) {
        let state = lock(&self.state);
        let Some(hook) = state.hook.clone() else {
            return;
        };
        let event = OpEvent {
            kind,
            path: path.to_owned(),
            bytes,
            before: state.trace.len() as u64,
        };
        drop(state);
        if IN_HOOK.with(|flag| flag.replace(true)) {
            return;
        }
        let _reset = Reset;
        hook(&event);
    }
}

/// Lets hooks be called again, also after a hook panicked.
struct Reset;

impl Drop for Reset {
    fn drop(&mut self) {
        IN_HOOK.with(|flag| flag.set(false));
    }
}

pub(super) fn dead() -> io::Error {
    io::Error::other("the simulated process is dead")
}
