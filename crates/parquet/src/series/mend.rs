//! Going on without what is lost: a version that leaves out files that are damaged or missing, and keeps what can still be read of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::RecordBatch;
use minutebook_core::series::batch::timestamps;
use minutebook_core::time::format_timestamp;
use minutebook_core::{SeriesId, Version};
use object_store::path::Path;

use super::back::{Fit, Origin};
use super::draft::{Draft, Group};
use super::write::{ATTEMPTS, Committed, Patience};
use super::{Inner, ParquetTimeSeriesRepository};
use crate::codec::{Segments, Wanted, has_checksums, without};
use crate::error::{Fault, Result};
use crate::log::{Absorbed, AbsorbedSegment, Commit, Log, Metadata, Operation, Segment};

/// A stretch that cannot be read is halved until it has no more rows than this.
const SMALLEST: u64 = 64;

/// In the note of a repair: how many rows were lost.
pub(super) const LOST_ROWS: &str = "lost_rows";

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
    /// The files, of those named, of which rows are lost.
    pub lost_in: BTreeSet<String>,
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
    /// had; none, if it had none. The note of the new version says so.
    ///
    /// The times of lost rows are [complete](Self::complete_ranges) no more. Files that were [adopted](Self::adopt) stay known as such, so that no later
    /// correction is overwritten: to have lost rows of theirs back, load the file and upsert it.
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
    /// [absorbed](Self::absorb) last is among them, the version goes back to before that where nothing else changed rows since and the version before it is kept: the segment
    /// counts as one that was not taken over, and its rows are read from the log again. Nobody may remove segments from the log meanwhile.
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

/// Where to go back to, with what keeps a vacuum from the files of an earlier version.
enum Back {
    Version(Arc<Commit>, Fit, Path),
    Beginning,
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
            return self.going_back(log, newest, work.files, back).await;
        }
        let Some(mut draft) = self.upon(log, newest).await? else {
            return Ok(Mended::Outdated);
        };
        let mut report = LeftOut::default();
        if let Err(fault) = self.without(log, &mut draft, work.files, &mut report).await {
            self.discard(std::mem::take(&mut draft.written)).await;
            return Err(fault);
        }
        if draft.is_empty() {
            if let Some(back) = self.back(log, newest, work, true).await? {
                return self.going_back(log, newest, work.files, back).await;
            }
            if let Some(absorbed) = &mut draft.absorbed {
                absorbed.forget();
            }
        } else if report.lost_rows > 0
            && let Some(absorbed) = &mut draft.absorbed
        {
            absorbed.doubt_last();
        }
        let mut said = format!(
            "files were damaged; {} rows of them could be read, and {} are lost",
            report.saved_rows, report.lost_rows
        );
        if report.lost_rows > 0 && !draft.adopted.is_empty() {
            said.push_str("; what was adopted is not adopted again: load and upsert a file to have its rows back");
        }
        draft.note = note(said, &report);
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
        let (commit, fit) = match found.await? {
            None => return Ok(None),
            Some(Origin::Beginning) => return Ok(Some(Back::Beginning)),
            Some(Origin::Version(commit, fit)) => (commit, fit),
        };
        match self.pin_passing(&commit).await {
            Ok(pin) => Ok(Some(Back::Version(commit, fit, pin))),
            // It is being removed.
            Err(Fault::NoVersion(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn going_back(
        &self,
        log: &Log,
        newest: &Commit,
        files: &[String],
        back: Back,
    ) -> Result<Mended> {
        let (commit, fit, pin) = match back {
            Back::Version(commit, fit, pin) => (commit, fit, pin),
            Back::Beginning => return self.to_the_beginning(log, newest).await,
        };
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
                report.lost_in = files.iter().cloned().collect();
                report.saved_rows = 0;
                format!(
                    "nothing of version {} could be read; the rows are those of version {version} of {time}, which has {}",
                    newest.version, commit.rows
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
        draft.note = note(said, &report);
        Ok(Mended::Draft(Box::new(draft), report, Some(pin)))
    }

    /// To before the first version: all its rows are read from the log.
    async fn to_the_beginning(&self, log: &Log, newest: &Commit) -> Result<Mended> {
        let Some(mut draft) = self.upon(log, newest).await? else {
            return Ok(Mended::Outdated);
        };
        draft.groups.clear();
        draft.segments.clear();
        draft.absorbed.as_mut().map(Absorbed::forget);
        let report = LeftOut::default();
        let said = "files were damaged; all their rows come from the ticks that were moved, which are still there";
        draft.note = note(said.to_owned(), &report);
        Ok(Mended::Draft(Box::new(draft), report, None))
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
                    report.lost_in.insert(reference.file.clone());
                    draft.is_lost((reference.min, reference.max));
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
            let Readable { batches, lost } = self.readable(log, &segment).await?;
            let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
            let missed = segment.live_rows().saturating_sub(rows);
            report.saved_rows += rows;
            report.lost_rows += missed;
            if missed > 0 {
                report.lost_in.insert(segment.file.clone());
            }
            for times in lost {
                draft.is_lost(times);
            }
            if rows > 0 {
                left.extend(draft.write_joined(self, log, batches).await?);
            }
        }
        Ok(left)
    }

    /// The rows of a segment that count and can be read, in their order.
    async fn readable(&self, log: &Log, segment: &Segment) -> Result<Readable> {
        let reader = self.segments(log);
        if !may_be_vouched_for(&reader, segment).await? {
            return Ok(Readable::nothing(segment));
        }
        let mut open = without(0..segment.rows, &segment.dead);
        open.reverse();
        let mut found = Readable::default();
        // The time of the row before, and whether rows after it are lost.
        let (mut before, mut torn) = (segment.min, false);
        while let Some(rows) = open.pop() {
            let wanted = Wanted {
                columns: None,
                rows: vec![rows.clone()],
                batch_size: 1 << 16,
            };
            match reader.vouched_rows(segment, wanted).await {
                Ok(batches) => {
                    for batch in batches {
                        let times = timestamps(&batch)?.values();
                        let (Some(first), Some(last)) = (times.first(), times.last()) else {
                            continue;
                        };
                        if std::mem::take(&mut torn) {
                            found.lost.push((before, *first));
                        }
                        before = *last;
                        found.batches.push(batch);
                    }
                }
                Err(Fault::Corrupt { .. }) if rows.end - rows.start > SMALLEST => {
                    let middle = rows.start + (rows.end - rows.start) / 2;
                    open.push(middle..rows.end);
                    open.push(rows.start..middle);
                }
                Err(Fault::Corrupt { .. }) => torn = true,
                Err(Fault::Vanished { .. }) => return Ok(Readable::nothing(segment)),
                Err(fault) => return Err(fault),
            }
        }
        if torn {
            found.lost.push((before, segment.max));
        }
        Ok(found)
    }
}

/// What a damaged file still gives.
#[derive(Default)]
struct Readable {
    batches: Vec<RecordBatch>,
    /// From when to when rows are lost, with the times of the rows before and after: there may have been more of the same time.
    lost: Vec<(i64, i64)>,
}

impl Readable {
    fn nothing(segment: &Segment) -> Self {
        Self {
            batches: Vec::new(),
            lost: vec![(segment.min, segment.max)],
        }
    }
}

impl Draft {
    /// Rows of these times, both included, are lost: where none is left, there may have been one.
    fn is_lost(&mut self, (first, last): (i64, i64)) {
        self.mark((first, last.checked_add(1)), false);
    }
}

/// What the version of a repair says of itself.
fn note(said: String, report: &LeftOut) -> Metadata {
    let lost = (LOST_ROWS.to_owned(), report.lost_rows.to_string());
    [("repair".to_owned(), said), lost].into()
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
