//! Saving: modes, receipts, revisions.

use minutebook_core::{
    Capability, DecisionFilter, DecisionQuery, ErrorKind, Order, Revision, SaveMode, SaveOutcome,
};

use super::support::{Store, UPDATE, decision, document, id, ids, save_all, state, there};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq, refused};

pub(super) async fn a_saved_decision_is_seen_by_every_reading_call(store: Store) -> Outcome {
    let repo = store.open().await?;
    let query = DecisionQuery::new();
    ensure_eq!(
        state(&repo).await?,
        Vec::<String>::new(),
        "a new store is empty"
    );
    ensure_eq!(
        repo.count(&DecisionFilter::new()).await?,
        0,
        "a new store counts nothing"
    );
    for (n, mode) in [SaveMode::Create, SaveMode::Upsert].into_iter().enumerate() {
        let saved = document(&format!(
            r#"{{"id":"d-{n}","timestamp":"2025-01-01T00:00:0{n}Z","action":"BUY"}}"#
        ))?;
        repo.save(&saved, mode).await?;
        let found = there(&repo, saved.id().as_str()).await?;
        ensure_eq!(
            found.decision.to_json(),
            saved.to_json(),
            "get gives the saved document"
        );
        let page = repo.query(&query).await?;
        ensure_eq!(
            page.decisions.first(),
            Some(&found),
            "the query gives what get gives"
        );
        ensure_eq!(
            repo.count(&query.filter).await?,
            n as u64 + 1,
            "the count has it"
        );
    }
    let changed = document(r#"{"id":"d-0","timestamp":"2025-01-01T00:00:00Z","action":"SELL"}"#)?;
    repo.save(&changed, UPDATE).await?;
    ensure_eq!(
        there(&repo, "d-0").await?.decision.to_json(),
        changed.to_json(),
        "get sees the update"
    );
    let filter = DecisionFilter::new().action(minutebook_core::Action::Sell);
    ensure_eq!(
        ids(&repo, &query.filter(filter)).await?,
        ["d-0"],
        "the query sees the update"
    );
    Ok(())
}

pub(super) async fn a_decision_without_timestamp_counts_from_when_it_was_recorded(
    store: Store,
) -> Outcome {
    let repo = store.open().await?;
    save_all(
        &repo,
        &[
            r#"{"id":"old","timestamp":"1999-01-01"}"#,
            r#"{"id":"none"}"#,
            r#"{"id":"null","timestamp":null}"#,
        ],
    )
    .await?;
    store.step();
    save_all(&repo, &[r#"{"id":"future","timestamp":"2999-01-01"}"#]).await?;
    let found = ids(&repo, &DecisionQuery::new().order(Order::Oldest)).await?;
    // The two in the middle may carry the same instant, and then go by id.
    ensure_eq!(
        (found.len(), found.first(), found.last()),
        (4, Some(&"old".into()), Some(&"future".into())),
        "order by effective time"
    );
    let none = there(&repo, "none").await?;
    ensure_eq!(
        none.time(),
        none.recorded_at,
        "the effective time is when it was recorded"
    );
    let range = minutebook_core::TimeRange::inclusive(none.recorded_at, none.recorded_at)?;
    let found = ids(
        &repo,
        &DecisionQuery::new().filter(DecisionFilter::new().time(range)),
    )
    .await?;
    ensure!(
        found.contains(&"none".to_owned()),
        "a range around recorded_at finds it, but found {found:?}"
    );
    Ok(())
}

pub(super) async fn the_receipt_is_what_get_gives(store: Store) -> Outcome {
    let repo = store.open().await?;
    let steps = [
        (1, SaveMode::Create, SaveOutcome::Created),
        (1, SaveMode::Upsert, SaveOutcome::Unchanged),
        (2, SaveMode::Upsert, SaveOutcome::Updated),
        (2, UPDATE, SaveOutcome::Unchanged),
        (3, UPDATE, SaveOutcome::Updated),
    ];
    for (n, mode, outcome) in steps {
        store.step();
        let receipt = repo
            .save(&decision("d", "2025-01-01", n)?, mode.clone())
            .await?;
        let found = there(&repo, "d").await?;
        ensure_eq!(
            receipt.outcome,
            outcome,
            "the outcome of {mode:?} with state {n}"
        );
        ensure_eq!(
            (&receipt.revision, receipt.recorded_at),
            (&found.revision, found.recorded_at),
            "receipt and get after {mode:?}"
        );
    }
    let upserted = repo.save(&decision("e", "", 1)?, SaveMode::Upsert).await?;
    ensure_eq!(
        upserted.outcome,
        SaveOutcome::Created,
        "the outcome of an upsert of a new id"
    );
    Ok(())
}

pub(super) async fn saving_again_leaves_one_decision(store: Store) -> Outcome {
    let repo = store.open().await?;
    repo.save(&decision("other", "2025-01-01", 0)?, SaveMode::Create)
        .await?;
    for n in 0..5 {
        store.step();
        repo.save(&decision("d", "2025-01-01", n)?, SaveMode::Upsert)
            .await?;
    }
    ensure_eq!(
        there(&repo, "d").await?.decision.raw("n"),
        Some("4"),
        "the last state is the one that is there"
    );
    ensure_eq!(
        ids(&repo, &DecisionQuery::new().order(Order::Oldest)).await?,
        ["d", "other"],
        "one decision for each id"
    );
    Ok(())
}

pub(super) async fn a_changed_date_leaves_one_decision(store: Store) -> Outcome {
    let repo = store.open().await?;
    let dates = [
        "2025-01-01",
        "2024-12-31T23:59:59.999999999Z",
        "",
        "1969-07-20T20:17:40",
        "2025-01-02T00:30:00+02:00",
        "2025-01-01",
    ];
    for (n, date) in (0_i64..).zip(dates) {
        store.step();
        repo.save(&decision("d", date, n)?, SaveMode::Upsert)
            .await?;
        ensure_eq!(
            ids(&repo, &DecisionQuery::new()).await?,
            ["d"],
            "one decision after its date became {date:?}"
        );
        ensure_eq!(
            repo.count(&DecisionFilter::new()).await?,
            1,
            "a count of one after its date became {date:?}"
        );
        ensure_eq!(
            there(&repo, "d").await?.decision.raw("n"),
            Some(n.to_string().as_str()),
            "get gives the new state"
        );
    }
    ensure!(repo.delete(&id("d")?).await?, "the decision can be deleted");
    ensure_eq!(
        state(&repo).await?,
        Vec::<String>::new(),
        "nothing is left of any of its dates"
    );
    Ok(())
}

pub(super) async fn create_refuses_an_id_that_is_there(store: Store) -> Outcome {
    let repo = store.open().await?;
    repo.save(&decision("d", "2025-01-01", 1)?, SaveMode::Create)
        .await?;
    let before = state(&repo).await?;
    for (date, n) in [
        ("2025-01-01", 1),
        ("2025-01-01", 2),
        ("2020-02-02", 2),
        ("", 3),
    ] {
        store.step();
        let result = repo.save(&decision("d", date, n)?, SaveMode::Create).await;
        refused(
            result,
            ErrorKind::AlreadyExists,
            "Create on an id that is there",
        )?;
        ensure_eq!(
            state(&repo).await?,
            before,
            "the store after a refused Create"
        );
    }
    Ok(())
}

pub(super) async fn update_refuses_an_id_that_is_not_there(store: Store) -> Outcome {
    let repo = store.open().await?;
    let receipt = repo
        .save(&decision("d", "2025-01-01", 1)?, SaveMode::Create)
        .await?;
    let before = state(&repo).await?;
    let result = repo.save(&decision("missing", "", 1)?, UPDATE).await;
    refused(
        result,
        ErrorKind::NotFound,
        "Update of an id that is not there",
    )?;
    let mode = SaveMode::Update {
        expected: Some(receipt.revision),
    };
    let result = repo.save(&decision("missing", "", 1)?, mode).await;
    if repo.capabilities().has(Capability::Revisions) {
        refused(
            result,
            ErrorKind::NotFound,
            "Update with a revision of an id that is not there",
        )?;
    } else {
        refused(
            result,
            ErrorKind::Unsupported,
            "Update with a revision, which is not claimed,",
        )?;
    }
    ensure_eq!(
        state(&repo).await?,
        before,
        "the store after refused Updates"
    );
    Ok(())
}

pub(super) async fn update_refuses_an_old_revision(store: Store) -> Outcome {
    let repo = store.open().await?;
    let first = repo
        .save(&decision("d", "2025-01-01", 1)?, SaveMode::Create)
        .await?;
    store.step();
    repo.save(&decision("d", "2025-01-01", 2)?, SaveMode::Upsert)
        .await?;
    let foreign = repo
        .save(&decision("e", "2025-01-01", 3)?, SaveMode::Create)
        .await?;
    let before = state(&repo).await?;
    let kind = if repo.capabilities().has(Capability::Revisions) {
        ErrorKind::Conflict
    } else {
        ErrorKind::Unsupported
    };
    store.step();
    for expected in [first.revision, Revision::new("never given out")?] {
        for n in [2, 4] {
            let mode = SaveMode::Update {
                expected: Some(expected.clone()),
            };
            let result = repo.save(&decision("d", "2025-01-01", n)?, mode).await;
            refused(
                result,
                kind,
                &format!("Update of state {n} expecting {expected}"),
            )?;
            ensure_eq!(
                state(&repo).await?,
                before,
                "the store after a refused Update"
            );
        }
    }
    drop(foreign);
    Ok(())
}

pub(super) async fn update_takes_the_stored_revision(store: Store) -> Outcome {
    let repo = store.open().await?;
    let mut seen = repo
        .save(&decision("d", "2025-01-01", 0)?, SaveMode::Create)
        .await?
        .revision;
    for n in 1..5 {
        store.step();
        let before = state(&repo).await?;
        let mode = SaveMode::Update {
            expected: Some(seen.clone()),
        };
        let result = repo.save(&decision("d", "2025-01-01", n)?, mode).await;
        if !repo.capabilities().has(Capability::Revisions) {
            refused(
                result,
                ErrorKind::Unsupported,
                "Update with a revision, which is not claimed,",
            )?;
            ensure_eq!(
                state(&repo).await?,
                before,
                "the store after an unsupported Update"
            );
            return Ok(());
        }
        let receipt = result?;
        ensure_eq!(
            receipt.outcome,
            SaveOutcome::Updated,
            "the outcome of an Update over the stored revision"
        );
        ensure_eq!(
            there(&repo, "d").await?.decision.raw("n"),
            Some(n.to_string().as_str()),
            "the new state is there"
        );
        seen = receipt.revision;
    }
    Ok(())
}

pub(super) async fn a_revision_from_before_a_deletion_is_old(store: Store) -> Outcome {
    let repo = store.open().await?;
    let first = repo
        .save(&decision("d", "2025-01-01", 1)?, SaveMode::Create)
        .await?;
    let mode = SaveMode::Update {
        expected: Some(first.revision),
    };
    let revisions = repo.capabilities().has(Capability::Revisions);
    ensure!(
        repo.delete(&id("d")?).await?,
        "the decision was there to delete"
    );
    let result = repo
        .save(&decision("d", "2025-01-01", 3)?, mode.clone())
        .await;
    let kind = if revisions {
        ErrorKind::NotFound
    } else {
        ErrorKind::Unsupported
    };
    refused(result, kind, "Update of a deleted id")?;
    ensure_eq!(
        state(&repo).await?,
        Vec::<String>::new(),
        "a refused Update does not bring a decision back"
    );
    store.step();
    repo.save(&decision("d", "2025-01-01", 2)?, SaveMode::Create)
        .await?;
    let before = state(&repo).await?;
    let result = repo.save(&decision("d", "2025-01-01", 3)?, mode).await;
    let kind = if revisions {
        ErrorKind::Conflict
    } else {
        ErrorKind::Unsupported
    };
    refused(
        result,
        kind,
        "Update with the revision of a decision that was deleted and made anew",
    )?;
    ensure_eq!(
        state(&repo).await?,
        before,
        "the store after a refused Update"
    );
    Ok(())
}

pub(super) async fn every_change_gives_a_new_revision(store: Store) -> Outcome {
    let repo = store.open().await?;
    let mut seen: Vec<Revision> = Vec::new();
    // The states come back, as when a field is switched on and off: each time it is a change.
    for n in [1, 2, 1, 2, 3, 1] {
        store.step();
        let receipt = repo
            .save(&decision("d", "2025-01-01", n)?, SaveMode::Upsert)
            .await?;
        ensure_eq!(
            receipt.revision,
            there(&repo, "d").await?.revision,
            "the receipt's revision is the stored one"
        );
        ensure!(
            seen.last() != Some(&receipt.revision),
            "a change kept the revision {}",
            receipt.revision
        );
        if repo.capabilities().has(Capability::Revisions) {
            ensure!(
                !seen.contains(&receipt.revision),
                "the change to state {n} gave the revision {} a second time",
                receipt.revision
            );
        }
        seen.push(receipt.revision);
    }
    Ok(())
}

pub(super) async fn an_unchanged_document_keeps_its_state(store: Store) -> Outcome {
    let repo = store.open().await?;
    let document = document(r#"{"id":"d","x":1.50,"timestamp":"2025-01-01"}"#)?;
    let first = repo.save(&document, SaveMode::Create).await?;
    let before = state(&repo).await?;
    let mut modes = vec![SaveMode::Upsert, UPDATE, SaveMode::Upsert];
    if repo.capabilities().has(Capability::Revisions) {
        modes.push(SaveMode::Update {
            expected: Some(first.revision.clone()),
        });
    }
    for mode in modes {
        store.step();
        let receipt = repo.save(&document, mode.clone()).await?;
        ensure_eq!(
            receipt.outcome,
            SaveOutcome::Unchanged,
            "the outcome of {mode:?} with the same document"
        );
        ensure_eq!(
            receipt.revision,
            first.revision,
            "the revision after {mode:?} with the same document"
        );
        ensure_eq!(
            receipt.recorded_at,
            first.recorded_at,
            "recorded_at after {mode:?} with the same document"
        );
        ensure_eq!(
            state(&repo).await?,
            before,
            "the store after {mode:?} with the same document"
        );
    }
    Ok(())
}

pub(super) async fn recorded_at_is_when_the_store_took_it(store: Store) -> Outcome {
    let repo = store.open().await?;
    for n in 0..3 {
        store.step();
        let early = store.now();
        let receipt = repo
            .save(&decision("d", "1999-01-01", n)?, SaveMode::Upsert)
            .await?;
        if let Some(now) = early {
            ensure_eq!(
                receipt.recorded_at,
                now,
                "recorded_at is what the clock showed"
            );
        }
        ensure_eq!(
            there(&repo, "d").await?.recorded_at,
            receipt.recorded_at,
            "recorded_at is stored"
        );
        ensure!(
            receipt.recorded_at > there(&repo, "d").await?.time(),
            "recorded_at is not the decision's own time"
        );
    }
    Ok(())
}
