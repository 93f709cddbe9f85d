//! A decision: a JSON object with typed access to the fields that Minutebook knows.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Action, DecisionId};
use crate::error::{Error, Result};
use crate::id::shown;
use crate::json::{RawObject, push_string};
use crate::time::{format_timestamp, parse_timestamp};

/// One trading decision: a JSON object of which only `id` is required.
///
/// Known fields (`id`, `timestamp`, `asset_pair`, `action`, `confidence`) have typed accessors. Everything
/// else, and the text of every value, survives unchanged and in order: what a caller saved is what comes back.
///
/// ```
/// use minutebook_core::{Action, Decision, DecisionId};
///
/// let mut decision = Decision::new(DecisionId::new("d-1")?)
///     .with_asset_pair("BTCUSD")
///     .with_action(Action::Buy)
///     .with_confidence(0.8)?;
/// decision.set("market_data", &serde_json::json!({"close": 50500.0}))?;
/// assert_eq!(decision.pointer("/market_data/close"), Some(serde_json::json!(50500.0)));
/// assert_eq!(decision.timestamp(), None);
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Decision {
    id: DecisionId,
    timestamp: Option<DateTime<Utc>>,
    fields: RawObject,
}

impl Decision {
    /// A decision with an id and nothing else.
    pub fn new(id: DecisionId) -> Self {
        let mut fields = RawObject::default();
        set_text(&mut fields, "id", id.as_str());
        Self {
            id,
            timestamp: None,
            fields,
        }
    }

    /// Reads a decision from JSON text.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is no JSON object (with line and column), has a key twice, has no `id`
    /// or one that breaks the rules of [`DecisionId`], or a `timestamp` that is no timestamp.
    pub fn from_json(text: &str) -> Result<Self> {
        let fields = RawObject::parse(text).map_err(|error| {
            Error::invalid(format!("not a decision document: {error}")).with_source(error)
        })?;
        Self::from_fields(fields)
    }

    /// Makes a decision of any value that serialises as a JSON object with an `id`.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json); also for NaN and infinity, which JSON does not have.
    pub fn from_value(value: &impl Serialize) -> Result<Self> {
        Self::from_json(&to_json("document", value)?)
    }

    /// Makes a decision of parsed fields.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_fields(fields: RawObject) -> Result<Self> {
        let id = match fields.get("id") {
            None => return Err(Error::invalid("the document has no \"id\"")),
            Some(raw) => serde_json::from_str::<String>(raw)
                .map_err(|_| Error::invalid(format!("the \"id\" is no string: {}", shown(raw))))?,
        };
        let id = DecisionId::new(id)?;
        let timestamp = match fields.get("timestamp") {
            None | Some("null") => None,
            Some(raw) => {
                let text = serde_json::from_str::<String>(raw).map_err(|_| {
                    Error::invalid(format!("the \"timestamp\" is no string: {}", shown(raw)))
                        .with_resource(&id)
                })?;
                Some(parse_timestamp(&text)?)
            }
        };
        Ok(Self {
            id,
            timestamp,
            fields,
        })
    }

    /// The id.
    pub fn id(&self) -> &DecisionId {
        &self.id
    }

    /// When the decision was made, UTC. Its text as written is `raw("timestamp")`.
    pub fn timestamp(&self) -> Option<DateTime<Utc>> {
        self.timestamp
    }

    /// What it is about, for example `BTCUSD`.
    pub fn asset_pair(&self) -> Option<String> {
        self.read("asset_pair")
    }

    /// What it says to do.
    pub fn action(&self) -> Option<Action> {
        self.read::<String>("action")
            .map(|text| Action::from(text.as_str()))
    }

    /// How sure it is, on the author's own scale (some write 0 to 1, some 0 to 100).
    pub fn confidence(&self) -> Option<f64> {
        self.read("confidence")
    }

    /// A field's JSON text as it was written, white space outside strings aside.
    pub fn raw(&self, field: &str) -> Option<&str> {
        self.fields.get(field)
    }

    /// A field as a JSON value.
    pub fn get(&self, field: &str) -> Option<Value> {
        self.read(field)
    }

    /// A value inside the document by JSON pointer (RFC 6901), for example `/market_data/close`.
    pub fn pointer(&self, pointer: &str) -> Option<Value> {
        if pointer.is_empty() {
            return serde_json::from_str(&self.to_json()).ok();
        }
        let rest = pointer.strip_prefix('/')?;
        let (first, rest) = rest
            .split_once('/')
            .map_or((rest, None), |(a, b)| (a, Some(b)));
        let value: Value = self.read(&first.replace("~1", "/").replace("~0", "~"))?;
        match rest {
            None => Some(value),
            Some(rest) => value.pointer(&format!("/{rest}")).cloned(),
        }
    }

    /// The fields in order.
    pub fn fields(&self) -> &RawObject {
        &self.fields
    }

    /// Sets a field, at its place if it is there and at the end if not.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the value does not serialise (NaN and infinity included), or
    /// would change the id or make the timestamp unreadable; the decision is then as it was.
    pub fn set(&mut self, field: &str, value: &impl Serialize) -> Result<()> {
        let text = to_json(field, value)?;
        let mut fields = self.fields.clone();
        fields.set(field, &text).map_err(|error| {
            Error::invalid(format!("the value of \"{field}\" is no JSON: {error}"))
                .with_source(error)
        })?;
        let changed = Self::from_fields(fields)?;
        if changed.id != self.id {
            return Err(Error::invalid(
                "the id of a decision cannot be changed; make a new decision",
            )
            .with_resource(&self.id));
        }
        *self = changed;
        Ok(())
    }

    /// Takes a field out and says whether it was there. The `id` stays.
    pub fn remove(&mut self, field: &str) -> bool {
        if field == "id" {
            return false;
        }
        if field == "timestamp" {
            self.timestamp = None;
        }
        self.fields.remove(field).is_some()
    }

    /// With the time of the decision.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: DateTime<Utc>) -> Self {
        set_text(&mut self.fields, "timestamp", &format_timestamp(timestamp));
        self.timestamp = Some(timestamp);
        self
    }

    /// With what it is about.
    #[must_use]
    pub fn with_asset_pair(mut self, asset_pair: impl AsRef<str>) -> Self {
        set_text(&mut self.fields, "asset_pair", asset_pair.as_ref());
        self
    }

    /// With what it says to do.
    #[must_use]
    pub fn with_action(mut self, action: impl Into<Action>) -> Self {
        set_text(&mut self.fields, "action", action.into().as_str());
        self
    }

    /// With how sure it is.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for NaN and infinity.
    pub fn with_confidence(mut self, confidence: f64) -> Result<Self> {
        self.set("confidence", &confidence)?;
        Ok(self)
    }

    /// The document as compact JSON on one line.
    pub fn to_json(&self) -> String {
        self.fields.to_compact()
    }

    /// The document indented by two blanks a level.
    pub fn to_json_pretty(&self) -> String {
        self.fields.to_pretty()
    }

    fn read<T: DeserializeOwned>(&self, field: &str) -> Option<T> {
        serde_json::from_str(self.fields.get(field)?).ok()
    }
}

fn set_text(fields: &mut RawObject, field: &str, text: &str) {
    let mut json = String::with_capacity(text.len() + 2);
    push_string(&mut json, text);
    // A JSON string is valid JSON, so this cannot fail.
    let set = fields.set(field, &json);
    debug_assert!(set.is_ok());
}

/// Serialises, and refuses what `serde_json` would silently turn into `null`.
fn to_json(what: &str, value: &impl Serialize) -> Result<String> {
    crate::json::to_text(value).map_err(|error| {
        Error::invalid(format!("the {what} cannot be written as JSON: {error}")).with_source(error)
    })
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decision({})", self.to_json())
    }
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.to_json()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Decision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <Box<RawValue>>::deserialize(deserializer)?;
        Self::from_json(raw.get()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_order_and_number_text_survive() {
        let text =
            r#"{"zeta":1.50,"id":"x","timestamp":"2025-01-01T00:00:00","n":1e400,"s":"\u00e9"}"#;
        let decision = Decision::from_json(text).unwrap();
        assert_eq!(decision.to_json(), text);
        assert_eq!(
            Decision::from_json(&decision.to_json_pretty()).unwrap(),
            decision
        );
    }

    #[test]
    fn a_document_must_be_an_object_with_a_valid_id() {
        for text in [
            "[]",
            "{}",
            r#"{"id": 5}"#,
            r#"{"id": ""}"#,
            r#"{"id": "a/b"}"#,
            r#"{"id": "x", "timestamp": "soon"}"#,
            r#"{"id": "x", "timestamp": 5}"#,
        ] {
            let error = Decision::from_json(text).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidInput, "{text}");
        }
    }

    #[test]
    fn setting_checks_before_it_changes() {
        let mut decision = Decision::from_json(r#"{"id":"x","a":1}"#).unwrap();
        assert!(decision.set("id", &"y").is_err());
        assert!(decision.set("a", &f64::NAN).is_err());
        assert!(decision.set("b", &vec![1.0, f64::INFINITY]).is_err());
        assert!(decision.set("timestamp", &"soon").is_err());
        assert_eq!(decision.to_json(), r#"{"id":"x","a":1}"#);
        decision.set("timestamp", &"2025-01-01").unwrap();
        assert!(decision.timestamp().is_some());
        assert!(decision.remove("timestamp") && decision.timestamp().is_none());
        assert!(!decision.remove("id"));
    }

    #[test]
    fn pointers_reach_in() {
        let decision = Decision::from_json(r#"{"id":"x","a/b":{"c~d":[10,20]}}"#).unwrap();
        assert_eq!(decision.pointer("/a~1b/c~0d/1"), Some(Value::from(20)));
        assert_eq!(decision.pointer("/nope/0"), None);
        assert_eq!(decision.pointer("nope"), None);
        assert!(decision.pointer("").is_some_and(|whole| whole.is_object()));
    }

    #[test]
    fn serde_keeps_the_text() {
        let text = r#"[{"id":"x","price":1.10}]"#;
        let decisions: Vec<Decision> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&decisions).unwrap(), text);
    }
}
