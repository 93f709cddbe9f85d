//! Decisions made and read in the short form that the cases use.

use std::sync::Arc;

use minutebook_core::{
    Capability, Decision, DecisionFilter, DecisionId, DecisionQuery, DecisionRepository, Order,
    SaveMode, SaveReceipt, StoredDecision,
};

use crate::case::{Failure, Outcome};
use crate::check::ensure;
use crate::harness::Fixture;

pub(crate) type Store = Fixture<dyn DecisionRepository>;
pub(crate) type Repo = Arc<dyn DecisionRepository>;

/// An update of whatever is there.
pub(crate) const UPDATE: SaveMode = SaveMode::Update { expected: None };

pub(crate) fn id(text: &str) -> Outcome<DecisionId> {
    Ok(DecisionId::new(text)?)
}

/// A decision of JSON text, which must be valid: a case's own mistake is shown as such.
pub(crate) fn document(json: &str) -> Outcome<Decision> {
    Decision::from_json(json)
        .map_err(|error| Failure::new(format!("the case's own document is wrong: {error}")))
}

/// A small decision with an id, a time (none if empty) and a number that tells states apart.
pub(crate) fn decision(name: &str, timestamp: &str, n: i64) -> Outcome<Decision> {
    let mut decision = Decision::new(id(name)?);
    if !timestamp.is_empty() {
        decision.set("timestamp", &timestamp)?;
    }
    decision.set("n", &n)?;
    Ok(decision)
}

pub(crate) async fn save_all(repo: &Repo, documents: &[&str]) -> Outcome<Vec<SaveReceipt>> {
    let mut receipts = Vec::with_capacity(documents.len());
    for text in documents {
        receipts.push(repo.save(&document(text)?, SaveMode::Create).await?);
    }
    Ok(receipts)
}

/// The decision with this id, which must be there.
pub(crate) async fn there(repo: &Repo, name: &str) -> Outcome<StoredDecision> {
    let found = repo.get(&id(name)?).await?;
    found.ok_or_else(|| Failure::new(format!("the decision {name:?} is not there")))
}

/// A whole store in a form that compares exactly: order of fields and text of values included.
pub(crate) async fn state(repo: &Repo) -> Outcome<Vec<String>> {
    let query = DecisionQuery::new().order(Order::Oldest);
    let page = repo.query(&query).await?;
    ensure!(
        page.report.is_clean(),
        "the report of a sound store names problems: {:?}",
        page.report
    );
    ensure!(page.next.is_none(), "a query without limit has a next page");
    Ok(page.into_iter().map(|stored| line(&stored)).collect())
}

pub(crate) fn line(stored: &StoredDecision) -> String {
    format!(
        "{} @{} {}",
        stored.revision,
        stored.recorded_at.to_rfc3339(),
        stored.decision.to_json()
    )
}

/// The ids that a query gives, in its order.
pub(crate) async fn ids(repo: &Repo, query: &DecisionQuery) -> Outcome<Vec<String>> {
    let page = repo.query(query).await?;
    Ok(names(&page.decisions))
}

pub(crate) fn names(decisions: &[StoredDecision]) -> Vec<String> {
    decisions
        .iter()
        .map(|stored| stored.decision.id().to_string())
        .collect()
}

/// The ids that match a filter, in ascending order of the ids themselves.
pub(crate) async fn matching(repo: &Repo, filter: &DecisionFilter) -> Outcome<Vec<String>> {
    let mut found = ids(repo, &DecisionQuery::new().filter(filter.clone())).await?;
    found.sort();
    Ok(found)
}

/// Several handles on one store: truly several where the backend shares, else clones of one.
pub(crate) async fn handles(store: &Store, count: usize) -> Outcome<Vec<Repo>> {
    let first = store.open().await?;
    let shared = first.capabilities().has(Capability::Shared);
    let mut all = vec![first];
    while all.len() < count {
        all.push(if shared {
            store.open().await?
        } else {
            Arc::clone(&all[0])
        });
    }
    Ok(all)
}
