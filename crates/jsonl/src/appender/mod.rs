//! Appending on the hot path: pushes go into a bounded queue, and a thread writes what gathered.

mod options;
mod queue;
mod state;
mod worker;

pub use options::{AppenderOptions, AppenderStatus};

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use minutebook_core::{Result, SeriesId};
use minutebook_fs::Durability;
use serde::Serialize;

use crate::entries::{Lines, line_of_value, lines};
use crate::error::JsonlError;
use crate::store::{Last, Series, Store};
use crate::time_series::JsonlTimeSeriesRepository;
use queue::Queue;
use state::{Pace, Stage};

/// Appends entries of any number of series on the hot path of a live feed.
///
/// A push checks the entry and puts it into a bounded queue in memory; a thread of the appender's own takes what gathered, appends it with one lock and
/// one write for each series, and syncs as [`AppenderOptions`] say. It works with and without an asynchronous runtime; share it between
/// tasks and threads by reference or in an `Arc`.
///
/// # Behavior
///
/// - `Ok` of a push: the entry is well-formed and in the queue. It will be written after those of its series that were pushed before it, by this
///   process: also if the appender is dropped, but not if the process dies first. At most [`linger`](AppenderOptions::linger) and the
///   write before it pass until it is written.
/// - A push waits while the queue is full ([`try_push`](Self::try_push) says so instead).
/// - `Ok` of [`append`](Self::append), [`flush`](Self::flush), [`sync`](Self::sync) and [`close`](Self::close): what they name is in the files, or durable. Those who wait
///   at the same time share the write and the sync.
/// - Entries of a series stand in the file in the order of the pushes, whole, each once, whoever else appends there.
/// - A series may refuse entries when they are written: it counts numeric times in another unit, its file of types is damaged, or others hold its lock for longer than
///   [`lock_wait`](crate::JsonlConfig::lock_wait). Nothing of them is written, and entries of other series go on. Their own [`append`](Self::append) answers with the
///   refusal. [`flush`](Self::flush), [`sync`](Self::sync) and [`close`](Self::close) do what they do for all others and then answer with the first refusal, and a
///   push to the series is refused at once, until [`take_unwritten`](Self::take_unwritten) has given the entries back: then they can be pushed again, before what
///   comes after them.
/// - After a write or a sync has failed the appender writes no more: every call, also [`flush`](Self::flush) and [`close`](Self::close), answers with the first error, and
///   [`take_unwritten`](Self::take_unwritten) gives back what was accepted and is not known to be written.
/// - Dropping it writes and syncs what is in the queue, waiting for that. An error then is only logged: [`close`](Self::close) tells it.
///
/// ```
/// use minutebook_jsonl::{AppenderOptions, EntryQuery, JsonlConfig, JsonlTimeSeriesRepository};
///
/// # let dir = tempfile::tempdir()?;
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let repo = JsonlTimeSeriesRepository::open(dir.path(), JsonlConfig::default())?;
/// let btc = "BTCUSD@ticks".parse()?;
/// let appender = repo.appender(AppenderOptions::new())?;
/// for price in [42_496.1, 42_496.2] {
///     let entry = format!(r#"{{"timestamp":"2025-01-01T00:00:00","price":{price}}}"#);
///     appender.push(&btc, &entry).await?;
/// }
/// appender.flush().await?; // both are durable
/// assert_eq!(appender.status().durable, 2);
/// appender.close().await?;
/// assert_eq!(repo.entries(&btc, &EntryQuery::new()).await?.collect().await?.0.len(), 2);
/// # Ok::<(), minutebook_core::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Appender {
    store: Arc<Store>,
    queue: Arc<Queue>,
    worker: Mutex<Option<JoinHandle<()>>>,
    /// Dropped after the thread has ended.
    _last: Arc<Last>,
}

impl JsonlTimeSeriesRepository {
    /// An appender to the series of this repository. Any number of them, and other writers beside them, may work at the same time.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the system gives no thread.
    pub fn appender(&self, options: AppenderOptions) -> Result<Appender> {
        let durability = options.durability.unwrap_or(self.store.config.durability);
        let most = self.store.config.max_batch_bytes;
        let queue = Arc::new(Queue::new(Pace {
            synced: durability.is_synced(),
            sync_interval: options.sync_interval,
            linger: options.linger,
            batch_bytes: options.batch_bytes,
            max_queued_bytes: options.max_queued_bytes.min(most),
        }));
        let (shared, store) = (Arc::clone(&queue), Arc::clone(&self.store));
        let worker = std::thread::Builder::new()
            .name("minutebook-appender".to_owned())
            .spawn(move || worker::run(&shared, &store))
            .map_err(|error| JsonlError::Thread(error).of("append"))?;
        Ok(Appender {
            store: Arc::clone(&self.store),
            queue,
            worker: Mutex::new(Some(worker)),
            _last: Arc::clone(&self.last),
        })
    }
}

impl Appender {
    /// Puts an entry into the queue, as soon as there is room. The time is where [`JsonlConfig::time`](crate::JsonlConfig::time) says.
    ///
    /// # Errors
    /// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) for what is no JSON object, has a key twice, no readable time, or is too long, and if the appender is closed;
    /// the first error of a write or a sync that failed before, and the refusal of earlier entries of the series that were not taken back.
    pub async fn push(&self, series: &SeriesId, entry: &str) -> Result<()> {
        let (known, lines) = self.checked(series, entry)?;
        let pushed = self.queue.push(&known, &lines).await;
        pushed.map(drop).map_err(|error| failed(error, series))
    }

    /// As [`push`](Self::push), for a value that serialises to a JSON object.
    ///
    /// # Errors
    /// As [`push`](Self::push), also for NaN and infinity, for which JSON has no text.
    pub async fn push_value<T: Serialize + Sync>(
        &self,
        series: &SeriesId,
        value: &T,
    ) -> Result<()> {
        let (known, lines) = self.checked_value(series, value)?;
        let pushed = self.queue.push(&known, &lines).await;
        pushed.map(drop).map_err(|error| failed(error, series))
    }

    /// As [`push`](Self::push), for threads: waits on this thread if the queue is full. Not to be called in asynchronous code.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_blocking(&self, series: &SeriesId, entry: &str) -> Result<()> {
        let (known, lines) = self.checked(series, entry)?;
        let pushed = self.queue.push_blocking(&known, &lines);
        pushed.map(drop).map_err(|error| failed(error, series))
    }

    /// As [`push_blocking`](Self::push_blocking), for a value that serialises to a JSON object.
    ///
    /// # Errors
    /// As [`push_value`](Self::push_value).
    pub fn push_value_blocking<T: Serialize>(&self, series: &SeriesId, value: &T) -> Result<()> {
        let (known, lines) = self.checked_value(series, value)?;
        let pushed = self.queue.push_blocking(&known, &lines);
        pushed.map(drop).map_err(|error| failed(error, series))
    }

    /// As [`push`](Self::push), without waiting: `false` if the queue is full; then nothing was taken.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn try_push(&self, series: &SeriesId, entry: &str) -> Result<bool> {
        let (known, lines) = self.checked(series, entry)?;
        let offered = self.queue.offer(&known, &lines);
        offered
            .map(|entry| entry.is_some())
            .map_err(|error| failed(error, series))
    }

    /// Puts an entry into the queue and waits until it survives the process (`Buffered`) or a power cut (`Synced`), whatever the
    /// appender's own durability: durability entry by entry. Concurrent calls share the write and the sync.
    ///
    /// # Errors
    /// As [`push`](Self::push), and if the series refuses the entry: then nothing of it is written. If the write or the sync fails it is not known whether the entry is
    /// there.
    pub async fn append(
        &self,
        series: &SeriesId,
        entry: &str,
        durability: Durability,
    ) -> Result<()> {
        let (known, lines) = self.checked(series, entry)?;
        let fail = |error| failed(error, series);
        let entry = self.queue.push(&known, &lines).await.map_err(fail)?;
        self.queue
            .reach(entry, stage(durability))
            .await
            .map_err(fail)
    }

    /// As [`append`](Self::append), for threads. Not to be called in asynchronous code.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_blocking(
        &self,
        series: &SeriesId,
        entry: &str,
        durability: Durability,
    ) -> Result<()> {
        let (known, lines) = self.checked(series, entry)?;
        let fail = |error| failed(error, series);
        let entry = self.queue.push_blocking(&known, &lines).map_err(fail)?;
        self.queue
            .reach_blocking(entry, stage(durability))
            .map_err(fail)
    }

    /// Waits until everything that was pushed before is in the files, and durable if the appender is `Synced`.
    ///
    /// # Errors
    /// The first error of a write or a sync since the appender was made; else the first refusal of entries that were not taken back, when all others have come so far.
    pub async fn flush(&self) -> Result<()> {
        let reached = self.queue.reach_all(self.queue.stage());
        reached.await.map_err(|error| error.of("flush"))
    }

    /// As [`flush`](Self::flush), for threads. Not to be called in asynchronous code.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn flush_blocking(&self) -> Result<()> {
        self.queue
            .reach_all_blocking(self.queue.stage())
            .map_err(|error| error.of("flush"))
    }

    /// Waits until everything that was pushed before is durable, whatever the appender's own durability.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn sync(&self) -> Result<()> {
        let reached = self.queue.reach_all(Stage::Durable);
        reached.await.map_err(|error| error.of("sync"))
    }

    /// As [`sync`](Self::sync), for threads. Not to be called in asynchronous code.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn sync_blocking(&self) -> Result<()> {
        self.queue
            .reach_all_blocking(Stage::Durable)
            .map_err(|error| error.of("sync"))
    }

    /// Writes and syncs everything, and ends the thread. Later pushes are errors; a second call answers as the first did.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn close(&self) -> Result<()> {
        self.queue.close();
        let ended = self.queue.ended().await;
        self.join();
        ended.map_err(|error| error.of("close"))
    }

    /// As [`close`](Self::close), for threads. Not to be called in asynchronous code.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn close_blocking(&self) -> Result<()> {
        self.queue.close();
        let ended = self.queue.ended_blocking();
        self.join();
        ended.map_err(|error| error.of("close"))
    }

    /// How far it is.
    pub fn status(&self) -> AppenderStatus {
        self.queue.status()
    }

    /// After a failure or a refusal: the entries that were accepted and are not known to be written, as lines, in the order of the pushes of each series, so that they
    /// can be put elsewhere. What was refused is in no file, and the series can be pushed to again. Those of the write that failed are among them; unless its error says that nothing was
    /// written, some of them may be in the file as well. Given once, and held until then; empty while all is well.
    pub fn take_unwritten(&self) -> Vec<(SeriesId, String)> {
        let mut entries = Vec::new();
        for waiting in self.queue.take_unwritten() {
            // Only what was checked is ever put there, so it is text.
            let text = String::from_utf8_lossy(&waiting.lines.bytes);
            let lines = text.lines();
            entries.extend(lines.map(|line| (waiting.series.id.clone(), line.to_owned())));
        }
        entries
    }

    fn checked(&self, series: &SeriesId, entry: &str) -> Result<(Arc<Series>, Lines)> {
        let config = &self.store.config;
        self.known(series, lines(&[entry], &config.time, config.max_line_bytes))
    }

    fn checked_value<T: Serialize>(
        &self,
        series: &SeriesId,
        value: &T,
    ) -> Result<(Arc<Series>, Lines)> {
        let config = &self.store.config;
        self.known(
            series,
            line_of_value(value, &config.time, config.max_line_bytes),
        )
    }

    fn known(
        &self,
        series: &SeriesId,
        lines: std::result::Result<Lines, JsonlError>,
    ) -> Result<(Arc<Series>, Lines)> {
        let fail = |error| failed(error, series);
        let lines = lines.map_err(fail)?;
        self.store.check_batch(lines.len()).map_err(fail)?;
        Ok((self.store.series(series).map_err(fail)?, lines))
    }

    fn join(&self) {
        let worker = self
            .worker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if worker.is_some_and(|worker| worker.join().is_err()) {
            tracing::error!("the appender's thread panicked");
        }
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.queue.close();
        if let Err(error) = self.queue.ended_blocking() {
            tracing::error!(error = %error.of("drop"), "an appender was dropped after a failure; close it to be told");
        }
        self.join();
    }
}

fn stage(durability: Durability) -> Stage {
    if durability.is_synced() {
        Stage::Durable
    } else {
        Stage::Written
    }
}

fn failed(error: JsonlError, series: &SeriesId) -> minutebook_core::Error {
    error.of_series("append", series)
}
