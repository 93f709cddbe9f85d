//! Findings and progress as they come in.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minutebook_core::check::{Finding, FindingKind, Mend, Part, Severity, Watch};

use minutebook_fs::Fs;

use super::seen::{Note, Seen};
use super::{Progress, Tell, VerifyReport};
use crate::Error;

/// Collects findings and passes progress on.
pub(crate) struct Collect {
    fs: Arc<dyn Fs>,
    tell: Option<Arc<Tell>>,
    total: u64,
    done: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    part: Part,
    findings: Vec<Finding>,
    notes: u64,
    untidy: u64,
    damage: u64,
    unreadable: u64,
    seen: Seen,
}

impl std::fmt::Debug for Collect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collect")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Collect {
    pub(crate) fn new(fs: Arc<dyn Fs>, tell: Option<Arc<Tell>>, total: u64) -> Self {
        Self {
            fs,
            tell,
            total,
            done: AtomicU64::new(0),
            state: Mutex::new(State {
                part: Part::Store,
                findings: Vec::new(),
                notes: 0,
                untidy: 0,
                damage: 0,
                unreadable: 0,
                seen: Seen::default(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The part that is looked at from now on.
    pub(crate) fn begin(&self, part: Part) {
        self.state().part = part;
    }

    /// A place that could not be looked at.
    pub(crate) fn unreadable(&self, place: PathBuf, error: &Error) {
        let mut cause = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            cause = format!("{cause}: {error}");
            source = error.source();
        }
        self.found(Finding::new(FindingKind::Unreadable, place, cause).mended_by(Mend::Hopeless));
    }

    /// A finding, with what was seen of the file when it was judged.
    pub(super) fn noted(&self, finding: Finding, note: Option<Note>) {
        let mut state = self.state();
        match finding.kind.severity() {
            Severity::Note => state.notes += 1,
            Severity::Untidy => state.untidy += 1,
            Severity::Damage => state.damage += 1,
        }
        state.unreadable += u64::from(finding.kind == FindingKind::Unreadable);
        if state.findings.len() < VerifyReport::KEPT {
            state.findings.push(finding);
            if let Some(note) = note {
                state.seen.note(note);
            }
        }
    }

    pub(super) fn finish(&self, report: &mut VerifyReport) {
        let mut state = self.state();
        report.findings = std::mem::take(&mut state.findings);
        report.seen = std::mem::take(&mut state.seen);
        report.notes = state.notes;
        report.untidy = state.untidy;
        report.damage = state.damage;
        report.unreadable = state.unreadable;
        report.bytes = self.done.load(Ordering::Relaxed);
    }
}

impl Watch for Collect {
    fn found(&self, finding: Finding) {
        let note = Note::of(&*self.fs, &finding);
        self.noted(finding, note);
    }

    fn progress(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(tell) = &self.tell {
            let part = self.state().part;
            tell(Progress {
                part,
                done,
                // A store that grows meanwhile.
                total: self.total.max(done),
            });
        }
    }
}
