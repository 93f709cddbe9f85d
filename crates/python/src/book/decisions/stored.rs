//! Decisions as the store has them, pages of them, receipts.

use chrono::{DateTime, Utc};
use minutebook::SaveOutcome;
use pyo3::exceptions::{PyIndexError, PyKeyError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::{Nanos, described, loads};
use crate::record::record;

/// A decision as the store has it.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct StoredDecision {
    stored: minutebook::StoredDecision,
}

impl From<minutebook::StoredDecision> for StoredDecision {
    fn from(stored: minutebook::StoredDecision) -> Self {
        Self { stored }
    }
}

#[pymethods]
impl StoredDecision {
    #[getter]
    fn id(&self) -> String {
        self.stored.decision.id().to_string()
    }

    /// The document as a new dict.
    #[getter]
    fn decision<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        loads(py, &self.stored.decision.to_json())
    }

    /// The document's JSON text, fields and numbers as they were written.
    #[getter]
    fn json(&self) -> String {
        self.stored.decision.to_json()
    }

    #[getter]
    fn revision(&self) -> String {
        self.stored.revision.to_string()
    }

    /// When the store took it, to the microsecond.
    #[getter]
    fn recorded_at(&self) -> DateTime<Utc> {
        self.stored.recorded_at
    }

    /// The same in nanoseconds since 1970, as exact as the store has it.
    #[getter]
    fn recorded_at_ns(&self) -> i128 {
        self.stored.recorded_at.nanos()
    }

    /// A field of the document.
    fn __getitem__<'py>(&self, py: Python<'py>, field: &str) -> PyResult<Bound<'py, PyAny>> {
        match self.stored.decision.raw(field) {
            Some(text) => loads(py, text),
            None => Err(PyKeyError::new_err(field.to_owned())),
        }
    }

    /// A field of the document, or the default.
    #[pyo3(signature = (field, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        field: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.stored.decision.raw(field) {
            Some(text) => loads(py, text).map(Some),
            None => Ok(default),
        }
    }

    fn __contains__(&self, field: &str) -> bool {
        self.stored.decision.raw(field).is_some()
    }

    fn __repr__(&self) -> String {
        let decision = &self.stored.decision;
        let text = |field: &str| decision.raw(field).unwrap_or("None").to_owned();
        described(
            "StoredDecision",
            &[
                ("id", &format!("{:?}", decision.id().as_str())),
                ("timestamp", &text("timestamp")),
                ("asset_pair", &text("asset_pair")),
                ("action", &text("action")),
                ("revision", &format!("{:?}", self.stored.revision.as_str())),
            ],
        )
    }
}

/// A page of decisions: a sequence, with what was skipped and where the next page begins.
#[pyclass(module = "minutebook", frozen, get_all)]
pub(crate) struct DecisionPage {
    decisions: Vec<Py<StoredDecision>>,
    next: Option<String>,
    problems: Vec<String>,
}

impl DecisionPage {
    pub(crate) fn new(py: Python<'_>, page: minutebook::DecisionPage) -> PyResult<Self> {
        let decisions = page.decisions.into_iter();
        Ok(Self {
            decisions: decisions
                .map(|stored| Py::new(py, StoredDecision::from(stored)))
                .collect::<PyResult<_>>()?,
            next: page.next.map(|cursor| cursor.to_string()),
            problems: problems(&page.report),
        })
    }
}

/// The problems of a report as text.
pub(crate) fn problems(report: &minutebook::ReadReport) -> Vec<String> {
    report.problems().iter().map(ToString::to_string).collect()
}

#[pymethods]
impl DecisionPage {
    fn __len__(&self) -> usize {
        self.decisions.len()
    }

    fn __getitem__(&self, py: Python<'_>, place: isize) -> PyResult<Py<StoredDecision>> {
        let place = if place < 0 {
            self.decisions.len().checked_add_signed(place)
        } else {
            place.try_into().ok()
        };
        place
            .and_then(|place| self.decisions.get(place))
            .map(|found| found.clone_ref(py))
            .ok_or_else(|| PyIndexError::new_err("no decision there"))
    }

    fn __repr__(&self) -> String {
        described(
            "DecisionPage",
            &[
                ("decisions", &self.decisions.len()),
                ("more", &self.next.is_some()),
                ("problems", &self.problems.len()),
            ],
        )
    }
}

/// What a save did.
#[pyclass(module = "minutebook", frozen, get_all)]
pub(crate) struct SaveReceipt {
    revision: String,
    recorded_at: DateTime<Utc>,
    /// `created`, `updated` or `unchanged`.
    outcome: &'static str,
}

impl From<minutebook::SaveReceipt> for SaveReceipt {
    fn from(receipt: minutebook::SaveReceipt) -> Self {
        Self {
            revision: receipt.revision.to_string(),
            recorded_at: receipt.recorded_at,
            outcome: match receipt.outcome {
                SaveOutcome::Created => "created",
                SaveOutcome::Updated => "updated",
                SaveOutcome::Unchanged => "unchanged",
            },
        }
    }
}

#[pymethods]
impl SaveReceipt {
    /// When the store took it, in nanoseconds since 1970.
    #[getter]
    fn recorded_at_ns(&self) -> i128 {
        self.recorded_at.nanos()
    }

    fn __repr__(&self) -> String {
        described(
            "SaveReceipt",
            &[
                ("outcome", &self.outcome),
                ("revision", &format!("{:?}", self.revision)),
            ],
        )
    }
}

record! {
    /// The bytes of a decision's file.
    RawDocument {
        /// The file's name.
        file: String,
        bytes: Py<PyBytes>,
        revision: Option<String>,
        recorded_at: Option<DateTime<Utc>>,
    }
    recorded_at_ns = recorded_at
}

impl RawDocument {
    pub(super) fn new(py: Python<'_>, raw: minutebook::json::RawDocument) -> Self {
        Self {
            file: raw.file,
            bytes: PyBytes::new(py, &raw.bytes).unbind(),
            revision: raw.revision.map(|revision| revision.to_string()),
            recorded_at: raw.recorded_at,
        }
    }
}
