//! Which earlier version a newest one that lost files can go back to.

use std::collections::HashMap;
use std::sync::Arc;

use super::Inner;
use crate::error::{Fault, Result};
use crate::log::{Commit, Log, Operation};

/// How an earlier version fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It has the rows of the newest one, in other files.
    SameRows,
    /// It has rows, and those of the newest one are lost.
    LastRows,
    /// It does not fit, but one before it may.
    NotYet,
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
    later: Operation,
}

impl<'a> WayBack<'a> {
    pub(super) fn new(newest: &'a Commit, any: bool) -> Self {
        Self {
            newest,
            same: true,
            any,
            later: newest.operation,
        }
    }

    /// How the version before the last one that was given fits, if its files are whole.
    pub(super) fn fits(&mut self, commit: &Commit) -> Fit {
        let keeps_rows = matches!(
            self.later,
            Operation::Compact | Operation::Describe | Operation::Mark
        );
        self.same &=
            keeps_rows && commit.schema == self.newest.schema && commit.rows == self.newest.rows;
        self.later = commit.operation;
        if commit.deleted || commit.version < self.newest.oldest || !(self.same || self.any) {
            Fit::Never
        } else if commit.rows == 0 {
            Fit::NotYet
        } else if self.same {
            Fit::SameRows
        } else {
            Fit::LastRows
        }
    }
}

impl Inner {
    /// The newest earlier version that fits and of which every file is whole, read to its last byte.
    pub(super) async fn way_back(
        &self,
        log: &Log,
        newest: &Commit,
        damaged: &[String],
        any: bool,
    ) -> Result<Option<(Arc<Commit>, Fit)>> {
        let mut way = WayBack::new(newest, any);
        let mut looked = HashMap::new();
        for file in damaged {
            looked.insert(file.clone(), false);
        }
        for version in (newest.oldest..newest.version).rev() {
            let commit = match log.read(version).await {
                Ok(Some(commit)) => commit,
                Ok(None) | Err(Fault::Corrupt { .. } | Fault::Unsupported { .. }) => break,
                Err(fault) => return Err(fault),
            };
            match way.fits(&commit) {
                Fit::Never => break,
                Fit::NotYet => {}
                fit if self.is_whole(log, &commit, &mut looked).await? => {
                    return Ok(Some((commit, fit)));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Whether every file of a version can be read. What is known of files by then is taken from, and noted in, `looked`.
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
