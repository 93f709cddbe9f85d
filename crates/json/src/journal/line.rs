//! One line of the journal: how it is written, read and chained. The format is described in docs/format/journal.md.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::DecisionId;
use minutebook_core::json::push_string;
use minutebook_core::time::{format_timestamp, parse_timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::codec::{Digest, Token};

/// The chain value before the first line.
pub(crate) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const HASH_KEY: &str = ",\"hash\":\"";
/// What stands in place of a document that was taken out, with as many blanks as keep the line as long as it was.
const PRUNED: &str = ",\"pruned\":true";
/// `,"hash":"`, 64 digits, `"}`.
const HASH_LEN: usize = HASH_KEY.len() + 64 + 2;

/// A file that a mutation takes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) file: Arc<str>,
    /// Of what it held; `None` if that could not be read.
    pub(crate) digest: Option<Digest>,
}

/// A decision was saved.
#[derive(Debug, Clone)]
pub(crate) struct Put {
    pub(crate) id: DecisionId,
    pub(crate) file: Arc<str>,
    pub(crate) token: Token,
    pub(crate) at: DateTime<Utc>,
    /// The decision's own time.
    pub(crate) time: Option<DateTime<Utc>>,
    /// The state that this one replaced.
    pub(crate) base: Option<Token>,
    pub(crate) gone: Vec<Gone>,
    /// Where in the journal the document's text is.
    pub(crate) doc: Span,
    /// Where the exact text of its file is, as a JSON string; of length 0 if it is laid out as always.
    pub(crate) text: Span,
    /// The text is wider than JSON, and the document only what was told of it.
    pub(crate) raw: bool,
}

impl Put {
    /// A line for a state that an earlier line had brought.
    pub(crate) fn again(id: &DecisionId, known: &super::Known) -> Self {
        Self {
            id: id.clone(),
            file: Arc::clone(&known.file),
            token: known.token,
            at: known.at,
            time: known.time,
            base: None,
            gone: Vec::new(),
            doc: known.doc,
            text: known.text,
            raw: known.raw,
        }
    }
}

/// Another program brought the decision into this state.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) id: DecisionId,
    pub(crate) file: Arc<str>,
    pub(crate) token: Token,
    pub(crate) at: DateTime<Utc>,
    /// The decision's own time.
    pub(crate) time: Option<DateTime<Utc>>,
    /// Where in the journal the file's text is, as a JSON string.
    pub(crate) text: Span,
}

impl Found {
    /// A line for a state that an earlier line had brought.
    pub(crate) fn again(id: &DecisionId, known: &super::Known) -> Self {
        Self {
            id: id.clone(),
            file: Arc::clone(&known.file),
            token: known.token,
            at: known.at,
            time: known.time,
            text: known.text,
        }
    }
}

/// A decision was deleted.
#[derive(Debug, Clone)]
pub(crate) struct Delete {
    pub(crate) id: DecisionId,
    pub(crate) gone: Vec<Gone>,
}

/// A stretch of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// What a line says.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    Put(Put),
    Delete(Delete),
    /// What another program wrote, as it was noticed.
    Found(Found),
    /// Another program removed the decision's file.
    Missing(DecisionId),
    /// Lines that were not carried out, because the file could not be written.
    Void(Vec<u64>),
    /// A new file of the journal starts here.
    Segment(Start),
    /// Documents were taken out of a sealed segment.
    Pruned(Pruned),
}

/// Where a file of the journal starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// The offset of its first byte in the plain lines of all files.
    pub(crate) base: u64,
    /// The number of the first line of the file before.
    pub(crate) before: u64,
}

/// What a sealed segment holds since documents were taken out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// The number of its first line.
    pub(crate) segment: u64,
    /// The BLAKE3 hash of all its plain bytes.
    pub(crate) sum: String,
}

/// All lines up to `seq` were carried out, as seen in one run of the machine. Not part of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Mark {
    #[serde(rename = "mark")]
    pub(crate) seq: u64,
    /// Which run of the machine; `None` where the platform does not tell.
    #[serde(default)]
    pub(crate) boot: Option<String>,
    /// The directory's change time before and after, in nanoseconds: whoever knew it before knows it now.
    #[serde(default)]
    pub(crate) dir: Option<(i64, i64)>,
}

impl Mark {
    pub(crate) fn to_line(&self) -> String {
        let mut line = format!("{{\"mark\":{}", self.seq);
        if let Some(boot) = &self.boot {
            line.push_str(",\"boot\":");
            push_string(&mut line, boot);
        }
        if let Some((before, after)) = self.dir {
            // Writing to a string cannot fail.
            let _ = write!(line, ",\"dir\":[{before},{after}]");
        }
        line.push_str("}\n");
        line
    }
}

/// A record with its place in the chain.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) prev: String,
    pub(crate) hash: String,
    /// Whether its document was taken out, so that its own hash cannot be proved any more.
    pub(crate) pruned: bool,
    pub(crate) record: Record,
}

/// What a line turned out to be.
#[derive(Debug)]
pub(crate) enum Parsed {
    Entry(Entry),
    Mark(Mark),
    /// Neither: torn, damaged or changed.
    Damaged(&'static str),
}

/// Builds lines and keeps the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) seq: u64,
    pub(crate) head: String,
}

impl Chain {
    /// The number of the next line.
    pub(crate) fn next(&self) -> u64 {
        self.seq + 1
    }

    /// `exact` is the file's text, if that is to be kept letter for letter. Gives back where in `out` document and text are.
    pub(crate) fn put(
        &mut self,
        out: &mut Vec<u8>,
        put: &Put,
        document: &str,
        exact: Option<&str>,
    ) -> (Span, Span) {
        let start = out.len();
        let span = |from: usize, to: usize| Span {
            offset: (start + from) as u64,
            len: (to - from) as u64,
        };
        let (mut doc, mut text) = (Span::default(), Span::default());
        self.line(out, "put", |line| {
            push_field(line, "id", put.id.as_str());
            push_field(line, "file", &put.file);
            push_field(line, "rev", &put.token.to_string());
            push_field(line, "at", &format_timestamp(put.at));
            if let Some(time) = put.time {
                push_field(line, "time", &format_timestamp(time));
            }
            if let Some(base) = put.base {
                push_field(line, "base", &base.to_string());
            }
            push_gone(line, &put.gone);
            line.push_str(",\"doc\":");
            let from = line.len();
            line.push_str(document);
            doc = span(from, line.len());
            if let Some(exact) = exact {
                line.push_str(",\"text\":");
                let from = line.len();
                push_string(line, exact);
                text = span(from, line.len());
            }
            if put.raw {
                line.push_str(",\"raw\":true");
            }
        });
        (doc, text)
    }

    pub(crate) fn delete(
        &mut self,
        out: &mut Vec<u8>,
        delete: &Delete,
        base: Option<Token>,
        at: DateTime<Utc>,
    ) {
        self.line(out, "delete", |line| {
            push_field(line, "id", delete.id.as_str());
            push_field(line, "at", &format_timestamp(at));
            if let Some(base) = base {
                push_field(line, "base", &base.to_string());
            }
            push_gone(line, &delete.gone);
        });
    }

    /// `text` is what the file holds.
    pub(crate) fn found(&mut self, out: &mut Vec<u8>, found: &Found, text: &str) {
        self.line(out, "found", |line| {
            push_field(line, "id", found.id.as_str());
            push_field(line, "file", &found.file);
            push_field(line, "rev", &found.token.to_string());
            push_field(line, "at", &format_timestamp(found.at));
            if let Some(time) = found.time {
                push_field(line, "time", &format_timestamp(time));
            }
            push_field(line, "text", text);
        });
    }

    pub(crate) fn missing(
        &mut self,
        out: &mut Vec<u8>,
        id: &DecisionId,
        file: &str,
        at: DateTime<Utc>,
    ) {
        self.line(out, "missing", |line| {
            push_field(line, "id", id.as_str());
            push_field(line, "file", file);
            push_field(line, "at", &format_timestamp(at));
        });
    }

    pub(crate) fn void(&mut self, out: &mut Vec<u8>, lines: &[u64], at: DateTime<Utc>) {
        self.line(out, "void", |line| {
            push_field(line, "at", &format_timestamp(at));
            let lines: Vec<_> = lines.iter().map(u64::to_string).collect();
            let _ = write!(line, ",\"of\":[{}]", lines.join(","));
        });
    }

    pub(crate) fn segment(&mut self, out: &mut Vec<u8>, start: Start, at: DateTime<Utc>) {
        self.line(out, "segment", |line| {
            push_field(line, "at", &format_timestamp(at));
            let _ = write!(line, ",\"from\":{},\"before\":{}", start.base, start.before);
        });
    }

    pub(crate) fn pruned(&mut self, out: &mut Vec<u8>, pruned: &Pruned, at: DateTime<Utc>) {
        self.line(out, "pruned", |line| {
            push_field(line, "at", &format_timestamp(at));
            let _ = write!(line, ",\"segment\":{}", pruned.segment);
            push_field(line, "sum", &pruned.sum);
        });
    }

    fn line(&mut self, out: &mut Vec<u8>, op: &str, fill: impl FnOnce(&mut String)) {
        self.seq += 1;
        let mut line = format!(
            "{{\"prev\":\"{}\",\"seq\":{},\"op\":\"{op}\"",
            self.head, self.seq
        );
        fill(&mut line);
        let hash = blake3::hash(line.as_bytes()).to_hex();
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(HASH_KEY.as_bytes());
        out.extend_from_slice(hash.as_bytes());
        out.extend_from_slice(b"\"}\n");
        self.head.clear();
        self.head.push_str(&hash);
    }
}

fn push_field(line: &mut String, key: &str, text: &str) {
    line.push_str(",\"");
    line.push_str(key);
    line.push_str("\":");
    push_string(line, text);
}

fn push_gone(line: &mut String, gone: &[Gone]) {
    if gone.is_empty() {
        return;
    }
    line.push_str(",\"gone\":[");
    for (i, gone) in gone.iter().enumerate() {
        line.push_str(if i > 0 { ",[" } else { "[" });
        push_string(line, &gone.file);
        line.push(',');
        match gone.digest {
            Some(digest) => push_string(line, &digest.to_string()),
            None => line.push_str("null"),
        }
        line.push(']');
    }
    line.push(']');
}

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

/// The line without the content that it holds, exactly as long as it was; `None` if it holds none.
///
/// No quote stands in a string without a backslash, so the first place that looks like a field at the top is one.
pub(crate) fn prune(line: &str) -> Option<String> {
    let field = if line.contains(",\"op\":\"found\"") {
        ",\"text\":"
    } else {
        ",\"doc\":"
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

#[cfg(test)]
mod tests {
    use super::*;

    fn put() -> Put {
        Put {
            id: "d \"1\"".parse().unwrap(),
            file: "2025-01-01_d.json".into(),
            token: "1-0123456789abcdef".parse().unwrap(),
            at: parse_timestamp("2025-01-01T10:00:00.123456789Z").unwrap(),
            time: Some(parse_timestamp("2025-01-01").unwrap()),
            base: None,
            gone: vec![Gone {
                file: "2024-12-31_d.json".into(),
                digest: None,
            }],
            doc: Span::default(),
            text: Span::default(),
            raw: false,
        }
    }

    #[test]
    fn a_line_comes_back_and_its_document_is_found() {
        let mut chain = Chain {
            seq: 0,
            head: GENESIS.to_owned(),
        };
        let mut out = Vec::new();
        let document = r#"{"id":"d \"1\"","n":1.10}"#;
        chain.put(&mut out, &put(), document, None);
        let line = out.strip_suffix(b"\n").unwrap();
        let Parsed::Entry(entry) = parse(100, line) else {
            panic!()
        };
        assert_eq!(
            (entry.seq, entry.prev.as_str(), &entry.hash),
            (1, GENESIS, &chain.head)
        );
        let Record::Put(back) = entry.record else {
            panic!()
        };
        assert_eq!(
            (&back.id, &back.file, back.token),
            (&put().id, &put().file, put().token)
        );
        assert_eq!(
            (back.at, back.time, &back.gone),
            (put().at, put().time, &put().gone)
        );
        let start = usize::try_from(back.doc.offset - 100).unwrap();
        let end = start + usize::try_from(back.doc.len).unwrap();
        assert_eq!(&line[start..end], document.as_bytes());
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let mut chain = Chain {
            seq: 0,
            head: GENESIS.to_owned(),
        };
        let mut out = Vec::new();
        chain.put(&mut out, &put(), r#"{"id":"x"}"#, None);
        out.pop();
        for i in 0..out.len() {
            let mut changed = out.clone();
            changed[i] ^= 1;
            assert!(matches!(parse(0, &changed), Parsed::Damaged(_)), "byte {i}");
            assert!(
                matches!(parse(0, &out[..i]), Parsed::Damaged(_)),
                "cut at {i}"
            );
        }
    }

    #[test]
    fn marks_come_back() {
        for mark in [
            Mark {
                seq: 7,
                boot: Some("ab".to_owned()),
                dir: Some((1, 2)),
            },
            Mark {
                seq: 0,
                boot: None,
                dir: None,
            },
        ] {
            let line = mark.to_line();
            match parse(0, line.trim_end().as_bytes()) {
                Parsed::Mark(back) => assert_eq!(back, mark),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(parse(0, b"{\"mark\":x}"), Parsed::Damaged(_)));
    }
}
