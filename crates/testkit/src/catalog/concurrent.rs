//! Many callers at once, on several threads and several handles.

use std::sync::Arc;

use minutebook_core::{Capability, DatasetChange, DatasetFilter, ErrorKind, SaveMode};
use tokio::sync::Barrier;

use super::support::{Store, entry, handles, listed, name, there};
use crate::case::{Failure, Outcome};
use crate::check::{ensure_eq, joined};

const CALLERS: usize = 6;
const EACH: usize = 15;

pub(super) async fn concurrent_registrations_lose_none(store: Store) -> Outcome {
    let repos = handles(&store, CALLERS).await?;
    let mut tasks = Vec::new();
    for (caller, repo) in repos.iter().enumerate() {
        let repo = Arc::clone(repo);
        tasks.push(tokio::spawn(async move {
            for n in 0..EACH {
                let mode = if n % 2 == 0 {
                    SaveMode::Create
                } else {
                    SaveMode::Upsert
                };
                repo.register(&entry(&format!("{caller}-{n:02}"), 1)?, mode)
                    .await?;
            }
            Outcome::Ok(())
        }));
    }
    for result in joined(tasks).await? {
        result?;
    }
    let mut expected: Vec<_> = (0..CALLERS)
        .flat_map(|caller| (0..EACH).map(move |n| format!("{caller}-{n:02}")))
        .collect();
    expected.sort();
    for repo in &repos {
        ensure_eq!(
            listed(repo, &DatasetFilter::new()).await?,
            expected,
            "the registrations of all callers"
        );
    }
    Ok(())
}

pub(super) async fn one_of_concurrent_creates_of_a_name_wins(store: Store) -> Outcome {
    let repos = handles(&store, CALLERS).await?;
    for round in 0..8 {
        let text = format!("d{round}");
        let barrier = Arc::new(Barrier::new(CALLERS));
        let mut tasks = Vec::new();
        for (n, repo) in (0_i64..).zip(&repos) {
            let (repo, barrier, given) = (Arc::clone(repo), Arc::clone(&barrier), entry(&text, n)?);
            tasks.push(tokio::spawn(async move {
                barrier.wait().await;
                repo.register(&given, SaveMode::Create)
                    .await
                    .map(|_| n)
                    .map_err(|error| error.kind())
            }));
        }
        let results = joined(tasks).await?;
        let winners: Vec<i64> = results.iter().filter_map(|result| result.ok()).collect();
        ensure_eq!(
            winners.len(),
            1,
            "how many of {CALLERS} concurrent Creates of one name succeeded: {results:?}"
        );
        let losers: Vec<_> = results.iter().filter_map(|result| result.err()).collect();
        ensure_eq!(
            losers,
            [ErrorKind::AlreadyExists; CALLERS - 1],
            "how the others failed"
        );
        ensure_eq!(
            there(&repos[0], &text).await?.entry.metadata.get("n"),
            Some(&winners[0].into()),
            "the winner's entry is stored"
        );
    }
    Ok(())
}

pub(super) async fn concurrent_changes_to_one_entry_are_all_applied(store: Store) -> Outcome {
    let repos = handles(&store, CALLERS).await?;
    repos[0].register(&entry("d", 0)?, SaveMode::Create).await?;
    let mut tasks = Vec::new();
    for (caller, repo) in repos.iter().enumerate() {
        let repo = Arc::clone(repo);
        tasks.push(tokio::spawn(async move {
            for n in 0..EACH {
                let change = DatasetChange::new().metadata(format!("{caller}-{n:02}"), n);
                repo.update(&name("d")?, &change).await?;
            }
            Outcome::Ok(())
        }));
    }
    for result in joined(tasks).await? {
        result?;
    }
    let metadata = there(&repos[0], "d").await?.entry.metadata;
    let missing: Vec<_> = (0..CALLERS)
        .flat_map(|caller| (0..EACH).map(move |n| format!("{caller}-{n:02}")))
        .filter(|key| !metadata.contains_key(key))
        .collect();
    ensure_eq!(missing, Vec::<String>::new(), "the changes that are lost");
    ensure_eq!(
        metadata.len(),
        CALLERS * EACH + 1,
        "how many fields of metadata there are"
    );
    Ok(())
}

pub(super) async fn one_of_concurrent_changes_of_a_revision_wins(store: Store) -> Outcome {
    let repos = handles(&store, CALLERS).await?;
    let revisions = repos[0].capabilities().has(Capability::Revisions);
    let mut seen = repos[0].register(&entry("d", 0)?, SaveMode::Create).await?;
    for round in 0..8_usize {
        store.step();
        let barrier = Arc::new(Barrier::new(CALLERS));
        let mut tasks = Vec::new();
        for (caller, repo) in repos.iter().enumerate() {
            let (repo, barrier) = (Arc::clone(repo), Arc::clone(&barrier));
            let change = DatasetChange::new()
                .metadata("n", round * 100 + caller + 1)
                .expecting(seen.clone());
            tasks.push(tokio::spawn(async move {
                barrier.wait().await;
                let changed = repo.update(&name("d")?, &change).await;
                Outcome::Ok(
                    changed
                        .map(|revision| (caller, revision))
                        .map_err(|error| error.kind()),
                )
            }));
        }
        let results = joined(tasks)
            .await?
            .into_iter()
            .collect::<Outcome<Vec<_>>>()?;
        let losers: Vec<_> = results
            .iter()
            .filter_map(|result| result.as_ref().err().copied())
            .collect();
        if !revisions {
            ensure_eq!(
                losers,
                [ErrorKind::Unsupported; CALLERS],
                "how changes expecting a revision, which are not claimed, failed"
            );
            ensure_eq!(
                there(&repos[0], "d").await?.revision,
                seen,
                "nothing changed"
            );
            return Ok(());
        }
        ensure_eq!(
            losers,
            [ErrorKind::Conflict; CALLERS - 1],
            "how all but one of {CALLERS} concurrent changes failed"
        );
        let winner = results.into_iter().find_map(Result::ok);
        let stored = there(&repos[0], "d").await?;
        if let Some((caller, revision)) = winner {
            ensure_eq!(
                stored.entry.metadata.get("n"),
                Some(&(round * 100 + caller + 1).into()),
                "the winner's change is stored"
            );
            ensure_eq!(stored.revision, revision, "the winner's revision is stored");
        }
        seen = stored.revision;
    }
    Ok(())
}

pub(super) async fn one_of_concurrent_removals_and_changes_wins(store: Store) -> Outcome {
    let repos = handles(&store, CALLERS).await?;
    let revisions = repos[0].capabilities().has(Capability::Revisions);
    for round in 0..8_usize {
        store.step();
        let seen = repos[0].register(&entry("d", 0)?, SaveMode::Upsert).await?;
        let barrier = Arc::new(Barrier::new(CALLERS));
        let mut tasks = Vec::new();
        for (caller, repo) in repos.iter().enumerate() {
            let (repo, barrier, seen) = (Arc::clone(repo), Arc::clone(&barrier), seen.clone());
            let removes = caller % 2 == 0;
            tasks.push(tokio::spawn(async move {
                let name = name("d")?;
                barrier.wait().await;
                let done = if removes {
                    repo.remove_seen(&name, &seen).await
                } else {
                    let change = DatasetChange::new().metadata("n", round * 100 + caller + 1);
                    let changed = repo.update(&name, &change.expecting(seen)).await;
                    changed.map(|_| true)
                };
                Outcome::Ok((caller, done.map_err(|error| error.kind())))
            }));
        }
        let results = joined(tasks)
            .await?
            .into_iter()
            .collect::<Outcome<Vec<_>>>()?;
        if !revisions {
            for (_, result) in results {
                ensure_eq!(
                    result,
                    Err(ErrorKind::Unsupported),
                    "removals and changes by revision, which are not claimed,"
                );
            }
            ensure_eq!(
                there(&repos[0], "d").await?.revision,
                seen,
                "nothing changed"
            );
            return Ok(());
        }
        let winners: Vec<usize> = results
            .iter()
            .filter(|(_, result)| *result == Ok(true))
            .map(|(caller, _)| *caller)
            .collect();
        let &[winner] = winners.as_slice() else {
            return Err(Failure::new(format!(
                "of removals and changes of one state these succeeded: {winners:?} of {results:?}"
            )));
        };
        let removed = winner % 2 == 0;
        for (caller, result) in &results {
            let expected = match (removed, caller % 2 == 0) {
                _ if *caller == winner => continue,
                (true, true) => Ok(false),
                (true, false) => Err(ErrorKind::NotFound),
                (false, _) => Err(ErrorKind::Conflict),
            };
            ensure_eq!(*result, expected, "how the others ended: {results:?}");
        }
        let left = repos[0].get(&name("d")?).await?;
        ensure_eq!(
            left.and_then(|stored| stored.entry.metadata.get("n").cloned()),
            (!removed).then(|| (round * 100 + winner + 1).into()),
            "what the winner left"
        );
    }
    Ok(())
}
