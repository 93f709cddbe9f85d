//! Upserts: rows keyed by their timestamp.

use minutebook_core::{Capability, ErrorKind, OnConflict, WriteMode};

use super::support::{
    Numbered, Repo, Store, all, append, claims, numbered, ordered, series, state, write_refused,
};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq};

const REPLACE: WriteMode = WriteMode::Upsert {
    on_conflict: OnConflict::Replace,
};
const KEEP: WriteMode = WriteMode::Upsert {
    on_conflict: OnConflict::Keep,
};
const FAIL: WriteMode = WriteMode::Upsert {
    on_conflict: OnConflict::Fail,
};

/// What the upsert cases begin with: one row at 1, three at 5, one at 9.
const STORED: [(i64, i64); 5] = [(1, 10), (5, 50), (9, 90), (5, 51), (5, 50)];

async fn stored(repo: &Repo) -> Outcome<minutebook_core::SeriesId> {
    let id = series("BTCUSD@1m")?;
    append(repo, &id, &STORED).await?;
    Ok(id)
}

pub(super) async fn upsert_replaces_every_row_at_the_timestamp(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claims(&repo, Capability::Upsert, REPLACE).await? {
        return Ok(());
    }
    let id = stored(&repo).await?;
    repo.write(&id, numbered(&[(7, 700), (5, 500), (0, 0)])?, REPLACE)
        .await?;
    let mut found = all(&repo, &id).await?;
    if !repo.capabilities().has(Capability::TimeOrdered) {
        found.sort_unstable();
    }
    ensure_eq!(
        found,
        [(0, 0), (1, 10), (5, 500), (7, 700), (9, 90)],
        "the new row alone at each of its timestamps"
    );
    // The last of several upserts is the one that stays.
    for n in 501..505 {
        repo.write(&id, numbered(&[(5, n)])?, REPLACE).await?;
        let found = all(&repo, &id).await?;
        ensure!(
            found.contains(&(5, n)) && found.len() == 5,
            "after the upsert of (5, {n}) there are {found:?}"
        );
    }
    append(&repo, &id, &[(5, 1), (5, 2)]).await?;
    repo.write(&id, numbered(&[(5, 3)])?, REPLACE).await?;
    let found = all(&repo, &id).await?;
    ensure!(
        found.contains(&(5, 3)) && found.len() == 5,
        "an upsert leaves one row at its timestamp, but there are {found:?}"
    );
    Ok(())
}

pub(super) async fn upsert_keeps_what_is_there(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claims(&repo, Capability::Upsert, KEEP).await? {
        return Ok(());
    }
    let id = stored(&repo).await?;
    repo.write(&id, numbered(&[(5, 500), (7, 700), (9, 900)])?, KEEP)
        .await?;
    let mut expected = STORED.to_vec();
    expected.push((7, 700));
    ensure_eq!(
        all(&repo, &id).await?,
        ordered(&repo, &expected),
        "the old rows, and the new one where there was none"
    );
    Ok(())
}

pub(super) async fn upsert_fails_whole_on_a_conflict(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claims(&repo, Capability::Upsert, FAIL).await? {
        return Ok(());
    }
    let id = stored(&repo).await?;
    for rows in [
        vec![(5, 500)],
        vec![(6, 600), (9, 90)],
        vec![(1, 10), (7, 1), (8, 1)],
    ] {
        let what = format!("an upsert that may not meet anything, of {rows:?}");
        write_refused(
            &repo,
            &id,
            numbered(&rows)?,
            FAIL,
            ErrorKind::AlreadyExists,
            &what,
        )
        .await?;
    }
    repo.write(&id, numbered(&[(6, 600), (10, 100)])?, FAIL)
        .await?;
    let mut expected = STORED.to_vec();
    expected.extend([(6, 600), (10, 100)]);
    ensure_eq!(
        all(&repo, &id).await?,
        ordered(&repo, &expected),
        "rows that meet nothing are taken"
    );
    Ok(())
}

pub(super) async fn upsert_makes_a_series(store: Store) -> Outcome {
    let repo = store.open().await?;
    for (name, mode) in [("A@1h", REPLACE), ("B@1h", KEEP), ("C@1h", FAIL)] {
        if !claims(&repo, Capability::Upsert, mode).await? {
            return Ok(());
        }
        let id = series(name)?;
        let receipt = repo.write(&id, numbered(&[(2, 2), (1, 1)])?, mode).await?;
        ensure_eq!(
            (receipt.inserted, receipt.replaced, receipt.skipped),
            (2, 0, 0),
            "the receipt of {mode:?}"
        );
        ensure_eq!(
            all(&repo, &id).await?,
            ordered(&repo, &[(2, 2), (1, 1)]),
            "the rows after {mode:?}"
        );
    }
    Ok(())
}

pub(super) async fn upsert_refuses_a_timestamp_twice(store: Store) -> Outcome {
    let repo = store.open().await?;
    for mode in [REPLACE, KEEP, FAIL] {
        if !claims(&repo, Capability::Upsert, mode).await? {
            return Ok(());
        }
    }
    let id = stored(&repo).await?;
    for mode in [REPLACE, KEEP, FAIL] {
        for rows in [
            vec![(20, 1), (20, 2)],
            vec![(5, 1), (6, 1), (5, 1)],
            vec![(30, 1), (31, 1), (32, 1), (30, 1)],
        ] {
            let what = format!("{mode:?} of {rows:?}");
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
    }
    Ok(())
}

/// Rows inserted, replaced and skipped.
type Counts = (u64, u64, u64);

pub(super) async fn receipts_of_upserts_count(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !claims(&repo, Capability::Upsert, REPLACE).await? {
        return Ok(());
    }
    let id = stored(&repo).await?;
    let mut last = append(&repo, &id, &[]).await?.version;
    let steps: [(&[Numbered], WriteMode, Counts); 7] = [
        // Three stored rows go for one new one.
        (&[(5, 500), (7, 700)], REPLACE, (1, 3, 0)),
        (&[(5, 501)], REPLACE, (0, 1, 0)),
        (&[(20, 1), (21, 1)], REPLACE, (2, 0, 0)),
        (&[(5, 0), (22, 1)], KEEP, (1, 0, 1)),
        (&[(5, 0), (22, 0)], KEEP, (0, 0, 2)),
        (&[(30, 1)], FAIL, (1, 0, 0)),
        (&[], REPLACE, (0, 0, 0)),
    ];
    for (rows, mode, counts) in steps {
        let before = state(&repo).await?;
        let receipt = repo.write(&id, numbered(rows)?, mode).await?;
        ensure_eq!(
            (receipt.inserted, receipt.replaced, receipt.skipped),
            counts,
            "rows with a timestamp that was not there, stored rows dropped, rows not written, by {mode:?} of {rows:?}"
        );
        if (counts.0, counts.1) == (0, 0) {
            ensure_eq!(
                receipt.version,
                last,
                "the version after {mode:?} of {rows:?} changed nothing"
            );
            ensure_eq!(
                state(&repo).await?,
                before,
                "the store after {mode:?} of {rows:?}"
            );
        } else {
            ensure!(
                receipt.version > last,
                "the version went from {last} to {} by {mode:?} of {rows:?}",
                receipt.version
            );
        }
        let summary = repo.summary(&id).await?;
        ensure_eq!(
            summary.map(|summary| summary.version),
            Some(receipt.version),
            "the summary has the receipt's version"
        );
        last = receipt.version;
    }
    Ok(())
}
