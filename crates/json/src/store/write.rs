//! Carrying mutations out: journal, sync, files, mark; all under the lock among processes.

use std::sync::Arc;

use minutebook_core::{DecisionFilter, SaveOutcome};
use minutebook_fs::{Durability, Locked};

use super::files::Failed;
use super::index::{Content, Stamp};
use super::plain::unsure;
use super::plan::{Plan, Planned, Write};
use super::refresh::Freshness;
use super::state::DirStamp;
use super::{Done, Op, Store};
use crate::error::{JsonError, Result};
use crate::journal::{Lost, Mark};

/// One result for each mutation, as far as they are known.
pub(super) struct Results {
    slots: Vec<Option<Result<Done>>>,
    /// Files that hold what was to be saved, as other programs have written them and the journal does not have it.
    as_found: Vec<Arc<str>>,
}

impl Results {
    fn new(count: usize) -> Self {
        Self {
            slots: (0..count).map(|_| None).collect(),
            as_found: Vec::new(),
        }
    }

    /// The mutations that found nothing to do.
    fn idle(&mut self) -> impl Iterator<Item = &mut Option<Result<Done>>> {
        self.slots.iter_mut().filter(|slot| match slot {
            Some(Ok(Done::Saved(receipt))) => receipt.outcome == SaveOutcome::Unchanged,
            Some(Ok(Done::Deleted(count))) => *count == 0,
            Some(Err(_)) | None => false,
        })
    }

    /// What was found as it should be may not last.
    fn fail_idle(&mut self, error: &JsonError) {
        for slot in self.idle() {
            *slot = Some(Err(error.copy()));
        }
    }

    /// What was done may not last.
    pub(super) fn fail_all(&mut self, error: &JsonError) {
        for slot in &mut self.slots {
            if matches!(slot, Some(Ok(_))) {
                *slot = Some(Err(error.copy()));
            }
        }
    }

    /// Notes a result; those of one mutation's several decisions add up, and an error among them is the result.
    pub(super) fn note(&mut self, op: usize, result: Result<Done>) {
        let Some(slot) = self.slots.get_mut(op) else {
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
        let mut results = Results::new(ops.len());
        // The sync is done inside, before files are touched, so none is left for afterwards.
        let outcome = self.locked(Durability::Buffered, |log| {
            if self.is_plain() {
                return self.run_plain(ops, &mut results);
            }
            self.run_locked(log, ops, &mut results)
        });
        let failure = outcome.err();
        if let Some(error) = &failure
            && self.config.durability.is_synced()
        {
            // Nobody has made sure that it lasts.
            results.fail_idle(error);
        }
        let rest = || {
            Err(failure
                .as_ref()
                .map_or(JsonError::Abandoned, JsonError::copy))
        };
        results
            .slots
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
                Op::Save(coming, mode) => {
                    let mut coming = Some(coming);
                    self.plan(log, &mut plan, op, results, |plan| {
                        self.plan_save(plan, op, &mut coming, &mode)
                    })?;
                }
                Op::SaveRaw(coming, mode) => {
                    let mut coming = Some(coming);
                    self.plan(log, &mut plan, op, results, |plan| {
                        self.plan_save_raw(plan, op, &mut coming, &mode)
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
        self.carry_out(log, &mut plan, results)?;
        self.settle_idle(log, results);
        Ok(())
    }

    /// Who found nothing to do is told that it is done. Whoever did it may not have waited until it lasts.
    fn settle_idle(&self, log: &mut Locked<'_>, results: &mut Results) {
        if !self.config.durability.is_synced() || results.idle().next().is_none() {
            return;
        }
        let as_found = std::mem::take(&mut results.as_found);
        let absent = results
            .idle()
            .any(|slot| matches!(slot, Some(Ok(Done::Deleted(_)))));
        let settled = self.sync_lines(log).and_then(|()| {
            if !as_found.is_empty() {
                self.check_lost("save", Lost::Files)?;
                for name in &as_found {
                    self.sync_document(name)?;
                }
            }
            if absent || !as_found.is_empty() {
                self.check_lost("save", Lost::Names)?;
                self.sync_names()?;
            }
            Ok(())
        });
        if let Err(error) = settled {
            results.fail_idle(&error);
            if !as_found.is_empty() && self.lost_by_sync().is_some() {
                // The journal has what they hold from now on, and for it they can be called durable again.
                if let Err(error) = self.record_foreign(log) {
                    tracing::warn!(%error, "documents whose sync failed could not be journaled");
                }
            }
            self.note_lost(log, &error);
        }
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
                Ok(Planned::Full) => {
                    if let Err(error) = self.carry_out(log, plan, results) {
                        // Also of a deletion of many, of which a part was done.
                        results.note(op, Err(error.copy()));
                        return Err(error);
                    }
                }
                Ok(Planned::Later) => return Ok(()),
                Ok(Planned::Now(done, as_found)) => {
                    results.note(op, Ok(done));
                    results.as_found.extend(as_found);
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

    /// Journals the plan, and syncs. Gives the directory's time before. If nothing was applied, nothing was.
    fn announce(&self, log: &mut Locked<'_>, plan: &mut Plan) -> Result<DirStamp> {
        let before = self.dir_stamp()?;
        let appended = log.append(&plan.lines)?;
        let syncs = self.config.durability.is_synced() || plan.replaces_foreign;
        if syncs {
            log.sync()?;
        }
        if plan.is_all_own() {
            let own = std::mem::take(&mut plan.own);
            self.absorb_own(appended.offset, own, &plan.chain)
        } else {
            self.absorb(appended.offset, &plan.lines)
        }
        .map_err(unsure)?;
        if syncs {
            self.write_state().synced = plan.chain.seq;
        }
        Ok(before)
    }

    /// Journals the plan, syncs, writes the files, and starts an empty plan.
    fn carry_out(
        &self,
        log: &mut Locked<'_>,
        plan: &mut Plan,
        results: &mut Results,
    ) -> Result<()> {
        let mut done = std::mem::replace(plan, Plan::new(plan.chain.clone()));
        if done.items.is_empty() {
            *plan = self.new_plan();
            return Ok(());
        }
        let before = match self.announce(log, &mut done) {
            Ok(before) => before,
            Err(error) => {
                for item in done.items {
                    results.note(item.op, Err(error.copy()));
                }
                *plan = self.new_plan();
                return match &error {
                    JsonError::Fs(error) if error.nothing_applied() => Ok(()),
                    _ => Err(error),
                };
            }
        };
        let mut void = Vec::new();
        let mut whole = true;
        let mut written = Vec::with_capacity(done.items.len());
        let outcomes = self.write_items(&done.items);
        for (item, outcome) in done.items.into_iter().zip(outcomes) {
            match outcome {
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
        let stamps = written.iter().filter_map(|(_, stamp)| *stamp);
        state.compare_times(stamps.map(|stamp| stamp.changed_ns));
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

    /// Notes that the directory is about to change without a line: by its time alone nobody can tell any more whether others
    /// have changed it.
    pub(super) fn mark_before_change(&self, log: &mut Locked<'_>) -> Result<()> {
        let seq = self.read_state().journal.chain.seq;
        let mark = Mark {
            begun: true,
            ..Mark::new(seq, None, None)
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
        let dir = before.map_or(after, DirStamp::nanos).zip(after);
        self.append_mark(log, &Mark::new(seq, self.boot.clone(), dir));
    }

    pub(super) fn append_mark(&self, log: &mut Locked<'_>, mark: &Mark) {
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
