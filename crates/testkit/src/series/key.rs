//! Declared keys: the time and further columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use minutebook_core::series::batch::{TIMESTAMP, timestamps};
use minutebook_core::{
    Capability, ErrorKind, OnConflict, ScanQuery, SeriesId, SeriesKey, WriteMode,
};

use super::support::{
    BASE, Repo, Store, append, batch, numbered, range, read, series, state, times, write_refused,
};
use crate::case::{Failure, Outcome};
use crate::check::{ensure, ensure_eq, refused};

const REPLACE: WriteMode = WriteMode::Upsert {
    on_conflict: OnConflict::Replace,
};
const KEEP: WriteMode = WriteMode::Upsert {
    on_conflict: OnConflict::Keep,
};
const FAIL: WriteMode = WriteMode::Upsert {
    on_conflict: OnConflict::Fail,
};

/// A row: nanoseconds after [`BASE`], a symbol, a number.
type Quote = (i64, &'static str, i64);

fn quotes(rows: &[Quote]) -> Outcome<RecordBatch> {
    let time = times(rows.iter().map(|(offset, ..)| BASE + offset).collect());
    let symbol: StringArray = rows.iter().map(|(_, symbol, _)| Some(*symbol)).collect();
    let n: Int64Array = rows.iter().map(|(.., n)| Some(*n)).collect();
    let symbol: ArrayRef = Arc::new(symbol);
    batch(vec![
        (TIMESTAMP, time),
        ("symbol", symbol),
        ("n", Arc::new(n)),
    ])
}

/// All rows; those of one time in the order of their symbols.
async fn all(repo: &Repo, id: &SeriesId) -> Outcome<Vec<(i64, String, i64)>> {
    let found = read(repo, id, &ScanQuery::new()).await?;
    let column = |name: &str| {
        let column = found.column_by_name(name);
        column.ok_or_else(|| Failure::new(format!("there is no column {name}")))
    };
    let (symbols, n) = (column("symbol")?.as_string::<i32>(), column("n")?);
    let n = n.as_primitive::<Int64Type>();
    let times = timestamps(&found)?.values();
    let rows = times.iter().zip(symbols.iter().flatten()).zip(n.values());
    let mut rows: Vec<_> = rows
        .map(|((time, symbol), n)| (time - BASE, symbol.to_owned(), *n))
        .collect();
    rows.sort();
    Ok(rows)
}

fn owned(rows: &[Quote]) -> Vec<(i64, String, i64)> {
    rows.iter()
        .map(|(time, symbol, n)| (*time, (*symbol).to_owned(), *n))
        .collect()
}

fn by_symbol() -> Outcome<SeriesKey> {
    Ok(SeriesKey::new(["symbol"])?)
}

/// Whether keys are claimed.
async fn claims(repo: &Repo) -> Outcome<bool> {
    if repo.capabilities().has(Capability::Key) {
        return Ok(true);
    }
    let id = series("UNCLAIMED@1h")?;
    append(repo, &id, &[(1, 1)]).await?;
    let before = state(repo).await?;
    for id in [id, series("NONE@1h")?] {
        for key in [Some(by_symbol()?), Some(SeriesKey::timestamp()), None] {
            let declared = repo.declare_key(&id, key.as_ref()).await;
            refused(
                declared,
                ErrorKind::Unsupported,
                "a key, which is not claimed,",
            )?;
        }
    }
    ensure_eq!(
        state(repo).await?,
        before,
        "the store after keys were refused"
    );
    Ok(false)
}

/// Whether a mode is claimed, too.
fn can(repo: &Repo, mode: WriteMode) -> bool {
    let has = |capability| repo.capabilities().has(capability);
    match mode {
        WriteMode::Append => true,
        WriteMode::Upsert { .. } => has(Capability::Upsert),
        WriteMode::ReplaceRange(_) => has(Capability::ReplaceRange),
    }
}

/// Two symbols at two times, keyed by both.
const STORED: [Quote; 3] = [(1, "a", 10), (1, "b", 11), (5, "a", 50)];

async fn stored(repo: &Repo) -> Outcome<SeriesId> {
    let id = series("@quotes")?;
    repo.declare_key(&id, Some(&by_symbol()?)).await?;
    repo.write(&id, quotes(&STORED)?, WriteMode::Append).await?;
    Ok(id)
}

pub(super) async fn an_upsert_goes_by_the_declared_key(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claims(&repo).await? || !can(&repo, REPLACE) {
        return Ok(());
    }
    let id = stored(&repo).await?;
    let given = quotes(&[(1, "b", 21), (1, "c", 22), (5, "a", 60), (9, "b", 90)])?;
    let receipt = repo.write(&id, given, REPLACE).await?;
    ensure_eq!(
        (receipt.inserted, receipt.replaced, receipt.skipped),
        (2, 2, 0),
        "the receipt of an upsert that replaces"
    );
    ensure_eq!(
        all(&repo, &id).await?,
        owned(&[
            (1, "a", 10),
            (1, "b", 21),
            (1, "c", 22),
            (5, "a", 60),
            (9, "b", 90)
        ]),
        "each row of another symbol stays"
    );
    let given = quotes(&[(1, "a", 1), (1, "d", 2)])?;
    let receipt = repo.write(&id, given, KEEP).await?;
    ensure_eq!(
        (receipt.inserted, receipt.replaced, receipt.skipped),
        (1, 0, 1),
        "the receipt of an upsert that keeps"
    );
    let given = quotes(&[(1, "e", 1), (9, "b", 2)])?;
    write_refused(
        &repo,
        &id,
        given,
        FAIL,
        ErrorKind::AlreadyExists,
        "a conflict",
    )
    .await?;
    let receipt = repo.write(&id, quotes(&[(9, "c", 3)])?, FAIL).await?;
    ensure_eq!(receipt.inserted, 1, "an upsert that meets nothing");
    let found = all(&repo, &id).await?;
    ensure!(
        found.contains(&(1, "a".to_owned(), 10)) && found.len() == 7,
        "after all upserts there are {found:?}"
    );
    Ok(())
}

pub(super) async fn a_keyed_series_takes_no_key_twice(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claims(&repo).await? {
        return Ok(());
    }
    let id = stored(&repo).await?;
    for rows in [vec![(5, "a", 1)], vec![(0, "z", 1), (1, "b", 1)]] {
        let what = format!("an append of {rows:?}");
        let given = quotes(&rows)?;
        write_refused(
            &repo,
            &id,
            given,
            WriteMode::Append,
            ErrorKind::AlreadyExists,
            &what,
        )
        .await?;
    }
    let twice = [(7, "a", 1), (7, "b", 2), (7, "a", 3)];
    let within = WriteMode::ReplaceRange(range(7, 8)?);
    let modes = [WriteMode::Append, REPLACE, KEEP, FAIL, within];
    for mode in modes.into_iter().filter(|mode| can(&repo, *mode)) {
        let what = format!("{mode:?} with a key twice");
        write_refused(
            &repo,
            &id,
            quotes(&twice)?,
            mode,
            ErrorKind::InvalidInput,
            &what,
        )
        .await?;
    }
    // Overlaps in time are no matter as long as the key is new.
    repo.write(&id, quotes(&[(1, "c", 3), (0, "a", 4)])?, WriteMode::Append)
        .await?;
    let within = WriteMode::ReplaceRange(range(1, 2)?);
    if can(&repo, within) {
        // A replaced range frees its keys.
        let given = quotes(&[(1, "a", 5), (1, "b", 6)])?;
        repo.write(&id, given, within).await?;
        ensure_eq!(
            all(&repo, &id).await?,
            owned(&[(0, "a", 4), (1, "a", 5), (1, "b", 6), (5, "a", 50)]),
            "the rows"
        );
    }
    if repo.capabilities().has(Capability::DeleteRange) {
        repo.delete(&id, Some(range(5, 6)?)).await?;
        repo.write(&id, quotes(&[(5, "a", 51)])?, WriteMode::Append)
            .await?;
    }
    Ok(())
}

pub(super) async fn null_keys_are_refused_and_named(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claims(&repo).await? {
        return Ok(());
    }
    let id = stored(&repo).await?;
    let symbol: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None]));
    let n: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let time = times(vec![BASE + 20, BASE + 21]);
    let null = batch(vec![(TIMESTAMP, time), ("symbol", symbol), ("n", n)])?;
    for given in [null, numbered(&[(20, 1)])?] {
        let modes = [WriteMode::Append, REPLACE, KEEP, FAIL];
        for mode in modes.into_iter().filter(|mode| can(&repo, *mode)) {
            let what = format!("{mode:?} without a key");
            let kind = ErrorKind::InvalidInput;
            let error = write_refused(&repo, &id, given.clone(), mode, kind, &what).await?;
            ensure!(
                error.message().contains("\"symbol\""),
                "{what} does not name the column: {error}"
            );
        }
    }
    Ok(())
}

pub(super) async fn floating_point_is_no_key(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claims(&repo).await? {
        return Ok(());
    }
    let id = series("@prices")?;
    let price: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let given = batch(vec![(TIMESTAMP, times(vec![BASE])), ("symbol", price)])?;
    repo.write(&id, given.clone(), WriteMode::Append).await?;
    let before = state(&repo).await?;
    let declared = repo.declare_key(&id, Some(&by_symbol()?)).await;
    refused(
        declared,
        ErrorKind::SchemaMismatch,
        "a key of floating point",
    )?;
    ensure_eq!(state(&repo).await?, before, "the store after the refusal");
    // Declared first, the first rows that bring such a column are refused.
    let other = series("@others")?;
    repo.declare_key(&other, Some(&by_symbol()?)).await?;
    let kind = ErrorKind::SchemaMismatch;
    write_refused(
        &repo,
        &other,
        given,
        WriteMode::Append,
        kind,
        "floating point in the key",
    )
    .await?;
    Ok(())
}

pub(super) async fn rows_that_break_a_key_refuse_it(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claims(&repo).await? {
        return Ok(());
    }
    let id = series("@quotes")?;
    for rows in [[(1, "a", 1), (2, "a", 2)], [(2, "b", 3), (1, "a", 4)]] {
        repo.write(&id, quotes(&rows)?, WriteMode::Append).await?;
    }
    let before = state(&repo).await?;
    for key in [by_symbol()?, SeriesKey::timestamp()] {
        let declared = repo.declare_key(&id, Some(&key)).await;
        refused(
            declared,
            ErrorKind::AlreadyExists,
            "a key that rows have twice",
        )?;
    }
    let unknown = SeriesKey::new(["venue"])?;
    let declared = repo.declare_key(&id, Some(&unknown)).await;
    refused(declared, ErrorKind::InvalidInput, "a key that no row has")?;
    ensure_eq!(state(&repo).await?, before, "the store after the refusals");
    let fits = SeriesKey::new(["symbol", "n"])?;
    repo.declare_key(&id, Some(&fits)).await?;
    Ok(())
}

pub(super) async fn a_declared_key_is_in_the_summary_and_stays(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claims(&repo).await? {
        return Ok(());
    }
    let id = series("@quotes")?;
    let key = async || Outcome::Ok(repo.summary(&id).await?.and_then(|summary| summary.key));
    let missing = repo.declare_key(&id, None).await;
    refused(
        missing,
        ErrorKind::NotFound,
        "taking back the key of nothing",
    )?;
    let first = repo.declare_key(&id, Some(&by_symbol()?)).await?;
    let summary = repo.summary(&id).await?.map(|s| (s.rows, s.version, s.key));
    ensure_eq!(
        summary,
        Some((0, first, Some(by_symbol()?))),
        "the summary of a series that only has a key"
    );
    let again = repo.declare_key(&id, Some(&by_symbol()?)).await?;
    ensure_eq!(again, first, "the version after declaring the same again");
    repo.write(&id, quotes(&STORED)?, WriteMode::Append).await?;
    let within = WriteMode::ReplaceRange(range(5, 6)?);
    for (rows, mode) in [(&[(1, "a", 7)][..], REPLACE), (&[], within)] {
        if can(&repo, mode) {
            repo.write(&id, quotes(rows)?, mode).await?;
        }
    }
    ensure_eq!(key().await?, Some(by_symbol()?), "the key after writes");
    let before = repo.summary(&id).await?.map(|summary| summary.version);
    let version = repo.declare_key(&id, None).await?;
    ensure!(
        Some(version) > before,
        "the version after the key was taken back is {version}, before it was {before:?}"
    );
    ensure_eq!(key().await?, None, "the key that was taken back");
    // Now every row is added again, and upserts go by time.
    repo.write(&id, quotes(&[(1, "a", 8)])?, WriteMode::Append)
        .await?;
    if can(&repo, REPLACE) {
        repo.write(&id, quotes(&[(1, "z", 9)])?, REPLACE).await?;
        let mut found = all(&repo, &id).await?;
        found.retain(|(time, ..)| *time == 1);
        ensure_eq!(found, owned(&[(1, "z", 9)]), "an upsert by time");
        repo.declare_key(&id, Some(&by_symbol()?)).await?;
    }
    repo.delete(&id, None).await?;
    repo.write(&id, quotes(&STORED)?, WriteMode::Append).await?;
    ensure_eq!(key().await?, None, "the key of a series that was deleted");
    Ok(())
}

pub(super) async fn keys_not_claimed_are_unsupported(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claims(&repo).await? {
        return Ok(());
    }
    // Claimed, so it works: on a series that is there, too.
    let id = series("@quotes")?;
    repo.write(&id, quotes(&STORED)?, WriteMode::Append).await?;
    repo.declare_key(&id, Some(&by_symbol()?)).await?;
    ensure_eq!(
        all(&repo, &id).await?,
        owned(&STORED),
        "the rows after the declaration"
    );
    Ok(())
}
