//! Earlier versions.

use chrono::TimeDelta;
use minutebook_core::time::parse_timestamp;
use minutebook_core::{
    Capability, ErrorKind, OnConflict, ScanQuery, SeriesId, Snapshot, Version, WriteMode,
};

use super::support::{Numbered, Repo, Store, all, append, numbered, numbers, range, series, state};
use crate::case::{Failure, Outcome};
use crate::check::{ensure, ensure_eq, refused};

/// A series with a history: after each change its version, what the clock showed, and the rows.
type History = Vec<(
    Version,
    Option<chrono::DateTime<chrono::Utc>>,
    Vec<Numbered>,
)>;

async fn history(store: &Store, repo: &Repo, id: &SeriesId) -> Outcome<History> {
    let mut history: History = Vec::new();
    for step in 0..6 {
        store.step();
        match step {
            0 => drop(append(repo, id, &[(10, 1), (20, 2), (30, 3)]).await?),
            1 => drop(append(repo, id, &[(15, 4), (20, 5)]).await?),
            2 if repo.capabilities().has(Capability::Upsert) => {
                let mode = WriteMode::Upsert {
                    on_conflict: OnConflict::Replace,
                };
                repo.write(id, numbered(&[(20, 6)])?, mode).await?;
            }
            3 if repo.capabilities().has(Capability::ReplaceRange) => {
                repo.write(
                    id,
                    numbered(&[(12, 7)])?,
                    WriteMode::ReplaceRange(range(10, 16)?),
                )
                .await?;
            }
            4 if repo.capabilities().has(Capability::DeleteRange) => {
                repo.delete(id, Some(range(30, 31)?)).await?;
            }
            _ => drop(append(repo, id, &[(40 + step, step)]).await?),
        }
        let summary = repo.summary(id).await?;
        let version = summary
            .ok_or_else(|| Failure::new("the series is not there"))?
            .version;
        history.push((version, store.now(), all(repo, id).await?));
    }
    Ok(history)
}

/// What a store that does not claim `AsOf` owes: that it says so.
async fn unsupported(store: &Store, repo: &Repo) -> Outcome {
    let id = series("BTCUSD@1m")?;
    let history = history(store, repo, &id).await?;
    let before = state(repo).await?;
    let mut snapshots = vec![
        Snapshot::Time(parse_timestamp("2999-01-01")?),
        Snapshot::Version(Version(u64::MAX)),
    ];
    snapshots.extend(
        history
            .iter()
            .map(|(version, _, _)| Snapshot::Version(*version)),
    );
    for snapshot in snapshots {
        let result = repo.scan(&id, &ScanQuery::new().as_of(snapshot)).await;
        refused(
            result,
            ErrorKind::Unsupported,
            &format!("a scan as of {snapshot:?}, which is not claimed,"),
        )?;
    }
    ensure_eq!(
        state(repo).await?,
        before,
        "the store after unsupported scans"
    );
    Ok(())
}

pub(super) async fn as_of_a_version_reads_it_as_it_was(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !repo.capabilities().has(Capability::AsOf) {
        return unsupported(&store, &repo).await;
    }
    let id = series("BTCUSD@1m")?;
    let history = history(&store, &repo, &id).await?;
    ensure!(
        history.is_sorted_by(|a, b| a.0 < b.0),
        "the versions do not grow: {:?}",
        history.iter().map(|h| h.0).collect::<Vec<_>>()
    );
    for (version, _, rows) in &history {
        let query = ScanQuery::new().as_of(Snapshot::Version(*version));
        ensure_eq!(
            numbers(&repo, &id, &query).await?,
            *rows,
            "the series as of version {version}"
        );
        let last = numbers(
            &repo,
            &id,
            &query.range(range(15, 100)?).last(2).batch_size(1),
        )
        .await?;
        let expected: Vec<_> = rows
            .iter()
            .copied()
            .filter(|(time, _)| *time >= 15)
            .collect();
        ensure_eq!(
            last,
            expected[expected.len().saturating_sub(2)..],
            "the last two rows from 15 on as of version {version}"
        );
    }
    Ok(())
}

pub(super) async fn as_of_a_time_reads_it_as_it_was(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !repo.capabilities().has(Capability::AsOf) {
        return unsupported(&store, &repo).await;
    }
    let id = series("BTCUSD@1m")?;
    let before = store.now();
    let history = history(&store, &repo, &id).await?;
    for (version, time, rows) in &history {
        // Without a clock of the case's own there is no instant at which a state was surely known.
        let Some(time) = time else { continue };
        for instant in [*time, *time + TimeDelta::milliseconds(999)] {
            let query = ScanQuery::new().as_of(Snapshot::Time(instant));
            ensure_eq!(
                numbers(&repo, &id, &query).await?,
                *rows,
                "the series as known at {instant}, which was version {version}"
            );
        }
    }
    let query = ScanQuery::new().as_of(Snapshot::Time(parse_timestamp("2999-01-01")?));
    ensure_eq!(
        numbers(&repo, &id, &query).await?,
        all(&repo, &id).await?,
        "the series as known in the far future"
    );
    for instant in [Some(parse_timestamp("1980-01-01")?), before]
        .into_iter()
        .flatten()
    {
        let result = repo
            .scan(&id, &ScanQuery::new().as_of(Snapshot::Time(instant)))
            .await;
        refused(
            result,
            ErrorKind::NotFound,
            &format!("a scan as of {instant}, when the series was not there yet,"),
        )?;
    }
    Ok(())
}

pub(super) async fn as_of_a_version_that_is_not_kept_is_not_found(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !repo.capabilities().has(Capability::AsOf) {
        return unsupported(&store, &repo).await;
    }
    let id = series("BTCUSD@1m")?;
    let history = history(&store, &repo, &id).await?;
    let latest = history.last().map_or(0, |(version, _, _)| version.0);
    for version in [latest + 1_000, u64::MAX] {
        let query = ScanQuery::new().as_of(Snapshot::Version(Version(version)));
        refused(
            repo.scan(&id, &query).await,
            ErrorKind::NotFound,
            &format!("a scan as of version {version}"),
        )?;
    }
    let query = ScanQuery::new().as_of(Snapshot::Version(Version(latest)));
    let result = repo.scan(&series("NOPE@1m")?, &query).await;
    refused(
        result,
        ErrorKind::NotFound,
        "a scan of an earlier version of a series that is not there",
    )?;
    Ok(())
}
