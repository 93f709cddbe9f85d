//! Writing lines, each chained to the one before.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use minutebook_core::DecisionId;
use minutebook_core::json::push_string;
use minutebook_core::time::format_timestamp;

use super::{Delete, Found, Gone, HASH_KEY, Pruned, Put, Span, Start};
use crate::codec::Token;

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
