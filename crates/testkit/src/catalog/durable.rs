//! What the capabilities promise: reopening and several handles.

use minutebook_core::{Capability, DatasetChange, ErrorKind, SaveMode, Statistics};

use super::support::{Repo, Store, entry, full, name, state, there};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq, refused};

async fn fill(repo: &Repo) -> Outcome {
    repo.register(&full("full")?, SaveMode::Create).await?;
    repo.register(&entry("bare", 1)?, SaveMode::Upsert).await?;
    repo.register(&entry("gone", 1)?, SaveMode::Create).await?;
    repo.update(
        &name("bare")?,
        &DatasetChange::new()
            .statistics(Statistics::default())
            .metadata("n", 2),
    )
    .await?;
    ensure!(
        repo.remove(&name("gone")?).await?,
        "what was registered can be removed"
    );
    Ok(())
}

pub(super) async fn entries_survive_reopening(store: Store) -> Outcome {
    let repo = store.open().await?;
    let persistent = repo.capabilities().has(Capability::Persistent);
    fill(&repo).await?;
    let before = state(&repo).await?;
    let seen = there(&repo, "bare").await?.revision;
    store.step();
    let repo = store.reopen(repo).await?;
    if !persistent {
        // What a catalog that keeps nothing owes is that it opens again, sound and in working order.
        state(&repo).await?;
        repo.register(&entry("fresh", 1)?, SaveMode::Upsert).await?;
        there(&repo, "fresh").await?;
        return Ok(());
    }
    ensure_eq!(
        state(&repo).await?,
        before,
        "the reopened catalog, revisions included"
    );
    ensure_eq!(
        repo.get(&name("gone")?).await?,
        None,
        "the removed dataset after reopening"
    );
    refused(
        repo.register(&entry("bare", 9)?, SaveMode::Create).await,
        ErrorKind::AlreadyExists,
        "Create after reopening",
    )?;
    let changed = repo
        .update(&name("bare")?, &DatasetChange::new().metadata("n", 3))
        .await?;
    ensure!(
        changed != seen,
        "a change after reopening kept the revision {seen}"
    );
    if repo.capabilities().has(Capability::Revisions) {
        let result = repo
            .update(
                &name("bare")?,
                &DatasetChange::new().metadata("n", 4).expecting(seen),
            )
            .await;
        refused(
            result,
            ErrorKind::Conflict,
            "a change expecting the revision from before reopening",
        )?;
    }
    Ok(())
}

pub(super) async fn another_handle_sees_every_entry(store: Store) -> Outcome {
    let one = store.open().await?;
    if !one.capabilities().has(Capability::Shared) {
        fill(&one).await?;
        let before = state(&one).await?;
        // A second handle on a catalog that does not share either is refused or does no harm to the first.
        if let Ok(two) = store.open().await {
            state(&two).await?;
            store.close(two).await;
        }
        ensure_eq!(
            state(&one).await?,
            before,
            "the first handle after a second was tried"
        );
        one.register(&entry("more", 1)?, SaveMode::Create).await?;
        there(&one, "more").await?;
        return Ok(());
    }
    let two = store.open().await?;
    ensure_eq!(
        state(&two).await?,
        state(&one).await?,
        "two handles on an empty catalog"
    );
    for n in 0..6 {
        let (writer, reader) = if n % 2 == 0 {
            (&one, &two)
        } else {
            (&two, &one)
        };
        store.step();
        let revision = writer.register(&entry("d", n)?, SaveMode::Upsert).await?;
        ensure_eq!(
            there(reader, "d").await?.revision,
            revision,
            "the other handle's get after registration {n}"
        );
        writer
            .register(&entry(&format!("e{n}"), n)?, SaveMode::Create)
            .await?;
        ensure_eq!(
            state(reader).await?,
            state(writer).await?,
            "the other handle's list after registration {n}"
        );
        let result = reader
            .register(&entry(&format!("e{n}"), n)?, SaveMode::Create)
            .await;
        refused(
            result,
            ErrorKind::AlreadyExists,
            "Create of what the other handle created",
        )?;
        reader
            .update(
                &name("d")?,
                &DatasetChange::new().metadata(format!("from {n}"), n),
            )
            .await?;
        ensure_eq!(
            state(writer).await?,
            state(reader).await?,
            "the other handle's list after change {n}"
        );
    }
    ensure!(
        two.remove(&name("e0")?).await?,
        "the other handle can remove it"
    );
    ensure_eq!(
        one.get(&name("e0")?).await?,
        None,
        "get of what the other handle removed"
    );
    ensure!(
        !one.remove(&name("e0")?).await?,
        "removing what the other handle removed finds nothing"
    );
    Ok(())
}

pub(super) async fn catalog_capabilities_do_not_change(store: Store) -> Outcome {
    let repo = store.open().await?;
    let claimed = repo.capabilities();
    fill(&repo).await?;
    ensure_eq!(
        repo.capabilities(),
        claimed,
        "the capabilities after changes"
    );
    let repo = store.reopen(repo).await?;
    ensure_eq!(
        repo.capabilities(),
        claimed,
        "the capabilities after reopening"
    );
    Ok(())
}
