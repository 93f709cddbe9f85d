//! Decisions: the document, what to ask of a store of them, and the trait of such a store.

mod document;
mod ext;
mod filter;
mod group;
mod history;
mod query;
mod repository;
mod retention;
mod watch;

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

pub use document::Decision;
pub use ext::DecisionRepositoryExt;
pub use filter::{DecisionFilter, FieldMatch};
pub use group::{GroupBy, GroupCount, Groups};
pub use history::{At, DecisionState, StateContent};
pub use query::{Cursor, DecisionPage, DecisionQuery, Order, StoredDecision};
pub use repository::{DecisionRepository, SaveMode, SaveOutcome, SaveReceipt, count_by_pages};
pub use retention::{Expired, ExpiryReason, RetentionOutcome, RetentionPlan, RetentionPolicy};
pub use watch::{ChangeStream, DecisionChange, Position, WatchFrom};

use crate::id::{check_file_text, text_newtype};

text_newtype! {
    /// The id of a decision: 1 to 200 bytes, no control character, no `/`, `\` or `..`, no white space at the ends.
    ///
    /// It is compared exactly: case counts, and no character is a pattern.
    ///
    /// ```
    /// use minutebook_core::DecisionId;
    ///
    /// assert!(DecisionId::new("RECOVERED_BIP20DEC30CDE_1766601724_582be1c7").is_ok());
    /// assert!(DecisionId::new("a/b").is_err());
    /// ```
    DecisionId, |text| {
        check_file_text("decision id", text, 200)?;
        Ok(text.into())
    }
}

impl DecisionId {
    pub(crate) fn from_uuid(id: uuid::Uuid) -> Self {
        // The hyphenated form of a UUID passes every rule above, so it needs no second look.
        Self(id.hyphenated().to_string().into())
    }
}

/// What a decision says to do. Open: what is none of the three is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Enter or add to a long position.
    Buy,
    /// Leave a long position or go short.
    Sell,
    /// Do nothing.
    Hold,
    /// Anything else, as written.
    Other(String),
}

impl Action {
    /// The text, upper case for the three known actions.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Buy => "BUY",
            Self::Sell => "SELL",
            Self::Hold => "HOLD",
            Self::Other(text) => text,
        }
    }
}

impl From<&str> for Action {
    /// The known actions are recognised in any ASCII case.
    fn from(text: &str) -> Self {
        [Self::Buy, Self::Sell, Self::Hold]
            .into_iter()
            .find(|action| action.as_str().eq_ignore_ascii_case(text))
            .unwrap_or_else(|| Self::Other(text.to_owned()))
    }
}

impl FromStr for Action {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.into())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
