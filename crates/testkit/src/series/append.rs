//! Appending: every row, in any order, from many writers.

use std::sync::Arc;

use minutebook_core::{
    Capability, ErrorKind, OnConflict, ScanQuery, SeriesFilter, TimeRange, WriteMode,
};

use super::support::{
    Repo, Store, all, append, claims, handles, numbered, ordered, read, series, state,
    write_refused,
};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq, joined, refused};

pub(super) async fn the_first_write_makes_the_series(store: Store) -> Outcome {
    let repo = store.open().await?;
    ensure_eq!(
        repo.list(&SeriesFilter::new()).await?,
        [],
        "a new store lists nothing"
    );
    let ids = ["BTCUSD@1h", "BTCUSD@ticks", "@equity curve"];
    for (n, text) in (1..).zip(ids) {
        let id = series(text)?;
        ensure_eq!(
            repo.summary(&id).await?,
            None,
            "the summary of {id} before the first write"
        );
        let receipt = append(&repo, &id, &[(n, n)]).await?;
        ensure_eq!(
            (receipt.inserted, receipt.replaced, receipt.skipped),
            (1, 0, 0),
            "the receipt of the first write"
        );
        ensure_eq!(all(&repo, &id).await?, [(n, n)], "the rows of {id}");
        let summary = repo.summary(&id).await?;
        ensure_eq!(
            summary.map(|summary| summary.version),
            Some(receipt.version),
            "the version of {id} is the receipt's"
        );
        ensure_eq!(
            repo.list(&SeriesFilter::new()).await?.len(),
            usize::try_from(n).unwrap_or(0),
            "how many are listed"
        );
    }
    Ok(())
}

pub(super) async fn append_adds_equal_rows_too(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("BTCUSD@ticks")?;
    let mut written = Vec::new();
    for rows in [
        vec![(5, 1), (5, 1), (5, 2)],
        vec![(5, 1)],
        vec![(5, 3), (5, 2), (5, 1)],
        vec![(5, 1), (6, 1)],
    ] {
        append(&repo, &id, &rows).await?;
        written.extend(rows);
        ensure_eq!(
            all(&repo, &id).await?,
            ordered(&repo, &written),
            "every row, equal ones too"
        );
    }
    let summary = repo.summary(&id).await?;
    ensure_eq!(
        summary.map(|summary| summary.rows),
        Some(written.len() as u64),
        "the summary counts every row"
    );
    Ok(())
}

pub(super) async fn append_takes_rows_in_any_order_of_time(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("BTCUSD@1m")?;
    let mut written = Vec::new();
    for rows in [
        vec![(50, 1), (10, 2), (30, 3)],
        vec![(20, 4)],
        vec![(60, 5), (-5, 6), (30, 7)],
        vec![(0, 8), (30, 9)],
    ] {
        append(&repo, &id, &rows).await?;
        written.extend(rows);
        ensure_eq!(
            all(&repo, &id).await?,
            ordered(&repo, &written),
            "all rows in order"
        );
    }
    Ok(())
}

pub(super) async fn many_small_appends_are_all_there(store: Store) -> Outcome {
    let repo = store.open().await?;
    let (one, two) = (series("BTCUSD@ticks")?, series("ETHUSD@ticks")?);
    let mut written = Vec::new();
    for n in 0..120 {
        let time = n * 7 % 40;
        append(&repo, &one, &[(time, n), (time, n)]).await?;
        append(&repo, &two, &[(time, -n)]).await?;
        written.extend([(time, n), (time, n)]);
    }
    ensure_eq!(
        all(&repo, &one).await?,
        ordered(&repo, &written),
        "the rows of {one}"
    );
    let other: Vec<_> = written
        .iter()
        .step_by(2)
        .map(|(time, n)| (*time, -n))
        .collect();
    ensure_eq!(
        all(&repo, &two).await?,
        ordered(&repo, &other),
        "the rows of {two}"
    );
    Ok(())
}

pub(super) async fn receipts_of_appends_count(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("BTCUSD@ticks")?;
    let first = append(&repo, &id, &[(1, 1), (1, 1)]).await?;
    ensure_eq!(
        (first.inserted, first.replaced, first.skipped),
        (2, 0, 0),
        "the receipt of two rows"
    );
    let second = append(&repo, &id, &[(1, 1), (0, 2), (7, 3)]).await?;
    ensure_eq!(
        (second.inserted, second.replaced, second.skipped),
        (3, 0, 0),
        "the receipt of three rows"
    );
    ensure!(
        second.version > first.version,
        "the version went from {} to {}",
        first.version,
        second.version
    );
    let before = state(&repo).await?;
    let nothing = append(&repo, &id, &[]).await?;
    ensure_eq!(
        (nothing.inserted, nothing.replaced, nothing.skipped),
        (0, 0, 0),
        "the receipt of no row"
    );
    ensure_eq!(
        nothing.version,
        second.version,
        "the version after nothing changed"
    );
    ensure_eq!(
        state(&repo).await?,
        before,
        "the store after an empty append"
    );
    Ok(())
}

pub(super) async fn concurrent_appends_lose_no_row(store: Store) -> Outcome {
    const WRITERS: i64 = 6;
    const WRITES: i64 = 12;
    let repos = handles(&store, usize::try_from(WRITERS).unwrap_or(1)).await?;
    let id = series("BTCUSD@ticks")?;
    let mut tasks = Vec::new();
    for (writer, repo) in (0..).zip(&repos) {
        let (repo, id) = (Arc::clone(repo), id.clone());
        tasks.push(tokio::spawn(async move {
            for n in 0..WRITES {
                let row = writer * 1_000 + n;
                // Long and short batches, so that a write that is taken apart shows.
                let rows: Vec<_> = (0..=n % 5 * 40).map(|k| (row + k % 3, row)).collect();
                append(&repo, &id, &rows).await?;
            }
            Outcome::Ok(())
        }));
    }
    for result in joined(tasks).await? {
        result?;
    }
    let mut expected = Vec::new();
    for row in (0..WRITERS).flat_map(|writer| (0..WRITES).map(move |n| (writer * 1_000 + n, n))) {
        expected.extend((0..=row.1 % 5 * 40).map(|k| (row.0 + k % 3, row.0)));
    }
    expected.sort_unstable();
    for repo in &repos {
        let mut found = all(repo, &id).await?;
        found.sort_unstable();
        ensure_eq!(found.len(), expected.len(), "how many rows there are");
        ensure_eq!(found, expected, "the rows of all writers");
    }
    let summary = repos[0].summary(&id).await?;
    ensure_eq!(
        summary.map(|summary| summary.rows),
        Some(expected.len() as u64),
        "the summary counts them all"
    );
    Ok(())
}

pub(super) async fn concurrent_upserts_lose_no_row(store: Store) -> Outcome {
    const WRITERS: i64 = 6;
    const WRITES: i64 = 10;
    let repos = handles(&store, usize::try_from(WRITERS).unwrap_or(1)).await?;
    let mode = WriteMode::Upsert {
        on_conflict: OnConflict::Replace,
    };
    if !claims(&repos[0], Capability::Upsert, mode).await? {
        return Ok(());
    }
    let id = series("BTCUSD@1m")?;
    let mut tasks = Vec::new();
    for (writer, repo) in (0..).zip(&repos) {
        let (repo, id) = (Arc::clone(repo), id.clone());
        tasks.push(tokio::spawn(async move {
            for n in 0..WRITES {
                // One row of its own, and one that all writers fight for.
                repo.write(
                    &id,
                    numbered(&[(n * WRITERS + writer, writer), (-1, writer)])?,
                    mode,
                )
                .await?;
            }
            Outcome::Ok(())
        }));
    }
    for result in joined(tasks).await? {
        result?;
    }
    let mut found = all(&repos[0], &id).await?;
    found.sort_unstable();
    let fought: Vec<_> = found.iter().filter(|(time, _)| *time == -1).collect();
    ensure_eq!(
        fought.len(),
        1,
        "one row at the timestamp that all wrote, but found {fought:?}"
    );
    found.remove(0);
    let expected: Vec<_> = (0..WRITERS * WRITES)
        .map(|time| (time, time % WRITERS))
        .collect();
    ensure_eq!(found, expected, "the rows of all writers");
    Ok(())
}

pub(super) async fn modes_not_claimed_are_unsupported(store: Store) -> Outcome {
    let repo = store.open().await?;
    for on_conflict in [OnConflict::Replace, OnConflict::Keep, OnConflict::Fail] {
        let mode = WriteMode::Upsert { on_conflict };
        if claims(&repo, Capability::Upsert, mode).await? {
            // What is claimed must not be refused.
            repo.write(
                &series("CLAIMED@1h")?,
                numbered(&[(i64::from(on_conflict == OnConflict::Fail), 1)])?,
                mode,
            )
            .await?;
        }
    }
    let mode = WriteMode::ReplaceRange(TimeRange::all());
    if claims(&repo, Capability::ReplaceRange, mode).await? {
        repo.write(&series("CLAIMED@1h")?, numbered(&[(1, 1)])?, mode)
            .await?;
    }
    append(&repo, &series("CLAIMED@1d")?, &[(1, 1)]).await?;
    Ok(())
}

pub(super) async fn timestamp_is_put_first(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("@moved")?;
    let rows = numbered(&[(1, 1), (2, 2)])?;
    let moved = rows
        .project(&[1, 0])
        .map_err(|error| crate::Failure::new(error.to_string()))?;
    repo.write(&id, moved, WriteMode::Append).await?;
    let found = read(&repo, &id, &ScanQuery::new()).await?;
    ensure_eq!(
        found.schema().field(0).name(),
        "timestamp",
        "the first column"
    );
    ensure_eq!(super::support::rows(&found)?, [(1, 1), (2, 2)], "the rows");
    append(&repo, &id, &[(3, 3)]).await?;
    ensure_eq!(
        all(&repo, &id).await?,
        [(1, 1), (2, 2), (3, 3)],
        "the rows after an append in the other order of columns"
    );
    Ok(())
}

pub(super) async fn a_wrong_timestamp_column_is_refused(store: Store) -> Outcome {
    let repo = store.open().await?;
    append(&repo, &series("THERE@1h")?, &[(1, 1)]).await?;
    for (what, wrong) in super::schema::wrong_times()? {
        for id in ["THERE@1h", "NEW@1h"] {
            let what = format!("a batch with {what} into {id}");
            write_refused(
                &repo,
                &series(id)?,
                wrong.clone(),
                WriteMode::Append,
                ErrorKind::SchemaMismatch,
                &what,
            )
            .await?;
        }
    }
    Ok(())
}

pub(super) async fn scanning_a_missing_series_is_not_found(store: Store) -> Outcome {
    let repo: Repo = store.open().await?;
    append(&repo, &series("BTCUSD@1h")?, &[(1, 1)]).await?;
    for id in [
        "BTCUSD@1d",
        "BTCUSD@ticks",
        "BTC@1h",
        "@btcusd@1h",
        "ETHUSD@1h",
    ] {
        let result = repo.scan(&series(id)?, &ScanQuery::new()).await;
        refused(
            result,
            ErrorKind::NotFound,
            &format!("scanning {id}, which is not there,"),
        )?;
    }
    Ok(())
}
