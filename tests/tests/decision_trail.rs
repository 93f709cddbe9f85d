//! The trail of decisions that the original Python system wrote: taken over letter for letter, changed, followed, cleaned up.

#![allow(clippy::unwrap_used, reason = "a test program")]

use std::collections::BTreeMap;
use std::path::Path;

use minutebook::{
    At, Decision, DecisionFilter, DecisionQuery, DecisionRepository, DecisionRepositoryExt,
    GroupBy, RetentionPolicy, SaveMode, StateContent, TimeRange, WatchFrom, time::parse_timestamp,
};
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository, raw_fields};
use minutebook_tests::{copy_of, fixture, shared_data};

fn open(dir: &Path) -> JsonDecisionRepository {
    JsonDecisionRepository::open(dir, JsonDecisionConfig::default()).unwrap()
}

/// Every document as it is, into a store of its own: also those that are wider than JSON.
async fn taken_over(from: &Path) -> (tempfile::TempDir, BTreeMap<String, String>) {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (open(from), open(dir.path()));
    let mut texts = BTreeMap::new();
    for entry in std::fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_none_or(|it| it != "json") {
            continue;
        }
        let bytes = source.get_raw_file(&name).await.unwrap().unwrap();
        // What breaks off and what has no id is nothing to take over.
        let Some(known) = String::from_utf8(bytes.clone())
            .ok()
            .and_then(|text| raw_fields(&text).ok())
        else {
            continue;
        };
        let winner = source.get_raw(known.id()).await.unwrap().unwrap();
        if winner.bytes != bytes {
            continue;
        }
        let text = String::from_utf8(bytes).unwrap();
        let receipt = target
            .save_raw(&known, text.as_str(), SaveMode::Create)
            .await;
        let written = target.get_raw(known.id()).await.unwrap().unwrap();
        assert_eq!(written.revision, Some(receipt.unwrap().revision));
        assert_eq!(String::from_utf8(written.bytes).unwrap(), text, "{name}");
        texts.insert(known.id().to_string(), text);
    }
    (dir, texts)
}

async fn live_through(from: &Path) {
    let (dir, texts) = taken_over(from).await;
    let store = open(dir.path());
    let raw = store.raw_documents().await.unwrap();
    let all = store.query(&DecisionQuery::new()).await.unwrap().decisions;
    assert_eq!(all.len() + raw.len(), texts.len());
    assert!(!all.is_empty());
    for by in [GroupBy::Pair, GroupBy::Action, GroupBy::Day] {
        let groups = store.count_by(&DecisionFilter::new(), &by).await.unwrap();
        let sum: u64 = groups.iter().map(|group| group.count).sum();
        assert_eq!(sum, all.len() as u64, "{by:?}");
    }

    // An outcome for every second one; what was known before stays readable.
    let position = store
        .watch(WatchFrom::Now)
        .await
        .unwrap()
        .position()
        .clone();
    let mut updated = Vec::new();
    for stored in all.iter().step_by(2) {
        let mut decision: Decision = stored.decision.clone();
        decision
            .set("outcome", &serde_json::json!({"pnl": 1.5}))
            .unwrap();
        store
            .update_from(&decision, &stored.revision)
            .await
            .unwrap();
        updated.push(decision);
    }
    let mut changes = store.watch(WatchFrom::After(position)).await.unwrap();
    for decision in &updated {
        let change = changes.next().await.unwrap().unwrap();
        assert_eq!(change.state.content, StateContent::Saved(decision.clone()));
    }
    for stored in &all {
        let at = At::Revision(stored.revision.clone());
        let before = open(dir.path()).get_at(stored.decision.id(), &at).await;
        assert_eq!(before.unwrap().as_ref(), Some(stored));
    }

    let policy = RetentionPolicy::new().newest(0).keep_with("/outcome");
    let plan = store.plan_retention(&policy, parse_timestamp("2026-01-01").unwrap());
    let plan = plan.await.unwrap();
    assert_eq!(plan.kept, updated.len() as u64);
    let done = store.apply_retention(&plan).await.unwrap();
    assert_eq!(done.deleted, (all.len() - updated.len()) as u64);
    let left = store.query(&DecisionQuery::new()).await.unwrap().decisions;
    assert!(
        left.iter()
            .all(|stored| stored.decision.get("outcome").is_some())
    );
    // Nothing that is raw text was touched, and nothing that is gone is forgotten.
    assert_eq!(store.raw_documents().await.unwrap(), raw);
    for item in &plan.expired {
        let history = store.history(&item.id).await.unwrap();
        assert!(history.last().unwrap().is_deletion() && history[0].stored().is_some());
    }
    let ages = TimeRange::before(parse_timestamp("2100-01-01").unwrap());
    let filter = DecisionFilter::new().time(ages);
    assert_eq!(store.count(&filter).await.unwrap(), updated.len() as u64);
}

#[tokio::test]
async fn the_original_fixture() {
    live_through(fixture("original/decisions").path()).await;
}

#[tokio::test]
#[ignore = "needs ../shared/data"]
async fn shared_data_decisions() {
    live_through(copy_of(&shared_data("ffe/decisions")).path()).await;
}
