//! Taking over the rows of a segment of another store's log: once, whole, read back before it counts, and written down in the same commit.

use std::sync::Arc;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use futures_util::{Stream, StreamExt};
use minutebook_core::series::batch::{align, checked, merge_schemas};
use minutebook_core::{SeriesId, SeriesSummary, Version};

use super::append::mergeable;
use super::draft::Draft;
use super::snapshot::summary;
use super::write::{ATTEMPTS, Committed, Patience};
use super::{Inner, ParquetTimeSeriesRepository, rows};
use crate::error::{Fault, Result};
use crate::layout::written_for;
use crate::log::{Absorbed, AbsorbedSegment, Log, Operation, Segment};

/// Rows of one file of what is taken over.
const FILE_ROWS: usize = 1 << 19;

/// What became of [`absorb`](ParquetTimeSeriesRepository::absorb).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AbsorbReceipt {
    /// The version that has the rows.
    pub version: Version,
    /// Rows that were added; 0 if they were there already.
    pub rows: u64,
    /// Whether an earlier call had taken the segment over.
    pub already: bool,
}

/// The newest version of a series, with what it says of segments that it took over.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AbsorbedState {
    /// What is known of the version.
    pub summary: SeriesSummary,
    /// Which segments have become rows of it.
    pub absorbed: Absorbed,
    /// How many commits there were since the series began, without those that did nothing but take segments over.
    pub own_commits: u64,
}

impl ParquetTimeSeriesRepository {
    /// The newest version and which segments it has taken over; `None` if there is no such series.
    ///
    /// # Errors
    /// As [`summary`](minutebook_core::TimeSeriesRepository::summary).
    pub async fn absorbed(
        &self,
        series: &SeriesId,
    ) -> minutebook_core::Result<Option<AbsorbedState>> {
        let commit = self.inner.current(&self.inner.log(series)).await;
        let commit = commit.map_err(|fault| fault.told("summary", series))?;
        Ok(commit.map(|commit| {
            let absorbed = commit.absorbed.clone().unwrap_or_default();
            let all = commit.version + 1 - commit.oldest;
            AbsorbedState {
                summary: summary(&commit),
                own_commits: all.saturating_sub(absorbed.commits),
                absorbed,
            }
        }))
    }

    /// Appends the rows of one sealed segment of another store's log, and writes into the same commit that it has them. A segment that is there
    /// already, by log and number, is not added again, whoever else is at it. Rows are appended, so equal ones stay several.
    ///
    /// All files are read back and compared with the rows given before the commit is made. Until then nothing is visible, and a call that was
    /// interrupted can be made again. Files and commit are synced whatever the configuration says, since the segment is going to be removed.
    ///
    /// # Errors
    /// What `batches` gives; [`SchemaMismatch`](minutebook_core::ErrorKind::SchemaMismatch) for a column of another type;
    /// [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if a file does not read back as it was written; as
    /// [`write`](minutebook_core::TimeSeriesRepository::write).
    pub async fn absorb(
        &self,
        series: &SeriesId,
        segment: &AbsorbedSegment,
        batches: impl Stream<Item = minutebook_core::Result<RecordBatch>> + Send + Unpin,
    ) -> minutebook_core::Result<AbsorbReceipt> {
        let synced = self.synced();
        let inner = &synced.as_ref().unwrap_or(self).inner;
        let absorbed = inner.absorb(series, segment, batches).await;
        inner.explained(series, "absorb", absorbed).await
    }
}

/// Files that are written and checked, to be named by a commit.
struct Files {
    segments: Vec<Segment>,
    schema: Option<SchemaRef>,
    rows: u64,
    /// Whether rows of the version before are among them: then they fit upon that version alone.
    merged: bool,
    began: Instant,
}

impl Inner {
    async fn absorb(
        &self,
        series: &SeriesId,
        segment: &AbsorbedSegment,
        batches: impl Stream<Item = minutebook_core::Result<RecordBatch>> + Send + Unpin,
    ) -> Result<AbsorbReceipt> {
        let log = self.log(series);
        let turn = self.state().entry(series.clone()).or_default().turn.clone();
        let _turn = turn.lock().await;
        let mut draft = self.draft(&log).await?;
        if let Some(receipt) = there(&draft, segment)? {
            return Ok(receipt);
        }
        if let Some(key) = &draft.key {
            let text = format!(
                "the series has the key {key}, and these rows may have one twice; take the key back first"
            );
            return Err(Fault::Unsupported { message: text });
        }
        let mut files = Files {
            segments: Vec::new(),
            schema: None,
            rows: 0,
            merged: false,
            began: Instant::now(),
        };
        if let Err(fault) = self.take(&log, &mut draft, &mut files, batches).await {
            self.discard(draft.written).await;
            return Err(fault);
        }
        let mut patience = Patience::default();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                if let Some(done) = there(&draft, segment).transpose() {
                    self.discard(files.paths(&log)).await;
                    return done;
                }
                if draft.key.is_some() {
                    self.discard(files.paths(&log)).await;
                    return Err(Fault::Conflict { attempts: attempt });
                }
                if let Err(fault) = self.name_again(&mut draft, &files) {
                    self.discard(files.paths(&log)).await;
                    return Err(fault);
                }
            }
            // Not garbage if this attempt loses: the next names them.
            draft.written.clear();
            draft.absorbed.get_or_insert_default().add(segment);
            let version = Version(draft.version());
            match self.commit(&log, draft, Operation::Append).await? {
                Committed::Done => {
                    return Ok(AbsorbReceipt {
                        version,
                        rows: files.rows,
                        already: false,
                    });
                }
                missed => patience.again(missed)?,
            }
            draft = self.draft(&log).await?;
        }
        self.discard(files.paths(&log)).await;
        Err(Fault::Conflict { attempts: ATTEMPTS })
    }

    /// Writes the rows, and checks what was written.
    async fn take(
        &self,
        log: &Log,
        draft: &mut Draft,
        files: &mut Files,
        mut batches: impl Stream<Item = minutebook_core::Result<RecordBatch>> + Send + Unpin,
    ) -> Result<()> {
        let limit = FILE_ROWS.min(self.config.target_segment_rows);
        let (mut held, mut count) = (Vec::new(), 0);
        loop {
            let next = batches.next().await.transpose()?;
            let last = next.is_none();
            if let Some(batch) = next {
                count += batch.num_rows();
                files.rows += batch.num_rows() as u64;
                held.push(draft.widen(&checked(batch)?)?);
            }
            if count >= limit || (last && count > 0) {
                let schema = Arc::clone(&draft.schema);
                let mut batch = rows::joined(&std::mem::take(&mut held), &schema)?;
                count = 0;
                if last && files.segments.is_empty() {
                    batch = self.merged(log, draft, files, batch).await?;
                }
                self.put(log, draft, files, batch).await?;
            }
            if last {
                break;
            }
        }
        files.schema = Some(Arc::clone(&draft.schema));
        draft.segments.extend(files.segments.iter().cloned());
        Ok(())
    }

    /// A few rows with those of the small segments before them, as for an append: many short segments do not become many short files.
    async fn merged(
        &self,
        log: &Log,
        draft: &mut Draft,
        files: &mut Files,
        batch: RecordBatch,
    ) -> Result<RecordBatch> {
        let count = mergeable(&draft.segments, &batch, &self.config);
        if count == 0 {
            return Ok(batch);
        }
        files.merged = true;
        let tail = draft.segments.split_off(draft.segments.len() - count);
        let mut batches = Vec::new();
        for segment in &tail {
            batches.extend(draft.read_rows(self, log, segment).await?);
        }
        batches.push(batch);
        rows::joined(&batches, &draft.schema)
    }

    async fn put(
        &self,
        log: &Log,
        draft: &mut Draft,
        files: &mut Files,
        batch: RecordBatch,
    ) -> Result<()> {
        let written = draft.write_rows(self, log, batch.clone()).await?;
        let mut at = 0;
        for segment in &written {
            let read = draft.read_rows(self, log, segment).await?;
            let schema = Arc::clone(&draft.schema);
            let aligned = read.iter().map(|batch| align(batch, &schema));
            let aligned = aligned.collect::<std::result::Result<Vec<_>, _>>()?;
            let read = concat_batches(&schema, &aligned).map_err(|e| {
                Fault::Invalid(format!("the rows read back do not fit together: {e}"))
            })?;
            let len = read.num_rows().min(batch.num_rows() - at);
            if read.columns() != batch.slice(at, len).columns() || read.num_rows() != len {
                let path = log.dir.data(&segment.file);
                return Err(Fault::corrupt(
                    &path,
                    "it does not read back as it was written",
                ));
            }
            at += len;
        }
        if at != batch.num_rows() {
            return Err(Fault::Invalid("not all rows were written".into()));
        }
        files.segments.extend(written);
        Ok(())
    }

    /// Names files again that an attempt before has written.
    fn name_again(&self, draft: &mut Draft, files: &Files) -> Result<()> {
        if files.began.elapsed() > self.patience() {
            return Err(Fault::Slow(
                "the segment took longer than half the grace period; lengthen it".into(),
            ));
        }
        // Files from before a deletion may be removed by it.
        let oldest = draft.base.as_ref().map_or(0, |known| known.commit.oldest);
        let after = |segment: &Segment| written_for(&segment.file) >= Some(oldest);
        if files.merged || !draft.exists() || !files.segments.iter().all(after) {
            return Err(Fault::Conflict { attempts: 1 });
        }
        if let Some(schema) = &files.schema {
            draft.schema = merge_schemas(&draft.schema, schema)?;
        }
        draft.segments.extend(files.segments.iter().cloned());
        Ok(())
    }
}

impl Files {
    fn paths(&self, log: &Log) -> Vec<object_store::path::Path> {
        let files = self.segments.iter();
        files.map(|segment| log.dir.data(&segment.file)).collect()
    }
}

/// The receipt, if the segment is there already.
fn there(draft: &Draft, segment: &AbsorbedSegment) -> Result<Option<AbsorbReceipt>> {
    let Some(absorbed) = draft.absorbed.as_ref() else {
        return Ok(None);
    };
    if !absorbed.has(&segment.source, segment.number) {
        return Ok(None);
    }
    let same = |last: &AbsorbedSegment| {
        last.source != segment.source || last.number != segment.number || last == segment
    };
    if !absorbed.last.as_ref().is_none_or(same) {
        return Err(Fault::Invalid(format!(
            "segment {} was taken over with other lines",
            segment.number
        )));
    }
    Ok(Some(AbsorbReceipt {
        version: Version(draft.base_version()),
        rows: 0,
        already: true,
    }))
}
