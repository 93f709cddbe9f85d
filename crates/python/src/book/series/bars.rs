//! What is known of bars: what is there, what is wrong.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use minutebook::{Calendar, series};
use minutebook_core::series::Coverage;
use pyo3::prelude::*;

use crate::convert::unknown;
use crate::record::{list, record};

/// When a market is open: always, on weekdays, or as a session (days, opens, closes, offset from UTC) says.
pub(super) fn calendar(given: Option<&str>) -> PyResult<Calendar> {
    match given {
        None | Some("always") => Ok(Calendar::always()),
        Some("weekdays") => Ok(Calendar::weekdays()),
        Some(other) => Err(unknown("calendar", other, "always, weekdays")),
    }
}

record! {
    /// Bars of one state that follow each other.
    CoverageSpan {
        /// `data`, `empty` (known to be none) or `unknown` (missing: a gap).
        state: &'static str,
        /// The open of the first bar.
        start: DateTime<Utc>,
        /// The close of the last bar.
        end: DateTime<Utc>,
        bars: u64,
    }
}

record! {
    /// What is wrong with a bar.
    BarIssue {
        /// Its row, from 0.
        row: u64,
        timestamp: DateTime<Utc>,
        /// What it is, in `snake_case`.
        kind: &'static str,
        /// The same in words.
        message: String,
    }
    timestamp_ns = timestamp
}

record! {
    /// What a look at bars found.
    BarReport {
        /// How many bars there were.
        rows: u64,
        is_clean: bool,
        /// How many issues there are of each kind.
        counts: BTreeMap<String, u64>,
        /// The first 100 issues of each kind.
        issues: Vec<Py<BarIssue>>,
    }
}

/// The spans of a coverage.
pub(super) fn spans(py: Python<'_>, found: &Coverage) -> PyResult<Vec<Py<CoverageSpan>>> {
    let spans = found.spans().iter().map(|span| CoverageSpan {
        state: span.state.name(),
        start: span.start,
        end: span.end,
        bars: span.bars,
    });
    list(py, spans)
}

impl BarReport {
    pub(super) fn new(py: Python<'_>, found: &series::BarReport) -> PyResult<Self> {
        let issues = found.issues().iter().map(|issue| BarIssue {
            row: issue.row,
            timestamp: issue.timestamp,
            kind: issue.kind.name(),
            message: issue.kind.to_string(),
        });
        let counts = found.counts().iter();
        Ok(Self {
            rows: found.rows(),
            is_clean: found.is_clean(),
            counts: counts
                .map(|(kind, count)| (kind.name().to_owned(), *count))
                .collect(),
            issues: list(py, issues)?,
        })
    }
}
