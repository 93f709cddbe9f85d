//! An index beside its file, so that a new process need not read the whole file to find its way.
//!
//! It is a cache: whoever writes the series writes it now and then, nobody needs it, and one that is damaged, of another file or of other settings is as
//! good as none. It speaks of lines only that were synced before it was written: a power cut cannot take them and leave it.

use std::path::Path;
use std::sync::Arc;

use minutebook_core::ProblemKind;
use minutebook_fs::{Durability, FileId, Fs, FsError, FsFile, read, replace};
use serde::{Deserialize, Serialize};

use super::build::Reading;
use super::follow::{Index, probes_match};
use super::part::{Block, Flawed, Part};
use crate::codec::kind::Seen;
use crate::config::EpochUnit;

const FORMAT: &str = "minutebook-index";
const VERSION: u32 = 1;
const MAX_BYTES: u64 = 1 << 30;
/// Six numbers of 64 bits.
const BLOCK_BYTES: usize = 48;

/// The first line; the blocks follow it, and a checksum ends the file.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    /// Which file, and how it was when it was looked at.
    device: u64,
    inode: u64,
    len: u64,
    changed_ns: Option<i64>,
    /// The settings that decide what is a row.
    unit: Option<EpochUnit>,
    max_line_bytes: usize,
    /// The offset after the last complete line.
    end: u64,
    lines: u64,
    rows: u64,
    columns: Vec<(String, u8)>,
    flaws: u64,
    kept: Vec<Flaw>,
    /// The first and the last bytes.
    head: Vec<u8>,
    tail: Vec<u8>,
    blocks: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Flaw {
    kind: Kind,
    line: u64,
    byte: u64,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Malformed,
    BadTimestamp,
    TooLarge,
}

impl Kind {
    fn of(kind: ProblemKind) -> Self {
        match kind {
            ProblemKind::BadTimestamp => Self::BadTimestamp,
            ProblemKind::TooLarge => Self::TooLarge,
            _ => Self::Malformed,
        }
    }

    fn problem(self) -> ProblemKind {
        match self {
            Self::Malformed => ProblemKind::Malformed,
            Self::BadTimestamp => ProblemKind::BadTimestamp,
            Self::TooLarge => ProblemKind::TooLarge,
        }
    }
}

/// Writes an index. What it speaks of must have been synced.
pub(crate) fn save(
    fs: &dyn Fs,
    path: &Path,
    index: &Index,
    reading: Reading,
) -> Result<(), FsError> {
    let part = &index.part;
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        device: index.file.device,
        inode: index.file.inode,
        len: index.len,
        changed_ns: index.changed_ns.and_then(|ns| i64::try_from(ns).ok()),
        unit: reading.unit,
        max_line_bytes: reading.max_line_bytes,
        end: index.end,
        lines: part.lines,
        rows: part.rows,
        columns: part
            .columns
            .iter()
            .map(|(name, seen)| (name.to_owned(), seen.bits()))
            .collect(),
        flaws: part.flaws,
        kept: part
            .kept
            .iter()
            .map(|flawed| Flaw {
                kind: Kind::of(flawed.kind),
                line: flawed.line,
                byte: flawed.byte,
                message: flawed.message.clone(),
            })
            .collect(),
        head: index.head.clone(),
        tail: index.tail.clone(),
        blocks: part.blocks.len(),
    };
    let mut bytes = serde_json::to_vec(&header)
        .map_err(|error| FsError::not_applied("replace", "write the index", path, error.into()))?;
    bytes.reserve_exact(1 + part.blocks.len() * BLOCK_BYTES + 4);
    bytes.push(b'\n');
    for block in &part.blocks {
        for number in [block.offset, block.len, block.first_line, block.rows] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for time in [block.min, block.max] {
            bytes.extend_from_slice(&time.to_le_bytes());
        }
    }
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    replace(fs, path, &bytes, Durability::Buffered)
}

/// The index of a file, if there is one that was made with these settings. Whether it is of the file as it is now is for the caller to check.
pub(crate) fn load(fs: &dyn Fs, path: &Path, reading: Reading) -> Option<Arc<Index>> {
    match read(fs, path, MAX_BYTES) {
        Ok(bytes) => {
            let index = parse(&bytes?, reading);
            if index.is_none() {
                tracing::debug!(path = %path.display(), "the index is damaged or of other settings; the file is read from its start");
            }
            index.map(Arc::new)
        }
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "the index cannot be read; the file is read from its start");
            None
        }
    }
}

/// As [`load`], if it may be of this file.
pub(crate) fn load_of(
    fs: &dyn Fs,
    path: &Path,
    file: &Arc<dyn FsFile>,
    reading: Reading,
) -> Option<Arc<Index>> {
    load(fs, path, reading).filter(|saved| probes_match(saved, file).unwrap_or(false))
}

/// What is wrong with an index as a file, whatever it is of; `None` if nothing is, or if it is not there.
pub(crate) fn damage(fs: &dyn Fs, path: &Path) -> Result<Option<String>, FsError> {
    let Some(bytes) = read(fs, path, MAX_BYTES)? else {
        return Ok(None);
    };
    let whole = bytes
        .split_last_chunk::<4>()
        .is_some_and(|(content, sum)| crc32fast::hash(content) == u32::from_le_bytes(*sum));
    let why = "its checksum does not fit it: it is left aside, and the lines are read instead";
    Ok((!whole).then(|| why.to_owned()))
}

fn parse(bytes: &[u8], reading: Reading) -> Option<Index> {
    let (content, sum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(content) != u32::from_le_bytes(*sum) {
        return None;
    }
    let newline = memchr::memchr(b'\n', content)?;
    let header: Header = serde_json::from_slice(content.get(..newline)?).ok()?;
    let settings = header.unit == reading.unit && header.max_line_bytes == reading.max_line_bytes;
    if header.format != FORMAT || header.version != VERSION || !settings {
        return None;
    }
    let blocks = content.get(newline + 1..)?;
    if Some(blocks.len()) != header.blocks.checked_mul(BLOCK_BYTES) {
        return None;
    }
    let blocks = blocks.chunks_exact(BLOCK_BYTES).map(block);
    let mut part = Part {
        lines: header.lines,
        rows: header.rows,
        blocks: blocks.collect::<Option<_>>()?,
        flaws: header.flaws,
        ..Part::default()
    };
    for (name, bits) in header.columns {
        part.columns.add(&name, Seen::from_bits(bits));
    }
    for flaw in header.kept {
        part.kept.push(Flawed {
            kind: flaw.kind.problem(),
            line: flaw.line,
            byte: flaw.byte,
            message: flaw.message,
        });
    }
    Some(Index {
        file: FileId {
            device: header.device,
            inode: header.inode,
        },
        len: header.len,
        changed_ns: header.changed_ns.map(i128::from),
        end: header.end,
        part,
        head: header.head,
        tail: header.tail,
    })
}

fn block(bytes: &[u8]) -> Option<Block> {
    let mut numbers = bytes.chunks_exact(8).map_while(|bytes| {
        let bytes = bytes.first_chunk::<8>()?;
        Some(*bytes)
    });
    let mut next = || numbers.next();
    Some(Block {
        offset: u64::from_le_bytes(next()?),
        len: u64::from_le_bytes(next()?),
        first_line: u64::from_le_bytes(next()?),
        rows: u64::from_le_bytes(next()?),
        min: i64::from_le_bytes(next()?),
        max: i64::from_le_bytes(next()?),
    })
}
