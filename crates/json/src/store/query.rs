//! Queries: all files for questions without a limit, and the newest (oldest, last written) ones until the limit is reached.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use minutebook_core::{
    DecisionFilter, DecisionId, DecisionPage, DecisionQuery, Order, Problem, ProblemKind,
    ReadReport, StoredDecision,
};
use minutebook_fs::FileKind;

use super::Store;
use super::index::Key;
use super::read::{ATTEMPTS, Found, Look, rank};
use super::refresh::{Freshness, Learned};
use super::state::State;
use crate::error::{JsonError, Result};
use crate::layout;

/// No id comes before this one: ids are not empty and do not start with white space or a control character.
const LEAST_ID: &str = "!";

/// One pass over files, and whether it has to be repeated because they changed under it.
#[derive(Debug, Default)]
struct Pass {
    found: Vec<StoredDecision>,
    counted: u64,
    report: ReadReport,
    /// The first document that could not be read as a decision.
    unreadable: Option<Problem>,
    learned: Learned,
    /// Whether a state was met that the journal, as far as it was read, does not have.
    foreign: bool,
    stale: bool,
}

impl Pass {
    fn refuse(&mut self, problem: Problem) {
        self.unreadable.get_or_insert_with(|| problem.clone());
        self.report.add(problem);
    }

    /// Takes a decision that matches.
    fn take(&mut self, stored: StoredDecision, keep: bool) {
        self.counted += 1;
        if keep {
            self.found.push(stored);
        }
    }
}

impl Store {
    /// Answers a query.
    pub(crate) fn query(&self, query: &DecisionQuery) -> Result<DecisionPage> {
        query.check().map_err(JsonError::Core)?;
        let pass = self.settle(|state| match query.limit {
            Some(limit) => self.walk(state, query, limit),
            None => self.scan(state, &query.filter, true),
        })?;
        if query.strict
            && let Some(problem) = pass.unreadable
        {
            return Err(JsonError::Unreadable(problem));
        }
        for problem in pass.report.problems() {
            tracing::debug!(%problem, "met while reading decisions");
        }
        Ok(query.answer(pass.found, pass.report))
    }

    pub(crate) fn count(&self, filter: &DecisionFilter) -> Result<u64> {
        Ok(self
            .settle(|state| self.scan(state, filter, false))?
            .counted)
    }

    /// The ids of the decisions that match.
    pub(crate) fn matching(&self, filter: &DecisionFilter) -> Result<Vec<DecisionId>> {
        let pass = self.settle(|state| self.scan(state, filter, true))?;
        let mut ids: Vec<_> = pass
            .found
            .iter()
            .map(|stored| stored.decision.id().clone())
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Everything in the directory that is not as it should be.
    pub(crate) fn problems(&self) -> Result<ReadReport> {
        let none = DecisionFilter::new().id_prefix("\0");
        let pass = self.settle(|state| self.scan(state, &none, false))?;
        let mut report = pass.report;
        let state = self.read_state();
        for (name, kind) in state.index.not_files() {
            let what = match kind {
                FileKind::Dir => "a directory",
                FileKind::Symlink => "a symbolic link, which is not followed",
                FileKind::File | FileKind::Other => "no regular file",
            };
            report.add(Problem::new(
                ProblemKind::NotAFile,
                name,
                format!("it is {what}; it was left as it is"),
            ));
        }
        drop(state);
        // From the start: an open reads only what came after the checkpoint.
        let mut journal = self.new_journal();
        journal.catch_up(&mut |_| {})?;
        let (damage, total) = journal.damage();
        for problem in damage {
            report.add(problem.clone());
        }
        let more = total.saturating_sub(damage.len() as u64);
        if more > 0 {
            let message = format!("{more} more lines of the journal are damaged");
            report.add(Problem::new(
                ProblemKind::DigestMismatch,
                layout::JOURNAL,
                message,
            ));
        }
        Ok(report)
    }

    /// Repeats a pass until the files hold still; they may change for ever, so at last it is taken as it is.
    fn settle(&self, mut pass: impl FnMut(&State) -> Result<Pass>) -> Result<Pass> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut state = self.refresh(Freshness::Strict)?;
            if !state.index.unchecked().is_empty() {
                drop(state);
                self.check_new_files()?;
                state = self.read_state();
            }
            let mut done = pass(&state)?;
            // A writer journals a document before it writes the file: if the journal went on, what looked foreign may not be.
            done.stale |= done.foreign && !state.journal.is_current()?;
            drop(state);
            let settled = done.learned.is_empty() && !done.stale;
            if settled || attempt >= ATTEMPTS {
                if !settled {
                    tracing::debug!(dir = %self.dir.display(), "the files changed all through a read");
                }
                return Ok(done);
            }
            self.learn(std::mem::take(&mut done.learned));
        }
    }

    /// Reads every file.
    fn scan(&self, state: &State, filter: &DecisionFilter, keep: bool) -> Result<Pass> {
        let mut pass = Pass::default();
        let mut several: BTreeMap<DecisionId, Vec<Found>> = BTreeMap::new();
        // What is no decision first, by name, so that reports come in the same order each time.
        let placed = state.index.files().filter(|(_, info)| info.times.is_some());
        for name in state.index.suspects().chain(placed.map(|(name, _)| name)) {
            let Some(found) = self.visit(state, name, &mut pass)? else {
                continue;
            };
            if state.index.files_of(found.id()) == std::slice::from_ref(name) {
                let stored = found.stored()?;
                if filter.matches(&stored) {
                    pass.take(stored, keep);
                }
            } else {
                several.entry(found.id().clone()).or_default().push(found);
            }
        }
        for (id, mut all) in several {
            all.sort_unstable_by(|a, b| rank(b).cmp(&rank(a)));
            let mut all = all.into_iter();
            let Some(winner) = all.next() else { continue };
            for other in all {
                note_duplicate(state, &mut pass.report, &id, &winner, &other);
            }
            let stored = winner.stored()?;
            if filter.matches(&stored) {
                pass.take(stored, keep);
            }
        }
        Ok(pass)
    }

    /// Reads files in order until there are more matches than the limit.
    fn walk(&self, state: &State, query: &DecisionQuery, limit: usize) -> Result<Pass> {
        let mut pass = Pass::default();
        for name in state.index.suspects() {
            // Not decisions when they were last read; they may have been mended since.
            self.visit(state, name, &mut pass)?;
        }
        let range = query.filter.time;
        let keys = match query.order {
            Order::RecentlyWritten => state.index.by_written(),
            _ => state.index.by_time(),
        };
        let timed = query.order != Order::RecentlyWritten;
        let mut start = if timed { range.start() } else { None };
        let mut end = if timed { range.end() } else { None };
        if let Some(cursor) = &query.after {
            if query.order == Order::Oldest {
                start = start.max(Some(cursor.time()));
            } else if let Some(after) = cursor.time().checked_add_signed(TimeDelta::nanoseconds(1))
            {
                end = Some(end.map_or(after, |end| end.min(after)));
            }
        }
        if start.is_some() && end.is_some() && start >= end {
            return Ok(pass);
        }
        let least = DecisionId::new(LEAST_ID).map_err(JsonError::Core)?;
        let edge = |time: DateTime<Utc>| -> Key { (time, least.clone(), "".into()) };
        let first = start.map_or(Bound::Unbounded, |start| Bound::Included(edge(start)));
        let last = end.map_or(Bound::Unbounded, |end| Bound::Excluded(edge(end)));
        let keys = keys.range((first, last));
        let mut forwards;
        let mut backwards;
        let ordered: &mut dyn Iterator<Item = &Key> = if query.order == Order::Oldest {
            forwards = keys;
            &mut forwards
        } else {
            backwards = keys.rev();
            &mut backwards
        };
        for (_, id, name) in ordered {
            if pass.found.len() > limit {
                break;
            }
            let Some(found) = self.visit(state, name, &mut pass)? else {
                continue;
            };
            if state.index.files_of(id).len() > 1 {
                let pick = self.pick(state, id)?;
                pass.stale |= pick.stale;
                pass.learned.extend(pick.learned);
                pass.learned.extend(pick.notes);
                let Some(winner) = pick.winner else { continue };
                if winner.name != *name {
                    note_duplicate(state, &mut pass.report, id, &winner, &found);
                    continue;
                }
            }
            let stored = found.stored()?;
            if query.filter.matches(&stored)
                && query
                    .after
                    .as_ref()
                    .is_none_or(|cursor| cursor.is_before(&stored))
            {
                pass.take(stored, true);
            }
        }
        Ok(pass)
    }

    /// Reads one file in the course of a pass; what is wrong with it goes to the report, what has changed to the index.
    fn visit(&self, state: &State, name: &Arc<str>, pass: &mut Pass) -> Result<Option<Found>> {
        let look = self.look(state, name, true)?;
        let expected = state.index.info(name);
        let Some(found) = &look.candidate else {
            if let Some(unreadable) = &look.problem {
                pass.refuse(unreadable.problem.clone());
            }
            if look.absent || expected.is_some_and(|info| info.times.is_some()) {
                pass.learned.push((Arc::clone(name), look));
            }
            return Ok(None);
        };
        if let Some(unreadable) = &look.problem {
            pass.refuse(unreadable.problem.clone());
        }
        pass.foreign |= !found.journaled;
        let placed = expected.is_some_and(|info| {
            info.id.as_ref() == Some(found.id()) && info.times == Some((found.time(), found.at))
        });
        if !placed && !state.is_pending(found.id()) {
            let seen = Look {
                candidate: Some(found.clone()),
                ..Look::default()
            };
            pass.learned.push((Arc::clone(name), seen));
        }
        if layout::id_of(name).is_some_and(|claimed| claimed != *found.id()) {
            let message = format!("the id inside is \"{}\"; that one counts", found.id());
            pass.report
                .add(Problem::new(ProblemKind::NameMismatch, &**name, message));
        }
        Ok(look.candidate)
    }
}

fn note_duplicate(
    state: &State,
    report: &mut ReadReport,
    id: &DecisionId,
    winner: &Found,
    other: &Found,
) {
    // While a decision moves to another file, both are there for a moment.
    if state.is_pending(id) {
        return;
    }
    let message = format!(
        "it claims the id \"{id}\" as {} does, which is newer and counts",
        winner.name
    );
    report.add(Problem::new(
        ProblemKind::DuplicateId,
        &*other.name,
        message,
    ));
}
