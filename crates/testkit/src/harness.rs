//! How the suite gets at a store: made empty, opened, closed, opened again, opened twice.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use minutebook_core::time::from_nanos;
use minutebook_core::{Clock, ManualClock, Result};

use crate::case::Outcome;

/// One store under test, of the repository trait `R` (`dyn DecisionRepository`, `dyn TimeSeriesRepository` or `dyn Catalog`).
///
/// A harness owns the place of its store (a temporary directory, a schema in a database, a map in memory), hands out handles on it,
/// and takes the place away when it is dropped. A store that is claimed to be
/// [`Persistent`](minutebook_core::Capability::Persistent) must live in the place and not in the handles.
///
/// ```
/// use std::sync::Arc;
/// use minutebook_core::{DecisionRepository, ManualClock, Result};
/// use minutebook_testkit::{Harness, async_trait, test_clock};
/// # async fn open_my_store(_: Arc<ManualClock>) -> Result<Arc<dyn DecisionRepository>> { Err(minutebook_core::Error::unsupported("only an example")) }
///
/// struct MyHarness {
///     // dir: tempfile::TempDir,
///     clock: Arc<ManualClock>,
/// }
///
/// #[async_trait]
/// impl Harness<dyn DecisionRepository> for MyHarness {
///     fn new() -> Self {
///         Self { clock: test_clock() }
///     }
///
///     async fn open(&self) -> Result<Arc<dyn DecisionRepository>> {
///         open_my_store(Arc::clone(&self.clock)).await
///     }
///
///     fn clock(&self) -> Option<Arc<ManualClock>> {
///         Some(Arc::clone(&self.clock))
///     }
/// }
/// ```
#[async_trait]
pub trait Harness<R: ?Sized + Send + Sync + 'static>: Send + Sync + 'static {
    /// Makes the place for one empty store that shares nothing with any other. It may panic if there is none, since only tests call it.
    fn new() -> Self
    where
        Self: Sized;

    /// Opens a handle on the store. Called again while a handle lives, it opens a second one on the same store (only if the
    /// backend claims [`Shared`](minutebook_core::Capability::Shared)); called after all were closed, it opens the store again.
    async fn open(&self) -> Result<Arc<R>>;

    /// Closes a handle. Dropping it is enough for most backends.
    async fn close(&self, handle: Arc<R>) {
        drop(handle);
    }

    /// The clock that the store was given, if the suite may move it. With one, the cases check exact times.
    fn clock(&self) -> Option<Arc<ManualClock>> {
        None
    }
}

/// A clock for a [`Harness`]: it stands at 2025-06-01T12:00:00.123456789Z until a case moves it.
pub fn test_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(from_nanos(1_748_779_200_123_456_789)))
}

/// What a case gets: a fresh store and the means to open it.
pub struct Fixture<R: ?Sized + Send + Sync + 'static> {
    harness: Arc<dyn Harness<R>>,
}

impl<R: ?Sized + Send + Sync + 'static> Fixture<R> {
    /// Wraps a harness on which nothing was opened yet.
    pub fn new(harness: Arc<dyn Harness<R>>) -> Self {
        Self { harness }
    }

    /// Opens a handle.
    pub async fn open(&self) -> Outcome<Arc<R>> {
        let opened = self.harness.open().await;
        opened.map_err(|error| crate::Failure::from(error).context("opening the store"))
    }

    /// Closes a handle, which must be the only one, and opens the store again.
    pub async fn reopen(&self, handle: Arc<R>) -> Outcome<Arc<R>> {
        self.close(handle).await;
        self.open().await
    }

    /// Closes a handle.
    pub async fn close(&self, handle: Arc<R>) {
        self.harness.close(handle).await;
    }

    /// What the store's clock shows, if the suite may move it.
    pub fn now(&self) -> Option<DateTime<Utc>> {
        self.harness.clock().map(|clock| clock.now())
    }

    /// Moves the store's clock on by a second, if the suite may move it.
    pub fn step(&self) {
        if let Some(clock) = self.harness.clock() {
            clock.advance(TimeDelta::seconds(1));
        }
    }

    /// Sets the store's clock, if the suite may move it.
    pub fn set_clock(&self, now: DateTime<Utc>) {
        if let Some(clock) = self.harness.clock() {
            clock.set(now);
        }
    }
}

impl<R: ?Sized + Send + Sync + 'static> std::fmt::Debug for Fixture<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}
