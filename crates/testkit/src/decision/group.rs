//! Counts by group.

use std::collections::BTreeMap;

use minutebook_core::{DecisionFilter, DecisionQuery, ErrorKind, GroupBy};

use super::query::SAMPLE;
use super::support::{Store, save_all};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq, refused};

pub(super) async fn groups_hold_every_match_once(store: Store) -> Outcome {
    let repo = store.open().await?;
    ensure!(
        repo.count_by(&DecisionFilter::new(), &GroupBy::Pair)
            .await?
            .is_empty(),
        "an empty store has no groups"
    );
    save_all(&repo, &SAMPLE).await?;
    let documents = [
        r#"{"id":"g1","asset_pair":"btcusd","action":"buy","n":1,"timestamp":"2025-01-01T23:30:00-05:00"}"#,
        r#"{"id":"g2","asset_pair":"BTCUSD","action":"BUY","n":1.0,"timestamp":"2025-01-02"}"#,
        r#"{"id":"g3","asset_pair":"ETHUSD","action":"WAIT","n":"1","timestamp":"2025-01-02T10:00:00Z"}"#,
    ];
    save_all(&repo, &documents).await?;
    let every = [
        GroupBy::Pair,
        GroupBy::Action,
        GroupBy::Day,
        GroupBy::Field("/n".to_owned()),
        GroupBy::Field("/id".to_owned()),
        GroupBy::Field("/not/there".to_owned()),
    ];
    for filter in [DecisionFilter::new(), DecisionFilter::new().id_prefix("g")] {
        let query = DecisionQuery::new().filter(filter.clone());
        let page = repo.query(&query).await?;
        for by in &every {
            let mut expected: BTreeMap<String, u64> = BTreeMap::new();
            for stored in &page.decisions {
                *expected.entry(format!("{:?}", by.key(stored))).or_default() += 1;
            }
            let groups = repo.count_by(&filter, by).await?;
            let found: BTreeMap<_, _> = groups
                .iter()
                .map(|group| (format!("{:?}", group.key), group.count))
                .collect();
            ensure_eq!(found, expected, "the groups by {by:?}");
            ensure_eq!(
                groups.len(),
                expected.len(),
                "no group comes twice by {by:?}"
            );
            ensure!(
                groups.iter().rev().skip(1).all(|group| group.key.is_some()),
                "the decisions without a key come last: {groups:?}"
            );
        }
    }
    let pairs = repo
        .count_by(&DecisionFilter::new().id_prefix("g"), &GroupBy::Pair)
        .await?;
    let pairs: Vec<_> = pairs
        .iter()
        .map(|group| (group.key.as_ref().and_then(|key| key.as_str()), group.count))
        .collect();
    ensure_eq!(
        pairs,
        [(Some("BTCUSD"), 2), (Some("ETHUSD"), 1)],
        "the groups in order of their keys"
    );
    Ok(())
}

pub(super) async fn a_field_without_pointer_is_refused(store: Store) -> Outcome {
    let repo = store.open().await?;
    for pointer in ["", "n", "market_data/close"] {
        let by = GroupBy::Field(pointer.to_owned());
        let result = repo.count_by(&DecisionFilter::new(), &by).await;
        refused(result, ErrorKind::InvalidInput, "groups by no JSON pointer")?;
    }
    Ok(())
}
