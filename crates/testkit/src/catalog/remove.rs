//! Removing.

use minutebook_core::{Capability, DatasetFilter, ErrorKind, Revision, SaveMode};

use super::support::{Store, entry, listed, name, state, there};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq, refused};

pub(super) async fn a_removed_dataset_is_gone(store: Store) -> Outcome {
    let repo = store.open().await?;
    ensure!(
        !repo.remove(&name("d")?).await?,
        "removing from an empty catalog finds nothing"
    );
    for n in 0..2 {
        repo.register(&entry("d", n)?, SaveMode::Create).await?;
        ensure!(
            repo.remove(&name("d")?).await?,
            "the first removal finds it"
        );
        ensure_eq!(
            repo.get(&name("d")?).await?,
            None,
            "get of the removed dataset"
        );
        ensure_eq!(
            listed(&repo, &DatasetFilter::new()).await?,
            Vec::<String>::new(),
            "the list without it"
        );
        ensure!(
            !repo.remove(&name("d")?).await?,
            "the second removal finds nothing"
        );
    }
    Ok(())
}

pub(super) async fn what_was_changed_since_is_not_removed(store: Store) -> Outcome {
    let repo = store.open().await?;
    let revisions = repo.capabilities().has(Capability::Revisions);
    let seen = repo.register(&entry("d", 1)?, SaveMode::Create).await?;
    store.step();
    let now = repo.register(&entry("d", 2)?, SaveMode::Upsert).await?;
    repo.register(&entry("other", 1)?, SaveMode::Create).await?;
    let before = state(&repo).await?;
    if !revisions {
        for (text, revision) in [("d", &now), ("d", &seen), ("never", &now)] {
            refused(
                repo.remove_seen(&name(text)?, revision).await,
                ErrorKind::Unsupported,
                "removal by revision, which is not claimed,",
            )?;
        }
        ensure_eq!(state(&repo).await?, before, "nothing changed");
        return Ok(());
    }
    for revision in [&seen, &Revision::new("x")?] {
        refused(
            repo.remove_seen(&name("d")?, revision).await,
            ErrorKind::Conflict,
            "removal of what was changed since",
        )?;
        ensure_eq!(state(&repo).await?, before, "nothing changed");
    }
    ensure!(
        !repo.remove_seen(&name("D")?, &now).await?,
        "there is no such name to remove"
    );
    ensure!(
        repo.remove_seen(&name("d")?, &now).await?,
        "it was there, and as it was seen"
    );
    ensure_eq!(
        listed(&repo, &DatasetFilter::new()).await?,
        ["other"],
        "what is left"
    );
    ensure!(
        !repo.remove_seen(&name("d")?, &now).await?,
        "the second removal finds nothing"
    );
    // Removed and registered anew: the state that was seen is not the one that is there.
    repo.register(&entry("d", 2)?, SaveMode::Create).await?;
    refused(
        repo.remove_seen(&name("d")?, &now).await,
        ErrorKind::Conflict,
        "removal of what was registered anew",
    )?;
    there(&repo, "d").await?;
    Ok(())
}
