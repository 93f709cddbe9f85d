//! Plans of what to let go, and what became of them.

use chrono::{DateTime, Utc};
use pyo3::prelude::*;

use super::stored::problems;
use crate::convert::{Nanos, described};
use crate::error::raised;
use crate::record::{list, record};

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
    time_ns = time
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

impl RetentionOutcome {
    pub(super) fn new(py: Python<'_>, outcome: &minutebook::RetentionOutcome) -> Self {
        let failed = outcome.failed.iter().map(|(id, error)| {
            let exception = raised(error).into_value(py).into_any();
            (id.to_string(), exception)
        });
        Self {
            deleted: outcome.deleted,
            gone: outcome.gone,
            changed: outcome.changed.iter().map(ToString::to_string).collect(),
            failed: failed.collect(),
        }
    }
}

/// What a retention policy would delete.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct RetentionPlan {
    plan: minutebook::RetentionPlan,
}

impl From<minutebook::RetentionPlan> for RetentionPlan {
    fn from(plan: minutebook::RetentionPlan) -> Self {
        Self { plan }
    }
}

impl RetentionPlan {
    pub(super) fn plan(&self) -> &minutebook::RetentionPlan {
        &self.plan
    }
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

    /// The same in nanoseconds since 1970.
    #[getter]
    fn cutoff_ns(&self) -> Option<i128> {
        self.plan.cutoff.nanos()
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
