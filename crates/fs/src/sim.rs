//! A simulated disk: what it shows now, what it may show after a crash, and faults on demand.
//!
//! The model is as unkind as POSIX allows, and deterministic:
//!
//! - A file's content is durable only after the file was synced, a name only after its directory was synced.
//! - After a power cut every name change (create, rename, link, remove) that was not synced is there or not, each by itself
//!   and whatever became of the content; a rename across directories is one change, as on every journaling file system.
//! - Of content that was not synced a prefix is there, cut at any byte, or the length is there and zeros in place of the bytes.
//! - After a sync that failed, what should have been synced is dropped: a second sync reports success, and the bytes
//!   are not there after a power cut (as Linux does).
//! - A process that is killed leaves everything that its calls did, of its last write perhaps a part; its locks are released.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::DirWatch;
use crate::fs::{DirEntry, FileKind, Fs, FsFile, Locality, Metadata, OpenMode};
use crate::temp::format_temp_name;

mod disk;
mod fault;
mod file;
mod image;
mod process;

pub use fault::Fault;
pub use image::{Image, Images, Torn};
pub use process::{OpEvent, OpKind};

use disk::{Disk, Node, clean};
use file::{Access, SimFile};
use process::Process;

/// A simulated disk, as one process sees it. Clones are the same process; [`new_process`](SimFs::new_process) is
/// another one on the same disk.
///
/// Times are counted, not read from a clock: each change is a microsecond after the one before.
///
/// ```
/// use std::path::Path;
/// use minutebook_fs::{Durability, Images, SimFs, read, replace};
/// let disk = SimFs::new();
/// replace(&disk, Path::new("/a"), b"old", Durability::Synced)?;
/// replace(&disk, Path::new("/a"), b"new", Durability::Buffered)?;
/// let mut seen: Vec<_> = disk
///     .images_after_crash(&Images::default())
///     .iter()
///     .map(|image| read(&image.fs, Path::new("/a"), 10).map(Option::unwrap))
///     .collect::<Result<_, _>>()?;
/// seen.sort();
/// seen.dedup();
/// assert!(seen.contains(&b"old".to_vec()) && seen.contains(&b"new".to_vec()));
/// assert!(seen.contains(&b"".to_vec())); // a rename without a sync
/// # Ok::<(), minutebook_fs::FsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SimFs {
    disk: Arc<Disk>,
    process: Arc<Process>,
}

impl Default for SimFs {
    fn default() -> Self {
        Self::new()
    }
}

impl SimFs {
    /// An empty disk.
    pub fn new() -> Self {
        Self::on(Disk::new(false))
    }

    /// An empty disk that does not tell upper case from lower case in names.
    pub fn case_insensitive() -> Self {
        Self::on(Disk::new(true))
    }

    fn on(disk: Disk) -> Self {
        let disk = Arc::new(disk);
        let process = Arc::new(Process::new(disk.next_process()));
        Self { disk, process }
    }

    /// Another process on the same disk: with its own locks, faults, hook, and its own death.
    #[must_use]
    pub fn new_process(&self) -> Self {
        let process = Arc::new(Process::new(self.disk.next_process()));
        Self {
            disk: Arc::clone(&self.disk),
            process,
        }
    }

    // --- crashes ---

    /// How many mutating operations this process did or tried.
    pub fn operations(&self) -> u64 {
        self.process.operations()
    }

    /// The mutating operations of this process, in order.
    pub fn trace(&self) -> Vec<OpEvent> {
        self.process.trace()
    }

    /// Lets this process die after `n` more mutating operations: the next one, and everything later, fails. Its locks
    /// are released.
    pub fn crash_after(&self, n: u64) {
        self.process.arm(n, 0);
    }

    /// As [`crash_after`](SimFs::crash_after); if the operation at which the process dies is an append, `bytes` of it still reach
    /// the file.
    pub fn crash_within(&self, n: u64, bytes: usize) {
        self.process.arm(n, bytes);
    }

    /// Whether the process died.
    pub fn is_dead(&self) -> bool {
        self.process.is_dead()
    }

    /// Kills this process now.
    pub fn kill(&self) {
        self.process.kill();
        self.disk.release_locks(self.process.id());
    }

    /// A copy of the disk as the next process finds it after this and all other processes died, while the machine lives on:
    /// all that was done is there, locks are free. What is not durable can still be lost by a later power cut.
    #[must_use]
    pub fn process_crash(&self) -> Self {
        Self::on(self.disk.copy())
    }

    /// The states in which a power cut at this moment may leave the disk, without repetition.
    pub fn images_after_crash(&self, images: &Images) -> Vec<Image> {
        image::enumerate(&self.disk, images)
    }

    /// Makes everything durable, as a machine does that is left alone for a minute.
    pub fn settle(&self) {
        self.disk.settle();
    }

    // --- faults ---

    /// Arranges for a fault in this process.
    pub fn inject(&self, fault: Fault) {
        self.process.inject(fault);
    }

    /// Lets the next operation of this kind fail.
    pub fn fail_next(&self, kind: OpKind, error: io::ErrorKind) {
        self.inject(Fault::on(kind).error(error));
    }

    /// Removes all faults of this process that did not happen yet.
    pub fn clear_faults(&self) {
        self.process.clear_faults();
    }

    /// Limits the bytes of all files together: an append beyond it is cut short, then fails with `StorageFull`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk.state().capacity = bytes;
    }

    /// Calls `hook` before each operation of this process. It may use the disk itself (through another process), which
    /// makes any interleaving of two processes reproducible. It is not called for what it does itself.
    pub fn on_op(&self, hook: impl Fn(&OpEvent) + Send + Sync + 'static) {
        self.process.set_hook(Some(Arc::new(hook)));
    }

    /// Removes the hook.
    pub fn clear_hook(&self) {
        self.process.set_hook(None);
    }

    // --- what other programs do; all of it durable at once, none of it counted ---

    /// Writes a file, with its directories, as another program did long ago.
    ///
    /// # Errors
    ///
    /// If a directory is in the way.
    pub fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        self.disk.state().put(&clean(path.as_ref()), bytes)
    }

    /// The content of a file.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.disk.state();
        let ino = state.lookup(&clean(path.as_ref())).ok()?;
        match &state.inode(ino)?.node {
            Node::File(file) => Some(file.live.to_vec()),
            Node::Dir(_) => None,
        }
    }

    /// All files with their content, and all directories with `None`.
    pub fn tree(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let tree = self.disk.state().tree();
        tree.into_iter()
            .map(|(path, file)| (path, file.map(|bytes| bytes.to_vec())))
            .collect()
    }

    /// Sets a file's modification time.
    ///
    /// # Errors
    ///
    /// If there is no such file.
    pub fn set_modified(&self, path: impl AsRef<Path>, time: SystemTime) -> io::Result<()> {
        let mut state = self.disk.state();
        let ino = state.lookup(&clean(path.as_ref()))?;
        if let Some(inode) = state.inode_mut(ino) {
            inode.modified = time;
        }
        state.tell_written(ino);
        Ok(())
    }

    /// Whether directories can be watched on this disk. They can, until told otherwise; watches that there are go on.
    pub fn set_watchable(&self, watchable: bool) {
        self.disk.state().watchable = watchable;
    }

    /// Makes all watches that there are miss changes, as a queue does that overflows.
    pub fn lose_watches(&self) {
        self.disk.state().lose_watches();
    }

    /// Sets the time that the next change gets.
    pub fn set_time(&self, time: SystemTime) {
        self.disk.state().clock = time;
    }

    /// In what steps files keep the times that are set, as on file systems that know only seconds. A nanosecond.
    pub fn set_time_step(&self, step: Duration) {
        self.disk.state().time_step = step;
    }

    fn gate(&self, kind: OpKind, path: &Path) -> io::Result<()> {
        self.process.pass(&self.disk, kind, path, 0).map(drop)
    }
}

impl Fs for SimFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn FsFile>> {
        let at = clean(path);
        let absent = self.disk.state().lookup(&at).is_err();
        let must_exist = matches!(
            mode,
            OpenMode::Read | OpenMode::AppendExisting | OpenMode::Write
        );
        let creates = absent && !must_exist;
        self.gate(
            if creates {
                OpKind::Create
            } else {
                OpKind::Open
            },
            path,
        )?;
        let mut state = self.disk.state();
        let ino = match state.lookup(&at) {
            Ok(_) if mode == OpenMode::CreateNew => return Err(io::ErrorKind::AlreadyExists.into()),
            Ok(ino) => ino,
            Err(e) if e.kind() == io::ErrorKind::NotFound && creates => state.create_file(&at)?,
            Err(e) => return Err(e),
        };
        let is_dir = state
            .inode(ino)
            .is_some_and(|inode| matches!(inode.node, Node::Dir(_)));
        if is_dir && mode != OpenMode::Read {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let access = match mode {
            OpenMode::Read => Access::Read,
            OpenMode::Write => Access::WriteAt,
            _ => Access::Append,
        };
        let handle = state.next_handle();
        drop(state);
        Ok(Box::new(SimFile::new(
            self.clone(),
            ino,
            handle,
            path.to_owned(),
            access,
        )))
    }

    fn open_unnamed(&self, dir: &Path) -> io::Result<Box<dyn FsFile>> {
        let path = dir.join(self.temp_name());
        self.gate(OpKind::Create, &path)?;
        let mut state = self.disk.state();
        let ino = state.create_unnamed(&clean(dir))?;
        let handle = state.next_handle();
        drop(state);
        let fs = self.clone();
        Ok(Box::new(SimFile::new(
            fs,
            ino,
            handle,
            path,
            Access::Append,
        )))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate(OpKind::Rename, to)?;
        self.disk.state().rename(&clean(from), &clean(to), true)
    }

    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate(OpKind::RenameNoReplace, to)?;
        self.disk.state().rename(&clean(from), &clean(to), false)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate(OpKind::HardLink, to)?;
        self.disk.state().link(&clean(from), &clean(to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.gate(OpKind::RemoveFile, path)?;
        self.disk.state().remove(&clean(path), FileKind::File)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.gate(OpKind::CreateDir, path)?;
        self.disk.state().create_dir(&clean(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.gate(OpKind::RemoveDir, path)?;
        self.disk.state().remove(&clean(path), FileKind::Dir)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let passed = self.gate(OpKind::SyncDir, path);
        let mut state = self.disk.state();
        let ino = state.lookup(&clean(path));
        match passed {
            Ok(()) => state.sync_dir(ino?),
            Err(e) => {
                if let (Ok(ino), false) = (ino, self.is_dead()) {
                    state.lose_dir(ino);
                }
                Err(e)
            }
        }
    }

    fn visit_dir(&self, path: &Path, visit: &mut dyn FnMut(DirEntry) -> bool) -> io::Result<()> {
        self.gate(OpKind::ReadDir, path)?;
        let entries = self.disk.state().list(&clean(path))?;
        for entry in entries {
            if !visit(entry) {
                break;
            }
        }
        Ok(())
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.gate(OpKind::Metadata, path)?;
        let state = self.disk.state();
        let ino = state.lookup(&clean(path))?;
        state.metadata(ino)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.gate(OpKind::Metadata, path)?;
        let at = clean(path);
        self.disk.state().lookup(&at)?;
        Ok(at
            .iter()
            .fold(PathBuf::from("/"), |path, name| path.join(name)))
    }

    fn locality(&self, _: &Path) -> io::Result<Locality> {
        Ok(Locality::Local)
    }

    fn watch_dir(&self, path: &Path) -> io::Result<Box<dyn DirWatch>> {
        self.gate(OpKind::Watch, path)?;
        let mut state = self.disk.state();
        let dir = state.lookup(&clean(path))?;
        let id = state.watch(dir)?;
        drop(state);
        Ok(Box::new(SimWatch {
            fs: self.clone(),
            path: path.to_owned(),
            id,
        }))
    }

    fn temp_name(&self) -> String {
        // Counted, so that a run can be repeated.
        format_temp_name(0, u64::from(self.process.id()), self.process.next_temp())
    }
}

#[derive(Debug)]
struct SimWatch {
    fs: SimFs,
    path: PathBuf,
    id: u64,
}

impl DirWatch for SimWatch {
    fn changes(&mut self, changed: &mut dyn FnMut(&OsStr)) -> io::Result<bool> {
        self.fs.gate(OpKind::Watch, &self.path)?;
        let (names, all) = self.fs.disk.state().told(self.id);
        for name in names {
            changed(&name);
        }
        Ok(all)
    }
}

impl Drop for SimWatch {
    fn drop(&mut self) {
        self.fs.disk.state().unwatch(self.id);
    }
}

/// The time before the first change.
fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
