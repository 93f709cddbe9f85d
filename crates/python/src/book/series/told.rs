//! What a write did, and what is known of a series.

use chrono::{DateTime, Utc};
use pyo3::prelude::*;

use crate::convert::{Nanos, described};

/// What a write did.
#[pyclass(module = "minutebook", frozen, get_all)]
pub(crate) struct WriteReceipt {
    version: u64,
    inserted: u64,
    replaced: u64,
    skipped: u64,
}

impl From<minutebook::WriteReceipt> for WriteReceipt {
    fn from(receipt: minutebook::WriteReceipt) -> Self {
        Self {
            version: receipt.version.0,
            inserted: receipt.inserted,
            replaced: receipt.replaced,
            skipped: receipt.skipped,
        }
    }
}

#[pymethods]
impl WriteReceipt {
    fn __repr__(&self) -> String {
        described(
            "WriteReceipt",
            &[
                ("version", &self.version),
                ("inserted", &self.inserted),
                ("replaced", &self.replaced),
                ("skipped", &self.skipped),
            ],
        )
    }
}

/// What is known of a series without reading its rows.
#[pyclass(module = "minutebook", frozen, get_all)]
pub(crate) struct SeriesSummary {
    rows: u64,
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
    bytes: u64,
    version: u64,
    columns: Vec<(String, String)>,
    key: Option<Vec<String>>,
}

impl From<minutebook::SeriesSummary> for SeriesSummary {
    fn from(summary: minutebook::SeriesSummary) -> Self {
        let fields = summary.schema.fields().iter();
        Self {
            rows: summary.rows,
            first: summary.first,
            last: summary.last,
            bytes: summary.bytes,
            version: summary.version.0,
            columns: fields
                .map(|field| (field.name().clone(), field.data_type().to_string()))
                .collect(),
            key: summary.key.map(Vec::from),
        }
    }
}

#[pymethods]
impl SeriesSummary {
    /// `first` in nanoseconds since 1970: a `datetime` has microseconds.
    #[getter]
    fn first_ns(&self) -> Option<i128> {
        self.first.nanos()
    }

    /// `last` in nanoseconds since 1970.
    #[getter]
    fn last_ns(&self) -> Option<i128> {
        self.last.nanos()
    }

    fn __repr__(&self) -> String {
        let time = |time: Option<DateTime<Utc>>| {
            time.map_or_else(|| "None".to_owned(), minutebook::time::format_timestamp)
        };
        described(
            "SeriesSummary",
            &[
                ("rows", &self.rows),
                ("first", &time(self.first)),
                ("last", &time(self.last)),
                ("bytes", &self.bytes),
                ("version", &self.version),
            ],
        )
    }
}
