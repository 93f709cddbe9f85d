//! Reading a line, and taking out of it what it holds.

use std::borrow::Cow;

use minutebook_core::DecisionId;
use minutebook_core::time::parse_timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Delete, Entry, Found, Gone, HASH_KEY, HASH_LEN, PRUNED, Parsed, Pruned, Put, Record, Span,
    Start,
};

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    prev: Cow<'a, str>,
    seq: u64,
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    file: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    rev: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    at: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    base: Option<Cow<'a, str>>,
    #[serde(default)]
    gone: Vec<(String, Option<String>)>,
    #[serde(default)]
    of: Vec<u64>,
    #[serde(default)]
    from: Option<u64>,
    #[serde(default)]
    before: Option<u64>,
    #[serde(default)]
    segment: Option<u64>,
    #[serde(borrow, default)]
    sum: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    doc: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(default)]
    raw: bool,
    #[serde(borrow)]
    hash: Cow<'a, str>,
}

/// The line, which says this, without the content that it holds, exactly as long as it was; `None` if it holds none.
///
/// No quote stands in a string without a backslash, and the content comes after all other fields: so the first place that looks like its
/// field is that.
pub(crate) fn prune(line: &str, record: &Record) -> Option<String> {
    let field = match record {
        Record::Put(_) => ",\"doc\":",
        Record::Found(_) => ",\"text\":",
        _ => return None,
    };
    let at = line.find(field)?;
    let tail = line.len().checked_sub(HASH_LEN)?;
    let blanks = tail.checked_sub(at + PRUNED.len())?;
    let (body, hash) = (line.get(..at)?, line.get(tail..)?);
    Some(format!("{body}{PRUNED}{}{hash}", " ".repeat(blanks)))
}

/// Reads the line that starts at `offset` and proves its own hash; the link to the line before is for the caller.
pub(crate) fn parse(offset: u64, line: &[u8]) -> Parsed {
    let Ok(text) = std::str::from_utf8(line) else {
        return Parsed::Damaged("it is no UTF-8 text");
    };
    if text.starts_with("{\"mark\":") {
        return match serde_json::from_str(text) {
            Ok(mark) => Parsed::Mark(mark),
            Err(_) => Parsed::Damaged("it is a mark that cannot be read"),
        };
    }
    let Some((body, tail)) = text
        .len()
        .checked_sub(HASH_LEN)
        .and_then(|at| text.split_at_checked(at))
    else {
        return Parsed::Damaged("it is too short to have a hash");
    };
    let claimed = tail
        .strip_prefix(HASH_KEY)
        .and_then(|rest| rest.strip_suffix("\"}"));
    let pruned = body.trim_end_matches(' ').ends_with(PRUNED);
    if !pruned && claimed != Some(blake3::hash(body.as_bytes()).to_hex().as_str()) {
        return Parsed::Damaged("its hash does not fit its content");
    }
    let Ok(wire) = serde_json::from_str::<Wire<'_>>(text) else {
        return Parsed::Damaged("it is no JSON object with the fields of a line");
    };
    let span = |raw: &RawValue| {
        let start = raw.get().as_ptr().addr() - text.as_ptr().addr();
        Span {
            offset: offset + start as u64,
            len: raw.get().len() as u64,
        }
    };
    let doc = wire.doc.map(span);
    let doc = if pruned { Some(Span::default()) } else { doc };
    let exact = wire.text.map(span).unwrap_or_default();
    match record(&wire, doc, exact) {
        Some(record) => Parsed::Entry(Entry {
            pruned,
            seq: wire.seq,
            prev: wire.prev.into_owned(),
            hash: wire.hash.into_owned(),
            record,
        }),
        None => Parsed::Damaged("it lacks a field, or has one that cannot be read"),
    }
}

fn record(wire: &Wire<'_>, doc: Option<Span>, text: Span) -> Option<Record> {
    let id = || DecisionId::new(wire.id.as_deref()?).ok();
    let gone = || -> Option<Vec<Gone>> {
        let one = |(file, digest): &(String, Option<String>)| {
            let digest = match digest {
                Some(text) => Some(text.parse().ok()?),
                None => None,
            };
            Some(Gone {
                file: file.as_str().into(),
                digest,
            })
        };
        wire.gone.iter().map(one).collect()
    };
    let instant = |text: &Option<Cow<'_, str>>| match text {
        Some(text) => parse_timestamp(text).ok().map(Some),
        None => Some(None),
    };
    Some(match wire.op.as_ref() {
        "put" => Record::Put(Put {
            id: id()?,
            file: wire.file.as_deref()?.into(),
            token: wire.rev.as_deref()?.parse().ok()?,
            at: instant(&wire.at)??,
            time: instant(&wire.time)?,
            base: match &wire.base {
                Some(base) => Some(base.parse().ok()?),
                None => None,
            },
            gone: gone()?,
            doc: doc?,
            text,
            raw: wire.raw,
        }),
        "delete" => Record::Delete(Delete {
            id: id()?,
            gone: gone()?,
        }),
        "found" => Record::Found(Found {
            id: id()?,
            file: wire.file.as_deref()?.into(),
            token: wire.rev.as_deref()?.parse().ok()?,
            at: instant(&wire.at)??,
            time: instant(&wire.time)?,
            text,
        }),
        "missing" => Record::Missing(id()?),
        "void" => Record::Void(wire.of.clone()),
        "segment" => Record::Segment(Start {
            base: wire.from?,
            before: wire.before?,
        }),
        "pruned" => Record::Pruned(Pruned {
            segment: wire.segment?,
            sum: wire.sum.as_deref()?.to_owned(),
        }),
        _ => return None,
    })
}
