//! Sealed segments of tick series from Python, and their way to Parquet.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use minutebook::CompactedSeries;
use minutebook::jsonl::SegmentInfo;
use pyo3::prelude::*;

use crate::error::raised;
use crate::record::{list, record};

record! {
    /// A sealed, compressed segment of a tick series.
    Segment {
        /// Segments are read in the order of their numbers.
        number: u64,
        path: PathBuf,
        /// How many bytes the file has.
        stored_bytes: u64,
        /// How many its lines have.
        bytes: u64,
        lines: u64,
        /// How many of the lines are rows.
        rows: u64,
        first: Option<DateTime<Utc>>,
        last: Option<DateTime<Utc>>,
        /// How many lines are no rows.
        flaws: u64,
        /// BLAKE3 of the lines.
        digest: String,
    }
    first_ns = first
    last_ns = last
}

impl From<SegmentInfo> for Segment {
    fn from(segment: SegmentInfo) -> Self {
        Self {
            number: segment.number,
            path: segment.path,
            stored_bytes: segment.stored_bytes,
            bytes: segment.bytes,
            lines: segment.lines,
            rows: segment.rows,
            first: segment.first,
            last: segment.last,
            flaws: segment.flaws,
            digest: segment.digest,
        }
    }
}

record! {
    /// What a compaction of a tick series moved to Parquet, or would move.
    CompactedTicks {
        series: String,
        moved: Vec<Py<Segment>>,
        /// What an interrupted compaction had moved, and was removed now.
        resumed: Vec<Py<Segment>>,
        /// What stays, with the exception that says why.
        refused: Vec<(Py<Segment>, Py<PyAny>)>,
        /// How many bytes of files were removed.
        freed_bytes: u64,
    }
}

impl CompactedTicks {
    pub(super) fn new(py: Python<'_>, done: CompactedSeries) -> PyResult<Self> {
        let mut refused = Vec::new();
        for left in done.refused {
            let why = raised(&left.error).into_value(py).into_any();
            refused.push((Py::new(py, Segment::from(left.segment))?, why));
        }
        Ok(Self {
            series: done.series.to_string(),
            moved: list(py, done.moved.into_iter().map(Segment::from))?,
            resumed: list(py, done.resumed.into_iter().map(Segment::from))?,
            refused,
            freed_bytes: done.freed_bytes,
        })
    }
}
