//! What one handle has read of the journal, and the lines that came since.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_core::{Problem, ProblemKind};
use minutebook_fs::{FileId, Fs, FsError};

use super::checkpoint::Head;
use super::line::{Chain, GENESIS, Lost, Mark, Parsed, Put, Record, Span, parse};
use super::lines::Lines;
use super::segments;
use crate::error::{JsonError, Result};

/// So many bytes before a checkpoint prove that it is of this journal.
const PROVEN: u64 = 4 << 10;
/// How many damaged places are kept in full.
const KEPT: usize = 100;

/// What a line says to whoever follows the journal.
#[derive(Debug)]
pub(crate) enum Event {
    Record(u64, Record),
    Mark(Mark),
}

/// A line that this handle made itself.
#[derive(Debug)]
pub(crate) struct Own {
    /// Where it is in the bytes that were appended together; the spans in the record count from their start.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) seq: u64,
    pub(crate) record: Record,
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
    dir: PathBuf,
    path: PathBuf,
    max_line: usize,
    /// The active file, and the offset of its first byte.
    file: Option<FileId>,
    base: u64,
    /// Where the line is that is looked at.
    place: (PathBuf, u64),
    /// The length at the last look, an unfinished line included.
    len: u64,
    /// Where the next line starts.
    pub(crate) offset: u64,
    pub(crate) chain: Chain,
    /// The run of the machine in which everything up to the last mark was seen to be in the files.
    pub(crate) boot: Option<String>,
    /// Whether the last mark stands before something of which it is not known how it ended.
    pub(crate) begun: bool,
    /// The last run of the machine in which a sync of files failed, and what it was to make durable.
    pub(crate) failed: Option<(String, Lost)>,
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
            dir: parent(&path),
            place: (path.clone(), 0),
            path,
            max_line,
            file: None,
            base: 0,
            len: 0,
            offset: 0,
            chain: Chain {
                seq: 0,
                head: GENESIS.to_owned(),
            },
            boot: None,
            begun: false,
            failed: None,
            marked: (0, GENESIS.to_owned()),
            dir_after: None,
            lines: 0,
            settled: false,
            damage: Vec::new(),
            damaged: 0,
        }
    }

    /// Starts after what a checkpoint covers.
    pub(crate) fn start_at(&mut self, head: Head) {
        self.offset = head.offset;
        self.marked = (head.offset, head.chain.head.clone());
        self.chain = head.chain;
        self.failed = head.failed;
    }

    /// What a sync has lost in this run of the machine, if one has failed.
    pub(crate) fn failed_in(&self, run: Option<&str>) -> Option<Lost> {
        let (of, failed) = self.failed.as_ref()?;
        (Some(of.as_str()) == run).then_some(*failed)
    }

    /// Which file it is and how long.
    fn stat(&self) -> Result<Option<(FileId, u64)>> {
        // Not its times: asking for them makes the next write slower.
        match self.fs.identify(&self.path) {
            Ok(found) => Ok(Some((found.id, found.len))),
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
        if self.file == Some(file) && self.len == len {
            return Ok(CaughtUp::Lines(0));
        }
        let mut reader = Lines::open(&self.fs, &self.dir, self.offset, self.max_line)?;
        if self.file.is_some_and(|known| known != file) {
            // Sealed, with a new file behind it, or replaced.
            if reader.active_base() < self.offset || reader.active_base() == 0 {
                return Ok(CaughtUp::Replaced);
            }
        } else if reader.active_base() + len < self.offset {
            return Ok(CaughtUp::Replaced);
        }
        let mut lines = 0;
        while let Some(line) = reader.next()? {
            let (start, end) = (line.start, line.end);
            if lines == 0 && start != self.offset && self.offset > 0 {
                return Ok(CaughtUp::Replaced);
            }
            self.place = (line.path.to_owned(), line.at);
            let parsed = if line.bytes.is_empty() && end - start > self.max_line as u64 {
                Parsed::Damaged("it is longer than max_document_bytes allows")
            } else {
                parse(start, line.bytes)
            };
            // What does not fit where it was read up to before: another file, or other bytes.
            let goes_back = self.settled && lines == 0;
            if self.take(end, parsed, goes_back, sink) == Taken::Misfit {
                return Ok(CaughtUp::Replaced);
            }
            lines += 1;
            self.offset = end;
        }
        let read = self.offset - reader.active_base().min(self.offset);
        self.len = if reader.active() == Some(file) {
            len.max(read)
        } else {
            read
        };
        self.base = reader.active_base();
        self.file = reader.active();
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
        let in_line = self.offset == self.base + offset && self.len == offset;
        if self.file.is_none() || !in_line || !self.settled {
            return false;
        }
        for line in appended.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let parsed = parse(self.offset, text);
            let end = self.offset + line.len() as u64;
            self.take(end, parsed, false, sink);
            self.offset = end;
            self.lines += 1;
        }
        self.len = self.offset - self.base;
        true
    }

    /// As [`absorb`](Self::absorb), for lines of which it is known what they say; `chain` is that after them.
    pub(crate) fn absorb_own(
        &mut self,
        offset: u64,
        lines: Vec<Own>,
        chain: Chain,
        sink: &mut dyn FnMut(Event),
    ) -> bool {
        let in_line = self.offset == self.base + offset && self.len == offset;
        let follows = lines
            .first()
            .is_some_and(|own| own.seq == self.chain.next());
        if self.file.is_none() || !in_line || !self.settled || !follows {
            return false;
        }
        let start = self.offset;
        for own in lines {
            let moved = |span: Span| Span {
                offset: start + span.offset,
                ..span
            };
            let record = match own.record {
                Record::Put(put) => Record::Put(Put {
                    doc: moved(put.doc),
                    // A span of nothing is at no place.
                    text: if put.text.len == 0 {
                        put.text
                    } else {
                        moved(put.text)
                    },
                    ..put
                }),
                other => other,
            };
            sink(Event::Record(own.seq, record));
            self.offset = start + own.end as u64;
            self.lines += 1;
        }
        self.chain = chain;
        self.len = self.offset - self.base;
        true
    }

    /// Takes over one line; not one that does not fit, if what was read before may be of another file.
    fn take(
        &mut self,
        end: u64,
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
                    self.note(format!(
                        "line {} does not follow line {}; lines are missing or were changed",
                        entry.seq,
                        expected - 1
                    ));
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
                self.begun = mark.begun;
                if let Some((run, lost)) = &mark.failed {
                    let lost = self.failed_in(Some(run)).max(Some(*lost));
                    self.failed = lost.map(|lost| (run.clone(), lost));
                }
                if mark.seq >= self.chain.seq {
                    self.marked = (end, self.chain.head.clone());
                }
                sink(Event::Mark(mark));
            }
            Parsed::Damaged(why) => {
                if goes_back {
                    return Taken::Misfit;
                }
                self.note(format!("a line was skipped: {why}"));
            }
        }
        Taken::Line
    }

    /// The length of the active file, at the last look.
    pub(crate) fn active_len(&self) -> u64 {
        self.len
    }

    /// A hash of the bytes before `offset`, by which a checkpoint proves that it belongs to this journal.
    pub(crate) fn proof(&self, offset: u64) -> Result<String> {
        let start = offset.saturating_sub(PROVEN);
        let len = usize::try_from(offset - start).unwrap_or_default();
        let bytes = segments::read(&*self.fs, &self.dir, start, len)?;
        Ok(blake3::hash(&bytes).to_hex().to_string())
    }

    /// The damage met so far, and how much there was in all.
    pub(crate) fn damage(&self) -> (&[Problem], u64) {
        (&self.damage, self.damaged)
    }

    fn note(&mut self, message: String) {
        let (path, offset) = &self.place;
        tracing::warn!(path = %path.display(), offset, %message, "the journal is damaged here");
        self.damaged += 1;
        if self.damage.len() < KEPT {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let problem = Problem::new(ProblemKind::DigestMismatch, name, message);
            self.damage.push(problem.at_byte(*offset));
        }
    }
}

/// Reads a stretch of the journal at `path` as text.
pub(crate) fn text(fs: &dyn Fs, path: &Path, span: Span) -> Result<String> {
    let changed = || JsonError::JournalChanged {
        path: path.to_owned(),
        offset: span.offset,
    };
    let len = usize::try_from(span.len).map_err(|_| changed())?;
    let bytes = segments::read(fs, &parent(path), span.offset, len)?;
    if bytes.len() < len {
        return Err(changed());
    }
    String::from_utf8(bytes).map_err(|_| changed())
}

/// The records of the journal from `start` to `end`, without those that were not carried out.
pub(crate) fn records(
    fs: &Arc<dyn Fs>,
    path: &Path,
    start: u64,
    end: u64,
    max_line: usize,
) -> Result<Vec<Record>> {
    let mut lines = Lines::open(fs, &parent(path), start, max_line)?;
    let (mut records, mut void) = (Vec::new(), HashSet::new());
    while let Some(line) = lines.next()? {
        if line.start >= end {
            break;
        }
        // Damage was reported when the checkpoint's writer read it, and is by every look at the whole journal.
        if let Parsed::Entry(entry) = parse(line.start, line.bytes) {
            match entry.record {
                Record::Void(lines) => void.extend(lines),
                record => records.push((entry.seq, record)),
            }
        }
    }
    records.retain(|(seq, _)| !void.contains(seq));
    Ok(records.into_iter().map(|(_, record)| record).collect())
}

/// The directory of the journal.
fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}
