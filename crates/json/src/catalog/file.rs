//! The registry's file: read when it has changed, replaced whole under a lock, one replacement for all changes that wait.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use minutebook_fs::{FileId, FsError, LockMode};

use super::ops::{Done, Draft, Op};
use super::registry::Registry;
use crate::config::JsonCatalogConfig;
use crate::error::{JsonError, Result};

/// So long after a file's state was first seen no change can hide behind the same times: see [`Snapshot::confirmed`].
const TICK: Duration = Duration::from_millis(20);
const COARSE_TICK: Duration = Duration::from_millis(2_500);

#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    lock_path: PathBuf,
    pub(super) config: JsonCatalogConfig,
    /// The registry as last read or written.
    last: RwLock<Option<Snapshot>>,
    /// Changes that wait for a thread to carry them out.
    waiting: Mutex<Vec<Arc<Job>>>,
    /// One thread at a time carries out changes; the value is the last number that it gave to one.
    turn: Mutex<u64>,
}

/// A change that waits.
#[derive(Debug)]
struct Job {
    op: Op,
    done: Mutex<Option<Result<Done>>>,
}

/// The registry, and the state of the file that it was read from.
#[derive(Debug, Clone)]
struct Snapshot {
    registry: Arc<Registry>,
    stamp: Option<Stamp>,
    /// When this stamp was first seen.
    first: Instant,
    /// Whether the content was read so long after `first` that a later change must have given another stamp.
    confirmed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: FileId,
    len: u64,
    modified: std::time::SystemTime,
    changed_ns: i128,
}

impl Stamp {
    fn tick(stamp: Option<&Self>) -> Duration {
        match stamp {
            Some(stamp) if stamp.changed_ns % 1_000_000_000 == 0 => COARSE_TICK,
            _ => TICK,
        }
    }
}

impl File {
    pub(super) fn new(path: PathBuf, lock_path: PathBuf, config: JsonCatalogConfig) -> Self {
        Self {
            path,
            lock_path,
            config,
            last: RwLock::new(None),
            waiting: Mutex::default(),
            turn: Mutex::default(),
        }
    }

    fn last(&self) -> Option<Snapshot> {
        self.last
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, snapshot: Snapshot) {
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
    }

    /// The registry as last read, if the file has not changed since. One call to the system.
    pub(super) fn unchanged(&self) -> Result<Option<Arc<Registry>>> {
        let Some(last) = self.last().filter(|last| last.confirmed) else {
            return Ok(None);
        };
        Ok((self.stamp()? == last.stamp).then_some(last.registry))
    }

    fn stamp(&self) -> Result<Option<Stamp>> {
        match self.config.fs.metadata(&self.path) {
            Ok(meta) => Ok(Some(Stamp {
                file: meta.id,
                len: meta.len,
                modified: meta.modified,
                changed_ns: meta.changed_ns,
            })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(FsError::not_applied("read", "look at the file", &self.path, error).into())
            }
        }
    }

    /// The registry as it is now.
    pub(super) fn read(&self) -> Result<Arc<Registry>> {
        if let Some(registry) = self.unchanged()? {
            return Ok(registry);
        }
        let stamp = self.stamp()?;
        let now = Instant::now();
        let bytes =
            minutebook_fs::read(&*self.config.fs, &self.path, self.config.max_registry_bytes)?;
        let last = self.last();
        let registry = match (&last, bytes) {
            (Some(last), bytes) if last.registry.is_from(bytes.as_deref()) => {
                Arc::clone(&last.registry)
            }
            (Some(last), Some(bytes)) => Arc::new(last.registry.follow(bytes)?),
            (_, bytes) => Arc::new(Registry::parse(&self.path, bytes)?),
        };
        let first = match &last {
            Some(last) if last.stamp == stamp => last.first,
            _ => now,
        };
        // Times have ticks: only what is read a tick after its stamp was first seen is known to be the last under it.
        let confirmed = now.duration_since(first) >= Stamp::tick(stamp.as_ref());
        self.keep(Snapshot {
            registry: Arc::clone(&registry),
            stamp,
            first,
            confirmed,
        });
        Ok(registry)
    }

    /// Returns when the change was carried out, by this thread or by another together with its own.
    pub(super) fn change(&self, op: Op) -> Result<Done> {
        let job = Arc::new(Job {
            op,
            done: Mutex::new(None),
        });
        lock(&self.waiting).push(Arc::clone(&job));
        let mut turn = lock(&self.turn);
        if let Some(done) = lock(&job.done).take() {
            return done;
        }
        let jobs = std::mem::take(&mut *lock(&self.waiting));
        self.carry_out(&jobs, &mut turn);
        drop(turn);
        // Empty only if another thread took this job and panicked over it.
        lock(&job.done).take().unwrap_or(Err(JsonError::Abandoned))
    }

    /// Reads, changes and replaces under the lock.
    fn carry_out(&self, jobs: &[Arc<Job>], generation: &mut u64) {
        let config = &self.config;
        let fail = |error: JsonError| {
            for job in jobs.iter().skip(1) {
                *lock(&job.done) = Some(Err(error.copy()));
            }
            if let Some(job) = jobs.first() {
                *lock(&job.done) = Some(Err(error));
            }
        };
        let locked = config
            .fs
            .lock(&self.lock_path, LockMode::Exclusive, config.lock_wait)
            .map_err(|error| FsError::not_applied("write", "lock", &self.lock_path, error).into());
        let (_lock, registry) = match locked.and_then(|lock| Ok((lock, self.read()?))) {
            Ok(held) => held,
            Err(error) => return fail(error),
        };
        let mut draft = Draft::new(Registry::clone(&registry), *generation);
        let results: Vec<_> = jobs
            .iter()
            .map(|job| draft.apply(&job.op, config.clock.now()))
            .collect();
        if draft.changed {
            let text = draft.registry.text().as_bytes();
            if let Err(error) =
                minutebook_fs::replace(&*config.fs, &self.path, text, config.durability)
            {
                // Also for those that were refused: they may have been so because of what now is not there.
                return fail(error.into());
            }
            *generation = draft.generation().unwrap_or(*generation);
            // Who writes without the lock may have been here already, so the next read compares the bytes.
            match self.stamp() {
                Ok(stamp) => self.keep(Snapshot {
                    registry: Arc::new(draft.registry),
                    stamp,
                    first: Instant::now(),
                    confirmed: false,
                }),
                Err(error) => {
                    tracing::debug!(%error, "the registry that was written will be read again");
                }
            }
        }
        for (job, result) in jobs.iter().zip(results) {
            *lock(&job.done) = Some(result);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
