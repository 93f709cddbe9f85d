//! What the catalog knows of a dataset.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{Contents, DatasetName, Statistics};
use crate::error::{Error, Result};
use crate::id::Revision;
use crate::time::WrittenTime;

/// A dataset: a file or a series, what is in it, from when to when, and where it comes from.
///
/// The serialised form is one entry of the original registry: the name is the key outside, and what the original does not know lies in the
/// object [`OURS`](Self::OURS) inside `metadata`, which the original keeps and does not look at. Unknown keys survive in
/// [`extra`](Self::extra) and [`ours`](Self::ours).
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetEntry {
    /// What it is called.
    pub name: DatasetName,
    /// The instrument, for example `CDX.NA.IG` or `BTCUSD`.
    pub instrument: String,
    /// The tenor (`5Y`) or timeframe (`1h`), where there is one.
    pub tenor: Option<String>,
    /// Where it is: a path, or a series of the store as `series:BTCUSD@1h` or `ticks:BTCUSD@ticks`.
    pub file_path: String,
    /// The first timestamp in it.
    pub start_date: Option<WrittenTime>,
    /// The last timestamp in it.
    pub end_date: Option<WrittenTime>,
    /// The number of rows.
    pub row_count: Option<u64>,
    /// When it was registered. A catalog sets it where it is missing.
    pub registered_at: Option<WrittenTime>,
    /// When its statistics were last brought up to date.
    pub last_updated: Option<WrittenTime>,
    /// Whatever else the user wants to keep, but nothing under [`OURS`](Self::OURS).
    pub metadata: Map<String, Value>,
    /// When the data was fetched from its source, or made.
    pub retrieved_at: Option<WrittenTime>,
    /// For how many seconds after that it is good.
    pub ttl_seconds: Option<u64>,
    /// The datasets that it was made from.
    pub derived_from: Vec<DatasetName>,
    /// What the data was like when its statistics were taken.
    pub contents: Option<Contents>,
    /// What is in `metadata.minutebook` and unknown to this version, kept as it is.
    pub ours: Map<String, Value>,
    /// Keys that Minutebook does not know, kept as they are.
    pub extra: Map<String, Value>,
}

impl DatasetEntry {
    /// The key in `metadata` under which the serialised form keeps what the original registry does not know.
    pub const OURS: &str = "minutebook";

    /// A dataset of which nothing but this is known.
    pub fn new(
        name: DatasetName,
        instrument: impl Into<String>,
        file_path: impl Into<String>,
    ) -> Self {
        Self {
            name,
            instrument: instrument.into(),
            tenor: None,
            file_path: file_path.into(),
            start_date: None,
            end_date: None,
            row_count: None,
            registered_at: None,
            last_updated: None,
            metadata: Map::new(),
            retrieved_at: None,
            ttl_seconds: None,
            derived_from: Vec::new(),
            contents: None,
            ours: Map::new(),
            extra: Map::new(),
        }
    }

    /// With a tenor or timeframe.
    #[must_use]
    pub fn with_tenor(mut self, tenor: impl Into<String>) -> Self {
        self.tenor = Some(tenor.into());
        self
    }

    /// With what is known of its rows.
    #[must_use]
    pub fn with_statistics(mut self, statistics: Statistics) -> Self {
        self.set_statistics(statistics);
        self
    }

    pub(super) fn set_statistics(&mut self, statistics: Statistics) {
        self.row_count = Some(statistics.rows);
        self.start_date = statistics.first.map(WrittenTime::from);
        self.end_date = statistics.last.map(WrittenTime::from);
    }

    /// With what its data is like.
    #[must_use]
    pub fn with_contents(mut self, contents: Contents) -> Self {
        self.contents = Some(contents);
        self
    }

    /// With a field of metadata.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// With where the data comes from: the field `source` of the metadata, which the original's users set too.
    #[must_use]
    pub fn with_source(self, source: impl Into<String>) -> Self {
        self.with_metadata("source", source.into())
    }

    /// With when the data was fetched from its source, or made.
    #[must_use]
    pub fn with_retrieved_at(mut self, time: impl Into<WrittenTime>) -> Self {
        self.retrieved_at = Some(time.into());
        self
    }

    /// With for how many seconds after its retrieval the data is good.
    #[must_use]
    pub fn with_ttl_seconds(mut self, seconds: u64) -> Self {
        self.ttl_seconds = Some(seconds);
        self
    }

    /// With the datasets that it was made from.
    #[must_use]
    pub fn with_derived_from(mut self, parents: impl IntoIterator<Item = DatasetName>) -> Self {
        self.derived_from = parents.into_iter().collect();
        self
    }

    /// Where the data comes from: the field `source` of the metadata, if it is text.
    pub fn source(&self) -> Option<&str> {
        self.metadata.get("source").and_then(Value::as_str)
    }

    /// The first and the last instant of the data, if both are known.
    pub fn span(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let first = self.start_date.as_ref().and_then(WrittenTime::instant);
        let last = self.end_date.as_ref().and_then(WrittenTime::instant);
        first.zip(last)
    }

    /// How new the data is: when it was retrieved, or when its digest was seen to change, whichever is later; where neither is known, when
    /// the dataset was registered.
    pub fn data_time(&self) -> Option<DateTime<Utc>> {
        let instant = |time: &Option<WrittenTime>| time.as_ref().and_then(WrittenTime::instant);
        let changed = self
            .contents
            .as_ref()
            .and_then(|contents| instant(&contents.changed_at));
        instant(&self.retrieved_at)
            .max(changed)
            .or_else(|| instant(&self.registered_at))
    }

    /// When its time to live is over: so many seconds after it was retrieved, or, where that is not known, registered. `None` if it has
    /// no time to live.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        let since = self.retrieved_at.as_ref().or(self.registered_at.as_ref());
        let since = since.and_then(WrittenTime::instant)?;
        let ttl = i64::try_from(self.ttl_seconds?).ok()?;
        since.checked_add_signed(TimeDelta::try_seconds(ttl)?)
    }

    /// Puts another name in the place of a parent's, and says whether it was one. What catalogs do when a dataset is renamed.
    pub fn rename_parent(&mut self, from: &DatasetName, to: &DatasetName) -> bool {
        let mut found = false;
        for parent in &mut self.derived_from {
            if parent == from {
                *parent = to.clone();
                found = true;
            }
        }
        found
    }

    /// Whether a catalog may take it.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if its metadata has the key [`OURS`](Self::OURS), which is kept for Minutebook.
    pub fn check(&self) -> Result<()> {
        check_metadata(&self.metadata)
    }
}

pub(super) fn check_metadata(metadata: &Map<String, Value>) -> Result<()> {
    if metadata.contains_key(DatasetEntry::OURS) {
        return Err(Error::invalid(format!(
            "the metadata key \"{}\" is kept for the catalog itself; use another",
            DatasetEntry::OURS
        )));
    }
    Ok(())
}

/// An entry as a catalog holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEntry {
    /// The entry.
    pub entry: DatasetEntry,
    /// Which state of it this is.
    pub revision: Revision,
}
