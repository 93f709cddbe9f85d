//! Syncs that failed: what they were to make durable is in memory alone, and a later sync that does not fail says nothing of it.
//!
//! So it is noted in the journal, for everybody who comes in this run of the machine: that the journal's end has to be written again, and what of
//! documents and names was lost. The note needs no sync: with the machine goes what it tells of.

use std::io;
use std::sync::atomic::Ordering;

use minutebook_fs::{Durability, FsError, Locked};

use super::Store;
use crate::error::{JsonError, Result};
use crate::journal::{Lost, Mark};

impl Store {
    /// Does something under the lock among writers, and notes what a sync that failed in it has lost.
    pub(super) fn locked<T>(
        &self,
        durability: Durability,
        act: impl FnOnce(&mut Locked<'_>) -> Result<T>,
    ) -> Result<T> {
        self.log.with_lock(durability, |log| {
            let done = act(log);
            if let Err(error) = &done {
                self.note_lost(log, error);
            }
            done
        })
    }

    /// Notes in the journal what was lost, if `error` or an earlier one comes from a sync.
    pub(super) fn note_lost(&self, log: &mut Locked<'_>, error: &JsonError) {
        if let JsonError::Fs(error) = error
            && error.lost_names()
        {
            self.lose(Lost::Names);
        }
        let begun = self.log.poisoned().is_some();
        let lost = self.lost_here().filter(|_| self.boot.is_some());
        if self.is_plain() || log.is_empty() || !(begun || lost.is_some()) {
            return;
        }
        // Lines of a call that broke off are not known yet.
        if let Err(error) = self.follow_journal() {
            tracing::debug!(%error, "the journal cannot be read");
        }
        let mark = {
            let state = self.read_state();
            let journal = &state.journal;
            let is_noted = lost <= journal.failed_in(self.boot.as_deref());
            if is_noted && (journal.begun || !begun) {
                return;
            }
            Mark {
                begun: begun || journal.begun,
                failed: self.boot.clone().zip(lost),
                ..Mark::new(state.settled(), journal.boot.clone(), state.dir_mark())
            }
        };
        self.append_mark(log, &mark);
    }

    /// A sync of this handle has failed.
    pub(super) fn lose(&self, failed: Lost) {
        self.sync_failed.store(true, Ordering::Relaxed);
        if failed == Lost::Names {
            self.names_lost.store(true, Ordering::Relaxed);
        }
    }

    fn lost_here(&self) -> Option<Lost> {
        if self.names_lost.load(Ordering::Relaxed) {
            return Some(Lost::Names);
        }
        let files = self.sync_failed.load(Ordering::Relaxed);
        files.then_some(Lost::Files)
    }

    /// What a sync has lost: of this handle, or of any in this run of the machine as far as the journal was read.
    pub(super) fn lost_by_sync(&self) -> Option<Lost> {
        let boot = self.boot.as_deref();
        let noted = boot.and_then(|boot| self.read_state().journal.failed_in(Some(boot)));
        self.lost_here().max(noted)
    }

    /// Refuses to call durable what a sync that failed earlier may have lost.
    pub(super) fn check_lost(&self, op: &'static str, least: Lost) -> Result<()> {
        if self.lost_by_sync() < Some(least) {
            return Ok(());
        }
        let error = "an earlier sync failed; what is there is compared with the journal when the machine was started again";
        let error = io::Error::other(error);
        Err(FsError::unknown(op, "sync", &self.dir, error).into())
    }

    /// Makes the journal durable, whoever wrote it. If that fails, or the process dies meanwhile, the next writer writes its end again.
    pub(super) fn sync_whole(&self, log: &mut Locked<'_>) -> Result<()> {
        let (mark, covers_all) = {
            let state = self.read_state();
            let boot = state.journal.boot.clone();
            let mark = Mark::new(state.settled(), boot, state.dir_mark());
            (mark, state.pending.is_empty())
        };
        // Lines without a mark behind them are written again in any case.
        if covers_all {
            let begun = Mark {
                begun: true,
                ..mark.clone()
            };
            let line = begun.to_line();
            let appended = log.append(line.as_bytes())?;
            self.absorb(appended.offset, line.as_bytes())?;
        }
        log.sync_whole()?;
        if covers_all {
            self.append_mark(log, &mark);
        }
        Ok(())
    }

    /// Makes the journal's lines durable, whoever wrote them, unless this handle did so before.
    pub(super) fn sync_lines(&self, log: &mut Locked<'_>) -> Result<()> {
        let (synced, end) = {
            let state = self.read_state();
            (state.synced, state.journal.chain.seq)
        };
        if synced < end {
            self.sync_whole(log)?;
            self.write_state().synced = end;
        }
        Ok(())
    }
}
