//! What the capabilities promise: reopening and several handles.

use minutebook_core::{
    Capability, OnConflict, ScanQuery, SeriesFilter, Snapshot, TimeRange, WriteMode,
};

use super::support::{Repo, Store, all, append, numbered, numbers, ordered, range, series, state};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq};

/// Three series, written out of order and in several ways.
async fn fill(repo: &Repo) -> Outcome {
    append(repo, &series("BTCUSD@ticks")?, &[(5, 1), (5, 1), (3, 2)]).await?;
    append(repo, &series("BTCUSD@1m")?, &[(30, 1), (10, 2)]).await?;
    append(repo, &series("@curve")?, &[(1, 1)]).await?;
    append(repo, &series("BTCUSD@ticks")?, &[(4, 3), (5, 1)]).await?;
    if repo.capabilities().has(Capability::Upsert) {
        let mode = WriteMode::Upsert {
            on_conflict: OnConflict::Replace,
        };
        repo.write(&series("BTCUSD@1m")?, numbered(&[(10, 20), (20, 3)])?, mode)
            .await?;
    }
    if repo.capabilities().has(Capability::ReplaceRange) {
        repo.write(
            &series("BTCUSD@1m")?,
            numbered(&[(25, 4)])?,
            WriteMode::ReplaceRange(range(20, 30)?),
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn written_rows_survive_reopening(store: Store) -> Outcome {
    let repo = store.open().await?;
    let persistent = repo.capabilities().has(Capability::Persistent);
    fill(&repo).await?;
    let before = state(&repo).await?;
    store.step();
    let repo = store.reopen(repo).await?;
    if !persistent {
        // What a store that keeps nothing owes is that it opens again, sound and in working order.
        state(&repo).await?;
        append(&repo, &series("FRESH@1m")?, &[(1, 1)]).await?;
        ensure_eq!(
            all(&repo, &series("FRESH@1m")?).await?,
            [(1, 1)],
            "a write after opening again"
        );
        return Ok(());
    }
    ensure_eq!(
        state(&repo).await?,
        before,
        "the reopened store, versions included"
    );
    let ticks = series("BTCUSD@ticks")?;
    let old = repo.summary(&ticks).await?.map(|summary| summary.version);
    let mut expected = all(&repo, &ticks).await?;
    let receipt = append(&repo, &ticks, &[(9, 9)]).await?;
    ensure!(
        Some(receipt.version) > old,
        "the version went from {old:?} to {} by a write after reopening",
        receipt.version
    );
    if let (true, Some(old)) = (repo.capabilities().has(Capability::AsOf), old) {
        let query = ScanQuery::new().as_of(Snapshot::Version(old));
        ensure_eq!(
            numbers(&repo, &ticks, &query).await?,
            expected,
            "the version from before the store was closed"
        );
    }
    expected.push((9, 9));
    ensure_eq!(
        all(&repo, &ticks).await?,
        expected,
        "the rows from before and after reopening"
    );
    Ok(())
}

pub(super) async fn deleted_rows_stay_deleted_after_reopening(store: Store) -> Outcome {
    let repo = store.open().await?;
    let persistent = repo.capabilities().has(Capability::Persistent);
    fill(&repo).await?;
    repo.delete(&series("@curve")?, None).await?;
    if repo.capabilities().has(Capability::DeleteRange) {
        repo.delete(&series("BTCUSD@ticks")?, Some(range(5, 6)?))
            .await?;
    }
    repo.delete(&series("BTCUSD@1m")?, None).await?;
    append(&repo, &series("BTCUSD@1m")?, &[(7, 7)]).await?;
    let before = state(&repo).await?;
    let repo = store.reopen(repo).await?;
    if persistent {
        ensure_eq!(state(&repo).await?, before, "the reopened store");
    }
    ensure_eq!(
        repo.summary(&series("@curve")?).await?,
        None,
        "the deleted series after reopening"
    );
    append(&repo, &series("@curve")?, &[(2, 2)]).await?;
    ensure_eq!(
        all(&repo, &series("@curve")?).await?,
        [(2, 2)],
        "nothing of its earlier life comes back"
    );
    Ok(())
}

pub(super) async fn another_handle_sees_every_write(store: Store) -> Outcome {
    let one = store.open().await?;
    if !one.capabilities().has(Capability::Shared) {
        append(&one, &series("BTCUSD@1m")?, &[(1, 1)]).await?;
        let before = state(&one).await?;
        // A second handle on a store that does not share either is refused or does no harm to the first.
        if let Ok(two) = store.open().await {
            state(&two).await?;
            store.close(two).await;
        }
        ensure_eq!(
            state(&one).await?,
            before,
            "the first handle after a second was tried"
        );
        append(&one, &series("BTCUSD@1m")?, &[(2, 2)]).await?;
        ensure_eq!(
            all(&one, &series("BTCUSD@1m")?).await?,
            [(1, 1), (2, 2)],
            "the first handle goes on"
        );
        return Ok(());
    }
    let two = store.open().await?;
    ensure_eq!(
        state(&two).await?,
        state(&one).await?,
        "two handles on an empty store"
    );
    let id = series("BTCUSD@ticks")?;
    let mut written = Vec::new();
    let mut last = None;
    for n in 0..6 {
        let (writer, reader) = if n % 2 == 0 {
            (&one, &two)
        } else {
            (&two, &one)
        };
        let receipt = append(writer, &id, &[(10 - n, n), (5, n)]).await?;
        written.extend([(10 - n, n), (5, n)]);
        ensure_eq!(
            all(reader, &id).await?,
            ordered(reader, &written),
            "the other handle's scan after write {n}"
        );
        let summary = reader.summary(&id).await?;
        ensure_eq!(
            summary.map(|summary| (summary.rows, summary.version)),
            Some((written.len() as u64, receipt.version)),
            "the other handle's summary after write {n}"
        );
        ensure!(
            Some(receipt.version) > last,
            "the version went from {last:?} to {} by write {n}",
            receipt.version
        );
        last = Some(receipt.version);
    }
    fill(&two).await?;
    ensure_eq!(
        state(&one).await?,
        state(&two).await?,
        "both handles after writes of every kind"
    );
    if one.capabilities().has(Capability::DeleteRange) {
        one.delete(&id, Some(TimeRange::all())).await?;
        ensure_eq!(
            all(&two, &id).await?,
            [],
            "the other handle after the rows were deleted"
        );
    }
    one.delete(&id, None).await?;
    ensure_eq!(
        two.summary(&id).await?,
        None,
        "the other handle after the series was deleted"
    );
    let listed = two.list(&SeriesFilter::new()).await?;
    ensure!(
        !listed.contains(&id),
        "the other handle lists the deleted series"
    );
    ensure_eq!(
        two.delete(&id, None).await?,
        0,
        "deleting what the other handle deleted"
    );
    Ok(())
}

pub(super) async fn series_capabilities_do_not_change(store: Store) -> Outcome {
    let repo = store.open().await?;
    let claimed = repo.capabilities();
    fill(&repo).await?;
    ensure_eq!(
        repo.capabilities(),
        claimed,
        "the capabilities after writes"
    );
    let repo = store.reopen(repo).await?;
    ensure_eq!(
        repo.capabilities(),
        claimed,
        "the capabilities after reopening"
    );
    Ok(())
}
