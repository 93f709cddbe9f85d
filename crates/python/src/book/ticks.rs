//! Ticks from Python, beyond what every series has: entries as they come, and an appender for live feeds.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use minutebook::jsonl::{Appender, AppenderOptions, Follow, FollowFrom, FollowQuery};
use minutebook::{Error, Minutebook, Result, SeriesId};
use minutebook_fs::Durability;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use tokio::sync::Mutex;

use super::decisions::problems;
use super::series::Series;
use crate::convert::{described, dumps, loads, ok, parsed, unknown};
use crate::error::raised;
use crate::record::record;
use crate::run::{Calls, Mode, wait};

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
        Ok(Entries {
            feed: Arc::new(Mutex::new(log.follow(&id, &query))),
            noted: Arc::default(),
            calls: self.calls,
        })
    }

    /// A handle for a live feed, to be used with `with`: `push` queues an entry, and a thread writes what gathered.
    ///
    /// `durability` is `synced` or `buffered` (that of the store if it is not given), `linger` how many seconds an entry may wait for others.
    #[pyo3(signature = (*, durability=None, linger=0.001, batch_bytes=262_144, max_queued_bytes=8_388_608))]
    fn appender(
        &self,
        py: Python<'_>,
        durability: Option<&str>,
        linger: f64,
        batch_bytes: usize,
        max_queued_bytes: usize,
    ) -> PyResult<TickAppender> {
        let linger = Duration::try_from_secs_f64(linger)
            .map_err(|_| unknown("linger", &linger.to_string(), "seconds from 0 on"))?;
        let mut options = AppenderOptions::new()
            .linger(linger)
            .batch_bytes(batch_bytes)
            .max_queued_bytes(max_queued_bytes);
        if let Some(durability) = durability {
            options = options.durability(self::durability(durability)?);
        }
        let made = py.detach(|| self.book.tick_appender(options));
        Ok(TickAppender {
            appender: Arc::new(ok(made)?),
            calls: self.calls,
        })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        slf.as_super().get().described("Ticks")
    }
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
}

/// Entries of a tick series, one after another. Waits for those to come.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct Entries {
    feed: Arc<Mutex<Follow>>,
    noted: Arc<std::sync::Mutex<Vec<String>>>,
    calls: Calls,
}

type Next = (minutebook::jsonl::Entry, Option<String>);

impl Entries {
    fn next(&self) -> impl Future<Output = Result<Option<Next>>> + Send + 'static {
        let (feed, noted) = (Arc::clone(&self.feed), Arc::clone(&self.noted));
        async move {
            let mut feed = feed.lock().await;
            let entry = feed.next().await.transpose()?;
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = problems(&feed.report());
            let position = feed.position().map(|position| position.to_string());
            Ok(entry.map(|entry| (entry, position)))
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
        if slf.get().calls.mode == Mode::Async {
            return Err(PyTypeError::new_err("use `async for`"));
        }
        Ok(slf)
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Entry> {
        match ok(wait(py, self.next())?)? {
            Some(next) => made(py, next),
            None => Err(PyStopIteration::new_err(())),
        }
    }

    fn __aiter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        if slf.get().calls.mode == Mode::Sync {
            return Err(PyTypeError::new_err("use a plain `for`"));
        }
        Ok(slf)
    }

    fn __anext__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.calls.run(py, self.next(), |py, next| match next {
            Some(next) => Ok(Py::new(py, made(py, next)?)?.into_any()),
            None => Err(PyStopAsyncIteration::new_err(())),
        })
    }

    fn __repr__(&self) -> String {
        let position = self.feed.try_lock().ok().and_then(|feed| feed.position());
        let position = position.map_or_else(|| "None".to_owned(), |at| format!("\"{at}\""));
        described("Entries", &[("after", &position)])
    }
}

/// A queue of entries and the thread that writes them.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct TickAppender {
    appender: Arc<Appender>,
    calls: Calls,
}

impl TickAppender {
    fn run<F: Future<Output = Result<()>> + Send + 'static>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(Arc<Appender>) -> F,
    ) -> PyResult<Py<PyAny>> {
        let call = call(Arc::clone(&self.appender));
        self.calls.run(py, call, |py, ()| Ok(py.None()))
    }
}

#[pymethods]
impl TickAppender {
    /// Queues an entry: a dict or a JSON text. It waits only while the queue is full.
    fn push(&self, py: Python<'_>, series: &str, entry: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let (id, text) = (parsed::<SeriesId>(series)?, dumps(entry)?);
        if self.calls.mode == Mode::Sync && ok(self.appender.try_push(&id, &text))? {
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

    /// After a failure: the entries that were accepted and may not be in the files, as pairs of series and JSON text. Given once.
    fn take_unwritten(&self) -> Vec<(String, String)> {
        let left = self.appender.take_unwritten().into_iter();
        left.map(|(series, text)| (series.to_string(), text))
            .collect()
    }

    /// How many entries were accepted.
    #[getter]
    fn accepted(&self) -> u64 {
        self.appender.status().accepted
    }

    /// How many of them are in the files.
    #[getter]
    fn written(&self) -> u64 {
        self.appender.status().written
    }

    /// How many of them are on the device.
    #[getter]
    fn durable(&self) -> u64 {
        self.appender.status().durable
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
        let status = self.appender.status();
        described(
            "TickAppender",
            &[
                ("accepted", &status.accepted),
                ("written", &status.written),
                ("durable", &status.durable),
            ],
        )
    }
}
