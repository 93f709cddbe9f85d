//! A store in memory that fails, fails after it did the work, sends twice, and delays; and one that breaks its promise.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part; helpers of tests fail the test"
)]

use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    Fine,
    Late,
    Lost,
    DoneButFailed,
    Twice,
}

#[derive(Debug, Default)]
pub(crate) struct Shaky {
    pub(crate) inner: InMemory,
    /// State of a generator; 0 is a steady store.
    pub(crate) state: AtomicU64,
    /// Nothing fails: requests are only late, or sent twice.
    pub(crate) only_delays: bool,
    /// The next commits (writes of log entries) happen, and their answers are lost.
    pub(crate) deaf: AtomicU64,
    /// Entries cannot be read after that, so often.
    pub(crate) blind: AtomicU64,
    pub(crate) dazed: AtomicBool,
    pub(crate) careless: bool,
    /// What happens to every write of an object whose path begins so, whatever chance says.
    pub(crate) writes: Mutex<Option<(&'static str, Fate)>>,
    /// Nothing can be deleted.
    pub(crate) stuck: AtomicBool,
    pub(crate) puts: AtomicU64,
    /// Requests of all kinds.
    pub(crate) requests: AtomicU64,
    /// The request of this number waits for `resume`.
    pub(crate) halt_at: AtomicU64,
    /// Every read of a whole file of rows takes so many milliseconds.
    pub(crate) slow: AtomicU64,
    /// The next write of rows waits for `resume`.
    pub(crate) stall: AtomicBool,
    pub(crate) stalled: Notify,
    pub(crate) resume: Notify,
}

impl Shaky {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
            ..Self::default()
        }
    }

    fn fate(&self) -> Fate {
        let step = |x: u64| {
            x.wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(u64::from(x != 0))
        };
        let before = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |x| Some(step(x)))
            .unwrap();
        match step(before) >> 33 {
            0 => Fate::Fine,
            x if self.only_delays && x % 19 < 2 => Fate::Twice,
            x if x % 19 == 0 => Fate::Lost,
            x if x % 19 == 1 => Fate::DoneButFailed,
            x if x % 19 < 5 => Fate::Twice,
            x if x % 19 < 8 => Fate::Late,
            _ => Fate::Fine,
        }
    }

    async fn before(&self) -> Result<Fate> {
        let number = 1 + self.requests.fetch_add(1, Ordering::SeqCst);
        if self.halt_at.load(Ordering::SeqCst) == number {
            self.stalled.notify_one();
            self.resume.notified().await;
        }
        let fate = self.fate();
        match fate {
            Fate::Lost => Err(failed()),
            Fate::Late => {
                tokio::task::yield_now().await;
                Ok(fate)
            }
            _ => Ok(fate),
        }
    }
}

fn failed() -> object_store::Error {
    object_store::Error::Generic {
        store: "Shaky",
        source: "the network is down".into(),
    }
}

impl fmt::Display for Shaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shaky")
    }
}

#[async_trait]
impl ObjectStore for Shaky {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut opts: PutOptions,
    ) -> Result<PutResult> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        if self.careless {
            opts.mode = PutMode::Overwrite;
        }
        if location.as_ref().contains("/data/") && self.stall.swap(false, Ordering::SeqCst) {
            self.stalled.notify_one();
            self.resume.notified().await;
        }
        let mut fate = self.before().await?;
        let entry = location.as_ref().contains("/log/") && location.extension() == Some("json");
        if let Some((prefix, always)) = *self.writes.lock().unwrap()
            && location.as_ref().starts_with(prefix)
        {
            fate = always;
        }
        let ordered = |left: u64| left.checked_sub(1);
        if entry
            && !location.as_ref().ends_with("hint.json")
            && self
                .deaf
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, ordered)
                .is_ok()
        {
            fate = Fate::DoneButFailed;
            self.dazed.store(true, Ordering::SeqCst);
        }
        let first = self
            .inner
            .put_opts(location, payload.clone(), opts.clone())
            .await;
        match fate {
            Fate::DoneButFailed => first.and(Err(failed())),
            Fate::Twice => self.inner.put_opts(location, payload, opts).await,
            _ => first,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let fewer = |left: u64| left.checked_sub(1);
        if self.dazed.load(Ordering::SeqCst)
            && self
                .blind
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer)
                .is_ok()
        {
            return Err(failed());
        }
        self.before().await?;
        let slow = self.slow.load(Ordering::SeqCst);
        if slow > 0 && location.as_ref().contains("/data/") {
            tokio::time::sleep(std::time::Duration::from_millis(slow)).await;
        }
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.before().await?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        match self.fate() {
            _ if self.stuck.load(Ordering::SeqCst) => {
                futures_util::stream::once(async { Err(failed()) }).boxed()
            }
            Fate::Lost => futures_util::stream::once(async { Err(failed()) }).boxed(),
            _ => self.inner.delete_stream(locations),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.before().await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
