//! Changes to entries.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::entry::check_metadata;
use super::{Contents, DatasetEntry, DatasetName, Statistics};
use crate::error::Result;
use crate::id::Revision;
use crate::time::WrittenTime;

/// A change to an entry: what is `None` stays as it is.
///
/// ```
/// use minutebook_core::DatasetChange;
///
/// let change = DatasetChange::new().file_path("data/moved.parquet").metadata("source", "CBOE");
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct DatasetChange {
    /// A new instrument.
    pub instrument: Option<String>,
    /// A new tenor; `Some(None)` takes it away.
    pub tenor: Option<Option<String>>,
    /// A new place.
    pub file_path: Option<String>,
    /// New statistics. The catalog stamps `last_updated`.
    pub statistics: Option<Statistics>,
    /// What the data is like now.
    pub contents: Option<Contents>,
    /// When it was retrieved; `Some(None)` takes it away.
    pub retrieved_at: Option<Option<WrittenTime>>,
    /// A new time to live; `Some(None)` takes it away.
    pub ttl_seconds: Option<Option<u64>>,
    /// What it was made from.
    pub derived_from: Option<Vec<DatasetName>>,
    /// Fields of metadata to set; `null` takes one away.
    pub metadata: Map<String, Value>,
    /// Only if the entry is still in this state, else `Conflict`.
    pub expected: Option<Revision>,
}

impl DatasetChange {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the instrument.
    #[must_use]
    pub fn instrument(mut self, instrument: impl Into<String>) -> Self {
        self.instrument = Some(instrument.into());
        self
    }

    /// Sets the tenor, or takes it away.
    #[must_use]
    pub fn tenor(mut self, tenor: Option<String>) -> Self {
        self.tenor = Some(tenor);
        self
    }

    /// Sets the place.
    #[must_use]
    pub fn file_path(mut self, file_path: impl Into<String>) -> Self {
        self.file_path = Some(file_path.into());
        self
    }

    /// Sets the statistics.
    #[must_use]
    pub fn statistics(mut self, statistics: Statistics) -> Self {
        self.statistics = Some(statistics);
        self
    }

    /// Sets what the data is like.
    #[must_use]
    pub fn contents(mut self, contents: Contents) -> Self {
        self.contents = Some(contents);
        self
    }

    /// Sets when it was retrieved, or takes that away.
    #[must_use]
    pub fn retrieved_at(mut self, time: Option<WrittenTime>) -> Self {
        self.retrieved_at = Some(time);
        self
    }

    /// Sets the time to live, or takes it away.
    #[must_use]
    pub fn ttl_seconds(mut self, seconds: Option<u64>) -> Self {
        self.ttl_seconds = Some(seconds);
        self
    }

    /// Sets what it was made from.
    #[must_use]
    pub fn derived_from(mut self, parents: impl IntoIterator<Item = DatasetName>) -> Self {
        self.derived_from = Some(parents.into_iter().collect());
        self
    }

    /// Sets a field of metadata; `null` takes it away.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Only if the entry is still in this state.
    #[must_use]
    pub fn expecting(mut self, revision: Revision) -> Self {
        self.expected = Some(revision);
        self
    }

    /// Whether a catalog may take it.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it sets the metadata key [`DatasetEntry::OURS`].
    pub fn check(&self) -> Result<()> {
        check_metadata(&self.metadata)
    }

    /// Applies the change to an entry; `now` stamps `last_updated` where statistics are set, and when the data was seen to have changed
    /// where its digest is another one. Says whether anything changed.
    pub fn apply(&self, entry: &mut DatasetEntry, now: DateTime<Utc>) -> bool {
        let before = entry.clone();
        if let Some(instrument) = &self.instrument {
            entry.instrument.clone_from(instrument);
        }
        if let Some(tenor) = &self.tenor {
            entry.tenor.clone_from(tenor);
        }
        if let Some(file_path) = &self.file_path {
            entry.file_path.clone_from(file_path);
        }
        if let Some(statistics) = self.statistics {
            entry.set_statistics(statistics);
            entry.last_updated = Some(now.into());
        }
        if let Some(contents) = &self.contents {
            let mut contents = contents.clone();
            if contents.changed_at.is_none() {
                contents.changed_at = match &before.contents {
                    Some(before) if before.same_data(&contents) => before.changed_at.clone(),
                    _ => Some(now.into()),
                };
            }
            entry.contents = Some(contents);
        }
        if let Some(retrieved_at) = &self.retrieved_at {
            entry.retrieved_at.clone_from(retrieved_at);
        }
        if let Some(ttl_seconds) = self.ttl_seconds {
            entry.ttl_seconds = ttl_seconds;
        }
        if let Some(derived_from) = &self.derived_from {
            entry.derived_from.clone_from(derived_from);
        }
        for (key, value) in &self.metadata {
            if value.is_null() {
                entry.metadata.shift_remove(key);
            } else {
                entry.metadata.insert(key.clone(), value.clone());
            }
        }
        *entry != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_timestamp;

    #[test]
    fn a_change_touches_what_it_names() {
        let now = parse_timestamp("2025-01-01").unwrap();
        let mut entry = DatasetEntry::new("a".parse().unwrap(), "VIX", "a.parquet")
            .with_tenor("5Y")
            .with_metadata("x", 1);
        assert!(!DatasetChange::new().apply(&mut entry, now));
        assert!(
            DatasetChange::new()
                .tenor(None)
                .metadata("x", Value::Null)
                .apply(&mut entry, now)
        );
        assert_eq!((&entry.tenor, entry.metadata.len()), (&None, 0));
        let statistics = Statistics {
            rows: 5,
            ..Statistics::default()
        };
        assert!(
            DatasetChange::new()
                .statistics(statistics)
                .apply(&mut entry, now)
        );
        assert_eq!(entry.last_updated.unwrap().instant(), Some(now));
        assert_eq!(entry.instrument, "VIX");
    }

    #[test]
    fn the_time_of_a_change_of_the_data_stays_until_the_next() {
        let at = |day: &str| parse_timestamp(day).unwrap();
        let digest = |text: &str| {
            DatasetChange::new().contents(Contents {
                digest: Some(text.to_owned()),
                ..Contents::default()
            })
        };
        let mut entry = DatasetEntry::new("a".parse().unwrap(), "VIX", "a.parquet");
        digest("version:1").apply(&mut entry, at("2025-01-01"));
        assert!(!digest("version:1").apply(&mut entry, at("2025-01-02")));
        assert_eq!(entry.data_time(), Some(at("2025-01-01")));
        digest("version:2").apply(&mut entry, at("2025-01-03"));
        assert_eq!(entry.data_time(), Some(at("2025-01-03")));
    }
}
