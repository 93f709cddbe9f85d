//! What of a document's content is kept in memory, so that questions about it need no file.

use std::collections::HashMap;

use minutebook_core::{Action, Decision, DecisionFilter};

use super::index::Row;
use crate::journal::Seen;

/// Instruments and actions as numbers: there are few of them, and each decision has one of each.
#[derive(Debug, Default)]
pub(crate) struct Words {
    numbers: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
}

impl Words {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        // Never used up: each number stands for a text in memory.
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX - 1);
        self.numbers.insert(text.into(), number);
        self.texts.push(text.into());
        number
    }

    pub(crate) fn text(&self, number: u32) -> Option<Box<str>> {
        self.texts.get(usize::try_from(number).ok()?).cloned()
    }

    /// The number of an instrument, if any decision has it. ASCII case does not distinguish.
    pub(crate) fn pair(&self, pair: &str) -> Option<u32> {
        self.numbers
            .get(pair.to_ascii_lowercase().as_str())
            .copied()
    }

    fn action(&self, action: &Action) -> Option<u32> {
        self.numbers.get(action.as_str()).copied()
    }
}

/// What questions are asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pair: u32,
    action: u32,
    /// NaN if there is none, which JSON cannot say otherwise.
    confidence: f64,
}

const NONE: u32 = u32::MAX;

impl Default for Facts {
    fn default() -> Self {
        Self {
            pair: NONE,
            action: NONE,
            confidence: f64::NAN,
        }
    }
}

impl Facts {
    pub(crate) fn of(decision: &Decision, words: &mut Words) -> Self {
        Self {
            pair: decision
                .asset_pair()
                .map_or(NONE, |pair| words.number(&pair.to_ascii_lowercase())),
            action: decision
                .action()
                .map_or(NONE, |action| words.number(action.as_str())),
            confidence: decision.confidence().unwrap_or(f64::NAN),
        }
    }

    /// As a checkpoint has them.
    pub(crate) fn kept(seen: &Seen, words: &mut Words) -> Self {
        let mut number =
            |text: &Option<Box<str>>| text.as_ref().map_or(NONE, |text| words.number(text));
        Self {
            pair: number(&seen.pair),
            action: number(&seen.action),
            confidence: seen.confidence,
        }
    }

    /// As a checkpoint keeps them.
    pub(crate) fn keep(&self, words: &Words) -> Seen {
        Seen {
            pair: words.text(self.pair),
            action: words.text(self.action),
            confidence: self.confidence,
            sight: None,
        }
    }

    pub(crate) fn action(&self) -> Option<u32> {
        (self.action != NONE).then_some(self.action)
    }

    pub(crate) fn pair(&self) -> Option<u32> {
        (self.pair != NONE).then_some(self.pair)
    }
}

/// Which number a filter asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Any,
    This(u32),
    /// One that no decision has.
    Unknown,
}

impl Wanted {
    fn new(asked: bool, number: Option<u32>) -> Self {
        match number {
            _ if !asked => Self::Any,
            Some(number) => Self::This(number),
            None => Self::Unknown,
        }
    }

    fn allows(self, number: u32) -> bool {
        match self {
            Self::Any => true,
            Self::This(wanted) => wanted == number,
            Self::Unknown => false,
        }
    }
}

/// A filter, split into what rows can answer and what needs the document.
#[derive(Debug)]
pub(crate) struct Sieve<'a> {
    filter: &'a DecisionFilter,
    pub(crate) pair: Wanted,
    action: Wanted,
    /// Whether rows answer all of it.
    pub(crate) is_whole: bool,
}

impl<'a> Sieve<'a> {
    pub(crate) fn new(filter: &'a DecisionFilter, words: &Words) -> Self {
        let mut rest = filter.clone();
        rest.asset_pair = None;
        rest.action = None;
        rest.time = DecisionFilter::default().time;
        rest.min_confidence = None;
        rest.id_prefix = None;
        Self {
            filter,
            pair: Wanted::new(
                filter.asset_pair.is_some(),
                filter
                    .asset_pair
                    .as_ref()
                    .and_then(|pair| words.pair(pair.as_str())),
            ),
            action: Wanted::new(
                filter.action.is_some(),
                filter
                    .action
                    .as_ref()
                    .and_then(|action| words.action(action)),
            ),
            is_whole: rest.is_all(),
        }
    }

    /// Whether nothing can match.
    pub(crate) fn is_empty(&self) -> bool {
        self.pair == Wanted::Unknown || self.action == Wanted::Unknown
    }

    /// Whether the file may hold a decision that matches; for certain if the sieve [is whole](Self::is_whole).
    pub(crate) fn lets_through(&self, row: &Row) -> bool {
        let (Some(id), Some(content)) = (&row.id, &row.content) else {
            return false;
        };
        let facts = &content.facts;
        !self.filter.rules_out_id(id)
            && self.filter.time.contains(content.time)
            && self.pair.allows(facts.pair)
            && self.action.allows(facts.action)
            && self
                .filter
                .min_confidence
                .is_none_or(|least| facts.confidence >= least)
    }
}
