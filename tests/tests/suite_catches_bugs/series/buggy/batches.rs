//! The bugs that make another batch of what is written.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampNanosecondArray,
};
use arrow_schema::DataType;
use minutebook_core::series::batch::{TIMESTAMP, timestamps};
use minutebook_core::{Result, SeriesId, TimeSeriesRepository};

use super::{Bug, Buggy, pick};

/// Changes the values of columns of one type.
fn map_columns(batch: &RecordBatch, change: impl Fn(&str, &ArrayRef) -> ArrayRef) -> RecordBatch {
    let schema = batch.schema();
    let columns: Vec<(String, ArrayRef, bool)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            (
                field.name().clone(),
                change(field.name(), column),
                field.is_nullable(),
            )
        })
        .collect();
    RecordBatch::try_from_iter_with_nullable(
        columns.iter().map(|(n, c, null)| (n, c.clone(), *null)),
    )
    .unwrap()
}

fn map_floats(batch: &RecordBatch, change: impl Fn(f64) -> Option<f64>) -> RecordBatch {
    map_columns(batch, |_, column| {
        match column.as_primitive_opt::<Float64Type>() {
            Some(floats) => Arc::new(
                floats
                    .iter()
                    .map(|value| value.and_then(&change))
                    .collect::<Float64Array>(),
            ),
            None => column.clone(),
        }
    })
}

impl Buggy {
    /// What the store makes of a batch before it writes it.
    pub(super) async fn mangled(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
    ) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        Ok(match self.bug {
            Bug::LastRowLost if rows > 1 => batch.slice(0, rows - 1),
            Bug::Microseconds if timestamps(&batch).is_ok() => {
                map_columns(&batch, |name, column| {
                    if name != TIMESTAMP {
                        return column.clone();
                    }
                    let nanos =
                        column.as_primitive::<arrow_array::types::TimestampNanosecondType>();
                    let cut: Vec<i64> = nanos
                        .values()
                        .iter()
                        .map(|time| time - time.rem_euclid(1_000))
                        .collect();
                    Arc::new(TimestampNanosecondArray::from(cut).with_timezone("UTC"))
                })
            }
            Bug::NanBecomesNull => map_floats(&batch, |value| value.is_finite().then_some(value)),
            Bug::FloatsRounded => map_floats(&batch, |value| format!("{value:.6}").parse().ok()),
            Bug::LargeIntegersThroughFloats => map_columns(&batch, |_, column| {
                match column.as_primitive_opt::<Int64Type>() {
                    #[allow(
                        clippy::cast_precision_loss,
                        clippy::cast_possible_truncation,
                        reason = "the bug"
                    )]
                    Some(values) => Arc::new(
                        values
                            .iter()
                            .map(|value| value.map(|value| value as f64 as i64))
                            .collect::<Int64Array>(),
                    ),
                    None => column.clone(),
                }
            }),
            Bug::EmptyTextBecomesNull => {
                map_columns(&batch, |_, column| match column.as_string_opt::<i32>() {
                    Some(texts) => Arc::new(
                        texts
                            .iter()
                            .map(|text| text.filter(|text| !text.is_empty()))
                            .collect::<arrow_array::StringArray>(),
                    ),
                    None => column.clone(),
                })
            }
            Bug::TypesNarrowed => map_columns(&batch, |_, column| match column.data_type() {
                DataType::UInt64 => {
                    let values = column.as_primitive::<arrow_array::types::UInt64Type>();
                    Arc::new(
                        values
                            .iter()
                            .map(|value| value.and_then(|value| i64::try_from(value).ok()))
                            .collect::<Int64Array>(),
                    )
                }
                _ => column.clone(),
            }),
            Bug::EqualRowsMerged if rows <= 100 => {
                let mut kept: Vec<usize> = Vec::new();
                for row in 0..rows {
                    if !kept
                        .iter()
                        .any(|other| batch.slice(*other, 1) == batch.slice(row, 1))
                    {
                        kept.push(row);
                    }
                }
                pick(&batch, &kept)
            }
            Bug::NewColumnDropped => match self.inner.summary(series).await? {
                None => batch,
                Some(summary) => {
                    let schema = batch.schema();
                    let known: Vec<usize> = schema
                        .fields()
                        .iter()
                        .enumerate()
                        .filter(|(_, field)| summary.schema.field_with_name(field.name()).is_ok())
                        .map(|(at, _)| at)
                        .collect();
                    batch.project(&known).unwrap()
                }
            },
            Bug::WrongTimeAccepted if timestamps(&batch).is_err() => {
                let times = TimestampNanosecondArray::from(vec![0_i64; rows]).with_timezone("UTC");
                let n: ArrayRef = Arc::new(Int64Array::from(vec![0; rows]));
                RecordBatch::try_from_iter([(TIMESTAMP, Arc::new(times) as ArrayRef), ("n", n)])
                    .unwrap()
            }
            _ => batch,
        })
    }
}
