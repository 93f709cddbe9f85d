//! Documents from Python: JSON values under names.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook::{DocumentFilter, DocumentName, DocumentRepository, Minutebook};
use pyo3::prelude::*;

use crate::convert::{described, dumps, loads, parsed, range};
use crate::record::{list, object, record};
use crate::run::Calls;

/// Run logs, parameters and whatever else is one JSON value under a name like `runs/2025-01-02`.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct Documents {
    book: Minutebook,
    calls: Calls,
}

impl Documents {
    pub(crate) fn new(book: Minutebook, calls: Calls) -> Self {
        Self { book, calls }
    }

    fn repository(&self) -> Arc<dyn DocumentRepository> {
        Arc::clone(self.book.documents())
    }
}

record! {
    /// A document and when it was saved.
    Document {
        /// Its name.
        name: String,
        /// When it was saved last, UTC.
        saved_at: DateTime<Utc>,
        /// Its length.
        bytes: u64,
        /// Its value; `None` in a list of documents.
        value: Option<Py<PyAny>>,
    }
    saved_at_ns = saved_at
}

fn name(text: &str) -> PyResult<DocumentName> {
    parsed(text)
}

#[pymethods]
impl Documents {
    /// Saves a value, whole or not at all, in the place of the one before. Text is taken for JSON already.
    fn save(&self, py: Python<'_>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let name = self::name(name)?;
        let text = dumps(value)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.save(&name, &text).await },
            |py, ()| Ok(py.None()),
        )
    }

    /// The document with this name, or `None`.
    fn get(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        let name = self::name(name)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.get(&name).await },
            |py, found| {
                let Some(found) = found else {
                    return Ok(py.None());
                };
                let document = Document {
                    name: found.info.name.to_string(),
                    saved_at: found.info.saved_at,
                    bytes: found.info.bytes,
                    value: Some(loads(py, &found.text)?.unbind()),
                };
                object(py, Py::new(py, document)?)
            },
        )
    }

    /// The documents whose names begin with `prefix`, and that are of a time from `start` on and before `end`; without their values.
    #[pyo3(signature = (prefix=None, start=None, end=None))]
    fn list(
        &self,
        py: Python<'_>,
        prefix: Option<&str>,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let mut filter = DocumentFilter::new();
        if let Some(prefix) = prefix {
            filter = filter.prefix(prefix);
        }
        if start.is_some() || end.is_some() {
            filter = filter.range(range(start, end)?);
        }
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.list(&filter).await },
            |py, found| {
                let found = found.into_iter().map(|info| Document {
                    name: info.name.to_string(),
                    saved_at: info.saved_at,
                    bytes: info.bytes,
                    value: None,
                });
                object(py, list(py, found)?)
            },
        )
    }

    /// Deletes a document and says whether it was there.
    fn delete(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        let name = self::name(name)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.delete(&name).await },
            |py, was| Ok(was.into_pyobject(py)?.to_owned().into_any().unbind()),
        )
    }

    fn __repr__(&self) -> String {
        match self.book.layout() {
            Some(layout) => described("Documents", &[("path", &layout.documents.display())]),
            None => "Documents(in memory)".to_owned(),
        }
    }
}
