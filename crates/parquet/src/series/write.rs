//! Writing: prepare, then commit; and again if another writer was first.

use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use minutebook_core::series::batch::{checked, timestamps};
use minutebook_core::{OnConflict, SeriesId, TimeRange, Version, WriteMode, WriteReceipt};
use minutebook_fs::task;

use super::append::Reuse;
use super::draft::Draft;
use super::keys::Keys;
use super::{Inner, rows};
use crate::error::{Fault, Result};
use crate::log::{Known, Log, Metadata, Operation};
use crate::store::Put;

/// So many lost races in a row, and the writer gives up.
pub(super) const ATTEMPTS: usize = 256;
/// So many attempts may take too long.
const LATE_ATTEMPTS: usize = 3;

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Committed {
    Done,
    /// Another writer was first; the draft's files are removed.
    Lost,
    /// The attempt took so long that what it knows may be outdated; nothing was committed, and the draft's files are removed.
    Late,
}

/// Counts what went wrong over the attempts of one write, and says when to give up.
#[derive(Debug, Default)]
pub(super) struct Patience {
    late: usize,
    vanished: usize,
}

impl Patience {
    /// Whether to try again; an error if not.
    pub(super) fn again(&mut self, committed: Committed) -> Result<()> {
        self.late += usize::from(committed == Committed::Late);
        if self.late < LATE_ATTEMPTS {
            return Ok(());
        }
        Err(Fault::Slow(format!(
            "the write took longer than half the grace period {LATE_ATTEMPTS} times; lengthen it or write less at once"
        )))
    }

    /// Whether a failed plan may be due to versions that are being removed, and is worth another try.
    pub(super) fn forgives(&mut self, fault: &Fault) -> bool {
        self.vanished += 1;
        self.vanished < LATE_ATTEMPTS && matches!(fault, Fault::Vanished { .. })
    }
}

/// What a draft comes to.
pub(super) enum Planned {
    /// Nothing changes.
    Nothing(WriteReceipt),
    /// A new version.
    Change(Operation, WriteReceipt),
}

impl Inner {
    pub(super) async fn write(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
        note: &Metadata,
    ) -> Result<WriteReceipt> {
        let batch = prepared(batch, mode).await?;
        let log = self.log(series);
        let turn = self.state().entry(series.clone()).or_default().turn.clone();
        let _turn = turn.lock().await;
        let mut reuse = Reuse::default();
        let mut patience = Patience::default();
        for attempt in 0..ATTEMPTS {
            if reuse.age() > self.patience() / 2 {
                self.discard(std::mem::take(&mut reuse).paths(&log)).await;
            }
            let mut draft = self.draft(&log).await?;
            draft.note.clone_from(note);
            let planned = self
                .plan(&log, &mut draft, batch.clone(), mode, attempt, &mut reuse)
                .await;
            let (operation, mut receipt) = match planned {
                Ok(Planned::Nothing(receipt)) => {
                    draft.written.extend(reuse.paths(&log));
                    self.discard(draft.written).await;
                    return Ok(receipt);
                }
                Ok(Planned::Change(operation, receipt)) => (operation, receipt),
                Err(fault) if patience.forgives(&fault) => {
                    self.discard(draft.written).await;
                    continue;
                }
                Err(fault) => {
                    draft.written.extend(reuse.paths(&log));
                    self.discard(draft.written).await;
                    return Err(fault);
                }
            };
            receipt.version = Version(draft.version());
            match self.commit(&log, draft, operation).await? {
                Committed::Done => return Ok(receipt),
                missed => patience.again(missed)?,
            }
        }
        self.discard(reuse.paths(&log)).await;
        Err(Fault::Conflict { attempts: ATTEMPTS })
    }

    async fn plan(
        &self,
        log: &Log,
        draft: &mut Draft,
        batch: RecordBatch,
        mode: WriteMode,
        attempt: usize,
        reuse: &mut Reuse,
    ) -> Result<Planned> {
        let version = Version(draft.base_version());
        let count = batch.num_rows() as u64;
        let receipt = |inserted, replaced, skipped| WriteReceipt {
            version,
            inserted,
            replaced,
            skipped,
        };
        match mode {
            WriteMode::Append => {
                let mut batch = draft.widen(&batch)?;
                if draft.key.is_some() {
                    // What is unique cannot be added twice.
                    batch = draft.key(self, log, batch, OnConflict::Fail).await?.batch;
                }
                if count == 0 {
                    return Ok(Planned::Nothing(receipt(0, 0, 0)));
                }
                draft.add(self, log, batch, attempt, Some(reuse)).await?;
                Ok(Planned::Change(Operation::Append, receipt(count, 0, 0)))
            }
            WriteMode::Upsert { on_conflict } => {
                let batch = draft.widen(&batch)?;
                let keyed = draft.key(self, log, batch, on_conflict).await?;
                let receipt = receipt(keyed.inserted, keyed.replaced, keyed.skipped);
                if keyed.batch.num_rows() == 0 {
                    return Ok(Planned::Nothing(receipt));
                }
                draft.add(self, log, keyed.batch, attempt, None).await?;
                Ok(Planned::Change(Operation::Upsert, receipt))
            }
            WriteMode::ReplaceRange(range) => {
                let batch = draft.widen(&batch)?;
                if draft.key.is_some() {
                    Keys::of(draft.key.as_ref(), &draft.schema, &batch)?;
                }
                let replaced = draft.remove_range(self, log, range.nanos()).await?;
                if replaced == 0 && count == 0 {
                    return Ok(Planned::Nothing(receipt(0, 0, 0)));
                }
                if count > 0 {
                    draft.add(self, log, batch, attempt, None).await?;
                }
                Ok(Planned::Change(
                    Operation::ReplaceRange,
                    receipt(count, replaced, 0),
                ))
            }
        }
    }

    /// Deletes a range, and says how many rows.
    pub(super) async fn delete_range(&self, series: &SeriesId, range: TimeRange) -> Result<u64> {
        let log = self.log(series);
        let turn = self.state().entry(series.clone()).or_default().turn.clone();
        let _turn = turn.lock().await;
        let mut patience = Patience::default();
        for _ in 0..ATTEMPTS {
            let mut draft = self.draft(&log).await?;
            if !draft.exists() {
                return Ok(0);
            }
            let removed = match draft.remove_range(self, &log, range.nanos()).await {
                Ok(removed) => removed,
                Err(fault) => {
                    self.discard(std::mem::take(&mut draft.written)).await;
                    if patience.forgives(&fault) {
                        continue;
                    }
                    return Err(fault);
                }
            };
            if removed == 0 {
                return Ok(0);
            }
            // What was there and is not any more is missing.
            draft.mark(range.nanos(), false);
            match self.commit(&log, draft, Operation::DeleteRange).await? {
                Committed::Done => return Ok(removed),
                missed => patience.again(missed)?,
            }
        }
        Err(Fault::Conflict { attempts: ATTEMPTS })
    }

    /// How long an attempt may take from the look at the newest version to the commit.
    ///
    /// Half the grace period: within all of it nothing is removed that an attempt may rely on, neither the versions after the one that it
    /// builds upon, whose numbers must not become free, nor the files that it has written.
    pub(super) fn patience(&self) -> Duration {
        self.config.orphan_grace.max(Duration::from_secs(2)) / 2
    }

    /// A draft upon the newest version.
    pub(super) async fn draft(&self, log: &Log) -> Result<Draft> {
        let began = Instant::now();
        Ok(Draft::new(self.newest(log).await?, began))
    }

    /// Commits a draft.
    pub(super) async fn commit(
        &self,
        log: &Log,
        mut draft: Draft,
        operation: Operation,
    ) -> Result<Committed> {
        let now = self.config.clock.now();
        let commit = match draft.finish(self, log, operation, now).await {
            Ok(commit) => commit,
            Err(fault) => {
                self.discard(std::mem::take(&mut draft.written)).await;
                return Err(fault);
            }
        };
        if draft.began.elapsed() > self.patience() {
            self.discard(std::mem::take(&mut draft.written)).await;
            return Ok(Committed::Late);
        }
        let follows_ours = draft.base.as_ref().is_none_or(|known| known.ours);
        match log.add(&commit, follows_ours).await? {
            Put::Created if draft.began.elapsed() > 2 * self.patience() => Err(Fault::Slow(
                "the commit took longer than the grace period; whether it counts is unknown, so read before writing again".into(),
            )),
            Put::Created => {
                self.remember(
                    &log.series,
                    Some(Known {
                        commit: commit.into(),
                        ours: true,
                        tag: None,
                    }),
                );
                Ok(Committed::Done)
            }
            Put::Taken => {
                self.discard(std::mem::take(&mut draft.written)).await;
                Ok(Committed::Lost)
            }
        }
    }

    /// Removes files that no version will name. What stays is an orphan, which `vacuum` removes.
    pub(super) async fn discard(&self, paths: Vec<object_store::path::Path>) {
        if paths.is_empty() {
            return;
        }
        if let Err(error) = self.storage.delete_all(paths).await {
            tracing::warn!(%error, "files of an abandoned write are left over");
        }
    }
}

/// The batch checked and in order of time.
async fn prepared(batch: RecordBatch, mode: WriteMode) -> Result<RecordBatch> {
    let batch = checked(batch)?;
    let batch = if batch.num_rows() < 1 << 14 {
        rows::sorted(batch)?
    } else {
        task::blocking(move || rows::sorted(batch)).await??
    };
    match mode {
        WriteMode::Append | WriteMode::Upsert { .. } => {}
        WriteMode::ReplaceRange(range) => {
            let times = timestamps(&batch)?.values();
            let (start, end) = range.nanos();
            let outside = |time: &&i64| **time < start || end.is_some_and(|end| **time >= end);
            if let Some(time) = times
                .first()
                .filter(outside)
                .or(times.last().filter(outside))
            {
                let time = minutebook_core::time::format_timestamp(
                    minutebook_core::time::from_nanos(*time),
                );
                return Err(Fault::Invalid(format!(
                    "the row at {time} lies outside the range {range}"
                )));
            }
        }
    }
    Ok(batch)
}
