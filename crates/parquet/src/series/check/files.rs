//! The files that a copy of a series needs.

use std::collections::BTreeSet;

use minutebook_core::SeriesId;
use minutebook_core::check::{Finding, Watch};
use object_store::path::Path;

use super::story::{named, note};
use super::{Inner, ParquetTimeSeriesRepository};
use crate::error::Result;
use crate::layout::floor_of;

/// A copy is not told of damage; a check is.
#[derive(Debug)]
struct Unheard;

impl Watch for Unheard {
    fn found(&self, _: Finding) {}
}

impl ParquetTimeSeriesRepository {
    /// The number of a series' newest version, without reading it; `None` if there never was one.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the storage fails.
    pub async fn newest_version(&self, series: &SeriesId) -> minutebook_core::Result<Option<u64>> {
        let versions = self.inner.log(series).versions().await;
        let versions = versions.map_err(|fault| fault.told("list versions", series))?;
        Ok(versions.last().copied())
    }

    /// The files that a copy of a series needs, relative to the repository's directory: the entries of its kept versions up to `limit` (all of them
    /// unless given), the files of rows and of lists that they name, and those that named snapshots keep. What they name is durable before
    /// they are, so files copied after this call are all there, unless a vacuum removes them meanwhile. The hint is not among them.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the storage fails.
    pub async fn kept_files(
        &self,
        series: &SeriesId,
        limit: Option<u64>,
    ) -> minutebook_core::Result<Vec<String>> {
        let files = self.inner.kept_files(series, limit).await;
        files.map_err(|fault| fault.told("list files", series))
    }
}

impl Inner {
    async fn kept_files(&self, series: &SeriesId, limit: Option<u64>) -> Result<Vec<String>> {
        let log = self.log(series);
        let listed = self.storage.list(&log.dir.log()).await?;
        let mut story = self.story(&log, &Unheard).await?;
        if let Some(limit) = limit {
            story.versions.retain(|version, _| *version <= limit);
        }
        let (groups, mut segments) = named(&story);
        for group in groups.values() {
            let path = log.dir.group(&group.what.file);
            // One that is damaged is copied as it is.
            if let Ok(found) = self.check_group(&path, &group.what).await {
                for segment in found {
                    note(&mut segments, segment, group.last);
                }
            }
        }
        let mut wanted: BTreeSet<Path> = story
            .versions
            .keys()
            .map(|version| log.dir.version(*version))
            .collect();
        wanted.extend(groups.keys().map(|file| log.dir.group(file)));
        wanted.extend(segments.keys().map(|file| log.dir.data(file)));
        wanted.extend(self.pinned(&log).await?);
        let floors = listed.into_iter().map(|object| object.location);
        let is_floor = |path: &Path| path.filename().is_some_and(|name| floor_of(name).is_some());
        wanted.extend(floors.filter(is_floor));
        Ok(wanted.into_iter().map(|path| path.to_string()).collect())
    }
}
