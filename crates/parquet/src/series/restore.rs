//! Making an earlier version the newest.

use minutebook_core::{SeriesId, Snapshot, Version};

use super::draft::Group;
use super::write::{ATTEMPTS, Committed, Patience};
use super::{Inner, ParquetTimeSeriesRepository};
use crate::error::{Fault, Result};
use crate::log::{Commit, Log, Metadata, Operation};

impl ParquetTimeSeriesRepository {
    /// Makes rows, columns, key, metadata and marks as they were in an earlier version, by a new version that names the same files. What came
    /// between stays readable. The version as it is if nothing changes.
    ///
    /// # Errors
    /// [`NotFound`](minutebook_core::ErrorKind::NotFound) if the series is not there or the version is not kept.
    pub async fn restore(
        &self,
        series: &SeriesId,
        snapshot: Snapshot,
        note: &Metadata,
    ) -> minutebook_core::Result<Version> {
        let restored = self.inner.restore(series, snapshot, note).await;
        restored.map_err(|fault| fault.told("restore", series))
    }
}

impl Inner {
    async fn restore(
        &self,
        series: &SeriesId,
        snapshot: Snapshot,
        note: &Metadata,
    ) -> Result<Version> {
        let log = self.log(series);
        let turn = self.state().entry(series.clone()).or_default().turn.clone();
        let _turn = turn.lock().await;
        if self.current(&log).await?.is_none() {
            return Err(Fault::NoSeries);
        }
        let wanted = self.snapshot(&log, snapshot).await?;
        // A vacuum takes files away that only old versions name.
        let pin = self.pin_passing(&wanted).await?;
        let restored = self.restore_pinned(&log, &wanted, note).await;
        self.unpin(pin).await;
        restored
    }

    async fn restore_pinned(&self, log: &Log, wanted: &Commit, note: &Metadata) -> Result<Version> {
        let mut patience = Patience::default();
        for _ in 0..ATTEMPTS {
            let mut draft = self.draft(log).await?;
            let Some(base) = draft.base.as_ref().filter(|known| !known.commit.deleted) else {
                return Err(Fault::NoSeries);
            };
            if same(&base.commit, wanted) {
                return Ok(Version(base.commit.version));
            }
            draft.schema = std::sync::Arc::clone(&wanted.schema);
            draft.groups = wanted.groups.iter().cloned().map(Group::Kept).collect();
            draft.segments.clone_from(&wanted.segments);
            draft.metadata.clone_from(&wanted.metadata);
            draft.complete.clone_from(&wanted.complete);
            draft.adopted.clone_from(&wanted.adopted);
            // Its rows keep to its own key, not to one that was declared later.
            draft.key.clone_from(&wanted.key);
            draft.note.clone_from(note);
            let version = Version(draft.version());
            match self.commit(log, draft, Operation::Restore).await? {
                Committed::Done => return Ok(version),
                missed => patience.again(missed)?,
            }
        }
        Err(Fault::Conflict { attempts: ATTEMPTS })
    }
}

/// Whether two versions say the same of the series.
fn same(a: &Commit, b: &Commit) -> bool {
    a.schema == b.schema
        && a.groups == b.groups
        && a.segments == b.segments
        && a.metadata == b.metadata
        && a.complete == b.complete
        && a.adopted == b.adopted
        && a.key == b.key
}
