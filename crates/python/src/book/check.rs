//! Checking and mending a store from Python.

use std::path::PathBuf;

use minutebook::check::VerifyOptions;
use minutebook_core::check::Part;
use pyo3::prelude::*;

use crate::convert::parsed;
use crate::error::raised;
use crate::record::{list, record};

record! {
    /// Something that a check found. `kind` keeps its name from release to release.
    Finding {
        /// What it is, in `kebab-case`.
        kind: &'static str,
        /// `note`, `untidy` or `damage`.
        severity: &'static str,
        /// The part of the store in which it is.
        part: &'static str,
        /// The file, from the store's directory on.
        path: PathBuf,
        /// The decision, series or dataset, where it is about one.
        subject: Option<String>,
        /// The line, from 1.
        line: Option<u64>,
        /// The byte, from 0.
        byte: Option<u64>,
        /// What is the matter, in words.
        cause: String,
        /// What mends it, in words.
        remedy: &'static str,
        /// Whether `repair` mends it.
        mendable: bool,
        /// Whether data is lost by it.
        lost: bool,
        /// All of it in one line.
        text: String,
    }
}

impl From<&minutebook::Finding> for Finding {
    fn from(found: &minutebook::Finding) -> Self {
        Self {
            kind: found.kind.name(),
            severity: found.kind.severity().name(),
            part: found.kind.part().name(),
            path: found.path.clone(),
            subject: found.subject.clone(),
            line: found.location.line,
            byte: found.location.byte,
            cause: found.cause.clone(),
            remedy: found.kind.remedy(),
            mendable: found.is_mendable(),
            lost: found.lost,
            text: found.to_string(),
        }
    }
}

record! {
    /// What a check of a store found.
    VerifyReport {
        /// The findings: the first 10,000.
        findings: Vec<Py<Finding>>,
        /// Whether nothing is damaged or untidy.
        is_clean: bool,
        notes: u64,
        untidy: u64,
        damage: u64,
        /// How many decisions were read.
        decisions: u64,
        journal_lines: u64,
        /// The hash of the journal's last line, to be kept elsewhere and given to the next check.
        journal_head: Option<String>,
        tick_series: u64,
        tick_entries: u64,
        series: u64,
        rows: u64,
        datasets: u64,
        /// How many bytes were read.
        bytes: u64,
    }
}

impl VerifyReport {
    pub(crate) fn new(py: Python<'_>, report: &minutebook::check::VerifyReport) -> PyResult<Self> {
        Ok(Self {
            findings: list(py, report.findings.iter().map(Finding::from))?,
            is_clean: report.is_clean(),
            notes: report.notes,
            untidy: report.untidy,
            damage: report.damage,
            decisions: report.decisions,
            journal_lines: report.journal_lines,
            journal_head: report.journal_head.clone(),
            tick_series: report.tick_series,
            tick_entries: report.tick_entries,
            series: report.series,
            rows: report.rows,
            datasets: report.datasets,
            bytes: report.bytes,
        })
    }
}

record! {
    /// What a repair did.
    RepairReport {
        /// What was mended.
        mended: Vec<Py<Finding>>,
        /// What could not be, with the exception that says why.
        failed: Vec<(Py<Finding>, Py<PyAny>)>,
        /// Where what was replaced or removed is kept; `None` if that was nothing.
        quarantine: Option<PathBuf>,
        /// What is found now.
        after: Py<VerifyReport>,
    }
}

impl RepairReport {
    pub(crate) fn new(py: Python<'_>, report: &minutebook::repair::RepairReport) -> PyResult<Self> {
        let mut failed = Vec::new();
        for (finding, error) in &report.failed {
            let why = raised(error).into_value(py).into_any();
            failed.push((Py::new(py, Finding::from(finding))?, why));
        }
        Ok(Self {
            mended: list(py, report.mended.iter().map(Finding::from))?,
            failed,
            quarantine: report.quarantine.clone(),
            after: Py::new(py, VerifyReport::new(py, &report.after)?)?,
        })
    }
}

pub(crate) fn options(parts: Option<Vec<String>>, head: Option<&str>) -> PyResult<VerifyOptions> {
    let mut options = VerifyOptions::new();
    if let Some(parts) = parts {
        let parts = parts.iter().map(|part| parsed::<Part>(part));
        options = options.parts(parts.collect::<PyResult<Vec<_>>>()?);
    }
    if let Some(head) = head {
        options = options.head(head);
    }
    Ok(options)
}
