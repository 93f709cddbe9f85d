//! Which earlier version a newest one that lost files can go back to.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::SchemaRef;

use super::Inner;
use crate::error::{Fault, Result};
use crate::log::{AbsorbedSegment, Commit, Log, Operation};

/// How an earlier version fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It has the rows of the newest one, in other files.
    SameRows,
    /// It has those that are not among the ticks which the newest has absorbed last and the log still has.
    BeforeMove,
    /// It is the last one of which there is something to be had, also if that is that it has no rows: those of the newest one are lost.
    LastRows,
    /// Neither it nor any before it fits.
    Never,
}

/// Compares the newest version with those before it, one after another, from the newest of them on.
pub(super) struct WayBack<'a> {
    newest: &'a Commit,
    /// Whether nothing came between that changed rows.
    same: bool,
    /// Whether rows of another state are better than what is left.
    any: bool,
    /// The segment that was absorbed last, if its log still has it.
    held: Option<&'a AbsorbedSegment>,
    /// Of the version that was given last.
    operation: Operation,
    had_held: bool,
    /// Of versions with the same rows.
    schema: SchemaRef,
    rows: u64,
}

impl<'a> WayBack<'a> {
    /// `held` is the segment that the newest version has absorbed last, if its log still has it.
    pub(super) fn new(newest: &'a Commit, any: bool, held: Option<&'a AbsorbedSegment>) -> Self {
        let last = held.filter(|held| last(newest) == Some(held));
        Self {
            newest,
            same: true,
            any,
            held: last,
            operation: newest.operation,
            had_held: last.is_some(),
            schema: Arc::clone(&newest.schema),
            rows: newest.rows,
        }
    }

    /// How the version before the last one that was given fits, if its files are whole.
    fn fits(&mut self, commit: &Commit) -> Fit {
        let keeps_rows = matches!(
            self.operation,
            Operation::Compact | Operation::Describe | Operation::Mark
        );
        let has_held = self.held.is_some() && last(commit) == self.held;
        if self.had_held && !has_held && self.operation == Operation::Append {
            // The version after it did nothing but take over what the log still has.
            self.schema = Arc::clone(&commit.schema);
            self.rows = commit.rows;
        } else {
            self.same &= keeps_rows && commit.schema == self.schema && commit.rows == self.rows;
        }
        self.operation = commit.operation;
        self.had_held = has_held;
        if commit.deleted || commit.version < self.newest.oldest || !(self.same || self.any) {
            Fit::Never
        } else if self.same && self.held.is_some() && !has_held {
            Fit::BeforeMove
        } else if self.same {
            Fit::SameRows
        } else {
            Fit::LastRows
        }
    }

    /// Whether the version that was given last, which is the first of all, did nothing but take over what the log still has.
    fn begins_with_move(&self) -> bool {
        self.same && self.had_held && self.operation == Operation::Append
    }

    /// The newest earlier version that fits and of which every file is whole.
    pub(super) async fn origin(mut self, past: &mut impl Past) -> Result<Option<Origin>> {
        for version in (self.newest.oldest..self.newest.version).rev() {
            // What was before one that cannot be read cannot be known to be what it was made of.
            let Some(commit) = past.version(version).await? else {
                return Ok(None);
            };
            match self.fits(&commit) {
                Fit::Never => return Ok(None),
                fit if past.is_whole(&commit).await? => {
                    return Ok(Some(Origin::Version(commit, fit)));
                }
                _ => {}
            }
        }
        Ok(self.begins_with_move().then_some(Origin::Beginning))
    }
}

/// The versions of a series, and what is known of their files.
pub(super) trait Past {
    /// A version; `None` if it is not there or cannot be read.
    async fn version(&self, version: u64) -> Result<Option<Arc<Commit>>>;

    /// Whether every file of a version is whole.
    async fn is_whole(&mut self, commit: &Commit) -> Result<bool>;
}

/// Where a newest version that lost files goes back to.
pub(super) enum Origin {
    /// An earlier version of which every file is whole.
    Version(Arc<Commit>, Fit),
    /// Before the first version: the series began with the segment that its log still has, and nothing else changed rows since.
    Beginning,
}

/// The segment that a version has absorbed last.
pub(super) fn last(commit: &Commit) -> Option<&AbsorbedSegment> {
    commit.absorbed.as_ref()?.last.as_ref()
}

/// As the log has it. Files are read to their last byte; what is known of them by then is taken from, and noted in, `looked`.
pub(super) struct Read<'a> {
    pub(super) inner: &'a Inner,
    pub(super) log: &'a Log,
    pub(super) looked: &'a mut HashMap<String, bool>,
}

impl Past for Read<'_> {
    async fn version(&self, version: u64) -> Result<Option<Arc<Commit>>> {
        match self.log.read(version).await {
            Err(Fault::Corrupt { .. } | Fault::Unsupported { .. }) => Ok(None),
            read => read,
        }
    }

    async fn is_whole(&mut self, commit: &Commit) -> Result<bool> {
        self.inner.is_whole(self.log, commit, self.looked).await
    }
}

impl Inner {
    /// Whether every file of a version can be read.
    async fn is_whole(
        &self,
        log: &Log,
        commit: &Commit,
        looked: &mut HashMap<String, bool>,
    ) -> Result<bool> {
        let mut segments = commit.segments.clone();
        for group in &commit.groups {
            if looked.get(&group.file) == Some(&false) {
                return Ok(false);
            }
            match self.group(log, group).await {
                Ok(found) => segments.extend(found.iter().cloned()),
                Err(Fault::Corrupt { .. } | Fault::Vanished { .. }) => return Ok(false),
                Err(fault) => return Err(fault),
            }
        }
        if segments
            .iter()
            .any(|it| looked.get(&it.file) == Some(&false))
        {
            return Ok(false);
        }
        for segment in &segments {
            if looked.contains_key(&segment.file) {
                continue;
            }
            let whole = match self.verify_segment(log, segment).await {
                Ok(_) => true,
                Err(Fault::Corrupt { .. } | Fault::Vanished { .. }) => false,
                Err(fault) => return Err(fault),
            };
            looked.insert(segment.file.clone(), whole);
            if !whole {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
