//! Deleting a whole series, and removing versions.
//!
//! A commit marks the series gone, and what it had is removed at once. The deletion's entry stays in the log, and those before it
//! until they are older than the grace period: a writer that began before must find its version's number taken. A crash in between
//! leaves files that `vacuum` removes.

use chrono::TimeDelta;
use minutebook_core::SeriesId;
use object_store::ObjectMeta;

use super::Inner;
use super::write::{ATTEMPTS, Committed, Patience};
use crate::error::{Fault, Result};
use crate::layout::{version_of, written_for};
use crate::log::{Log, Operation, is_anchor};

impl Inner {
    /// Deletes a series, and says how many rows it had.
    pub(super) async fn delete_series(&self, series: &SeriesId) -> Result<u64> {
        let log = self.log(series);
        let turn = self.state().entry(series.clone()).or_default().turn.clone();
        let _turn = turn.lock().await;
        let mut patience = Patience::default();
        for _ in 0..ATTEMPTS {
            let mut draft = self.draft(&log).await?;
            if !draft.exists() {
                return Ok(0);
            }
            let version = draft.version();
            let rows = draft.base.as_ref().map_or(0, |known| known.commit.rows);
            draft.groups.clear();
            draft.segments.clear();
            draft.metadata.clear();
            draft.complete.clear();
            draft.adopted.clear();
            match self.commit(&log, draft, Operation::DeleteSeries).await? {
                Committed::Done => {
                    self.remove_before(&log, version).await?;
                    return Ok(rows);
                }
                missed => patience.again(missed)?,
            }
        }
        Err(Fault::Conflict { attempts: ATTEMPTS })
    }

    /// Removes everything that was written for versions before a deletion.
    async fn remove_before(&self, log: &Log, deletion: u64) -> Result<()> {
        self.settle(&log.dir.log()).await?;
        // Snapshots keep what they name. Who is about to make one sees the floor.
        self.raise_floor(log, deletion).await?;
        let pinned = self.pinned(log).await?;
        // A file for the deletion's own number belongs to a writer that lost against it.
        let old = |file: &str| written_for(file).is_some_and(|version| version <= deletion);
        for dir in [log.dir.data_dir(), log.dir.groups_dir()] {
            let listed = self.storage.list(&dir).await?;
            let old = listed
                .into_iter()
                .filter(|object| object.location.filename().is_some_and(old))
                .filter(|object| !pinned.contains(&object.location));
            let paths = old.map(|object| object.location).collect();
            self.storage.delete_all(paths).await?;
        }
        let versions = self.removable(log, deletion).await?;
        self.remove_versions(log, versions).await
    }

    /// Whether an object is older than the grace period.
    pub(super) fn is_old(&self, object: &ObjectMeta) -> bool {
        let grace = TimeDelta::from_std(self.config.orphan_grace).unwrap_or(TimeDelta::MAX);
        self.config.clock.now() - object.last_modified > grace
    }

    /// The versions before one that may be removed, ascending: those old enough that no writer can be about to take the number again.
    pub(super) async fn removable(&self, log: &Log, before: u64) -> Result<Vec<u64>> {
        let listed = self.storage.list(&log.dir.log()).await?;
        let mut versions: Vec<(u64, bool)> = listed
            .iter()
            .filter_map(|object| {
                Some((
                    version_of(object.location.filename()?)?,
                    self.is_old(object),
                ))
            })
            .filter(|(version, _)| *version < before)
            .collect();
        versions.sort_unstable();
        let old = versions.into_iter().take_while(|(_, old)| *old);
        Ok(old.map(|(version, _)| version).collect())
    }

    /// Removes entries of the log, anchors first: see the search for the newest version.
    pub(super) async fn remove_versions(&self, log: &Log, versions: Vec<u64>) -> Result<()> {
        let (anchors, others): (Vec<u64>, Vec<u64>) = versions
            .into_iter()
            .partition(|version| is_anchor(*version));
        // In order also after a power cut, whatever the configuration says: a gap hides the versions after it.
        let synced = self.synced_storage();
        let storage = synced.as_ref().unwrap_or(&self.storage);
        for anchor in anchors {
            // One by one, each durable before the next: an anchor that is there vouches for the later ones.
            storage.delete_all(vec![log.dir.version(anchor)]).await?;
        }
        let paths = others.into_iter().map(|version| log.dir.version(version));
        storage.delete_in_order(paths.collect()).await?;
        Ok(())
    }
}
