//! The catalog from Python: entries as dicts.

use std::sync::Arc;

use minutebook::{
    Catalog as _, CatalogExt as _, DatasetChange, DatasetEntry, DatasetFilter, DatasetName,
    Minutebook, Revision, SaveMode, SeriesId,
};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::convert::{described, loads, ok, parsed, range, unknown, value};
use crate::error::raised;
use crate::record::{list, object, record};
use crate::run::Calls;

/// What data there is, where, and from when to when.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct Catalog {
    book: Minutebook,
    calls: Calls,
}

impl Catalog {
    pub(crate) fn new(book: Minutebook, calls: Calls) -> Self {
        Self { book, calls }
    }

    fn catalog(&self) -> Arc<dyn minutebook::Catalog> {
        Arc::clone(self.book.catalog())
    }
}

fn entry(
    name: &str,
    instrument: &str,
    file_path: &std::path::Path,
    tenor: Option<&str>,
    metadata: Option<&Bound<'_, PyDict>>,
) -> PyResult<DatasetEntry> {
    let path = file_path.to_string_lossy();
    let mut entry = DatasetEntry::new(ok(DatasetName::new(name))?, instrument, path);
    if let Some(tenor) = tenor {
        entry = entry.with_tenor(tenor);
    }
    for (key, given) in metadata.into_iter().flatten() {
        entry = entry.with_metadata(key.extract::<String>()?, value(&given)?);
    }
    Ok(entry)
}

fn save_mode(mode: &str) -> PyResult<SaveMode> {
    match mode {
        "create" => Ok(SaveMode::Create),
        "upsert" => Ok(SaveMode::Upsert),
        "update" => Ok(SaveMode::Update { expected: None }),
        other => Err(unknown("mode", other, "create, upsert, update")),
    }
}

fn filter(instrument: Option<&str>, tenor: Option<&str>, prefix: Option<&str>) -> DatasetFilter {
    let mut filter = DatasetFilter::new();
    if let Some(instrument) = instrument {
        filter = filter.instrument(instrument);
    }
    if let Some(tenor) = tenor {
        filter = filter.tenor(tenor);
    }
    if let Some(prefix) = prefix {
        filter = filter.name_prefix(prefix);
    }
    filter
}

/// The entry's JSON text, as it stands in the file.
fn text(entry: &DatasetEntry) -> PyResult<String> {
    serde_json::to_string(entry).map_err(|error| {
        raised(&minutebook::Error::invalid(format!(
            "the entry cannot be written as JSON: {error}"
        )))
    })
}

record! {
    /// What a dataset was made from, and what was made from it, by name.
    Lineage {
        name: String,
        parents: Vec<String>,
        children: Vec<String>,
        /// Parents, their parents, and so on.
        ancestors: Vec<String>,
        /// Children, their children, and so on.
        descendants: Vec<String>,
    }
}

record! {
    /// A dataset that is due.
    Stale {
        entry: Py<StoredEntry>,
        /// Why: `expired`, `parent_newer`, `data_changed`, `no_statistics`, `data_missing`, `data_unreadable`.
        reasons: Vec<String>,
    }
}

record! {
    /// Data that the catalog does not know.
    Discovered {
        /// The name that it might have.
        name: String,
        file_path: String,
        /// The entry that it might have, as a dict.
        entry: Py<PyAny>,
        /// The exception that says why it could not be looked at.
        problem: Option<Py<PyAny>>,
    }
}

#[pymethods]
impl Catalog {
    /// Registers a dataset; `mode` is `create`, `upsert` or `update`. Gives the entry's revision.
    #[pyo3(signature = (name, instrument, file_path, *, tenor=None, metadata=None, mode="create"))]
    #[allow(clippy::too_many_arguments, reason = "named ones of a Python call")]
    fn register(
        &self,
        py: Python<'_>,
        name: &str,
        instrument: &str,
        file_path: std::path::PathBuf,
        tenor: Option<&str>,
        metadata: Option<&Bound<'_, PyDict>>,
        mode: &str,
    ) -> PyResult<Py<PyAny>> {
        let entry = entry(name, instrument, &file_path, tenor, metadata)?;
        let mode = save_mode(mode)?;
        let catalog = self.catalog();
        self.calls.run(
            py,
            async move { catalog.register(&entry, mode).await },
            |py, revision| Ok(revision.to_string().into_pyobject(py)?.into_any().unbind()),
        )
    }

    /// Registers a series of this store under a name, with its statistics.
    fn register_series(&self, py: Python<'_>, name: &str, series: &str) -> PyResult<Py<PyAny>> {
        let name = ok(DatasetName::new(name))?;
        let series: SeriesId = parsed(series)?;
        let book = self.book.clone();
        self.calls.run(
            py,
            async move {
                book.register_series(&name, &series).await?;
                book.catalog().get(&name).await
            },
            |py, found| match found {
                Some(stored) => Ok(Py::new(py, StoredEntry { stored })?.into_any()),
                None => Ok(py.None()),
            },
        )
    }

    /// The entry with this name, or `None`.
    fn get(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        let name = ok(DatasetName::new(name))?;
        let catalog = self.catalog();
        self.calls.run(
            py,
            async move { catalog.get(&name).await },
            |py, found| match found {
                Some(stored) => Ok(Py::new(py, StoredEntry { stored })?.into_any()),
                None => Ok(py.None()),
            },
        )
    }

    /// The entries that match, by name.
    #[pyo3(signature = (*, instrument=None, tenor=None, prefix=None, pattern=None, overlaps=None))]
    fn list(
        &self,
        py: Python<'_>,
        instrument: Option<&str>,
        tenor: Option<&str>,
        prefix: Option<&str>,
        pattern: Option<&str>,
        overlaps: Option<(Bound<'_, PyAny>, Bound<'_, PyAny>)>,
    ) -> PyResult<Py<PyAny>> {
        let mut filter = filter(instrument, tenor, prefix);
        if let Some(pattern) = pattern {
            filter = filter.name_pattern(pattern);
        }
        if let Some((start, end)) = &overlaps {
            filter = filter.overlaps(range(Some(start), Some(end))?);
        }
        let catalog = self.catalog();
        self.calls.run(
            py,
            async move { catalog.list(&filter).await },
            |py, found| {
                let all = found.into_iter().map(|stored| StoredEntry { stored });
                Ok(PyList::new(py, all.collect::<Vec<_>>())?
                    .into_any()
                    .unbind())
            },
        )
    }

    /// Changes fields of an entry; `expected` is the revision that it must still have. A metadata value of `None` takes the key away.
    #[pyo3(signature = (name, *, instrument=None, tenor=None, file_path=None, metadata=None, expected=None))]
    #[allow(clippy::too_many_arguments, reason = "named ones of a Python call")]
    fn update(
        &self,
        py: Python<'_>,
        name: &str,
        instrument: Option<&str>,
        tenor: Option<&str>,
        file_path: Option<std::path::PathBuf>,
        metadata: Option<&Bound<'_, PyDict>>,
        expected: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let name = ok(DatasetName::new(name))?;
        let mut change = DatasetChange::new();
        if let Some(instrument) = instrument {
            change = change.instrument(instrument);
        }
        if let Some(tenor) = tenor {
            change = change.tenor(Some(tenor.to_owned()));
        }
        if let Some(path) = file_path {
            change = change.file_path(path.to_string_lossy());
        }
        for (key, given) in metadata.into_iter().flatten() {
            change = change.metadata(key.extract::<String>()?, value(&given)?);
        }
        if let Some(expected) = expected {
            change = change.expecting(parsed(expected)?);
        }
        let catalog = self.catalog();
        self.calls.run(
            py,
            async move { catalog.update(&name, &change).await },
            |py, revision| Ok(revision.to_string().into_pyobject(py)?.into_any().unbind()),
        )
    }

    /// Gives an entry another name, also where others were made from it; gives its revision.
    fn rename(&self, py: Python<'_>, name: &str, to: &str) -> PyResult<Py<PyAny>> {
        let (name, to) = (ok(DatasetName::new(name))?, ok(DatasetName::new(to))?);
        let catalog = self.catalog();
        self.calls.run(
            py,
            async move { catalog.rename(&name, &to).await },
            |py, revision| object(py, revision.to_string()),
        )
    }

    /// What a dataset was made from, and what was made from it.
    fn lineage(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        let name = ok(DatasetName::new(name))?;
        let catalog = self.catalog();
        self.calls.run(
            py,
            async move {
                let lineage = catalog.lineage().await?;
                Ok((name, lineage))
            },
            |py, (name, lineage)| {
                let texts =
                    |names: Vec<DatasetName>| names.iter().map(ToString::to_string).collect();
                let found = Lineage {
                    parents: texts(lineage.parents(&name)),
                    children: texts(lineage.children(&name)),
                    ancestors: texts(lineage.ancestors(&name)),
                    descendants: texts(lineage.descendants(&name)),
                    name: name.to_string(),
                };
                object(py, Py::new(py, found)?)
            },
        )
    }

    /// The datasets that are due, and why.
    #[pyo3(signature = (*, instrument=None, tenor=None, prefix=None))]
    fn stale(
        &self,
        py: Python<'_>,
        instrument: Option<&str>,
        tenor: Option<&str>,
        prefix: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let filter = filter(instrument, tenor, prefix);
        let book = self.book.clone();
        self.calls
            .run(py, async move { book.stale(&filter).await }, |py, found| {
                let mut due = Vec::new();
                for stale in found {
                    let reasons = stale.reasons.iter();
                    due.push(Stale {
                        reasons: reasons.map(|why| why.name().to_owned()).collect(),
                        entry: Py::new(
                            py,
                            StoredEntry {
                                stored: stale.entry,
                            },
                        )?,
                    });
                }
                object(py, list(py, due)?)
            })
    }

    /// Takes the statistics of a dataset anew, without reading its rows; gives the entry's revision.
    fn refresh(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        let name = ok(DatasetName::new(name))?;
        let book = self.book.clone();
        self.calls.run(
            py,
            async move { book.refresh(&name).await },
            |py, revision| object(py, revision.to_string()),
        )
    }

    /// Files and series of the store that the catalog does not know, each with the entry that it might have. Writes nothing.
    fn discover(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let book = self.book.clone();
        self.calls
            .run(py, async move { book.discover().await }, |py, found| {
                let mut proposals = Vec::new();
                for found in found {
                    let problem = found.problem.as_ref();
                    proposals.push(Discovered {
                        name: found.entry.name.to_string(),
                        file_path: found.entry.file_path.clone(),
                        entry: loads(py, &text(&found.entry)?)?.unbind(),
                        problem: problem.map(|why| raised(why).into_value(py).into_any()),
                    });
                }
                object(py, list(py, proposals)?)
            })
    }

    /// Registers a file or series with what its footer says of it; `mode` is `create`, `upsert` or `update`. Gives the entry's revision.
    #[pyo3(signature = (name, instrument, file_path, *, tenor=None, derived_from=None, metadata=None, mode="create"))]
    #[allow(clippy::too_many_arguments, reason = "named ones of a Python call")]
    fn register_dataset(
        &self,
        py: Python<'_>,
        name: &str,
        instrument: &str,
        file_path: std::path::PathBuf,
        tenor: Option<&str>,
        derived_from: Option<Vec<String>>,
        metadata: Option<&Bound<'_, PyDict>>,
        mode: &str,
    ) -> PyResult<Py<PyAny>> {
        let mut entry = entry(name, instrument, &file_path, tenor, metadata)?;
        let parents = derived_from.into_iter().flatten();
        let parents = parents.map(|parent| ok(DatasetName::new(&parent)));
        entry = entry.with_derived_from(parents.collect::<PyResult<Vec<_>>>()?);
        let mode = save_mode(mode)?;
        let book = self.book.clone();
        self.calls.run(
            py,
            async move { book.register_dataset(entry, mode).await },
            |py, (revision, _)| object(py, revision.to_string()),
        )
    }

    /// Removes an entry together with its data, which has to lie in the store; says whether there was data.
    fn remove_with_data(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        let name = ok(DatasetName::new(name))?;
        let book = self.book.clone();
        self.calls.run(
            py,
            async move { book.remove_with_data(&name).await },
            |py, removed| object(py, removed.data),
        )
    }

    /// Takes an entry out and says whether it was there; `expected` is the revision that it must still have. The data stays.
    #[pyo3(signature = (name, *, expected=None))]
    fn remove(&self, py: Python<'_>, name: &str, expected: Option<&str>) -> PyResult<Py<PyAny>> {
        let name = ok(DatasetName::new(name))?;
        let expected: Option<Revision> = expected.map(parsed).transpose()?;
        let catalog = self.catalog();
        let removed = async move {
            match &expected {
                Some(seen) => catalog.remove_seen(&name, seen).await,
                None => catalog.remove(&name).await,
            }
        };
        self.calls.run(py, removed, |py, was| {
            Ok(was.into_pyobject(py)?.to_owned().into_any().unbind())
        })
    }

    fn __repr__(&self) -> String {
        match self.book.layout() {
            Some(layout) => described("Catalog", &[("file", &layout.registry.display())]),
            None => "Catalog(in memory)".to_owned(),
        }
    }
}

/// An entry of the catalog.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct StoredEntry {
    stored: minutebook::StoredEntry,
}

#[pymethods]
impl StoredEntry {
    #[getter]
    fn name(&self) -> String {
        self.stored.entry.name.to_string()
    }

    #[getter]
    fn revision(&self) -> String {
        self.stored.revision.to_string()
    }

    #[getter]
    fn instrument(&self) -> &str {
        &self.stored.entry.instrument
    }

    #[getter]
    fn tenor(&self) -> Option<&str> {
        self.stored.entry.tenor.as_deref()
    }

    #[getter]
    fn file_path(&self) -> &str {
        &self.stored.entry.file_path
    }

    #[getter]
    fn row_count(&self) -> Option<u64> {
        self.stored.entry.row_count
    }

    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let metadata = serde_json::Value::Object(self.stored.entry.metadata.clone());
        loads(py, &metadata.to_string())
    }

    /// The entry as a new dict, as it stands in the file.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        loads(py, &text(&self.stored.entry)?)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, field: &str) -> PyResult<Bound<'py, PyAny>> {
        let entry = self.to_dict(py)?;
        entry
            .get_item(field)
            .map_err(|_| PyKeyError::new_err(field.to_owned()))
    }

    fn __repr__(&self) -> String {
        let entry = &self.stored.entry;
        let rows = entry
            .row_count
            .map_or_else(|| "None".to_owned(), |rows| rows.to_string());
        described(
            "StoredEntry",
            &[
                ("name", &format!("{:?}", entry.name.as_str())),
                ("instrument", &format!("{:?}", entry.instrument)),
                ("file_path", &format!("{:?}", entry.file_path)),
                ("rows", &rows),
            ],
        )
    }
}
