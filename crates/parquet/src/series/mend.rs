//! Going on without what is lost: a version that leaves out files that are damaged or missing, and keeps what can still be read of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use minutebook_core::time::format_timestamp;
use minutebook_core::{SeriesId, Version};
use object_store::path::Path;

use super::back::Fit;
use super::draft::{Draft, Group};
use super::write::{ATTEMPTS, Committed, Patience};
use super::{Inner, ParquetTimeSeriesRepository};
use crate::codec::{Segments, Wanted, has_checksums, without};
use crate::error::{Fault, Result};
use crate::log::{AbsorbedSegment, Commit, Log, Operation, Segment};

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
        self.leave_out_beside(series, files, &[]).await
    }

    /// As [`leave_out`](Self::leave_out), beside a log of ticks that still has these sealed segments. If the one that was
    /// [absorbed](Self::absorb) last is among them, the version goes back to before that where nothing else changed rows since: the segment
    /// counts as one that was not taken over, and its rows are read from the log again.
    ///
    /// # Errors
    /// As [`leave_out`](Self::leave_out).
    pub async fn leave_out_beside(
        &self,
        series: &SeriesId,
        files: &[String],
        held: &[AbsorbedSegment],
    ) -> minutebook_core::Result<LeftOut> {
        let done = self.inner.leave_out(series, files, held).await;
        done.map_err(|fault| fault.told("repair", series))
    }
}

/// What is mended, and what is known by now of files that an attempt before has looked at.
struct Work<'a> {
    files: &'a [String],
    held: &'a [AbsorbedSegment],
    whole: HashMap<String, bool>,
}

/// What an attempt comes to.
enum Mended {
    /// Nothing has to be done.
    Nothing,
    /// A version to commit, and what holds the version whose files it names.
    Draft(Box<Draft>, LeftOut, Option<Path>),
    /// Another writer committed meanwhile.
    Outdated,
}

/// An earlier version to go back to, with what keeps a vacuum from its files.
struct Back {
    commit: Arc<Commit>,
    fit: Fit,
    pin: Path,
}

impl Inner {
    async fn leave_out(
        &self,
        series: &SeriesId,
        files: &[String],
        held: &[AbsorbedSegment],
    ) -> Result<LeftOut> {
        let log = self.log(series);
        let turn = self.state().entry(series.clone()).or_default().turn.clone();
        let _turn = turn.lock().await;
        let mut work = Work {
            files,
            held,
            whole: files.iter().map(|file| (file.clone(), false)).collect(),
        };
        let mut patience = Patience::default();
        for _ in 0..ATTEMPTS {
            let base = self.draft(&log).await?;
            let Some(newest) = base.base.filter(|known| !known.commit.deleted) else {
                return Ok(LeftOut::default());
            };
            let newest = newest.commit;
            let (draft, mut report, pin) = match self.mended(&log, &newest, &mut work).await? {
                Mended::Draft(draft, report, pin) => (draft, report, pin),
                Mended::Outdated => continue,
                Mended::Nothing => {
                    return Ok(LeftOut {
                        version: Version(newest.version),
                        ..LeftOut::default()
                    });
                }
            };
            report.version = Version(draft.version());
            let committed = self.commit(&log, *draft, Operation::Repair).await;
            if let Some(pin) = pin {
                self.unpin(pin).await;
            }
            match committed? {
                Committed::Done => {
                    if let Some(version) = report.went_back_to {
                        let series = &log.series;
                        tracing::warn!(%series, version = version.0, "files were damaged; the series went back");
                    }
                    return Ok(report);
                }
                missed => patience.again(missed)?,
            }
        }
        Err(Fault::Conflict { attempts: ATTEMPTS })
    }

    async fn mended(&self, log: &Log, newest: &Arc<Commit>, work: &mut Work<'_>) -> Result<Mended> {
        if !self.names_any(log, newest, work.files).await? {
            return Ok(Mended::Nothing);
        }
        // Looking for a way back reads whole files, and takes as long as that takes: what is written is written after it.
        if let Some(back) = self.back(log, newest, work, false).await? {
            return self.going_back(log, newest, back).await;
        }
        let Some(mut draft) = self.upon(log, newest).await? else {
            return Ok(Mended::Outdated);
        };
        let mut report = LeftOut::default();
        if let Err(fault) = self.without(log, &mut draft, work.files, &mut report).await {
            self.discard(std::mem::take(&mut draft.written)).await;
            return Err(fault);
        }
        if report.lost_rows > 0 {
            // Who has the files still may adopt them again.
            draft.adopted.clear();
        }
        if draft.is_empty() {
            if let Some(back) = self.back(log, newest, work, true).await? {
                return self.going_back(log, newest, back).await;
            }
            // None of its rows are here any more: where the log still has them, they are read there.
            if let Some(absorbed) = &mut draft.absorbed {
                absorbed.forget_last();
            }
        } else if report.lost_rows > 0
            && let Some(absorbed) = &mut draft.absorbed
        {
            absorbed.doubt_last();
        }
        Ok(Mended::Draft(Box::new(draft), report, None))
    }

    /// A draft upon this version, or `None` if it is not the newest any more.
    async fn upon(&self, log: &Log, newest: &Commit) -> Result<Option<Draft>> {
        let draft = self.draft(log).await?;
        let same = |known: &crate::log::Known| known.commit.id == newest.id;
        Ok(draft.base.as_ref().is_some_and(same).then_some(draft))
    }

    /// The version to go back to. From here on a vacuum leaves its files where they are.
    async fn back(
        &self,
        log: &Log,
        newest: &Commit,
        work: &mut Work<'_>,
        any: bool,
    ) -> Result<Option<Back>> {
        let found = self.way_back(log, newest, work.held, &mut work.whole, any);
        let Some((commit, fit)) = found.await? else {
            return Ok(None);
        };
        match self.pin_passing(&commit).await {
            Ok(pin) => Ok(Some(Back { commit, fit, pin })),
            // It is being removed.
            Err(Fault::NoVersion(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn going_back(&self, log: &Log, newest: &Commit, back: Back) -> Result<Mended> {
        let Back { commit, fit, pin } = back;
        let mut draft = match self.upon(log, newest).await {
            Ok(Some(draft)) => draft,
            missed => {
                self.unpin(pin).await;
                return missed.map(|_| Mended::Outdated);
            }
        };
        let (time, version) = (format_timestamp(commit.committed_at), commit.version);
        let mut report = LeftOut {
            saved_rows: commit.rows,
            went_back_to: Some(Version(version)),
            ..LeftOut::default()
        };
        let said = match fit {
            Fit::BeforeMove => format!(
                "files were damaged; the same rows come from those of version {version} of {time} and from the ticks that were moved after it"
            ),
            Fit::LastRows => {
                report.lost_rows = newest.rows;
                report.saved_rows = 0;
                format!(
                    "nothing of version {} could be read; the rows are those of version {version} of {time}",
                    newest.version
                )
            }
            _ => format!(
                "files were damaged; the same rows come from those of version {version} of {time}"
            ),
        };
        draft.groups = commit.groups.iter().cloned().map(Group::Kept).collect();
        draft.segments.clone_from(&commit.segments);
        draft.schema = Arc::clone(&commit.schema);
        draft.adopted.clone_from(&commit.adopted);
        if fit == Fit::LastRows {
            draft.metadata.clone_from(&commit.metadata);
            draft.complete.clone_from(&commit.complete);
            draft.key.clone_from(&commit.key);
        }
        if let Some(absorbed) = &mut draft.absorbed {
            // What was absorbed since is not among the rows: where the log still has it, it is read there.
            let commits = absorbed.commits;
            *absorbed = commit.absorbed.clone().unwrap_or_default();
            absorbed.commits = commits;
        }
        draft.note = [("repair".to_owned(), said)].into();
        Ok(Mended::Draft(Box::new(draft), report, Some(pin)))
    }

    /// Whether a version names one of these files.
    async fn names_any(&self, log: &Log, commit: &Commit, files: &[String]) -> Result<bool> {
        let damaged = |segment: &Segment| files.contains(&segment.file);
        if commit.segments.iter().any(damaged) {
            return Ok(true);
        }
        for group in &commit.groups {
            if files.contains(&group.file) || self.group(log, group).await?.iter().any(damaged) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the files out of a draft.
    async fn without(
        &self,
        log: &Log,
        draft: &mut Draft,
        files: &[String],
        report: &mut LeftOut,
    ) -> Result<()> {
        let mut groups = Vec::new();
        for group in std::mem::take(&mut draft.groups) {
            let segments = match &group {
                Group::Kept(reference) if files.contains(&reference.file) => {
                    report.lost_rows += reference.rows;
                    continue;
                }
                Group::Kept(reference) => self.group(log, reference).await?.to_vec(),
                Group::Changed(segments) => segments.clone(),
            };
            if segments.iter().any(|segment| files.contains(&segment.file)) {
                let left = self.saved(log, draft, segments, files, report).await?;
                groups.push(Group::Changed(left));
            } else {
                groups.push(group);
            }
        }
        draft.groups = groups;
        let segments = std::mem::take(&mut draft.segments);
        draft.segments = self.saved(log, draft, segments, files, report).await?;
        Ok(())
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
        if !may_be_vouched_for(&reader, segment).await? {
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
            match reader.vouched_rows(segment, wanted).await {
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

/// Whether a file has checksums in its pages at all; ours have, those of other programs need not. A page that lacks one is refused when it is read.
async fn may_be_vouched_for(reader: &Segments, segment: &Segment) -> Result<bool> {
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
    Ok(file.is_some_and(|file| has_checksums(footer.metadata(), file)))
}
