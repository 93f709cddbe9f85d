//! What calls about decisions are given: documents, ids, conditions, instants.

use minutebook::{Action, Decision, DecisionFilter, DecisionId, FieldMatch, SaveMode};
use minutebook_core::At;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::{dumps, instant, ok, parsed, range, unknown, value};

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

pub(super) fn decision(given: &Bound<'_, PyAny>) -> PyResult<Decision> {
    ok(Decision::from_json(&dumps(given)?))
}

pub(super) fn id(text: &str) -> PyResult<DecisionId> {
    ok(DecisionId::new(text))
}

pub(super) fn save_mode(mode: &str, expected: Option<&str>) -> PyResult<SaveMode> {
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

pub(super) fn at(given: &Bound<'_, PyAny>) -> PyResult<At> {
    if let Ok(text) = given.extract::<String>()
        && text.contains('-')
        && minutebook::time::parse_timestamp(&text).is_err()
    {
        return Ok(At::Revision(parsed(&text)?));
    }
    Ok(At::Time(instant(given)?))
}

pub(super) fn filter(
    py: Python<'_>,
    given: Option<&Bound<'_, PyDict>>,
) -> PyResult<DecisionFilter> {
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
