//! Going on without what is lost: a version that leaves out files that are damaged or missing, and keeps what can still be read of them.

use arrow_array::RecordBatch;
use minutebook_core::time::format_timestamp;
use minutebook_core::{SeriesId, Version};

use super::back::Fit;
use super::draft::{Draft, Group};
use super::write::{ATTEMPTS, Committed, Patience};
use super::{Inner, ParquetTimeSeriesRepository};
use crate::codec::{Segments, Wanted, have_checksums, without};
use crate::error::{Fault, Result};
use crate::log::{Log, Operation, Segment};

/// A stretch that cannot be read is halved until it has no more rows than this.
const SMALLEST: u64 = 64;

/// What was left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LeftOut {
    /// The version that was committed; that of before if nothing had to be.
    pub version: Version,
    /// Rows that were still readable in damaged files, and are kept.
    pub saved_rows: u64,
    /// Rows that are lost.
    pub lost_rows: u64,
    /// The earlier version whose files the new one names instead: it has the same rows, or nothing was left of the newest one.
    pub went_back_to: Option<Version>,
}

impl ParquetTimeSeriesRepository {
    /// Commits a version without these files (segments or groups, by file name), which are damaged or missing, and with those of their rows
    /// that can still be read and that a checksum vouches for: of a file of another program that has none in its pages no row is saved, since a
    /// value with a flipped bit decodes as well as any. Files that the newest version does not name are no matter. Earlier versions stay as they are.
    ///
    /// If an earlier version has the same rows in files that are whole, since nothing but compactions came between, the new version goes on with those files and nothing is lost. If nothing
    /// at all would be left of the newest version, the rows of the last version of which every file is whole come back, with the columns, key and metadata that it
    /// had; the note of the new version says so.
    ///
    /// # Errors
    /// [`Conflict`](minutebook_core::ErrorKind::Conflict) if other writers are always first;
    /// [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if other files of the series are damaged too.
    pub async fn leave_out(
        &self,
        series: &SeriesId,
        files: &[String],
    ) -> minutebook_core::Result<LeftOut> {
        let done = self.inner.leave_out(series, files).await;
        done.map_err(|fault| fault.told("repair", series))
    }
}

impl Inner {
    async fn leave_out(&self, series: &SeriesId, files: &[String]) -> Result<LeftOut> {
        let log = self.log(series);
        let turn = self.state().entry(series.clone()).or_default().turn.clone();
        let _turn = turn.lock().await;
        let mut patience = Patience::default();
        for _ in 0..ATTEMPTS {
            let mut draft = self.draft(&log).await?;
            let mut report = LeftOut {
                version: Version(draft.base_version()),
                ..LeftOut::default()
            };
            if !draft.exists() {
                return Ok(report);
            }
            let changed = match self.without(&log, &mut draft, files, &mut report).await {
                Ok(changed) => changed,
                Err(fault) => {
                    self.discard(std::mem::take(&mut draft.written)).await;
                    return Err(fault);
                }
            };
            if !changed {
                return Ok(report);
            }
            if report.lost_rows + report.saved_rows > 0 {
                self.go_back(&log, &mut draft, files, &mut report).await?;
            }
            report.version = Version(draft.version());
            match self.commit(&log, draft, Operation::Repair).await? {
                Committed::Done => return Ok(report),
                missed => patience.again(missed)?,
            }
        }
        Err(Fault::Conflict { attempts: ATTEMPTS })
    }

    /// Puts the files of an earlier version into a draft, if that saves more than what the draft has.
    async fn go_back(
        &self,
        log: &Log,
        draft: &mut Draft,
        files: &[String],
        report: &mut LeftOut,
    ) -> Result<()> {
        let Some(newest) = draft.base.as_ref().map(|known| known.commit.clone()) else {
            return Ok(());
        };
        let nothing_left = draft.segments.is_empty()
            && draft.groups.iter().all(|group| match group {
                Group::Kept(reference) => reference.rows == 0,
                Group::Changed(segments) => segments.is_empty(),
            });
        let found = self.way_back(log, &newest, files, nothing_left).await;
        let (earlier, fit) = match found {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(fault) => {
                self.discard(std::mem::take(&mut draft.written)).await;
                return Err(fault);
            }
        };
        self.discard(std::mem::take(&mut draft.written)).await;
        draft.groups = earlier.groups.iter().cloned().map(Group::Kept).collect();
        draft.segments.clone_from(&earlier.segments);
        let which = format!(
            "version {} of {}",
            earlier.version,
            format_timestamp(earlier.committed_at)
        );
        let said = if fit == Fit::SameRows {
            (report.saved_rows, report.lost_rows) = (newest.rows, 0);
            format!("files were damaged; the same rows come from those of {which}")
        } else {
            draft.schema = std::sync::Arc::clone(&earlier.schema);
            draft.metadata.clone_from(&earlier.metadata);
            draft.complete.clone_from(&earlier.complete);
            draft.key.clone_from(&earlier.key);
            format!(
                "nothing of version {} could be read; the rows are those of {which}",
                newest.version
            )
        };
        tracing::warn!(series = %log.series, "{said}");
        draft.note = [("repair".to_owned(), said)].into();
        report.went_back_to = Some(Version(earlier.version));
        Ok(())
    }

    /// Takes the files out of a draft.
    async fn without(
        &self,
        log: &Log,
        draft: &mut Draft,
        files: &[String],
        report: &mut LeftOut,
    ) -> Result<bool> {
        let mut changed = false;
        let mut groups = Vec::new();
        for group in std::mem::take(&mut draft.groups) {
            let segments = match &group {
                Group::Kept(reference) if files.contains(&reference.file) => {
                    report.lost_rows += reference.rows;
                    changed = true;
                    continue;
                }
                Group::Kept(reference) => self.group(log, reference).await?.to_vec(),
                Group::Changed(segments) => segments.clone(),
            };
            if segments.iter().any(|segment| files.contains(&segment.file)) {
                changed = true;
                let left = self.saved(log, draft, segments, files, report).await?;
                groups.push(Group::Changed(left));
            } else {
                groups.push(group);
            }
        }
        draft.groups = groups;
        let segments = std::mem::take(&mut draft.segments);
        changed |= segments.iter().any(|segment| files.contains(&segment.file));
        draft.segments = self.saved(log, draft, segments, files, report).await?;
        Ok(changed)
    }

    /// The segments, with what can be read of damaged ones in their place.
    async fn saved(
        &self,
        log: &Log,
        draft: &mut Draft,
        segments: Vec<Segment>,
        files: &[String],
        report: &mut LeftOut,
    ) -> Result<Vec<Segment>> {
        let mut left = Vec::with_capacity(segments.len());
        for segment in segments {
            if !files.contains(&segment.file) {
                left.push(segment);
                continue;
            }
            let batches = self.readable(log, &segment).await?;
            let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
            report.saved_rows += rows;
            report.lost_rows += segment.live_rows().saturating_sub(rows);
            if rows > 0 {
                left.extend(draft.write_joined(self, log, batches).await?);
            }
        }
        Ok(left)
    }

    /// The rows of a segment that count and can be read, in their order.
    async fn readable(&self, log: &Log, segment: &Segment) -> Result<Vec<RecordBatch>> {
        let reader = self.segments(log);
        if !is_vouched_for(&reader, segment).await? {
            return Ok(Vec::new());
        }
        let mut open = without(0..segment.rows, &segment.dead);
        open.reverse();
        let mut found = Vec::new();
        while let Some(rows) = open.pop() {
            let wanted = Wanted {
                columns: None,
                rows: vec![rows.clone()],
                batch_size: 1 << 16,
            };
            match reader.rows(segment, wanted).await {
                Ok(batches) => found.extend(batches),
                Err(Fault::Corrupt { .. }) if rows.end - rows.start > SMALLEST => {
                    let middle = rows.start + (rows.end - rows.start) / 2;
                    open.push(middle..rows.end);
                    open.push(rows.start..middle);
                }
                Err(Fault::Corrupt { .. }) => {}
                Err(Fault::Vanished { .. }) => return Ok(Vec::new()),
                Err(fault) => return Err(fault),
            }
        }
        Ok(found)
    }
}

/// Whether a file has checksums in its pages; ours have, those of other programs need not. Without, what decodes may be something else than what was written.
async fn is_vouched_for(reader: &Segments, segment: &Segment) -> Result<bool> {
    let path = reader.path(segment);
    let all = 0..segment.bytes;
    let bytes = reader.storage.ranges(&path, std::slice::from_ref(&all));
    let (footer, bytes) = match (reader.footer(segment).await, bytes.await) {
        (Ok(footer), Ok(bytes)) => (footer, bytes),
        // Cut, or its footer is damaged: nothing of it can be read.
        (Err(Fault::Corrupt { .. } | Fault::Vanished { .. }), _)
        | (_, Err(Fault::Corrupt { .. } | Fault::Vanished { .. })) => return Ok(false),
        (Err(fault), _) | (_, Err(fault)) => return Err(fault),
    };
    let file = bytes.first();
    Ok(file.is_some_and(|file| have_checksums(footer.metadata(), file)))
}
