//! The log of versions of one series: finding the newest, reading any, adding the next.

mod absorbed;
mod commit;
mod head;
mod schema;

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use minutebook_core::SeriesId;

pub use absorbed::{Absorbed, AbsorbedEarlier, AbsorbedSegment};
pub(crate) use commit::{
    Commit, FORMAT, GroupRef, MAX_DOCUMENT, Segment, TimeColumn, group_from_bytes, group_to_bytes,
};
pub use commit::{Metadata, Operation};
pub(crate) use head::{ANCHOR_STEP, Known, is_anchor};

use crate::error::{Fault, Result};
use crate::layout::{SeriesDir, version_of};
use crate::store::{Put, Storage};

/// The log of one series.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) storage: Storage,
    pub(crate) series: SeriesId,
    pub(crate) dir: SeriesDir,
}

impl Log {
    pub(crate) fn new(storage: &Storage, series: &SeriesId) -> Self {
        Self {
            storage: storage.clone(),
            series: series.clone(),
            dir: SeriesDir::new(series),
        }
    }

    /// One version, or `None` if it is not kept.
    pub(crate) async fn read(&self, version: u64) -> Result<Option<Arc<Commit>>> {
        let path = self.dir.version(version);
        match self.storage.get(&path, MAX_DOCUMENT).await? {
            Some(bytes) => Commit::from_bytes(&bytes, &path, &self.series, version).map(Some),
            None => Ok(None),
        }
    }

    /// Adds a version, if its number is free. `follows_ours` tells that the version before is this process's own and so
    /// as durable as this one will be.
    pub(crate) async fn add(&self, commit: &Commit, follows_ours: bool) -> Result<Put> {
        let path = self.dir.version(commit.version);
        let bytes = commit.to_bytes()?;
        // Its id is in no other commit.
        let put = self.storage.create_own(&path, bytes, !follows_ours).await?;
        if put == Put::Created && commit.version.is_multiple_of(ANCHOR_STEP) {
            self.leave_hint(commit.version).await;
        }
        Ok(put)
    }

    /// Leaves a hint for who opens the series later. Without it they list the log.
    async fn leave_hint(&self, version: u64) {
        let text = format!("{{\"version\":{version}}}\n");
        if let Err(error) = self
            .storage
            .overwrite(&self.dir.hint(), Bytes::from(text))
            .await
        {
            tracing::debug!(series = %self.series, %error, "no hint to the newest version");
        }
    }

    /// The versions that are kept, ascending.
    pub(crate) async fn versions(&self) -> Result<Vec<u64>> {
        let listed = self.storage.list(&self.dir.log()).await?;
        let mut versions: Vec<u64> = listed
            .iter()
            .filter_map(|object| version_of(object.location.filename()?))
            .collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// The version that was the newest at an instant, by the times of the commits.
    pub(crate) async fn as_of(
        &self,
        newest: &Arc<Commit>,
        time: DateTime<Utc>,
    ) -> Result<Arc<Commit>> {
        if newest.committed_at <= time {
            return Ok(Arc::clone(newest));
        }
        // Times never descend, and what is not kept is older than what is: so both answer "not after" up to one point.
        let (mut low, mut high) = (newest.oldest.saturating_sub(1), newest.version);
        let mut found = None;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.read(middle).await? {
                Some(commit) if commit.committed_at > time => high = middle,
                read => (low, found) = (middle, read),
            }
        }
        found.ok_or_else(|| {
            let time = minutebook_core::time::format_timestamp(time);
            Fault::NoVersion(format!(
                "the version that was current at {time} is not kept"
            ))
        })
    }

    /// The segments of a group.
    pub(crate) async fn group(&self, group: &GroupRef) -> Result<Vec<Segment>> {
        let path = self.dir.group(&group.file);
        let bytes = self.storage.get(&path, MAX_DOCUMENT).await?;
        let bytes = bytes.ok_or_else(|| Fault::Vanished {
            path: path.to_string(),
        })?;
        group_from_bytes(&bytes, &path, group)
    }
}
