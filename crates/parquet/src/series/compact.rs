//! Compaction: few well-filled segments in order of time, the rows the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use minutebook_core::time::from_nanos;
use minutebook_core::{Direction, SeriesId, Take, Version};
use object_store::path::Path;

use super::draft::{Draft, Group};
use super::pack::{Item, items};
use super::stream::{self, Shape};
use super::write::{ATTEMPTS, Committed, Patience};
use super::{Inner, ParquetTimeSeriesRepository, plan, rows};
use crate::error::{Fault, Result};
use crate::layout::written_for;
use crate::log::{Log, Operation, Segment};

/// A commit rewrites no more rows than about this, so that a long compaction advances step by step.
const ROWS_AT_ONCE: u64 = 16 << 20;

/// Why segments are written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompactionReason {
    /// They are small and follow each other.
    Small,
    /// Their times overlap, so that every read has to merge them.
    Overlapping,
    /// A fifth or more of the rows were deleted or replaced.
    DeadRows,
}

impl std::fmt::Display for CompactionReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Small => "small",
            Self::Overlapping => "overlapping",
            Self::DeadRows => "dead rows",
        })
    }
}

/// Segments that are written anew together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactionStep {
    /// Why.
    pub reason: CompactionReason,
    /// The files.
    pub files: Vec<String>,
    /// Their rows that count.
    pub rows: u64,
    /// Their rows that do not count any more.
    pub dead_rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first time in them.
    pub first: DateTime<Utc>,
    /// The last time in them.
    pub last: DateTime<Utc>,
    /// How many files they become.
    pub into: u64,
}

/// What a compaction would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CompactionPlan {
    /// The version that was planned upon.
    pub version: Version,
    /// Files of rows that it has.
    pub segments: u64,
    /// What is written anew, in order of time. Nothing if the series is compact.
    pub steps: Vec<CompactionStep>,
}

impl CompactionPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Files of rows that there are afterwards.
    pub fn segments_after(&self) -> u64 {
        let gone: u64 = self.steps.iter().map(|step| step.files.len() as u64).sum();
        let made: u64 = self.steps.iter().map(|step| step.into).sum();
        self.segments - gone + made
    }
}

/// What a compaction did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CompactionReport {
    /// The newest version; that of before if there was nothing to do.
    pub version: Version,
    /// What was written anew.
    pub steps: Vec<CompactionStep>,
    /// Files of rows before.
    pub segments_before: u64,
    /// Files of rows now.
    pub segments_after: u64,
    /// Bytes of these files before.
    pub bytes_before: u64,
    /// Bytes of these files now.
    pub bytes_after: u64,
}

impl ParquetTimeSeriesRepository {
    /// Says what [`compact`](Self::compact) would do, and why. Reads the log alone.
    ///
    /// # Errors
    /// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such series.
    pub async fn plan_compaction(
        &self,
        series: &SeriesId,
    ) -> minutebook_core::Result<CompactionPlan> {
        let planned = self.inner.plan_compaction(series).await;
        self.inner
            .explained(series, "plan a compaction", planned)
            .await
    }

    /// Writes small, overlapping and hollowed segments anew as few full ones in order of time. Rows, their order, versions and everything else
    /// stay as they are; a second run changes nothing. Writers and readers go on meanwhile. The files of before stay as long as versions name
    /// them: [`vacuum`](Self::vacuum) takes them away.
    ///
    /// A segment of the target size is in memory at a time.
    ///
    /// # Errors
    /// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such series;
    /// [`Conflict`](minutebook_core::ErrorKind::Conflict) if other writers are always first;
    /// [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if a segment cannot be read, and nothing changes.
    pub async fn compact(&self, series: &SeriesId) -> minutebook_core::Result<CompactionReport> {
        let done = self.inner.compact(series).await;
        self.inner.explained(series, "compact", done).await
    }
}

/// What was written in attempts that lost, by what it was written from.
struct Written {
    segments: HashMap<Vec<Segment>, Vec<Segment>>,
    schema: SchemaRef,
    since: Instant,
}

impl Written {
    fn paths(&self, log: &Log) -> Vec<Path> {
        let made = self.segments.values().flatten();
        made.map(|segment| log.dir.data(&segment.file)).collect()
    }

    /// Whether the files may be named by a version upon the draft's base.
    fn serves(&self, draft: &Draft, patience: Duration) -> bool {
        let oldest = draft.base.as_ref().map(|known| known.commit.oldest);
        let made = self.segments.values().flatten();
        let mut versions = made.map(|segment| written_for(&segment.file));
        self.schema == draft.schema
            && self.since.elapsed() < patience / 2
            && versions.all(|version| version >= oldest)
    }
}

impl Inner {
    async fn plan_compaction(&self, series: &SeriesId) -> Result<CompactionPlan> {
        let log = self.log(series);
        let commit = self.current(&log).await?.ok_or(Fault::NoSeries)?;
        let all = (i64::MIN, None);
        let segments = self.overlapping(&log, &commit, all, Take::All).await?;
        Ok(CompactionPlan {
            version: Version(commit.version),
            segments: segments.len() as u64,
            steps: items(segments, &self.config)
                .iter()
                .filter_map(|item| self.step(item))
                .collect(),
        })
    }

    fn step(&self, item: &Item) -> Option<CompactionStep> {
        let Item::Pack(reason, segments) = item else {
            return None;
        };
        let rows = segments.iter().map(Segment::live_rows).sum::<u64>();
        Some(CompactionStep {
            reason: *reason,
            files: segments
                .iter()
                .map(|segment| segment.file.clone())
                .collect(),
            rows,
            dead_rows: segments.iter().map(|s| s.rows).sum::<u64>() - rows,
            bytes: segments.iter().map(|segment| segment.bytes).sum(),
            first: from_nanos(segments.iter().map(|segment| segment.min).min()?),
            last: from_nanos(segments.iter().map(|segment| segment.max).max()?),
            into: rows.div_ceil(self.config.target_segment_rows.max(1) as u64),
        })
    }

    async fn compact(&self, series: &SeriesId) -> Result<CompactionReport> {
        let log = self.log(series);
        let mut report: Option<CompactionReport> = None;
        let mut written: Option<Written> = None;
        let (mut patience, mut attempts) = (Patience::default(), 0);
        while attempts < ATTEMPTS {
            let round = self.compact_once(&log, &mut written, &mut report).await;
            match round {
                Ok(Some(Committed::Done)) => {
                    (patience, attempts) = (Patience::default(), 0);
                }
                Ok(Some(missed)) => {
                    attempts += 1;
                    if let Err(fault) = patience.again(missed) {
                        self.abandon(&log, written).await;
                        return Err(fault);
                    }
                }
                Ok(None) => {
                    self.abandon(&log, written).await;
                    return Ok(report.unwrap_or_default());
                }
                Err(fault) if patience.forgives(&fault) => attempts += 1,
                Err(fault) => {
                    self.abandon(&log, written).await;
                    return Err(fault);
                }
            }
        }
        self.abandon(&log, written).await;
        Err(Fault::Conflict { attempts: ATTEMPTS })
    }

    async fn abandon(&self, log: &Log, written: Option<Written>) {
        if let Some(written) = written {
            self.discard(written.paths(log)).await;
        }
    }

    /// Compacts so much as one commit may; `None` if there is nothing to do.
    async fn compact_once(
        &self,
        log: &Log,
        written: &mut Option<Written>,
        report: &mut Option<CompactionReport>,
    ) -> Result<Option<Committed>> {
        // Other writers of this process go on meanwhile: what they add is taken in by another attempt.
        let mut draft = self.draft(log).await?;
        if !draft.exists() {
            return Err(Fault::NoSeries);
        }
        if let Some(stale) = written.take_if(|written| !written.serves(&draft, self.patience())) {
            self.discard(stale.paths(log)).await;
        }
        let mut segments = Vec::new();
        for group in std::mem::take(&mut draft.groups) {
            if let Group::Kept(reference) = group {
                segments.extend(self.group(log, &reference).await?.iter().cloned());
            }
        }
        segments.append(&mut draft.segments);
        let before = (
            segments.len() as u64,
            segments.iter().map(|s| s.bytes).sum(),
        );
        let report = report.get_or_insert_with(|| CompactionReport {
            segments_before: before.0,
            bytes_before: before.1,
            ..CompactionReport::default()
        });
        report.version = Version(draft.base_version());
        (report.segments_after, report.bytes_after) = before;
        let cache = written.get_or_insert_with(|| Written {
            segments: HashMap::new(),
            schema: Arc::clone(&draft.schema),
            since: Instant::now(),
        });
        let (mut steps, mut packed) = (Vec::new(), 0);
        let mut used = Vec::new();
        for item in items(segments, &self.config) {
            let step = self.step(&item);
            match item {
                Item::Keep(segment) => draft.segments.push(segment),
                Item::Pack(_, inputs) if packed >= ROWS_AT_ONCE => draft.segments.extend(inputs),
                Item::Pack(_, inputs) => {
                    packed += inputs.iter().map(Segment::live_rows).sum::<u64>();
                    if !cache.segments.contains_key(&inputs) {
                        let kept = draft.written.len();
                        let made = self.packed(log, &mut draft, &inputs).await;
                        match made {
                            Ok(made) => {
                                // Not garbage if this attempt loses: the next names them.
                                draft.written.truncate(kept);
                                cache.segments.insert(inputs.clone(), made);
                            }
                            Err(fault) => {
                                self.discard(std::mem::take(&mut draft.written)).await;
                                return Err(fault);
                            }
                        }
                    }
                    if let Some(made) = cache.segments.get(&inputs) {
                        draft.segments.extend(made.iter().cloned());
                    }
                    used.push(inputs);
                    steps.extend(step);
                }
            }
        }
        if steps.is_empty() {
            return Ok(None);
        }
        let after = (
            draft.segments.len() as u64,
            draft.segments.iter().map(|segment| segment.bytes).sum(),
        );
        let version = Version(draft.version());
        let turn = self
            .state()
            .entry(log.series.clone())
            .or_default()
            .turn
            .clone();
        let _turn = turn.lock().await;
        let committed = self.commit(log, draft, Operation::Compact).await;
        if !matches!(committed, Ok(Committed::Lost | Committed::Late)) {
            // They are named now; or, after an error, perhaps: then they are no garbage either.
            for inputs in &used {
                cache.segments.remove(inputs);
            }
        }
        let committed = committed?;
        if committed == Committed::Done {
            report.version = version;
            (report.segments_after, report.bytes_after) = after;
            report.steps.append(&mut steps);
        }
        Ok(Some(committed))
    }

    /// Writes the rows of these segments as segments of exactly the target size, and one with the rest.
    async fn packed(
        &self,
        log: &Log,
        draft: &mut Draft,
        inputs: &[Segment],
    ) -> Result<Vec<Segment>> {
        let reader = self.segments(log);
        let parts = plan::parts(&reader, inputs.to_vec(), (i64::MIN, None)).await?;
        let shape = Shape {
            reader,
            schema: Arc::clone(&draft.schema),
            columns: None,
            batch_size: 1 << 16,
            read_ahead: self.config.read_ahead,
        };
        let pieces = plan::pieces(parts, Take::All);
        let mut batches = stream::batches(pieces, shape, Direction::OldestFirst);
        let target = self.config.target_segment_rows.max(1);
        let mut made = Vec::new();
        let (mut held, mut count): (Vec<RecordBatch>, usize) = (Vec::new(), 0);
        while let Some(mut batch) = batches.try_next().await? {
            while count + batch.num_rows() >= target {
                let take = target - count;
                held.push(batch.slice(0, take));
                batch = batch.slice(take, batch.num_rows() - take);
                made.extend(self.joined(log, draft, std::mem::take(&mut held)).await?);
                count = 0;
            }
            count += batch.num_rows();
            if batch.num_rows() > 0 {
                held.push(batch);
            }
        }
        if count > 0 {
            made.extend(self.joined(log, draft, held).await?);
        }
        Ok(made)
    }

    async fn joined(
        &self,
        log: &Log,
        draft: &mut Draft,
        batches: Vec<RecordBatch>,
    ) -> Result<Vec<Segment>> {
        let schema = Arc::clone(&draft.schema);
        let joined =
            minutebook_fs::task::blocking(move || rows::joined(&batches, &schema)).await??;
        draft.write_rows(self, log, joined).await
    }
}
