//! A directory of decision documents in the order in which their files were modified.
//!
//! Names, times and the ids that names end with are kept in memory and followed through the system's notices of changes, so that a
//! read costs the same with 20,000 files as with 200. Where there are no such notices the directory is looked at by each call. What
//! is in a file is never kept: it is read when it is asked for.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use minutebook::{Clock, SystemClock};
use minutebook_fs::{DirWatch, Fs, FsError, OsFs, replace_link};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error;
use crate::files::durability;

mod walk;

pub(crate) use walk::Walk;

const SUFFIX: &[u8] = b".json";
/// The largest document that is read.
const MAX_BYTES: u64 = 1 << 30;

/// When a file was last modified: nanoseconds since 1970, UTC.
type Modified = i128;

/// The files of a directory that match `*.json`.
#[pyclass(module = "minutebook._native", frozen)]
pub(crate) struct DecisionFiles {
    dir: PathBuf,
    fs: Arc<dyn Fs>,
    clock: SystemClock,
    synced: bool,
    state: Mutex<State>,
    done: Done,
}

/// What was asked of the system so far.
#[derive(Default)]
struct Done {
    lists: AtomicU64,
    looks: AtomicU64,
    reads: AtomicU64,
}

#[derive(Default)]
struct State {
    watch: Option<Box<dyn DirWatch>>,
    files: HashMap<Arc<OsStr>, Modified>,
    by_time: BTreeSet<(Modified, Arc<OsStr>)>,
    /// By the hash of what follows each underscore in a name.
    by_ending: HashMap<u64, Vec<Arc<OsStr>>>,
    hasher: RandomState,
    /// The time that was last given to a file, so that of two saves the later one is newer.
    last_given: Modified,
}

impl State {
    fn forget_all(&mut self) {
        self.files.clear();
        self.by_time.clear();
        self.by_ending.clear();
    }

    fn forget(&mut self, name: &OsStr) {
        let Some((name, modified)) = self.files.remove_entry(name) else {
            return;
        };
        for ending in endings(&name) {
            let hash = self.hasher.hash_one(ending);
            if let Some(names) = self.by_ending.get_mut(&hash) {
                names.retain(|other| *other != name);
                if names.is_empty() {
                    self.by_ending.remove(&hash);
                }
            }
        }
        self.by_time.remove(&(modified, name));
    }

    fn note(&mut self, name: &OsStr, modified: Modified) {
        if let Some((name, known)) = self.files.get_key_value(name) {
            if *known == modified {
                return;
            }
            let (name, known) = (Arc::clone(name), *known);
            self.by_time.remove(&(known, Arc::clone(&name)));
            self.by_time.insert((modified, Arc::clone(&name)));
            self.files.insert(name, modified);
            return;
        }
        let name: Arc<OsStr> = name.into();
        for ending in endings(&name) {
            let hash = self.hasher.hash_one(ending);
            self.by_ending
                .entry(hash)
                .or_default()
                .push(Arc::clone(&name));
        }
        self.by_time.insert((modified, Arc::clone(&name)));
        self.files.insert(name, modified);
    }
}

/// What follows each underscore of `{…}_{id}.json`: one of them is the id.
fn endings(name: &OsStr) -> impl Iterator<Item = &[u8]> {
    let bytes = name.as_encoded_bytes();
    let stem = bytes.strip_suffix(SUFFIX).unwrap_or(bytes);
    memchr::memchr_iter(b'_', stem).filter_map(move |at| stem.get(at + 1..))
}

fn is_document(name: &OsStr) -> bool {
    name.as_encoded_bytes().ends_with(SUFFIX)
}

fn nanos(time: SystemTime) -> Modified {
    let whole = |span: Duration| i128::try_from(span.as_nanos()).unwrap_or(i128::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => whole(after),
        Err(before) => -whole(before.duration()),
    }
}

impl DecisionFiles {
    fn path(&self, name: &OsStr) -> PathBuf {
        self.dir.join(name)
    }

    fn failed(&self, operation: &'static str, name: &OsStr, source: io::Error) -> PyErr {
        let path = self.path(name);
        error::file(
            operation,
            &path,
            FsError::not_applied(operation, "look at the file", &path, source),
        )
    }

    /// The state, as the directory is now.
    fn fresh(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = &mut state.watch {
            let mut changed: Vec<OsString> = Vec::new();
            let whole = watch.changes(&mut |name| {
                if is_document(name) && changed.last().is_none_or(|last| last != name) {
                    changed.push(name.to_owned());
                }
            })?;
            if whole {
                for name in changed {
                    self.look(&mut state, &name)?;
                }
                return Ok(state);
            }
            state.watch = None;
        }
        self.list(&mut state)?;
        Ok(state)
    }

    fn look(&self, state: &mut State, name: &OsStr) -> io::Result<()> {
        self.done.looks.fetch_add(1, Ordering::Relaxed);
        // As the original does, a link is followed: the file that it leads to has the time that counts.
        match std::fs::metadata(self.path(name)).and_then(|meta| meta.modified()) {
            Ok(modified) => state.note(name, nanos(modified)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => state.forget(name),
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Reads the whole directory, and watches it from before that on.
    fn list(&self, state: &mut State) -> io::Result<()> {
        self.done.lists.fetch_add(1, Ordering::Relaxed);
        state.watch = self.fs.watch_dir(&self.dir).ok();
        let mut names: Vec<OsString> = Vec::new();
        let mut has_links = false;
        let listed = self.fs.visit_dir(&self.dir, &mut |entry| {
            if is_document(&entry.name) {
                has_links |= entry.kind == minutebook_fs::FileKind::Symlink;
                names.push(entry.name);
            }
            true
        });
        match listed {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            listed => listed?,
        }
        if has_links {
            // What a link leads to may change without a notice here.
            state.watch = None;
        }
        let known: std::collections::HashSet<&OsStr> =
            names.iter().map(OsString::as_os_str).collect();
        let gone: Vec<_> = state
            .files
            .keys()
            .filter(|name| !known.contains(&***name))
            .map(Arc::clone)
            .collect();
        if gone.len() == state.files.len() {
            state.forget_all();
        }
        for name in gone {
            state.forget(&name);
        }
        for name in &names {
            self.look(state, name)?;
        }
        Ok(())
    }

    fn read_one(&self, name: &OsStr) -> Result<Option<Vec<u8>>, FsError> {
        self.done.reads.fetch_add(1, Ordering::Relaxed);
        let path = self.path(name);
        match minutebook_fs::read(&*self.fs, &path, MAX_BYTES) {
            Err(failed) if path.is_symlink() => match std::fs::read(&path) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(_) => Err(failed),
            },
            read => read,
        }
    }

    /// A time for a file that is written now: later than that of every file that was saved before.
    fn next_time(&self, state: &mut State) -> Modified {
        let newest = state.by_time.last().map_or(0, |(modified, _)| *modified);
        let now = self.clock.now();
        let now = now.timestamp_nanos_opt().map_or(0, i128::from);
        // A file from the future does not push all others there.
        let after = if newest <= now { newest } else { 0 };
        let given = now.max(after.max(state.last_given.min(now)) + 1);
        state.last_given = given;
        given
    }
}

#[pymethods]
impl DecisionFiles {
    #[new]
    fn new(dir: PathBuf, synced: bool) -> PyResult<Self> {
        let dir = std::path::absolute(&dir).map_err(|failed| {
            let failed = FsError::not_applied("open", "find the directory", &dir, failed);
            error::file("open", &dir, failed)
        })?;
        Ok(Self {
            dir,
            fs: Arc::new(OsFs),
            clock: SystemClock,
            synced,
            state: Mutex::default(),
            done: Done::default(),
        })
    }

    /// How often the directory was listed, a file looked at, and a file read: what calls cost, on any machine.
    fn work(&self) -> (u64, u64, u64) {
        let done = &self.done;
        let so_far = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (
            so_far(&done.lists),
            so_far(&done.looks),
            so_far(&done.reads),
        )
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        py.detach(|| self.fresh().map(|state| state.files.len()))
            .map_err(|e| self.failed("count", OsStr::new(""), e))
    }

    /// All names, newest first.
    fn names(&self, py: Python<'_>) -> PyResult<Vec<OsString>> {
        py.detach(|| {
            self.fresh().map(|state| {
                let newest = state.by_time.iter().rev();
                newest.map(|(_, name)| name.to_os_string()).collect()
            })
        })
        .map_err(|e| self.failed("list", OsStr::new(""), e))
    }

    /// The names of files that were last modified before an instant (nanoseconds since 1970).
    fn older_than(&self, py: Python<'_>, before: i128) -> PyResult<Vec<OsString>> {
        py.detach(|| {
            self.fresh().map(|state| {
                let all = state.by_time.iter();
                all.take_while(|(modified, _)| *modified < before)
                    .map(|(_, name)| name.to_os_string())
                    .collect()
            })
        })
        .map_err(|e| self.failed("list", OsStr::new(""), e))
    }

    /// The names that end with `_`, one of the endings, and `.json`; newest first.
    fn ending_with(&self, py: Python<'_>, endings: Vec<OsString>) -> PyResult<Vec<OsString>> {
        py.detach(|| {
            let state = self.fresh()?;
            let mut found: Vec<(Modified, Arc<OsStr>)> = Vec::new();
            for ending in &endings {
                let wanted = ending.as_encoded_bytes();
                let hash = state.hasher.hash_one(wanted);
                for name in state.by_ending.get(&hash).into_iter().flatten() {
                    let fits = self::endings(name).any(|found| found == wanted);
                    if fits && !found.iter().any(|(_, other)| other == name) {
                        let modified = state.files.get(&**name).copied().unwrap_or_default();
                        found.push((modified, Arc::clone(name)));
                    }
                }
            }
            found.sort_by(|a, b| b.cmp(a));
            Ok(found
                .into_iter()
                .map(|(_, name)| name.to_os_string())
                .collect())
        })
        .map_err(|e| self.failed("find", OsStr::new(""), e))
    }

    /// The bytes of a file; `None` if there is none.
    fn read<'py>(&self, py: Python<'py>, name: OsString) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let read = py.detach(|| self.read_one(&name));
        let read = read.map_err(|failed| error::file("read", &self.path(&name), failed))?;
        Ok(read.map(|bytes| PyBytes::new(py, &bytes)))
    }

    /// Files from the newest on. With a needle only those that contain it, or an escape that may stand for it.
    #[pyo3(signature = (needle=None))]
    fn newest(slf: &Bound<'_, Self>, needle: Option<Vec<u8>>) -> Walk {
        Walk::new(slf.clone().unbind(), needle)
    }

    /// Writes a document, whole or not at all. Called with the lock held.
    fn write(&self, py: Python<'_>, name: OsString, text: &[u8]) -> PyResult<()> {
        let path = self.path(&name);
        py.detach(|| {
            let mut state = self
                .fresh()
                .map_err(|e| FsError::not_applied("save", "look at the directory", &path, e))?;
            replace_link(&*self.fs, &path, text, durability(self.synced))?;
            // The system's own times have ticks of some milliseconds; by this one the order of two saves can be told.
            let given = self.next_time(&mut state);
            let time = u64::try_from(given).map(Duration::from_nanos);
            if let Ok(since) = time
                && let Ok(file) = std::fs::OpenOptions::new().write(true).open(&path)
                && file.set_modified(SystemTime::UNIX_EPOCH + since).is_ok()
            {
                state.note(&name, given);
            }
            Ok(())
        })
        .map_err(|failed| error::file("save", &path, failed))
    }

    /// Removes a file and says whether it was there. Called with the lock held.
    fn remove(&self, py: Python<'_>, name: OsString) -> PyResult<bool> {
        let path = self.path(&name);
        py.detach(|| minutebook_fs::remove(&*self.fs, &path, durability(self.synced)))
            .map_err(|failed| error::file("delete", &path, failed))
    }

    /// Removes many files; gives how many, and what went wrong.
    fn remove_all(
        &self,
        py: Python<'_>,
        names: Vec<OsString>,
    ) -> PyResult<(usize, Vec<(OsString, String)>)> {
        let mut removed = 0;
        let mut failed = Vec::new();
        for names in names.chunks(1_000) {
            py.check_signals()?;
            py.detach(|| {
                for name in names {
                    let path = self.path(name);
                    match minutebook_fs::remove(&*self.fs, &path, durability(false)) {
                        Ok(there) => removed += usize::from(there),
                        Err(error) => failed.push((name.clone(), error.source.to_string())),
                    }
                }
            });
        }
        if self.synced {
            let synced = py.detach(|| self.fs.sync_dir(&self.dir));
            synced.map_err(|e| {
                let lost = FsError::names("delete", &self.dir, e);
                error::file("delete", &self.dir, lost)
            })?;
        }
        Ok((removed, failed))
    }

    fn __repr__(&self) -> String {
        format!("DecisionFiles({})", self.dir.display())
    }
}
