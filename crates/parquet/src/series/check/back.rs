//! What a version whose files are damaged can go back to: the same rows in the files of before a compaction, or, if it has no rows without them, the rows of an
//! earlier version.

use std::collections::{BTreeSet, HashMap, HashSet};

use minutebook_core::check::{Finding, Mend};
use minutebook_core::time::format_timestamp;

use super::story::Story;
use crate::log::{AbsorbedSegment, Commit, Operation, Segment};
use crate::series::back::{Fit, WayBack};
use crate::series::mend::LOST_ROWS;

/// What a check knows when it has looked at all files.
pub(super) struct Look<'a> {
    pub(super) story: &'a Story,
    /// Names of files that are damaged or missing, of groups too.
    pub(super) bad: &'a HashSet<String>,
    /// What is in each group that can be read.
    pub(super) groups: &'a HashMap<String, BTreeSet<String>>,
    /// Segments that the log of ticks still has.
    pub(super) held: &'a [AbsorbedSegment],
}

/// Whether the version after this one is of a repair that lost none of its rows.
pub(super) fn was_mended_whole(story: &Story, version: u64) -> bool {
    let next = story.versions.get(&(version + 1)).and_then(Option::as_ref);
    next.is_some_and(|next| {
        let lost = next.note.get(LOST_ROWS).map(String::as_str);
        next.operation == Operation::Repair && lost == Some("0")
    })
}

fn words(commit: &Commit, fit: Fit) -> (bool, String) {
    let which = format!(
        "version {} of {}",
        commit.version,
        format_timestamp(commit.committed_at)
    );
    match fit {
        Fit::SameRows => (
            true,
            format!(
                "; {which} has the same rows in files that are whole, and a repair goes on with those"
            ),
        ),
        Fit::BeforeMove => (
            true,
            format!(
                "; {which} has the same rows in files that are whole, but for the ticks that were moved after it and are still among the tick files, and a repair goes on with both"
            ),
        ),
        _ => {
            let becomes = match commit.rows {
                0 => format!("leaves the series without rows, as {which}"),
                rows => format!("makes the {rows} rows of {which} the newest"),
            };
            let why =
                "no other file of the newest version has rows: if nothing can be read of this one";
            (false, format!("; {why}, a repair {becomes}"))
        }
    }
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
        let Some((same, back)) = self.back(&newest) else {
            return;
        };
        for finding in concerned {
            finding.lost &= !same;
            finding.cause.push_str(&back);
        }
    }

    /// Whether nothing is lost by going back, and in words what a repair does.
    fn back(&self, newest: &Commit) -> Option<(bool, String)> {
        let mut way = WayBack::new(newest, self.rows_left(newest) == 0, self.held);
        for version in (newest.oldest..newest.version).rev() {
            // One that cannot be read: what is before it cannot be known to be what this one was made of.
            let commit = self.story.versions.get(&version)?.as_ref()?;
            match way.fits(commit) {
                Fit::Never => return None,
                fit if self.is_whole(commit) => return Some(words(commit, fit)),
                _ => {}
            }
        }
        let back = "; all its rows are ticks that were moved and are still among the tick files, and a repair leaves them there";
        way.begins_with_move().then(|| (true, back.to_owned()))
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
