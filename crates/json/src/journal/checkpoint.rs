//! What is known of the journal up to some line: derived, checked, and left aside if anything does not fit.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::DecisionId;
use minutebook_core::json::push_string;
use minutebook_core::time::{format_timestamp, parse_timestamp};
use minutebook_fs::{Durability, Fs, FsError};
use serde::Deserialize;

use super::line::{Chain, Put, Span};
use crate::codec::Token;

/// The last journaled state of a decision that was not deleted since.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) token: Token,
    pub(crate) at: DateTime<Utc>,
    pub(crate) time: Option<DateTime<Utc>>,
    pub(crate) file: Arc<str>,
    pub(crate) doc: Span,
    /// The exact text of its file, as a JSON string; of length 0 if it is laid out as always.
    pub(crate) text: Span,
    /// The text is wider than JSON.
    pub(crate) raw: bool,
}

impl Known {
    /// By which time it is ordered.
    pub(crate) fn effective(&self) -> DateTime<Utc> {
        self.time.unwrap_or(self.at)
    }
}

impl From<&Put> for Known {
    fn from(put: &Put) -> Self {
        Self {
            token: put.token,
            at: put.at,
            time: put.time,
            file: Arc::clone(&put.file),
            doc: put.doc,
            text: put.text,
            raw: put.raw,
        }
    }
}

/// A checkpoint as read, or as it is to be written.
#[derive(Debug)]
pub(crate) struct Checkpoint<K = HashMap<DecisionId, Known>> {
    pub(crate) offset: u64,
    /// Up to here the files had reached the device.
    pub(crate) durable: u64,
    pub(crate) chain: Chain,
    pub(crate) proof: String,
    pub(crate) known: K,
}

#[derive(Deserialize)]
struct Start {
    checkpoint: u32,
    offset: u64,
    durable: u64,
    seq: u64,
    #[serde(rename = "head")]
    hash: String,
    proof: String,
    entries: usize,
}

#[derive(Deserialize)]
struct Row {
    id: DecisionId,
    file: String,
    rev: String,
    at: String,
    #[serde(default)]
    time: Option<String>,
    doc: (u64, u64),
    #[serde(default)]
    text: (u64, u64),
    #[serde(default)]
    raw: bool,
}

#[derive(Deserialize)]
struct Sum {
    sum: String,
}

const FORMAT: u32 = 1;
/// Far above what ten million decisions need.
const MAX_BYTES: u64 = 4 << 30;

impl Checkpoint {
    /// Reads a checkpoint; `None` if there is none, or one that is damaged or of another format.
    pub(crate) fn load(fs: &dyn Fs, path: &Path) -> Result<Option<Self>, FsError> {
        let Some(bytes) = minutebook_fs::read(fs, path, MAX_BYTES)? else {
            return Ok(None);
        };
        let read = Self::decode(&bytes);
        if read.is_none() {
            tracing::warn!(path = %path.display(), "a checkpoint that does not fit is left aside; the whole journal is read");
        }
        Ok(read)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let (content, sum) = text.split_at(text.rfind('\n')? + 1);
        let sum: Sum = serde_json::from_str(sum).ok()?;
        if sum.sum != blake3::hash(content.as_bytes()).to_hex().as_str() {
            return None;
        }
        let mut lines = content.lines();
        let head: Start = serde_json::from_str(lines.next()?).ok()?;
        if head.checkpoint != FORMAT {
            return None;
        }
        let mut known = HashMap::with_capacity(head.entries);
        for line in lines {
            let row: Row = serde_json::from_str(line).ok()?;
            let time = match row.time {
                Some(time) => Some(parse_timestamp(&time).ok()?),
                None => None,
            };
            let state = Known {
                token: row.rev.parse().ok()?,
                at: parse_timestamp(&row.at).ok()?,
                time,
                file: row.file.into(),
                doc: Span {
                    offset: row.doc.0,
                    len: row.doc.1,
                },
                text: Span {
                    offset: row.text.0,
                    len: row.text.1,
                },
                raw: row.raw,
            };
            known.insert(row.id, state);
        }
        Some(Self {
            offset: head.offset,
            durable: head.durable.min(head.offset),
            chain: Chain {
                seq: head.seq,
                head: head.hash,
            },
            proof: head.proof,
            known,
        })
    }
}

impl Checkpoint<&HashMap<DecisionId, Known>> {
    /// Writes a checkpoint. Without a sync: one that a power cut tears is left aside.
    pub(crate) fn store(&self, fs: &dyn Fs, path: &Path) -> Result<(), FsError> {
        let Self {
            offset,
            durable,
            chain,
            proof,
            known,
        } = self;
        let mut text = format!(
            "{{\"checkpoint\":{FORMAT},\"offset\":{offset},\"durable\":{durable},\"seq\":{},\"head\":\"{}\",\"proof\":\"{proof}\",\"entries\":{}}}\n",
            chain.seq,
            chain.head,
            known.len()
        );
        // Writing to a string cannot fail.
        for (id, state) in *known {
            text.push_str("{\"id\":");
            push_string(&mut text, id.as_str());
            text.push_str(",\"file\":");
            push_string(&mut text, &state.file);
            let _ = write!(
                text,
                ",\"rev\":\"{}\",\"at\":\"{}\"",
                state.token,
                format_timestamp(state.at)
            );
            if let Some(time) = state.time {
                let _ = write!(text, ",\"time\":\"{}\"", format_timestamp(time));
            }
            let _ = write!(text, ",\"doc\":[{},{}]", state.doc.offset, state.doc.len);
            if state.text.len > 0 {
                let Span { offset, len } = state.text;
                let _ = write!(text, ",\"text\":[{offset},{len}]");
            }
            text.push_str(if state.raw { ",\"raw\":true}\n" } else { "}\n" });
        }
        let sum = blake3::hash(text.as_bytes()).to_hex();
        let _ = writeln!(text, "{{\"sum\":\"{sum}\"}}");
        minutebook_fs::replace(fs, path, text.as_bytes(), Durability::Buffered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minutebook_fs::SimFs;

    #[test]
    fn a_checkpoint_comes_back_and_damage_is_noticed() {
        let (fs, path) = (SimFs::new(), Path::new("/c"));
        assert!(Checkpoint::load(&fs, path).unwrap().is_none());
        let state = Known {
            token: "3-0123456789abcdef".parse().unwrap(),
            at: parse_timestamp("2025-01-01T00:00:00.5Z").unwrap(),
            time: None,
            file: "2025-01-01_a.json".into(),
            doc: Span {
                offset: 10,
                len: 20,
            },
            text: Span {
                offset: 30,
                len: 40,
            },
            raw: true,
        };
        let known = HashMap::from([("a".parse().unwrap(), state)]);
        let chain = Chain {
            seq: 3,
            head: "ab".to_owned(),
        };
        let written = Checkpoint {
            offset: 77,
            durable: 70,
            chain,
            proof: "pp".to_owned(),
            known: &known,
        };
        written.store(&fs, path).unwrap();
        let back = Checkpoint::load(&fs, path).unwrap().unwrap();
        assert_eq!(
            (
                back.offset,
                back.durable,
                back.chain.seq,
                back.proof.as_str(),
                back.known.len()
            ),
            (77, 70, 3, "pp", 1)
        );
        let state = back.known.values().next().unwrap();
        assert_eq!((state.doc.len, state.text.len, state.raw), (20, 40, true));
        let bytes = minutebook_fs::read(&fs, path, 10_000).unwrap().unwrap();
        for i in 0..bytes.len() {
            assert!(Checkpoint::decode(&bytes[..i]).is_none(), "cut at {i}");
        }
        let mut changed = bytes.clone();
        changed[20] ^= 1;
        assert!(Checkpoint::decode(&changed).is_none());
    }
}
