//! Opening a directory.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};

use minutebook_fs::{AppendLog, AppendOptions, Durability, Fs, Root, create_dir_all};

use super::Store;
use super::cache::Cache;
use super::combine::Queue;
use super::plain::refuse_journal;
use super::refresh::max_line_bytes;
use super::state::State;
use super::watching::Watching;
use crate::config::JsonDecisionConfig;
use crate::error::Result;
use crate::journal::Journal;
use crate::layout;

/// Where Linux tells one run of the machine from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl Store {
    /// Opens a directory, creates it if it is missing, and mends what a crash left.
    pub(crate) fn open(dir: &Path, config: JsonDecisionConfig) -> Result<Self> {
        let fs = Arc::clone(&config.fs);
        let root = match Root::open(Arc::clone(&fs), dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                create_dir_all(&*fs, dir, Durability::Synced)?;
                Root::open(Arc::clone(&fs), dir)?
            }
            opened => opened?,
        };
        let dir = root.path().to_owned();
        if !config.journal {
            // Before anything is put back into one.
            refuse_journal(&*fs, &dir)?;
        }
        let boot = boot(&*fs);
        let options = AppendOptions::default()
            .max_record_bytes(max_line_bytes(config.max_document_bytes))
            .lock_wait(config.lock_wait);
        let log = AppendLog::open(
            Arc::clone(&fs),
            dir.join(layout::JOURNAL),
            dir.join(layout::LOCK),
            options,
        )
        .with_ring(dir.join(layout::RING), boot.as_deref());
        let (fs, lost) = match log.recover() {
            Ok(bytes) => (fs, bytes > 0),
            Err(error) => {
                tracing::warn!(%error, "what the journal has lost in a power cut cannot be put back; it is read with it");
                (log.patched()?.unwrap_or(fs), true)
            }
        };
        let empty = Journal::new(Arc::clone(&fs), dir.join(layout::JOURNAL), 0);
        let store = Self {
            boot,
            log,
            lost,
            state: RwLock::new(State::new(empty, None)),
            cache: Cache::new(config.max_decisions),
            queue: Queue::default(),
            watching: Watching::new(config.watch_directory),
            learning: Mutex::new(()),
            seal_from: AtomicU64::new(0),
            sync_failed: AtomicBool::new(false),
            names_lost: AtomicBool::new(false),
            dir,
            fs,
            config,
        };
        let state = store.load_state()?;
        *store.write_state() = state;
        store.recover_at_open()?;
        Ok(store)
    }
}

/// The file system with the journal of a directory of decisions as it was before a power cut, for who reads it without opening the store. Nothing is
/// written; it is the one that is given if nothing was lost.
///
/// # Errors
/// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the directory cannot be read.
pub fn whole_journal(fs: &Arc<dyn Fs>, dir: &Path) -> minutebook_core::Result<Arc<dyn Fs>> {
    with_whole_journal(fs, dir).map_err(|error| error.into_core("read", dir.display()))
}

/// As [`whole_journal`].
pub(crate) fn with_whole_journal(fs: &Arc<dyn Fs>, dir: &Path) -> Result<Arc<dyn Fs>> {
    let log = AppendLog::open(
        Arc::clone(fs),
        dir.join(layout::JOURNAL),
        dir.join(layout::LOCK),
        AppendOptions::default(),
    )
    .with_ring(dir.join(layout::RING), boot(&**fs).as_deref());
    Ok(log.patched()?.unwrap_or_else(|| Arc::clone(fs)))
}

/// Which run of the machine this is: as long as it is the same, what was written is in the files.
fn boot(fs: &dyn Fs) -> Option<String> {
    let id = minutebook_fs::read(fs, Path::new(BOOT_ID), 1_000).unwrap_or_else(|error| {
        tracing::debug!(%error, "this run of the machine cannot be told from others");
        None
    })?;
    let hash = blake3::hash(id.trim_ascii()).to_hex();
    hash.get(..16).map(str::to_owned)
}
