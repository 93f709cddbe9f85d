//! Ticks and series from Python: rows come and go as Arrow.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType};
use arrow_select::concat::concat_batches;
use chrono::{DateTime, Utc};
use minutebook::series::batch::{TIMESTAMP, conform};
use minutebook::{
    Error, OnConflict, ScanQuery, SeriesFilter, SeriesId, Snapshot, TimeSeriesRepository, Version,
    WriteMode,
};
use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3_arrow::input::AnyRecordBatch;

use super::batches::Batches;
use crate::convert::{described, instant, parsed, range, unknown};
use crate::error::raised;
use crate::run::Calls;

/// Time series of a store.
#[pyclass(module = "minutebook", frozen)]
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
        let mut query = ScanQuery::new().range(range(start, end)?);
        if let Some(columns) = columns {
            query = query.columns(columns);
        }
        query = match (first, last) {
            (Some(_), Some(_)) => {
                return Err(raised(&Error::invalid(
                    "ask for the first or the last rows",
                )));
            }
            (Some(rows), None) => query.first(rows),
            (None, Some(rows)) => query.last(rows),
            (None, None) => query,
        };
        if let Some(as_of) = as_of {
            query = query.as_of(match as_of.extract::<u64>() {
                Ok(version) => Snapshot::Version(Version(version)),
                Err(_) => Snapshot::Time(instant(as_of)?),
            });
        }
        if let Some(rows) = batch_size {
            query = query.batch_size(rows);
        }
        if strict {
            query = query.strict();
        }
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

    fn __repr__(&self) -> String {
        let can: Vec<_> = self
            .repository
            .capabilities()
            .iter()
            .map(|can| format!("{can:?}"))
            .collect();
        described("Series", &[("of", &self.name), ("can", &can.join(" "))])
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
