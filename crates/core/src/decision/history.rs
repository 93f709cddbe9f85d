//! The states that a decision went through: what was known when.

use chrono::{DateTime, Utc};

use super::{Decision, DecisionId, StoredDecision};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Revision;

/// What a decision was turned into.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateContent {
    /// The document that was saved.
    Saved(Decision),
    /// Text that is wider than JSON was saved; here is what was told of it. The text itself is read through the backend's own
    /// call for raw documents.
    Raw(Decision),
    /// A document was saved that is no longer kept: retention took it away.
    Dropped,
    /// The decision was deleted.
    Deleted,
}

/// One state in the history of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionState {
    /// Which decision.
    pub id: DecisionId,
    /// Which state of it; `None` for a deletion, which is none.
    pub revision: Option<Revision>,
    /// When the store took it, UTC. For what another program did it is the last time that is known.
    pub recorded_at: DateTime<Utc>,
    /// What it is.
    pub content: StateContent,
}

impl DecisionState {
    /// The state as `get` gave it while it was the present one; `None` for a deletion and for what cannot be read as a decision.
    pub fn stored(&self) -> Option<StoredDecision> {
        match (&self.content, &self.revision) {
            (StateContent::Saved(decision), Some(revision)) => Some(StoredDecision {
                decision: decision.clone(),
                revision: revision.clone(),
                recorded_at: self.recorded_at,
            }),
            _ => None,
        }
    }

    /// Whether the decision was deleted here.
    pub fn is_deletion(&self) -> bool {
        self.content == StateContent::Deleted
    }
}

/// Which of a decision's states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The one with this revision.
    Revision(Revision),
    /// The one that the store held at this time: the last of those taken at or before it.
    Time(DateTime<Utc>),
}

impl At {
    /// Picks the state out of a history, the oldest state first. For backends that read the whole history to answer.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the state is known but its document is no longer kept;
    /// [`Unsupported`](ErrorKind::Unsupported) if it is kept as raw text.
    pub fn pick(&self, history: &[DecisionState]) -> Result<Option<StoredDecision>> {
        let found = match self {
            Self::Revision(revision) => history
                .iter()
                .rev()
                .find(|state| state.revision.as_ref() == Some(revision)),
            Self::Time(time) => history
                .iter()
                .rev()
                .find(|state| state.recorded_at <= *time),
        };
        let Some(state) = found else { return Ok(None) };
        match state.content {
            StateContent::Saved(_) | StateContent::Deleted => Ok(state.stored()),
            StateContent::Dropped => Err(Error::new(
                ErrorKind::NotFound,
                "this state is no longer kept: retention took its document away",
            )
            .with_resource(&state.id)),
            StateContent::Raw(_) => Err(Error::unsupported(
                "this state is kept as raw text, which is wider than JSON; read it as bytes",
            )
            .with_resource(&state.id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_timestamp;

    fn state(revision: &str, time: &str, content: StateContent) -> DecisionState {
        DecisionState {
            id: "d".parse().unwrap(),
            revision: Revision::new(revision).ok(),
            recorded_at: parse_timestamp(time).unwrap(),
            content,
        }
    }

    #[test]
    fn the_state_of_a_time_is_the_last_before_it() {
        let saved = |json| StateContent::Saved(Decision::from_json(json).unwrap());
        let history = [
            state("1", "2025-01-01", saved(r#"{"id":"d","n":1}"#)),
            state("", "2025-01-02", StateContent::Deleted),
            state("3", "2025-01-03", StateContent::Dropped),
            state("4", "2025-01-04", saved(r#"{"id":"d","n":4}"#)),
        ];
        let at = |time| At::Time(parse_timestamp(time).unwrap()).pick(&history);
        assert_eq!(at("2024-12-31").unwrap(), None);
        assert_eq!(at("2025-01-01T12:00").unwrap(), history[0].stored());
        assert_eq!(at("2025-01-02").unwrap(), None);
        assert_eq!(at("2025-01-03").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(at("2026-01-01").unwrap(), history[3].stored());
        let of = |text| At::Revision(Revision::new(text).unwrap()).pick(&history);
        assert_eq!(of("1").unwrap(), history[0].stored());
        assert_eq!(of("2").unwrap(), None);
    }
}
