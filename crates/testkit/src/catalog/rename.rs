//! Renaming.

use std::sync::Arc;

use minutebook_core::{CatalogExt, DatasetFilter, ErrorKind, SaveMode};
use tokio::sync::Barrier;

use super::support::{Store, entry, full, handles, listed, name, state, text, there};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq, joined, refused};

const CALLERS: usize = 4;

pub(super) async fn a_renamed_dataset_keeps_everything(store: Store) -> Outcome {
    let repo = store.open().await?;
    let first = repo.register(&full("d")?, SaveMode::Create).await?;
    repo.register(&entry("other", 1)?, SaveMode::Create).await?;
    let other = there(&repo, "other").await?;
    let before = text(&there(&repo, "d").await?.entry)?;
    store.step();
    for (from, to) in [("d", "D"), ("D", "a/b é"), ("a/b é", "d")] {
        let revision = repo.rename(&name(from)?, &name(to)?).await?;
        let found = there(&repo, to).await?;
        ensure_eq!(
            text(&found.entry)?,
            before,
            "every field of {from:?} as {to:?}"
        );
        ensure_eq!(
            found.revision,
            revision,
            "the stored revision is the one returned"
        );
        ensure_eq!(
            repo.get(&name(from)?).await?,
            None,
            "get of the old name {from:?}"
        );
        ensure_eq!(there(&repo, "other").await?, other, "another entry");
        let mut names = vec![to, "other"];
        names.sort_unstable();
        ensure_eq!(
            listed(&repo, &DatasetFilter::new()).await?,
            names,
            "the list after {from:?} became {to:?}"
        );
    }
    ensure!(
        there(&repo, "d").await?.revision != first,
        "a dataset that was renamed and renamed back kept the revision {first}"
    );
    Ok(())
}

pub(super) async fn what_was_made_from_a_renamed_dataset_follows(store: Store) -> Outcome {
    let repo = store.open().await?;
    repo.register(&entry("raw", 1)?, SaveMode::Create).await?;
    let child = entry("child", 1)?.with_derived_from([name("raw")?, name("absent")?]);
    let before = repo.register(&child, SaveMode::Create).await?;
    let own = entry("own", 1)?.with_derived_from([name("own")?]);
    repo.register(&own, SaveMode::Create).await?;
    repo.rename(&name("raw")?, &name("source")?).await?;
    repo.rename(&name("own")?, &name("itself")?).await?;
    let found = there(&repo, "child").await?;
    ensure_eq!(
        found.entry.derived_from,
        [name("source")?, name("absent")?],
        "what the child was made from"
    );
    ensure!(found.revision != before, "the child kept its revision");
    ensure_eq!(
        there(&repo, "itself").await?.entry.derived_from,
        [name("itself")?],
        "what a dataset that names itself was made from"
    );
    ensure_eq!(
        repo.lineage().await?.descendants(&name("source")?),
        [name("child")?],
        "what came of the renamed dataset"
    );
    Ok(())
}

pub(super) async fn renaming_refuses_what_is_missing_or_taken(store: Store) -> Outcome {
    let repo = store.open().await?;
    repo.register(&full("d")?, SaveMode::Create).await?;
    repo.register(&entry("e", 1)?, SaveMode::Create).await?;
    let before = state(&repo).await?;
    for (from, to, kind) in [
        ("D", "f", ErrorKind::NotFound),
        ("D", "D", ErrorKind::NotFound),
        ("D", "e", ErrorKind::NotFound),
        ("d", "e", ErrorKind::AlreadyExists),
        ("e", "d", ErrorKind::AlreadyExists),
    ] {
        store.step();
        refused(
            repo.rename(&name(from)?, &name(to)?).await,
            kind,
            &format!("renaming {from:?} to {to:?}"),
        )?;
        ensure_eq!(
            state(&repo).await?,
            before,
            "the catalog after a refused rename"
        );
    }
    Ok(())
}

pub(super) async fn renaming_to_the_same_name_changes_nothing(store: Store) -> Outcome {
    let repo = store.open().await?;
    let revision = repo.register(&full("d")?, SaveMode::Create).await?;
    let before = state(&repo).await?;
    store.step();
    ensure_eq!(
        repo.rename(&name("d")?, &name("d")?).await?,
        revision,
        "the revision after a rename to the same name"
    );
    ensure_eq!(
        state(&repo).await?,
        before,
        "the catalog after a rename to the same name"
    );
    Ok(())
}

pub(super) async fn one_of_concurrent_renames_to_a_name_wins(store: Store) -> Outcome {
    let repos = handles(&store, CALLERS).await?;
    for round in 0..8 {
        let to = format!("winner{round}");
        for n in 0..CALLERS {
            repos[0]
                .register(&entry(&format!("d{round}-{n}"), 1)?, SaveMode::Create)
                .await?;
        }
        let barrier = Arc::new(Barrier::new(CALLERS));
        let mut tasks = Vec::new();
        for (n, repo) in repos.iter().enumerate() {
            let (repo, barrier) = (Arc::clone(repo), Arc::clone(&barrier));
            let (from, to) = (name(&format!("d{round}-{n}"))?, name(&to)?);
            tasks.push(tokio::spawn(async move {
                barrier.wait().await;
                let renamed = repo.rename(&from, &to).await;
                renamed.map(drop).map_err(|error| error.kind())
            }));
        }
        let results = joined(tasks).await?;
        let losers: Vec<_> = results.iter().filter_map(|result| result.err()).collect();
        ensure_eq!(
            losers,
            [ErrorKind::AlreadyExists; CALLERS - 1],
            "how all but one of {CALLERS} concurrent renames failed"
        );
        let left = DatasetFilter::new().name_prefix(format!("d{round}-"));
        ensure_eq!(
            listed(&repos[0], &left).await?.len(),
            CALLERS - 1,
            "how many datasets kept their names"
        );
        there(&repos[0], &to).await?;
    }
    Ok(())
}
