//! What a version whose files are damaged can go back to: the same rows in the files of before a compaction, or, if it has no rows without them, the rows of an
//! earlier version.

use std::collections::{BTreeSet, HashMap, HashSet};

use minutebook_core::check::{Finding, Mend};
use minutebook_core::time::format_timestamp;

use super::story::Story;
use crate::log::{Commit, Operation, Segment};
use crate::series::back::{Fit, WayBack};

/// What a check knows when it has looked at all files.
pub(super) struct Look<'a> {
    pub(super) story: &'a Story,
    /// Names of files that are damaged or missing, of groups too.
    pub(super) bad: &'a HashSet<String>,
    /// What is in each group that can be read.
    pub(super) groups: &'a HashMap<String, BTreeSet<String>>,
}

/// Whether the version after this one is of a repair that went back to files with the same rows.
pub(super) fn has_same_rows(story: &Story, version: u64) -> bool {
    let read = |version: u64| story.versions.get(&version).cloned().flatten();
    let (Some(damaged), Some(next)) = (read(version), read(version + 1)) else {
        return false;
    };
    if next.operation != Operation::Repair {
        return false;
    }
    let mut way = WayBack::new(&damaged, false, &[]);
    for (_, commit) in story.versions.range(..version).rev() {
        let Some(commit) = commit else { break };
        if way.fits(commit) != Fit::SameRows {
            break;
        }
        if commit.segments == next.segments && commit.groups == next.groups {
            return true;
        }
    }
    false
}

impl Look<'_> {
    /// Says with what is damaged in the newest version where a repair goes back to.
    pub(super) fn tell(&self, findings: &mut [Finding]) {
        let Some(newest) = self.story.versions.values().next_back().cloned().flatten() else {
            return;
        };
        let of_newest = |finding: &&mut Finding| finding.mend == Mend::Backend;
        let mut concerned = findings.iter_mut().filter(of_newest).peekable();
        if concerned.peek().is_none() {
            return;
        }
        let mut way = WayBack::new(&newest, self.rows_left(&newest) == 0, &[]);
        let mut found = None;
        for (_, commit) in self.story.versions.range(..newest.version).rev() {
            // One that cannot be read: what is before it cannot be known to be what this one was made of.
            let Some(commit) = commit else { break };
            match way.fits(commit) {
                Fit::Never => break,
                Fit::NotYet => {}
                fit if self.is_whole(commit) => {
                    found = Some((commit, fit));
                    break;
                }
                _ => {}
            }
        }
        let Some((commit, fit)) = found else {
            return;
        };
        let which = format!(
            "version {} of {}",
            commit.version,
            format_timestamp(commit.committed_at)
        );
        let same = fit == Fit::SameRows;
        let back = if same {
            format!(
                "; {which} has the same rows in files that are whole, and a repair goes on with those"
            )
        } else {
            format!(
                "; no other file of the newest version has rows: if nothing can be read of this one, a repair makes the {} rows of {which} the newest",
                commit.rows
            )
        };
        for finding in concerned {
            finding.lost &= !same;
            finding.cause.push_str(&back);
        }
    }

    fn rows_left(&self, commit: &Commit) -> u64 {
        let segments = commit
            .segments
            .iter()
            .filter(|it| !self.bad.contains(&it.file));
        let alone: u64 = segments.map(Segment::live_rows).sum();
        let groups = commit.groups.iter().filter(|group| {
            let members = self.groups.get(&group.file);
            members.is_some_and(|members| members.iter().any(|file| !self.bad.contains(file)))
        });
        alone + groups.map(|group| group.rows).sum::<u64>()
    }

    fn is_whole(&self, commit: &Commit) -> bool {
        let good = |file: &String| !self.bad.contains(file);
        commit.segments.iter().all(|segment| good(&segment.file))
            && commit.groups.iter().all(|group| {
                let members = self.groups.get(&group.file);
                members.is_some_and(|members| members.iter().all(good))
            })
    }
}
