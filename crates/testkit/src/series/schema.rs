//! Columns: wrong ones, new ones, missing ones.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use minutebook_core::series::batch::TIMESTAMP;
use minutebook_core::{Capability, ErrorKind, OnConflict, ScanQuery, TimeRange, WriteMode};

use super::support::{Store, append, batch, read, same_columns, series, times, write_refused};
use crate::case::{Failure, Outcome};
use crate::check::ensure;

/// Batches whose time column breaks the rules.
pub(super) fn wrong_times() -> Outcome<Vec<(&'static str, RecordBatch)>> {
    let n = || -> ArrayRef { Arc::new(Int64Array::from(vec![1, 2])) };
    let with = |time: ArrayRef| {
        RecordBatch::try_from_iter_with_nullable([(TIMESTAMP, time, true), ("n", n(), true)])
            .map_err(|error| Failure::new(error.to_string()))
    };
    Ok(vec![
        ("no timestamp column", batch(vec![("n", n())])?),
        (
            "the time under another name",
            batch(vec![("time", times(vec![1, 2])), ("n", n())])?,
        ),
        (
            "timestamps of microseconds",
            with(Arc::new(
                TimestampMicrosecondArray::from(vec![1, 2]).with_timezone("UTC"),
            ))?,
        ),
        (
            "timestamps without a zone",
            with(Arc::new(TimestampNanosecondArray::from(vec![1, 2])))?,
        ),
        (
            "timestamps of another zone",
            with(Arc::new(
                TimestampNanosecondArray::from(vec![1, 2]).with_timezone("+02:00"),
            ))?,
        ),
        ("timestamps as whole numbers", with(n())?),
        (
            "timestamps as text",
            with(Arc::new(StringArray::from(vec![
                "2025-01-01",
                "2025-01-02",
            ])))?,
        ),
        (
            "a null timestamp",
            with(Arc::new(
                TimestampNanosecondArray::from(vec![Some(1), None]).with_timezone("UTC"),
            ))?,
        ),
    ])
}

pub(super) async fn another_type_is_refused_and_the_column_named(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("@typed")?;
    let given = batch(vec![
        (TIMESTAMP, times(vec![1, 2])),
        ("whole", Arc::new(Int64Array::from(vec![1, 2]))),
        ("price", Arc::new(Float64Array::from(vec![1.5, 2.5]))),
        ("venue", Arc::new(StringArray::from(vec!["a", "b"]))),
        ("maker", Arc::new(BooleanArray::from(vec![true, false]))),
    ])?;
    repo.write(&id, given, WriteMode::Append).await?;
    let wrong: Vec<(&str, ArrayRef)> = vec![
        ("whole", Arc::new(Float64Array::from(vec![1.5]))),
        ("whole", Arc::new(StringArray::from(vec!["1"]))),
        ("price", Arc::new(StringArray::from(vec!["1.5"]))),
        ("price", Arc::new(BooleanArray::from(vec![true]))),
        ("venue", Arc::new(Float64Array::from(vec![1.5]))),
        ("maker", Arc::new(Int64Array::from(vec![1]))),
    ];
    let mut modes = vec![WriteMode::Append];
    if repo.capabilities().has(Capability::Upsert) {
        modes.push(WriteMode::Upsert {
            on_conflict: OnConflict::Replace,
        });
    }
    if repo.capabilities().has(Capability::ReplaceRange) {
        modes.push(WriteMode::ReplaceRange(TimeRange::all()));
    }
    for (column, values) in wrong {
        for mode in &modes {
            let what = format!(
                "a batch whose column {column} is of {}, by {mode:?},",
                values.data_type()
            );
            // The wrong column is not the only one, so that naming it takes looking.
            let given = batch(vec![
                (TIMESTAMP, times(vec![3])),
                (column, Arc::clone(&values)),
                ("extra", Arc::new(Int64Array::from(vec![1]))),
            ])?;
            let error =
                write_refused(&repo, &id, given, *mode, ErrorKind::SchemaMismatch, &what).await?;
            ensure!(
                error.to_string().contains(column),
                "{what} gives an error that does not name the column: {error}"
            );
        }
    }
    Ok(())
}

pub(super) async fn a_new_column_is_null_in_rows_from_before(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("@grows")?;
    append(&repo, &id, &[(1, 1), (3, 3)]).await?;
    let base = super::support::BASE;
    let wider = batch(vec![
        (TIMESTAMP, times(vec![base + 2, base + 4])),
        ("n", Arc::new(Int64Array::from(vec![2, 4]))),
        ("size", Arc::new(Float64Array::from(vec![Some(0.5), None]))),
        ("venue", Arc::new(StringArray::from(vec!["x", ""]))),
    ])?;
    repo.write(&id, wider, WriteMode::Append).await?;
    let order: &[usize] = if repo.capabilities().has(Capability::TimeOrdered) {
        &[0, 2, 1, 3]
    } else {
        &[0, 1, 2, 3]
    };
    let pick = |values: [i64; 4]| -> Vec<i64> { order.iter().map(|i| values[*i]).collect() };
    let nullable = |values: [Option<&'static str>; 4]| -> Vec<Option<&'static str>> {
        order.iter().map(|i| values[*i]).collect()
    };
    let floats = |values: [Option<f64>; 4]| -> Vec<Option<f64>> {
        order.iter().map(|i| values[*i]).collect()
    };
    let expected = batch(vec![
        (
            TIMESTAMP,
            times(pick([1, 3, 2, 4]).into_iter().map(|n| base + n).collect()),
        ),
        ("n", Arc::new(Int64Array::from(pick([1, 3, 2, 4])))),
        (
            "size",
            Arc::new(Float64Array::from(floats([None, None, Some(0.5), None]))),
        ),
        (
            "venue",
            Arc::new(StringArray::from(nullable([
                None,
                None,
                Some("x"),
                Some(""),
            ]))),
        ),
    ])?;
    same_columns(&read(&repo, &id, &ScanQuery::new()).await?, &expected)?;
    // In every range the schema is the series', also where only old rows are.
    let old = read(
        &repo,
        &id,
        &ScanQuery::new().range(super::support::range(1, 2)?),
    )
    .await?;
    same_columns(&old, &expected.slice(0, 1))
}

pub(super) async fn a_column_left_out_is_null(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("@sparse")?;
    let full = batch(vec![
        (TIMESTAMP, times(vec![1])),
        ("a", Arc::new(Int64Array::from(vec![1]))),
        ("b", Arc::new(StringArray::from(vec!["x"]))),
    ])?;
    repo.write(&id, full, WriteMode::Append).await?;
    let only_b = batch(vec![
        (TIMESTAMP, times(vec![2])),
        ("b", Arc::new(StringArray::from(vec!["y"]))),
    ])?;
    repo.write(&id, only_b, WriteMode::Append).await?;
    let swapped = batch(vec![
        (TIMESTAMP, times(vec![3])),
        ("b", Arc::new(StringArray::from(vec!["z"]))),
        ("a", Arc::new(Int64Array::from(vec![3]))),
    ])?;
    repo.write(&id, swapped, WriteMode::Append).await?;
    let only_time = batch(vec![(TIMESTAMP, times(vec![4]))])?;
    repo.write(&id, only_time, WriteMode::Append).await?;
    let expected = batch(vec![
        (TIMESTAMP, times(vec![1, 2, 3, 4])),
        (
            "a",
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3), None])),
        ),
        (
            "b",
            Arc::new(StringArray::from(vec![
                Some("x"),
                Some("y"),
                Some("z"),
                None,
            ])),
        ),
    ])?;
    same_columns(&read(&repo, &id, &ScanQuery::new()).await?, &expected)
}

pub(super) async fn types_widen_without_loss(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !repo.capabilities().has(Capability::ExactTypes) {
        return Ok(());
    }
    let id = series("@widens")?;
    let with = |time: i64, whole: ArrayRef, real: ArrayRef| {
        batch(vec![
            (TIMESTAMP, times(vec![time])),
            ("whole", whole),
            ("real", real),
        ])
    };
    let narrow = |time| {
        with(
            time,
            Arc::new(Int32Array::from(vec![-7])),
            Arc::new(Float32Array::from(vec![0.5])),
        )
    };
    repo.write(&id, narrow(1)?, WriteMode::Append).await?;
    let wide = with(
        2,
        Arc::new(Int64Array::from(vec![i64::MAX])),
        Arc::new(Int32Array::from(vec![i32::MAX])),
    )?;
    repo.write(&id, wide, WriteMode::Append).await?;
    repo.write(&id, narrow(3)?, WriteMode::Append).await?;
    let expected = batch(vec![
        (TIMESTAMP, times(vec![1, 2, 3])),
        ("whole", Arc::new(Int64Array::from(vec![-7, i64::MAX, -7]))),
        (
            "real",
            Arc::new(Float64Array::from(vec![0.5, f64::from(i32::MAX), 0.5])),
        ),
    ])?;
    same_columns(&read(&repo, &id, &ScanQuery::new()).await?, &expected)?;
    // A float that cannot hold every whole number of 64 bits is no common type.
    let lossy = batch(vec![
        (TIMESTAMP, times(vec![4])),
        ("whole", Arc::new(Float64Array::from(vec![1.0]))),
    ])?;
    let what = "a batch of floats for whole numbers of 64 bits";
    write_refused(
        &repo,
        &id,
        lossy,
        WriteMode::Append,
        ErrorKind::SchemaMismatch,
        what,
    )
    .await?;
    Ok(())
}
