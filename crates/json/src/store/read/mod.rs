//! Reading one decision: the file first, the journal to say which state it is.

mod find;
mod get;
mod look;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::{DecisionId, DecisionState, StateContent, StoredDecision};
use minutebook_fs::FileKind;

use super::index::Stamp;
use super::refresh::Learned;
use crate::codec::{Document, Token, Unreadable};
use crate::error::{JsonError, Result};

/// How often a read starts again when files change under it, before it takes what it has.
pub(crate) const ATTEMPTS: usize = 8;

/// A decision in a file, or in the journal in place of a file.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) name: Arc<str>,
    pub(crate) document: Arc<Document>,
    pub(crate) token: Token,
    pub(crate) at: DateTime<Utc>,
    /// Whether the journal has this state.
    pub(crate) journaled: bool,
    /// Whether the file is damaged or missing and the journal stands in.
    pub(crate) from_journal: bool,
}

impl Found {
    pub(crate) fn id(&self) -> &DecisionId {
        self.document.decision.id()
    }

    /// The effective time.
    pub(crate) fn time(&self) -> DateTime<Utc> {
        self.document.decision.timestamp().unwrap_or(self.at)
    }

    pub(crate) fn state(&self) -> Result<DecisionState> {
        Ok(DecisionState {
            id: self.id().clone(),
            revision: Some(self.token.revision().map_err(JsonError::Core)?),
            recorded_at: self.at,
            content: if self.document.raw {
                StateContent::Raw(self.document.decision.clone())
            } else {
                StateContent::Saved(self.document.decision.clone())
            },
        })
    }

    pub(crate) fn stored(&self) -> Result<StoredDecision> {
        Ok(StoredDecision {
            decision: self.document.decision.clone(),
            revision: self.token.revision().map_err(JsonError::Core)?,
            recorded_at: self.at,
        })
    }
}

/// What a look at one file gave.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) candidate: Option<Found>,
    pub(crate) problem: Option<Unreadable>,
    /// There is no such file.
    pub(crate) absent: bool,
    /// What the file looked like before it was read; for files whose content is to be remembered.
    pub(crate) stamp: Option<Stamp>,
    /// What it was then.
    pub(crate) kind: Option<FileKind>,
}

/// What there is of one decision.
#[derive(Debug, Default)]
pub(crate) struct Pick {
    /// The newest.
    pub(crate) winner: Option<Found>,
    /// Others that claim the same id.
    pub(crate) others: Vec<Found>,
    /// Files that do not hold what was expected; the index has to be mended, and the look repeated.
    pub(crate) learned: Learned,
    /// Files that hold the decision, but at another place in the order: for the index; the answer is right as it is.
    pub(crate) notes: Learned,
    /// The journal went on meanwhile.
    pub(crate) stale: bool,
}

/// What reading a file gave.
pub(crate) enum Load {
    Document(Arc<Document>),
    Absent,
    Unreadable(Unreadable),
}

/// The newest wins, and of two of one time the one with the greater file name.
pub(crate) fn rank(found: &Found) -> (DateTime<Utc>, &str) {
    (found.time(), &found.name)
}
