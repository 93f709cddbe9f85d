//! Entries made and read in the short form that the cases use.

use std::sync::Arc;

use minutebook_core::time::{WrittenTime, parse_timestamp};
use minutebook_core::{
    Capability, Catalog, Column, Contents, DatasetEntry, DatasetFilter, DatasetName, SaveMode,
    Statistics, StoredEntry,
};
use serde_json::json;

use crate::case::{Failure, Outcome};
use crate::harness::Fixture;

pub(crate) type Store = Fixture<dyn Catalog>;
pub(crate) type Repo = Arc<dyn Catalog>;

/// An update of whatever is there.
pub(crate) const UPDATE: SaveMode = SaveMode::Update { expected: None };

pub(crate) fn name(text: &str) -> Outcome<DatasetName> {
    Ok(DatasetName::new(text)?)
}

/// A small entry with a number that tells states apart.
pub(crate) fn entry(text: &str, n: i64) -> Outcome<DatasetEntry> {
    Ok(DatasetEntry::new(name(text)?, "VIX", "data/vix.parquet").with_metadata("n", n))
}

/// An entry in which every field is set, unknown ones included.
pub(crate) fn full(text: &str) -> Outcome<DatasetEntry> {
    let mut entry = DatasetEntry::new(name(text)?, "CDX.NA.IG", "C:\\data\\cdx \"ig\".parquet")
        .with_tenor("5Y")
        .with_statistics(Statistics {
            rows: 1_305,
            first: Some(parse_timestamp("2014-01-03")?),
            last: Some(parse_timestamp("2019-01-03T00:00:00.123456789Z")?),
        })
        .with_metadata("source", "CBOE")
        .with_metadata("nested", json!({"z": [1, 2.5, null], "a": {"": "é\n"}}))
        .with_metadata("", "an empty key");
    entry.derived_from = vec![name("raw/cdx é")?, name("absent")?];
    entry.retrieved_at = Some(WrittenTime::new("2024-05-01T09:00:00+02:00"));
    entry.ttl_seconds = Some(86_400);
    entry.contents = Some(contents("a"));
    entry
        .ours
        .insert("of_a_later_version".into(), json!({"z": 1, "a": null}));
    // As the original Python wrote it: without an offset. The text must survive.
    entry.registered_at = Some("2024-05-01T10:00:00.123456".to_owned().into());
    entry.last_updated = Some("2024-05-02".to_owned().into());
    entry.extra.insert("checked_by".into(), json!("me"));
    entry
        .extra
        .insert("zeta".into(), json!({"b": 1, "a": [true]}));
    entry.extra.insert("alpha".into(), json!(null));
    Ok(entry)
}

/// What data of which this is the digest is like.
pub(crate) fn contents(digest: &str) -> Contents {
    Contents {
        bytes: Some(u64::MAX),
        columns: vec![Column {
            name: "close é".into(),
            data_type: "Float64".into(),
        }],
        digest: Some(format!("file-blake3:{digest}")),
        changed_at: Some(WrittenTime::new("2024-05-01T09:00:00.123456789Z")),
    }
}

/// The entry of this name, which must be there.
pub(crate) async fn there(repo: &Repo, text: &str) -> Outcome<StoredEntry> {
    let found = repo.get(&name(text)?).await?;
    found.ok_or_else(|| Failure::new(format!("the dataset {text:?} is not there")))
}

/// A whole catalog, for "nothing changed"; the JSON text shows the order of keys too.
pub(crate) async fn state(repo: &Repo) -> Outcome<Vec<String>> {
    let entries = repo.list(&DatasetFilter::new()).await?;
    entries.iter().map(line).collect()
}

pub(crate) fn line(stored: &StoredEntry) -> Outcome<String> {
    Ok(format!(
        "{} {} {}",
        stored.entry.name,
        stored.revision,
        text(&stored.entry)?
    ))
}

/// An entry as JSON text.
pub(crate) fn text(entry: &DatasetEntry) -> Outcome<String> {
    serde_json::to_string(entry).map_err(|error| Failure::new(error.to_string()))
}

pub(crate) async fn listed(repo: &Repo, filter: &DatasetFilter) -> Outcome<Vec<String>> {
    let entries = repo.list(filter).await?;
    Ok(entries
        .iter()
        .map(|stored| stored.entry.name.to_string())
        .collect())
}

/// Several handles on one catalog: truly several where the backend shares, else clones of one.
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
