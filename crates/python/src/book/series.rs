//! Ticks and series from Python: rows come and go as Arrow.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType};
use arrow_select::concat::concat_batches;
use chrono::{DateTime, Utc};
use minutebook::series::BarValidator;
use minutebook::series::batch::{TIMESTAMP, conform};
use minutebook::{
    BatchStream, Calendar, Error, OnConflict, ScanQuery, SeriesFilter, SeriesId, Snapshot,
    TimeSeriesRepository, TimeSeriesRepositoryExt, Version, WriteMode,
};
use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3_arrow::input::AnyRecordBatch;

use super::batches::Batches;
use crate::convert::{described, instant, parsed, range, unknown};
use crate::error::raised;
use crate::record::{list, object, record};
use crate::run::Calls;

/// Time series of a store.
#[pyclass(module = "minutebook", subclass, frozen)]
pub(crate) struct Series {
    name: &'static str,
    repository: Arc<dyn TimeSeriesRepository>,
    calls: Calls,
}

impl Series {
    pub(crate) fn new(
        name: &'static str,
        repository: &Arc<dyn TimeSeriesRepository>,
        calls: Calls,
    ) -> Self {
        Self {
            name,
            repository: Arc::clone(repository),
            calls,
        }
    }

    fn repository(&self) -> Arc<dyn TimeSeriesRepository> {
        Arc::clone(&self.repository)
    }

    /// For `repr`: what it is and what it can do.
    pub(crate) fn described(&self, class: &str) -> String {
        let can: Vec<_> = self
            .repository
            .capabilities()
            .iter()
            .map(|can| format!("{can:?}"))
            .collect();
        described(class, &[("of", &self.name), ("can", &can.join(" "))])
    }
}

/// A version or an instant.
pub(crate) fn snapshot(given: &Bound<'_, PyAny>) -> PyResult<Snapshot> {
    match given.extract::<u64>() {
        Ok(version) => Ok(Snapshot::Version(Version(version))),
        Err(_) => Ok(Snapshot::Time(instant(given)?)),
    }
}

/// When a market is open: always, on weekdays, or as a session (days, opens, closes, offset from UTC) says.
fn calendar(given: Option<&str>) -> PyResult<Calendar> {
    match given {
        None | Some("always") => Ok(Calendar::always()),
        Some("weekdays") => Ok(Calendar::weekdays()),
        Some(other) => Err(unknown("calendar", other, "always, weekdays")),
    }
}

record! {
    /// Bars of one state that follow each other.
    CoverageSpan {
        /// `data`, `empty` (known to be none) or `unknown` (missing: a gap).
        state: &'static str,
        /// The open of the first bar.
        start: DateTime<Utc>,
        /// The close of the last bar.
        end: DateTime<Utc>,
        bars: u64,
    }
}

record! {
    /// What is wrong with a bar.
    BarIssue {
        /// Its row, from 0.
        row: u64,
        timestamp: DateTime<Utc>,
        /// What it is, in `snake_case`.
        kind: &'static str,
        /// The same in words.
        message: String,
    }
}

record! {
    /// What a look at bars found.
    BarReport {
        /// How many bars there were.
        rows: u64,
        is_clean: bool,
        /// How many issues there are of each kind.
        counts: BTreeMap<String, u64>,
        /// The first 100 issues of each kind.
        issues: Vec<Py<BarIssue>>,
    }
}

/// What a scan was asked for.
struct Asked<'a, 'py> {
    start: Option<&'a Bound<'py, PyAny>>,
    end: Option<&'a Bound<'py, PyAny>>,
    columns: Option<Vec<String>>,
    first: Option<usize>,
    last: Option<usize>,
    as_of: Option<&'a Bound<'py, PyAny>>,
    batch_size: Option<usize>,
    strict: bool,
}

impl Asked<'_, '_> {
    fn query(self) -> PyResult<ScanQuery> {
        let mut query = ScanQuery::new().range(range(self.start, self.end)?);
        if let Some(columns) = self.columns {
            query = query.columns(columns);
        }
        query = match (self.first, self.last) {
            (Some(_), Some(_)) => {
                return Err(raised(&Error::invalid(
                    "ask for the first or the last rows",
                )));
            }
            (Some(rows), None) => query.first(rows),
            (None, Some(rows)) => query.last(rows),
            (None, None) => query,
        };
        if let Some(as_of) = self.as_of {
            query = query.as_of(snapshot(as_of)?);
        }
        if let Some(rows) = self.batch_size {
            query = query.batch_size(rows);
        }
        if self.strict {
            query = query.strict();
        }
        Ok(query)
    }
}

fn arrow(error: &ArrowError) -> PyErr {
    raised(&Error::invalid(format!(
        "the rows cannot be taken over: {error}"
    )))
}

/// What `write` was given, as one batch with its times as a series has them.
fn rows(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    time_column: Option<&str>,
) -> PyResult<RecordBatch> {
    let taken;
    let data = if data.hasattr("__arrow_c_stream__")? || data.hasattr("__arrow_c_array__")? {
        // A frame of pandas gives its index only when it is a column.
        if data.hasattr("reset_index")? && data.hasattr("index")? {
            taken = pandas(data)?;
            &taken
        } else {
            data
        }
    } else if data.hasattr("reset_index")? && data.hasattr("index")? {
        taken = py
            .import("pyarrow")?
            .getattr("Table")?
            .call_method1("from_pandas", (pandas(data)?,))?;
        &taken
    } else if data.is_instance_of::<PyList>() {
        taken = py
            .import("pyarrow")?
            .getattr("Table")?
            .call_method1("from_pylist", (data,))?;
        &taken
    } else {
        data
    };
    let reader = data.extract::<AnyRecordBatch>()?.into_reader()?;
    let (batch, schema) = py
        .detach(|| {
            let schema = reader.schema();
            let batches = reader.collect::<Result<Vec<_>, _>>()?;
            Ok((concat_batches(&schema, &batches)?, schema))
        })
        .map_err(|error| arrow(&error))?;
    let is_time = |name: &str| schema.column_with_name(name).is_some();
    let first_time = || {
        let is_instant = |kind: &DataType| matches!(kind, DataType::Timestamp(..));
        let found = schema
            .fields()
            .iter()
            .find(|field| is_instant(field.data_type()));
        found.map(|field| field.name().clone())
    };
    let column = match time_column {
        Some(name) => name.to_owned(),
        None if is_time(TIMESTAMP) => TIMESTAMP.to_owned(),
        None => first_time().unwrap_or_else(|| TIMESTAMP.to_owned()),
    };
    conform(&batch, &column).map_err(|error| raised(&error))
}

/// The frame with its index of times as a column, where it has one.
fn pandas<'py>(frame: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let index = frame.getattr("index")?;
    let kind: String = index.get_type().name()?.extract()?;
    if kind != "DatetimeIndex" {
        return Ok(frame.clone());
    }
    let named = if index.getattr("name")?.is_none() {
        frame.call_method1("rename_axis", (TIMESTAMP,))?
    } else {
        frame.clone()
    };
    named.call_method0("reset_index")
}

#[pymethods]
impl Series {
    /// Writes rows: an Arrow table or stream, a frame of pandas or polars, or a list of dicts. Times without a zone are UTC.
    ///
    /// `mode` is `append`, `upsert` (with `on_conflict` `replace`, `keep` or `fail`) or `replace` (what lies from `start` on and before `end`).
    #[pyo3(signature = (series, data, mode="append", *, on_conflict="replace", start=None, end=None, time_column=None))]
    #[allow(clippy::too_many_arguments, reason = "named ones of a Python call")]
    fn write(
        &self,
        py: Python<'_>,
        series: &str,
        data: &Bound<'_, PyAny>,
        mode: &str,
        on_conflict: &str,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        time_column: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        let mode = match mode {
            "append" => WriteMode::Append,
            "upsert" => WriteMode::Upsert {
                on_conflict: match on_conflict {
                    "replace" => OnConflict::Replace,
                    "keep" => OnConflict::Keep,
                    "fail" => OnConflict::Fail,
                    other => return Err(unknown("on_conflict", other, "replace, keep, fail")),
                },
            },
            "replace" => WriteMode::ReplaceRange(range(start, end)?),
            other => return Err(unknown("mode", other, "append, upsert, replace")),
        };
        let batch = rows(py, data, time_column)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.write(&id, batch, mode).await },
            |py, receipt| Ok(Py::new(py, WriteReceipt::from(receipt))?.into_any()),
        )
    }

    /// Rows from `start` on and before `end`, as Arrow batches. `as_of` is a version or an instant.
    #[pyo3(signature = (series, start=None, end=None, *, columns=None, first=None, last=None, as_of=None, batch_size=None, strict=false))]
    #[allow(clippy::too_many_arguments, reason = "named ones of a Python call")]
    fn scan(
        &self,
        py: Python<'_>,
        series: &str,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        columns: Option<Vec<String>>,
        first: Option<usize>,
        last: Option<usize>,
        as_of: Option<&Bound<'_, PyAny>>,
        batch_size: Option<usize>,
        strict: bool,
    ) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        let asked = Asked {
            start,
            end,
            columns,
            first,
            last,
            as_of,
            batch_size,
            strict,
        };
        let query = asked.query()?;
        let (repository, calls) = (self.repository(), self.calls);
        calls.run(
            py,
            async move { repository.scan(&id, &query).await },
            move |py, stream| Ok(Py::new(py, Batches::new(stream, calls))?.into_any()),
        )
    }

    /// Rows, first and last time, bytes, columns and version, without reading rows; `None` if there is no such series.
    fn summary(&self, py: Python<'_>, series: &str) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.summary(&id).await },
            |py, summary| match summary {
                Some(summary) => Ok(Py::new(py, SeriesSummary::from(summary))?.into_any()),
                None => Ok(py.None()),
            },
        )
    }

    /// The names of the series that there are.
    #[pyo3(signature = (*, symbol=None, timeframe=None, prefix=None))]
    fn list(
        &self,
        py: Python<'_>,
        symbol: Option<&str>,
        timeframe: Option<&str>,
        prefix: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let mut filter = SeriesFilter::new();
        if let Some(symbol) = symbol {
            filter = filter.symbol(parsed(symbol)?);
        }
        if let Some(timeframe) = timeframe {
            filter = filter.timeframe(parsed(timeframe)?);
        }
        if let Some(prefix) = prefix {
            filter = filter.prefix(prefix);
        }
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.list(&filter).await },
            |py, found| {
                let names = found.iter().map(ToString::to_string);
                Ok(PyList::new(py, names.collect::<Vec<_>>())?
                    .into_any()
                    .unbind())
            },
        )
    }

    /// Deletes the rows from `start` on and before `end`, or the whole series; says how many rows it were.
    #[pyo3(signature = (series, start=None, end=None))]
    fn delete(
        &self,
        py: Python<'_>,
        series: &str,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        let part = (start.is_some() || end.is_some())
            .then(|| range(start, end))
            .transpose()?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.delete(&id, part).await },
            |py, count| Ok(count.into_pyobject(py)?.into_any().unbind()),
        )
    }

    /// Rows of several series as one, in order of time, with a column `series` that names each row's.
    #[pyo3(signature = (series, start=None, end=None, *, columns=None, first=None, last=None, batch_size=None, strict=false))]
    #[allow(clippy::too_many_arguments, reason = "named ones of a Python call")]
    fn scan_merged(
        &self,
        py: Python<'_>,
        series: Vec<String>,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        columns: Option<Vec<String>>,
        first: Option<usize>,
        last: Option<usize>,
        batch_size: Option<usize>,
        strict: bool,
    ) -> PyResult<Py<PyAny>> {
        let ids = series.iter().map(|id| parsed::<SeriesId>(id));
        let ids = ids.collect::<PyResult<Vec<_>>>()?;
        let asked = Asked {
            start,
            end,
            columns,
            first,
            last,
            as_of: None,
            batch_size,
            strict,
        };
        let query = asked.query()?;
        let (repository, calls) = (self.repository(), self.calls);
        calls.run(
            py,
            async move { repository.scan_merged(&ids, &query).await },
            move |py, stream| Ok(Py::new(py, Batches::new(stream, calls))?.into_any()),
        )
    }

    /// What of a range a series of bars has and what is missing, as spans. `calendar` is `always` or `weekdays`.
    #[pyo3(signature = (series, start=None, end=None, *, calendar=None))]
    fn coverage(
        &self,
        py: Python<'_>,
        series: &str,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        calendar: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        let range = range(start, end)?;
        let calendar = self::calendar(calendar)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.coverage(&id, range, &calendar, &[]).await },
            |py, found| {
                let spans = found.spans().iter().map(|span| CoverageSpan {
                    state: span.state.name(),
                    start: span.start,
                    end: span.end,
                    bars: span.bars,
                });
                object(py, list(py, spans)?)
            },
        )
    }

    /// What is wrong with bars: prices that contradict each other, times out of order or off the grid, what is missing.
    #[pyo3(signature = (series, start=None, end=None, *, calendar=None, allow_negative_prices=false))]
    #[allow(clippy::too_many_arguments, reason = "named ones of a Python call")]
    fn validate_bars(
        &self,
        py: Python<'_>,
        series: &str,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        calendar: Option<&str>,
        allow_negative_prices: bool,
    ) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        let query = ScanQuery::new().range(range(start, end)?);
        let mut validator = BarValidator::new();
        if calendar.is_some() {
            validator = validator.calendar(self::calendar(calendar)?);
        }
        if allow_negative_prices {
            validator = validator.allow_negative_prices();
        }
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.validate_bars(&id, &query, validator).await },
            |py, found| {
                let issues = found.issues().iter().map(|issue| BarIssue {
                    row: issue.row,
                    timestamp: issue.timestamp,
                    kind: issue.kind.name(),
                    message: issue.kind.to_string(),
                });
                let counts = found.counts().iter();
                let report = BarReport {
                    rows: found.rows(),
                    is_clean: found.is_clean(),
                    counts: counts
                        .map(|(kind, count)| (kind.name().to_owned(), *count))
                        .collect(),
                    issues: list(py, issues)?,
                };
                object(py, Py::new(py, report)?)
            },
        )
    }

    /// The bars of a coarser timeframe (`1h`, `1d`, …) that open in a range, made of the finer ones of this series.
    #[pyo3(signature = (series, timeframe, start=None, end=None))]
    fn resampled(
        &self,
        py: Python<'_>,
        series: &str,
        timeframe: &str,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        let (coarser, range) = (parsed(timeframe)?, range(start, end)?);
        let (repository, calls) = (self.repository(), self.calls);
        calls.run(
            py,
            async move {
                let bars = repository.resampled(&id, coarser, range).await?;
                Ok(BatchStream::from_batches(bars.schema(), vec![bars]))
            },
            move |py, stream| Ok(Py::new(py, Batches::new(stream, calls))?.into_any()),
        )
    }

    fn __repr__(&self) -> String {
        self.described("Series")
    }
}

/// What a write did.
#[pyclass(module = "minutebook", frozen, get_all)]
pub(crate) struct WriteReceipt {
    version: u64,
    inserted: u64,
    replaced: u64,
    skipped: u64,
}

impl From<minutebook::WriteReceipt> for WriteReceipt {
    fn from(receipt: minutebook::WriteReceipt) -> Self {
        Self {
            version: receipt.version.0,
            inserted: receipt.inserted,
            replaced: receipt.replaced,
            skipped: receipt.skipped,
        }
    }
}

#[pymethods]
impl WriteReceipt {
    fn __repr__(&self) -> String {
        described(
            "WriteReceipt",
            &[
                ("version", &self.version),
                ("inserted", &self.inserted),
                ("replaced", &self.replaced),
                ("skipped", &self.skipped),
            ],
        )
    }
}

/// What is known of a series without reading its rows.
#[pyclass(module = "minutebook", frozen, get_all)]
pub(crate) struct SeriesSummary {
    rows: u64,
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
    bytes: u64,
    version: u64,
    columns: Vec<(String, String)>,
}

impl From<minutebook::SeriesSummary> for SeriesSummary {
    fn from(summary: minutebook::SeriesSummary) -> Self {
        let fields = summary.schema.fields().iter();
        Self {
            rows: summary.rows,
            first: summary.first,
            last: summary.last,
            bytes: summary.bytes,
            version: summary.version.0,
            columns: fields
                .map(|field| (field.name().clone(), field.data_type().to_string()))
                .collect(),
        }
    }
}

#[pymethods]
impl SeriesSummary {
    fn __repr__(&self) -> String {
        let time = |time: Option<DateTime<Utc>>| {
            time.map_or_else(|| "None".to_owned(), minutebook::time::format_timestamp)
        };
        described(
            "SeriesSummary",
            &[
                ("rows", &self.rows),
                ("first", &time(self.first)),
                ("last", &time(self.last)),
                ("bytes", &self.bytes),
                ("version", &self.version),
            ],
        )
    }
}
