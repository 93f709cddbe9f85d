//! A line in full, with what it says about when and what: for history and feed, which tell it to people and programs.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use minutebook_core::time::parse_timestamp;
use minutebook_core::{Decision, DecisionId, DecisionState, StateContent};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::line::{Parsed, Record, parse};
use crate::codec::Token;

/// What a line tells of.
#[derive(Debug)]
pub(crate) enum Told {
    /// A decision came into this state.
    State(DecisionState),
    /// These lines were not carried out.
    Void(Vec<u64>),
    /// All up to this line was carried out.
    Mark(u64),
}

/// A line of the chain, or a mark, which is none.
#[derive(Debug)]
pub(crate) struct Detail {
    /// Its number, the hash of the line before and its own; `None` for a mark.
    pub(crate) link: Option<Link>,
    pub(crate) told: Told,
}

/// A line's place in the chain.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) seq: u64,
    pub(crate) prev: String,
    pub(crate) hash: String,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    at: Cow<'a, str>,
    #[serde(borrow, default)]
    rev: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    doc: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(default)]
    raw: bool,
}

/// Reads the line that starts at `offset`; `None` for one that is damaged, which whoever follows the journal reports.
pub(crate) fn detail(offset: u64, bytes: &[u8]) -> Option<Detail> {
    let entry = match parse(offset, bytes) {
        Parsed::Mark(mark) => {
            return Some(Detail {
                link: None,
                told: Told::Mark(mark.seq),
            });
        }
        Parsed::Entry(entry) => entry,
        Parsed::Damaged(_) => return None,
    };
    let told = match entry.record {
        Record::Void(lines) => Told::Void(lines),
        Record::Segment(_) | Record::Pruned(_) => Told::Void(Vec::new()),
        _ => Told::State(state(std::str::from_utf8(bytes).ok()?)?),
    };
    Some(Detail {
        link: Some(Link {
            seq: entry.seq,
            prev: entry.prev,
            hash: entry.hash,
        }),
        told,
    })
}

fn state(text: &str) -> Option<DecisionState> {
    let wire: Wire<'_> = serde_json::from_str(text).ok()?;
    let recorded_at: DateTime<Utc> = parse_timestamp(&wire.at).ok()?;
    let revision = match &wire.rev {
        Some(rev) => Some(rev.parse::<Token>().ok()?.revision().ok()?),
        None => None,
    };
    let document = |json: &str| Decision::from_json(json).ok();
    let content = match (wire.op.as_ref(), wire.doc) {
        ("delete" | "missing", _) => StateContent::Deleted,
        ("put", None) => StateContent::Dropped,
        ("put", Some(doc)) if wire.raw => StateContent::Raw(document(doc.get())?),
        ("put", Some(doc)) => StateContent::Saved(document(doc.get())?),
        // What another program wrote: its text as it was in the file.
        _ => match &wire.text {
            None => StateContent::Dropped,
            Some(text) => match (document(text), crate::raw_fields(text)) {
                (Some(decision), _) => StateContent::Saved(decision),
                (None, Ok(known)) => StateContent::Raw(known),
                (None, Err(_)) => StateContent::Dropped,
            },
        },
    };
    Some(DecisionState {
        id: DecisionId::new(wire.id.as_ref()).ok()?,
        revision: revision.filter(|_| content != StateContent::Deleted),
        recorded_at,
        content,
    })
}
