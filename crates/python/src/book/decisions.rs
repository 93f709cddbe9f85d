//! Decisions from Python: documents as dicts.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook::{
    Action, Decision, DecisionFilter, DecisionId, DecisionQuery, DecisionRepository,
    DecisionRepositoryExt, FieldMatch, Order, SaveMode, SaveOutcome,
};
use minutebook_core::{At, WatchFrom};
use pyo3::exceptions::{PyIndexError, PyKeyError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::changes::{Change, Changes, Feed};
use crate::convert::{described, dumps, instant, loads, ok, parsed, range, unknown, value};
use crate::run::{Calls, Mode};

/// The decisions of a store.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct Decisions {
    repository: Arc<dyn DecisionRepository>,
    calls: Calls,
}

/// What a query asks for.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Wanted<'py> {
    asset_pair: Option<String>,
    action: Option<String>,
    start: Option<Bound<'py, PyAny>>,
    end: Option<Bound<'py, PyAny>>,
    min_confidence: Option<f64>,
    id_prefix: Option<String>,
    fields: Option<Bound<'py, PyDict>>,
}

impl Wanted<'_> {
    fn filter(&self) -> PyResult<DecisionFilter> {
        let mut filter = DecisionFilter::new().time(range(self.start.as_ref(), self.end.as_ref())?);
        if let Some(pair) = &self.asset_pair {
            filter = filter.asset_pair(parsed(pair)?);
        }
        if let Some(action) = &self.action {
            let Ok(action) = action.parse::<Action>();
            filter = filter.action(action);
        }
        if let Some(confidence) = self.min_confidence {
            filter = filter.min_confidence(confidence);
        }
        if let Some(prefix) = &self.id_prefix {
            filter = filter.id_prefix(prefix);
        }
        for (pointer, wanted) in self.fields.iter().flatten() {
            let pointer: String = pointer.extract()?;
            filter = filter.field(FieldMatch::new(pointer, value(&wanted)?));
        }
        Ok(filter)
    }
}

fn decision(given: &Bound<'_, PyAny>) -> PyResult<Decision> {
    ok(Decision::from_json(&dumps(given)?))
}

fn id(text: &str) -> PyResult<DecisionId> {
    ok(DecisionId::new(text))
}

fn save_mode(mode: &str, expected: Option<&str>) -> PyResult<SaveMode> {
    match (mode, expected) {
        ("update", expected) => Ok(SaveMode::Update {
            expected: expected.map(parsed).transpose()?,
        }),
        ("upsert", Some(expected)) => Ok(SaveMode::Update {
            expected: Some(parsed(expected)?),
        }),
        ("upsert", None) => Ok(SaveMode::Upsert),
        ("create", None) => Ok(SaveMode::Create),
        _ => Err(unknown("mode", mode, "create, upsert, update")),
    }
}

impl Decisions {
    pub(crate) fn new(repository: &Arc<dyn DecisionRepository>, calls: Calls) -> Self {
        Self {
            repository: Arc::clone(repository),
            calls,
        }
    }

    fn repository(&self) -> Arc<dyn DecisionRepository> {
        Arc::clone(&self.repository)
    }
}

#[pymethods]
impl Decisions {
    /// Saves a decision: a dict or a JSON text with an `id`. `mode` is `upsert`, `create` or `update`; with `expected` only if the stored
    /// state still has this revision.
    #[pyo3(signature = (decision, mode="upsert", *, expected=None))]
    fn save(
        &self,
        py: Python<'_>,
        decision: &Bound<'_, PyAny>,
        mode: &str,
        expected: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let decision = self::decision(decision)?;
        let mode = save_mode(mode, expected)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.save(&decision, mode).await },
            |py, receipt| Ok(Py::new(py, SaveReceipt::from(receipt))?.into_any()),
        )
    }

    /// Saves many decisions with few waits for the disk. Gives a receipt or an exception for each, in order.
    #[pyo3(signature = (decisions, mode="upsert"))]
    fn save_all(
        &self,
        py: Python<'_>,
        decisions: &Bound<'_, PyAny>,
        mode: &str,
    ) -> PyResult<Py<PyAny>> {
        let mode = save_mode(mode, None)?;
        let decisions = decisions
            .try_iter()?
            .map(|given| self::decision(&given?))
            .collect::<PyResult<Vec<_>>>()?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { Ok(repository.save_all(decisions, mode).await) },
            |py, results| {
                let list = PyList::empty(py);
                for result in results {
                    match result {
                        Ok(receipt) => list.append(SaveReceipt::from(receipt))?,
                        Err(error) => list.append(crate::error::raised(&error).into_value(py))?,
                    }
                }
                Ok(list.into_any().unbind())
            },
        )
    }

    /// The decision with this id, or `None`. With `at` (an instant or a revision) as it was then.
    #[pyo3(signature = (id, *, at=None))]
    fn get(&self, py: Python<'_>, id: &str, at: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        let id = self::id(id)?;
        let at = at.map(self::at).transpose()?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move {
                match at {
                    None => repository.get(&id).await,
                    Some(at) => repository.get_at(&id, &at).await,
                }
            },
            |py, found| match found {
                Some(stored) => Ok(Py::new(py, StoredDecision::from(stored))?.into_any()),
                None => Ok(py.None()),
            },
        )
    }

    /// Decisions that match, a page at a time.
    #[pyo3(signature = (*, order="newest", limit=None, after=None, **filter))]
    fn query(
        &self,
        py: Python<'_>,
        order: &str,
        limit: Option<usize>,
        after: Option<&str>,
        filter: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let order = match order {
            "newest" => Order::Newest,
            "oldest" => Order::Oldest,
            "recently_written" => Order::RecentlyWritten,
            other => return Err(unknown("order", other, "newest, oldest, recently_written")),
        };
        let mut query = DecisionQuery::new()
            .filter(self::filter(py, filter)?)
            .order(order);
        if let Some(limit) = limit {
            query = query.limit(limit);
        }
        if let Some(after) = after {
            query = query.after(parsed(after)?);
        }
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.query(&query).await },
            |py, page| Ok(Py::new(py, DecisionPage::new(py, page)?)?.into_any()),
        )
    }

    /// The newest decisions, as a list.
    #[pyo3(signature = (limit=10, asset_pair=None))]
    fn recent(
        &self,
        py: Python<'_>,
        limit: usize,
        asset_pair: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let pair = asset_pair.map(parsed).transpose()?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.recent(limit, pair.as_ref()).await },
            |py, found| {
                let all = found.into_iter().map(StoredDecision::from);
                Ok(PyList::new(py, all.collect::<Vec<_>>())?
                    .into_any()
                    .unbind())
            },
        )
    }

    /// How many decisions match.
    #[pyo3(signature = (**filter))]
    fn count(&self, py: Python<'_>, filter: Option<&Bound<'_, PyDict>>) -> PyResult<Py<PyAny>> {
        let filter = self::filter(py, filter)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.count(&filter).await },
            |py, count| Ok(count.into_pyobject(py)?.into_any().unbind()),
        )
    }

    /// Deletes a decision and says whether it was there.
    fn delete(&self, py: Python<'_>, id: &str) -> PyResult<Py<PyAny>> {
        let id = self::id(id)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.delete(&id).await },
            |py, was| Ok(was.into_pyobject(py)?.to_owned().into_any().unbind()),
        )
    }

    /// Deletes the decisions that match and says how many. At least one condition is needed, or `everything=True`.
    #[pyo3(signature = (*, everything=false, **filter))]
    fn delete_matching(
        &self,
        py: Python<'_>,
        everything: bool,
        filter: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let filter = self::filter(py, filter)?;
        if filter.is_all() && !everything {
            return Err(crate::error::raised(&minutebook::Error::invalid(
                "this would delete every decision; say everything=True if that is meant",
            )));
        }
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.delete_matching(&filter).await },
            |py, count| Ok(count.into_pyobject(py)?.into_any().unbind()),
        )
    }

    /// The states that a decision went through, the oldest first.
    fn history(&self, py: Python<'_>, id: &str) -> PyResult<Py<PyAny>> {
        let id = self::id(id)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.history(&id).await },
            |py, states| {
                let states = states.into_iter().map(|state| Change::of(None, state));
                Ok(PyList::new(py, states.collect::<Vec<_>>())?
                    .into_any()
                    .unbind())
            },
        )
    }

    /// Changes as they come: an iterator that waits for them. From now on, from the `start`, or after a position that was kept.
    #[pyo3(signature = (*, start=false, after=None))]
    fn watch(&self, py: Python<'_>, start: bool, after: Option<&str>) -> PyResult<Changes> {
        let from = match after {
            Some(position) => WatchFrom::After(parsed(position)?),
            None if start => WatchFrom::Start,
            None => WatchFrom::Now,
        };
        let repository = self.repository();
        let begin = async move { repository.watch(from).await };
        let feed = match self.calls.mode {
            Mode::Sync => Feed::Begun(ok(crate::run::wait(py, begin)?)?),
            // It begins beside what the caller does next; the first change that is awaited waits for it.
            Mode::Async => Feed::Beginning(crate::run::runtime()?.spawn(begin)),
        };
        Ok(Changes::new(feed, self.calls))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.repository.capabilities()).replacen("Capabilities", "Decisions", 1)
    }
}

fn at(given: &Bound<'_, PyAny>) -> PyResult<At> {
    if let Ok(text) = given.extract::<String>()
        && text.contains('-')
        && minutebook::time::parse_timestamp(&text).is_err()
    {
        return Ok(At::Revision(parsed(&text)?));
    }
    Ok(At::Time(instant(given)?))
}

fn filter(py: Python<'_>, given: Option<&Bound<'_, PyDict>>) -> PyResult<DecisionFilter> {
    const KNOWN: [&str; 7] = [
        "asset_pair",
        "action",
        "start",
        "end",
        "min_confidence",
        "id_prefix",
        "fields",
    ];
    let all = PyDict::new(py);
    for name in KNOWN {
        all.set_item(name, py.None())?;
    }
    for (name, value) in given.into_iter().flatten() {
        let text: String = name.extract()?;
        if !KNOWN.contains(&text.as_str()) {
            return Err(unknown("condition", &text, &KNOWN.join(", ")));
        }
        all.set_item(name, value)?;
    }
    all.extract::<Wanted<'_>>()?.filter()
}

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

    #[getter]
    fn recorded_at(&self) -> DateTime<Utc> {
        self.stored.recorded_at
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
    fn new(py: Python<'_>, page: minutebook::DecisionPage) -> PyResult<Self> {
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
