//! One line of the journal: how it is written, read and chained. The format is described in docs/format/journal.md.

mod read;
mod write;

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::DecisionId;
use minutebook_core::json::push_string;
use serde::Deserialize;

use crate::codec::{Digest, Token};

pub(crate) use read::{parse, prune};
pub(crate) use write::Chain;

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

impl Record {
    /// The decision that it is about.
    pub(crate) fn id(&self) -> Option<&DecisionId> {
        match self {
            Self::Put(put) => Some(&put.id),
            Self::Delete(delete) => Some(&delete.id),
            Self::Found(found) => Some(&found.id),
            Self::Missing(id) => Some(id),
            Self::Void(_) | Self::Segment(_) | Self::Pruned(_) => None,
        }
    }
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
    /// Stands before a sync of the journal, or a change of files that no line tells of. The next mark says that it is done; if this one is the
    /// last, what is before it may be in memory alone.
    #[serde(default)]
    pub(crate) begun: bool,
    /// In which run of the machine a sync failed, and what it has lost.
    #[serde(default)]
    pub(crate) failed: Option<(String, Lost)>,
}

/// What a sync has lost, so that a later one which does not fail says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lost {
    /// What documents hold.
    Files,
    /// Names in the directory, and perhaps what documents hold.
    Names,
}

impl Lost {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Names => "names",
        }
    }
}

impl Mark {
    /// All lines up to this one were carried out.
    pub(crate) fn new(seq: u64, boot: Option<String>, dir: Option<(i64, i64)>) -> Self {
        Self {
            seq,
            boot,
            dir,
            begun: false,
            failed: None,
        }
    }

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
        if self.begun {
            line.push_str(",\"begun\":true");
        }
        if let Some((run, lost)) = &self.failed {
            line.push_str(",\"failed\":[");
            push_string(&mut line, run);
            let _ = write!(line, ",\"{}\"]", lost.as_str());
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

#[cfg(test)]
mod tests;
