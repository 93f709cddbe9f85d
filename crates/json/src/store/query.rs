//! Queries: answered from what is known of the files, in order, until the limit is reached; only the documents of the answer are read.

use std::collections::{HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use minutebook_core::{
    DecisionFilter, DecisionId, DecisionPage, DecisionQuery, GroupBy, GroupCount, Groups, Order,
    Problem, ProblemKind, ReadReport, StoredDecision,
};
use minutebook_fs::FileKind;

use super::Store;
use super::facts::{Sieve, Wanted, Words};
use super::index::{ByTime, ByWritten, Content, Row};
use super::read::ATTEMPTS;
use super::refresh::Freshness;
use super::state::State;
use crate::error::{JsonError, Result};
use crate::journal::JournalProof;
use crate::layout;

/// One pass over what is known, and whether it has to be repeated because files changed under it.
#[derive(Debug, Default)]
struct Pass {
    found: Vec<StoredDecision>,
    counted: u64,
    report: ReadReport,
    /// The first document that could not be read as a decision.
    unreadable: Option<Problem>,
    /// Files that are not as they are known.
    changed: Vec<Arc<str>>,
    /// Whether a state was met that the journal, as far as it was read, does not have.
    foreign: bool,
    stale: bool,
    /// By what the decisions are counted, and how many are of each word or day.
    by: Option<GroupBy>,
    groups: HashMap<Group, u64>,
}

/// A group as the index tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Group {
    None,
    Word(u32),
    Day(NaiveDate),
}

impl Pass {
    fn count(&mut self, content: &Content) {
        self.counted += 1;
        let group = match self.by {
            Some(GroupBy::Pair) => content.facts.pair().map(Group::Word),
            Some(GroupBy::Action) => content.facts.action().map(Group::Word),
            Some(GroupBy::Day) => Some(Group::Day(content.time.date_naive())),
            _ => return,
        };
        *self.groups.entry(group.unwrap_or(Group::None)).or_default() += 1;
    }

    fn refuse(&mut self, problem: &Problem) {
        self.unreadable.get_or_insert_with(|| problem.clone());
        self.report.add(problem.clone());
    }
}

impl Store {
    /// Answers a query.
    pub(crate) fn query(&self, query: &DecisionQuery) -> Result<DecisionPage> {
        query.check().map_err(JsonError::Core)?;
        let pass = self.settle(|state| self.walk(state, query, true))?;
        answer(query, pass)
    }

    /// Answers a query if nothing has changed since the last one and the answer is short; `None` if it may take longer.
    pub(crate) fn query_at_once(&self, query: &DecisionQuery) -> Result<Option<DecisionPage>> {
        query.check().map_err(JsonError::Core)?;
        if query.limit.is_none_or(|limit| limit > SHORT) {
            return Ok(None);
        }
        let Some(state) = self.fresh(Freshness::Contents)? else {
            return Ok(None);
        };
        let sieve = Sieve::new(&query.filter, state.index.words());
        let selective = query.filter.is_all()
            || sieve.is_empty()
            || (sieve.is_whole
                && matches!(sieve.pair, Wanted::This(_))
                && query.order != Order::RecentlyWritten);
        if !selective {
            return Ok(None);
        }
        let pass = self.walk(&state, query, true)?;
        let current = !pass.foreign || state.journal.is_current()?;
        drop(state);
        if !current || pass.stale || !pass.changed.is_empty() {
            return Ok(None);
        }
        answer(query, pass).map(Some)
    }

    pub(crate) fn count(&self, filter: &DecisionFilter) -> Result<u64> {
        let query = DecisionQuery::new().filter(filter.clone());
        Ok(self
            .settle(|state| {
                if filter.is_all()
                    && let Some(count) = state.index.plain_count()
                {
                    return Ok(Pass {
                        counted: count,
                        ..Pass::default()
                    });
                }
                self.walk(state, &query, false)
            })?
            .counted)
    }

    /// Counts by group, if that needs no document; `None` if it does.
    pub(crate) fn count_by(
        &self,
        filter: &DecisionFilter,
        by: &GroupBy,
    ) -> Result<Option<Vec<GroupCount>>> {
        let needs_none = Sieve::new(filter, &Words::default()).is_whole;
        if !needs_none || matches!(by, GroupBy::Field(_)) {
            return Ok(None);
        }
        let query = DecisionQuery::new().filter(filter.clone());
        let mut named = Vec::new();
        self.settle(|state| {
            let mut pass = self.walk_by(state, &query, false, Some(by.clone()))?;
            let words = state.index.words();
            let groups = std::mem::take(&mut pass.groups).into_iter();
            named = groups
                .map(|(group, count)| {
                    let key = match group {
                        Group::None => None,
                        Group::Day(day) => Some(day.format("%Y-%m-%d").to_string()),
                        Group::Word(word) => words.text(word).map(|text| match by {
                            GroupBy::Pair => text.to_ascii_uppercase(),
                            _ => text.into(),
                        }),
                    };
                    (key, count)
                })
                .collect();
            Ok(pass)
        })?;
        let mut groups = Groups::new(by.clone());
        for (key, count) in named {
            groups.add_many(key.map(Into::into), count);
        }
        Ok(Some(groups.counts()))
    }

    /// Counts all decisions if nothing has changed since they were counted last.
    pub(crate) fn count_at_once(&self, filter: &DecisionFilter) -> Result<Option<u64>> {
        if !filter.is_all() {
            return Ok(None);
        }
        let state = self.fresh(Freshness::Contents)?;
        Ok(state.and_then(|state| state.index.plain_count()))
    }

    /// The ids of the decisions that match.
    pub(crate) fn matching(&self, filter: &DecisionFilter) -> Result<Vec<DecisionId>> {
        let query = DecisionQuery::new().filter(filter.clone());
        let pass = self.settle(|state| self.walk(state, &query, true))?;
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
        let all = DecisionQuery::new();
        let pass = self.settle(|state| self.walk(state, &all, false))?;
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

    /// Proves the journal's chain.
    pub(crate) fn verify(&self, head: Option<&str>) -> Result<JournalProof> {
        let max_line = super::refresh::max_line_bytes(self.config.max_document_bytes);
        crate::journal::verify(&self.fs, &self.dir, max_line, head)
    }

    /// Repeats a pass until the files hold still; they may change for ever, so at last it is taken as it is.
    fn settle(&self, mut pass: impl FnMut(&State) -> Result<Pass>) -> Result<Pass> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let state = self.refresh(Freshness::Contents)?;
            let mut done = pass(&state)?;
            // A writer journals a document before it writes the file: if the journal went on, what looked foreign may not be.
            done.stale |= done.foreign && !state.journal.is_current()?;
            drop(state);
            let settled = done.changed.is_empty() && !done.stale;
            if settled || attempt >= ATTEMPTS {
                if !settled {
                    tracing::debug!(dir = %self.dir.display(), "the files changed all through a read");
                }
                return Ok(done);
            }
            if done.stale {
                self.follow_journal()?;
            }
            let mut state = self.write_state();
            for name in &done.changed {
                state.index.doubt(name);
            }
        }
    }

    /// Goes through the decisions in order until there are more matches than the limit. Without `keep` it only counts, and
    /// goes through all.
    fn walk(&self, state: &State, query: &DecisionQuery, keep: bool) -> Result<Pass> {
        self.walk_by(state, query, keep, None)
    }

    fn walk_by(
        &self,
        state: &State,
        query: &DecisionQuery,
        keep: bool,
        by: Option<GroupBy>,
    ) -> Result<Pass> {
        let mut pass = Pass {
            by,
            ..Pass::default()
        };
        let index = &state.index;
        for problem in index.suspects().values().flatten() {
            pass.refuse(&problem.problem);
        }
        let sieve = Sieve::new(&query.filter, index.words());
        let range = query.filter.time;
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
        if (start.is_some() && end.is_some() && start >= end) || (keep && sieve.is_empty()) {
            return Ok(pass);
        }
        let limit = query.limit.filter(|_| keep).unwrap_or(usize::MAX);
        let mut seen = HashSet::new();
        let mut visit =
            |row: &Arc<Row>| self.visit(state, query, &sieve, row, keep, &mut seen, &mut pass);
        macro_rules! go {
            ($rows:expr, $key:ident) => {{
                let first =
                    start.map_or(Bound::Unbounded, |start| Bound::Included($key::edge(start)));
                let last = end.map_or(Bound::Unbounded, |end| Bound::Excluded($key::edge(end)));
                let rows = $rows.range((first, last));
                if query.order == Order::Oldest {
                    for $key(row) in rows {
                        if visit(row)? > limit {
                            break;
                        }
                    }
                } else {
                    for $key(row) in rows.rev() {
                        if visit(row)? > limit {
                            break;
                        }
                    }
                }
            }};
        }
        let of_pair = match sieve.pair {
            // Problems of other decisions' files are reported by questions about all of them.
            Wanted::This(pair) if timed && keep => index.of_pair(pair),
            _ => None,
        };
        match of_pair {
            Some(of_pair) => go!(of_pair, ByTime),
            _ if timed => go!(index.by_time(), ByTime),
            _ => go!(index.by_written(), ByWritten),
        }
        Ok(pass)
    }

    /// Takes one file's decision if it matches, and gives back how many were taken so far.
    #[allow(clippy::too_many_arguments)] // the parts of one walk
    fn visit(
        &self,
        state: &State,
        query: &DecisionQuery,
        sieve: &Sieve<'_>,
        row: &Arc<Row>,
        keep: bool,
        seen: &mut HashSet<DecisionId>,
        pass: &mut Pass,
    ) -> Result<usize> {
        let taken = |pass: &Pass| usize::try_from(pass.counted).unwrap_or(usize::MAX);
        let (Some(id), Some(content)) = (&row.id, &row.content) else {
            return Ok(taken(pass));
        };
        if let Some(problem) = state.index.ailment(&row.name) {
            pass.refuse(problem);
        }
        if row.misnamed {
            let message = format!("the id inside is \"{id}\"; that one counts");
            let problem = Problem::new(ProblemKind::NameMismatch, &*row.name, message);
            pass.report.add(problem);
        }
        let rivals = state.index.files_of(id);
        if rivals.len() > 1 {
            let winner = rivals.iter().max_by(|a, b| rank(a).cmp(&rank(b)));
            if let Some(winner) = winner.filter(|winner| winner.name != row.name) {
                // While a decision moves to another file, both are there for a moment.
                if !state.is_pending(id) {
                    note_duplicate(&mut pass.report, id, winner, row);
                }
                return Ok(taken(pass));
            }
            if !seen.insert(id.clone()) {
                return Ok(taken(pass));
            }
        }
        if !sieve.lets_through(row) {
            return Ok(taken(pass));
        }
        pass.foreign |= !content.journaled;
        if !keep && sieve.is_whole {
            pass.count(content);
            return Ok(taken(pass));
        }
        let Some(document) = self.document(state, row)? else {
            pass.changed.push(Arc::clone(&row.name));
            return Ok(taken(pass));
        };
        let stored = StoredDecision {
            decision: document.decision.clone(),
            revision: content.token.revision().map_err(JsonError::Core)?,
            recorded_at: content.at,
        };
        let after = query.after.as_ref();
        if (sieve.is_whole || query.filter.matches(&stored))
            && after.is_none_or(|cursor| cursor.is_before(&stored))
        {
            pass.counted += 1;
            if keep {
                pass.found.push(stored);
            }
        }
        Ok(taken(pass))
    }
}

/// So many documents at most are cheap enough to be read on the calling task.
const SHORT: usize = 100;

fn answer(query: &DecisionQuery, pass: Pass) -> Result<DecisionPage> {
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

/// The newest wins, and of two of one time the one with the greater file name.
pub(super) fn rank(row: &Row) -> (Option<chrono::DateTime<chrono::Utc>>, &str) {
    (row.times().map(|(time, _)| time), &row.name)
}

fn note_duplicate(report: &mut ReadReport, id: &DecisionId, winner: &Row, other: &Row) {
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
