//! What a version whose files are damaged can go back to: the same rows in the files of before a compaction, or, if it has no rows without them, the rows of an
//! earlier version.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use minutebook_core::check::{Finding, Mend};
use minutebook_core::time::format_timestamp;

use super::story::Story;
use crate::error::Result;
use crate::log::{Commit, Operation, Segment};
use crate::series::back::{Fit, Origin, Past, WayBack};
use crate::series::held::{HeldSegments, held};
use crate::series::mend::LOST_ROWS;

/// What a check knows when it has looked at all files.
pub(super) struct Look<'a> {
    pub(super) story: &'a Story,
    /// Names of files that are damaged or missing, of groups too.
    pub(super) bad: &'a HashSet<String>,
    /// What is in each group that can be read.
    pub(super) groups: &'a HashMap<String, BTreeSet<String>>,
    /// The log of ticks beside the series.
    pub(super) ticks: &'a dyn HeldSegments,
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
    pub(super) async fn tell(&self, findings: &mut [Finding]) -> Result<()> {
        let Some(newest) = self.story.versions.values().next_back().cloned().flatten() else {
            return Ok(());
        };
        let of_newest = |finding: &Finding| finding.mend == Mend::Backend;
        if !findings.iter().any(of_newest) {
            return Ok(());
        }
        let Some((same, back)) = self.back(&newest).await? else {
            return Ok(());
        };
        for finding in findings.iter_mut().filter(|finding| of_newest(finding)) {
            finding.lost &= !same;
            finding.cause.push_str(&back);
        }
        Ok(())
    }

    /// Whether nothing is lost by going back, and in words what a repair does.
    async fn back(&self, newest: &Commit) -> Result<Option<(bool, String)>> {
        let held = held(newest, self.ticks).await?;
        let way = WayBack::new(newest, self.rows_left(newest) == 0, held.as_ref());
        let mut past = self;
        Ok(way.origin(&mut past).await?.map(|origin| match origin {
            Origin::Version(commit, fit) => words(&commit, fit),
            Origin::Beginning => {
                let back = "; all its rows are ticks that were moved and are still among the tick files, and a repair leaves them there";
                (true, back.to_owned())
            }
        }))
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
}

/// As the check found it.
impl Past for &Look<'_> {
    async fn version(&self, version: u64) -> Result<Option<Arc<Commit>>> {
        Ok(self.story.versions.get(&version).cloned().flatten())
    }

    async fn is_whole(&mut self, commit: &Commit) -> Result<bool> {
        let good = |file: &String| !self.bad.contains(file);
        let whole = commit.segments.iter().all(|segment| good(&segment.file))
            && commit.groups.iter().all(|group| {
                let members = self.groups.get(&group.file);
                members.is_some_and(|members| members.iter().all(good))
            });
        Ok(whole)
    }
}
