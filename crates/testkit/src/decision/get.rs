//! Reading one decision, and which id it is.

use std::collections::BTreeMap;

use minutebook_core::{DecisionFilter, DecisionQuery, SaveMode};

use super::support::{Repo, Store, decision, id, ids, there};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq};
use crate::data::nasty_ids;

pub(super) async fn a_missing_decision_is_none(store: Store) -> Outcome {
    let repo = store.open().await?;
    ensure_eq!(repo.get(&id("d")?).await?, None, "get of an empty store");
    repo.save(&decision("d", "2025-01-01", 1)?, SaveMode::Create)
        .await?;
    for other in ["e", "dd", "D", "2025-01-01_d", "d.json"] {
        ensure_eq!(
            repo.get(&id(other)?).await?,
            None,
            "get of {other:?}, which is not there"
        );
    }
    Ok(())
}

/// Saves the ids one by one; after each, those saved are there with their own state and the others are not.
async fn do_not_mix(repo: &Repo, names: &[&str]) -> Outcome {
    for (n, name) in names.iter().enumerate() {
        let mode = SaveMode::Create;
        repo.save(
            &decision(name, "2025-01-01", i64::try_from(n).unwrap_or(0))?,
            mode,
        )
        .await?;
        for (k, other) in names.iter().enumerate() {
            let found = repo.get(&id(other)?).await?;
            if k <= n {
                let found = found
                    .as_ref()
                    .map(|stored| (stored.decision.id().as_str(), stored.decision.raw("n")));
                ensure_eq!(
                    found,
                    Some((*other, Some(k.to_string().as_str()))),
                    "get of {other:?} after saving {name:?}"
                );
            } else {
                ensure_eq!(
                    found,
                    None,
                    "get of {other:?} before it is saved, after {name:?}"
                );
            }
        }
    }
    ensure_eq!(
        repo.count(&DecisionFilter::new()).await?,
        names.len() as u64,
        "one decision for each id"
    );
    Ok(())
}

pub(super) async fn ids_inside_each_other_do_not_mix(store: Store) -> Outcome {
    let repo = store.open().await?;
    do_not_mix(
        &repo,
        &[
            "x_1",
            "1",
            "1_x",
            "_1",
            "11",
            "x_1_x",
            "2025-01-01_1",
            "1.json",
            "01",
        ],
    )
    .await
}

pub(super) async fn ids_of_another_case_do_not_mix(store: Store) -> Outcome {
    let repo = store.open().await?;
    do_not_mix(
        &repo,
        &[
            "abc", "ABC", "aBc", "straße", "STRASSE", "é", "É", "k", "K", "\u{212a}",
        ],
    )
    .await
}

pub(super) async fn ids_that_look_like_patterns_match_themselves(store: Store) -> Outcome {
    let repo = store.open().await?;
    do_not_mix(
        &repo,
        &[
            "abc", "a*c", "a?c", "a[b]c", "*", "?", "[abc]", "%", "_", "a%c", "a_c", ".", "a.c",
            "{abc}", "^abc$",
        ],
    )
    .await
}

pub(super) async fn ids_of_any_kind_come_back(store: Store) -> Outcome {
    let repo = store.open().await?;
    let names: BTreeMap<String, i64> = nasty_ids().into_iter().zip(0..).collect();
    for (name, n) in &names {
        let saved = repo
            .save(&decision(name, "2025-01-01", *n)?, SaveMode::Create)
            .await;
        saved.map_err(|error| {
            crate::Failure::from(error).context(format!("saving the valid id {name:?}"))
        })?;
    }
    for (name, n) in &names {
        let found = there(&repo, name).await?;
        ensure_eq!(
            found.decision.raw("n"),
            Some(n.to_string().as_str()),
            "the state of {name:?}"
        );
        ensure_eq!(
            found.decision.id().as_str(),
            name,
            "the id of what get gives"
        );
    }
    let mut listed = ids(&repo, &DecisionQuery::new()).await?;
    listed.sort();
    ensure!(
        listed.iter().eq(names.keys()),
        "the query gives {listed:?} and not {:?}",
        names.keys()
    );
    Ok(())
}
