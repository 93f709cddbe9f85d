//! Making durable what was appended, also to series whose log was closed since.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, PoisonError};

use minutebook_core::SeriesId;
use minutebook_fs::{AppendLog, FsError, OpenMode};

use super::{Series, Store, lock};
use crate::error::JsonlError;
use crate::logs::Begun;

impl Store {
    /// Makes durable what this store appended. `Ok` covers everything that was appended before the call, whoever else syncs at the same time.
    pub(crate) fn sync(&self) -> Result<(), JsonlError> {
        loop {
            let begun = lock(&self.logs).begin();
            let mut begun = begun.map_err(JsonlError::Poisoned)?;
            let closed = std::mem::take(&mut begun.closed);
            let round = Round {
                store: self,
                number: begun.number,
                left: closed,
            };
            let mut result = Ok(());
            for log in begun.open.drain(..) {
                result = result.and(log.sync().map_err(JsonlError::from));
            }
            result.and(round.sync())?;
            if self.wait_for_earlier(&begun)? {
                return Ok(());
            }
        }
    }

    /// Waits for the syncs of closed files that were going on when this one began: what they have taken up has to be durable, too. `false` if one of them left some of
    /// it undone.
    fn wait_for_earlier(&self, begun: &Begun) -> Result<bool, JsonlError> {
        let mut logs = lock(&self.logs);
        while logs.is_going_on_before(begun.number) {
            let woken = self.round_ended.wait(logs);
            logs = woken.unwrap_or_else(PoisonError::into_inner);
        }
        match logs.poisoned() {
            Some(why) => Err(JsonlError::Poisoned(why)),
            None => Ok(logs.left_undone() == begun.left_undone),
        }
    }

    /// Makes the lines of a series durable, whoever wrote them. The system keeps what was written through a handle that is closed now; any handle can sync it.
    ///
    /// That a sync failed is told once, to the handle that asks first. So one of them at a time is at work with a series, and what it is told is kept for all who come
    /// later.
    pub(super) fn sync_file(&self, series: &Series) -> Result<(), JsonlError> {
        let step = |error| FsError::unknown("sync", "sync", &series.data, error);
        let _alone = lock(&series.syncing);
        self.at_hand(series)?;
        match self.config.fs.open(&series.data, OpenMode::AppendExisting) {
            Ok(file) => file.sync_all().map_err(|error| {
                let why = format!("{}: {error}", series.data.display());
                lock(&self.logs).poison(&series.id, why);
                step(error)
            })?,
            // Who sealed it has synced it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(step(error).into()),
        }
        // A log that was opened meanwhile may have been told instead, and perhaps is about to say so.
        if let Some(log) = self.at_hand(series)? {
            log.sync()?;
        }
        Ok(())
    }

    /// The log of a series, if it is open.
    fn at_hand(&self, series: &Series) -> Result<Option<Arc<AppendLog>>, JsonlError> {
        let found = lock(&self.logs).at_hand(&series.id);
        found.map_err(JsonlError::Poisoned)
    }

    fn sync_names(&self) -> Result<(), JsonlError> {
        let dir = self.root.path();
        self.config.fs.sync_dir(dir).map_err(|error| {
            let why = format!("{}: {error}", dir.display());
            lock(&self.logs).poison_all(why);
            FsError::names("sync", dir, error).into()
        })
    }
}

/// A sync of closed files that is going on. What it has not done when it is dropped is left to the next.
struct Round<'a> {
    store: &'a Store,
    number: u64,
    left: HashSet<SeriesId>,
}

impl Round<'_> {
    fn sync(mut self) -> Result<(), JsonlError> {
        if self.left.is_empty() {
            return Ok(());
        }
        let mut result = Ok(());
        let mut left = HashSet::new();
        for id in &self.left {
            // There is no file of a name that no file can have.
            let Ok(series) = self.store.series(id) else {
                continue;
            };
            let synced = self.store.sync_file(&series);
            if synced.is_err() {
                left.insert(id.clone());
            }
            result = result.and(synced);
        }
        result = result.and(self.store.sync_names());
        self.left = left;
        result
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        let left = std::mem::take(&mut self.left);
        lock(&self.store.logs).end(self.number, left);
        self.store.round_ended.notify_all();
    }
}
