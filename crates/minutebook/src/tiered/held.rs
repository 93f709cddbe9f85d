//! Which segment of the tick files is still there whole, though Parquet has taken it over.

use async_trait::async_trait;
use minutebook_jsonl::JsonlTimeSeriesRepository;
use minutebook_parquet::{AbsorbedSegment, HeldSegments};

use crate::lazy::Lazy;
use crate::{Result, SeriesId};

/// The tick files of a series, as a check and a repair of its Parquet files ask them.
pub(crate) struct Held<'a> {
    pub(crate) log: &'a Lazy<JsonlTimeSeriesRepository>,
    pub(crate) series: &'a SeriesId,
}

#[async_trait]
impl HeldSegments for Held<'_> {
    async fn holds(&self, segment: &AbsorbedSegment) -> Result<bool> {
        let Some(log) = self.log.existing()? else {
            return Ok(false);
        };
        if !matches!(self.series, SeriesId::Ticks { .. }) {
            return Ok(false);
        }
        let AbsorbedSegment {
            source,
            number,
            digest,
            ..
        } = segment;
        log.is_segment_whole(self.series, source, *number, digest)
            .await
    }
}
