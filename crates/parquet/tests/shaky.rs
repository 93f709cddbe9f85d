//! A store that fails, fails after it did the work, sends twice, and delays; and one that breaks its promise.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use common::{all, batch, range, series, threaded};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use minutebook_core::{ErrorKind, ScanQuery, SeriesFilter, TimeSeriesRepository, WriteMode};
use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository};
use minutebook_parquet::{Retention, VacuumOptions};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Fine,
    Late,
    Lost,
    DoneButFailed,
    Twice,
}

#[derive(Debug, Default)]
struct Shaky {
    inner: InMemory,
    /// State of a generator; 0 is a steady store.
    state: AtomicU64,
    careless: bool,
    puts: AtomicU64,
    /// The next write of rows waits for `resume`.
    stall: AtomicBool,
    stalled: Notify,
    resume: Notify,
}

impl Shaky {
    fn new(seed: u64) -> Self {
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
            x if x % 19 == 0 => Fate::Lost,
            x if x % 19 == 1 => Fate::DoneButFailed,
            x if x % 19 < 5 => Fate::Twice,
            x if x % 19 < 8 => Fate::Late,
            _ => Fate::Fine,
        }
    }

    async fn before(&self) -> Result<Fate> {
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
        let fate = self.before().await?;
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
        self.before().await?;
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
        match self.fate() {
            Fate::Lost => futures_util::stream::once(async { Err(failed()) }).boxed(),
            _ => self.inner.delete_stream(locations),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
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

fn over(store: &Arc<Shaky>) -> ParquetTimeSeriesRepository {
    ParquetTimeSeriesRepository::with_store(Arc::clone(store) as _, ParquetConfig::default())
}

#[test]
fn what_was_acknowledged_is_there_once_and_the_rest_at_most_once() {
    let mut failures = 0;
    for seed in 1..=12 {
        let store = Arc::new(Shaky::new(seed * 7_919));
        threaded(async {
            let writers: Vec<_> = (0..4_i64)
                .map(|writer| {
                    let repo = over(&store);
                    tokio::spawn(async move {
                        let mut acknowledged = Vec::new();
                        for i in 0..15 {
                            let at = writer * 100 + i;
                            match repo
                                .write(&series(), batch(&[(at, at)]), WriteMode::Append)
                                .await
                            {
                                Ok(_) => acknowledged.push(at),
                                Err(error) => {
                                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                                }
                            }
                        }
                        acknowledged
                    })
                })
                .collect();
            let mut acknowledged = Vec::new();
            for writer in writers {
                acknowledged.extend(writer.await.unwrap());
            }
            failures += 60 - acknowledged.len();
            store.state.store(0, Ordering::SeqCst);
            let found = all(&over(&store)).await.unwrap().unwrap();
            for at in 0..400 {
                let count = found.iter().filter(|row| row.0 == at).count();
                let least = usize::from(acknowledged.contains(&at));
                assert!(
                    (least..=1).contains(&count),
                    "seed {seed}: row {at} is there {count} times"
                );
            }
            assert_eq!(
                over(&store)
                    .verify(&series())
                    .await
                    .unwrap()
                    .problems
                    .total(),
                0
            );
        });
    }
    assert!(
        failures > 20,
        "the store was too steady: {failures} failures"
    );
}

#[test]
fn a_store_that_ignores_the_condition_is_refused() {
    let store = Arc::new(Shaky {
        careless: true,
        ..Shaky::default()
    });
    threaded(async {
        let repo = over(&store);
        let error = repo
            .write(&series(), batch(&[(1, 1)]), WriteMode::Append)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        let left = store.inner.list(None).collect::<Vec<_>>().await;
        assert!(left.is_empty(), "{left:?}");
    });
}

#[test]
fn opening_and_reading_writes_nothing() {
    let store = Arc::new(Shaky::default());
    threaded(async {
        let repo = over(&store);
        assert_eq!(all(&repo).await.unwrap(), None);
        assert_eq!(repo.summary(&series()).await.unwrap(), None);
        assert!(repo.list(&SeriesFilter::new()).await.unwrap().is_empty());
        assert_eq!(repo.delete(&series(), None).await.unwrap(), 0);
        assert_eq!(repo.delete(&series(), Some(range(0, 1))).await.unwrap(), 0);
        assert_eq!(store.puts.load(Ordering::SeqCst), 0);
        repo.write(&series(), batch(&[(1, 1)]), WriteMode::Append)
            .await
            .unwrap();
        let puts = store.puts.load(Ordering::SeqCst);
        let repo = over(&store);
        repo.scan(&series(), &ScanQuery::new())
            .await
            .unwrap()
            .collect()
            .await
            .unwrap();
        repo.list(&SeriesFilter::new()).await.unwrap();
        assert_eq!(store.puts.load(Ordering::SeqCst), puts);
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("not/yet");
    let repo = ParquetTimeSeriesRepository::open(&path, ParquetConfig::default()).unwrap();
    threaded(async {
        assert!(repo.list(&SeriesFilter::new()).await.unwrap().is_empty());
        assert_eq!(all(&repo).await.unwrap(), None);
    });
    assert!(!dir.path().join("not").exists());
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = ParquetTimeSeriesRepository::open(&file, ParquetConfig::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// A writer sleeps so long that the number it is about to take was used and has become free again.
#[test]
fn a_writer_that_slept_too_long_looks_again() {
    let store = Arc::new(Shaky::default());
    threaded(async {
        let open = || {
            let config = ParquetConfig::default().orphan_grace(Duration::ZERO);
            ParquetTimeSeriesRepository::with_store(Arc::clone(&store) as _, config)
        };
        let append = |at| {
            let repo = open();
            async move {
                let batch = batch(&[(at, at)]);
                repo.write(&series(), batch, WriteMode::Append)
                    .await
                    .unwrap()
            }
        };
        append(0).await;
        store.stall.store(true, Ordering::SeqCst);
        let sleeper = tokio::spawn(append(1));
        store.stalled.notified().await;
        for at in 2..6 {
            append(at).await;
        }
        let keep_one = VacuumOptions::default().retention(Retention::versions(1));
        let report = open().vacuum(&series(), &keep_one).await.unwrap();
        assert!(
            report.versions.contains(&2),
            "the number is not free: {report:?}"
        );
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        store.resume.notify_one();
        assert!(sleeper.await.unwrap().version.0 > 5);
        let expected = (0..6).map(|at| (at, at)).collect();
        assert_eq!(all(&open()).await.unwrap(), Some(expected));
    });
}
