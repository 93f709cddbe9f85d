//! What one handle has read of the journal, and the lines that came since.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_core::{Problem, ProblemKind};
use minutebook_fs::{FileId, Fs, FsError, Item, LineOptions, LineReader, OpenMode};

use super::line::{Chain, GENESIS, Mark, Parsed, Record, Span, parse};
use crate::error::{JsonError, Result};

/// Reads of short tails do not pay for a large buffer.
const MIN_CHUNK: u64 = 4 << 10;
const MAX_CHUNK: u64 = 256 << 10;
/// How many damaged places are kept in full.
const KEPT: usize = 100;

/// What a line says to whoever follows the journal.
#[derive(Debug)]
pub(crate) enum Event {
    Record(u64, Record),
    Mark(Mark),
}

/// How a look at the journal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CaughtUp {
    /// So many lines were new.
    Lines(u64),
    /// It is not the file that was read before, or its bytes changed: start again.
    Replaced,
}

#[derive(Debug, PartialEq, Eq)]
enum Taken {
    Line,
    Misfit,
}

/// The journal as far as it was read.
#[derive(Debug)]
pub(crate) struct Journal {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    max_line: usize,
    file: Option<FileId>,
    /// The length at the last look, an unfinished line included.
    len: u64,
    /// Where the next line starts.
    pub(crate) offset: u64,
    pub(crate) chain: Chain,
    /// The run of the machine in which everything up to the last mark was seen to be in the files.
    pub(crate) boot: Option<String>,
    /// After the last mark that covers everything before it, and the chain there.
    pub(crate) marked: (u64, String),
    /// When the directory had last changed at the last mark, in nanoseconds since 1970.
    pub(crate) dir_after: Option<i64>,
    /// Lines read since the last checkpoint.
    pub(crate) lines: u64,
    /// Whether damage is taken as it is: on the first reading, where there is nothing to go back to.
    settled: bool,
    damage: Vec<Problem>,
    damaged: u64,
}

impl Journal {
    pub(crate) fn new(fs: Arc<dyn Fs>, path: PathBuf, max_line: usize) -> Self {
        Self {
            fs,
            path,
            max_line,
            file: None,
            len: 0,
            offset: 0,
            chain: Chain {
                seq: 0,
                head: GENESIS.to_owned(),
            },
            boot: None,
            marked: (0, GENESIS.to_owned()),
            dir_after: None,
            lines: 0,
            settled: false,
            damage: Vec::new(),
            damaged: 0,
        }
    }

    /// Starts after what a checkpoint covers.
    pub(crate) fn start_at(&mut self, offset: u64, chain: Chain) {
        self.offset = offset;
        self.marked = (offset, chain.head.clone());
        self.chain = chain;
    }

    /// Which file it is and how long.
    fn stat(&self) -> Result<Option<(FileId, u64)>> {
        match self.fs.metadata(&self.path) {
            Ok(meta) => Ok(Some((meta.id, meta.len))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(FsError::not_applied("read", "look at the journal", &self.path, error).into())
            }
        }
    }

    /// Whether nothing was appended since the last look. One call to the system.
    pub(crate) fn is_current(&self) -> Result<bool> {
        Ok(match self.stat()? {
            Some((file, len)) => self.file == Some(file) && self.len == len,
            None => self.file.is_none(),
        })
    }

    /// Reads the lines that were appended since the last look.
    pub(crate) fn catch_up(&mut self, sink: &mut dyn FnMut(Event)) -> Result<CaughtUp> {
        let (file, len) = match self.stat()? {
            None if self.file.is_none() && self.offset == 0 => return Ok(CaughtUp::Lines(0)),
            None => return Ok(CaughtUp::Replaced),
            Some(found) => found,
        };
        if self.file.is_some_and(|known| known != file) || len < self.offset {
            return Ok(CaughtUp::Replaced);
        }
        if self.file == Some(file) && self.len == len {
            return Ok(CaughtUp::Lines(0));
        }
        let step = |error| FsError::not_applied("read", "read the journal", &self.path, error);
        let open = self.fs.open(&self.path, OpenMode::Read).map_err(step)?;
        let chunk = (len - self.offset + 1).clamp(MIN_CHUNK, MAX_CHUNK);
        let options = LineOptions::default()
            .start(self.offset)
            .max_line_bytes(self.max_line)
            .chunk_bytes(usize::try_from(chunk).unwrap_or(usize::MAX));
        let mut reader = LineReader::new(open, options);
        let mut lines = 0;
        loop {
            let item = reader.next().map_err(|error| {
                FsError::not_applied("read", "read the journal", &self.path, error)
            })?;
            let Some(item) = item else { break };
            let (start, end) = (item.offset(), item.end());
            let parsed = match item {
                Item::Line(line) => parse(start, line.bytes),
                Item::TooLong { .. } => {
                    Parsed::Damaged("it is longer than max_document_bytes allows")
                }
            };
            // What does not fit where it was read up to before: another file, or other bytes.
            let goes_back = self.settled && lines == 0;
            if self.take((start, end), parsed, goes_back, sink) == Taken::Misfit {
                return Ok(CaughtUp::Replaced);
            }
            lines += 1;
            self.offset = end;
        }
        self.file = Some(file);
        self.len = len.max(self.offset);
        self.settled = true;
        self.lines += lines;
        Ok(CaughtUp::Lines(lines))
    }

    /// Takes over lines that this handle has appended itself at `offset`, under the lock: they need not be read. `false` if they
    /// do not follow what was read; then nothing was done.
    pub(crate) fn absorb(
        &mut self,
        offset: u64,
        appended: &[u8],
        sink: &mut dyn FnMut(Event),
    ) -> bool {
        if self.file.is_none() || self.offset != offset || self.len != offset || !self.settled {
            return false;
        }
        for line in appended.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let parsed = parse(self.offset, text);
            let end = self.offset + line.len() as u64;
            self.take((self.offset, end), parsed, false, sink);
            self.offset = end;
            self.lines += 1;
        }
        self.len = self.offset;
        true
    }

    /// Takes over one line; not one that does not fit, if what was read before may be of another file.
    fn take(
        &mut self,
        (start, end): (u64, u64),
        parsed: Parsed,
        goes_back: bool,
        sink: &mut dyn FnMut(Event),
    ) -> Taken {
        match parsed {
            Parsed::Entry(entry) => {
                if entry.prev != self.chain.head || entry.seq != self.chain.next() {
                    if goes_back {
                        return Taken::Misfit;
                    }
                    let expected = self.chain.next();
                    self.note(
                        start,
                        format!(
                            "line {} does not follow line {}; lines are missing or were changed",
                            entry.seq,
                            expected - 1
                        ),
                    );
                }
                self.chain = Chain {
                    seq: entry.seq.max(self.chain.seq),
                    head: entry.hash,
                };
                sink(Event::Record(entry.seq, entry.record));
            }
            Parsed::Mark(mark) => {
                self.boot.clone_from(&mark.boot);
                self.dir_after = mark.dir.map(|(_, after)| after);
                if mark.seq >= self.chain.seq {
                    self.marked = (end, self.chain.head.clone());
                }
                sink(Event::Mark(mark));
            }
            Parsed::Damaged(why) => {
                if goes_back {
                    return Taken::Misfit;
                }
                self.note(start, format!("a line was skipped: {why}"));
            }
        }
        Taken::Line
    }

    /// A hash of the bytes before `offset`, by which a checkpoint proves that it belongs to this journal.
    pub(crate) fn proof(&self, offset: u64) -> Result<String> {
        let start = offset.saturating_sub(MIN_CHUNK);
        let step = |error| FsError::not_applied("read", "read the journal", &self.path, error);
        let file = self.fs.open(&self.path, OpenMode::Read).map_err(step)?;
        let mut bytes = vec![0; usize::try_from(offset - start).unwrap_or_default()];
        let n = file.read_full_at(&mut bytes, start).map_err(step)?;
        bytes.truncate(n);
        Ok(blake3::hash(&bytes).to_hex().to_string())
    }

    /// The damage met so far, and how much there was in all.
    pub(crate) fn damage(&self) -> (&[Problem], u64) {
        (&self.damage, self.damaged)
    }

    fn note(&mut self, offset: u64, message: String) {
        tracing::warn!(path = %self.path.display(), offset, %message, "the journal is damaged here");
        self.damaged += 1;
        if self.damage.len() < KEPT {
            let name = self.path.file_name().unwrap_or_default().to_string_lossy();
            self.damage
                .push(Problem::new(ProblemKind::DigestMismatch, name, message).at_byte(offset));
        }
    }
}

/// Reads a stretch of the journal at `path` as text.
pub(crate) fn text(fs: &dyn Fs, path: &Path, span: Span) -> Result<String> {
    let step = |error| FsError::not_applied("read", "read the journal", path, error);
    let changed = || JsonError::JournalChanged {
        path: path.to_owned(),
        offset: span.offset,
    };
    let file = fs.open(path, OpenMode::Read).map_err(step)?;
    // Checked first, so that a span that is wrong cannot ask for all the memory there is.
    if span.offset.saturating_add(span.len) > file.len().map_err(step)? {
        return Err(changed());
    }
    let mut bytes = vec![0; usize::try_from(span.len).map_err(|_| changed())?];
    if file.read_full_at(&mut bytes, span.offset).map_err(step)? < bytes.len() {
        return Err(changed());
    }
    String::from_utf8(bytes).map_err(|_| changed())
}

/// The records of the journal from `start` to `end`, without those that were not carried out.
pub(crate) fn records(
    fs: &dyn Fs,
    path: &Path,
    start: u64,
    end: u64,
    max_line: usize,
) -> Result<Vec<Record>> {
    let step = |error| FsError::not_applied("read", "read the journal", path, error);
    let file = fs.open(path, OpenMode::Read).map_err(step)?;
    let options = LineOptions::default()
        .start(start)
        .end(end)
        .max_line_bytes(max_line);
    let mut reader = LineReader::new(file, options);
    let (mut records, mut void) = (Vec::new(), HashSet::new());
    while let Some(item) = reader.next().map_err(step)? {
        let Item::Line(line) = item else { continue };
        // Damage was reported when the checkpoint's writer read it, and is by every look at the whole journal.
        if let Parsed::Entry(entry) = parse(line.offset, line.bytes) {
            match entry.record {
                Record::Void(lines) => void.extend(lines),
                record => records.push((entry.seq, record)),
            }
        }
    }
    records.retain(|(seq, _)| !void.contains(seq));
    Ok(records.into_iter().map(|(_, record)| record).collect())
}
