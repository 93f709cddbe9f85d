//! Many callers at once, on several threads and several handles.

use std::sync::Arc;

use minutebook_core::{Capability, DecisionFilter, ErrorKind, SaveMode, SaveOutcome};
use tokio::sync::Barrier;

use super::support::{Repo, Store, decision, handles, there};
use crate::case::{Failure, Outcome};
use crate::check::{ensure_eq, joined};

const CALLERS: usize = 8;

/// Lets every caller save state `n` of `name` at once, and gives the winners and the kinds of the others' errors.
async fn race(repos: &[Repo], name: &str, mode: &SaveMode) -> Outcome<(Vec<i64>, Vec<ErrorKind>)> {
    let barrier = Arc::new(Barrier::new(repos.len()));
    let mut tasks = Vec::new();
    for (n, repo) in (1_i64..).zip(repos) {
        let (repo, barrier, mode) = (Arc::clone(repo), Arc::clone(&barrier), mode.clone());
        let decision = decision(name, &format!("2025-01-{n:02}"), n)?;
        tasks.push(tokio::spawn(async move {
            barrier.wait().await;
            repo.save(&decision, mode)
                .await
                .map(|receipt| (n, receipt))
                .map_err(|error| error.kind())
        }));
    }
    let (mut winners, mut losers) = (Vec::new(), Vec::new());
    for result in joined(tasks).await? {
        match result {
            Ok((n, _)) => winners.push(n),
            Err(kind) => losers.push(kind),
        }
    }
    Ok((winners, losers))
}

async fn holds_the_winner(repo: &Repo, name: &str, winners: &[i64], what: &str) -> Outcome {
    let [winner] = winners else {
        return Err(Failure::new(format!(
            "{} of {CALLERS} concurrent {what}s of {name} succeeded: {winners:?}",
            winners.len()
        )));
    };
    let stored = there(repo, name).await?;
    ensure_eq!(
        stored.decision.raw("n"),
        Some(winner.to_string().as_str()),
        "the stored state is the winner's"
    );
    Ok(())
}

pub(super) async fn one_of_concurrent_creates_wins(store: Store) -> Outcome {
    let repos = handles(&store, CALLERS).await?;
    for round in 0..10 {
        let name = format!("d{round}");
        let (winners, losers) = race(&repos, &name, &SaveMode::Create).await?;
        holds_the_winner(&repos[0], &name, &winners, "Create").await?;
        ensure_eq!(
            losers,
            [ErrorKind::AlreadyExists; CALLERS - 1],
            "how the others failed"
        );
    }
    ensure_eq!(
        repos[0].count(&DecisionFilter::new()).await?,
        10,
        "one decision for each id"
    );
    Ok(())
}

pub(super) async fn one_of_concurrent_updates_wins(store: Store) -> Outcome {
    let repos = handles(&store, CALLERS).await?;
    let revisions = repos[0].capabilities().has(Capability::Revisions);
    let mut expected = repos[0]
        .save(&decision("d", "2025-01-31", 0)?, SaveMode::Create)
        .await?
        .revision;
    for _ in 0..10 {
        store.step();
        let mode = SaveMode::Update {
            expected: Some(expected.clone()),
        };
        let (winners, losers) = race(&repos, "d", &mode).await?;
        if !revisions {
            ensure_eq!(
                losers,
                [ErrorKind::Unsupported; CALLERS],
                "how Updates with a revision, which are not claimed, failed"
            );
            ensure_eq!(
                there(&repos[0], "d").await?.decision.raw("n"),
                Some("0"),
                "nothing changed"
            );
            return Ok(());
        }
        // A winner may leave the state as an earlier round's winner left it; that is no change and everyone's right.
        holds_the_winner(&repos[0], "d", &winners, "Update").await?;
        ensure_eq!(
            losers,
            [ErrorKind::Conflict; CALLERS - 1],
            "how the others failed"
        );
        ensure_eq!(
            repos[0].count(&DecisionFilter::new()).await?,
            1,
            "one decision"
        );
        let reset = repos[0]
            .save(&decision("d", "2025-01-31", 0)?, SaveMode::Upsert)
            .await?;
        ensure_eq!(
            reset.outcome,
            SaveOutcome::Updated,
            "the outcome of the save between the rounds"
        );
        expected = reset.revision;
    }
    Ok(())
}

pub(super) async fn many_decisions_saved_at_once_are_all_there(store: Store) -> Outcome {
    const EACH: i64 = 25;
    let repos = handles(&store, CALLERS).await?;
    let mut tasks = Vec::new();
    for (caller, repo) in repos.iter().enumerate() {
        let repo = Arc::clone(repo);
        tasks.push(tokio::spawn(async move {
            for n in 0..EACH {
                let decision = decision(&format!("{caller}_{n}"), "2025-01-01", n)?;
                repo.save(&decision, SaveMode::Create).await?;
            }
            Outcome::Ok(())
        }));
    }
    for result in joined(tasks).await? {
        result?;
    }
    for repo in &repos {
        let counted = repo.count(&DecisionFilter::new()).await?;
        ensure_eq!(
            counted,
            (CALLERS as u64) * EACH.unsigned_abs(),
            "how many there are"
        );
    }
    for caller in 0..CALLERS {
        for n in 0..EACH {
            let stored = there(&repos[0], &format!("{caller}_{n}")).await?;
            ensure_eq!(
                stored.decision.raw("n"),
                Some(n.to_string().as_str()),
                "the state of {caller}_{n}"
            );
        }
    }
    Ok(())
}
