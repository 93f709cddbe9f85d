//! The next version while it is being made.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use minutebook_core::SeriesKey;
use minutebook_core::series::batch::timestamp_field;
use minutebook_fs::task;
use object_store::path::Path;

use super::{Inner, rows};
use crate::codec;
use crate::error::Result;
use crate::layout::file_name;
use crate::log::{
    Absorbed, Commit, GroupRef, Known, Log, Metadata, Operation, Segment, group_to_bytes,
};

/// Segments that are moved to a group at once.
const GROUP: usize = 64;
/// So many of the newest segments a commit may name itself beside those.
const NAMED: usize = 16;
/// So many small groups that follow each other become a large one ...
const SMALL_GROUPS: usize = 16;
/// ... of so many segments. So a commit refers to some thirty groups where a series has ten thousand segments.
const LARGE_GROUP: usize = GROUP * SMALL_GROUPS;

/// So many segments of one write are encoded at the same time.
const SEGMENTS_AT_ONCE: usize = 2;

/// A version in the making: what the one before consists of, and the changes so far.
pub(super) struct Draft {
    pub(super) base: Option<Known>,
    /// When the version before was looked at.
    pub(super) began: Instant,
    pub(super) schema: SchemaRef,
    pub(super) groups: Vec<Group>,
    pub(super) segments: Vec<Segment>,
    pub(super) metadata: Metadata,
    /// What the writer says of this commit.
    pub(super) note: Metadata,
    /// Ranges in which nothing is missing.
    pub(super) complete: Vec<(i64, i64)>,
    /// Kept by every version, until the series is deleted.
    pub(super) absorbed: Option<Absorbed>,
    /// Files that were adopted, by how their digests begin.
    pub(super) adopted: Vec<String>,
    /// What tells rows apart, if that was declared.
    pub(super) key: Option<SeriesKey>,
    /// Files written for this version; garbage if it is not committed.
    pub(super) written: Vec<Path>,
}

/// A group as the log has it, or its segments after a change.
pub(super) enum Group {
    Kept(GroupRef),
    Changed(Vec<Segment>),
}

impl Draft {
    /// Begins with the newest version; a deleted series begins anew.
    pub(super) fn new(base: Option<Known>, began: Instant) -> Self {
        let live = base.as_ref().filter(|known| !known.commit.deleted);
        let commit = live.map(|known| &known.commit);
        Self {
            schema: commit.map_or_else(
                || Arc::new(Schema::new(vec![timestamp_field()])),
                |commit| Arc::clone(&commit.schema),
            ),
            groups: commit.map_or_else(Vec::new, |c| {
                c.groups.iter().cloned().map(Group::Kept).collect()
            }),
            segments: commit.map_or_else(Vec::new, |c| c.segments.clone()),
            metadata: commit.map_or_else(Metadata::new, |c| c.metadata.clone()),
            note: Metadata::new(),
            complete: commit.map_or_else(Vec::new, |c| c.complete.clone()),
            absorbed: commit.and_then(|c| c.absorbed.clone()),
            adopted: commit.map_or_else(Vec::new, |c| c.adopted.clone()),
            key: commit.and_then(|c| c.key.clone()),
            base,
            began,
            written: Vec::new(),
        }
    }

    /// Whether the series is there.
    pub(super) fn exists(&self) -> bool {
        self.base
            .as_ref()
            .is_some_and(|known| !known.commit.deleted)
    }

    /// Whether no rows are in it.
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
            && self.groups.iter().all(|group| match group {
                Group::Kept(reference) => reference.rows == 0,
                Group::Changed(segments) => segments.is_empty(),
            })
    }

    /// The version before; 0 if there is none.
    pub(super) fn base_version(&self) -> u64 {
        self.base.as_ref().map_or(0, |known| known.commit.version)
    }

    pub(super) fn version(&self) -> u64 {
        self.base_version() + 1
    }

    /// Writes rows, in order of time, as segments of the target size.
    pub(super) async fn write_rows(
        &mut self,
        inner: &Inner,
        log: &Log,
        batch: RecordBatch,
    ) -> Result<Vec<Segment>> {
        let target = inner.config.target_segment_rows.max(1);
        // Equal parts: the last one should not be a splinter.
        let count = batch.num_rows().div_ceil(target).max(1);
        let rows = batch.num_rows().div_ceil(count).max(1);
        let mut options = inner.write_options();
        if count > 1 {
            let (sample, asked) = (batch.slice(0, rows), options.clone());
            let chosen = task::blocking(move || codec::Choices::of(&sample, &asked)).await?;
            options.choices = Some(chosen.map_err(codec::unwritable)?);
        }
        let failed = AtomicBool::new(false);
        let slices = (0..batch.num_rows())
            .step_by(rows)
            .take_while(|_| !failed.load(Ordering::Relaxed))
            .map(|start| batch.slice(start, rows.min(batch.num_rows() - start)));
        let version = self.version();
        // While one segment is being encoded, the one before it is finished and stored.
        let mut stored = pin!(
            stream::iter(slices)
                .map(|slice| inner.put_rows(log, version, slice, options.clone()))
                .buffered(SEGMENTS_AT_ONCE)
        );
        let (mut segments, mut first_fault) = (Vec::with_capacity(count), None);
        while let Some(result) = stored.next().await {
            match result {
                Ok(segment) => {
                    self.written.push(log.dir.data(&segment.file));
                    segments.push(segment);
                }
                // What is under way is waited for, so that its file can be discarded.
                Err(fault) => {
                    failed.store(true, Ordering::Relaxed);
                    first_fault = first_fault.or(Some(fault));
                }
            }
        }
        first_fault.map_or(Ok(segments), Err)
    }

    /// All of a segment's rows that count.
    pub(super) async fn read_rows(
        &self,
        inner: &Inner,
        log: &Log,
        segment: &Segment,
    ) -> Result<Vec<RecordBatch>> {
        let reader = inner.segments(log);
        let wanted = codec::Wanted {
            columns: None,
            rows: codec::without(0..segment.rows, &segment.dead),
            batch_size: 1 << 16,
        };
        reader.rows(segment, wanted).await
    }

    /// Writes rows read back, in the order given, as segments.
    pub(super) async fn write_joined(
        &mut self,
        inner: &Inner,
        log: &Log,
        batches: Vec<RecordBatch>,
    ) -> Result<Vec<Segment>> {
        let schema = Arc::clone(&self.schema);
        let joined = task::blocking(move || rows::joined(&batches, &schema)).await??;
        self.write_rows(inner, log, joined).await
    }

    /// The version as it will be in the log. Groups that changed, and a new one if the commit would get too long, are written.
    pub(super) async fn finish(
        &mut self,
        inner: &Inner,
        log: &Log,
        operation: Operation,
        now: DateTime<Utc>,
    ) -> Result<Commit> {
        let mut groups = Vec::with_capacity(self.groups.len() + 1);
        for group in std::mem::take(&mut self.groups) {
            match group {
                Group::Kept(reference) => groups.push(reference),
                Group::Changed(segments) if segments.is_empty() => {}
                Group::Changed(segments) => {
                    groups.push(self.write_group(inner, log, &segments).await?);
                }
            }
        }
        while self.segments.len() > GROUP + NAMED {
            let count = if self.segments.len() > LARGE_GROUP + NAMED {
                LARGE_GROUP
            } else {
                GROUP
            };
            let oldest: Vec<Segment> = self.segments.drain(..count).collect();
            groups.push(self.write_group(inner, log, &oldest).await?);
        }
        self.join_groups(inner, log, &mut groups).await?;
        let before = self.base.as_ref().map(|known| &known.commit);
        let mut commit = Commit {
            format: Commit::format_of(self.absorbed.as_ref(), self.key.as_ref()),
            version: self.version(),
            id: inner.storage.unique_id(),
            parent: before.map(|commit| commit.id.clone()),
            committed_at: before.map_or(now, |commit| now.max(commit.committed_at)),
            operation,
            series: log.series.clone(),
            note: std::mem::take(&mut self.note),
            metadata: std::mem::take(&mut self.metadata),
            complete: std::mem::take(&mut self.complete),
            deleted: operation == Operation::DeleteSeries,
            // What was before a deletion is gone for good.
            oldest: match before {
                Some(commit) if commit.deleted => self.version(),
                Some(commit) => commit.oldest,
                None => self.version(),
            },
            rows: 0,
            bytes: 0,
            first: None,
            last: None,
            schema: Arc::clone(&self.schema),
            groups,
            segments: std::mem::take(&mut self.segments),
            absorbed: self.absorbed.take(),
            adopted: std::mem::take(&mut self.adopted),
            key: self.key.take(),
        };
        commit.total();
        Ok(commit)
    }

    /// Makes one large group of small ones at the end, if there are enough of them.
    async fn join_groups(
        &mut self,
        inner: &Inner,
        log: &Log,
        groups: &mut Vec<GroupRef>,
    ) -> Result<()> {
        let small = |group: &&GroupRef| group.segments <= 2 * GROUP as u64;
        loop {
            let run = groups.iter().rev().take_while(small).count();
            if run < SMALL_GROUPS {
                return Ok(());
            }
            let start = groups.len() - run;
            let mut segments = Vec::with_capacity(LARGE_GROUP);
            for group in groups.iter().skip(start).take(SMALL_GROUPS) {
                segments.extend(inner.group(log, group).await?.iter().cloned());
            }
            let joined = self.write_group(inner, log, &segments).await?;
            groups.splice(start..start + SMALL_GROUPS, [joined]);
        }
    }

    async fn write_group(
        &mut self,
        inner: &Inner,
        log: &Log,
        segments: &[Segment],
    ) -> Result<GroupRef> {
        let (bytes, mut group) = group_to_bytes(segments)?;
        let version = self.version();
        let name = |unique| {
            let file = file_name(version, unique, "json");
            let path = log.dir.group(&file);
            (file, path)
        };
        group.file = inner.storage.put_unique(name, &bytes).await?;
        self.written.push(log.dir.group(&group.file));
        Ok(group)
    }
}

impl Inner {
    /// Stores rows as one segment under a name of its own.
    async fn put_rows(
        &self,
        log: &Log,
        version: u64,
        rows: RecordBatch,
        options: codec::WriteOptions,
    ) -> Result<Segment> {
        let encoded = task::blocking(move || codec::segment(&rows, &options)).await?;
        let (bytes, mut segment) = encoded?;
        let name = |unique| {
            let file = file_name(version, unique, "parquet");
            let path = log.dir.data(&file);
            (file, path)
        };
        segment.file = self.storage.put_unique(name, &bytes).await?;
        Ok(segment)
    }
}
