//! Going on without what is lost: a version that leaves out files that are damaged or missing, and keeps what can still be read of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use minutebook_core::time::format_timestamp;
use minutebook_core::{SeriesId, Version};
use object_store::path::Path;

use super::back::{Fit, Origin, Read, WayBack};
use super::describe::in_both;
use super::draft::{Draft, Group};
use super::held::{HeldSegments, NONE, held};
use super::salvage::Readable;
use super::write::{ATTEMPTS, Committed, Patience};
use super::{Inner, ParquetTimeSeriesRepository};
use crate::error::{Fault, Result};
use crate::log::{Absorbed, AbsorbedSegment, Commit, Log, Metadata, Operation, Segment};

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
    /// The times of lost rows are [complete](Self::complete_ranges) no more; if another state comes back, complete is what both versions call so, and of that nothing between the first and
    /// the last row of the newest one. Whatever the configuration says, all there is of the series is durable when this returns. Files that were [adopted](Self::adopt) stay known as such, so that no later
    /// correction is overwritten: to have lost rows of theirs back, load the file and upsert it.
    ///
    /// # Errors
    /// [`Conflict`](minutebook_core::ErrorKind::Conflict) if other writers are always first;
    /// [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if other files of the series are damaged too;
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the storage fails.
    pub async fn leave_out(
        &self,
        series: &SeriesId,
        files: &[String],
    ) -> minutebook_core::Result<LeftOut> {
        self.leave_out_beside(series, files, &NONE).await
    }

    /// As [`leave_out`](Self::leave_out), beside a log of ticks. If that still has the sealed segment that was
    /// [absorbed](Self::absorb) last, the version goes back to before that where nothing else changed rows since and the version before it is kept: the segment
    /// counts as one that was not taken over, and its rows are read from the log again. Nobody may remove segments from the log meanwhile.
    ///
    /// # Errors
    /// As [`leave_out`](Self::leave_out), and what the log says.
    pub async fn leave_out_beside(
        &self,
        series: &SeriesId,
        files: &[String],
        log: &dyn HeldSegments,
    ) -> minutebook_core::Result<LeftOut> {
        // Damaged files are taken away next. What the new version names may have been written without syncs; the version itself is not.
        self.sync(series).await?;
        let synced = self.synced();
        let inner = &synced.as_ref().unwrap_or(self).inner;
        let done = inner.leave_out(series, files, log).await;
        done.map_err(|fault| fault.told("repair", series))
    }
}

/// What is mended, and what is known by now of files that an attempt before has looked at.
struct Work<'a> {
    files: &'a [String],
    ticks: &'a dyn HeldSegments,
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
        ticks: &dyn HeldSegments,
    ) -> Result<LeftOut> {
        let log = self.log(series);
        let turn = self.state().entry(series.clone()).or_default().turn.clone();
        let _turn = turn.lock().await;
        let mut work = Work {
            files,
            ticks,
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
        let named = self.named_of(log, newest, work.files).await?;
        if named.is_empty() {
            return Ok(Mended::Nothing);
        }
        let held = held(newest, work.ticks).await?;
        // Looking for a way back reads whole files, and takes as long as that takes: what is written is written after it.
        if let Some(back) = self.back(log, newest, work, held.as_ref(), false).await? {
            return self.going_back(log, newest, named, back).await;
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
            if let Some(back) = self.back(log, newest, work, held.as_ref(), true).await? {
                return self.going_back(log, newest, named, back).await;
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
        held: Option<&AbsorbedSegment>,
        any: bool,
    ) -> Result<Option<Back>> {
        let mut past = Read {
            inner: self,
            log,
            looked: &mut work.whole,
        };
        let found = WayBack::new(newest, any, held).origin(&mut past).await?;
        let (commit, fit) = match found {
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
        named: BTreeSet<String>,
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
                report.lost_in = named;
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
            draft.key.clone_from(&commit.key);
            // What was marked since, or is not any more, was said of rows of the newest one; and of those none is here, but for what the earlier one has too.
            draft.complete = in_both(&newest.complete, &commit.complete);
            if let Some(times) = newest.first.zip(newest.last) {
                draft.is_lost(times);
            }
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

    /// Which of these files a version names.
    async fn named_of(
        &self,
        log: &Log,
        commit: &Commit,
        files: &[String],
    ) -> Result<BTreeSet<String>> {
        let mut named = BTreeSet::new();
        let mut note = |segments: &[Segment]| {
            let files = segments.iter().filter(|it| files.contains(&it.file));
            named.extend(files.map(|segment| segment.file.clone()));
        };
        note(&commit.segments);
        let (mut lists, whole) = (Vec::new(), |file| !files.contains(file));
        for group in &commit.groups {
            if whole(&group.file) {
                note(&self.group(log, group).await?);
            } else {
                lists.push(group.file.clone());
            }
        }
        named.extend(lists);
        Ok(named)
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
