//! Ticks from Python, beyond what every series has: entries as they come, and an appender for live feeds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use minutebook::jsonl::{
    Appender, AppenderOptions, AppenderStatus, Follow, FollowFrom, FollowQuery,
    JsonlTimeSeriesRepository,
};
use minutebook::{Error, ErrorKind, Minutebook, Result, SeriesFilter, SeriesId};
use minutebook_fs::Durability;
use pyo3::prelude::*;

use super::decisions::problems;
use super::segments::{CompactedTicks, Segment};
use super::series::Series;
use crate::convert::{described, dumps, loads, ok, parsed, unknown};
use crate::error::raised;
use crate::feed::{self, Feed, Source};
use crate::record::{list, object, record};
use crate::run::{Calls, Mode};

/// Tick series: logs that are appended to.
#[pyclass(module = "minutebook", extends = Series, frozen)]
pub(crate) struct Ticks {
    book: Minutebook,
    calls: Calls,
}

impl Ticks {
    pub(crate) fn new(book: Minutebook, calls: Calls) -> PyClassInitializer<Self> {
        let base = Series::new("ticks", book.ticks(), calls);
        PyClassInitializer::from(base).add_subclass(Self { book, calls })
    }
}

#[pymethods]
impl Ticks {
    /// The entries of a series as they come, as `tail -f` shows lines: from the end, from the `start`, with the `last` ones, or `after` a
    /// position that was kept. An iterator that waits, and does not end by itself.
    #[pyo3(signature = (series, *, start=false, last=None, after=None, strict=false))]
    fn follow(
        &self,
        series: &str,
        start: bool,
        last: Option<usize>,
        after: Option<&str>,
        strict: bool,
    ) -> PyResult<Entries> {
        let id: SeriesId = parsed(series)?;
        let from = match (start, last, after) {
            (false, None, None) => FollowFrom::End,
            (true, None, None) => FollowFrom::Start,
            (false, Some(count), None) => FollowFrom::Last(count),
            (false, None, Some(position)) => FollowFrom::At(parsed(position)?),
            _ => {
                return Err(raised(&Error::invalid(
                    "ask for the start, the last entries or what comes after a position",
                )));
            }
        };
        let mut query = FollowQuery::new().from(from);
        if strict {
            query = query.strict();
        }
        let log = ok(self.book.tick_log())?.ok_or_else(|| {
            raised(&Error::unsupported(
                "only ticks in files can be followed; this store is in memory",
            ))
        })?;
        Ok(Entries::new(log.follow(&id, &query), self.calls))
    }

    /// Seals what the plain file of a series holds into a compressed segment, and gives it; `None` if there was nothing in the file. The next
    /// append begins a new one. Reads see segments and plain file as one series.
    fn rotate(&self, py: Python<'_>, series: &str) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        let book = self.book.clone();
        self.calls.run(
            py,
            async move { files(&book, &id)?.rotate(&id).await },
            |py, sealed| object(py, sealed.map(Segment::from)),
        )
    }

    /// The sealed segments of a series, in order. Nothing of them is read.
    fn segments(&self, py: Python<'_>, series: &str) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        let book = self.book.clone();
        self.calls.run(
            py,
            async move { files(&book, &id)?.segments(&id).await },
            |py, found| object(py, list(py, found.into_iter().map(Segment::from))?),
        )
    }

    /// Moves the sealed segments of the tick series (of one symbol, or all) to Parquet, and says of each series what became of them. Needs the
    /// setting `tiered = true` under `[ticks]` in `minutebook.toml`. With `dry_run` nothing is changed.
    #[pyo3(signature = (symbol=None, *, dry_run=false))]
    fn compact(&self, py: Python<'_>, symbol: Option<&str>, dry_run: bool) -> PyResult<Py<PyAny>> {
        let mut filter = SeriesFilter::new();
        filter.symbol = symbol.map(parsed).transpose()?;
        let book = self.book.clone();
        self.calls.run(
            py,
            async move { book.compact_ticks(&filter, dry_run).await },
            |py, done| {
                let told = done.into_iter().map(|done| CompactedTicks::new(py, done));
                object(py, list(py, told.collect::<PyResult<Vec<_>>>()?)?)
            },
        )
    }

    /// A handle for a live feed, to be used with `with`: `push` queues an entry, and a thread writes what gathered.
    ///
    /// `durability` is `synced` or `buffered` (that of the store if it is not given), `linger` how many seconds an entry may wait for others. With
    /// `buffered`, `sync_interval` is how many seconds after it was written an entry is synced at the latest.
    #[pyo3(signature = (*, durability=None, sync_interval=None, linger=0.001, batch_bytes=262_144, max_queued_bytes=8_388_608))]
    fn appender(
        &self,
        py: Python<'_>,
        durability: Option<&str>,
        sync_interval: Option<f64>,
        linger: f64,
        batch_bytes: usize,
        max_queued_bytes: usize,
    ) -> PyResult<TickAppender> {
        let mut options = AppenderOptions::new()
            .linger(seconds("linger", linger)?)
            .batch_bytes(batch_bytes)
            .max_queued_bytes(max_queued_bytes);
        if let Some(durability) = durability {
            options = options.durability(self::durability(durability)?);
        }
        if let Some(interval) = sync_interval {
            options = options.sync_interval(seconds("sync_interval", interval)?);
        }
        self.calls.check()?;
        let made = py.detach(|| self.book.tick_appender(options));
        Ok(TickAppender {
            appender: Some(Arc::new(ok(made)?)),
            calls: self.calls,
        })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        slf.as_super().get().described("Ticks")
    }
}

/// The files of the ticks; nothing is made where there are none yet.
fn files<'a>(
    book: &'a Minutebook,
    series: &SeriesId,
) -> Result<&'a Arc<JsonlTimeSeriesRepository>> {
    let none = || match book.root() {
        Some(_) => Error::new(ErrorKind::NotFound, "there is no such series"),
        None => Error::unsupported("a store in memory has no segments of ticks"),
    };
    book.existing_tick_log()?
        .ok_or_else(|| none().with_resource(series))
}

fn seconds(name: &str, given: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(given)
        .map_err(|_| unknown(name, &given.to_string(), "seconds from 0 on"))
}

fn durability(text: &str) -> PyResult<Durability> {
    match text {
        "synced" => Ok(Durability::Synced),
        "buffered" => Ok(Durability::Buffered),
        other => Err(unknown("durability", other, "synced, buffered")),
    }
}

record! {
    /// An entry of a tick series: a line.
    Entry {
        /// The line, byte for byte.
        json: String,
        /// Its value, a new dict.
        value: Py<PyAny>,
        /// Its time, where it has one.
        timestamp: Option<DateTime<Utc>>,
        /// Where to go on after it.
        position: Option<String>,
    }
    timestamp_ns = timestamp
}

/// Entries of a tick series, one after another. Waits for those to come.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct Entries {
    feed: Feed<Tail>,
    noted: Arc<Mutex<Vec<String>>>,
}

/// What follows a series.
pub(crate) struct Tail {
    follow: Follow,
    noted: Arc<Mutex<Vec<String>>>,
}

/// An entry and where to go on after it.
type Next = (minutebook::jsonl::Entry, Option<String>);

impl Source for Tail {
    type Item = Next;

    async fn next(&mut self) -> Result<Option<Next>> {
        let entry = self.follow.next().await.transpose()?;
        *self.noted.lock().unwrap_or_else(PoisonError::into_inner) =
            problems(&self.follow.report());
        let position = self.follow.position().map(|position| position.to_string());
        Ok(entry.map(|entry| (entry, position)))
    }
}

impl Entries {
    fn new(follow: Follow, calls: Calls) -> Self {
        let noted = Arc::default();
        let tail = Tail {
            follow,
            noted: Arc::clone(&noted),
        };
        Self {
            feed: Feed::new(tail, calls),
            noted,
        }
    }
}

fn made(py: Python<'_>, (entry, position): Next) -> PyResult<Entry> {
    Ok(Entry {
        value: loads(py, entry.text())?.unbind(),
        timestamp: entry.timestamp(),
        json: entry.text().to_owned(),
        position,
    })
}

#[pymethods]
impl Entries {
    /// What was skipped before the entry that was given last, as text.
    #[getter]
    fn problems(&self) -> Vec<String> {
        self.noted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn __iter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        slf.get().feed.plain().map(|()| slf)
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Entry> {
        made(py, self.feed.next(py)?)
    }

    fn __aiter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        slf.get().feed.awaited().map(|()| slf)
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        feed::deliver(slf.getattr("_give")?)
    }

    fn _give(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.feed
            .give(py, |py, next| object(py, Py::new(py, made(py, next)?)?))
    }

    fn __repr__(&self) -> String {
        let position = self.feed.with(|tail| tail.follow.position());
        let position = position.flatten();
        let position = position.map_or_else(|| "None".to_owned(), |at| format!("\"{at}\""));
        described("Entries", &[("after", &position)])
    }
}

/// A queue of entries and the thread that writes them.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct TickAppender {
    /// There until it is dropped.
    appender: Option<Arc<Appender>>,
    calls: Calls,
}

impl Drop for TickAppender {
    fn drop(&mut self) {
        if !self.calls.is_ours() {
            // Its thread is in another process; waiting for it here would never end.
            std::mem::forget(self.appender.take());
        }
    }
}

impl TickAppender {
    fn run<F: Future<Output = Result<()>> + Send + 'static>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(Arc<Appender>) -> F,
    ) -> PyResult<Py<PyAny>> {
        let call = call(Arc::clone(self.ours()?));
        self.calls.run(py, call, |py, ()| Ok(py.None()))
    }

    /// The appender, unless the process was forked since: nobody would write what is pushed here.
    fn ours(&self) -> PyResult<&Arc<Appender>> {
        self.calls.check()?;
        let closed = || raised(&Error::unsupported("the appender is closed"));
        self.appender.as_ref().ok_or_else(closed)
    }

    fn status(&self) -> PyResult<AppenderStatus> {
        Ok(self.ours()?.status())
    }
}

#[pymethods]
impl TickAppender {
    /// Queues an entry: a dict or a JSON text. It waits only while the queue is full.
    fn push(&self, py: Python<'_>, series: &str, entry: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let (id, text) = (parsed::<SeriesId>(series)?, dumps(entry)?);
        if self.calls.mode == Mode::Sync && ok(self.ours()?.try_push(&id, &text))? {
            return Ok(py.None());
        }
        self.run(
            py,
            |appender| async move { appender.push(&id, &text).await },
        )
    }

    /// Appends an entry and waits until it is as durable as it says: `synced` or `buffered`.
    #[pyo3(signature = (series, entry, durability="synced"))]
    fn append(
        &self,
        py: Python<'_>,
        series: &str,
        entry: &Bound<'_, PyAny>,
        durability: &str,
    ) -> PyResult<Py<PyAny>> {
        let (id, text) = (parsed::<SeriesId>(series)?, dumps(entry)?);
        let durability = self::durability(durability)?;
        self.run(py, |appender| async move {
            appender.append(&id, &text, durability).await
        })
    }

    /// Waits until all that was pushed before is in the files.
    fn flush(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.run(py, |appender| async move { appender.flush().await })
    }

    /// Waits until all that was pushed before is on the device.
    fn sync(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.run(py, |appender| async move { appender.sync().await })
    }

    /// As `sync`, and takes nothing more.
    fn close(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.run(py, |appender| async move { appender.close().await })
    }

    /// After a failure, or after a series refused entries: those that were accepted and may not be in the files, as pairs of series and JSON text. Given once; what was
    /// refused is in no file, and its series can be pushed to again then.
    fn take_unwritten(&self) -> PyResult<Vec<(String, String)>> {
        let left = self.ours()?.take_unwritten().into_iter();
        Ok(left
            .map(|(series, text)| (series.to_string(), text))
            .collect())
    }

    /// How many entries were accepted.
    #[getter]
    fn accepted(&self) -> PyResult<u64> {
        Ok(self.status()?.accepted)
    }

    /// How many of them a series refused when they were written: they are in no file.
    #[getter]
    fn refused(&self) -> PyResult<u64> {
        Ok(self.status()?.refused)
    }

    /// How many of them are in the files.
    #[getter]
    fn written(&self) -> PyResult<u64> {
        Ok(self.status()?.written)
    }

    /// How many of them are on the device.
    #[getter]
    fn durable(&self) -> PyResult<u64> {
        Ok(self.status()?.durable)
    }

    fn __enter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        if slf.get().calls.mode == Mode::Async {
            return Err(raised(&Error::invalid(
                "this store answers with awaitables; use `async with`",
            )));
        }
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py).map(drop)
    }

    fn __aenter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (calls, itself) = (slf.get().calls, slf.clone_ref(py).into_any());
        calls.run(py, async { Ok(()) }, move |_, ()| Ok(itself))
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        let Ok(status) = self.status() else {
            return "TickAppender(of another process)".to_owned();
        };
        described(
            "TickAppender",
            &[
                ("accepted", &status.accepted),
                ("written", &status.written),
                ("durable", &status.durable),
                ("refused", &status.refused),
            ],
        )
    }
}
