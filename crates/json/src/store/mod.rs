//! The directory of decisions as one process sees it: journal, files, and what is known of both.

mod cache;
mod checkpoint;
mod combine;
mod facts;
mod files;
mod foreign;
mod history;
mod index;
mod lost;
mod mend;
mod open;
mod plain;
mod plan;
mod query;
mod raw;
mod read;
mod recover;
mod refresh;
mod rotate;
mod state;
mod unrecorded;
mod watch;
mod watching;
mod write;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use minutebook_core::{DecisionFilter, DecisionId, Revision, SaveMode, SaveReceipt};
use minutebook_fs::{AppendLog, Fs};

use crate::config::JsonDecisionConfig;
use crate::error::Result;
pub(crate) use refresh::max_line_bytes;

use cache::Cache;
use combine::Queue;
pub use open::whole_journal;
pub(crate) use open::with_whole_journal;
pub(crate) use plain::needs_journal;
pub(crate) use plan::Coming;
pub(crate) use raw::{Raw, RawBytes};
use state::State;
use watching::Watching;

/// One mutation.
#[derive(Debug)]
pub(crate) enum Op {
    Save(Box<Coming>, SaveMode),
    /// Text that is kept letter for letter.
    SaveRaw(Box<Coming>, SaveMode),
    Delete(DecisionId),
    /// Only in this state.
    DeleteSeen(DecisionId, Revision),
    DeleteMatching(DecisionFilter),
}

/// What a mutation did.
#[derive(Debug)]
pub(crate) enum Done {
    Saved(SaveReceipt),
    /// So many decisions were there and are gone.
    Deleted(u64),
}

/// A directory of decisions.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    fs: Arc<dyn Fs>,
    config: JsonDecisionConfig,
    /// Which run of the machine this is, where the platform tells.
    boot: Option<String>,
    log: AppendLog,
    /// Whether the journal's end was lost and had to be put back, so that files may be, too.
    lost: bool,
    state: RwLock<State>,
    cache: Cache,
    queue: Queue,
    watching: Watching,
    /// Held while files are re-listed or read to learn what is in them, so that threads do not do it twice.
    learning: Mutex<()>,
    /// The active file is not sealed before it is so long again, because its number is taken, or the file system has no links.
    seal_from: AtomicU64,
    /// Whether a sync of documents or their names has failed, after which the system may take for written what is not.
    sync_failed: AtomicBool,
    /// Whether it was one of names.
    names_lost: AtomicBool,
}

impl Store {
    pub(crate) fn dir(&self) -> &PathBuf {
        &self.dir
    }

    pub(crate) fn config(&self) -> &JsonDecisionConfig {
        &self.config
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        // What is known is checked against the disk before it is used, so a panic elsewhere leaves nothing to fear.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Carries out mutations, together with those of others that wait. `inline` does it on this thread, and leaves maintenance to the
    /// caller.
    pub(crate) async fn submit(self: &Arc<Self>, ops: Vec<Op>, inline: bool) -> Vec<Result<Done>> {
        let (results, leads) = self.queue.enter(ops);
        if leads && inline {
            self.queue.lead(|ops| self.run(ops));
        } else if leads {
            let leader = Leader(Some(Arc::clone(self)));
            minutebook_fs::task::detached(move || leader.lead());
        }
        results.await
    }
}

/// The work of leading the queue. If it is dropped before it has begun, those who wait are told.
struct Leader(Option<Arc<Store>>);

impl Leader {
    fn lead(mut self) {
        let Some(store) = self.0.take() else { return };
        store.queue.lead(|ops| {
            let together = ops.len() as u64;
            let results = store.run(ops);
            store.maintain(together);
            results
        });
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if let Some(store) = &self.0 {
            store.queue.abandon();
        }
    }
}
