//! Values come back exactly.

use std::sync::Arc;

use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    Float32Array, Float64Array, Int32Array, Int64Array, LargeStringArray, ListArray, RecordBatch,
    StringArray, StructArray, TimestampMicrosecondArray, UInt8Array, UInt64Array,
};
use arrow_schema::{DataType, Field};
use minutebook_core::series::batch::TIMESTAMP;
use minutebook_core::time::from_nanos;
use minutebook_core::{
    Bar, Capability, ErrorKind, ScanQuery, SeriesId, Side, Tick, TimeRange,
    TimeSeriesRepositoryExt, WriteMode,
};

use super::support::{
    BASE, Repo, Store, append, batch, numbers, read, same_columns, series, state, times,
};
use crate::case::{Failure, Outcome};
use crate::check::{ensure, ensure_eq};
use crate::data::{FLOATS, INTEGERS, nasty_texts};

/// A batch with ascending times and this column.
fn column(values: ArrayRef) -> Outcome<RecordBatch> {
    let time = times((BASE..).take(values.len()).collect());
    batch(vec![(TIMESTAMP, time), ("v", values)])
}

/// Writes the batch, and wants it back bit for bit.
async fn comes_back(repo: &Repo, id: &SeriesId, given: &RecordBatch) -> Outcome {
    repo.write(id, given.clone(), WriteMode::Append).await?;
    same_columns(&read(repo, id, &ScanQuery::new()).await?, given)
}

pub(super) async fn numbers_come_back_exactly(store: Store) -> Outcome {
    let repo = store.open().await?;
    comes_back(
        &repo,
        &series("@integers")?,
        &column(Arc::new(Int64Array::from(INTEGERS.to_vec())))?,
    )
    .await?;
    comes_back(
        &repo,
        &series("@floats")?,
        &column(Arc::new(Float64Array::from(FLOATS.to_vec())))?,
    )
    .await?;
    // Whole values in a column of floats are still floats.
    comes_back(
        &repo,
        &series("@whole floats")?,
        &column(Arc::new(Float64Array::from(vec![
            1.0, 2.0, -0.0, 1e15, 1e16, 1e17,
        ])))?,
    )
    .await?;
    // Nanoseconds: neighbours that a millisecond or a float would merge.
    let nanos: Vec<i64> = (0..20).map(|n| 1_700_000_000_123_456_780 + n).collect();
    let given = batch(vec![
        (TIMESTAMP, times(nanos.clone())),
        ("v", Arc::new(Int64Array::from(nanos))),
    ])?;
    comes_back(&repo, &series("@nanoseconds")?, &given).await
}

pub(super) async fn texts_come_back_exactly(store: Store) -> Outcome {
    let repo = store.open().await?;
    let texts = nasty_texts();
    comes_back(
        &repo,
        &series("@texts")?,
        &column(Arc::new(StringArray::from(texts)))?,
    )
    .await?;
    let time = || times(vec![1, 2]);
    for name in ["odd, \"name\"", "é", "Timestamp", "n n", "_", "a.b", "0"] {
        let given = batch(vec![
            (TIMESTAMP, time()),
            (name, Arc::new(StringArray::from(vec!["x", ""]))),
        ])?;
        repo.write(&series("@names")?, given.clone(), WriteMode::Append)
            .await?;
        let found = read(
            &repo,
            &series("@names")?,
            &ScanQuery::new().columns([name]).last(1),
        )
        .await?;
        ensure_eq!(
            found.schema().field(1).name(),
            name,
            "the name of the column"
        );
        repo.delete(&series("@names")?, None).await?;
        comes_back(&repo, &series("@names")?, &given).await?;
        repo.delete(&series("@names")?, None).await?;
    }
    Ok(())
}

pub(super) async fn nulls_and_booleans_come_back_exactly(store: Store) -> Outcome {
    let repo = store.open().await?;
    let given = batch(vec![
        (TIMESTAMP, times(vec![1, 2, 3, 4])),
        (
            "int",
            Arc::new(Int64Array::from(vec![None, Some(0), None, Some(5)])),
        ),
        (
            "float",
            Arc::new(Float64Array::from(vec![Some(0.0), None, Some(-0.0), None])),
        ),
        (
            "bool",
            Arc::new(BooleanArray::from(vec![
                Some(true),
                None,
                Some(false),
                None,
            ])),
        ),
        (
            "text",
            Arc::new(StringArray::from(vec![
                Some(""),
                None,
                Some("null"),
                Some("x"),
            ])),
        ),
    ])?;
    comes_back(&repo, &series("@nulls")?, &given).await
}

pub(super) async fn numbers_that_are_not_finite_come_back_or_are_refused(store: Store) -> Outcome {
    let repo = store.open().await?;
    append(&repo, &series("OTHER@1m")?, &[(1, 1)]).await?;
    for (n, value) in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY]
        .into_iter()
        .enumerate()
    {
        let id = series(&format!("@special {n}"))?;
        let given = column(Arc::new(Float64Array::from(vec![
            Some(1.0),
            Some(value),
            None,
            Some(2.0),
        ])))?;
        let before = state(&repo).await?;
        match repo.write(&id, given.clone(), WriteMode::Append).await {
            Ok(_) => same_columns(&read(&repo, &id, &ScanQuery::new()).await?, &given)?,
            Err(error) => {
                ensure_eq!(
                    error.kind(),
                    ErrorKind::InvalidInput,
                    "the kind of the error for {value}: {error}"
                );
                ensure!(
                    !repo.capabilities().has(Capability::ExactTypes),
                    "exact types are claimed, but {value} is refused: {error}"
                );
                ensure_eq!(
                    state(&repo).await?,
                    before,
                    "the store after {value} was refused"
                );
            }
        }
    }
    Ok(())
}

pub(super) async fn bars_and_ticks_come_back_exactly(store: Store) -> Outcome {
    let repo = store.open().await?;
    let bars: Vec<Bar> = (0..50)
        .map(|n| {
            let open = 100.0 + f64::from(n) / 3.0;
            Bar {
                timestamp: from_nanos(BASE + i64::from(n) * 3_600_000_000_000),
                open,
                high: open + 0.1,
                low: open - 0.2,
                close: open + 0.05,
                volume: f64::from(n) * 1e-8,
            }
        })
        .collect();
    let id = series("BTCUSD@1h")?;
    repo.append_bars(&id, &bars).await?;
    ensure_eq!(repo.bars(&id, TimeRange::all()).await?, bars, "the bars");
    ensure_eq!(
        repo.latest_bar(&id).await?,
        bars.last().copied(),
        "the latest bar"
    );
    let ticks: Vec<Tick> = (0..50_i32)
        .map(|n| Tick {
            timestamp: from_nanos(BASE + i64::from(n / 3)),
            price: 0.1 * f64::from(n),
            size: (n % 4 > 0).then(|| f64::from(n) / 7.0),
            side: [None, Some(Side::Buy), Some(Side::Sell)][usize::try_from(n % 3).unwrap_or(0)],
        })
        .collect();
    let id = series("BTCUSD@ticks")?;
    repo.append_ticks(&id, &ticks).await?;
    ensure_eq!(repo.ticks(&id, TimeRange::all()).await?, ticks, "the ticks");
    ensure_eq!(
        repo.last_ticks(&id, 7).await?,
        ticks[43..],
        "the last seven ticks"
    );
    Ok(())
}

pub(super) async fn thousands_of_rows_come_back_exactly(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("BTCUSD@1s")?;
    let mut expected = Vec::new();
    // Longer than a batch of an answer, and than one write.
    for write in 0..4_i64 {
        let rows: Vec<_> = (0..5_000_i64)
            .map(|k| (write * 5_000 + k, (write * 5_000 + k) * 7))
            .collect();
        append(&repo, &id, &rows).await?;
        expected.extend(rows);
    }
    let found = numbers(&repo, &id, &ScanQuery::new()).await?;
    ensure!(
        found == expected,
        "{} rows came back of {}, or in another order",
        found.len(),
        expected.len()
    );
    let found = numbers(
        &repo,
        &id,
        &ScanQuery::new()
            .range(super::support::range(4_990, 15_010)?)
            .batch_size(1_000),
    )
    .await?;
    ensure!(
        found == expected[4_990..15_010],
        "a range over several writes came back otherwise ({} rows)",
        found.len()
    );
    ensure_eq!(
        numbers(&repo, &id, &ScanQuery::new().last(3)).await?,
        expected[19_997..],
        "the last three rows"
    );
    Ok(())
}

/// A column of each Arrow type that a backend with exact types must bring back.
fn typed_columns() -> Outcome<Vec<(&'static str, ArrayRef)>> {
    let decimals = Decimal128Array::from(vec![Some(110_000_000), None, Some(-1)])
        .with_precision_and_scale(18, 8)
        .map_err(|error| Failure::new(error.to_string()))?;
    let dictionary: DictionaryArray<Int32Type> =
        [Some("buy"), None, Some("sell")].into_iter().collect();
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let fields: Vec<(Arc<Field>, ArrayRef)> = vec![
        (
            Arc::new(Field::new("bid", DataType::Float64, true)),
            Arc::new(Float64Array::from(vec![Some(1.5), None, Some(-0.0)])),
        ),
        (
            Arc::new(Field::new("venue", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![Some("x"), Some(""), None])),
        ),
    ];
    Ok(vec![
        (
            "int32",
            Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(i32::MAX)])),
        ),
        (
            "uint8",
            Arc::new(UInt8Array::from(vec![Some(0), None, Some(255)])),
        ),
        (
            "uint64",
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0)])),
        ),
        (
            "float32",
            Arc::new(Float32Array::from(vec![
                Some(0.1),
                None,
                Some(f32::MIN_POSITIVE),
            ])),
        ),
        ("decimal", Arc::new(decimals)),
        (
            "micros",
            Arc::new(TimestampMicrosecondArray::from(vec![
                Some(1),
                None,
                Some(-1),
            ])),
        ),
        (
            "date",
            Arc::new(Date32Array::from(vec![Some(20_000), None, Some(-1)])),
        ),
        (
            "binary",
            Arc::new(BinaryArray::from_opt_vec(vec![
                Some(b"\x00\xff"),
                None,
                Some(b""),
            ])),
        ),
        (
            "large",
            Arc::new(LargeStringArray::from(vec![Some("x"), None, Some("")])),
        ),
        ("dictionary", Arc::new(dictionary)),
        ("list", Arc::new(list)),
        ("struct", Arc::new(StructArray::from(fields))),
    ])
}

pub(super) async fn every_arrow_type_comes_back_or_is_refused(store: Store) -> Outcome {
    let repo = store.open().await?;
    let exact = repo.capabilities().has(Capability::ExactTypes);
    for (name, values) in typed_columns()? {
        let id = series(&format!("@{name}"))?;
        let given = column(values)?;
        let before = state(&repo).await?;
        let result = repo.write(&id, given.clone(), WriteMode::Append).await;
        if exact {
            result.map_err(|error| Failure::from(error).context(format!("a column of {name}")))?;
            let found = read(&repo, &id, &ScanQuery::new()).await?;
            same_columns(&found, &given)
                .map_err(|failure| failure.context(format!("a column of {name}")))?;
            // Written again, so that segments are put together.
            let later = batch(vec![
                (TIMESTAMP, times(vec![BASE + 10, BASE + 11, BASE + 12])),
                ("v", Arc::clone(given.column(1))),
            ])?;
            repo.write(&id, later.clone(), WriteMode::Append).await?;
            same_columns(&read(&repo, &id, &ScanQuery::new().last(3)).await?, &later)
                .map_err(|failure| failure.context(format!("a column of {name}, written twice")))?;
        } else if let Err(error) = result {
            let known = [
                ErrorKind::Unsupported,
                ErrorKind::SchemaMismatch,
                ErrorKind::InvalidInput,
            ]
            .contains(&error.kind());
            ensure!(
                known,
                "a column of {name} is refused with {}: {error}",
                error.kind()
            );
            ensure_eq!(
                state(&repo).await?,
                before,
                "the store after a column of {name} was refused"
            );
        } else {
            let found = read(&repo, &id, &ScanQuery::new()).await?;
            as_json_holds(&found, &given)
                .map_err(|failure| failure.context(format!("a column of {name}")))?;
        }
    }
    Ok(())
}

/// Without exact types a column comes back in one of the types that JSON can hold, as many rows, nulls in their places.
fn as_json_holds(found: &RecordBatch, given: &RecordBatch) -> Outcome {
    let (found, given) = (found.column(1), given.column(1));
    let kind = found.data_type();
    let known = [
        DataType::Int64,
        DataType::Float64,
        DataType::Boolean,
        DataType::Utf8,
    ]
    .contains(kind);
    ensure!(
        known,
        "{} came back as {kind}, which is none of the types that JSON can hold",
        given.data_type()
    );
    ensure_eq!(found.len(), given.len(), "the number of rows");
    let nulls = |array: &ArrayRef| -> Vec<bool> {
        (0..array.len()).map(|row| array.is_null(row)).collect()
    };
    ensure_eq!(nulls(found), nulls(given), "where the nulls are");
    if let (Some(wide), Some(narrow)) = (
        arrow_array::cast::AsArray::as_primitive_opt::<Int64Type>(found),
        arrow_array::cast::AsArray::as_primitive_opt::<Int32Type>(given),
    ) {
        let narrow: Vec<Option<i64>> = narrow.iter().map(|value| value.map(i64::from)).collect();
        ensure_eq!(
            wide.iter().collect::<Vec<_>>(),
            narrow,
            "the widened numbers"
        );
    }
    Ok(())
}
