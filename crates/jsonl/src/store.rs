//! What all calls on one directory share.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use minutebook_core::SeriesId;
use minutebook_fs::{
    AppendLog, AppendOptions, Durability, FileId, FsError, FsFile, LockMode, LockWait, Metadata,
    OpenMode, Root, TornTail, torn_tail,
};

use crate::codec::kind::ColumnType;
use crate::config::{EpochUnit, JsonlConfig, declared_types};
use crate::entries::Group;
use crate::error::JsonlError;
use crate::index::{self, Columns, Index, Piece, Reading, Wanted};
use crate::layout;
use crate::logs::Logs;
use crate::segments::{self, Due, Paths, View};
use crate::types_file::Known;

/// A series that is there, with its files at this moment.
pub(crate) type Found = (Arc<Series>, View);

/// One open directory.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) root: Root,
    pub(crate) config: JsonlConfig,
    /// The columns that the configuration declares.
    pub(crate) declared: Vec<(String, ColumnType)>,
    series: Mutex<HashMap<SeriesId, Arc<Series>>>,
    logs: Mutex<Logs>,
    /// The thread that writes an index down, or did so last.
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens a directory; it is created if absent.
    pub(crate) fn open(dir: &Path, config: JsonlConfig) -> Result<Self, JsonlError> {
        let declared = declared_types(config.declared.as_ref())?;
        let root = Root::open_or_create(Arc::clone(&config.fs), dir, config.durability)?;
        let logs = Mutex::new(Logs::new(config.max_open_series));
        Ok(Self {
            root,
            config,
            declared,
            series: Mutex::default(),
            logs,
            keeper: Mutex::default(),
        })
    }

    /// The files of a series and what is known of them.
    pub(crate) fn series(&self, id: &SeriesId) -> Result<Arc<Series>, JsonlError> {
        if let Some(series) = lock(&self.series).get(id) {
            return Ok(Arc::clone(series));
        }
        let names = layout::names_of(id)?;
        let series = Arc::new(Series {
            id: id.clone(),
            data: self.root.join(&[&names.data])?,
            lock: self.root.join(&[&names.lock])?,
            types: self.root.join(&[&names.types])?,
            seal: self.root.join(&[&names.seal])?,
            reads: self.root.join(&[&names.reads])?,
            sealed: Paths {
                dir: self.root.join(&[&names.sealed])?,
            },
            due: Due::default(),
            group: Group::default(),
            index: self.root.join(&[&names.index])?,
            keep_at: AtomicU64::new(0),
            state: Mutex::default(),
        });
        let mut all = lock(&self.series);
        Ok(Arc::clone(all.entry(id.clone()).or_insert(series)))
    }

    /// As [`view`](segments::view), for a series that is only read. What is not there is not remembered either.
    pub(crate) fn find(&self, id: &SeriesId) -> Result<Option<Found>, JsonlError> {
        let series = self.series(id)?;
        let Some(view) = segments::view(self, &series)? else {
            let mut all = lock(&self.series);
            // Ours and the map's: nobody else is at work with it.
            if Arc::strong_count(&series) == 2 {
                all.remove(id);
            }
            return Ok(None);
        };
        Ok(Some((series, view)))
    }

    /// The log that appends to a series.
    pub(crate) fn log(&self, series: &Series) -> Arc<AppendLog> {
        lock(&self.logs).get(&series.id, || {
            let options = AppendOptions::default()
                .max_record_bytes(self.config.max_line_bytes)
                .max_batch_bytes(self.config.max_batch_bytes)
                .lock_wait(self.config.lock_wait);
            let fs = Arc::clone(&self.config.fs);
            AppendLog::open(fs, &series.data, &series.lock, options)
        })
    }

    /// Refuses what is too much for one write.
    pub(crate) fn check_batch(&self, bytes: usize) -> Result<(), JsonlError> {
        let limit = self.config.max_batch_bytes;
        if bytes > limit {
            return Err(JsonlError::Input(format!(
                "the batch makes {bytes} bytes; the limit is {limit}: split it"
            )));
        }
        Ok(())
    }

    /// Makes durable what this store appended.
    pub(crate) fn sync(&self) -> Result<(), JsonlError> {
        if let Some(why) = lock(&self.logs).poisoned() {
            return Err(JsonlError::Poisoned(why));
        }
        let (open, closed) = lock(&self.logs).take_unsynced();
        let mut result = Ok(());
        for (_, log) in open {
            result = result.and(log.sync());
        }
        if closed.is_empty() {
            return Ok(result?);
        }
        for id in &closed {
            result = result.and(self.sync_closed(id));
        }
        let dir = self.root.path();
        let names = self.config.fs.sync_dir(dir);
        result = result
            .and(names.map_err(|error| FsError::unknown("sync", "sync the directory", dir, error)));
        if let Err(error) = &result {
            lock(&self.logs).poison(error.to_string());
        }
        Ok(result?)
    }

    /// The system keeps what was written through a handle that is closed now; any handle can sync it.
    fn sync_closed(&self, id: &SeriesId) -> Result<(), FsError> {
        let Ok(series) = self.series(id) else {
            return Ok(());
        };
        let step = |error| FsError::unknown("sync", "sync", &series.data, error);
        match self.config.fs.open(&series.data, OpenMode::AppendExisting) {
            Ok(file) => file.sync_all().map_err(step),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(step(error)),
        }
    }

    /// What is known of the file at a path; `None` if there is none.
    pub(crate) fn metadata(&self, path: &Path) -> Result<Option<Metadata>, JsonlError> {
        match self.config.fs.metadata(path) {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FsError::not_applied("read", "look at it", path, error).into()),
        }
    }

    /// Opens the lines of a series for reading; `None` if there is no such series.
    pub(crate) fn reader(&self, series: &Series) -> Result<Option<Arc<dyn FsFile>>, JsonlError> {
        let step = |error| FsError::not_applied("read", "open", &series.data, error);
        match self.config.fs.open(&series.data, OpenMode::Read) {
            Ok(file) if file.metadata().map_err(step)?.is_file() => Ok(Some(file.into())),
            Ok(_) => Err(step(io::Error::new(
                io::ErrorKind::InvalidInput,
                "is not a regular file",
            ))
            .into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(step(error).into()),
        }
    }

    /// What a crash left after the last complete line. A writer who is at work leaves nothing: its line is not complete yet.
    pub(crate) fn torn_tail(
        &self,
        series: &Series,
        file: &Arc<dyn FsFile>,
    ) -> Result<Option<TornTail>, JsonlError> {
        let first = torn_tail(&**file).map_err(JsonlError::Read)?;
        if first.is_none() {
            return Ok(None);
        }
        // Opened for reading, so that looking creates nothing.
        let Ok(writers) = self.config.fs.open(&series.lock, OpenMode::Read) else {
            return Ok(first);
        };
        match writers.lock(LockMode::Shared, LockWait::Try) {
            Ok(()) => {
                let tail = torn_tail(&**file).map_err(JsonlError::Read);
                if let Err(error) = writers.unlock() {
                    tracing::debug!(%error, "unlock failed; closing the lock file releases it");
                }
                tail
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(_) => Ok(first),
        }
    }
}

/// Waits for the thread that writes an index down, as the last handle of a repository is dropped: a program that ends then leaves a whole index.
#[derive(Debug)]
pub(crate) struct Last(pub(crate) Arc<Store>);

impl Drop for Last {
    fn drop(&mut self) {
        let thread = lock(&self.0.keeper).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes indexes panicked");
        }
    }
}

/// One series: its files, and what this process knows of them.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) id: SeriesId,
    pub(crate) data: PathBuf,
    lock: PathBuf,
    pub(crate) types: PathBuf,
    /// The lock of who seals, compacts or deletes.
    pub(crate) seal: PathBuf,
    /// The lock of reads of many segments: who removes some keeps them out.
    pub(crate) reads: PathBuf,
    pub(crate) sealed: Paths,
    pub(crate) due: Due,
    /// Synced appends of this process that wait.
    pub(crate) group: Group,
    pub(crate) index: PathBuf,
    /// At which length of the file its index is written down again; 0 until it was looked whether there is one.
    keep_at: AtomicU64,
    state: Mutex<State>,
}

impl Series {
    /// What is known, for this caller alone.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether its index is to be written down, now that the file has grown.
    pub(crate) fn index_is_due(&self, store: &Store) -> bool {
        let (every, len) = (store.config.index_bytes, self.due.end());
        if every == 0 || len < every {
            return false;
        }
        let mut at = self.keep_at.load(Ordering::Relaxed);
        if at == 0 {
            let reading = self.state().reading(store);
            let known = index::load(&*store.config.fs, &self.index, reading);
            at = next_keep(known.map_or(0, |index| index.end), every);
            self.keep_at.store(at, Ordering::Relaxed);
        }
        len >= at
    }

    /// Has its index written down by a thread that nobody waits for; `false` if there is so little to read that the caller may do it. A store has one such thread at a
    /// time: while it is busy with another series, this one stays due.
    pub(crate) fn keep_index_aside(self: &Arc<Self>, store: &Arc<Store>) -> bool {
        const LITTLE: u64 = 1 << 20;
        if self.due.end() < LITTLE {
            return false;
        }
        let mut keeper = lock(&store.keeper);
        if keeper.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return true;
        }
        let (shared, series) = (Arc::clone(store), Arc::clone(self));
        let thread = std::thread::Builder::new().name("minutebook-index".to_owned());
        match thread.spawn(move || series.keep_index(&shared)) {
            Ok(thread) => *keeper = Some(thread),
            Err(error) => {
                tracing::warn!(%error, "no thread to write an index; the next append tries again");
            }
        }
        true
    }

    /// Writes its index down, for processes to come. What fails here is only logged: nothing needs it.
    pub(crate) fn keep_index(&self, store: &Store) {
        match self.write_index(store) {
            Ok(end) => tracing::debug!(path = %self.index.display(), end, "wrote the index"),
            Err(error) => {
                tracing::warn!(path = %self.index.display(), %error, "the index could not be written; new processes read the whole file");
            }
        }
    }

    /// Writes its index down. Gives how far it reaches.
    pub(crate) fn write_index(&self, store: &Store) -> Result<u64, JsonlError> {
        let Some(file) = store.reader(self)? else {
            return Err(JsonlError::NoSeries);
        };
        let (index, reading) = self.index_of(store, &file)?;
        // Next time, whatever becomes of this one.
        let next = next_keep(index.end, store.config.index_bytes.max(1));
        self.keep_at.store(next, Ordering::Relaxed);
        // First the lines: an index must not outlive them.
        store.sync_closed(&self.id)?;
        index::save(&*store.config.fs, &self.index, &index, reading)?;
        Ok(index.end)
    }

    /// The index of the plain file. The file is read while nobody waits for what is known of the series: an append needs that under the writers' lock.
    fn index_of(
        &self,
        store: &Store,
        file: &Arc<dyn FsFile>,
    ) -> Result<(Arc<Index>, Reading), JsonlError> {
        let (known, live, unit, reading) = {
            let mut state = self.state();
            state.refresh_types(store, self)?;
            let reading = state.reading(store);
            state.load_index(store, self, file, reading);
            let known = state.index.as_ref().map(Arc::clone);
            (known, state.segments.live, state.unit, reading)
        };
        let (index, _) = index::refresh(known, file, reading, None).map_err(cut)?;
        let mut state = self.state();
        let is_newer = state
            .index
            .as_ref()
            .is_none_or(|now| now.is_as(&index) && now.end < index.end);
        if is_newer && (state.segments.live, state.unit) == (live, unit) {
            state.index = Some(Arc::clone(&index));
        }
        Ok((index, reading))
    }

    /// Notes that the plain file begins anew.
    pub(crate) fn was_sealed(&self) {
        self.due.sealed();
        self.keep_at.store(0, Ordering::Relaxed);
    }

    /// Removes what is written down of its index.
    pub(crate) fn remove_index(&self, store: &Store) -> Result<(), JsonlError> {
        self.keep_at.store(0, Ordering::Relaxed);
        if store.metadata(&self.index)?.is_some() {
            store.root.remove(&self.index, Durability::Buffered)?;
        }
        Ok(())
    }

    /// The name of the file, as reports show it.
    pub(crate) fn resource(&self) -> String {
        self.data.display().to_string()
    }
}

/// What is known of a series' files.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) index: Option<Arc<Index>>,
    /// The unit with which the index was built.
    unit: Option<EpochUnit>,
    pub(crate) types: Known,
    pub(crate) segments: Segments,
}

/// What is known of the segments before the plain file.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    pub(crate) known: segments::Known,
    /// The index of the segment that is not yet compressed.
    pub(crate) raw: Option<Arc<Index>>,
    /// Indexes of compressed segments that were needed, by number, of the series with this id; each with the file that it is of, since a segment may be sealed anew
    /// under its number.
    indexes: HashMap<u64, (Metadata, Arc<Index>)>,
    pub(crate) id: String,
    /// What the columns of all segments have shown, as of this generation of the manifest and with or without a plain segment.
    pub(crate) shown: Option<((u64, bool), Arc<Columns>)>,
    /// The number that the plain file gets, of which the index is.
    pub(crate) live: u64,
}

/// So many indexes of compressed segments are kept for a series.
const KEPT_INDEXES: usize = 64;

impl Segments {
    /// The index of a segment, if what is known is of this very file.
    pub(crate) fn index_of(&self, number: u64, file: &Metadata) -> Option<Arc<Index>> {
        let (of, index) = self.indexes.get(&number)?;
        let same = (of.id, of.len, of.changed_ns) == (file.id, file.len, file.changed_ns);
        same.then(|| Arc::clone(index))
    }

    /// Keeps the index of a segment.
    pub(crate) fn keep_index(&mut self, number: u64, file: Metadata, index: &Arc<Index>) {
        if self.indexes.len() >= KEPT_INDEXES && !self.indexes.contains_key(&number) {
            self.indexes.clear();
        }
        self.indexes.insert(number, (file, Arc::clone(index)));
    }

    /// Forgets the index of a segment.
    pub(crate) fn forget_index(&mut self, number: u64) {
        self.indexes.remove(&number);
    }
}

impl State {
    /// How lines are read now.
    pub(crate) fn reading(&self, store: &Store) -> Reading {
        Reading {
            max_line_bytes: store.config.max_line_bytes,
            unit: self.unit(store),
            threads: store.config.read_ahead.get(),
        }
    }

    /// Notes which number the plain file gets, and of which series. If it is another one than before, what is known is of another file, even if
    /// the system gave it the same id.
    pub(crate) fn live_is(&mut self, id: &str, number: u64) {
        if self.segments.id != id {
            id.clone_into(&mut self.segments.id);
            self.segments.indexes.clear();
            self.segments.raw = None;
            self.segments.shown = None;
            self.index = None;
        }
        if self.segments.live != number {
            self.segments.live = number;
            self.index = None;
        }
    }

    /// Takes what is known of a file that was sealed, perhaps a moment ago.
    pub(crate) fn take_index(&mut self, file: FileId) -> Option<Arc<Index>> {
        let of_it =
            |index: &&mut Option<Arc<Index>>| index.as_ref().is_some_and(|index| index.is_of(file));
        [&mut self.segments.raw, &mut self.index]
            .into_iter()
            .find(of_it)?
            .take()
    }

    /// Brings the types in step with their file. Indexes that were built with another unit are dropped.
    pub(crate) fn refresh_types(
        &mut self,
        store: &Store,
        series: &Series,
    ) -> Result<(), JsonlError> {
        self.types.refresh(&*store.config.fs, &series.types)?;
        let unit = self.unit(store);
        if unit != self.unit {
            self.index = None;
            self.segments.raw = None;
            self.segments.indexes.clear();
            self.unit = unit;
        }
        Ok(())
    }

    /// Brings everything in step with an open file, and gives its index.
    pub(crate) fn refresh(
        &mut self,
        store: &Store,
        series: &Series,
        file: &Arc<dyn FsFile>,
    ) -> Result<Arc<Index>, JsonlError> {
        self.refresh_keeping(store, series, file, None)
            .map(|(index, _)| index)
    }

    /// As [`refresh`](Self::refresh). If the whole file has to be read for it, the rows that are wanted are kept on the way.
    pub(crate) fn refresh_keeping(
        &mut self,
        store: &Store,
        series: &Series,
        file: &Arc<dyn FsFile>,
        wanted: Option<&Wanted>,
    ) -> Result<(Arc<Index>, Option<Vec<Piece>>), JsonlError> {
        self.refresh_types(store, series)?;
        let reading = self.reading(store);
        self.load_index(store, series, file, reading);
        let (index, kept) =
            index::refresh(self.index.take(), file, reading, wanted).map_err(cut)?;
        self.index = Some(Arc::clone(&index));
        Ok((index, kept))
    }

    /// Takes what is written down of the file, if nothing is known of it.
    fn load_index(
        &mut self,
        store: &Store,
        series: &Series,
        file: &Arc<dyn FsFile>,
        reading: Reading,
    ) {
        if self.index.is_none() {
            let saved = index::load(&*store.config.fs, &series.index, reading);
            let saved = saved.filter(|saved| index::probes_match(saved, file).unwrap_or(false));
            self.index = saved;
        }
    }

    /// What numbers in the time column count: what was declared when they were written, else what the configuration says.
    pub(crate) fn unit(&self, store: &Store) -> Option<EpochUnit> {
        self.types.types.epoch_unit.or(store.config.time.unit)
    }
}

fn cut(error: io::Error) -> JsonlError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        JsonlError::Shrunk
    } else {
        JsonlError::Read(error)
    }
}

/// After so many bytes more, or a quarter if that is more: so that what is written down over and over stays in proportion.
fn next_keep(end: u64, every: u64) -> u64 {
    end.saturating_add(every.max(end / 4))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves nothing half-done: everything here is derived and checked again.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
