//! A part of a Parquet file that pandas wrote.

use std::collections::HashSet;
use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema};
use minutebook::parquet::{LoadParquet, load_parquet};
use pyo3::prelude::*;
use serde_json::Value;

use crate::book::Batch;
use crate::convert::from_nanos;

/// The rows of a frame between two instants (nanoseconds since 1970), both included, with the index and these columns; no more of the
/// file is read than the pages that may have them.
///
/// `None` where pandas and pyarrow may make something else of the file, or cannot read it: then it is for them to say so.
#[pyfunction]
pub(crate) fn load_range(
    py: Python<'_>,
    path: PathBuf,
    columns: Option<Vec<String>>,
    start: Option<i128>,
    end: Option<i128>,
) -> Option<Batch> {
    let mut wanted = LoadParquet::default();
    if let Some(start) = start {
        wanted = wanted.start(from_nanos(start)?);
    }
    if let Some(end) = end {
        wanted = wanted.end(from_nanos(end)?);
    }
    if let Some(columns) = columns {
        wanted = wanted.columns(columns);
    }
    let loaded = py.detach(|| load_parquet(&path, &wanted));
    let batch: RecordBatch = loaded.ok()?;
    is_plain(&batch.schema()).then(|| Batch(batch))
}

/// Whether it is a frame whose index is one column of instants, and whose columns are of types that mean the same to everyone.
fn is_plain(schema: &Schema) -> bool {
    let names: HashSet<_> = schema.fields().iter().map(|field| field.name()).collect();
    let is_index = |name: &str| {
        let field = schema.field_with_name(name);
        field.is_ok_and(|field| matches!(field.data_type(), DataType::Timestamp(..)))
    };
    names.len() == schema.fields().len()
        && index(schema).is_some_and(|index| is_index(&index))
        && schema.fields().iter().all(|field| {
            field.metadata().keys().all(|key| key == "PARQUET:field_id")
                && (field.data_type().is_integer()
                    || matches!(
                        field.data_type(),
                        DataType::Boolean
                            | DataType::Float32
                            | DataType::Float64
                            | DataType::Timestamp(..)
                            | DataType::Utf8
                            | DataType::LargeUtf8
                    ))
        })
}

/// The one column that pandas made of the index.
fn index(schema: &Schema) -> Option<String> {
    let pandas: Value = serde_json::from_str(schema.metadata().get("pandas")?).ok()?;
    match pandas.get("index_columns")?.as_array()?.as_slice() {
        [Value::String(name)] => Some(name.clone()),
        _ => None,
    }
}
