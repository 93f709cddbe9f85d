//! Counts by group: how many decisions each pair, action, day or value of a field has.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::Value;

use super::StoredDecision;
use crate::error::{Error, Result};
use crate::id::shown;

/// By what decisions are put into groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupBy {
    /// The asset pair; ASCII case does not distinguish, and the key is in upper case.
    Pair,
    /// The action.
    Action,
    /// The UTC day of the effective time ([`StoredDecision::time`]), as `2025-12-31`.
    Day,
    /// The value that a JSON pointer (RFC 6901) reaches. Numbers of one value are one group (`1` and `1.0`).
    Field(String),
}

impl GroupBy {
    /// What is wrong with it; every backend asks this first.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a field that is named by something else than a JSON pointer.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Field(pointer) if !pointer.starts_with('/') => Err(Error::invalid(
                "a field is named by a JSON pointer, which starts with a slash: /market_data/close",
            )
            .with_resource(shown(pointer))),
            _ => Ok(()),
        }
    }

    /// The group of a decision; `None` if it has not what the groups go by.
    pub fn key(&self, stored: &StoredDecision) -> Option<Value> {
        let decision = &stored.decision;
        match self {
            Self::Pair => decision
                .asset_pair()
                .map(|pair| Value::String(pair.to_ascii_uppercase())),
            Self::Action => decision
                .action()
                .map(|action| Value::String(action.as_str().to_owned())),
            Self::Day => Some(Value::String(
                stored.time().date_naive().format("%Y-%m-%d").to_string(),
            )),
            Self::Field(pointer) => decision.pointer(pointer).map(one_number),
        }
    }
}

/// Whole numbers that were written as fractions become integers, so that `1` and `1.0` are one group.
fn one_number(value: Value) -> Value {
    /// Up to here every integer has a 64-bit float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value.as_f64() {
        Some(float) if value.is_f64() && float.fract() == 0.0 && float.abs() < EXACT =>
        {
            #[allow(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            Value::from(float as i64)
        }
        _ => value,
    }
}

/// One group and how many decisions are in it.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupCount {
    /// What the decisions of this group have in common; `None` for those that have no such field.
    pub key: Option<Value>,
    /// How many they are; at least 1.
    pub count: u64,
}

/// Counts decisions by group, one after another.
///
/// ```
/// use minutebook_core::{Decision, GroupBy, Groups, Revision, StoredDecision};
///
/// let mut groups = Groups::new(GroupBy::Field("/executed".to_owned()));
/// for text in [r#"{"id":"a","executed":true}"#, r#"{"id":"b"}"#, r#"{"id":"c","executed":true}"#] {
///     let decision = Decision::from_json(text)?;
///     let stored = StoredDecision { decision, revision: Revision::new("1")?, recorded_at: Default::default() };
///     groups.add(&stored);
/// }
/// let counts: Vec<_> = groups.counts().into_iter().map(|group| (group.key, group.count)).collect();
/// assert_eq!(counts, [(Some(true.into()), 2), (None, 1)]);
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Groups {
    by: GroupBy,
    /// By the key's JSON text.
    counts: HashMap<Option<String>, GroupCount>,
}

impl Groups {
    /// No decision yet.
    pub fn new(by: GroupBy) -> Self {
        Self {
            by,
            counts: HashMap::new(),
        }
    }

    /// Counts one decision.
    pub fn add(&mut self, stored: &StoredDecision) {
        self.add_many(self.by.key(stored), 1);
    }

    /// Counts so many decisions of one group, for backends that know which those are without reading them.
    pub fn add_many(&mut self, key: Option<Value>, count: u64) {
        if count == 0 {
            return;
        }
        let text = key.as_ref().map(Value::to_string);
        let group = self
            .counts
            .entry(text)
            .or_insert(GroupCount { key, count: 0 });
        group.count += count;
    }

    /// The groups in ascending order of their keys: numbers, then texts, then everything else, and last those without.
    pub fn counts(self) -> Vec<GroupCount> {
        let mut counts: Vec<_> = self.counts.into_values().collect();
        counts.sort_unstable_by(|a, b| compare(a.key.as_ref(), b.key.as_ref()));
        counts
    }
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (a, b) => return b.is_some().cmp(&a.is_some()),
    };
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        _ => 2,
    };
    let by_number = || match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => Ordering::Equal,
    };
    rank(a)
        .cmp(&rank(b))
        .then_with(by_number)
        .then_with(|| match (a.as_str(), b.as_str()) {
            (Some(a), Some(b)) => a.cmp(b),
            _ => a.to_string().cmp(&b.to_string()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decision, Revision};

    fn stored(json: &str) -> StoredDecision {
        StoredDecision {
            decision: Decision::from_json(json).unwrap(),
            revision: Revision::new("1").unwrap(),
            recorded_at: crate::time::parse_timestamp("2025-02-03").unwrap(),
        }
    }

    #[test]
    fn keys_are_one_for_what_is_the_same_and_come_in_order() {
        let mut groups = Groups::new(GroupBy::Field("/n".to_owned()));
        for n in ["2", "10", "2.0", "\"b\"", "\"a\"", "true", "2e0", "1.5"] {
            groups.add(&stored(&format!(r#"{{"id":"x","n":{n}}}"#)));
        }
        groups.add(&stored(r#"{"id":"x"}"#));
        let counts: Vec<_> = groups
            .counts()
            .into_iter()
            .map(|group| {
                let key = group
                    .key
                    .map_or_else(|| "-".to_owned(), |key| key.to_string());
                format!("{key}={}", group.count)
            })
            .collect();
        assert_eq!(
            counts.join(" "),
            "1.5=1 2=3 10=1 \"a\"=1 \"b\"=1 true=1 -=1"
        );
    }

    #[test]
    fn pairs_actions_and_days_have_one_form() {
        let one = stored(r#"{"id":"x","asset_pair":"btcusd","action":"buy"}"#);
        assert_eq!(GroupBy::Pair.key(&one), Some("BTCUSD".into()));
        assert_eq!(GroupBy::Action.key(&one), Some("BUY".into()));
        assert_eq!(GroupBy::Day.key(&one), Some("2025-02-03".into()));
        let dated = stored(r#"{"id":"x","timestamp":"2025-01-01T23:30:00-05:00"}"#);
        assert_eq!(GroupBy::Day.key(&dated), Some("2025-01-02".into()));
        assert_eq!(GroupBy::Pair.key(&dated), None);
        assert!(GroupBy::Field("n".to_owned()).check().is_err());
    }
}
