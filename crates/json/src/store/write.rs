//! Carrying mutations out: journal, sync, files, mark; all under the lock among processes.

use std::sync::Arc;

use minutebook_core::DecisionFilter;
use minutebook_fs::{Durability, FsError, Locked};

use super::index::{Content, Stamp};
use super::plan::{Item, Plan, Planned, Write};
use super::refresh::Freshness;
use super::state::DirStamp;
use super::{Done, Op, Store};
use crate::error::{JsonError, Result};
use crate::journal::Mark;

/// After so many files what the system tells of them is taken from its queue, which has room for some thousands.
const DRAIN_EVERY: usize = 256;

/// One result for each mutation, as far as they are known.
struct Results(Vec<Option<Result<Done>>>);

impl Results {
    /// Notes a result; those of one mutation's several decisions add up, and an error among them is the result.
    fn note(&mut self, op: usize, result: Result<Done>) {
        let Some(slot) = self.0.get_mut(op) else {
            return;
        };
        match (slot.take(), result) {
            (Some(Err(error)), _) | (_, Err(error)) => *slot = Some(Err(error)),
            (Some(Ok(Done::Deleted(before))), Ok(Done::Deleted(more))) => {
                *slot = Some(Ok(Done::Deleted(before + more)));
            }
            (_, Ok(done)) => *slot = Some(Ok(done)),
        }
    }
}

impl Store {
    /// Carries out mutations in order and gives one result for each.
    pub(crate) fn run(&self, ops: Vec<Op>) -> Vec<Result<Done>> {
        let mut results = Results(ops.iter().map(|_| None).collect());
        // The sync is done inside, before files are touched, so none is left for afterwards.
        let outcome = self.log.with_lock(Durability::Buffered, |log| {
            self.run_locked(log, ops, &mut results)
        });
        let failure = outcome.err();
        let rest = || {
            Err(failure
                .as_ref()
                .map_or(JsonError::Abandoned, JsonError::copy))
        };
        results
            .0
            .into_iter()
            .map(|result| result.unwrap_or_else(rest))
            .collect()
    }

    fn run_locked(&self, log: &mut Locked<'_>, ops: Vec<Op>, results: &mut Results) -> Result<()> {
        self.update(Freshness::Light)?;
        self.recover_locked(log)?;
        self.check_new_files()?;
        self.look_at_few()?;
        if self.read_state().begun || self.would_write(&ops) {
            self.record_foreign(log)?;
        }
        let mut plan = self.new_plan();
        for (op, mutation) in ops.into_iter().enumerate() {
            match mutation {
                Op::Save(decision, mode) => {
                    self.plan(log, &mut plan, op, results, |plan| {
                        self.plan_save(plan, op, &decision, &mode)
                    })?;
                }
                Op::SaveRaw(raw, mode) => {
                    self.plan(log, &mut plan, op, results, |plan| {
                        self.plan_save_raw(plan, op, &raw, &mode)
                    })?;
                }
                Op::Delete(id) => {
                    self.plan(log, &mut plan, op, results, |plan| {
                        self.plan_delete(plan, op, &id, None)
                    })?;
                }
                Op::DeleteSeen(id, seen) => {
                    self.plan(log, &mut plan, op, results, |plan| {
                        self.plan_delete(plan, op, &id, Some(&seen))
                    })?;
                }
                Op::DeleteMatching(filter) => {
                    self.carry_out(log, &mut plan, results)?;
                    self.plan_delete_matching(log, &mut plan, op, &filter, results)?;
                }
            }
        }
        self.carry_out(log, &mut plan, results)
    }

    pub(super) fn new_plan(&self) -> Plan {
        Plan::new(self.read_state().journal.chain.clone())
    }

    /// Finds one mutation a place in the plan.
    fn plan(
        &self,
        log: &mut Locked<'_>,
        plan: &mut Plan,
        op: usize,
        results: &mut Results,
        mut add: impl FnMut(&mut Plan) -> Result<Planned>,
    ) -> Result<()> {
        loop {
            match add(plan) {
                Ok(Planned::Full) => self.carry_out(log, plan, results)?,
                Ok(Planned::Later) => return Ok(()),
                Ok(Planned::Now(done)) => {
                    results.note(op, Ok(done));
                    return Ok(());
                }
                Err(error) => {
                    results.note(op, Err(error));
                    return Ok(());
                }
            }
        }
    }

    fn plan_delete_matching(
        &self,
        log: &mut Locked<'_>,
        plan: &mut Plan,
        op: usize,
        filter: &DecisionFilter,
        results: &mut Results,
    ) -> Result<()> {
        match self.matching(filter) {
            Ok(ids) => {
                results.note(op, Ok(Done::Deleted(0)));
                for id in ids {
                    self.plan(log, plan, op, results, |plan| {
                        self.plan_delete(plan, op, &id, None)
                    })?;
                }
            }
            Err(error) => results.note(op, Err(error)),
        }
        Ok(())
    }

    /// Journals the plan, syncs, writes the files, and starts an empty plan.
    fn carry_out(
        &self,
        log: &mut Locked<'_>,
        plan: &mut Plan,
        results: &mut Results,
    ) -> Result<()> {
        let done = std::mem::replace(plan, Plan::new(plan.chain.clone()));
        if done.items.is_empty() {
            *plan = self.new_plan();
            return Ok(());
        }
        let before = self.dir_stamp()?;
        let appended = match log.append(&done.lines) {
            Ok(appended) => appended,
            Err(error) => {
                for item in done.items {
                    results.note(item.op, Err(JsonError::copy_fs(&error)));
                }
                *plan = self.new_plan();
                return if error.nothing_applied() {
                    Ok(())
                } else {
                    Err(error.into())
                };
            }
        };
        if (self.config.durability.is_synced() || done.replaces_foreign)
            && let Err(error) = log.sync()
        {
            for item in done.items {
                results.note(item.op, Err(JsonError::copy_fs(&error)));
            }
            return Err(error.into());
        }
        self.absorb(appended.offset, &done.lines)?;
        let mut void = Vec::new();
        let mut whole = true;
        let mut written = Vec::with_capacity(done.items.len());
        for (i, item) in done.items.into_iter().enumerate() {
            if i % DRAIN_EVERY == DRAIN_EVERY - 1 {
                self.watching.drain();
            }
            match self.write_item(&item) {
                Ok(stamp) => {
                    results.note(item.op, Ok(item.done));
                    written.extend(item.write.zip(Some(stamp)));
                }
                Err(Failed { error, undone }) => {
                    tracing::error!(seq = item.seq, %error, "a journaled change could not be carried out");
                    if undone {
                        void.push(item.seq);
                    } else {
                        whole = false;
                    }
                    results.note(item.op, Err(error.into()));
                }
            }
        }
        let mut chain = done.chain;
        if !void.is_empty() {
            let mut line = Vec::new();
            chain.void(&mut line, &void, self.config.clock.now());
            let voided = log.append(&line).and_then(|_| {
                if self.config.durability.is_synced() {
                    log.sync()
                } else {
                    Ok(())
                }
            });
            if let Err(error) = voided {
                // Without it the next writer carries the change out: that is what "unknown outcome" says.
                tracing::error!(%error, "a change that failed could not be taken back in the journal");
                whole = false;
            }
        }
        if whole {
            self.mark(log, chain.seq, Some(before));
        }
        if !void.is_empty() || !whole {
            self.follow_journal()?;
        }
        if whole {
            self.learn_written(written);
        }
        *plan = self.new_plan();
        Ok(())
    }

    /// Takes over what was written just now, so that it need not be read. It stays in doubt until it was looked at: others may
    /// have changed it since.
    fn learn_written(&self, written: Vec<(Write, Option<Stamp>)>) {
        let mut state = self.write_state();
        if !state.listed {
            return;
        }
        let fine = state.fine_times;
        for (write, stamp) in written {
            if write.document.raw {
                continue;
            }
            let content = Content {
                time: write.time(),
                at: write.at,
                token: write.token,
                journaled: true,
                facts: state.index.facts(&write.document.decision),
            };
            let id = write.document.decision.id().clone();
            let stamp = stamp.filter(|_| fine);
            state
                .index
                .place(Arc::clone(&write.name), id, content, stamp);
            state.index.doubt(&write.name);
            let bytes = write.text.into_bytes();
            self.cache.put(&write.name, bytes, &write.document);
        }
    }

    /// Writes the files of one decision, and says how the document's looks now.
    fn write_item(&self, item: &Item) -> Result<Option<Stamp>, Failed> {
        let mut stamp = None;
        if let Some(write) = &item.write {
            let path = self.path(&write.name);
            let bytes = write.text.as_bytes();
            let written =
                minutebook_fs::replace_seen(&*self.fs, &path, bytes, Durability::Buffered);
            let seen = written.map_err(|error| {
                let undone = error.nothing_applied();
                Failed { error, undone }
            })?;
            stamp = seen.as_ref().map(Stamp::from);
        }
        for name in &item.remove {
            minutebook_fs::remove(&*self.fs, &self.path(name), Durability::Buffered).map_err(
                |error| {
                    // A save stands, with the old file beside it; of a delete the rest stays.
                    let undone = error.nothing_applied() && item.write.is_none();
                    Failed { error, undone }
                },
            )?;
        }
        Ok(stamp)
    }

    /// Notes that the directory is about to change without a line: by its time alone nobody can tell any more whether others
    /// have changed it.
    pub(super) fn mark_before_change(&self, log: &mut Locked<'_>) -> Result<()> {
        let seq = self.read_state().journal.chain.seq;
        let mark = Mark {
            seq,
            boot: None,
            dir: None,
        };
        if self.read_state().pending.is_empty() {
            log.append(mark.to_line().as_bytes())?;
            log.sync()?;
            self.follow_journal()?;
        }
        Ok(())
    }

    /// Notes that everything up to a line is in the files. `before` is the directory's time before what the lines tell of, if
    /// that is all that has changed in it: whoever knew the directory then need not list it again.
    pub(super) fn mark(&self, log: &mut Locked<'_>, seq: u64, before: Option<DirStamp>) {
        let after = self.dir_stamp().ok().and_then(DirStamp::nanos);
        let mark = Mark {
            seq,
            boot: self.boot.clone(),
            dir: before.map_or(after, DirStamp::nanos).zip(after),
        };
        let line = mark.to_line();
        match log.append(line.as_bytes()) {
            Ok(appended) => {
                if let Err(error) = self.absorb(appended.offset, line.as_bytes()) {
                    tracing::debug!(%error, "the journal is read by the next call");
                }
            }
            // Not needed for what was promised: without it the next writer compares journal and files.
            Err(error) => tracing::warn!(%error, "the journal's mark could not be written"),
        }
    }
}

/// A change of files that failed, and whether nothing of it was done.
struct Failed {
    error: FsError,
    undone: bool,
}
