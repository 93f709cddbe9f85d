//! What all calls on one directory share.

mod last;
mod series;
mod state;
mod sync;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use minutebook_core::SeriesId;
use minutebook_fs::{
    AppendLog, AppendOptions, Durability, FsError, FsFile, LockMode, LockWait, Metadata, OpenMode,
    Root, TornTail, torn_tail,
};

use crate::codec::kind::ColumnType;
use crate::config::{JsonlConfig, declared_types};
use crate::entries::{Group, Handles};
use crate::error::JsonlError;
use crate::layout;
use crate::logs::Logs;
use crate::segments::{self, Due, Paths, Sealers, View};

use last::Keeper;
pub(crate) use last::Last;
pub(crate) use series::Series;
pub(crate) use state::{Segments, State, is_same};

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
    /// A sync of closed files has ended.
    round_ended: Condvar,
    /// How many more of those who follow may keep their file open.
    pub(crate) follows: Handles,
    keeper: Mutex<Keeper>,
    /// The threads that compress what was sealed.
    pub(crate) sealers: Sealers,
}

impl Store {
    /// Opens a directory; it is created if absent.
    pub(crate) fn open(dir: &Path, config: JsonlConfig) -> Result<Self, JsonlError> {
        let declared = declared_types(config.declared.as_ref())?;
        // A store that is buffered is synced, too, when a flush or an interval asks for it: then its directory has to be there.
        let root = Root::open_or_create(Arc::clone(&config.fs), dir, Durability::Synced)?;
        let logs = Mutex::new(Logs::new(config.max_open_series));
        let follows = Handles::new(config.max_open_series.get());
        Ok(Self {
            root,
            config,
            declared,
            series: Mutex::default(),
            logs,
            round_ended: Condvar::new(),
            follows,
            keeper: Mutex::default(),
            sealers: Sealers::default(),
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
            syncing: Mutex::default(),
            state: Mutex::default(),
            readers: Mutex::default(),
            writers: Mutex::default(),
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

    /// Does something while nobody writes to a series; `None` if somebody does, or it cannot be known.
    pub(crate) fn while_none_writes<T>(
        &self,
        series: &Series,
        work: impl FnOnce() -> T,
    ) -> Option<T> {
        // Opened for reading, so that looking creates nothing.
        let writers = self.config.fs.open(&series.lock, OpenMode::Read).ok()?;
        writers.lock(LockMode::Shared, LockWait::Try).ok()?;
        let done = work();
        if let Err(error) = writers.unlock() {
            tracing::debug!(%error, "unlock failed; closing the lock file releases it");
        }
        Some(done)
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves nothing half-done: everything here is derived and checked again.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
