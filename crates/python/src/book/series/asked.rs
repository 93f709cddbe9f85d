//! What a scan is asked for.

use minutebook::{Error, OnConflict, ScanQuery, Snapshot, Version, WriteMode};
use pyo3::prelude::*;

use crate::convert::{instant, range, unknown};
use crate::error::raised;

/// A version or an instant.
pub(crate) fn snapshot(given: &Bound<'_, PyAny>) -> PyResult<Snapshot> {
    match given.extract::<u64>() {
        Ok(version) => Ok(Snapshot::Version(Version(version))),
        Err(_) => Ok(Snapshot::Time(instant(given)?)),
    }
}

/// What a scan was asked for.
pub(super) struct Asked<'a, 'py> {
    pub(super) start: Option<&'a Bound<'py, PyAny>>,
    pub(super) end: Option<&'a Bound<'py, PyAny>>,
    pub(super) columns: Option<Vec<String>>,
    pub(super) first: Option<usize>,
    pub(super) last: Option<usize>,
    pub(super) as_of: Option<&'a Bound<'py, PyAny>>,
    pub(super) batch_size: Option<usize>,
    pub(super) strict: bool,
}

impl Asked<'_, '_> {
    pub(super) fn query(self) -> PyResult<ScanQuery> {
        let mut query = ScanQuery::new().range(range(self.start, self.end)?);
        if let Some(columns) = self.columns {
            query = query.columns(columns);
        }
        query = match (self.first, self.last) {
            (Some(_), Some(_)) => {
                return Err(raised(&Error::invalid(
                    "ask for the first or the last rows",
                )));
            }
            (Some(rows), None) => query.first(rows),
            (None, Some(rows)) => query.last(rows),
            (None, None) => query,
        };
        if let Some(as_of) = self.as_of {
            query = query.as_of(snapshot(as_of)?);
        }
        if let Some(rows) = self.batch_size {
            query = query.batch_size(rows);
        }
        if self.strict {
            query = query.strict();
        }
        Ok(query)
    }
}

/// What a write does with rows that are there.
pub(super) fn write_mode(
    mode: &str,
    on_conflict: &str,
    start: Option<&Bound<'_, PyAny>>,
    end: Option<&Bound<'_, PyAny>>,
) -> PyResult<WriteMode> {
    Ok(match mode {
        "append" => WriteMode::Append,
        "upsert" => WriteMode::Upsert {
            on_conflict: match on_conflict {
                "replace" => OnConflict::Replace,
                "keep" => OnConflict::Keep,
                "fail" => OnConflict::Fail,
                other => return Err(unknown("on_conflict", other, "replace, keep, fail")),
            },
        },
        "replace" => WriteMode::ReplaceRange(range(start, end)?),
        other => return Err(unknown("mode", other, "append, upsert, replace")),
    })
}
