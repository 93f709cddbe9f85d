//! Registering and reading.

use minutebook_core::time::WrittenTime;
use minutebook_core::{
    Capability, DatasetEntry, DatasetFilter, ErrorKind, Revision, SaveMode, Statistics,
};

use super::support::{Store, UPDATE, entry, full, listed, name, state, text, there};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq, refused};

pub(super) async fn a_registered_dataset_is_seen_by_get_and_list(store: Store) -> Outcome {
    let repo = store.open().await?;
    ensure_eq!(
        state(&repo).await?,
        Vec::<String>::new(),
        "a new catalog is empty"
    );
    for (n, mode) in (1..).zip([SaveMode::Create, SaveMode::Upsert]) {
        let given = entry(&format!("d{n}"), n)?;
        let revision = repo.register(&given, mode).await?;
        let found = there(&repo, &format!("d{n}")).await?;
        ensure_eq!(
            found.revision,
            revision,
            "get gives the revision of the registration"
        );
        ensure_eq!(found.entry.metadata, given.metadata, "get gives the entry");
        let all = repo.list(&DatasetFilter::new()).await?;
        ensure_eq!(all.last(), Some(&found), "the list gives what get gives");
        ensure_eq!(
            all.len(),
            usize::try_from(n).unwrap_or(0),
            "how many are listed"
        );
    }
    Ok(())
}

pub(super) async fn entries_come_back_as_they_were(store: Store) -> Outcome {
    let repo = store.open().await?;
    let given = full("full")?;
    repo.register(&given, SaveMode::Create).await?;
    let found = there(&repo, "full").await?.entry;
    ensure_eq!(found, given, "every field");
    ensure_eq!(text(&found)?, text(&given)?, "every field, in its order");
    // Rows counted, but none there to have a first and a last.
    let mut bare = DatasetEntry::new(name("bare")?, "", "").with_statistics(Statistics::default());
    bare.registered_at = Some(WrittenTime::new("not a time"));
    repo.register(&bare, SaveMode::Create).await?;
    ensure_eq!(
        text(&there(&repo, "bare").await?.entry)?,
        text(&bare)?,
        "an entry with empty fields"
    );
    Ok(())
}

pub(super) async fn registering_again_replaces_the_entry(store: Store) -> Outcome {
    let repo = store.open().await?;
    repo.register(&full("d")?, SaveMode::Create).await?;
    for (n, mode) in (1..).zip([SaveMode::Upsert, UPDATE]) {
        let mut given = entry("d", n)?;
        given.registered_at = Some(WrittenTime::new("2020-01-01"));
        repo.register(&given, mode.clone()).await?;
        ensure_eq!(
            text(&there(&repo, "d").await?.entry)?,
            text(&given)?,
            "the entry after {mode:?}, with nothing of the old one"
        );
        ensure_eq!(
            listed(&repo, &DatasetFilter::new()).await?,
            ["d"],
            "one entry for the name"
        );
    }
    Ok(())
}

pub(super) async fn registered_at_is_set_where_it_is_missing(store: Store) -> Outcome {
    let repo = store.open().await?;
    let now = store.now();
    repo.register(&entry("d", 1)?, SaveMode::Create).await?;
    let first = there(&repo, "d").await?.entry.registered_at;
    ensure!(
        first.as_ref().is_some_and(|time| time.instant().is_some()),
        "registered_at is set to an instant, but is {first:?}"
    );
    if now.is_some() {
        ensure_eq!(
            first.as_ref().and_then(WrittenTime::instant),
            now,
            "registered_at is what the clock showed"
        );
    }
    store.step();
    repo.register(&entry("d", 2)?, SaveMode::Upsert).await?;
    ensure_eq!(
        there(&repo, "d").await?.entry.registered_at,
        first,
        "registered_at of a dataset that was there before"
    );
    store.step();
    let given = full("e")?;
    repo.register(&given, SaveMode::Create).await?;
    ensure_eq!(
        there(&repo, "e").await?.entry.registered_at,
        given.registered_at,
        "registered_at where it is given"
    );
    Ok(())
}

pub(super) async fn create_refuses_a_name_that_is_there(store: Store) -> Outcome {
    let repo = store.open().await?;
    let given = full("d")?;
    repo.register(&given, SaveMode::Create).await?;
    let before = state(&repo).await?;
    for again in [given, entry("d", 2)?] {
        store.step();
        refused(
            repo.register(&again, SaveMode::Create).await,
            ErrorKind::AlreadyExists,
            "Create on a name that is there",
        )?;
        ensure_eq!(
            state(&repo).await?,
            before,
            "the catalog after a refused Create"
        );
    }
    Ok(())
}

pub(super) async fn update_refuses_a_name_that_is_not_there(store: Store) -> Outcome {
    let repo = store.open().await?;
    let revision = repo.register(&entry("d", 1)?, SaveMode::Create).await?;
    let before = state(&repo).await?;
    let missing = entry("D", 1)?;
    refused(
        repo.register(&missing, UPDATE).await,
        ErrorKind::NotFound,
        "Update of a name that is not there",
    )?;
    let kind = if repo.capabilities().has(Capability::Revisions) {
        ErrorKind::NotFound
    } else {
        ErrorKind::Unsupported
    };
    let mode = SaveMode::Update {
        expected: Some(revision),
    };
    refused(
        repo.register(&missing, mode).await,
        kind,
        "Update with a revision of a name that is not there",
    )?;
    ensure_eq!(
        state(&repo).await?,
        before,
        "the catalog after refused Updates"
    );
    Ok(())
}

pub(super) async fn registering_over_an_old_revision_is_refused(store: Store) -> Outcome {
    let repo = store.open().await?;
    let revisions = repo.capabilities().has(Capability::Revisions);
    let old = repo.register(&entry("d", 1)?, SaveMode::Create).await?;
    store.step();
    let stored = repo.register(&entry("d", 2)?, SaveMode::Upsert).await?;
    let before = state(&repo).await?;
    let kind = if revisions {
        ErrorKind::Conflict
    } else {
        ErrorKind::Unsupported
    };
    for expected in [old, Revision::new("never given out")?] {
        for n in [2, 3] {
            let mode = SaveMode::Update {
                expected: Some(expected.clone()),
            };
            refused(
                repo.register(&entry("d", n)?, mode).await,
                kind,
                &format!("Update of state {n} expecting {expected}"),
            )?;
            ensure_eq!(
                state(&repo).await?,
                before,
                "the catalog after a refused Update"
            );
        }
    }
    let mode = SaveMode::Update {
        expected: Some(stored),
    };
    let result = repo.register(&entry("d", 4)?, mode).await;
    if revisions {
        ensure_eq!(
            there(&repo, "d").await?.revision,
            result?,
            "an Update over the stored revision"
        );
    } else {
        refused(
            result,
            ErrorKind::Unsupported,
            "Update with a revision, which is not claimed,",
        )?;
        ensure_eq!(
            state(&repo).await?,
            before,
            "the catalog after an unsupported Update"
        );
    }
    Ok(())
}

pub(super) async fn every_change_of_an_entry_gives_a_new_revision(store: Store) -> Outcome {
    let repo = store.open().await?;
    let mut seen: Vec<Revision> = Vec::new();
    for n in [1, 2, 1, 2, 3] {
        store.step();
        let revision = repo.register(&entry("d", n)?, SaveMode::Upsert).await?;
        ensure_eq!(
            there(&repo, "d").await?.revision,
            revision,
            "the stored revision is the one returned"
        );
        ensure!(
            seen.last() != Some(&revision),
            "a change kept the revision {revision}"
        );
        if repo.capabilities().has(Capability::Revisions) {
            ensure!(
                !seen.contains(&revision),
                "the change to state {n} gave the revision {revision} a second time"
            );
        }
        seen.push(revision);
    }
    let changed = repo
        .update(
            &name("d")?,
            &minutebook_core::DatasetChange::new().instrument("X"),
        )
        .await?;
    ensure!(
        !seen.contains(&changed),
        "a change by update gave the revision {changed} a second time"
    );
    ensure_eq!(
        there(&repo, "d").await?.revision,
        changed,
        "the stored revision is the one returned"
    );
    // Another entry's changes are not this one's.
    repo.register(&entry("e", 1)?, SaveMode::Create).await?;
    ensure_eq!(
        there(&repo, "d").await?.revision,
        changed,
        "the revision after another entry was registered"
    );
    Ok(())
}

pub(super) async fn an_unchanged_entry_keeps_its_revision(store: Store) -> Outcome {
    let repo = store.open().await?;
    let first = repo.register(&full("d")?, SaveMode::Create).await?;
    repo.register(&entry("bare", 1)?, SaveMode::Create).await?;
    let before = state(&repo).await?;
    let mut modes = vec![SaveMode::Upsert, UPDATE];
    if repo.capabilities().has(Capability::Revisions) {
        modes.push(SaveMode::Update {
            expected: Some(first.clone()),
        });
    }
    for mode in modes {
        store.step();
        ensure_eq!(
            repo.register(&full("d")?, mode.clone()).await?,
            first,
            "the revision after {mode:?} with the same entry"
        );
        ensure_eq!(
            state(&repo).await?,
            before,
            "the catalog after {mode:?} with the same entry"
        );
    }
    store.step();
    repo.register(&entry("bare", 1)?, SaveMode::Upsert).await?;
    ensure_eq!(
        state(&repo).await?,
        before,
        "the catalog after the same entry without registered_at"
    );
    Ok(())
}

pub(super) async fn a_missing_dataset_is_none(store: Store) -> Outcome {
    let repo = store.open().await?;
    ensure_eq!(
        repo.get(&name("d")?).await?,
        None,
        "get in an empty catalog"
    );
    repo.register(&entry("vix 5y", 1)?, SaveMode::Create)
        .await?;
    for other in [
        "VIX 5Y", "vix", "vix 5", "vix  5y", "5y", "vix_5y", "*", "vix%5y",
    ] {
        ensure_eq!(
            repo.get(&name(other)?).await?,
            None,
            "get of {other:?}, which is not there"
        );
    }
    Ok(())
}

pub(super) async fn metadata_under_the_reserved_key_is_refused(store: Store) -> Outcome {
    let repo = store.open().await?;
    repo.register(&full("d")?, SaveMode::Create).await?;
    let before = state(&repo).await?;
    for text in ["d", "e"] {
        for value in [serde_json::json!(5), serde_json::json!({"x": 1})] {
            let given = full(text)?.with_metadata(DatasetEntry::OURS, value);
            refused(
                repo.register(&given, SaveMode::Upsert).await,
                ErrorKind::InvalidInput,
                "an entry with the reserved key in its metadata",
            )?;
            ensure_eq!(
                state(&repo).await?,
                before,
                "the catalog after a refused entry"
            );
        }
    }
    Ok(())
}
