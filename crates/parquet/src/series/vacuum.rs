//! Removing versions that are not kept, and files that no kept version names.

use std::collections::HashSet;

use minutebook_core::SeriesId;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::{Inner, ParquetTimeSeriesRepository};
use crate::config::Retention;
use crate::error::Result;
use crate::layout::snapshots_dir;
use crate::log::{Commit, Log};

/// How to vacuum.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VacuumOptions {
    /// What to keep; without it, what the repository's settings say.
    pub retention: Option<Retention>,
    /// Only say what would go.
    pub dry_run: bool,
}

impl VacuumOptions {
    /// Keeps this instead of what the settings say.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Only says what would go.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }
}

/// What a vacuum removed, or would remove.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VacuumReport {
    /// Versions that can no longer be read.
    pub versions: Vec<u64>,
    /// Files of rows, and of lists of them, that no kept version names, and what writers that were killed have left half written.
    pub files: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
    /// Files that no version names but that are young enough to belong to a write that is under way.
    pub spared: u64,
}

impl ParquetTimeSeriesRepository {
    /// Removes the versions of a series that the settings do not keep, and every file that no kept version and no named snapshot names.
    ///
    /// The newest version always stays, and so does every version and unnamed file younger than the grace period
    /// ([`ParquetConfig::orphan_grace`](crate::ParquetConfig::orphan_grace)): a writer may be building upon it. Temporary files go if their writer is dead. Readers of a version that is removed get an error that says so. Interrupted anywhere, the
    /// series stays readable, and the next call goes on.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the storage fails; [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if a kept
    /// version cannot be read, since it is then not known what it names.
    pub async fn vacuum(
        &self,
        series: &SeriesId,
        options: &VacuumOptions,
    ) -> minutebook_core::Result<VacuumReport> {
        let report = self.inner.vacuum(series, options).await;
        report.map_err(|fault| fault.told("vacuum", series))
    }
}

impl Inner {
    async fn vacuum(&self, series: &SeriesId, options: &VacuumOptions) -> Result<VacuumReport> {
        let log = self.log(series);
        let mut report = self.vacuum_named(&log, options).await?;
        let dirs = [
            log.dir.data_dir(),
            log.dir.groups_dir(),
            log.dir.log(),
            snapshots_dir(),
        ];
        for dir in dirs {
            for (file, size) in self.storage.strays(&dir, !options.dry_run).await? {
                report.files.push(file);
                report.bytes += size;
            }
        }
        Ok(report)
    }

    async fn vacuum_named(&self, log: &Log, options: &VacuumOptions) -> Result<VacuumReport> {
        // What is listed before the newest version is read, and is not named by it or an earlier one, is no part of a
        // version that was there then.
        let listed: Vec<ObjectMeta> = [
            self.storage.list(&log.dir.data_dir()).await?,
            self.storage.list(&log.dir.groups_dir()).await?,
        ]
        .concat();
        let versions = log.versions().await?;
        let Some(newest) = self.newest(log).await?.map(|known| known.commit) else {
            return Ok(VacuumReport::default());
        };
        let retention = options.retention.unwrap_or(self.config.retention);
        let first = if newest.deleted {
            newest.version
        } else {
            self.first_kept(log, &versions, newest.version, retention)
                .await?
                .max(newest.oldest)
        };
        let removable = self.removable(log, first).await?;
        let listed_first = versions.first().copied().unwrap_or(newest.version);
        let kept = removable.last().map_or(listed_first, |last| last + 1);
        // By number: versions that were added since the listing count too.
        let kept = kept.max(newest.oldest)..=newest.version;
        let named = self.named_by(log, kept.clone()).await?;
        let mut report = VacuumReport {
            versions: removable,
            ..VacuumReport::default()
        };
        // The files of a series that was deleted are gone; its older versions name nothing that is there.
        let expired = report.versions.iter().copied();
        let dropped = self
            .named_by(log, expired.filter(|version| *version >= newest.oldest))
            .await?;
        if !options.dry_run {
            self.drop_passing().await?;
            if !report.versions.is_empty() {
                self.raise_floor(log, *kept.start()).await?;
            }
        }
        // After the floor is there: whoever pins a version later sees it.
        let pinned = self.pinned(log).await?;
        let mut doomed = Vec::new();
        for object in listed.into_iter().filter(|object| {
            !named.contains(&object.location) && !pinned.contains(&object.location)
        }) {
            // What an expired version names was committed, so no writer is about to name it.
            if dropped.contains(&object.location) || self.is_old(&object) {
                report.bytes += object.size;
                report
                    .files
                    .extend(object.location.filename().map(str::to_owned));
                doomed.push(object.location);
            } else {
                report.spared += 1;
            }
        }
        let nothing = report.versions.is_empty() && doomed.is_empty();
        if !(options.dry_run || nothing) {
            self.settle(&log.dir.root()).await?;
            // First the versions, then what only they name.
            self.remove_versions(log, report.versions.clone()).await?;
            self.storage.delete_all(doomed).await?;
        }
        Ok(report)
    }

    /// The oldest version that is kept.
    async fn first_kept(
        &self,
        log: &Log,
        versions: &[u64],
        newest: u64,
        retention: Retention,
    ) -> Result<u64> {
        if retention.keeps_all() {
            return Ok(0);
        }
        let by_count = retention
            .versions
            .map_or(newest, |count| (newest + 1).saturating_sub(count.max(1)));
        let mut first = by_count;
        if let Some(age) = retention.age {
            let since = self.config.clock.now().checked_sub_signed(age);
            // A version was current until the one after it was committed.
            let mut current = newest;
            for version in versions.iter().rev().filter(|version| **version <= newest) {
                let Some(commit) = log.read(*version).await? else {
                    break;
                };
                current = *version;
                if since.is_some_and(|since| commit.committed_at <= since) {
                    break;
                }
            }
            first = first.min(current);
        }
        Ok(first)
    }

    /// The files that these versions name.
    async fn named_by(
        &self,
        log: &Log,
        versions: impl Iterator<Item = u64>,
    ) -> Result<HashSet<Path>> {
        let mut named = HashSet::new();
        for version in versions {
            let Some(commit) = log.read(version).await? else {
                continue; // removed meanwhile
            };
            self.files_of(log, &commit, &mut named).await?;
        }
        Ok(named)
    }

    /// Adds the files that a version names.
    pub(super) async fn files_of(
        &self,
        log: &Log,
        commit: &Commit,
        named: &mut HashSet<Path>,
    ) -> Result<()> {
        let segments = commit.segments.iter();
        named.extend(segments.map(|segment| log.dir.data(&segment.file)));
        for group in &commit.groups {
            if named.insert(log.dir.group(&group.file)) {
                let segments = self.group(log, group).await?;
                named.extend(segments.iter().map(|segment| log.dir.data(&segment.file)));
            }
        }
        Ok(())
    }
}
