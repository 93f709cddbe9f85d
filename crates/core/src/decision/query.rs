//! Queries over decisions: filter, order, limit and cursor; and the page that answers.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};

use super::{Decision, DecisionFilter, DecisionId};
use crate::error::{Error, Result};
use crate::id::{Revision, shown};
use crate::report::ReadReport;
use crate::time::{format_timestamp, parse_timestamp};

/// A decision as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDecision {
    /// The document.
    pub decision: Decision,
    /// Which state of it this is.
    pub revision: Revision,
    /// When the store took this state, UTC.
    pub recorded_at: DateTime<Utc>,
}

impl StoredDecision {
    /// The decision's effective time: its own timestamp, or when it was recorded if it has none.
    /// Order, retention and time ranges go by it.
    pub fn time(&self) -> DateTime<Utc> {
        self.decision.timestamp().unwrap_or(self.recorded_at)
    }
}

/// In which order decisions come. Ties are ordered by id, in the same direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Order {
    /// By effective time, the newest first.
    #[default]
    Newest,
    /// By effective time, the oldest first.
    Oldest,
    /// By when the store took the last state, the newest first.
    RecentlyWritten,
}

impl Order {
    const fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::RecentlyWritten => "written",
        }
    }

    fn key(self, stored: &StoredDecision) -> DateTime<Utc> {
        match self {
            Self::Newest | Self::Oldest => stored.time(),
            Self::RecentlyWritten => stored.recorded_at,
        }
    }

    /// How two decisions stand to each other in this order.
    pub fn compare(self, a: &StoredDecision, b: &StoredDecision) -> Ordering {
        self.direct((self.key(a), a.decision.id()).cmp(&(self.key(b), b.decision.id())))
    }

    fn direct(self, ascending: Ordering) -> Ordering {
        match self {
            Self::Oldest => ascending,
            Self::Newest | Self::RecentlyWritten => ascending.reverse(),
        }
    }
}

/// A place in an ordered list of decisions, after which the next page starts.
///
/// It stays valid when decisions are added or removed. Its text form ([`Display`](std::fmt::Display), [`FromStr`](std::str::FromStr))
/// is stable within one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    order: Order,
    key: DateTime<Utc>,
    id: DecisionId,
}

impl Cursor {
    /// The place of this decision in this order.
    pub fn at(order: Order, stored: &StoredDecision) -> Self {
        Self {
            order,
            key: order.key(stored),
            id: stored.decision.id().clone(),
        }
    }

    /// Whether the decision comes after this place.
    pub fn is_before(&self, stored: &StoredDecision) -> bool {
        self.order
            .direct((self.key, &self.id).cmp(&(self.order.key(stored), stored.decision.id())))
            == Ordering::Less
    }

    /// The order in which this is a place.
    pub fn order(&self) -> Order {
        self.order
    }

    /// The time by which the order goes, at this place.
    pub fn time(&self) -> DateTime<Utc> {
        self.key
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}|{}|{}",
            self.order.name(),
            format_timestamp(self.key),
            self.id
        )
    }
}

impl std::str::FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, '|');
        let (order, key, id) = (parts.next(), parts.next(), parts.next());
        let order = [Order::Newest, Order::Oldest, Order::RecentlyWritten]
            .into_iter()
            .find(|known| Some(known.name()) == order);
        match (order, key, id) {
            (Some(order), Some(key), Some(id)) => Ok(Self {
                order,
                key: parse_timestamp(key)?,
                id: DecisionId::new(id)?,
            }),
            _ => Err(
                Error::invalid("not a cursor; use the one that a page came with")
                    .with_resource(shown(text)),
            ),
        }
    }
}

/// A question to a store of decisions.
///
/// ```
/// use minutebook_core::{DecisionFilter, DecisionQuery, Order};
///
/// let query = DecisionQuery::new()
///     .filter(DecisionFilter::new().asset_pair("BTCUSD".parse()?))
///     .order(Order::RecentlyWritten)
///     .limit(10);
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct DecisionQuery {
    /// Which decisions.
    pub filter: DecisionFilter,
    /// In which order.
    pub order: Order,
    /// At most so many; `None` is all.
    pub limit: Option<usize>,
    /// Only those after this place.
    pub after: Option<Cursor>,
    /// Whether a document that cannot be read is an error instead of an entry in the report.
    pub strict: bool,
}

impl DecisionQuery {
    /// All decisions, the newest first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those that match.
    #[must_use]
    pub fn filter(mut self, filter: DecisionFilter) -> Self {
        self.filter = filter;
        self
    }

    /// In this order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// At most so many; 0 is none.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Only those after this place; it must be of the same order.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// A document that cannot be read makes the query fail ([`Corrupt`](crate::ErrorKind::Corrupt)).
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// What is wrong with the query itself; every backend asks this first.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the cursor is of another order.
    pub fn check(&self) -> Result<()> {
        match &self.after {
            Some(cursor) if cursor.order() != self.order => Err(Error::invalid(
                "the cursor belongs to another order; ask with the order of the page it came with",
            )
            .with_resource(cursor)),
            _ => Ok(()),
        }
    }

    /// Answers the query from candidates in any order: filters, sorts, cuts and sets the cursor. For backends that
    /// hold their decisions in memory or have narrowed them down already.
    pub fn answer(
        &self,
        candidates: impl IntoIterator<Item = StoredDecision>,
        report: ReadReport,
    ) -> DecisionPage {
        let mut decisions: Vec<_> = candidates
            .into_iter()
            .filter(|stored| {
                self.filter.matches(stored)
                    && self
                        .after
                        .as_ref()
                        .is_none_or(|cursor| cursor.is_before(stored))
            })
            .collect();
        decisions.sort_unstable_by(|a, b| self.order.compare(a, b));
        let more = self.limit.is_some_and(|limit| limit < decisions.len());
        if let Some(limit) = self.limit {
            decisions.truncate(limit);
        }
        let next = more
            .then(|| decisions.last().map(|last| Cursor::at(self.order, last)))
            .flatten();
        DecisionPage {
            decisions,
            next,
            report,
        }
    }
}

/// The decisions that answer a query, and what the store met on the way.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DecisionPage {
    /// The decisions, in the order asked for.
    pub decisions: Vec<StoredDecision>,
    /// Where the next page starts, if there are more.
    pub next: Option<Cursor>,
    /// Documents that could not be read as decisions, duplicates and the like. It covers what this
    /// query looked at, which may be less than the whole store.
    pub report: ReadReport,
}

impl IntoIterator for DecisionPage {
    type Item = StoredDecision;
    type IntoIter = std::vec::IntoIter<StoredDecision>;

    fn into_iter(self) -> Self::IntoIter {
        self.decisions.into_iter()
    }
}
