//! Many decisions with one call: saved, and deleted as they were seen.

use minutebook_core::{
    Capability, DecisionFilter, ErrorKind, RetentionPolicy, Revision, SaveMode, SaveOutcome,
};
use minutebook_core::{DecisionRepositoryExt, time::parse_timestamp};

use super::support::{Store, UPDATE, decision, id, matching, save_all, state, there};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq, refused};

pub(super) async fn a_batch_is_saved_one_after_another(store: Store) -> Outcome {
    let repo = store.open().await?;
    repo.save(&decision("b", "2025-01-01", 0)?, SaveMode::Create)
        .await?;
    store.step();
    // One that is there already stands in the middle, and one id comes twice.
    let batch = vec![
        decision("a", "2025-01-01", 1)?,
        decision("b", "2025-01-01", 1)?,
        decision("c", "2025-01-02", 1)?,
        decision("a", "2025-01-03", 2)?,
        decision("d", "", 1)?,
    ];
    let results = repo.save_all(batch.clone(), SaveMode::Create).await;
    ensure_eq!(results.len(), 5, "one result for each");
    for (i, result) in results.into_iter().enumerate() {
        if i == 1 || i == 3 {
            refused(
                result,
                ErrorKind::AlreadyExists,
                "Create of an id that is there",
            )?;
            continue;
        }
        let receipt = result?;
        ensure_eq!(
            receipt.outcome,
            SaveOutcome::Created,
            "the outcome of item {i}"
        );
        let found = there(&repo, batch[i].id().as_str()).await?;
        ensure_eq!(
            (&found.revision, found.recorded_at, found.decision.to_json()),
            (&receipt.revision, receipt.recorded_at, batch[i].to_json()),
            "what is stored of item {i}"
        );
    }
    ensure_eq!(
        there(&repo, "b").await?.decision.raw("n"),
        Some("0"),
        "a refused item changes nothing"
    );
    store.step();
    let results = repo.save_all(batch, SaveMode::Upsert).await;
    let mut outcomes = Vec::new();
    for result in results {
        outcomes.push(result?.outcome);
    }
    ensure_eq!(
        outcomes,
        [
            SaveOutcome::Unchanged,
            SaveOutcome::Updated,
            SaveOutcome::Unchanged,
            SaveOutcome::Updated,
            SaveOutcome::Unchanged,
        ],
        "the outcomes of Upsert"
    );
    ensure_eq!(
        there(&repo, "a").await?.decision.raw("n"),
        Some("2"),
        "the later of two states in one batch"
    );
    ensure_eq!(
        repo.count(&DecisionFilter::new()).await?,
        4,
        "one decision for each id"
    );
    let missing = vec![decision("e", "", 1)?, decision("d", "", 2)?];
    let mut results = repo.save_all(missing, UPDATE).await.into_iter();
    let first = results.next();
    ensure!(first.is_some(), "one result for each");
    if let Some(first) = first {
        refused(
            first,
            ErrorKind::NotFound,
            "Update of an id that is not there",
        )?;
    }
    ensure_eq!(
        there(&repo, "d").await?.decision.raw("n"),
        Some("2"),
        "the item after one that failed"
    );
    ensure!(
        repo.save_all(Vec::new(), SaveMode::Create).await.is_empty(),
        "an empty batch has no results"
    );
    Ok(())
}

pub(super) async fn a_batch_can_be_repeated(store: Store) -> Outcome {
    let repo = store.open().await?;
    let mut batch = Vec::new();
    for n in 0..20 {
        batch.push(decision(&format!("d{n}"), "2025-01-01", n)?);
    }
    // As after a call that was cut off in the middle.
    for result in repo.save_all(batch[..12].to_vec(), SaveMode::Create).await {
        result?;
    }
    let before = state(&repo).await?;
    store.step();
    let results = repo.save_all(batch.clone(), SaveMode::Upsert).await;
    for (n, result) in results.into_iter().enumerate() {
        let expected = if n < 12 {
            SaveOutcome::Unchanged
        } else {
            SaveOutcome::Created
        };
        ensure_eq!(
            result?.outcome,
            expected,
            "the outcome of d{n} in the second call"
        );
    }
    let after = state(&repo).await?;
    ensure!(
        before.iter().all(|line| after.contains(line)),
        "what was saved by the first call has changed"
    );
    for result in repo.save_all(batch, SaveMode::Create).await {
        refused(result, ErrorKind::AlreadyExists, "Create of what is there")?;
    }
    ensure_eq!(
        state(&repo).await?,
        after,
        "the store after a batch that was refused"
    );
    Ok(())
}

pub(super) async fn what_was_changed_since_is_not_deleted(store: Store) -> Outcome {
    let repo = store.open().await?;
    let revisions = repo.capabilities().has(Capability::Revisions);
    let mut seen = Vec::new();
    for name in ["a", "b", "c"] {
        let receipt = repo
            .save(&decision(name, "2025-01-01", 1)?, SaveMode::Create)
            .await?;
        seen.push((id(name)?, receipt.revision));
    }
    store.step();
    repo.save(&decision("b", "2025-01-01", 2)?, SaveMode::Upsert)
        .await?;
    ensure!(repo.delete(&id("c")?).await?, "c was there to delete");
    seen.push((id("never")?, Revision::new("x")?));
    let before = state(&repo).await?;
    let results = repo.delete_seen(seen.clone()).await;
    ensure_eq!(results.len(), 4, "one result for each");
    if !revisions {
        for result in results {
            refused(
                result,
                ErrorKind::Unsupported,
                "deletion by revision, which is not claimed,",
            )?;
        }
        ensure_eq!(state(&repo).await?, before, "nothing changed");
        return Ok(());
    }
    let mut kinds = Vec::new();
    for result in results {
        kinds.push(result.map_err(|error| error.kind()));
    }
    ensure_eq!(
        kinds,
        [Ok(true), Err(ErrorKind::Conflict), Ok(false), Ok(false)],
        "what became of one as it was seen, one changed, one deleted, one that never was"
    );
    ensure_eq!(
        matching(&repo, &DecisionFilter::new()).await?,
        ["b"],
        "what is left"
    );
    // Deleted and made anew: the state that was seen is not the one that is there.
    repo.save(&decision("a", "2025-01-01", 1)?, SaveMode::Create)
        .await?;
    let mut results = repo.delete_seen(vec![seen.swap_remove(0)]).await;
    if let Some(result) = results.pop() {
        refused(
            result,
            ErrorKind::Conflict,
            "deletion of what was made anew",
        )?;
    }
    there(&repo, "a").await?;
    Ok(())
}

pub(super) async fn deletions_by_revision_stand_alone(store: Store) -> Outcome {
    let repo = store.open().await?;
    let revisions = repo.capabilities().has(Capability::Revisions);
    let mut seen = Vec::new();
    for n in 0..30 {
        let name = format!("d{n}");
        let receipt = repo
            .save(&decision(&name, "2025-01-01", n)?, SaveMode::Create)
            .await?;
        seen.push((id(&name)?, receipt.revision));
    }
    store.step();
    for n in (0..30).step_by(3) {
        repo.save(
            &decision(&format!("d{n}"), "2025-01-02", 100)?,
            SaveMode::Upsert,
        )
        .await?;
    }
    for (n, result) in repo.delete_seen(seen).await.into_iter().enumerate() {
        match result {
            _ if !revisions => {
                refused(result, ErrorKind::Unsupported, "deletion by revision").map(drop)?;
            }
            result if n % 3 == 0 => {
                refused(result, ErrorKind::Conflict, "deletion of a changed one").map(drop)?;
            }
            result => ensure!(result?, "d{n} was there to delete"),
        }
    }
    let left = if revisions { 10 } else { 30 };
    ensure_eq!(
        repo.count(&DecisionFilter::new()).await?,
        left,
        "how many are left"
    );
    Ok(())
}

pub(super) async fn a_retention_plan_spares_what_changed(store: Store) -> Outcome {
    let repo = store.open().await?;
    let documents = [
        r#"{"id":"b1","timestamp":"2025-01-01","asset_pair":"BTCUSD"}"#,
        r#"{"id":"b2","timestamp":"2025-01-02","asset_pair":"btcusd","outcome":{"pnl":1}}"#,
        r#"{"id":"b3","timestamp":"2025-01-03","asset_pair":"BTCUSD"}"#,
        r#"{"id":"b4","timestamp":"2025-01-04","asset_pair":"BTCUSD"}"#,
        r#"{"id":"e1","timestamp":"2024-06-01","asset_pair":"ETHUSD"}"#,
        r#"{"id":"e2","timestamp":"2025-01-02","asset_pair":"ETHUSD","outcome":null}"#,
        r#"{"id":"n1","timestamp":"2025-01-05"}"#,
    ];
    save_all(&repo, &documents).await?;
    let before = state(&repo).await?;
    let policy = RetentionPolicy::new()
        .older_than(chrono::TimeDelta::days(180))
        .newest(1)
        .per_pair()
        .keep_with("/outcome");
    let plan = repo
        .plan_retention(&policy, parse_timestamp("2025-01-10")?)
        .await?;
    let ids: Vec<_> = plan
        .expired
        .iter()
        .map(|item| format!("{} {}", item.id, item.reason.name()))
        .collect();
    ensure_eq!(
        ids,
        ["b3 count", "b1 count", "e1 age"],
        "what goes, the newest first"
    );
    ensure_eq!(
        (plan.examined, plan.kept),
        (7, 1),
        "how many were looked at, and kept"
    );
    ensure_eq!(state(&repo).await?, before, "making a plan changes nothing");
    store.step();
    repo.save(&decision("b1", "2025-01-01", 9)?, SaveMode::Upsert)
        .await?;
    let outcome = repo.apply_retention(&plan).await;
    if !repo.capabilities().has(Capability::Revisions) {
        let error = refused(
            outcome,
            ErrorKind::Unsupported,
            "retention without revisions",
        );
        return error.map(drop);
    }
    let outcome = outcome?;
    ensure_eq!(
        (
            outcome.deleted,
            outcome.gone,
            outcome.changed.len(),
            outcome.failed.len()
        ),
        (2, 0, 1, 0),
        "what became of the plan"
    );
    ensure_eq!(
        matching(&repo, &DecisionFilter::new()).await?,
        ["b1", "b2", "b4", "e2", "n1"],
        "what stays"
    );
    Ok(())
}
