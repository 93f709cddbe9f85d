//! The change feed from Python: an iterator that waits.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook::{Error, ErrorKind, Result};
use minutebook_core::{ChangeStream, DecisionChange, DecisionState, StateContent};
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::convert::{described, loads};
use crate::error::raised;
use crate::run::{Calls, Mode, wait};

/// Changes of decisions, one after another. Waits for those to come, and does not end by itself.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct Changes {
    feed: Arc<Mutex<Feed>>,
    calls: Calls,
}

/// A feed, which may still be beginning.
#[derive(Debug)]
pub(crate) enum Feed {
    Begun(ChangeStream),
    Beginning(JoinHandle<Result<ChangeStream>>),
}

impl Feed {
    async fn next(&mut self) -> Result<Option<DecisionChange>> {
        if let Self::Beginning(task) = self {
            let begun = task.await.map_err(|error| {
                Error::new(ErrorKind::Unavailable, "the feed could not be begun").with_source(error)
            })?;
            *self = Self::Begun(begun?);
        }
        match self {
            Self::Begun(stream) => stream.next().await.transpose(),
            Self::Beginning(_) => Ok(None),
        }
    }
}

impl Changes {
    pub(crate) fn new(feed: Feed, calls: Calls) -> Self {
        Self {
            feed: Arc::new(Mutex::new(feed)),
            calls,
        }
    }
}

#[pymethods]
impl Changes {
    fn __iter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        if slf.get().calls.mode == Mode::Async {
            return Err(PyTypeError::new_err("use `async for`"));
        }
        Ok(slf)
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Change> {
        let feed = Arc::clone(&self.feed);
        let next = wait(py, async move { feed.lock().await.next().await })?;
        match next.map_err(|error| raised(&error))? {
            Some(change) => Ok(Change::from(change)),
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
        let feed = Arc::clone(&self.feed);
        self.calls.run(
            py,
            async move { feed.lock().await.next().await },
            |py, change| match change {
                Some(change) => Ok(Py::new(py, Change::from(change))?.into_any()),
                None => Err(PyStopAsyncIteration::new_err(())),
            },
        )
    }

    fn __repr__(&self) -> String {
        match self.feed.try_lock().as_deref() {
            Ok(Feed::Begun(stream)) => {
                let position = stream.position().as_str().to_owned();
                described("Changes", &[("after", &format!("{position:?}"))])
            }
            _ => "Changes(waiting)".to_owned(),
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
