//! Which decisions: conditions that all must hold.

use serde_json::Value;

use super::{Action, Decision, DecisionId, StoredDecision};
use crate::series::Symbol;
use crate::time::TimeRange;

/// A condition on any field: what the JSON pointer (RFC 6901) reaches equals the value.
///
/// Numbers compare by value (`1` equals `1.0`), everything else exactly. What is not there equals nothing, `null` included.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldMatch {
    pointer: String,
    value: Value,
}

impl FieldMatch {
    /// The field that `pointer` reaches equals `value`.
    pub fn new(pointer: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            pointer: pointer.into(),
            value: value.into(),
        }
    }

    /// The JSON pointer.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The value it must have.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Whether the document has it.
    pub fn matches(&self, decision: &Decision) -> bool {
        match (decision.pointer(&self.pointer), &self.value) {
            (Some(Value::Number(found)), Value::Number(wanted)) => {
                found == *wanted || found.as_f64() == wanted.as_f64()
            }
            (Some(found), wanted) => found == *wanted,
            (None, _) => false,
        }
    }
}

/// Conditions on decisions, all of which must hold. The default holds for every decision.
///
/// ```
/// use minutebook_core::{Action, DecisionFilter, FieldMatch};
///
/// let filter = DecisionFilter::new()
///     .asset_pair("BTCUSD".parse()?)
///     .action(Action::Buy)
///     .min_confidence(0.7)
///     .field(FieldMatch::new("/executed", true));
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct DecisionFilter {
    /// About this instrument; ASCII case does not distinguish, as with every [`Symbol`].
    pub asset_pair: Option<Symbol>,
    /// With this action.
    pub action: Option<Action>,
    /// Whose effective time ([`StoredDecision::time`]) lies in this range.
    pub time: TimeRange,
    /// At least this sure; a decision without confidence is not.
    pub min_confidence: Option<f64>,
    /// Whose id begins so.
    pub id_prefix: Option<String>,
    /// With these fields.
    pub fields: Vec<FieldMatch>,
}

impl DecisionFilter {
    /// Every decision.
    pub fn new() -> Self {
        Self::default()
    }

    /// About this instrument only.
    #[must_use]
    pub fn asset_pair(mut self, pair: Symbol) -> Self {
        self.asset_pair = Some(pair);
        self
    }

    /// With this action only.
    #[must_use]
    pub fn action(mut self, action: Action) -> Self {
        self.action = Some(action);
        self
    }

    /// With an effective time in this range only.
    #[must_use]
    pub fn time(mut self, range: TimeRange) -> Self {
        self.time = range;
        self
    }

    /// At least this sure only.
    #[must_use]
    pub fn min_confidence(mut self, confidence: f64) -> Self {
        self.min_confidence = Some(confidence);
        self
    }

    /// With an id that begins so only.
    #[must_use]
    pub fn id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.id_prefix = Some(prefix.into());
        self
    }

    /// With this field only.
    #[must_use]
    pub fn field(mut self, field: FieldMatch) -> Self {
        self.fields.push(field);
        self
    }

    /// Whether it holds for every decision.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the id alone already rules the decision out.
    pub fn rules_out_id(&self, id: &DecisionId) -> bool {
        self.id_prefix
            .as_ref()
            .is_some_and(|prefix| !id.as_str().starts_with(prefix.as_str()))
    }

    /// Whether all conditions hold.
    pub fn matches(&self, stored: &StoredDecision) -> bool {
        let decision = &stored.decision;
        !self.rules_out_id(decision.id())
            && self.time.contains(stored.time())
            && self.asset_pair.as_ref().is_none_or(|wanted| {
                decision
                    .asset_pair()
                    .is_some_and(|pair| pair.eq_ignore_ascii_case(wanted.as_str()))
            })
            && self
                .action
                .as_ref()
                .is_none_or(|wanted| decision.action().as_ref() == Some(wanted))
            && self.min_confidence.is_none_or(|least| {
                decision
                    .confidence()
                    .is_some_and(|confidence| confidence >= least)
            })
            && self.fields.iter().all(|field| field.matches(decision))
    }
}
