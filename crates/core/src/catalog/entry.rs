//! What the catalog knows of a dataset, and changes to it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::DatasetName;
use crate::id::Revision;
use crate::time::WrittenTime;

/// What is known of a dataset's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// The number of rows.
    pub rows: u64,
    /// The first timestamp, UTC.
    pub first: Option<DateTime<Utc>>,
    /// The last timestamp, UTC.
    pub last: Option<DateTime<Utc>>,
}

/// A dataset: a file or a series, what is in it, and from when to when.
///
/// The serialised form is one entry of the original registry: the name is the key outside, every other field is a key of the same name;
/// unknown keys survive in [`extra`](Self::extra).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetEntry {
    /// What it is called.
    #[serde(skip, default = "placeholder")]
    pub name: DatasetName,
    /// The instrument, for example `CDX.NA.IG` or `BTCUSD`.
    pub instrument: String,
    /// The tenor (`5Y`) or timeframe (`1h`), where there is one.
    #[serde(default)]
    pub tenor: Option<String>,
    /// Where it is: a path, or a series of the store as `series:BTCUSD@1h` or `ticks:BTCUSD@ticks`.
    pub file_path: String,
    /// The first timestamp in it.
    #[serde(default)]
    pub start_date: Option<WrittenTime>,
    /// The last timestamp in it.
    #[serde(default)]
    pub end_date: Option<WrittenTime>,
    /// The number of rows.
    #[serde(default)]
    pub row_count: Option<u64>,
    /// When it was registered. A catalog sets it where it is missing.
    #[serde(default)]
    pub registered_at: Option<WrittenTime>,
    /// When its statistics were last brought up to date.
    #[serde(default)]
    pub last_updated: Option<WrittenTime>,
    /// Whatever else the user wants to keep.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Keys that Minutebook does not know, kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Stands in while an entry is read, until the key that it stood under is put in its place.
fn placeholder() -> DatasetName {
    DatasetName::unnamed()
}

impl DatasetName {
    fn unnamed() -> Self {
        Self("unnamed".into())
    }
}

impl DatasetEntry {
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

    fn set_statistics(&mut self, statistics: Statistics) {
        self.row_count = Some(statistics.rows);
        self.start_date = statistics.first.map(WrittenTime::from);
        self.end_date = statistics.last.map(WrittenTime::from);
    }

    /// With a field of metadata.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}

/// An entry as a catalog holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEntry {
    /// The entry.
    pub entry: DatasetEntry,
    /// Which state of it this is.
    pub revision: Revision,
}

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

    /// Applies the change to an entry; `now` stamps `last_updated` where statistics are set. Says whether anything changed.
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
    fn an_entry_of_the_original_keeps_every_key() {
        let text = r#"{"instrument":"VIX","tenor":null,"file_path":"C:\\data\\vix.parquet","start_date":"2014-01-03T00:00:00","end_date":null,"row_count":1305,"registered_at":"2024-05-01T10:00:00.123456","last_updated":null,"metadata":{"source":"CBOE"},"checked_by":"me"}"#;
        let entry: DatasetEntry = serde_json::from_str(text).unwrap();
        assert_eq!(entry.extra["checked_by"], "me");
        assert_eq!(
            serde_json::to_value(&entry).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
        assert_eq!(serde_json::to_string(&entry).unwrap(), text);
    }

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
        assert!(
            DatasetChange::new()
                .statistics(Statistics {
                    rows: 5,
                    ..Statistics::default()
                })
                .apply(&mut entry, now)
        );
        assert_eq!(entry.last_updated.unwrap().instant(), Some(now));
        assert_eq!(entry.instrument, "VIX");
    }
}
