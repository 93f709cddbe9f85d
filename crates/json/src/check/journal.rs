//! One walk along the journal: its chain, the state that it tells of, and what does not fit.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_core::DecisionId;
use minutebook_core::check::{Finding, FindingKind, Mend, Watch};
use minutebook_fs::{Fs, FsError, OpenMode, TornTail, torn_tail};

use crate::error::Result;
use crate::journal::{GENESIS, Known, Lines, Mark, Parsed, Record, chain, parse, verify};
use crate::layout;

/// A line that could not be read, until it is known whether the chain needs it.
#[derive(Debug)]
struct Bad {
    place: Place,
    why: &'static str,
}

/// Where a line is: its file, its number there, and its first byte there.
#[derive(Debug, Clone)]
struct Place {
    path: PathBuf,
    line: u64,
    byte: u64,
}

/// The journal, all its files, as far as it was walked.
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent facts about the journal"
)]
#[derive(Debug)]
pub(crate) struct Walk {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    max_line: usize,
    reader: Option<Lines>,
    /// The line that was read last.
    place: Place,
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
    /// Whether damage was told.
    damaged: bool,
    /// Whether documents were taken out of lines: then their files have sums of their own.
    pruned: bool,
    /// The last state of each decision that was not deleted since.
    pub(crate) known: HashMap<DecisionId, Known>,
    /// Lines that no mark covers.
    pub(crate) pending: Vec<(u64, Record)>,
    /// Decisions whose state changed in the last stretch.
    pub(crate) touched: Vec<DecisionId>,
    torn: Option<TornTail>,
    pub(crate) present: bool,
}

impl Walk {
    pub(crate) fn new(fs: Arc<dyn Fs>, dir: &Path, max_line: usize, wanted: Option<&str>) -> Self {
        Self {
            fs,
            dir: dir.to_owned(),
            max_line,
            reader: None,
            place: Place {
                path: dir.join(layout::JOURNAL),
                line: 0,
                byte: 0,
            },
            lines: 0,
            seq: 0,
            head: GENESIS.to_owned(),
            wanted: wanted.map(|hash| (hash.to_ascii_lowercase(), hash == GENESIS)),
            bad: Vec::new(),
            broken: false,
            damaged: false,
            pruned: false,
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
        let path = self.dir.join(layout::JOURNAL);
        let step = |error| FsError::not_applied("verify", "read the journal", &path, error);
        match self.fs.identify(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(step(error).into()),
        }
        self.present = true;
        let mut reader = if let Some(reader) = self.reader.take() {
            reader
        } else {
            self.check_start(watch)?;
            Lines::open(&self.fs, &self.dir, 0, self.max_line)?
        };
        let mut end = 0;
        loop {
            match reader.next() {
                Ok(None) => break,
                Ok(Some(line)) => {
                    self.lines += 1;
                    if self.place.path != line.path {
                        self.place = Place {
                            path: line.path.to_owned(),
                            line: 0,
                            byte: 0,
                        };
                    }
                    self.place.line += 1;
                    self.place.byte = line.at;
                    end = line.end;
                    let parsed = parse(line.start, line.bytes);
                    watch.progress(line.end - line.start);
                    self.line(parsed, watch);
                }
                Err(error) => {
                    // A sealed file that cannot be unpacked to its end: those after it can be.
                    let files = chain(&*self.fs, &self.dir, 0)?;
                    let Some(next) = files.iter().find(|file| file.base > end) else {
                        return Err(error);
                    };
                    let file = files.iter().take_while(|file| file.base <= end).last();
                    let at = file.map_or_else(|| self.dir.clone(), |file| file.path.clone());
                    self.damaged = true;
                    self.broken = true;
                    watch.found(
                        Finding::new(FindingKind::JournalChainBroken, at, error.to_string())
                            .mended_by(Mend::Backend)
                            .losing_data(),
                    );
                    end = next.base;
                    reader = Lines::open(&self.fs, &self.dir, next.base, self.max_line)?;
                }
            }
        }
        self.reader = Some(reader);
        let file = self.fs.open(&path, OpenMode::Read).map_err(step)?;
        self.torn = torn_tail(&*file).map_err(step)?;
        Ok(())
    }

    /// Whether the first file is there.
    fn check_start(&mut self, watch: &dyn Watch) -> Result<()> {
        let files = chain(&*self.fs, &self.dir, 0)?;
        if let Some(first) = files.first().filter(|first| first.base > 0) {
            let cause = "the files of the journal before this one are missing";
            self.damaged = true;
            self.broken = true;
            watch.found(
                Finding::new(FindingKind::JournalChainBroken, &first.path, cause)
                    .mended_by(Mend::Backend)
                    .losing_data(),
            );
        }
        Ok(())
    }

    fn line(&mut self, parsed: Parsed, watch: &dyn Watch) {
        match parsed {
            Parsed::Entry(entry) => {
                self.pruned |= entry.pruned;
                self.link(entry.seq, &entry.prev, watch);
                self.seq = entry.seq;
                self.head = entry.hash;
                if let Some((wanted, seen)) = &mut self.wanted {
                    *seen |= *wanted == self.head;
                }
                self.record(entry.seq, entry.record);
            }
            Parsed::Mark(mark) => self.mark(&mark, watch),
            Parsed::Damaged(why) => self.bad.push(Bad {
                place: self.place.clone(),
                why,
            }),
        }
    }

    /// After the last stretch: what was torn at the end, the hash that was asked for, and files of the journal that are none of the chain's.
    pub(crate) fn finish(&mut self, watch: &dyn Watch) -> Result<()> {
        self.tell_torn(watch);
        let path = self.dir.join(layout::JOURNAL);
        if let Some(torn) = self.torn {
            let cause = format!(
                "{} bytes after the last newline: a writer died while it wrote them",
                torn.len
            );
            let mend = Mend::TakeOut {
                from: torn.offset,
                to: None,
                lock: Some(self.dir.join(layout::LOCK)),
            };
            watch.found(
                Finding::new(FindingKind::JournalTornTail, &path, cause)
                    .at_byte(torn.offset)
                    .mended_by(mend),
            );
        }
        if self.pruned && !self.damaged {
            // What a pruned file holds is proved by a later line.
            let proof = verify(&self.fs, &self.dir, self.max_line, None)?;
            if let Some(problem) = proof.problem {
                watch.found(
                    Finding::new(
                        FindingKind::JournalLineDamaged,
                        self.dir.join(&problem.resource),
                        problem.message,
                    )
                    .at(problem.location)
                    .mended_by(Mend::Backend)
                    .losing_data(),
                );
            }
        }
        if let Some((wanted, false)) = &self.wanted {
            let cause = format!(
                "no line has the hash {wanted}; the journal ends with line {} and {}",
                self.seq, self.head
            );
            watch.found(
                Finding::new(FindingKind::JournalHeadMissing, &path, cause)
                    .about(wanted)
                    .mended_by(Mend::Hopeless)
                    .losing_data(),
            );
        }
        self.orphans(watch)
    }

    /// Sealed files that no file after them names. Sealing and packing give a file another end of its name, so that does not count.
    fn orphans(&self, watch: &dyn Watch) -> Result<()> {
        let number = |path: &Path| -> Option<String> {
            let name = path.file_name()?.to_str()?;
            let number = name.strip_prefix("decisions.journal.")?.split('.').next()?;
            number
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| number.to_owned())
        };
        let files = chain(&*self.fs, &self.dir, 0)?;
        let known: Vec<_> = files.iter().filter_map(|file| number(&file.path)).collect();
        let entries = self.fs.read_dir(&self.dir).map_err(|error| {
            FsError::not_applied("verify", "list the directory", &self.dir, error)
        })?;
        for entry in entries {
            let path = self.dir.join(entry.name);
            if number(&path).is_some_and(|number| !known.contains(&number)) {
                let cause = "no file of the journal names it as the one before";
                watch.found(
                    Finding::new(FindingKind::JournalSegmentOrphaned, path, cause)
                        .mended_by(Mend::MoveAway),
                );
            }
        }
        Ok(())
    }

    /// Whether this line follows the one before; if not, which of the unreadable ones between are to blame.
    fn link(&mut self, seq: u64, prev: &str, watch: &dyn Watch) {
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
            self.damaged = true;
            watch.found(
                finding(FindingKind::JournalChainBroken, &self.place, cause)
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
            watch.found(finding(FindingKind::JournalTornLine, &bad.place, cause));
        }
    }

    fn tell_damaged(&mut self, watch: &dyn Watch) {
        for bad in std::mem::take(&mut self.bad) {
            let cause = format!(
                "{}, and the next line does not follow the one before it: it was changed after it was written",
                bad.why
            );
            self.damaged = true;
            watch.found(
                finding(FindingKind::JournalLineDamaged, &bad.place, cause)
                    .mended_by(Mend::Backend)
                    .losing_data(),
            );
        }
    }

    fn record(&mut self, seq: u64, record: Record) {
        match record {
            Record::Segment(_) | Record::Pruned(_) => {}
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
            Record::Found(found) => {
                self.known.insert(found.id.clone(), Known::from(&found));
                self.touched.push(found.id);
            }
            Record::Void(_) | Record::Segment(_) | Record::Pruned(_) => {}
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
            Record::Found(found) => found.id == *id,
            Record::Void(_) | Record::Segment(_) | Record::Pruned(_) => false,
        })
    }
}

fn finding(kind: FindingKind, place: &Place, cause: impl Into<String>) -> Finding {
    Finding::new(kind, &place.path, cause)
        .at_line(place.line)
        .at_byte(place.byte)
}
