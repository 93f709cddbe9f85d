//! Decisions from Python: documents as dicts.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use minutebook::{
    Action, Decision, DecisionFilter, DecisionId, DecisionQuery, DecisionRepository,
    DecisionRepositoryExt, FieldMatch, GroupBy, Minutebook, Order, RetentionPolicy, SaveMode,
    SaveOutcome,
};
use minutebook_core::{At, WatchFrom};
use pyo3::exceptions::{PyIndexError, PyKeyError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use super::changes::{Change, Changes, Feed};
use crate::convert::{described, dumps, instant, loads, ok, parsed, range, unknown, value};
use crate::record::{list, record};
use crate::run::{Calls, Mode};

/// The decisions of a store.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct Decisions {
    book: Minutebook,
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
    pub(crate) fn new(book: Minutebook, calls: Calls) -> Self {
        Self {
            repository: Arc::clone(book.decisions()),
            book,
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

    /// Saves a JSON text letter for letter, also where it is wider than JSON as Python writes it (NaN, infinities, any depth, lone surrogates).
    #[pyo3(signature = (text, mode="upsert", *, expected=None))]
    fn save_raw(
        &self,
        py: Python<'_>,
        text: String,
        mode: &str,
        expected: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let known = ok(minutebook::json::raw_fields(&text))?;
        let mode = save_mode(mode, expected)?;
        let book = self.book.clone();
        self.calls.run(
            py,
            async move {
                let files = book.make_decision_files()?.ok_or_else(no_files)?;
                files.save_raw(&known, text, mode).await
            },
            |py, receipt| Ok(Py::new(py, SaveReceipt::from(receipt))?.into_any()),
        )
    }

    /// The bytes of a decision's file, whether they can be read as a decision or not; `None` if there is none.
    fn get_raw(&self, py: Python<'_>, id: &str) -> PyResult<Py<PyAny>> {
        let id = self::id(id)?;
        let book = self.book.clone();
        self.calls.run(
            py,
            async move {
                if book.root().is_none() {
                    return Err(no_files());
                }
                match book.decision_files()? {
                    Some(files) => files.get_raw(&id).await,
                    None => Ok(None),
                }
            },
            |py, found| {
                let Some(raw) = found else {
                    return Ok(py.None());
                };
                let document = RawDocument {
                    file: raw.file,
                    bytes: PyBytes::new(py, &raw.bytes).unbind(),
                    revision: raw.revision.map(|revision| revision.to_string()),
                    recorded_at: raw.recorded_at,
                };
                Ok(Py::new(py, document)?.into_any())
            },
        )
    }

    /// How many decisions match, by what they have in common: `pair`, `action`, `day` or a JSON pointer (`/outcome/result`). Pairs of value
    /// and number; the value is `None` for those that have no such field.
    #[pyo3(signature = (by, **filter))]
    fn count_by(
        &self,
        py: Python<'_>,
        by: &str,
        filter: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let by = match by {
            "pair" => GroupBy::Pair,
            "action" => GroupBy::Action,
            "day" => GroupBy::Day,
            pointer if pointer.starts_with('/') => GroupBy::Field(pointer.to_owned()),
            other => {
                return Err(unknown(
                    "group",
                    other,
                    "pair, action, day, a JSON pointer that begins with a slash",
                ));
            }
        };
        let filter = self::filter(py, filter)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.count_by(&filter, &by).await },
            |py, counts| {
                let list = PyList::empty(py);
                for group in counts {
                    let key = match group.key {
                        Some(key) => loads(py, &key.to_string())?.unbind(),
                        None => py.None(),
                    };
                    list.append((key, group.count))?;
                }
                Ok(list.into_any().unbind())
            },
        )
    }

    /// What a policy would delete: decisions `older_than` (a timedelta) or beyond the `newest` so many (of each pair, with `per_pair`); a
    /// decision that has a value at one of the JSON pointers `keep_with` stays. Changes nothing.
    #[pyo3(signature = (*, older_than=None, newest=None, per_pair=false, keep_with=None, **filter))]
    #[allow(clippy::too_many_arguments, reason = "named ones of a Python call")]
    fn plan_retention(
        &self,
        py: Python<'_>,
        older_than: Option<TimeDelta>,
        newest: Option<usize>,
        per_pair: bool,
        keep_with: Option<Vec<String>>,
        filter: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let mut policy = RetentionPolicy::new().filter(self::filter(py, filter)?);
        if let Some(age) = older_than {
            policy = policy.older_than(age);
        }
        if let Some(count) = newest {
            policy = policy.newest(count);
        }
        if per_pair {
            policy = policy.per_pair();
        }
        for pointer in keep_with.into_iter().flatten() {
            policy = policy.keep_with(pointer);
        }
        let (repository, now) = (self.repository(), self.book.now());
        self.calls.run(
            py,
            async move { repository.plan_retention(&policy, now).await },
            |py, plan| Ok(Py::new(py, RetentionPlan { plan })?.into_any()),
        )
    }

    /// Deletes what a plan names and that is still as it was when the plan was made.
    fn apply_retention(&self, py: Python<'_>, plan: &RetentionPlan) -> PyResult<Py<PyAny>> {
        let (repository, plan) = (self.repository(), plan.plan.clone());
        self.calls.run(
            py,
            async move { repository.apply_retention(&plan).await },
            |py, outcome| {
                let failed = outcome.failed.iter();
                let failed = failed.map(|(id, error)| {
                    (
                        id.to_string(),
                        crate::error::raised(error).into_value(py).into_any(),
                    )
                });
                let done = RetentionOutcome {
                    deleted: outcome.deleted,
                    gone: outcome.gone,
                    changed: outcome.changed.iter().map(ToString::to_string).collect(),
                    failed: failed.collect(),
                };
                Ok(Py::new(py, done)?.into_any())
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

fn no_files() -> minutebook::Error {
    minutebook::Error::unsupported("a store in memory keeps decisions, not texts")
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
}

record! {
    /// A decision that a plan lets go.
    Expired {
        id: String,
        /// In another state it stays.
        revision: String,
        time: DateTime<Utc>,
        asset_pair: Option<String>,
        /// `age` or `count`.
        reason: &'static str,
    }
}

record! {
    /// What became of a plan.
    RetentionOutcome {
        deleted: u64,
        /// How many were gone already.
        gone: u64,
        /// The ids of those that were changed since, and stay.
        changed: Vec<String>,
        /// Those that could not be deleted, with the exception that says why.
        failed: Vec<(String, Py<PyAny>)>,
    }
}

/// What a retention policy would delete.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct RetentionPlan {
    plan: minutebook::RetentionPlan,
}

#[pymethods]
impl RetentionPlan {
    /// What goes, the newest first.
    #[getter]
    fn expired(&self, py: Python<'_>) -> PyResult<Vec<Py<Expired>>> {
        let expired = self.plan.expired.iter().map(|item| Expired {
            id: item.id.to_string(),
            revision: item.revision.to_string(),
            time: item.time,
            asset_pair: item.asset_pair.clone(),
            reason: item.reason.name(),
        });
        list(py, expired)
    }

    /// What is older than this goes, if the policy has an age.
    #[getter]
    fn cutoff(&self) -> Option<DateTime<Utc>> {
        self.plan.cutoff
    }

    /// How many decisions were looked at.
    #[getter]
    fn examined(&self) -> u64 {
        self.plan.examined
    }

    /// How many a field keeps.
    #[getter]
    fn kept(&self) -> u64 {
        self.plan.kept
    }

    /// Documents that could not be read, as text. They stay.
    #[getter]
    fn problems(&self) -> Vec<String> {
        problems(&self.plan.report)
    }

    fn __len__(&self) -> usize {
        self.plan.expired.len()
    }

    fn __repr__(&self) -> String {
        described(
            "RetentionPlan",
            &[
                ("expired", &self.plan.expired.len()),
                ("examined", &self.plan.examined),
                ("kept", &self.plan.kept),
            ],
        )
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
