//! From the bytes of a file to a decision, and to the tokens that tell its states apart.

use std::fmt;
use std::str::FromStr;

use minutebook_core::json::RawObject;
use minutebook_core::{Decision, DecisionId, Problem, ProblemKind, Revision};

use crate::wide;

/// The first 64 bits of the BLAKE3 hash of a document's compact text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) fn of(compact: &str) -> Self {
        Self::of_bytes(compact.as_bytes())
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        let hash = blake3::hash(bytes);
        let first = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        Self(u64::from_be_bytes(first))
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Digest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(());
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| ())
    }
}

/// Which state of a document: the journal line that brought it, and its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// The line's number; for a state that the journal does not know, that of the last line about this id, or 0.
    pub(crate) generation: u64,
    pub(crate) digest: Digest,
}

impl Token {
    /// Of nothing.
    pub(crate) const NONE: Self = Self {
        generation: 0,
        digest: Digest(0),
    };

    /// The token as callers see it.
    pub(crate) fn revision(self) -> minutebook_core::Result<Revision> {
        Revision::new(self.to_string())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.generation, self.digest)
    }
}

impl FromStr for Token {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (generation, digest) = text.split_once('-').ok_or(())?;
        Ok(Self {
            generation: generation.parse().map_err(|_| ())?,
            digest: digest.parse()?,
        })
    }
}

/// A decision as read, with the digest of its compact text.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) decision: Decision,
    pub(crate) digest: Digest,
    /// The text is wider than JSON: the digest is that of its bytes, and the decision what was told of it.
    pub(crate) raw: bool,
}

impl Document {
    pub(crate) fn new(decision: Decision) -> Self {
        let compact = decision.to_json();
        Self::with_compact(decision, &compact)
    }

    /// As [`new`](Self::new), for who has the compact text already.
    pub(crate) fn with_compact(decision: Decision, compact: &str) -> Self {
        let digest = Digest::of(compact);
        Self {
            decision,
            digest,
            raw: false,
        }
    }
}

/// Why bytes are no decision.
#[derive(Debug, Clone)]
pub(crate) struct Unreadable {
    pub(crate) problem: Problem,
    /// Whether the bytes are no JSON at all, as a crash may leave them; else they are whole, but something else.
    pub(crate) damaged: bool,
    /// Of the bytes; `None` if they could not be read.
    pub(crate) digest: Option<Digest>,
}

/// Reads a document; `name` is for the problem.
pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Document, Unreadable> {
    let decision = read(name, bytes).map_err(|unreadable| Unreadable {
        digest: Some(Digest::of_bytes(bytes)),
        ..unreadable
    })?;
    Ok(Document::new(decision))
}

/// As [`decode`], for bytes of which the digest is known, which is a good part of the work; `None` if they are no decision.
pub(crate) fn decode_known(name: &str, bytes: &[u8], digest: Digest) -> Option<Document> {
    let decision = read(name, bytes).ok()?;
    Some(Document {
        decision,
        digest,
        raw: false,
    })
}

fn read(name: &str, bytes: &[u8]) -> Result<Decision, Unreadable> {
    let damaged = |problem| Unreadable {
        problem,
        damaged: true,
        digest: None,
    };
    let other = |kind, message: String| Unreadable {
        problem: Problem::new(kind, name, message),
        damaged: false,
        digest: None,
    };
    let malformed = |message: String| Problem::new(ProblemKind::Malformed, name, message);
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(Unreadable {
            problem: malformed(
                "it starts with a byte order mark; save it as UTF-8 without".to_owned(),
            )
            .at_byte(0),
            damaged: false,
            digest: None,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        damaged(
            malformed("it is no UTF-8 text; it was left as it is".to_owned()).at_byte(at as u64),
        )
    })?;
    if text.trim().is_empty() {
        return Err(damaged(malformed("it is empty".to_owned())));
    }
    let fields = RawObject::parse(text).map_err(|error| {
        let problem = malformed(format!("it is no JSON object that can be read: {error}"));
        let problem = if error.line() > 0 {
            problem.at_line(error.line() as u64)
        } else {
            problem
        };
        // Whole JSON of another shape, or as Python writes it, was put there by somebody; only text that breaks off or is no JSON
        // is damage.
        let damaged = (error.is_eof() || error.is_syntax()) && wide::fields(text).is_err();
        Unreadable {
            problem,
            damaged,
            digest: None,
        }
    })?;
    match Decision::from_fields(fields.clone()) {
        Ok(decision) => Ok(decision),
        Err(error) => Err(other_kind(&fields, &error, other)),
    }
}

/// Why an object is no decision.
fn other_kind(
    fields: &RawObject,
    error: &minutebook_core::Error,
    other: impl FnOnce(ProblemKind, String) -> Unreadable,
) -> Unreadable {
    let Some(raw) = fields.get("id") else {
        return other(
            ProblemKind::MissingId,
            "it has no \"id\", so it is no decision".to_owned(),
        );
    };
    match serde_json::from_str::<String>(raw).map(DecisionId::new) {
        Ok(Ok(_)) => other(ProblemKind::BadTimestamp, error.to_string()),
        Ok(Err(error)) => other(ProblemKind::InvalidName, error.to_string()),
        Err(_) => other(
            ProblemKind::InvalidName,
            "the \"id\" is no string".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_apart() {
        for (bytes, kind, damaged) in [
            (&b""[..], ProblemKind::Malformed, true),
            (b"\0\0\0", ProblemKind::Malformed, true),
            (b"{\"id\": \"a\"", ProblemKind::Malformed, true),
            (b"{\"id\": \"\xff\"}", ProblemKind::Malformed, true),
            (b"\xEF\xBB\xBF{\"id\":\"a\"}", ProblemKind::Malformed, false),
            (b"[1]", ProblemKind::Malformed, false),
            (
                b"{\"id\":\"a\",\"id\":\"b\"}",
                ProblemKind::Malformed,
                false,
            ),
            (b"{\"a\":1}", ProblemKind::MissingId, false),
            (b"{\"id\":1}", ProblemKind::InvalidName, false),
            (b"{\"id\":\"a/b\"}", ProblemKind::InvalidName, false),
            (
                b"{\"id\":\"a\",\"timestamp\":\"soon\"}",
                ProblemKind::BadTimestamp,
                false,
            ),
        ] {
            let error = decode("x.json", bytes).unwrap_err();
            assert_eq!(
                (error.problem.kind, error.damaged),
                (kind, damaged),
                "{}",
                bytes.escape_ascii()
            );
        }
        let line = decode("x.json", b"{\n\"id\": \"a\",\n\"b\": NaN}").unwrap_err();
        assert_eq!(line.problem.location.line, Some(3));
    }

    #[test]
    fn layout_does_not_change_the_digest() {
        let one = decode("x", b"{\"id\":\"a\",\"n\":1.10}").unwrap();
        let two = decode("x", b"{\n  \"id\": \"a\",\n  \"n\": 1.10\n}\n").unwrap();
        assert_eq!(one.digest, two.digest);
        assert_ne!(
            one.digest,
            decode("x", b"{\"id\":\"a\",\"n\":1.1}").unwrap().digest
        );
        let token = Token {
            generation: 7,
            digest: one.digest,
        };
        assert_eq!(token.to_string().parse(), Ok(token));
        assert!("7-".parse::<Token>().is_err() && "x-0123456789abcdef".parse::<Token>().is_err());
    }
}
