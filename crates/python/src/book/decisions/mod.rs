//! Decisions from Python: documents as dicts.

mod asked;
mod retention;
mod stored;

use std::sync::Arc;

use chrono::TimeDelta;
use minutebook::{
    DecisionQuery, DecisionRepository, DecisionRepositoryExt, GroupBy, Minutebook, Order,
    RetentionPolicy,
};
use minutebook_core::WatchFrom;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::changes::{Change, Changes, Watch};
use crate::convert::{loads, ok, parsed, unknown};
use crate::run::{Calls, Mode};
use asked::save_mode;
pub(crate) use retention::{Expired, RetentionOutcome, RetentionPlan};
pub(crate) use stored::{DecisionPage, RawDocument, SaveReceipt, StoredDecision, problems};

/// The decisions of a store.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct Decisions {
    book: Minutebook,
    repository: Arc<dyn DecisionRepository>,
    calls: Calls,
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
        let decision = asked::decision(decision)?;
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
            .map(|given| asked::decision(&given?))
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
        let id = asked::id(id)?;
        let at = at.map(asked::at).transpose()?;
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
            .filter(asked::filter(py, filter)?)
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
        let filter = asked::filter(py, filter)?;
        let repository = self.repository();
        self.calls.run(
            py,
            async move { repository.count(&filter).await },
            |py, count| Ok(count.into_pyobject(py)?.into_any().unbind()),
        )
    }

    /// Deletes a decision and says whether it was there.
    fn delete(&self, py: Python<'_>, id: &str) -> PyResult<Py<PyAny>> {
        let id = asked::id(id)?;
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
        let filter = asked::filter(py, filter)?;
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
        let id = asked::id(id)?;
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
        let id = asked::id(id)?;
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
                Ok(Py::new(py, RawDocument::new(py, raw))?.into_any())
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
        let filter = asked::filter(py, filter)?;
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
        let mut policy = RetentionPolicy::new().filter(asked::filter(py, filter)?);
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
            |py, plan| Ok(Py::new(py, RetentionPlan::from(plan))?.into_any()),
        )
    }

    /// Deletes what a plan names and that is still as it was when the plan was made.
    fn apply_retention(&self, py: Python<'_>, plan: &RetentionPlan) -> PyResult<Py<PyAny>> {
        let (repository, plan) = (self.repository(), plan.plan().clone());
        self.calls.run(
            py,
            async move { repository.apply_retention(&plan).await },
            |py, outcome| {
                let done = RetentionOutcome::new(py, &outcome);
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
        self.calls.check()?;
        let repository = self.repository();
        let begin = async move { repository.watch(from).await };
        let feed = match self.calls.mode {
            Mode::Sync => Watch::Begun(ok(crate::run::wait(py, begin)?)?),
            // It begins beside what the caller does next; the first change that is awaited waits for it.
            Mode::Async => Watch::Beginning(crate::run::runtime()?.spawn(begin)),
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
