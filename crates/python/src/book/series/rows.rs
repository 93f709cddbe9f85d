//! What a write is given, as rows of Arrow.

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType};
use arrow_select::concat::concat_batches;
use minutebook::Error;
use minutebook::series::batch::{TIMESTAMP, conform};
use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3_arrow::input::AnyRecordBatch;

use crate::error::raised;

fn arrow(error: &ArrowError) -> PyErr {
    raised(&Error::invalid(format!(
        "the rows cannot be taken over: {error}"
    )))
}

/// What `write` was given, as one batch with its times as a series has them.
pub(super) fn rows(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    time_column: Option<&str>,
) -> PyResult<RecordBatch> {
    let taken;
    let data = if data.hasattr("__arrow_c_stream__")? || data.hasattr("__arrow_c_array__")? {
        // A frame of pandas gives its index only when it is a column.
        if data.hasattr("reset_index")? && data.hasattr("index")? {
            taken = pandas(data)?;
            &taken
        } else {
            data
        }
    } else if data.hasattr("reset_index")? && data.hasattr("index")? {
        taken = py
            .import("pyarrow")?
            .getattr("Table")?
            .call_method1("from_pandas", (pandas(data)?,))?;
        &taken
    } else if data.is_instance_of::<PyList>() {
        taken = py
            .import("pyarrow")?
            .getattr("Table")?
            .call_method1("from_pylist", (data,))?;
        &taken
    } else {
        data
    };
    let reader = data.extract::<AnyRecordBatch>()?.into_reader()?;
    let (batch, schema) = py
        .detach(|| {
            let schema = reader.schema();
            let batches = reader.collect::<Result<Vec<_>, _>>()?;
            Ok((concat_batches(&schema, &batches)?, schema))
        })
        .map_err(|error| arrow(&error))?;
    let is_time = |name: &str| schema.column_with_name(name).is_some();
    let first_time = || {
        let is_instant = |kind: &DataType| matches!(kind, DataType::Timestamp(..));
        let found = schema
            .fields()
            .iter()
            .find(|field| is_instant(field.data_type()));
        found.map(|field| field.name().clone())
    };
    let column = match time_column {
        Some(name) => name.to_owned(),
        None if is_time(TIMESTAMP) => TIMESTAMP.to_owned(),
        None => first_time().unwrap_or_else(|| TIMESTAMP.to_owned()),
    };
    conform(&batch, &column).map_err(|error| raised(&error))
}

/// The frame with its index of times as a column, where it has one.
fn pandas<'py>(frame: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let index = frame.getattr("index")?;
    let kind: String = index.get_type().name()?.extract()?;
    if kind != "DatetimeIndex" {
        return Ok(frame.clone());
    }
    let named = if index.getattr("name")?.is_none() {
        frame.call_method1("rename_axis", (TIMESTAMP,))?
    } else {
        frame.clone()
    };
    named.call_method0("reset_index")
}
