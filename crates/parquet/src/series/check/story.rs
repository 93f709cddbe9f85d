//! The log of a series as a check meets it: every entry, which of them are damaged or missing, and the files that they name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use minutebook_core::check::{Finding, FindingKind, Mend, Watch};
use object_store::ObjectMeta;

use super::{place, vanished};
use crate::error::{Fault, Result};
use crate::layout::written_for;
use crate::log::{Commit, GroupRef, Log, Segment, is_anchor};
use crate::series::Inner;

/// What the log of a series holds.
#[derive(Default)]
pub(super) struct Story {
    pub(super) versions: BTreeMap<u64, Option<Arc<Commit>>>,
    /// Why entries cannot be read.
    pub(super) damaged: BTreeMap<u64, String>,
    /// Versions that are missing between others.
    gaps: Vec<u64>,
}

impl Story {
    pub(super) fn newest(&self) -> Option<u64> {
        self.versions.keys().next_back().copied()
    }
}

/// A file that versions name, and the last version that does.
pub(super) struct Named<T> {
    pub(super) what: T,
    pub(super) last: u64,
}

impl Inner {
    /// Reads the whole log.
    pub(super) async fn story(&self, log: &Log, watch: &dyn Watch) -> Result<Story> {
        let mut story = Story::default();
        for version in log.versions().await? {
            match log.read(version).await {
                // Removed meanwhile.
                Ok(None) => {}
                Ok(Some(commit)) => {
                    story.versions.insert(version, Some(commit));
                }
                Err(Fault::Corrupt { message, .. } | Fault::Unsupported { message }) => {
                    story.versions.insert(version, None);
                    story.damaged.insert(version, message);
                }
                Err(fault) => return Err(fault),
            }
            watch.progress(512);
        }
        let (Some(first), Some(last)) = (story.versions.keys().next(), story.newest()) else {
            return Ok(story);
        };
        let missing: Vec<u64> = (*first..=last)
            .filter(|version| !story.versions.contains_key(version))
            .collect();
        // Looked for once more: they may have been removed, or committed, since the log was listed.
        for version in missing {
            match log.read(version).await {
                Ok(None) => story.gaps.push(version),
                _ => return Err(vanished(log, version)),
            }
        }
        if !self.storage.exists(&log.dir.version(*first)).await? {
            return Err(vanished(log, *first));
        }
        Ok(story)
    }
}

/// The groups and segments that versions name that can be read, those of before a deletion aside.
pub(super) fn named(
    story: &Story,
) -> (
    HashMap<String, Named<GroupRef>>,
    BTreeMap<String, Named<Segment>>,
) {
    let mut groups: HashMap<String, Named<GroupRef>> = HashMap::new();
    let mut segments = BTreeMap::new();
    let commits = || {
        story
            .versions
            .iter()
            .filter_map(|(version, commit)| Some((*version, commit.as_ref()?)))
    };
    let oldest = commits().next_back().map_or(0, |(_, commit)| commit.oldest);
    for (version, commit) in commits().filter(|(version, _)| *version >= oldest) {
        if commit.deleted {
            continue;
        }
        for group in &commit.groups {
            groups
                .entry(group.file.clone())
                .or_insert_with(|| Named {
                    what: group.clone(),
                    last: version,
                })
                .last = version;
        }
        for segment in &commit.segments {
            note(&mut segments, segment.clone(), version);
        }
    }
    (groups, segments)
}

pub(super) fn note(
    segments: &mut BTreeMap<String, Named<Segment>>,
    segment: Segment,
    version: u64,
) {
    let named = segments
        .entry(segment.file.clone())
        .or_insert_with(|| Named {
            what: segment,
            last: version,
        });
    named.last = named.last.max(version);
}

/// The entries up to a version, in the order in which they may be taken away: anchors first.
pub(super) fn in_order(log: &Log, root: &FilePath, story: &Story, last: u64) -> Vec<PathBuf> {
    let versions = story
        .versions
        .keys()
        .copied()
        .filter(|version| *version <= last);
    let (anchors, others): (Vec<u64>, Vec<u64>) = versions.partition(|version| is_anchor(*version));
    anchors
        .into_iter()
        .chain(others)
        .map(|version| place(root, &log.dir.version(version)))
        .collect()
}

/// Entries that cannot be read, and gaps.
pub(super) fn tell_versions(
    log: &Log,
    root: &FilePath,
    story: &Story,
    listed: &[ObjectMeta],
    findings: &mut Vec<Finding>,
) {
    let newest = story.newest().unwrap_or_default();
    for (version, why) in &story.damaged {
        let path = place(root, &log.dir.version(*version));
        let finding = Finding::new(FindingKind::VersionDamaged, path.clone(), why.clone());
        let finding = if *version == newest {
            // What was written for it alone goes with it.
            let named: BTreeSet<String> = named(story).1.into_keys().collect();
            let written = listed.iter().filter(|object| {
                let file = object.location.filename().unwrap_or_default();
                written_for(file) == Some(*version) && !named.contains(file)
            });
            let files = written.map(|object| place(root, &object.location));
            finding
                .losing_data()
                .mended_by(Mend::MoveAll([path].into_iter().chain(files).collect()))
        } else {
            finding.mended_by(Mend::MoveAll(in_order(log, root, story, *version)))
        };
        findings.push(finding);
    }
    let Some(last_gap) = story.gaps.last() else {
        return;
    };
    // A vacuum removes anchors first, in order: as long as only those are missing, it was interrupted.
    let by_vacuum = story.gaps.iter().all(|version| is_anchor(*version))
        && story
            .versions
            .keys()
            .all(|version| !is_anchor(*version) || version > last_gap);
    let path = place(root, &log.dir.version(*last_gap));
    if by_vacuum {
        let cause = format!(
            "{} entries up to it are removed, and those between them are not yet",
            story.gaps.len()
        );
        findings.push(Finding::new(FindingKind::VacuumUnfinished, path, cause));
    } else {
        let cause = format!(
            "versions before and after it are there; {} are missing in all",
            story.gaps.len()
        );
        findings.push(
            Finding::new(FindingKind::VersionMissing, path, cause)
                .mended_by(Mend::MoveAll(in_order(log, root, story, *last_gap))),
        );
    }
}
