//! Replacing a range of time.

use minutebook_core::{Capability, ErrorKind, SeriesId, TimeRange, WriteMode};

use super::support::{
    Numbered, Repo, Store, all, append, at, claims, numbered, range, series, state, write_refused,
};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq};

/// Written out of order; two rows at 20.
const STORED: [(i64, i64); 6] = [(30, 3), (10, 1), (20, 2), (40, 4), (20, 22), (50, 5)];

async fn stored(repo: &Repo, name: &str) -> Outcome<SeriesId> {
    let id = series(name)?;
    append(repo, &id, &STORED).await?;
    Ok(id)
}

/// All rows by time and number, for backends with and without an order in time.
async fn sorted(repo: &Repo, id: &SeriesId) -> Outcome<Vec<(i64, i64)>> {
    let mut rows = all(repo, id).await?;
    rows.sort_unstable();
    Ok(rows)
}

async fn claimed(repo: &Repo) -> Outcome<bool> {
    claims(
        repo,
        Capability::ReplaceRange,
        WriteMode::ReplaceRange(TimeRange::all()),
    )
    .await
}

pub(super) async fn replace_range_replaces_exactly_its_rows(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claimed(&repo).await? {
        return Ok(());
    }
    let id = stored(&repo, "BTCUSD@1m").await?;
    let mode = WriteMode::ReplaceRange(range(20, 40)?);
    repo.write(&id, numbered(&[(39, 9), (20, 7), (39, 9)])?, mode)
        .await?;
    let expected = [(10, 1), (20, 7), (39, 9), (39, 9), (40, 4), (50, 5)];
    ensure_eq!(
        sorted(&repo, &id).await?,
        expected,
        "the start belongs to the range, the end does not"
    );
    let mode = WriteMode::ReplaceRange(range(41, 50)?);
    repo.write(&id, numbered(&[(45, 8)])?, mode).await?;
    let expected = [
        (10, 1),
        (20, 7),
        (39, 9),
        (39, 9),
        (40, 4),
        (45, 8),
        (50, 5),
    ];
    ensure_eq!(
        sorted(&repo, &id).await?,
        expected,
        "a range without rows takes new ones"
    );
    let new = series("NEW@1m")?;
    repo.write(&new, numbered(&[(45, 8)])?, mode).await?;
    ensure_eq!(
        sorted(&repo, &new).await?,
        [(45, 8)],
        "a series that is not there is made"
    );
    Ok(())
}

pub(super) async fn replace_range_with_an_empty_batch_clears(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claimed(&repo).await? {
        return Ok(());
    }
    let id = stored(&repo, "BTCUSD@1m").await?;
    let receipt = repo
        .write(&id, numbered(&[])?, WriteMode::ReplaceRange(range(20, 50)?))
        .await?;
    ensure_eq!(
        (receipt.inserted, receipt.replaced),
        (0, 4),
        "what clearing a range replaced"
    );
    ensure_eq!(
        sorted(&repo, &id).await?,
        [(10, 1), (50, 5)],
        "what a cleared range leaves"
    );
    let before = state(&repo).await?;
    for empty in [range(20, 50)?, range(10, 10)?] {
        let receipt = repo
            .write(&id, numbered(&[])?, WriteMode::ReplaceRange(empty))
            .await?;
        ensure_eq!(
            (receipt.inserted, receipt.replaced),
            (0, 0),
            "clearing {empty}, in which nothing is"
        );
        ensure_eq!(
            state(&repo).await?,
            before,
            "the store after clearing {empty}"
        );
    }
    Ok(())
}

pub(super) async fn replace_range_takes_open_ranges(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claimed(&repo).await? {
        return Ok(());
    }
    let ranges: [(&str, TimeRange, &[Numbered]); 3] = [
        (
            "A@1m",
            TimeRange::before(at(30)),
            &[(15, 0), (30, 3), (40, 4), (50, 5)],
        ),
        ("B@1m", TimeRange::since(at(15)), &[(10, 1), (15, 0)]),
        ("C@1m", TimeRange::all(), &[(15, 0)]),
    ];
    for (name, range, expected) in ranges {
        let id = stored(&repo, name).await?;
        repo.write(&id, numbered(&[(15, 0)])?, WriteMode::ReplaceRange(range))
            .await?;
        ensure_eq!(
            sorted(&repo, &id).await?,
            expected,
            "after replacing {range}"
        );
    }
    Ok(())
}

pub(super) async fn replace_range_refuses_rows_outside(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claimed(&repo).await? {
        return Ok(());
    }
    let id = stored(&repo, "BTCUSD@1m").await?;
    let mode = WriteMode::ReplaceRange(range(20, 40)?);
    for rows in [
        vec![(40, 0)],
        vec![(19, 0)],
        vec![(20, 0), (30, 0), (100, 0)],
        vec![(-1, 0), (25, 0)],
    ] {
        let what = format!("{mode:?} with {rows:?}");
        write_refused(
            &repo,
            &id,
            numbered(&rows)?,
            mode,
            ErrorKind::InvalidInput,
            &what,
        )
        .await?;
        write_refused(
            &repo,
            &series("NEW@1m")?,
            numbered(&rows)?,
            mode,
            ErrorKind::InvalidInput,
            &what,
        )
        .await?;
    }
    let mode = WriteMode::ReplaceRange(range(20, 20)?);
    write_refused(
        &repo,
        &id,
        numbered(&[(20, 0)])?,
        mode,
        ErrorKind::InvalidInput,
        "a row into an empty range",
    )
    .await?;
    Ok(())
}

pub(super) async fn receipts_of_replaced_ranges_count(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claimed(&repo).await? {
        return Ok(());
    }
    let id = stored(&repo, "BTCUSD@1m").await?;
    let before = append(&repo, &id, &[]).await?.version;
    let mode = WriteMode::ReplaceRange(range(20, 40)?);
    let receipt = repo
        .write(&id, numbered(&[(20, 7), (25, 8)])?, mode)
        .await?;
    ensure_eq!(
        (receipt.inserted, receipt.replaced, receipt.skipped),
        (2, 3, 0),
        "rows put in and stored rows dropped"
    );
    ensure!(
        receipt.version > before,
        "the version went from {before} to {}",
        receipt.version
    );
    let summary = repo.summary(&id).await?;
    ensure_eq!(
        summary.map(|s| (s.rows, s.version)),
        Some((5, receipt.version)),
        "the summary after it"
    );
    Ok(())
}
