//! Listing, and names.

use std::collections::BTreeMap;

use minutebook_core::time::parse_timestamp;
use minutebook_core::{DatasetEntry, DatasetFilter, SaveMode, Statistics, TimeRange};

use super::support::{Repo, Store, entry, line, listed, name, there};
use crate::case::{Failure, Outcome};
use crate::check::{ensure, ensure_eq};
use crate::data::nasty_ids;

fn statistics(first: &str, last: &str) -> Outcome<Statistics> {
    Ok(Statistics {
        rows: 10,
        first: Some(parse_timestamp(first)?),
        last: Some(parse_timestamp(last)?),
    })
}

/// Entries that differ in what filters look at.
async fn sample(repo: &Repo) -> Outcome {
    let new = |text: &str, instrument: &str| -> Outcome<DatasetEntry> {
        Ok(DatasetEntry::new(name(text)?, instrument, "x.parquet"))
    };
    let entries = [
        new("a1", "VIX")?
            .with_tenor("5Y")
            .with_statistics(statistics("2024-01-01", "2024-01-31")?)
            .with_metadata("source", "CBOE"),
        new("a2", "VIX")?
            .with_tenor("10Y")
            .with_statistics(statistics("2024-02-01", "2024-02-29")?)
            .with_metadata("source", "cboe")
            .with_derived_from([name("a1")?, name("b*")?]),
        new("b1", "vix")?
            .with_tenor("5Y")
            .with_metadata("source", "CBOE")
            .with_metadata("n", 1),
        new("b2", "VIX3M")?
            .with_statistics(statistics("2024-01-15", "2024-02-15")?)
            .with_metadata("n", serde_json::Value::Null),
        new("A1", "VIX")?
            .with_statistics(Statistics::default())
            .with_metadata("source", "CBOE")
            .with_metadata("n", 1),
    ];
    for entry in entries {
        repo.register(&entry, SaveMode::Create).await?;
    }
    Ok(())
}

fn overlaps(start: &str, end: &str) -> Outcome<DatasetFilter> {
    let range = TimeRange::new(parse_timestamp(start)?, parse_timestamp(end)?)?;
    Ok(DatasetFilter::new().overlaps(range))
}

/// Both days are in the range.
fn covers(first: &str, last: &str) -> Outcome<DatasetFilter> {
    let range = TimeRange::inclusive(parse_timestamp(first)?, parse_timestamp(last)?)?;
    Ok(DatasetFilter::new().covers(range))
}

pub(super) async fn each_condition_on_datasets_filters(store: Store) -> Outcome {
    let repo = store.open().await?;
    sample(&repo).await?;
    let new = DatasetFilter::new;
    let expected: Vec<(DatasetFilter, &[&str])> = vec![
        (new(), &["A1", "a1", "a2", "b1", "b2"]),
        (new().instrument("VIX"), &["A1", "a1", "a2"]),
        (new().instrument("VI"), &[]),
        (new().tenor("5Y"), &["a1", "b1"]),
        (new().tenor(""), &[]),
        (new().name_prefix("a"), &["a1", "a2"]),
        (new().name_prefix("1"), &[]),
        (new().metadata("source", "CBOE"), &["A1", "a1", "b1"]),
        (new().metadata("n", 1), &["A1", "b1"]),
        (new().metadata("nope", 1), &[]),
        (overlaps("2024-01-31", "2024-02-01")?, &["a1", "b2"]),
        (overlaps("2024-02-16", "2025-01-01")?, &["a2"]),
        (overlaps("2023-01-01", "2024-01-01")?, &[]),
        (overlaps("2024-01-20", "2024-01-20")?, &[]),
        (new().overlaps(TimeRange::all()), &["a1", "a2", "b2"]),
        (new().name_pattern("*1"), &["A1", "a1", "b1"]),
        (new().name_pattern("a?"), &["a1", "a2"]),
        (new().name_pattern("a"), &[]),
        (new().name_pattern(r"a\*"), &[]),
        (new().derived_from(name("a1")?), &["a2"]),
        (new().derived_from(name("b*")?), &["a2"]),
        (new().derived_from(name("A1")?), &[]),
        (covers("2024-01-01", "2024-01-31")?, &["a1"]),
        (covers("2024-01-15", "2024-01-31")?, &["a1", "b2"]),
        (covers("2024-01-15", "2024-02-15")?, &["b2"]),
        (covers("2024-01-01", "2024-02-29")?, &[]),
        (covers("2023-12-31", "2024-01-31")?, &[]),
        (new().covers(TimeRange::all()), &[]),
        (
            new().covers(TimeRange::since(parse_timestamp("2024-01-15")?)),
            &[],
        ),
    ];
    for (filter, expected) in expected {
        ensure_eq!(
            listed(&repo, &filter).await?,
            expected,
            "what matches {filter:?}"
        );
    }
    Ok(())
}

pub(super) async fn conditions_on_datasets_hold_together(store: Store) -> Outcome {
    let repo = store.open().await?;
    sample(&repo).await?;
    let vix = DatasetFilter::new().instrument("VIX");
    let expected: Vec<(DatasetFilter, &[&str])> = vec![
        (vix.clone().tenor("5Y"), &["a1"]),
        (vix.clone().name_prefix("A"), &["A1"]),
        (vix.clone().name_pattern("*1").tenor("5Y"), &["a1"]),
        (vix.clone().metadata("source", "CBOE"), &["A1", "a1"]),
        (
            vix.clone().metadata("source", "CBOE").metadata("n", 1),
            &["A1"],
        ),
        (vix.clone().tenor("5Y").metadata("source", "cboe"), &[]),
        (
            vix.overlaps(TimeRange::since(parse_timestamp("2024-02-01")?)),
            &["a2"],
        ),
    ];
    for (filter, expected) in expected {
        ensure_eq!(
            listed(&repo, &filter).await?,
            expected,
            "what matches {filter:?}"
        );
    }
    Ok(())
}

pub(super) async fn datasets_are_listed_in_ascending_order(store: Store) -> Outcome {
    let repo = store.open().await?;
    for name in ["m", "b", "Z", "a_", "é", "a", "zz", "z", "10", "9"] {
        repo.register(&entry(name, 0)?, SaveMode::Create).await?;
    }
    let expected = ["10", "9", "Z", "a", "a_", "b", "m", "z", "zz", "é"];
    ensure_eq!(
        listed(&repo, &DatasetFilter::new()).await?,
        expected,
        "ascending names"
    );
    repo.register(&entry("b", 1)?, SaveMode::Upsert).await?;
    ensure_eq!(
        listed(&repo, &DatasetFilter::new()).await?,
        expected,
        "ascending names after a change"
    );
    Ok(())
}

/// Names that are as odd as ids of decisions, and some that those cannot have.
fn names() -> BTreeMap<String, i64> {
    let mut all = nasty_ids();
    all.extend(
        [
            "a/b",
            "a\\b",
            "..",
            "../x",
            "/",
            "a..b",
            "__proto__",
            "datasets",
            "version",
            "metadata",
        ]
        .map(String::from),
    );
    all.into_iter().zip(0..).collect()
}

pub(super) async fn names_of_any_kind_do_not_mix(store: Store) -> Outcome {
    let repo = store.open().await?;
    let names = names();
    for (name, n) in &names {
        let registered = repo.register(&entry(name, *n)?, SaveMode::Create).await;
        registered.map_err(|error| {
            Failure::from(error).context(format!("registering the valid name {name:?}"))
        })?;
    }
    for (name, n) in &names {
        let found = there(&repo, name).await?.entry;
        ensure_eq!(
            (found.name.as_str(), found.metadata.get("n")),
            (name.as_str(), Some(&(*n).into())),
            "the entry of {name:?}"
        );
    }
    let found = listed(&repo, &DatasetFilter::new()).await?;
    ensure!(
        found.iter().eq(names.keys()),
        "the list is {found:?} and not {:?}",
        names.keys()
    );
    Ok(())
}

pub(super) async fn removing_touches_no_other_entry(store: Store) -> Outcome {
    let repo = store.open().await?;
    let names = names();
    for (name, n) in &names {
        repo.register(&entry(name, *n)?, SaveMode::Create).await?;
    }
    let mut left: BTreeMap<String, String> = BTreeMap::new();
    for stored in repo.list(&DatasetFilter::new()).await? {
        left.insert(stored.entry.name.to_string(), line(&stored)?);
    }
    for (n, text) in names.keys().enumerate() {
        ensure!(
            repo.remove(&name(text)?).await?,
            "the removal of {text:?} finds it"
        );
        left.remove(text);
        ensure_eq!(
            repo.get(&name(text)?).await?,
            None,
            "get of the removed {text:?}"
        );
        if n % 8 == 0 || left.len() < 8 {
            let found = super::support::state(&repo).await?;
            ensure!(
                found.iter().eq(left.values()),
                "after removing {text:?} the catalog is {found:?} and not {:?}",
                left.values()
            );
        }
    }
    Ok(())
}
