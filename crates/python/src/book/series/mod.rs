//! Ticks and series from Python: rows come and go as Arrow.

mod asked;
mod bars;
mod rows;
mod told;

use std::sync::Arc;

use minutebook::series::BarValidator;
use minutebook::{
    BatchStream, Result, ScanQuery, SeriesFilter, SeriesId, SeriesKey, TimeSeriesRepository,
    TimeSeriesRepositoryExt,
};
use pyo3::prelude::*;

use super::batches::Batches;
use crate::convert::{described, ok, parsed, range};
use crate::record::object;
use crate::run::Calls;
use asked::Asked;
pub(crate) use asked::snapshot;
pub(crate) use bars::{BarIssue, BarReport, CoverageSpan};
pub(crate) use told::{SeriesSummary, WriteReceipt};

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

    /// A call that gives rows.
    fn batches<F: Future<Output = Result<BatchStream>> + Send + 'static>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(Arc<dyn TimeSeriesRepository>) -> F,
    ) -> PyResult<Py<PyAny>> {
        let (call, calls) = (call(self.repository()), self.calls);
        calls.run(py, call, move |py, stream| {
            object(py, Py::new(py, Batches::new(stream, calls))?)
        })
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
        let mode = asked::write_mode(mode, on_conflict, start, end)?;
        let batch = rows::rows(py, data, time_column)?;
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
        self.batches(py, |repository| async move {
            repository.scan(&id, &query).await
        })
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

    /// Declares which columns tell rows apart (the time is always one of them), for this and all later writes: no two rows have the same,
    /// and an upsert goes by them. `None` takes the declaration back. Gives the version. Makes the series if there is none.
    fn declare_key(
        &self,
        py: Python<'_>,
        series: &str,
        columns: Option<Vec<String>>,
    ) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        let key = columns.map(SeriesKey::new).transpose();
        let key = ok(key)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.declare_key(&id, key.as_ref()).await },
            |py, version| object(py, version.0),
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
                object(py, names.collect::<Vec<_>>())
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
        self.batches(py, |repository| async move {
            repository.scan_merged(&ids, &query).await
        })
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
        let calendar = bars::calendar(calendar)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.coverage(&id, range, &calendar, &[]).await },
            |py, found| object(py, bars::spans(py, &found)?),
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
            validator = validator.calendar(bars::calendar(calendar)?);
        }
        if allow_negative_prices {
            validator = validator.allow_negative_prices();
        }
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.validate_bars(&id, &query, validator).await },
            |py, found| object(py, Py::new(py, BarReport::new(py, &found)?)?),
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
        self.batches(py, |repository| async move {
            let bars = repository.resampled(&id, coarser, range).await?;
            Ok(BatchStream::from_batches(bars.schema(), vec![bars]))
        })
    }

    fn __repr__(&self) -> String {
        self.described("Series")
    }
}
