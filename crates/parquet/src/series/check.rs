//! A series looked at without changing it: every entry of its log, every file that a kept version names, and what nothing names.

mod back;
mod files;
mod story;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path as FilePath, PathBuf};

use minutebook_core::check::{Finding, FindingKind, Mend, Watch};
use minutebook_core::{ErrorKind, SeriesId};
use object_store::ObjectMeta;
use object_store::path::Path;

use self::story::{Story, in_order, named, note, tell_versions};
use super::held::{HeldSegments, NONE};
use super::{Inner, ParquetTimeSeriesRepository};
use crate::error::{Fault, Result};
use crate::layout::{series_of, snapshots_dir};
use crate::log::{GroupRef, Log, MAX_DOCUMENT, Segment, group_from_bytes, is_anchor};

/// Versions may be removed while a check goes on; then it begins again.
const ATTEMPTS: usize = 5;

/// What a check of one series saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SeriesChecked {
    /// Versions that are kept.
    pub versions: u64,
    /// Files of rows.
    pub segments: u64,
    /// Rows decoded.
    pub rows: u64,
}

impl ParquetTimeSeriesRepository {
    /// The series of which there is a directory, deleted and damaged ones included, in order. `root` is where the repository lies, for the
    /// places of findings: files and directories that are no series.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if the storage fails.
    pub async fn check_directory(
        &self,
        root: &FilePath,
        watch: &dyn Watch,
    ) -> minutebook_core::Result<Vec<SeriesId>> {
        let found = self.inner.check_directory(root, watch).await;
        found.map_err(|fault| fault.told("verify", root.display()))
    }

    /// Checks one series: the digest of every entry of its log, gaps in it, size, digest and checksums of every file that a kept version
    /// names with every value decoded, files that none names, and the hint. Changes nothing, and may run beside writers and a vacuum.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if the storage fails.
    pub async fn check_series(
        &self,
        series: &SeriesId,
        root: &FilePath,
        watch: &dyn Watch,
    ) -> minutebook_core::Result<SeriesChecked> {
        self.check_series_beside(series, root, watch, &NONE).await
    }

    /// As [`check_series`](Self::check_series), beside a log of ticks: what is told of damaged files is what
    /// [`leave_out_beside`](Self::leave_out_beside) would do about them. The log is asked only if files of the newest version are damaged.
    ///
    /// # Errors
    /// As [`check_series`](Self::check_series), and what the log says.
    pub async fn check_series_beside(
        &self,
        series: &SeriesId,
        root: &FilePath,
        watch: &dyn Watch,
        ticks: &dyn HeldSegments,
    ) -> minutebook_core::Result<SeriesChecked> {
        let checked = self.inner.check_series(series, root, watch, ticks).await;
        checked.map_err(|fault| fault.told("verify", series))
    }
}

impl Inner {
    async fn check_directory(&self, root: &FilePath, watch: &dyn Watch) -> Result<Vec<SeriesId>> {
        let foreign = |path: &Path, cause: &str| {
            watch.found(Finding::new(
                FindingKind::ForeignFile,
                place(root, path),
                cause,
            ));
        };
        let top = self.storage.level(None).await?;
        for object in &top.objects {
            foreign(&object.location, "it lies where directories of symbols are");
        }
        let mut found = Vec::new();
        for outer in top.common_prefixes {
            if outer == snapshots_dir() {
                continue;
            }
            let level = self.storage.level(Some(&outer)).await?;
            for object in &level.objects {
                foreign(&object.location, "it lies where directories of series are");
            }
            for inner in level.common_prefixes {
                let name = inner.filename().unwrap_or_default();
                match series_of(outer.as_ref(), name) {
                    Some(series) => found.push(series),
                    None => foreign(&inner, "it is no directory of a series"),
                }
            }
        }
        found.sort();
        Ok(found)
    }

    async fn check_series(
        &self,
        series: &SeriesId,
        root: &FilePath,
        watch: &dyn Watch,
        ticks: &dyn HeldSegments,
    ) -> Result<SeriesChecked> {
        let log = self.log(series);
        let mut attempt = 1;
        loop {
            let mut findings = Vec::new();
            match self.look(&log, root, watch, ticks, &mut findings).await {
                Err(Fault::Vanished { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(fault) => return Err(fault),
                Ok(checked) => {
                    for finding in findings {
                        watch.found(finding.about(series));
                    }
                    return Ok(checked);
                }
            }
        }
    }

    async fn look(
        &self,
        log: &Log,
        root: &FilePath,
        watch: &dyn Watch,
        ticks: &dyn HeldSegments,
        findings: &mut Vec<Finding>,
    ) -> Result<SeriesChecked> {
        // Listed before the log is read: what is not named then is no part of a version that was there.
        let listed: Vec<ObjectMeta> = [
            self.storage.list(&log.dir.data_dir()).await?,
            self.storage.list(&log.dir.groups_dir()).await?,
        ]
        .concat();
        let story = self.story(log, watch).await?;
        let Some(newest) = story.newest() else {
            let pinned = self.pinned(log).await?;
            self.orphans(listed, &pinned, root, findings);
            return Ok(SeriesChecked::default());
        };
        tell_versions(log, root, &story, &listed, findings);
        self.tell_hint(log, root, newest, findings).await?;

        let mut checked = SeriesChecked {
            versions: story.versions.len() as u64,
            ..SeriesChecked::default()
        };
        let (groups, mut segments) = named(&story);
        let mut known: HashSet<Path> = HashSet::new();
        let mut bad: HashSet<String> = HashSet::new();
        let mut members: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (file, group) in &groups {
            let path = log.dir.group(file);
            known.insert(path.clone());
            match self.check_group(&path, &group.what).await {
                Ok(found) => {
                    let names = found.iter().map(|segment| segment.file.clone());
                    members.insert(file.clone(), names.collect());
                    for segment in found {
                        note(&mut segments, segment, group.last);
                    }
                }
                Err(why) => {
                    self.still_there(log, group.last).await?;
                    bad.insert(file.clone());
                    let found =
                        Finding::new(FindingKind::GroupDamaged, place(root, &path), told(&why)?);
                    findings.push(mended(found, log, root, &story, group.last));
                }
            }
        }
        let whole = story.damaged.is_empty()
            && findings.iter().all(|f| f.kind != FindingKind::GroupDamaged);
        for (file, segment) in &segments {
            if watch.stopped() {
                return Ok(checked);
            }
            let path = log.dir.data(file);
            known.insert(path.clone());
            checked.segments += 1;
            match self.verify_segment(log, &segment.what).await {
                Ok(rows) => checked.rows += rows,
                Err(fault) => {
                    self.still_there(log, segment.last).await?;
                    bad.insert(file.clone());
                    let kind = match fault {
                        Fault::Vanished { .. } => FindingKind::SegmentMissing,
                        _ => FindingKind::SegmentDamaged,
                    };
                    let found = Finding::new(kind, place(root, &path), told(&fault)?);
                    findings.push(mended(found, log, root, &story, segment.last));
                }
            }
            watch.progress(segment.what.bytes);
        }
        let look = back::Look {
            story: &story,
            bad: &bad,
            groups: &members,
            ticks,
        };
        look.tell(findings).await?;
        if whole {
            // What only a named snapshot names is kept for it.
            known.extend(self.pinned(log).await?);
            self.orphans(listed, &known, root, findings);
        }
        Ok(checked)
    }

    /// Whether the version that names what is missing is still kept; if not, the look begins again.
    async fn still_there(&self, log: &Log, version: u64) -> Result<()> {
        if self.storage.exists(&log.dir.version(version)).await? {
            Ok(())
        } else {
            Err(vanished(log, version))
        }
    }

    async fn check_group(&self, path: &Path, group: &GroupRef) -> Result<Vec<Segment>> {
        let bytes = self.storage.get(path, MAX_DOCUMENT).await?;
        let bytes = bytes.ok_or_else(|| Fault::Vanished {
            path: path.to_string(),
        })?;
        group_from_bytes(&bytes, path, group)
    }

    fn orphans(
        &self,
        listed: Vec<ObjectMeta>,
        known: &HashSet<Path>,
        root: &FilePath,
        findings: &mut Vec<Finding>,
    ) {
        for object in listed {
            if !known.contains(&object.location) && self.is_old(&object) {
                let cause = "no version names it: a write failed or was killed before its commit, or a removal was interrupted";
                findings.push(
                    Finding::new(
                        FindingKind::SegmentOrphaned,
                        place(root, &object.location),
                        cause,
                    )
                    .mended_by(Mend::MoveAway),
                );
            }
        }
    }

    async fn tell_hint(
        &self,
        log: &Log,
        root: &FilePath,
        newest: u64,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let path = log.dir.hint();
        let Some(text) = self.storage.get(&path, 1 << 20).await? else {
            return Ok(());
        };
        let cause = match serde_json::from_slice::<serde_json::Value>(&text) {
            Err(error) => Some(format!("it does not parse: {error}")),
            Ok(value) => match value.get("version").and_then(serde_json::Value::as_u64) {
                None => Some("it names no version".to_owned()),
                Some(version) if !is_anchor(version) => {
                    Some(format!("{version} is no version that is left as a hint"))
                }
                // A commit since the log was listed may have left it.
                Some(version)
                    if version > newest
                        && !self.storage.exists(&log.dir.version(version)).await? =>
                {
                    Some(format!(
                        "the newest version is {newest}, and it names {version}"
                    ))
                }
                Some(_) => None,
            },
        };
        if let Some(cause) = cause {
            findings.push(
                Finding::new(FindingKind::HintDamaged, place(root, &path), cause)
                    .mended_by(Mend::MoveAway),
            );
        }
        Ok(())
    }
}

fn place(root: &FilePath, path: &Path) -> PathBuf {
    let mut place = root.to_owned();
    place.extend(path.parts().map(|part| part.as_ref().to_owned()));
    place
}

fn vanished(log: &Log, version: u64) -> Fault {
    Fault::Vanished {
        path: log.dir.version(version).to_string(),
    }
}

/// What a fault says of a file; another kind of fault is none of the file's.
fn told(fault: &Fault) -> Result<String> {
    match fault {
        Fault::Corrupt { message, .. } | Fault::Unsupported { message } => Ok(message.clone()),
        Fault::Vanished { .. } => Ok("the file is not there".to_owned()),
        other => Err(Fault::Core(minutebook_core::Error::new(
            ErrorKind::Unavailable,
            other.to_string(),
        ))),
    }
}

/// What is done about a file that is damaged or missing: the newest version goes on without it; older ones that name it go, and it with them.
fn mended(found: Finding, log: &Log, root: &FilePath, story: &Story, last: u64) -> Finding {
    if story.newest() == Some(last) {
        return found.losing_data().mended_by(Mend::Backend);
    }
    let mut paths = in_order(log, root, story, last);
    paths.push(found.path.clone());
    let found = found.mended_by(Mend::MoveAll(paths));
    // A repair has put what it had elsewhere.
    if back::was_mended_whole(story, last) {
        return found;
    }
    found.losing_data()
}
