//! What a log of ticks still has of the segments that a series has absorbed.

use async_trait::async_trait;

use super::back::last;
use crate::error::{Fault, Result};
use crate::log::{AbsorbedSegment, Commit};

/// A log of ticks beside a series that [absorbs](super::ParquetTimeSeriesRepository::absorb) its sealed segments. A list of segments is one that has these.
#[async_trait]
pub trait HeldSegments: Send + Sync {
    /// Whether the log still has this very segment, and every line of it can be read.
    ///
    /// # Errors
    /// What keeps the log from knowing: not that the segment, or the log's list of them, is damaged or missing, which makes it `false`.
    async fn holds(&self, segment: &AbsorbedSegment) -> minutebook_core::Result<bool>;
}

#[async_trait]
impl<const N: usize> HeldSegments for [AbsorbedSegment; N] {
    async fn holds(&self, segment: &AbsorbedSegment) -> minutebook_core::Result<bool> {
        Ok(self.contains(segment))
    }
}

/// No log.
pub(super) const NONE: [AbsorbedSegment; 0] = [];

/// The segment that a version has absorbed last, if its log still has it.
pub(super) async fn held(
    commit: &Commit,
    log: &dyn HeldSegments,
) -> Result<Option<AbsorbedSegment>> {
    // One that is in doubt is none that a log has.
    let Some(last) = last(commit).filter(|last| !last.digest.is_empty()) else {
        return Ok(None);
    };
    let holds = log.holds(last).await.map_err(Fault::Core)?;
    Ok(holds.then(|| last.clone()))
}
