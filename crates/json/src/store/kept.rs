//! What a checkpoint keeps of a file, so that a new process need not read it: which state it held, and how it looked then.

use chrono::{DateTime, Utc};
use minutebook_core::DecisionId;

use super::facts::{Facts, Words};
use super::index::{Content, Placed, Stamp};
use crate::codec::Token;
use crate::journal::Known;

/// A file as it was when the checkpoint was written.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) id: DecisionId,
    pub(crate) token: Token,
    pub(crate) time: DateTime<Utc>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) journaled: bool,
    pub(crate) pair: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) confidence: Option<f64>,
    pub(crate) stamp: Stamp,
}

impl Kept {
    /// The row, if the journal did not go on since for this decision.
    pub(crate) fn into_row(self, journaled: Option<&Known>, words: &mut Words) -> Option<Placed> {
        let as_it_was = match journaled {
            Some(known) => known.token.generation == self.token.generation,
            None => self.token.generation == 0,
        };
        if !as_it_was {
            return None;
        }
        let facts = Facts::new(
            self.pair.as_deref(),
            self.action.as_deref(),
            self.confidence,
            words,
        );
        let content = Content {
            time: self.time,
            at: self.at,
            token: self.token,
            journaled: self.journaled,
            facts,
        };
        Some((self.id, content, Some(self.stamp)))
    }
}
