//! Earlier states: all of them, that of a revision, that of a time.

use chrono::TimeDelta;
use minutebook_core::{
    At, Capability, DecisionState, ErrorKind, Revision, SaveMode, StateContent, StoredDecision,
};

use super::support::{Repo, Store, decision, id, line, there};
use crate::case::{Failure, Outcome};
use crate::check::{ensure, ensure_eq, refused};

/// What a store without history must answer; `true` if it is one.
async fn unclaimed(repo: &Repo, name: &str) -> Outcome<bool> {
    if repo.capabilities().has(Capability::History) {
        return Ok(false);
    }
    let what = "history, which is not claimed,";
    refused(repo.history(&id(name)?).await, ErrorKind::Unsupported, what)?;
    let revision = At::Revision(Revision::new("1")?);
    refused(
        repo.get_at(&id(name)?, &revision).await,
        ErrorKind::Unsupported,
        what,
    )?;
    Ok(true)
}

/// A state in a form that compares exactly.
fn shown(state: &DecisionState) -> String {
    match state.stored() {
        Some(stored) => line(&stored),
        None => format!("{:?} @{}", state.content, state.recorded_at.to_rfc3339()),
    }
}

pub(super) async fn history_has_every_state_once(store: Store) -> Outcome {
    let repo = store.open().await?;
    let mut expected = Vec::new();
    // Changes of the date, states that come back, and an unchanged save that is none.
    for (n, date) in [
        (1, "2025-01-01"),
        (2, "2024-01-01"),
        (2, "2024-01-01"),
        (1, "2025-01-01"),
        (3, ""),
    ] {
        store.step();
        repo.save(&decision("d", date, n)?, SaveMode::Upsert)
            .await?;
        repo.save(&decision("dd", date, n)?, SaveMode::Upsert)
            .await?;
        let present = line(&there(&repo, "d").await?);
        if expected.last() != Some(&present) {
            expected.push(present);
        }
    }
    if unclaimed(&repo, "d").await? {
        return Ok(());
    }
    store.step();
    repo.delete(&id("d")?).await?;
    let deleted_at = store.now();
    store.step();
    repo.save(&decision("d", "2025-01-01", 1)?, SaveMode::Create)
        .await?;
    let present = line(&there(&repo, "d").await?);
    let check = |history: &[DecisionState], what: &str| -> Outcome {
        let kept: Vec<_> = history.iter().map(shown).collect();
        ensure_eq!(
            kept.len(),
            expected.len() + 2,
            "how many states {what}: {kept:?}"
        );
        ensure_eq!(
            kept[..expected.len()],
            expected[..],
            "the states before the deletion {what}"
        );
        let deletion = &history[expected.len()];
        ensure!(
            deletion.is_deletion(),
            "the deletion {what} is {deletion:?}"
        );
        ensure_eq!(deletion.revision, None, "a deletion's revision {what}");
        if let Some(at) = deleted_at {
            ensure_eq!(deletion.recorded_at, at, "when it was deleted {what}");
        }
        ensure_eq!(kept.last(), Some(&present), "the present state {what}");
        ensure!(
            history.iter().all(|state| state.id.as_str() == "d"),
            "every state {what} is of this decision"
        );
        Ok(())
    };
    check(&repo.history(&id("d")?).await?, "at first")?;
    if repo.capabilities().has(Capability::Shared) {
        let other = store.open().await?;
        check(&other.history(&id("d")?).await?, "for another handle")?;
        store.close(other).await;
    }
    let persistent = repo.capabilities().has(Capability::Persistent);
    let repo = store.reopen(repo).await?;
    if persistent {
        check(&repo.history(&id("d")?).await?, "after reopening")?;
    }
    Ok(())
}

pub(super) async fn what_never_was_has_no_history(store: Store) -> Outcome {
    let repo = store.open().await?;
    if unclaimed(&repo, "d").await? {
        return Ok(());
    }
    ensure_eq!(
        repo.history(&id("d")?).await?,
        vec![],
        "the history in an empty store"
    );
    repo.save(&decision("d", "2025-01-01", 1)?, SaveMode::Create)
        .await?;
    for other in ["dd", "D", "*", "d.json", "2025-01-01_d"] {
        ensure_eq!(
            repo.history(&id(other)?).await?,
            vec![],
            "the history of {other:?}"
        );
        let at = At::Time(there(&repo, "d").await?.recorded_at);
        ensure_eq!(
            repo.get_at(&id(other)?, &at).await?,
            None,
            "get_at of {other:?}"
        );
    }
    Ok(())
}

pub(super) async fn an_earlier_state_is_what_get_gave(store: Store) -> Outcome {
    let repo = store.open().await?;
    if unclaimed(&repo, "d").await? {
        return Ok(());
    }
    let mut seen: Vec<StoredDecision> = Vec::new();
    for (n, date) in [
        (1, "2025-03-01"),
        (2, "2025-01-01"),
        (3, ""),
        (2, "2025-01-01"),
    ] {
        store.step();
        repo.save(&decision("d", date, n)?, SaveMode::Upsert)
            .await?;
        seen.push(there(&repo, "d").await?);
    }
    store.step();
    repo.delete(&id("d")?).await?;
    let clock = store.now();
    let d = id("d")?;
    for stored in &seen {
        let at = At::Revision(stored.revision.clone());
        ensure_eq!(
            repo.get_at(&d, &at).await?.as_ref(),
            Some(stored),
            "the state of revision {}",
            stored.revision
        );
    }
    let unknown = At::Revision(Revision::new("never-was")?);
    ensure_eq!(
        repo.get_at(&d, &unknown).await?,
        None,
        "the state of an unknown revision"
    );
    // Without a clock of the suite's own, states may share a time; then the last of them counts.
    let first = seen
        .first()
        .ok_or_else(|| Failure::new("nothing was saved"))?;
    let before = At::Time(first.recorded_at - TimeDelta::nanoseconds(1));
    ensure_eq!(
        repo.get_at(&d, &before).await?,
        None,
        "what was known before the first save"
    );
    if let Some(deleted) = clock {
        for stored in &seen {
            for later in [0, 999_999_999] {
                let at = At::Time(stored.recorded_at + TimeDelta::nanoseconds(later));
                ensure_eq!(
                    repo.get_at(&d, &at).await?.as_ref(),
                    Some(stored),
                    "what was known {later} ns after {}",
                    stored.recorded_at
                );
            }
        }
        ensure_eq!(
            repo.get_at(&d, &At::Time(deleted)).await?,
            None,
            "what was known after the deletion"
        );
    }
    let history = repo.history(&d).await?;
    ensure!(
        matches!(history.last(), Some(last) if last.content == StateContent::Deleted),
        "the last state is the deletion"
    );
    Ok(())
}
