//! The serialised form of an entry: the original's nine keys, with what is ours inside `metadata`.

use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{DatasetEntry, DatasetName};
use crate::time::WrittenTime;

const RETRIEVED_AT: &str = "retrieved_at";
const TTL_SECONDS: &str = "ttl_seconds";
const DERIVED_FROM: &str = "derived_from";
const CONTENTS: &str = "contents";

#[derive(Serialize)]
struct Written<'a> {
    instrument: &'a str,
    tenor: &'a Option<String>,
    file_path: &'a str,
    start_date: &'a Option<WrittenTime>,
    end_date: &'a Option<WrittenTime>,
    row_count: Option<u64>,
    registered_at: &'a Option<WrittenTime>,
    last_updated: &'a Option<WrittenTime>,
    metadata: Metadata<'a>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

/// The user's metadata, then ours.
struct Metadata<'a> {
    given: &'a Map<String, Value>,
    ours: Map<String, Value>,
}

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.given {
            map.serialize_entry(key, value)?;
        }
        if !self.ours.is_empty() {
            map.serialize_entry(DatasetEntry::OURS, &self.ours)?;
        }
        map.end()
    }
}

#[derive(Deserialize)]
struct Read {
    instrument: String,
    #[serde(default)]
    tenor: Option<String>,
    file_path: String,
    #[serde(default)]
    start_date: Option<WrittenTime>,
    #[serde(default)]
    end_date: Option<WrittenTime>,
    #[serde(default)]
    row_count: Option<u64>,
    #[serde(default)]
    registered_at: Option<WrittenTime>,
    #[serde(default)]
    last_updated: Option<WrittenTime>,
    #[serde(default)]
    metadata: Map<String, Value>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl Serialize for DatasetEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut ours = self.ours.clone();
        let mut put = |key: &str, value: Value| {
            ours.insert(key.to_owned(), value);
        };
        if let Some(time) = &self.retrieved_at {
            put(RETRIEVED_AT, json!(time));
        }
        if let Some(seconds) = self.ttl_seconds {
            put(TTL_SECONDS, seconds.into());
        }
        if !self.derived_from.is_empty() {
            put(DERIVED_FROM, json!(self.derived_from));
        }
        if let Some(contents) = &self.contents {
            put(CONTENTS, json!(contents));
        }
        Written {
            instrument: &self.instrument,
            tenor: &self.tenor,
            file_path: &self.file_path,
            start_date: &self.start_date,
            end_date: &self.end_date,
            row_count: self.row_count,
            registered_at: &self.registered_at,
            last_updated: &self.last_updated,
            metadata: Metadata {
                given: &self.metadata,
                ours,
            },
            extra: &self.extra,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DatasetEntry {
    /// The name, which is the key outside, is yet to be put in its place.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut read = Read::deserialize(deserializer)?;
        // What is under our key and no object is somebody else's.
        let ours = match read.metadata.get_mut(Self::OURS) {
            Some(Value::Object(ours)) => Some(std::mem::take(ours)),
            _ => None,
        };
        if ours.is_some() {
            read.metadata.shift_remove(Self::OURS);
        }
        let mut ours = ours.unwrap_or_default();
        Ok(Self {
            name: DatasetName::unnamed(),
            instrument: read.instrument,
            tenor: read.tenor,
            file_path: read.file_path,
            start_date: read.start_date,
            end_date: read.end_date,
            row_count: read.row_count,
            registered_at: read.registered_at,
            last_updated: read.last_updated,
            metadata: read.metadata,
            retrieved_at: take(&mut ours, RETRIEVED_AT),
            ttl_seconds: take(&mut ours, TTL_SECONDS),
            derived_from: take(&mut ours, DERIVED_FROM).unwrap_or_default(),
            contents: take(&mut ours, CONTENTS),
            ours,
            extra: read.extra,
        })
    }
}

/// Takes out what can be read as it is meant; what cannot stays, and so survives.
fn take<T: DeserializeOwned>(ours: &mut Map<String, Value>, key: &str) -> Option<T> {
    let value = T::deserialize(ours.get(key)?).ok()?;
    ours.shift_remove(key);
    Some(value)
}

impl DatasetName {
    /// Stands in while an entry is read, until the key that it stood under is put in its place.
    fn unnamed() -> Self {
        Self("unnamed".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Contents};

    #[test]
    fn an_entry_of_the_original_keeps_every_key() {
        let text = r#"{"instrument":"VIX","tenor":null,"file_path":"C:\\data\\vix.parquet","start_date":"2014-01-03T00:00:00","end_date":null,"row_count":1305,"registered_at":"2024-05-01T10:00:00.123456","last_updated":null,"metadata":{"source":"CBOE"},"checked_by":"me"}"#;
        let entry: DatasetEntry = serde_json::from_str(text).unwrap();
        assert_eq!(entry.extra["checked_by"], "me");
        assert_eq!(entry.source(), Some("CBOE"));
        assert_eq!(serde_json::to_string(&entry).unwrap(), text);
    }

    #[test]
    fn what_is_ours_lies_inside_the_metadata_and_comes_back() {
        let entry = DatasetEntry::new(DatasetName::unnamed(), "VIX", "x.parquet")
            .with_source("CBOE")
            .with_retrieved_at(WrittenTime::new("2025-01-01T00:00:00"))
            .with_ttl_seconds(60)
            .with_derived_from(["a".parse().unwrap(), "b".parse().unwrap()])
            .with_contents(Contents {
                bytes: Some(5),
                columns: vec![Column {
                    name: "close".into(),
                    data_type: "Float64".into(),
                }],
                digest: Some("version:3".into()),
                changed_at: None,
            });
        let value = serde_json::to_value(&entry).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 9);
        assert_eq!(
            value["metadata"],
            json!({"source": "CBOE", "minutebook": {
                "retrieved_at": "2025-01-01T00:00:00", "ttl_seconds": 60, "derived_from": ["a", "b"],
                "contents": {"bytes": 5, "columns": [{"name": "close", "type": "Float64"}], "digest": "version:3"},
            }})
        );
        assert_eq!(
            serde_json::from_value::<DatasetEntry>(value).unwrap(),
            entry
        );
    }

    #[test]
    fn what_is_under_our_key_and_not_as_we_know_it_survives() {
        for ours in [
            "5",
            r#"{"later":{"a":1}}"#,
            r#"{"ttl_seconds":"a day","derived_from":[""]}"#,
        ] {
            let text = format!(
                r#"{{"instrument":"","tenor":null,"file_path":"","start_date":null,"end_date":null,"row_count":null,"registered_at":null,"last_updated":null,"metadata":{{"minutebook":{ours}}}}}"#
            );
            let entry: DatasetEntry = serde_json::from_str(&text).unwrap();
            assert_eq!((entry.ttl_seconds, entry.derived_from.len()), (None, 0));
            assert_eq!(serde_json::to_string(&entry).unwrap(), text);
        }
    }
}
