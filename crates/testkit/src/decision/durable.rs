//! What the capabilities promise: reopening and several handles.

use minutebook_core::{Capability, DecisionFilter, DecisionQuery, ErrorKind, SaveMode};

use super::query::{ORDERS, SAMPLE};
use super::support::{Store, UPDATE, decision, id, ids, save_all, state, there};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq, refused};

pub(super) async fn saved_decisions_survive_reopening(store: Store) -> Outcome {
    let repo = store.open().await?;
    let persistent = repo.capabilities().has(Capability::Persistent);
    save_all(&repo, &SAMPLE).await?;
    store.step();
    let last = repo
        .save(&decision("d", "2025-01-05", 1)?, SaveMode::Upsert)
        .await?;
    let before = state(&repo).await?;
    let mut orders = Vec::new();
    for order in ORDERS {
        orders.push(ids(&repo, &DecisionQuery::new().order(order)).await?);
    }
    store.step();
    let repo = store.reopen(repo).await?;
    if !persistent {
        // What a store that keeps nothing owes is that it opens again, sound and in working order.
        state(&repo).await?;
        repo.save(&decision("fresh", "2025-01-05", 1)?, SaveMode::Upsert)
            .await?;
        there(&repo, "fresh").await?;
        return Ok(());
    }
    ensure_eq!(
        state(&repo).await?,
        before,
        "the reopened store, revisions and recorded_at included"
    );
    for (order, expected) in ORDERS.into_iter().zip(orders) {
        ensure_eq!(
            ids(&repo, &DecisionQuery::new().order(order)).await?,
            expected,
            "the order {order:?} after reopening"
        );
    }
    let result = repo.save(&decision("d", "", 5)?, SaveMode::Create).await;
    refused(result, ErrorKind::AlreadyExists, "Create after reopening")?;
    let unchanged = repo.save(&decision("d", "2025-01-05", 1)?, UPDATE).await?;
    ensure_eq!(
        (unchanged.revision, unchanged.recorded_at),
        (last.revision.clone(), last.recorded_at),
        "an unchanged save after reopening"
    );
    if repo.capabilities().has(Capability::Revisions) {
        let mode = SaveMode::Update {
            expected: Some(last.revision.clone()),
        };
        let updated = repo.save(&decision("d", "2025-01-05", 2)?, mode).await?;
        ensure!(
            updated.revision != last.revision,
            "a change after reopening kept the revision {}",
            last.revision
        );
    }
    Ok(())
}

pub(super) async fn deletions_survive_reopening(store: Store) -> Outcome {
    let repo = store.open().await?;
    let persistent = repo.capabilities().has(Capability::Persistent);
    save_all(&repo, &SAMPLE).await?;
    repo.save(&decision("a1", "2020-01-01", 1)?, SaveMode::Upsert)
        .await?;
    ensure!(repo.delete(&id("a1")?).await?, "a1 was there to delete");
    ensure_eq!(
        repo.delete_matching(&DecisionFilter::new().id_prefix("b"))
            .await?,
        2,
        "b1 and b2 were there to delete"
    );
    let before = state(&repo).await?;
    let repo = store.reopen(repo).await?;
    if persistent {
        ensure_eq!(state(&repo).await?, before, "the reopened store");
    }
    for name in ["a1", "b1", "b2"] {
        ensure_eq!(
            repo.get(&id(name)?).await?,
            None,
            "the deleted {name} after reopening"
        );
    }
    repo.save(&decision("a1", "2025-01-01", 2)?, SaveMode::Create)
        .await?;
    ensure_eq!(
        there(&repo, "a1").await?.decision.raw("n"),
        Some("2"),
        "a deleted id can be created after reopening"
    );
    Ok(())
}

pub(super) async fn another_handle_sees_every_change(store: Store) -> Outcome {
    let one = store.open().await?;
    if !one.capabilities().has(Capability::Shared) {
        return unshared(store, one).await;
    }
    let two = store.open().await?;
    ensure_eq!(
        state(&two).await?,
        state(&one).await?,
        "two handles on an empty store"
    );
    for (n, date) in (0..).zip(["2025-01-01", "2025-01-01", "2024-01-01", ""]) {
        let (writer, reader) = if n % 2 == 0 {
            (&one, &two)
        } else {
            (&two, &one)
        };
        store.step();
        let receipt = writer
            .save(&decision("d", date, n)?, SaveMode::Upsert)
            .await?;
        writer
            .save(&decision(&format!("e{n}"), date, n)?, SaveMode::Create)
            .await?;
        ensure_eq!(
            there(reader, "d").await?.revision,
            receipt.revision,
            "the other handle's get after change {n}"
        );
        ensure_eq!(
            state(reader).await?,
            state(writer).await?,
            "the other handle's query after change {n}"
        );
        ensure_eq!(
            reader.count(&DecisionFilter::new()).await?,
            n.unsigned_abs() + 2,
            "the other handle's count after change {n}"
        );
    }
    let result = two.save(&decision("e0", "", 7)?, SaveMode::Create).await;
    refused(
        result,
        ErrorKind::AlreadyExists,
        "Create of what the other handle created",
    )?;
    ensure!(
        two.delete(&id("e0")?).await?,
        "the other handle can delete it"
    );
    ensure_eq!(
        one.get(&id("e0")?).await?,
        None,
        "get of what the other handle deleted"
    );
    ensure!(
        !one.delete(&id("e0")?).await?,
        "deleting what the other handle deleted finds nothing"
    );
    ensure_eq!(
        one.delete_matching(&DecisionFilter::new()).await?,
        4,
        "wiping counts what both wrote"
    );
    ensure_eq!(
        state(&two).await?,
        Vec::<String>::new(),
        "the other handle after the wipe"
    );
    Ok(())
}

/// A second handle on a store that does not share either is refused or does no harm to the first.
async fn unshared(store: Store, one: super::support::Repo) -> Outcome {
    one.save(&decision("d", "2025-01-01", 1)?, SaveMode::Create)
        .await?;
    let before = state(&one).await?;
    if let Ok(two) = store.open().await {
        state(&two).await?;
        store.close(two).await;
    }
    ensure_eq!(
        state(&one).await?,
        before,
        "the first handle after a second was tried"
    );
    one.save(&decision("d", "2025-01-01", 2)?, SaveMode::Upsert)
        .await?;
    ensure_eq!(
        there(&one, "d").await?.decision.raw("n"),
        Some("2"),
        "the first handle goes on"
    );
    Ok(())
}

pub(super) async fn revisions_hold_across_handles(store: Store) -> Outcome {
    let one = store.open().await?;
    if !one.capabilities().has(Capability::Shared) {
        return unshared(store, one).await;
    }
    let two = store.open().await?;
    let seen = one
        .save(&decision("d", "2025-01-01", 1)?, SaveMode::Create)
        .await?
        .revision;
    let update = |revision| SaveMode::Update {
        expected: Some(revision),
    };
    store.step();
    let revisions = one.capabilities().has(Capability::Revisions);
    let result = two
        .save(&decision("d", "2025-01-02", 2)?, update(seen.clone()))
        .await;
    if !revisions {
        refused(
            result,
            ErrorKind::Unsupported,
            "Update with a revision, which is not claimed,",
        )?;
        ensure_eq!(
            there(&one, "d").await?.decision.raw("n"),
            Some("1"),
            "nothing changed"
        );
        return Ok(());
    }
    let newer = result?.revision;
    let before = state(&two).await?;
    let result = one
        .save(&decision("d", "2025-01-03", 3)?, update(seen))
        .await;
    refused(
        result,
        ErrorKind::Conflict,
        "Update over what the other handle changed",
    )?;
    ensure_eq!(state(&one).await?, before, "nothing changed");
    one.save(&decision("d", "2025-01-03", 3)?, update(newer))
        .await?;
    ensure_eq!(
        there(&two, "d").await?.decision.raw("n"),
        Some("3"),
        "the other handle sees the retried update"
    );
    Ok(())
}

pub(super) async fn decision_capabilities_do_not_change(store: Store) -> Outcome {
    let repo = store.open().await?;
    let claimed = repo.capabilities();
    save_all(&repo, &SAMPLE).await?;
    ensure_eq!(
        repo.capabilities(),
        claimed,
        "the capabilities after a write"
    );
    let repo = store.reopen(repo).await?;
    ensure_eq!(
        repo.capabilities(),
        claimed,
        "the capabilities after reopening"
    );
    Ok(())
}
