//! One series: its files, and the index that is written down beside them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use minutebook_core::SeriesId;
use minutebook_fs::Durability;

use super::{State, Store, lock};
use crate::entries::Group;
use crate::error::JsonlError;
use crate::index;
use crate::segments::{self, Due, Paths};

/// One series: its files, and what this process knows of them.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) id: SeriesId,
    pub(crate) data: PathBuf,
    pub(super) lock: PathBuf,
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
    pub(super) keep_at: AtomicU64,
    /// Held by who syncs the lines through a handle of his own.
    pub(super) syncing: Mutex<()>,
    pub(super) state: Mutex<State>,
    /// Of the reads one at a time reads a file of which nothing is known; of the writes, too, which wait for no read.
    pub(crate) readers: Mutex<()>,
    pub(crate) writers: Mutex<()>,
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
    /// time: while it is busy with another series, this one stays due. After the last handle of the store is gone there is none.
    pub(crate) fn keep_index_aside(self: &Arc<Self>, store: &Arc<Store>) -> bool {
        const LITTLE: u64 = 1 << 20;
        if self.due.end() < LITTLE {
            return false;
        }
        let mut keeper = lock(&store.keeper);
        let busy = |thread: &JoinHandle<()>| !thread.is_finished();
        if keeper.ended || keeper.thread.as_ref().is_some_and(busy) {
            return true;
        }
        let (shared, series) = (Arc::clone(store), Arc::clone(self));
        let thread = std::thread::Builder::new().name("minutebook-index".to_owned());
        match thread.spawn(move || series.keep_index(&shared)) {
            Ok(thread) => keeper.thread = Some(thread),
            Err(error) => {
                tracing::warn!(%error, "no thread to write an index; the next append tries again");
            }
        }
        true
    }

    /// Writes its index down, for processes to come. What fails here is only logged: nothing needs it. That the lines could not be synced is kept, and told to who
    /// appends to the series or syncs.
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
        let (index, reading) = segments::plain_index(store, self)?;
        // Next time, whatever becomes of this one.
        let next = next_keep(index.end, store.config.index_bytes.max(1));
        self.keep_at.store(next, Ordering::Relaxed);
        // First the lines: an index must not outlive them.
        store.sync_file(self)?;
        index::save(&*store.config.fs, &self.index, &index, reading)?;
        Ok(index.end)
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

/// After so many bytes more, or a quarter if that is more: so that what is written down over and over stays in proportion.
fn next_keep(end: u64, every: u64) -> u64 {
    end.saturating_add(every.max(end / 4))
}
