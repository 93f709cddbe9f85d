//! The change feed from Python: an iterator that waits.

use chrono::{DateTime, Utc};
use minutebook::{Error, ErrorKind, Result};
use minutebook_core::{ChangeStream, DecisionChange, DecisionState, StateContent};
use pyo3::prelude::*;
use tokio::task::JoinHandle;

use crate::convert::{Nanos, described, loads};
use crate::feed::{self, Feed, Source};
use crate::record::object;
use crate::run::Calls;

/// Changes of decisions, one after another. Waits for those to come, and does not end by itself.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct Changes(Feed<Watch>);

/// A feed of changes, which may still be beginning.
#[derive(Debug)]
pub(crate) enum Watch {
    Begun(ChangeStream),
    Beginning(JoinHandle<Result<ChangeStream>>),
    /// It could not begin, which was said.
    Failed,
}

impl Source for Watch {
    type Item = DecisionChange;

    async fn next(&mut self) -> Result<Option<DecisionChange>> {
        if let Self::Beginning(task) = self {
            let begun = task.await.map_err(|error| {
                Error::new(ErrorKind::Unavailable, "the feed could not be begun").with_source(error)
            });
            // Its outcome is given once, whatever it is.
            *self = Self::Failed;
            *self = Self::Begun(begun.flatten()?);
        }
        match self {
            Self::Begun(stream) => stream.next().await.transpose(),
            Self::Beginning(_) | Self::Failed => Ok(None),
        }
    }
}

impl Changes {
    pub(crate) fn new(watch: Watch, calls: Calls) -> Self {
        Self(Feed::new(watch, calls))
    }
}

#[pymethods]
impl Changes {
    fn __iter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        slf.get().0.plain().map(|()| slf)
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Change> {
        self.0.next(py).map(Change::from)
    }

    fn __aiter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        slf.get().0.awaited().map(|()| slf)
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        feed::deliver(slf.getattr("_give")?)
    }

    fn _give(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.give(py, |py, change| {
            object(py, Py::new(py, Change::from(change))?)
        })
    }

    fn __repr__(&self) -> String {
        let position = self.0.with(|watch| match watch {
            Watch::Begun(stream) => Some(stream.position().as_str().to_owned()),
            Watch::Beginning(_) | Watch::Failed => None,
        });
        match position.flatten() {
            Some(position) => described("Changes", &[("after", &format!("{position:?}"))]),
            None => "Changes(waiting)".to_owned(),
        }
    }
}

/// What a decision became: saved, deleted, or no longer kept.
#[pyclass(module = "minutebook", frozen, get_all)]
pub(crate) struct Change {
    id: String,
    /// `saved`, `raw`, `dropped` or `deleted`.
    kind: &'static str,
    revision: Option<String>,
    recorded_at: DateTime<Utc>,
    /// Where to go on after this change; `None` in a history.
    position: Option<String>,
    /// The document's text, if it is kept.
    json: Option<String>,
}

impl Change {
    pub(crate) fn of(position: Option<String>, state: DecisionState) -> Self {
        let (kind, json) = match &state.content {
            StateContent::Saved(decision) => ("saved", Some(decision.to_json())),
            StateContent::Raw(decision) => ("raw", Some(decision.to_json())),
            StateContent::Deleted => ("deleted", None),
            _ => ("dropped", None),
        };
        Self {
            id: state.id.to_string(),
            kind,
            revision: state.revision.map(|revision| revision.to_string()),
            recorded_at: state.recorded_at,
            position,
            json,
        }
    }
}

impl From<DecisionChange> for Change {
    fn from(change: DecisionChange) -> Self {
        Self::of(Some(change.position.to_string()), change.state)
    }
}

#[pymethods]
impl Change {
    /// `recorded_at` in nanoseconds since 1970: a `datetime` has microseconds.
    #[getter]
    fn recorded_at_ns(&self) -> i128 {
        self.recorded_at.nanos()
    }

    /// The document as a new dict, if it is kept.
    #[getter]
    fn decision<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.json.as_deref().map(|text| loads(py, text)).transpose()
    }

    fn __repr__(&self) -> String {
        described(
            "Change",
            &[
                ("id", &format!("{:?}", self.id)),
                ("kind", &self.kind),
                ("recorded_at", &self.recorded_at),
            ],
        )
    }
}
