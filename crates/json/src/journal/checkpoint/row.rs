//! One row of a checkpoint's table, as bytes.

use chrono::{DateTime, Utc};
use minutebook_core::DecisionId;

use crate::codec::{Digest, Token};
use crate::journal::known::Known;
use crate::journal::line::Span;

/// By what rows are sorted and found: the start of a hash, so that keys are spread evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(super) [u8; Key::LEN]);

impl Key {
    pub(super) const LEN: usize = 16;

    /// Of a decision.
    pub(crate) fn of_id(id: &DecisionId) -> Self {
        Self::of(b"id", id.as_str())
    }

    /// Of a file whose name does not tell its decision.
    pub(crate) fn of_file(name: &str) -> Self {
        Self::of(b"file", name)
    }

    fn of(what: &[u8], text: &str) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(what).update(b"\0").update(text.as_bytes());
        let hash = hash.finalize();
        Self(hash.as_bytes().first_chunk().copied().unwrap_or_default())
    }

    /// Where among all keys it is, in parts of 2^64.
    pub(super) fn place(self) -> u64 {
        u64::from_be_bytes(self.0.first_chunk().copied().unwrap_or_default())
    }
}

/// What questions are asked about, of a document in the state of its row, and how its file looked when it held that.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// In lower case.
    pub(crate) pair: Option<Box<str>>,
    pub(crate) action: Option<Box<str>>,
    /// NaN if there is none.
    pub(crate) confidence: f64,
    /// `None` if a change could hide behind it.
    pub(crate) sight: Option<Sight>,
}

/// By what a file is known to be unchanged, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) inode: u64,
    pub(crate) len: u64,
    /// When content or attributes last changed, in nanoseconds since 1970: no program can set it.
    pub(crate) changed_ns: i64,
}

/// A decision.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: DecisionId,
    pub(crate) known: Known,
    pub(crate) seen: Option<Seen>,
}

impl Entry {
    pub(crate) fn new(id: DecisionId, known: Known) -> Self {
        Self {
            id,
            known,
            seen: None,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Row {
    State(Box<Entry>),
    /// Not any more, whatever older tables say.
    Gone,
    /// The decision whose file has the name of the key.
    Alias(DecisionId),
}

const GONE: u8 = 0;
const ALIAS: u8 = 1;
const STATE: u8 = 2;

const TIME: u8 = 1;
const RAW: u8 = 2;
/// The file is called by date and id as they stand.
const PLAIN: u8 = 4;
const SEEN: u8 = 8;
const SIGHT: u8 = 16;
const PAIR: u8 = 32;
const ACTION: u8 = 64;

/// Longer words are left out, and the document is read when it is asked about.
const MAX_WORD: usize = 255;
const DATE: usize = 10;
const SUFFIX: &str = ".json";

/// A row's key and bytes, as it stands in a table.
#[derive(Debug, Clone)]
pub(crate) struct Bytes {
    pub(super) key: Key,
    pub(super) bytes: Vec<u8>,
}

impl Bytes {
    pub(super) fn is_gone(&self) -> bool {
        self.bytes.first() == Some(&GONE)
    }

    pub(crate) fn gone(id: &DecisionId) -> Self {
        Self {
            key: Key::of_id(id),
            bytes: vec![GONE],
        }
    }

    pub(crate) fn alias(file: &str, id: &DecisionId) -> Self {
        let mut bytes = vec![ALIAS];
        put_text(&mut bytes, id.as_str());
        Self {
            key: Key::of_file(file),
            bytes,
        }
    }

    pub(crate) fn state(entry: &Entry) -> Self {
        let Entry { id, known, seen } = entry;
        let word = |text: &Option<Box<str>>| text.as_ref().is_none_or(|t| t.len() <= MAX_WORD);
        let seen = seen
            .as_ref()
            .filter(|seen| word(&seen.pair) && word(&seen.action));
        let date = plain_date(&known.file, id.as_str());
        let mut flags = 0;
        for (flag, set) in [
            (TIME, known.time.is_some()),
            (RAW, known.raw),
            (PLAIN, date.is_some()),
            (SEEN, seen.is_some()),
            (SIGHT, seen.is_some_and(|seen| seen.sight.is_some())),
            (PAIR, seen.is_some_and(|seen| seen.pair.is_some())),
            (ACTION, seen.is_some_and(|seen| seen.action.is_some())),
        ] {
            if set {
                flags |= flag;
            }
        }
        let mut out = vec![STATE, flags];
        put_text(&mut out, id.as_str());
        match date {
            Some(date) => out.extend_from_slice(date.as_bytes()),
            None => put_text(&mut out, &known.file),
        }
        put_u64(&mut out, known.token.generation);
        put_u64(&mut out, known.token.digest.to_bits());
        put_time(&mut out, known.at);
        if let Some(time) = known.time {
            put_time(&mut out, time);
        }
        for span in [known.doc, known.text] {
            put_u64(&mut out, span.offset);
            put_u64(&mut out, span.len);
        }
        if let Some(seen) = seen {
            put_u64(&mut out, seen.confidence.to_bits());
            if let Some(sight) = seen.sight {
                put_u64(&mut out, sight.inode);
                put_u64(&mut out, sight.len);
                out.extend_from_slice(&sight.changed_ns.to_le_bytes());
            }
            for word in [&seen.pair, &seen.action].into_iter().flatten() {
                put_text(&mut out, word);
            }
        }
        Self {
            key: Key::of_id(id),
            bytes: out,
        }
    }
}

/// The date of a name that is date, id and suffix as they stand.
fn plain_date<'a>(file: &'a str, id: &str) -> Option<&'a str> {
    let (date, rest) = file.split_at_checked(DATE)?;
    let plain = rest.strip_prefix('_')?.strip_suffix(SUFFIX)? == id;
    plain.then_some(date)
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_time(out: &mut Vec<u8>, time: DateTime<Utc>) {
    out.extend_from_slice(&time.timestamp().to_le_bytes());
    out.extend_from_slice(&time.timestamp_subsec_nanos().to_le_bytes());
}

/// Ids and names are far shorter than 64 KiB, and words were measured.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Reads a row; `None` if it is not as this version writes it.
pub(super) fn decode(bytes: &[u8]) -> Option<Row> {
    let mut input = Input(bytes);
    match input.byte()? {
        GONE => Some(Row::Gone),
        ALIAS => Some(Row::Alias(DecisionId::new(input.text()?).ok()?)),
        STATE => {
            let flags = input.byte()?;
            let is = |flag| flags & flag != 0;
            let id = input.text()?;
            let file = if is(PLAIN) {
                let date = std::str::from_utf8(input.take(DATE)?).ok()?;
                format!("{date}_{id}{SUFFIX}").into()
            } else {
                input.text()?.into()
            };
            let known = Known {
                token: Token {
                    generation: input.u64()?,
                    digest: Digest::from_bits(input.u64()?),
                },
                at: input.time()?,
                time: if is(TIME) { Some(input.time()?) } else { None },
                file,
                doc: input.span()?,
                text: input.span()?,
                raw: is(RAW),
            };
            let seen = if is(SEEN) {
                Some(input.seen(is(SIGHT), is(PAIR), is(ACTION))?)
            } else {
                None
            };
            let id = DecisionId::new(id).ok()?;
            Some(Row::State(Box::new(Entry { id, known, seen })))
        }
        _ => None,
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Option<DateTime<Utc>> {
        let seconds = i64::from_le_bytes(self.array()?);
        DateTime::from_timestamp(seconds, u32::from_le_bytes(self.array()?))
    }

    fn span(&mut self) -> Option<Span> {
        Some(Span {
            offset: self.u64()?,
            len: self.u64()?,
        })
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = u16::from_le_bytes(self.array()?);
        std::str::from_utf8(self.take(usize::from(len))?).ok()
    }

    fn seen(&mut self, sight: bool, pair: bool, action: bool) -> Option<Seen> {
        let confidence = f64::from_bits(self.u64()?);
        let sight = if sight {
            Some(Sight {
                inode: self.u64()?,
                len: self.u64()?,
                changed_ns: i64::from_le_bytes(self.array()?),
            })
        } else {
            None
        };
        let mut word = |there: bool| -> Option<Option<Box<str>>> {
            if there {
                Some(Some(self.text()?.into()))
            } else {
                Some(None)
            }
        };
        Some(Seen {
            pair: word(pair)?,
            action: word(action)?,
            confidence,
            sight,
        })
    }
}
