//! The versions of a series, for people who look at its history.

use chrono::{DateTime, Utc};
use minutebook_core::{SeriesId, Version};

use super::{Inner, ParquetTimeSeriesRepository};
use crate::error::Result;
use crate::log::{Metadata, Operation};

/// One version of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionInfo {
    /// Its number.
    pub version: Version,
    /// When it was committed, by the committing process's clock; never before the version before it.
    pub committed_at: DateTime<Utc>,
    /// What made it.
    pub operation: Operation,
    /// Rows that it has.
    pub rows: u64,
    /// Bytes of its files of rows.
    pub bytes: u64,
    /// How many files of rows it has.
    pub segments: u64,
    /// What the writer said of the commit.
    pub note: Metadata,
}

impl ParquetTimeSeriesRepository {
    /// The versions that are kept, the oldest first. A series that is not there has none.
    ///
    /// # Errors
    /// [`Corrupt`](minutebook_core::ErrorKind::Corrupt) naming the entry of the log that is damaged.
    pub async fn versions(&self, series: &SeriesId) -> minutebook_core::Result<Vec<VersionInfo>> {
        let found = self.inner.versions(series).await;
        found.map_err(|fault| fault.told("versions", series))
    }
}

impl Inner {
    async fn versions(&self, series: &SeriesId) -> Result<Vec<VersionInfo>> {
        let log = self.log(series);
        let mut found = Vec::new();
        for version in log.versions().await? {
            if let Some(commit) = log.read(version).await? {
                found.push(VersionInfo {
                    version: Version(version),
                    committed_at: commit.committed_at,
                    operation: commit.operation,
                    rows: commit.rows,
                    bytes: commit.bytes,
                    segments: commit
                        .groups
                        .iter()
                        .map(|group| group.segments)
                        .sum::<u64>()
                        + commit.segments.len() as u64,
                    note: commit.note.clone(),
                });
            }
        }
        Ok(found)
    }
}
