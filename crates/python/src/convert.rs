//! Values between Python and the store: times, JSON, names.

use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use minutebook::time::parse_timestamp;
use minutebook::{Error, Result, TimeRange};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyInt, PyString};
use serde_json::Value;

use crate::error::raised;

const SECOND: i128 = 1_000_000_000;

/// The nanoseconds since 1970, which a `datetime` does not hold.
pub(crate) trait Nanos {
    type Count;

    fn nanos(&self) -> Self::Count;
}

impl Nanos for DateTime<Utc> {
    type Count = i128;

    fn nanos(&self) -> i128 {
        i128::from(self.timestamp()) * SECOND + i128::from(self.timestamp_subsec_nanos())
    }
}

impl Nanos for Option<DateTime<Utc>> {
    type Count = Option<i128>;

    fn nanos(&self) -> Option<i128> {
        self.as_ref().map(Nanos::nanos)
    }
}

/// The instant so many nanoseconds after 1970 began; `None` beyond what can be told.
pub(crate) fn from_nanos(nanos: i128) -> Option<DateTime<Utc>> {
    let seconds = i64::try_from(nanos.div_euclid(SECOND)).ok()?;
    let rest = u32::try_from(nanos.rem_euclid(SECOND)).ok()?;
    DateTime::from_timestamp(seconds, rest)
}

/// An instant: a datetime, a date, a time stamp of pandas or numpy, text, or a whole number of nanoseconds since 1970. Without an offset it is UTC.
pub(crate) fn instant(value: &Bound<'_, PyAny>) -> PyResult<DateTime<Utc>> {
    if value.is_exact_instance_of::<PyInt>() {
        let time = value.extract().ok().and_then(from_nanos);
        return time.ok_or_else(|| {
            raised(&Error::invalid(format!(
                "{value} nanoseconds since 1970 is no time that can be told"
            )))
        });
    }
    let text: String = if value.is_instance_of::<PyString>() {
        value.extract()?
    } else if value.hasattr("isoformat")? {
        value.call_method0("isoformat")?.extract()?
    } else {
        value.str()?.extract()?
    };
    parse_timestamp(&text).map_err(|error| raised(&error))
}

/// From `start` on and before `end`; either may be missing.
pub(crate) fn range(
    start: Option<&Bound<'_, PyAny>>,
    end: Option<&Bound<'_, PyAny>>,
) -> PyResult<TimeRange> {
    let start = start.map(instant).transpose()?;
    let end = end.map(instant).transpose()?;
    TimeRange::between(start, end).map_err(|error| raised(&error))
}

/// A name, an id or the like.
pub(crate) fn parsed<T: FromStr<Err = Error>>(text: &str) -> PyResult<T> {
    text.parse().map_err(|error: Error| raised(&error))
}

/// Turns an error of the store into an exception.
pub(crate) fn ok<T>(result: Result<T>) -> PyResult<T> {
    result.map_err(|error| raised(&error))
}

/// An unknown word where one of a few is asked for.
pub(crate) fn unknown(what: &str, given: &str, known: &str) -> PyErr {
    raised(&Error::invalid(format!(
        "`{given}` is no {what}; it is one of {known}"
    )))
}

fn json(py: Python<'_>) -> PyResult<&(Py<PyAny>, Py<PyAny>)> {
    static JSON: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
    JSON.get_or_try_init(py, || {
        let json = py.import("json")?;
        Ok((
            json.getattr("dumps")?.unbind(),
            json.getattr("loads")?.unbind(),
        ))
    })
}

/// The JSON text of a value. Text is taken for JSON already.
pub(crate) fn dumps(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if value.is_instance_of::<PyString>() {
        return value.extract();
    }
    let py = value.py();
    let options = PyDict::new(py);
    options.set_item("ensure_ascii", false)?;
    options.set_item("allow_nan", false)?;
    json(py)?
        .0
        .bind(py)
        .call((value,), Some(&options))?
        .extract()
}

/// The value of a JSON text.
pub(crate) fn loads<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    json(py)?.1.bind(py).call1((text,))
}

/// A value as the store's own kind of JSON.
pub(crate) fn value(given: &Bound<'_, PyAny>) -> PyResult<Value> {
    let py = given.py();
    let options = PyDict::new(py);
    options.set_item("allow_nan", false)?;
    let text: String = json(py)?
        .0
        .bind(py)
        .call((given,), Some(&options))?
        .extract()?;
    serde_json::from_str(&text)
        .map_err(|error| raised(&Error::invalid(format!("not usable as JSON: {error}"))))
}

/// `name=value, …` for a `repr`.
pub(crate) fn described(class: &str, fields: &[(&str, &dyn Display)]) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{class}({})", fields.join(", "))
}
