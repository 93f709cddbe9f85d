//! Adding rows: as new segments, into which small ones before them are merged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use minutebook_core::series::batch::{align, merge_schemas};
use object_store::path::Path;

use super::draft::Draft;
use super::{Inner, rows};
use crate::config::ParquetConfig;
use crate::error::Result;
use crate::layout::written_for;
use crate::log::{Log, Segment};

/// The batch's own segments from an attempt that lost a race, to be named by the next.
#[derive(Debug, Default)]
pub(super) struct Reuse {
    segments: Vec<Segment>,
    schema: Option<SchemaRef>,
    written: Option<Instant>,
}

impl Draft {
    /// Takes in the columns of a batch, and gives the batch with those of the series.
    pub(super) fn widen(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        // A series that only had its key declared takes its columns from its first rows.
        let bare = self.groups.is_empty()
            && self.segments.is_empty()
            && self.schema.fields().len() == 1
            && self.key.is_some();
        self.schema = if self.exists() && !bare {
            let merged = merge_schemas(&self.schema, &batch.schema())?;
            if merged.as_ref() == self.schema.as_ref() {
                Arc::clone(&self.schema)
            } else {
                merged
            }
        } else {
            rows::first_schema(batch)
        };
        Ok(align(batch, &self.schema)?)
    }

    /// Adds rows that are in order of time and have the schema of the series.
    ///
    /// The first attempt merges small segments; later ones, in a race with other writers, only add, and name again what an
    /// attempt before has written, where the rows are the same each time (`reuse`).
    pub(super) async fn add(
        &mut self,
        inner: &Inner,
        log: &Log,
        batch: RecordBatch,
        attempt: usize,
        reuse: Option<&mut Reuse>,
    ) -> Result<()> {
        let count = match attempt {
            0 => mergeable(&self.segments, &batch, &inner.config),
            _ => 0,
        };
        if count > 0 {
            let tail = self.segments.split_off(self.segments.len() - count);
            let mut batches = Vec::new();
            for segment in &tail {
                batches.extend(self.read_rows(inner, log, segment).await?);
            }
            batches.push(batch);
            let merged = self.write_joined(inner, log, batches).await?;
            self.segments.extend(merged);
            return Ok(());
        }
        let Some(reuse) = reuse else {
            let added = self.write_rows(inner, log, batch).await?;
            self.segments.extend(added);
            return Ok(());
        };
        if reuse.schema.as_ref() != Some(&self.schema) || !self.may_name(reuse) {
            self.written.extend(reuse.paths(log));
            let (kept, began) = (self.written.len(), Instant::now());
            let added = self.write_rows(inner, log, batch).await?;
            // Not garbage if this attempt loses: the next names them.
            self.written.truncate(kept);
            *reuse = Reuse {
                segments: added,
                schema: Some(Arc::clone(&self.schema)),
                written: Some(began),
            };
        }
        self.segments.extend(reuse.segments.iter().cloned());
        Ok(())
    }
}

impl Draft {
    /// Whether the files are from after the last deletion of the series, which removed those from before.
    fn may_name(&self, reuse: &Reuse) -> bool {
        let base = self.base.as_ref().filter(|known| !known.commit.deleted);
        base.is_some_and(|known| {
            let written = reuse
                .segments
                .iter()
                .map(|segment| written_for(&segment.file));
            written
                .into_iter()
                .all(|version| version >= Some(known.commit.oldest))
        })
    }
}

impl Reuse {
    /// How long ago the files were begun.
    pub(super) fn age(&self) -> Duration {
        self.written
            .map_or(Duration::ZERO, |written| written.elapsed())
    }

    /// The files, which are garbage if no attempt succeeds.
    pub(super) fn paths(&self, log: &Log) -> Vec<Path> {
        self.segments
            .iter()
            .map(|segment| log.dir.data(&segment.file))
            .collect()
    }
}

/// A merged segment is at least so many times as long as any that goes into it.
const GROWTH: u64 = 4;

/// How many segments at the end are merged with a batch.
///
/// Those that are together no larger than the floor, which cost no more to write again than one page; else as many as make a segment
/// at least [`GROWTH`] times as long as each of them. So a row is written again at most once each time its segment has grown so much, most appends
/// write nothing again, and a series has at most three small segments of each size.
pub(super) fn mergeable(
    segments: &[Segment],
    batch: &RecordBatch,
    config: &ParquetConfig,
) -> usize {
    let target = config.target_segment_rows as u64;
    let mut rows = batch.num_rows() as u64;
    let (mut longest, mut count) = (0, 0);
    for (at, segment) in segments.iter().rev().enumerate() {
        let live = segment.live_rows();
        rows += live;
        if rows > target || segment.bytes >= config.target_segment_bytes {
            break;
        }
        longest = longest.max(live);
        if rows >= GROWTH * longest || rows <= config.merge_floor_rows {
            count = at + 1;
        }
    }
    count
}
