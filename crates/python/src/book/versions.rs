//! Bars and other series from Python, beyond what every series has: versions, snapshots, compaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook::parquet::{ParquetTimeSeriesRepository, VacuumOptions};
use minutebook::{Error, ErrorKind, Minutebook, Result, SeriesId, Snapshot, Version};
use pyo3::prelude::*;

use super::series::{Series, snapshot};
use crate::convert::parsed;
use crate::record::{list, object, record};
use crate::run::Calls;

type Files = Arc<ParquetTimeSeriesRepository>;
type Note = Option<BTreeMap<String, String>>;

/// Bars and other series: tables with versions.
#[pyclass(module = "minutebook", extends = Series, frozen)]
pub(crate) struct VersionedSeries {
    book: Minutebook,
    calls: Calls,
}

record! {
    /// A version of a series.
    VersionInfo {
        version: u64,
        /// When it was committed, UTC.
        committed_at: DateTime<Utc>,
        /// What was done: `append`, `upsert`, `compact` and so on.
        operation: String,
        rows: u64,
        bytes: u64,
        segments: u64,
        /// What was said of it.
        note: BTreeMap<String, String>,
    }
    committed_at_ns = committed_at
}

record! {
    /// A span of time in which two versions differ.
    ChangedRange {
        first: DateTime<Utc>,
        last: DateTime<Utc>,
        inserted: u64,
        removed: u64,
        changed: u64,
    }
    first_ns = first
    last_ns = last
}

record! {
    /// What differs between two versions.
    VersionDiff {
        from_version: u64,
        to_version: u64,
        /// Columns that came, went or changed their type.
        columns: Vec<String>,
        /// Keys of the metadata that differ.
        metadata: Vec<String>,
        ranges: Vec<Py<ChangedRange>>,
        is_empty: bool,
    }
}

record! {
    /// Versions of several series under one name, kept until the name is dropped.
    NamedSnapshot {
        name: String,
        created_at: DateTime<Utc>,
        /// The versions, by series: what `scan(as_of=…)` takes.
        series: BTreeMap<String, u64>,
        note: BTreeMap<String, String>,
    }
    created_at_ns = created_at
}

record! {
    /// What a compaction did, or would do.
    Compaction {
        version: u64,
        /// How many files there were, and how many there are.
        segments_before: u64,
        segments_after: u64,
        /// For each step why, and which files it puts together.
        steps: Vec<(String, Vec<String>)>,
    }
}

record! {
    /// What a clean-up of old versions took away, or would take.
    VacuumReport {
        versions: Vec<u64>,
        files: Vec<String>,
        bytes: u64,
    }
}

impl From<minutebook::parquet::NamedSnapshot> for NamedSnapshot {
    fn from(found: minutebook::parquet::NamedSnapshot) -> Self {
        let series = found.series.iter();
        Self {
            name: found.name,
            created_at: found.created_at,
            series: series
                .map(|(series, version)| (series.to_string(), version.0))
                .collect(),
            note: found.note,
        }
    }
}

/// What was done, by the name that it has in the log.
fn named(operation: minutebook::parquet::Operation) -> String {
    match serde_json::to_value(operation) {
        Ok(serde_json::Value::String(name)) => name,
        _ => format!("{operation:?}"),
    }
}

/// What puts files together.
fn steps(steps: &[minutebook::parquet::CompactionStep]) -> Vec<(String, Vec<String>)> {
    let told = steps.iter();
    told.map(|step| (step.reason.to_string(), step.files.clone()))
        .collect()
}

impl VersionedSeries {
    pub(crate) fn new(book: Minutebook, calls: Calls) -> PyClassInitializer<Self> {
        let base = Series::new("series", book.series(), calls);
        PyClassInitializer::from(base).add_subclass(Self { book, calls })
    }

    /// A call on the files; a store without files says that it has no versions.
    fn run<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(Files) -> F + Send + 'static,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> PyResult<Py<PyAny>> {
        let book = self.book.clone();
        let call = async move {
            let files = book.series_files()?.cloned();
            let none = || match book.root() {
                Some(_) => Error::new(ErrorKind::NotFound, "there are no series yet"),
                None => Error::unsupported("a store in memory keeps no versions of series"),
            };
            call(files.ok_or_else(none)?).await
        };
        self.calls.run(py, call, convert)
    }
}

#[pymethods]
impl VersionedSeries {
    /// The versions of a series that are kept, the oldest first.
    fn versions(&self, py: Python<'_>, series: &str) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        self.run(
            py,
            |files| async move { files.versions(&id).await },
            |py, found| {
                let found = found.into_iter().map(|version| VersionInfo {
                    version: version.version.0,
                    committed_at: version.committed_at,
                    operation: named(version.operation),
                    rows: version.rows,
                    bytes: version.bytes,
                    segments: version.segments,
                    note: version.note,
                });
                object(py, list(py, found)?)
            },
        )
    }

    /// What differs between two versions: versions or instants; the newest if `to` is not given.
    #[pyo3(signature = (series, since, to=None))]
    fn diff(
        &self,
        py: Python<'_>,
        series: &str,
        since: &Bound<'_, PyAny>,
        to: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        let since = snapshot(since)?;
        let to = to.map_or(Ok(Snapshot::Latest), snapshot)?;
        self.run(
            py,
            move |files| async move { files.diff(&id, since, to).await },
            |py, found| {
                let is_empty = found.is_empty();
                let ranges = found.ranges.into_iter().map(|range| ChangedRange {
                    first: range.first,
                    last: range.last,
                    inserted: range.inserted,
                    removed: range.removed,
                    changed: range.changed,
                });
                let diff = VersionDiff {
                    from_version: found.from.0,
                    to_version: found.to.0,
                    columns: found.columns,
                    metadata: found.metadata,
                    ranges: list(py, ranges)?,
                    is_empty,
                };
                object(py, Py::new(py, diff)?)
            },
        )
    }

    /// Makes an earlier version (or the state of an instant) the newest again; gives the version. What came between stays readable.
    #[pyo3(signature = (series, to, *, note=None))]
    fn restore(
        &self,
        py: Python<'_>,
        series: &str,
        to: &Bound<'_, PyAny>,
        note: Note,
    ) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        let (to, note) = (snapshot(to)?, note.unwrap_or_default());
        self.run(
            py,
            move |files| async move { files.restore(&id, to, &note).await },
            |py, version: Version| object(py, version.0),
        )
    }

    /// Names the versions that these series have now, or had (`as_of`); they are kept until the name is dropped.
    #[pyo3(signature = (name, series, *, as_of=None, note=None))]
    fn create_snapshot(
        &self,
        py: Python<'_>,
        name: String,
        series: Vec<String>,
        as_of: Option<&Bound<'_, PyAny>>,
        note: Note,
    ) -> PyResult<Py<PyAny>> {
        let as_of = as_of.map_or(Ok(Snapshot::Latest), snapshot)?;
        let ids = series.iter().map(|id| Ok((parsed::<SeriesId>(id)?, as_of)));
        let ids = ids.collect::<PyResult<Vec<_>>>()?;
        let note = note.unwrap_or_default();
        self.run(
            py,
            move |files| async move { files.create_snapshot(&name, &ids, &note).await },
            |py, made| object(py, Py::new(py, NamedSnapshot::from(made))?),
        )
    }

    /// The named snapshots, by name.
    fn snapshots(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.run(
            py,
            |files| async move { files.snapshots().await },
            |py, found| object(py, list(py, found.into_iter().map(NamedSnapshot::from))?),
        )
    }

    /// Forgets a named snapshot, and says whether it was there.
    fn drop_snapshot(&self, py: Python<'_>, name: String) -> PyResult<Py<PyAny>> {
        self.run(
            py,
            |files| async move { files.drop_snapshot(&name).await },
            |py, was| Ok(was.into_pyobject(py)?.to_owned().into_any().unbind()),
        )
    }

    /// What `compact` would do.
    fn plan_compaction(&self, py: Python<'_>, series: &str) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        self.run(
            py,
            |files| async move { files.plan_compaction(&id).await },
            |py, plan| {
                let done = Compaction {
                    version: plan.version.0,
                    segments_before: plan.segments,
                    segments_after: plan.segments_after(),
                    steps: steps(&plan.steps),
                };
                object(py, Py::new(py, done)?)
            },
        )
    }

    /// Writes small, overlapping and hollowed files anew as few full ones. The rows stay what they are.
    fn compact(&self, py: Python<'_>, series: &str) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        self.run(
            py,
            |files| async move { files.compact(&id).await },
            |py, report| {
                let done = Compaction {
                    version: report.version.0,
                    segments_before: report.segments_before,
                    segments_after: report.segments_after,
                    steps: steps(&report.steps),
                };
                object(py, Py::new(py, done)?)
            },
        )
    }

    /// Takes away versions that the settings no longer keep, and the files that only they have.
    #[pyo3(signature = (series, *, dry_run=false))]
    fn vacuum(&self, py: Python<'_>, series: &str, dry_run: bool) -> PyResult<Py<PyAny>> {
        let id: SeriesId = parsed(series)?;
        let mut options = VacuumOptions::default();
        if dry_run {
            options = options.dry_run();
        }
        self.run(
            py,
            move |files| async move { files.vacuum(&id, &options).await },
            |py, report| {
                let done = VacuumReport {
                    versions: report.versions,
                    files: report.files,
                    bytes: report.bytes,
                };
                object(py, Py::new(py, done)?)
            },
        )
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        slf.as_super().get().described("VersionedSeries")
    }
}
