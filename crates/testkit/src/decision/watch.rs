//! The change feed.

use std::sync::Arc;
use std::time::Duration;

use minutebook_core::{
    Capability, ChangeStream, DecisionChange, DecisionFilter, ErrorKind, Position, SaveMode,
    StateContent, WatchFrom,
};

use super::support::{Repo, Store, decision, handles, id};
use crate::case::{Failure, Outcome};
use crate::check::{ensure, ensure_eq, joined, refused};

/// How long a change that was acknowledged may take to come; far beyond what any store needs.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long is waited to see that nothing comes.
const QUIET: Duration = Duration::from_millis(200);

/// What a store that cannot be followed must answer; `true` if it is one.
async fn unclaimed(repo: &Repo) -> Outcome<bool> {
    if repo.capabilities().has(Capability::Watch) {
        return Ok(false);
    }
    for from in [WatchFrom::Start, WatchFrom::Now] {
        let what = "watch, which is not claimed,";
        refused(repo.watch(from).await, ErrorKind::Unsupported, what)?;
    }
    Ok(true)
}

async fn next(changes: &mut ChangeStream) -> Outcome<DecisionChange> {
    match tokio::time::timeout(PATIENCE, changes.next()).await {
        Ok(Some(change)) => Ok(change?),
        Ok(None) => Err(Failure::new("the feed has ended")),
        Err(_) => Err(Failure::new("a change that was acknowledged does not come")),
    }
}

/// Compares the next changes, as `id=n` or `-id`, one by one: a feed with a gap is found out at the gap.
async fn expect(changes: &mut ChangeStream, expected: &[impl AsRef<str>], what: &str) -> Outcome {
    for (i, expected) in expected.iter().enumerate() {
        let change = next(changes).await?;
        ensure_eq!(shown(&change), expected.as_ref(), "change {i} of {what}");
        ensure_eq!(
            changes.position(),
            &change.position,
            "the stream's position after a change"
        );
    }
    Ok(())
}

fn shown(change: &DecisionChange) -> String {
    let state = &change.state;
    match &state.content {
        StateContent::Saved(decision) => {
            format!("{}={}", state.id, decision.raw("n").unwrap_or("?"))
        }
        StateContent::Deleted => format!("-{}", state.id),
        other => format!("{}: {other:?}", state.id),
    }
}

async fn is_quiet(changes: &mut ChangeStream, what: &str) -> Outcome {
    match tokio::time::timeout(QUIET, changes.next()).await {
        Err(_) => Ok(()),
        Ok(change) => Err(Failure::new(format!("{what} gave {change:?}"))),
    }
}

pub(super) async fn every_change_is_given_in_order(store: Store) -> Outcome {
    let repo = store.open().await?;
    if unclaimed(&repo).await? {
        return Ok(());
    }
    repo.save(&decision("old", "2025-01-01", 0)?, SaveMode::Create)
        .await?;
    let mut changes = repo.watch(WatchFrom::Now).await?;
    let mut all = repo.watch(WatchFrom::Start).await?;
    store.step();
    let saved = repo
        .save(&decision("a", "2025-01-01", 1)?, SaveMode::Create)
        .await?;
    // What changes nothing is no change.
    repo.save(&decision("a", "2025-01-01", 1)?, SaveMode::Upsert)
        .await?;
    let refusal = repo
        .save(&decision("a", "2025-01-01", 7)?, SaveMode::Create)
        .await;
    refused(refusal, ErrorKind::AlreadyExists, "Create of what is there")?;
    repo.save(&decision("a", "2024-01-01", 2)?, SaveMode::Upsert)
        .await?;
    ensure!(!repo.delete(&id("b")?).await?, "b is not there");
    ensure!(repo.delete(&id("a")?).await?, "a is there");
    let batch = vec![
        decision("b", "", 3)?,
        decision("c", "", 4)?,
        decision("b", "", 5)?,
    ];
    for result in repo.save_all(batch, SaveMode::Upsert).await {
        result?;
    }
    let first = next(&mut changes).await?;
    ensure_eq!(shown(&first), "a=1", "the first change");
    ensure_eq!(
        (first.state.revision.as_ref(), first.state.recorded_at),
        (Some(&saved.revision), saved.recorded_at),
        "what the first change says of the state"
    );
    let rest = ["a=2", "-a", "b=3", "c=4", "b=5"];
    expect(&mut changes, &rest, "those after the first").await?;
    let every = ["old=0", "a=1", "a=2", "-a", "b=3", "c=4", "b=5"];
    expect(&mut all, &every, "those from the start").await?;
    ensure_eq!(
        repo.delete_matching(&DecisionFilter::new()).await?,
        3,
        "how many are wiped"
    );
    let mut wiped = Vec::new();
    for _ in 0..3 {
        wiped.push(shown(&next(&mut changes).await?));
    }
    wiped.sort();
    ensure_eq!(wiped, ["-b", "-c", "-old"], "the changes of a wipe");
    is_quiet(&mut changes, "a store in which nothing happens").await
}

pub(super) async fn changes_of_every_handle_come(store: Store) -> Outcome {
    const WRITERS: usize = 4;
    const EACH: i64 = 15;
    let repos = handles(&store, WRITERS + 1).await?;
    if unclaimed(&repos[0]).await? {
        return Ok(());
    }
    let mut changes = repos[0].watch(WatchFrom::Now).await?;
    // It waits: the changes come while it is polled already.
    let reader = tokio::spawn(async move {
        let mut taken = Vec::new();
        loop {
            match next(&mut changes).await.map(|change| shown(&change)) {
                Ok(last) if last == "-last" => return (Ok(taken), changes),
                Ok(change) => taken.push(change),
                Err(failure) => return (Err(failure), changes),
            }
        }
    });
    let mut tasks = Vec::new();
    for (w, repo) in repos.iter().skip(1).enumerate() {
        let repo = Arc::clone(repo);
        tasks.push(tokio::spawn(async move {
            for n in 0..EACH {
                let changed = decision(&format!("w{w}"), "2025-01-01", n);
                match changed {
                    Ok(changed) => drop(repo.save(&changed, SaveMode::Upsert).await?),
                    Err(failure) => return Ok(Err(failure)),
                }
            }
            Ok::<_, minutebook_core::Error>(Ok(()))
        }));
    }
    for result in joined(tasks).await? {
        result??;
    }
    repos[0]
        .save(&decision("last", "", 0)?, SaveMode::Create)
        .await?;
    repos[0].delete(&id("last")?).await?;
    let (taken, mut changes) = joined(vec![reader]).await?.swap_remove(0);
    let taken = taken?;
    for w in 0..WRITERS {
        let prefix = format!("w{w}=");
        let own: Vec<_> = taken
            .iter()
            .filter(|text| text.starts_with(&prefix))
            .collect();
        let expected: Vec<_> = (0..EACH).map(|n| format!("{prefix}{n}")).collect();
        ensure!(
            own.iter().copied().eq(&expected),
            "the changes of one writer come once and in its order: {own:?}"
        );
    }
    is_quiet(&mut changes, "a feed that was read to its end").await
}

pub(super) async fn a_feed_goes_on_from_a_position(store: Store) -> Outcome {
    let repo = store.open().await?;
    if unclaimed(&repo).await? {
        return Ok(());
    }
    let nothing = repo.watch(WatchFrom::Now).await?.position().clone();
    let mut expected = Vec::new();
    for n in 0..6 {
        repo.save(&decision("d", "2025-01-01", n)?, SaveMode::Upsert)
            .await?;
        expected.push(format!("d={n}"));
    }
    let mut changes = repo.watch(WatchFrom::After(nothing.clone())).await?;
    ensure_eq!(
        changes.position(),
        &nothing,
        "the position before the first change"
    );
    let mut positions = vec![nothing];
    for expected in &expected {
        let change = next(&mut changes).await?;
        ensure_eq!(
            shown(&change),
            *expected,
            "a change from the first position on"
        );
        // As it would be kept in a file.
        positions.push(change.position.to_string().parse::<Position>()?);
    }
    drop(changes);
    let persistent = repo.capabilities().has(Capability::Persistent);
    let repo = if persistent {
        store.reopen(repo).await?
    } else {
        repo
    };
    for (past, position) in positions.iter().enumerate() {
        let mut changes = repo.watch(WatchFrom::After(position.clone())).await?;
        let rest = expected.len() - past;
        let what = format!("those after position {past}");
        expect(&mut changes, &expected[past..], &what).await?;
        if rest == 0 {
            is_quiet(&mut changes, "a feed that starts at its end").await?;
            repo.delete(&id("d")?).await?;
            expect(&mut changes, &["-d"], "those that follow").await?;
        }
    }
    Ok(())
}

pub(super) async fn an_unknown_position_is_refused(store: Store) -> Outcome {
    let repo = store.open().await?;
    if unclaimed(&repo).await? {
        return Ok(());
    }
    repo.save(&decision("d", "2025-01-01", 1)?, SaveMode::Create)
        .await?;
    for text in ["no such place", "9999999", "-1", "18446744073709551615"] {
        let from = WatchFrom::After(Position::new(text)?);
        refused(
            repo.watch(from).await,
            ErrorKind::NotFound,
            "a watch from a position that the feed does not have",
        )?;
    }
    Ok(())
}
