//! Proving the chain: every line against its own hash and the line before, over all files, in bounded memory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_core::{Problem, ProblemKind};
use minutebook_fs::Fs;

use super::line::{Chain, GENESIS, Parsed, Record, parse};
use super::lines::{Lines, RawLine};
use super::segments::{Segment, chain};
use crate::error::Result;
use crate::layout;

/// What the proof of a journal's chain has shown.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JournalProof {
    /// The hash of the last line: kept elsewhere, it shows later whether what stood here is still there. 64 zeros if there is none.
    pub head: String,
    /// Lines of the chain.
    pub lines: u64,
    /// Bytes of all of the journal, as plain lines.
    pub bytes: u64,
    /// Files that it consists of.
    pub segments: u64,
    /// Lines whose documents were taken out.
    pub pruned: u64,
    /// Lines that a crash cut short. They were never part of the chain, which holds without them.
    pub torn: u64,
    /// The first line that does not fit, with its file and byte; `None` if the chain holds.
    pub problem: Option<Problem>,
}

impl JournalProof {
    /// Whether the chain holds.
    pub fn holds(&self) -> bool {
        self.problem.is_none()
    }
}

/// Reads the whole journal and proves it; with `head` also that the line with this hash is in it.
pub(crate) fn verify(
    fs: &Arc<dyn Fs>,
    dir: &Path,
    max_line: usize,
    head: Option<&str>,
) -> Result<JournalProof> {
    let files = chain(&**fs, dir, 0)?;
    let mut prover = Prover {
        proof: JournalProof {
            head: GENESIS.to_owned(),
            lines: 0,
            bytes: 0,
            segments: files.len() as u64,
            pruned: 0,
            torn: 0,
            problem: None,
        },
        chain: Chain {
            seq: 0,
            head: GENESIS.to_owned(),
        },
        suspect: None,
        wanted: head.map(str::to_owned).filter(|head| head != GENESIS),
        pruned: HashMap::new(),
        sums: HashMap::new(),
    };
    let start = files.first().map_or(0, |first| first.base);
    if start > 0 {
        let message = "files of the journal before this one are missing".to_owned();
        let name = files.first().map(|first| name_of(&first.path));
        let name = name.unwrap_or_default();
        prover.fail(Problem::new(ProblemKind::DigestMismatch, name, message).at_byte(0));
    }
    let mut lines = Lines::open(fs, dir, 0, max_line)?;
    while prover.proof.problem.is_none() {
        let Some(line) = lines.next()? else { break };
        prover.take(&line);
    }
    prover.finish(&files)
}

struct Prover {
    proof: JournalProof,
    chain: Chain,
    /// A line that cannot be read: torn by a crash if the chain goes on behind it, else changed.
    suspect: Option<Problem>,
    /// The hash that is still to be met.
    wanted: Option<String>,
    /// Files with lines that were pruned, by the number of their first line, with the first such line.
    pruned: HashMap<PathBuf, Problem>,
    /// What the chain says that pruned files hold, by the number of their first line.
    sums: HashMap<u64, String>,
}

impl Prover {
    fn take(&mut self, line: &RawLine<'_>) {
        self.proof.bytes = line.end;
        let here = |message: String| {
            Problem::new(ProblemKind::DigestMismatch, name_of(line.path), message).at_byte(line.at)
        };
        let entry = match parse(line.start, line.bytes) {
            Parsed::Mark(_) => return,
            Parsed::Entry(entry) => entry,
            Parsed::Damaged(why) => {
                self.proof.torn += 1;
                if line.bytes.contains(&0) {
                    // Zeros are what a power cut leaves of bytes that were not synced; taking them for a line that was cut off hides no more
                    // than cutting it off does.
                    return;
                }
                let after = self.chain.seq;
                self.suspect
                    .get_or_insert_with(|| here(format!("the line after line {after}: {why}")));
                return;
            }
        };
        if entry.prev != self.chain.head || entry.seq != self.chain.next() {
            let message = format!(
                "line {} does not follow line {}; lines are missing or were changed",
                entry.seq, self.chain.seq
            );
            let problem = self.suspect.take().unwrap_or_else(|| here(message));
            self.fail(problem);
            return;
        }
        self.suspect = None;
        self.proof.lines += 1;
        if entry.pruned {
            self.proof.pruned += 1;
            let message = format!(
                "line {} was changed since its document was taken out, or nobody noted that it was",
                entry.seq
            );
            self.pruned
                .entry(line.path.to_owned())
                .or_insert_with(|| here(message));
        }
        if let Record::Pruned(pruned) = entry.record {
            self.sums.insert(pruned.segment, pruned.sum);
        }
        if self.wanted.as_ref() == Some(&entry.hash) {
            self.wanted = None;
        }
        self.chain = Chain {
            seq: entry.seq,
            head: entry.hash,
        };
    }

    fn fail(&mut self, problem: Problem) {
        self.proof.problem.get_or_insert(problem);
    }

    fn finish(mut self, files: &[Segment]) -> Result<JournalProof> {
        if let Some(problem) = self.suspect.take() {
            self.fail(problem);
        }
        for segment in files {
            let Some(problem) = self.pruned.remove(&segment.path) else {
                continue;
            };
            let sum = blake3::hash(&segment.bytes()?).to_hex();
            if self.sums.get(&segment.first).map(String::as_str) != Some(sum.as_str()) {
                self.fail(problem);
            }
        }
        if let Some(wanted) = self.wanted.take() {
            let message = format!(
                "no line has the hash {wanted}: the end was cut off after line {}, or this is another journal",
                self.chain.seq
            );
            let problem = Problem::new(ProblemKind::DigestMismatch, layout::JOURNAL, message);
            self.fail(problem.at_byte(self.proof.bytes));
        }
        self.proof.head = self.chain.head;
        Ok(self.proof)
    }
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
