//! What is known of a segment's lines, as it stands in the segment.

use minutebook_core::ProblemKind;
use serde::{Deserialize, Serialize};

use super::Entry;
use super::format::Sealed;
use crate::codec::kind::Seen;
use crate::config::EpochUnit;
use crate::index::{Block, Columns, Flawed, Part};

/// The index of a segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// The `id` of the manifest that the segment belongs to.
    pub(crate) id: String,
    pub(crate) number: u64,
    /// BLAKE3 of the lines.
    pub(crate) digest: String,
    /// The unit of numeric times and the longest line with which all this was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<EpochUnit>,
    pub(crate) max_line_bytes: u64,
    lines: u64,
    rows: u64,
    flaws: u64,
    columns: Vec<(String, Seen)>,
    /// Of each block of lines: its offset, its bytes, the lines before it, its rows, the earliest and the latest time.
    blocks: Vec<(u64, u64, u64, u64, i64, i64)>,
    /// The first lines that are no rows: why, the lines before it, its offset.
    kept: Vec<(Why, u64, u64, String)>,
}

/// Why a line is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Why {
    Malformed,
    BadTimestamp,
    TooLarge,
}

impl Stats {
    /// The index of lines of which a part tells.
    pub(crate) fn new(
        (id, number): (&str, u64),
        digest: String,
        unit: Option<EpochUnit>,
        max_line_bytes: u64,
        part: &Part,
    ) -> Self {
        let columns = part.columns.iter();
        Self {
            id: id.to_owned(),
            number,
            digest,
            unit,
            max_line_bytes,
            lines: part.lines,
            rows: part.rows,
            flaws: part.flaws,
            columns: columns
                .map(|(name, seen)| (name.to_owned(), seen))
                .collect(),
            blocks: part
                .blocks
                .iter()
                .map(|b| (b.offset, b.len, b.first_line, b.rows, b.min, b.max))
                .collect(),
            kept: part
                .kept
                .iter()
                .map(|flawed| {
                    let why = match flawed.kind {
                        ProblemKind::BadTimestamp => Why::BadTimestamp,
                        ProblemKind::TooLarge => Why::TooLarge,
                        _ => Why::Malformed,
                    };
                    (why, flawed.line, flawed.byte, flawed.message.clone())
                })
                .collect(),
        }
    }

    /// What the manifest keeps of it.
    pub(crate) fn entry(&self, number: u64, sealed: &Sealed) -> Entry {
        let filled = || self.blocks.iter().filter(|block| block.3 > 0);
        Entry {
            id: self.id.clone(),
            number,
            bytes: sealed.bytes,
            stored: sealed.stored,
            lines: self.lines,
            rows: self.rows,
            first: filled().map(|block| block.4).min(),
            last: filled().map(|block| block.5).max(),
            flaws: self.flaws,
            columns: self.columns.clone(),
            unit: self.unit,
            max_line_bytes: self.max_line_bytes,
            digest: self.digest.clone(),
        }
    }

    /// The part that it was made of.
    pub(crate) fn part(&self) -> Part {
        let mut columns = Columns::default();
        for (name, seen) in &self.columns {
            columns.add(name, *seen);
        }
        Part {
            lines: self.lines,
            rows: self.rows,
            blocks: self
                .blocks
                .iter()
                .map(|&(offset, len, first_line, rows, min, max)| Block {
                    offset,
                    len,
                    first_line,
                    rows,
                    min,
                    max,
                })
                .collect(),
            columns,
            flaws: self.flaws,
            kept: self
                .kept
                .iter()
                .map(|(why, line, byte, message)| Flawed {
                    kind: match why {
                        Why::Malformed => ProblemKind::Malformed,
                        Why::BadTimestamp => ProblemKind::BadTimestamp,
                        Why::TooLarge => ProblemKind::TooLarge,
                    },
                    line: *line,
                    byte: *byte,
                    message: message.clone(),
                })
                .collect(),
        }
    }
}
