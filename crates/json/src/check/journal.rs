//! One walk along the journal: its chain, the state that it tells of, and what does not fit.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use minutebook_core::DecisionId;
use minutebook_core::check::{Finding, FindingKind, Mend, Watch};
use minutebook_fs::{Fs, FsError, Item, LineOptions, LineReader, OpenMode, TornTail};

use crate::error::Result;
use crate::journal::{GENESIS, Known, Mark, Parsed, Record, parse};

/// A line that could not be read, until it is known whether the chain needs it.
#[derive(Debug)]
struct Bad {
    line: u64,
    offset: u64,
    why: &'static str,
}

/// The journal as far as it was walked.
#[derive(Debug)]
pub(crate) struct Walk {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    max_line: usize,
    /// Where the next line starts, and how many came before.
    offset: u64,
    /// Lines of any kind.
    pub(crate) lines: u64,
    seq: u64,
    /// The hash of the last line of the chain.
    pub(crate) head: String,
    /// Whether the hash that was asked for came by.
    wanted: Option<(String, bool)>,
    bad: Vec<Bad>,
    /// Whether the break at hand was told already.
    broken: bool,
    /// The last state of each decision that was not deleted since.
    pub(crate) known: HashMap<DecisionId, Known>,
    /// Lines that no mark covers.
    pub(crate) pending: Vec<(u64, Record)>,
    /// Decisions whose state changed in the last stretch.
    pub(crate) touched: Vec<DecisionId>,
    pub(crate) torn: Option<TornTail>,
    pub(crate) present: bool,
}

impl Walk {
    pub(crate) fn new(
        fs: Arc<dyn Fs>,
        path: PathBuf,
        max_line: usize,
        wanted: Option<&str>,
    ) -> Self {
        Self {
            fs,
            path,
            max_line,
            offset: 0,
            lines: 0,
            seq: 0,
            head: GENESIS.to_owned(),
            wanted: wanted.map(|hash| (hash.to_ascii_lowercase(), false)),
            bad: Vec::new(),
            broken: false,
            known: HashMap::new(),
            pending: Vec::new(),
            touched: Vec::new(),
            torn: None,
            present: false,
        }
    }

    /// Goes on to the end, and tells of what does not fit.
    pub(crate) fn go_on(&mut self, watch: &dyn Watch) -> Result<()> {
        self.touched.clear();
        let step = |error| FsError::not_applied("verify", "read the journal", &self.path, error);
        let file = match self.fs.open(&self.path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(step(error).into()),
        };
        self.present = true;
        let options = LineOptions::default()
            .start(self.offset)
            .max_line_bytes(self.max_line);
        let mut reader = LineReader::new(file, options);
        loop {
            let item = reader.next().map_err(|error| {
                FsError::not_applied("verify", "read the journal", &self.path, error)
            })?;
            let Some(item) = item else { break };
            let (start, end) = (item.offset(), item.end());
            self.lines += 1;
            let parsed = match item {
                Item::Line(line) => parse(start, line.bytes),
                Item::TooLong { .. } => Parsed::Damaged("it is longer than any line can be"),
            };
            match parsed {
                Parsed::Entry(entry) => {
                    self.link(start, entry.seq, &entry.prev, watch);
                    self.seq = entry.seq;
                    self.head = entry.hash;
                    if let Some((wanted, seen)) = &mut self.wanted {
                        *seen |= *wanted == self.head;
                    }
                    self.record(entry.seq, entry.record);
                }
                Parsed::Mark(mark) => self.mark(&mark, watch),
                Parsed::Damaged(why) => self.bad.push(Bad {
                    line: self.lines,
                    offset: start,
                    why,
                }),
            }
            watch.progress(end - start);
            self.offset = end;
        }
        self.torn = reader.torn_tail();
        Ok(())
    }

    /// After the last stretch: what was torn at the end, and the hash that was asked for.
    pub(crate) fn finish(&mut self, lock: &std::path::Path, watch: &dyn Watch) {
        self.tell_torn(watch);
        if let Some(torn) = self.torn {
            let cause = format!(
                "{} bytes after the last newline: a writer died while it wrote them",
                torn.len
            );
            let mend = Mend::TakeOut {
                from: torn.offset,
                to: None,
                lock: Some(lock.to_owned()),
            };
            watch.found(
                self.finding(FindingKind::JournalTornTail, cause)
                    .at_line(self.lines + 1)
                    .at_byte(torn.offset)
                    .mended_by(mend),
            );
        }
        if let Some((wanted, false)) = &self.wanted
            && *wanted != GENESIS
        {
            let cause = format!(
                "no line has the hash {wanted}; the journal ends with line {} and {}",
                self.seq, self.head
            );
            watch.found(
                self.finding(FindingKind::JournalHeadMissing, cause)
                    .about(wanted)
                    .mended_by(Mend::Hopeless)
                    .losing_data(),
            );
        }
    }

    fn finding(&self, kind: FindingKind, cause: impl Into<String>) -> Finding {
        Finding::new(kind, &self.path, cause)
    }

    /// Whether this line follows the one before; if not, which of the unreadable ones between are to blame.
    fn link(&mut self, offset: u64, seq: u64, prev: &str, watch: &dyn Watch) {
        if prev == self.head && seq == self.seq + 1 {
            self.tell_torn(watch);
            self.broken = false;
            return;
        }
        let between = self.bad.len() as u64;
        self.tell_damaged(watch);
        let explained = (between > 0 || self.broken) && seq > self.seq;
        if !explained {
            let cause = format!(
                "line {seq} follows line {}, and says that it follows {prev}: lines are missing, were put in, or changed places",
                self.seq
            );
            let line = self.lines;
            watch.found(
                self.finding(FindingKind::JournalChainBroken, cause)
                    .at_line(line)
                    .at_byte(offset)
                    .mended_by(Mend::Backend)
                    .losing_data(),
            );
        }
        self.broken = false;
    }

    /// The chain goes on without these lines: a crash left them.
    fn tell_torn(&mut self, watch: &dyn Watch) {
        for bad in std::mem::take(&mut self.bad) {
            let cause = format!(
                "{}, and the chain goes on without it: a writer died while it wrote it",
                bad.why
            );
            watch.found(
                self.finding(FindingKind::JournalTornLine, cause)
                    .at_line(bad.line)
                    .at_byte(bad.offset),
            );
        }
    }

    fn tell_damaged(&mut self, watch: &dyn Watch) {
        for bad in std::mem::take(&mut self.bad) {
            let cause = format!(
                "{}, and the next line does not follow the one before it: it was changed after it was written",
                bad.why
            );
            watch.found(
                self.finding(FindingKind::JournalLineDamaged, cause)
                    .at_line(bad.line)
                    .at_byte(bad.offset)
                    .mended_by(Mend::Backend)
                    .losing_data(),
            );
        }
    }

    fn record(&mut self, seq: u64, record: Record) {
        match record {
            Record::Found => {}
            Record::Void(lines) => self.pending.retain(|(seq, _)| !lines.contains(seq)),
            record => self.pending.push((seq, record)),
        }
    }

    fn mark(&mut self, mark: &Mark, watch: &dyn Watch) {
        if mark.seq > self.seq && !self.bad.is_empty() {
            // The line that it covers is not there: what was taken for torn had been carried out.
            self.tell_damaged(watch);
            self.broken = true;
        }
        let later = self
            .pending
            .iter()
            .position(|(seq, _)| *seq > mark.seq)
            .unwrap_or(self.pending.len());
        for (_, record) in self.pending.drain(..later).collect::<Vec<_>>() {
            self.merge(record);
        }
    }

    fn merge(&mut self, record: Record) {
        match record {
            Record::Put(put) => {
                self.known.insert(put.id.clone(), Known::from(&put));
                self.touched.push(put.id);
            }
            Record::Delete(delete) => {
                self.known.remove(&delete.id);
                self.touched.push(delete.id);
            }
            Record::Missing(id) => {
                self.known.remove(&id);
                self.touched.push(id);
            }
            Record::Found | Record::Void(_) => {}
        }
    }

    /// Takes what no mark covers for carried out.
    pub(crate) fn settle(&mut self) {
        for (_, record) in std::mem::take(&mut self.pending) {
            self.merge(record);
        }
    }

    /// Whether a line that no mark covers is about this decision.
    pub(crate) fn is_pending(&self, id: &DecisionId) -> bool {
        self.pending.iter().any(|(_, record)| match record {
            Record::Put(put) => put.id == *id,
            Record::Delete(delete) => delete.id == *id,
            Record::Missing(missing) => missing == id,
            Record::Found | Record::Void(_) => false,
        })
    }
}
