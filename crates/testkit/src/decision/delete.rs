//! Deleting one decision, and those that match.

use std::collections::BTreeSet;

use minutebook_core::time::parse_timestamp;
use minutebook_core::{Action, DecisionFilter, SaveMode, SaveOutcome, Symbol, TimeRange};

use super::query::SAMPLE;
use super::support::{Store, decision, id, line, matching, save_all, state, there};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq};
use crate::data::nasty_ids;

pub(super) async fn a_deleted_decision_is_gone(store: Store) -> Outcome {
    let repo = store.open().await?;
    ensure!(
        !repo.delete(&id("d")?).await?,
        "deleting from an empty store finds nothing"
    );
    repo.save(&decision("d", "2025-01-01", 1)?, SaveMode::Create)
        .await?;
    repo.save(&decision("e", "", 1)?, SaveMode::Create).await?;
    for name in ["d", "e"] {
        ensure!(
            repo.delete(&id(name)?).await?,
            "the first deletion of {name} finds it"
        );
        ensure_eq!(
            repo.get(&id(name)?).await?,
            None,
            "get of the deleted {name}"
        );
        ensure!(
            !repo.delete(&id(name)?).await?,
            "the second deletion of {name} finds nothing"
        );
    }
    ensure_eq!(
        state(&repo).await?,
        Vec::<String>::new(),
        "queries give nothing"
    );
    ensure_eq!(
        repo.count(&DecisionFilter::new()).await?,
        0,
        "the count is zero"
    );
    Ok(())
}

pub(super) async fn deleting_touches_no_other_decision(store: Store) -> Outcome {
    let repo = store.open().await?;
    let names: BTreeSet<String> = nasty_ids().into_iter().collect();
    for (n, name) in (0..).zip(&names) {
        let date = ["2025-01-01", "2025-01-02", ""][usize::try_from(n % 3).unwrap_or(0)];
        repo.save(&decision(name, date, n)?, SaveMode::Create)
            .await?;
    }
    let mut left: BTreeSet<String> = state(&repo).await?.into_iter().collect();
    ensure_eq!(left.len(), names.len(), "all are there");
    for (n, name) in names.iter().enumerate() {
        let gone = line(&there(&repo, name).await?);
        ensure!(
            repo.delete(&id(name)?).await?,
            "the deletion of {name:?} finds it"
        );
        left.remove(&gone);
        // The whole store is looked at now and then only: it is read once for every id otherwise.
        if n % 8 == 0 || left.len() < 8 {
            let found: BTreeSet<String> = state(&repo).await?.into_iter().collect();
            ensure_eq!(found, left, "what is left after deleting {name:?}");
        } else {
            ensure_eq!(
                repo.count(&DecisionFilter::new()).await?,
                left.len() as u64,
                "the count after deleting {name:?}"
            );
        }
    }
    Ok(())
}

pub(super) async fn a_deleted_id_can_be_created_again(store: Store) -> Outcome {
    let repo = store.open().await?;
    for (n, date) in (0..).zip(["2025-01-01", "2025-01-01", "2024-02-29", ""]) {
        store.step();
        let receipt = repo
            .save(&decision("d", date, n)?, SaveMode::Create)
            .await?;
        ensure_eq!(
            receipt.outcome,
            SaveOutcome::Created,
            "the outcome of creating it for the {n}. time"
        );
        let found = there(&repo, "d").await?;
        ensure_eq!(
            found.decision.raw("n"),
            Some(n.to_string().as_str()),
            "the new state"
        );
        ensure_eq!(
            found.recorded_at,
            receipt.recorded_at,
            "the new recorded_at"
        );
        ensure_eq!(repo.count(&DecisionFilter::new()).await?, 1, "one decision");
        ensure!(repo.delete(&id("d")?).await?, "it can be deleted again");
    }
    Ok(())
}

pub(super) async fn delete_matching_deletes_what_the_query_gives(store: Store) -> Outcome {
    let repo = store.open().await?;
    let filters = [
        DecisionFilter::new()
            .asset_pair(Symbol::new("BTCUSD")?)
            .action(Action::Buy),
        DecisionFilter::new().asset_pair(Symbol::new("NOPE")?),
        DecisionFilter::new().id_prefix("a"),
        DecisionFilter::new().min_confidence(0.6),
        DecisionFilter::new().time(TimeRange::new(
            parse_timestamp("2025-01-02")?,
            parse_timestamp("2025-01-03")?,
        )?),
        DecisionFilter::new().time(TimeRange::since(parse_timestamp("2025-01-03")?)),
    ];
    for filter in filters {
        save_all(&repo, &SAMPLE).await?;
        let doomed = matching(&repo, &filter).await?;
        let mut stay = Vec::new();
        for stored in repo
            .query(&minutebook_core::DecisionQuery::new().order(minutebook_core::Order::Oldest))
            .await?
        {
            if !doomed.contains(&stored.decision.id().to_string()) {
                stay.push(line(&stored));
            }
        }
        ensure_eq!(
            repo.delete_matching(&filter).await?,
            doomed.len() as u64,
            "how many {filter:?} deleted"
        );
        ensure_eq!(
            state(&repo).await?,
            stay,
            "what stays after deleting {filter:?}"
        );
        ensure_eq!(
            repo.delete_matching(&filter).await?,
            0,
            "deleting {filter:?} again"
        );
        repo.delete_matching(&DecisionFilter::new()).await?;
    }
    Ok(())
}

pub(super) async fn clean_up_goes_by_the_effective_time(store: Store) -> Outcome {
    let repo = store.open().await?;
    // Written last and made first: what counts is when it was made.
    repo.save(
        &decision("new", "2025-05-05T00:00:00Z", 0)?,
        SaveMode::Create,
    )
    .await?;
    repo.save(
        &decision("edge", "2025-01-01T00:00:00Z", 0)?,
        SaveMode::Create,
    )
    .await?;
    repo.save(&decision("undated", "", 0)?, SaveMode::Create)
        .await?;
    store.step();
    repo.save(
        &decision("old", "2024-12-31T23:59:59.999999999Z", 0)?,
        SaveMode::Create,
    )
    .await?;
    repo.save(
        &decision("zone", "2025-01-01T00:59:00+01:00", 0)?,
        SaveMode::Create,
    )
    .await?;
    let filter = DecisionFilter::new().time(TimeRange::before(parse_timestamp("2025-01-01")?));
    ensure_eq!(
        repo.delete_matching(&filter).await?,
        2,
        "how many are older than 2025"
    );
    ensure_eq!(
        matching(&repo, &DecisionFilter::new()).await?,
        ["edge", "new", "undated"],
        "what stays"
    );
    Ok(())
}

pub(super) async fn an_empty_filter_deletes_everything(store: Store) -> Outcome {
    let repo = store.open().await?;
    ensure_eq!(
        repo.delete_matching(&DecisionFilter::new()).await?,
        0,
        "wiping an empty store"
    );
    save_all(&repo, &SAMPLE).await?;
    ensure_eq!(
        repo.delete_matching(&DecisionFilter::new()).await?,
        SAMPLE.len() as u64,
        "how many were wiped"
    );
    ensure_eq!(state(&repo).await?, Vec::<String>::new(), "the wiped store");
    save_all(&repo, &SAMPLE).await?;
    ensure_eq!(
        state(&repo).await?.len(),
        SAMPLE.len(),
        "all can be created again"
    );
    Ok(())
}
