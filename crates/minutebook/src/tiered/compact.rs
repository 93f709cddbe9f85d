//! Moving sealed segments of tick series to Parquet.

use std::pin::Pin;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use futures_util::{Stream, StreamExt, stream};
use minutebook_jsonl::{LINE_COLUMN, SegmentHandover, SegmentInfo};
use minutebook_parquet::{AbsorbedSegment, AbsorbedState, ParquetTimeSeriesRepository};

use super::files::Files;
use super::{Tiered, told};
use crate::series::batch::timestamps;
use crate::time::to_nanos;
use crate::{BatchStream, Error, ErrorKind, Minutebook, Result, SeriesFilter, SeriesId};

/// So often a segment is tried again if others were first to commit.
const ATTEMPTS: usize = 4;

/// What a compaction did to one series, or would do.
#[derive(Debug)]
#[non_exhaustive]
pub struct CompactedSeries {
    /// The series.
    pub series: SeriesId,
    /// The segments whose rows were moved, or would be.
    pub moved: Vec<SegmentInfo>,
    /// Segments whose rows an interrupted compaction had moved already, and which were removed now.
    pub resumed: Vec<SegmentInfo>,
    /// Segments that stay as they are, and why.
    pub refused: Vec<RefusedSegment>,
    /// Bytes of files that were removed. What a read of many segments may still come to is removed by the rotation or compaction after it.
    pub freed_bytes: u64,
    /// What ended it early, where [`compact_ticks`](Minutebook::compact_ticks) went on with the next series. What is told above was done before.
    pub failed: Option<Error>,
}

/// A segment that could not be moved: it stays, and is read where it is.
#[derive(Debug)]
#[non_exhaustive]
pub struct RefusedSegment {
    /// The segment.
    pub segment: SegmentInfo,
    /// Why.
    pub error: Error,
}

impl Tiered {
    /// Moves the sealed segments of a tick series to Parquet, one after another: the rows are appended there in one commit that names the segment, after they
    /// were read back; then the segment is removed. Interrupted anywhere it goes on with the next call; two at a time wait for each other.
    ///
    /// What JSON says and columns do not hold exactly (nested objects, numbers of many digits) goes with its row as the text of the line, in the column
    /// `@line` of the Parquet files. A segment with lines that are no rows, or with a value that does not fit the type that its column has there,
    /// is refused and stays. With `dry_run` nothing is changed, and only what is seen without reading the lines is told.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) for a store that is not over tick files and Parquet files, and for a series that is none of ticks;
    /// [`Locked`](ErrorKind::Locked) if another process is at it for too long; [`Unavailable`](ErrorKind::Unavailable) if the disk fails.
    pub async fn compact(&self, series: &SeriesId, dry_run: bool) -> Result<CompactedSeries> {
        let Some(files) = &self.files else {
            let why = "only tick files over Parquet files can be compacted";
            return Err(told(Error::unsupported(why), "compact", series));
        };
        if !matches!(series, SeriesId::Ticks { .. }) {
            let why = "only tick series can be compacted";
            return Err(told(Error::unsupported(why), "compact", series));
        }
        let mut report = CompactedSeries::new(series);
        let done = if dry_run {
            files.plan(series, &mut report).await
        } else {
            files.compact(series, &mut report).await
        };
        done.map(|()| report)
    }
}

impl Minutebook {
    /// Compacts the tick series that match: see [`Tiered::compact`]. One that fails does not keep the others from it: its error is in
    /// [`failed`](CompactedSeries::failed).
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) unless the setting `ticks.tiered` is on: without it other programs on this store would not read what was
    /// moved. [`Unavailable`](ErrorKind::Unavailable) if the series cannot be listed.
    pub async fn compact_ticks(
        &self,
        filter: &SeriesFilter,
        dry_run: bool,
    ) -> Result<Vec<CompactedSeries>> {
        let tiered = self.disk().and_then(|disk| disk.tiered.as_ref());
        let Some(files) = tiered.and_then(|tiered| tiered.files.as_ref()) else {
            return Err(Error::unsupported(
                "the ticks of this store are not tiered; set tiered = true under [ticks] in minutebook.toml, for every program that opens the store",
            ));
        };
        let mut all = Vec::new();
        for series in self.ticks().list(filter).await? {
            if !matches!(series, SeriesId::Ticks { .. }) {
                continue;
            }
            let mut report = CompactedSeries::new(&series);
            let done = if dry_run {
                files.plan(&series, &mut report).await
            } else {
                files.compact(&series, &mut report).await
            };
            report.failed = done.err();
            all.push(report);
        }
        Ok(all)
    }
}

impl CompactedSeries {
    fn new(series: &SeriesId) -> Self {
        Self {
            series: series.clone(),
            moved: Vec::new(),
            resumed: Vec::new(),
            refused: Vec::new(),
            freed_bytes: 0,
            failed: None,
        }
    }

    fn refuse(&mut self, segment: SegmentInfo, error: Error) {
        tracing_refused(&self.series, &segment, &error);
        self.refused.push(RefusedSegment { segment, error });
    }
}

fn tracing_refused(series: &SeriesId, segment: &SegmentInfo, error: &Error) {
    // The report says it; who reads no report finds it here.
    let number = segment.number;
    tracing::warn!(%series, number, %error, "a segment was not moved and stays");
}

fn not_rows(segment: &SegmentInfo) -> Option<Error> {
    (segment.flaws > 0).then(|| {
        Error::unsupported(format!(
            "{} lines of the segment are no rows, which Parquet cannot keep",
            segment.flaws
        ))
        .with_resource(segment.path.display())
    })
}

/// A segment as Parquet names one that it has taken over.
fn identity(segment: &SegmentInfo) -> AbsorbedSegment {
    AbsorbedSegment::new(&segment.log_id, segment.number, &segment.digest)
}

/// Whether Parquet has a segment of this name. Only one that is certain to be this very segment may be removed: the one that was taken over last, if it has
/// the same lines. A segment of that name with others tells that the tick files, or their manifest, are older than the Parquet files.
fn absorbed(cold: Option<&AbsorbedState>, segment: &SegmentInfo) -> Option<Result<()>> {
    let absorbed = &cold?.absorbed;
    if !absorbed.has(&segment.log_id, segment.number) {
        return None;
    }
    // A series that does not say which was the last (an entry of an earlier release) vouches for none.
    if absorbed.last == Some(identity(segment)) {
        return Some(Ok(()));
    }
    let lost = absorbed
        .last
        .as_ref()
        .is_some_and(|last| last.digest.is_empty());
    let why = if lost {
        "Parquet has taken over a segment of this number, and a repair of it has lost rows since, which may have been this one's"
    } else {
        "Parquet has taken over a segment of this number, and it is not known to be this one: the tick files are older than the Parquet files"
    };
    Some(Err(
        Error::new(ErrorKind::Conflict, why).with_resource(segment.path.display())
    ))
}

impl Files {
    async fn plan(&self, series: &SeriesId, report: &mut CompactedSeries) -> Result<()> {
        let Some(hot) = self.hot.existing()? else {
            return Ok(());
        };
        let Some(snapshot) = hot.snapshot(series).await? else {
            return Ok(());
        };
        let cold = self.cold_state(series).await?;
        for segment in snapshot.segments() {
            if let Some(same) = absorbed(cold.as_ref(), &segment) {
                match same {
                    Ok(()) => report.resumed.push(segment),
                    Err(error) => report.refused.push(RefusedSegment { segment, error }),
                }
            } else if let Some(error) = not_rows(&segment) {
                report.refused.push(RefusedSegment { segment, error });
            } else {
                report.moved.push(segment);
            }
        }
        Ok(())
    }

    async fn compact(&self, series: &SeriesId, report: &mut CompactedSeries) -> Result<()> {
        let Some(hot) = self.hot.existing()? else {
            return Ok(());
        };
        let Some(mut held) = hot.hand_over(series).await? else {
            return Ok(());
        };
        let state = self.cold_state(series).await?;
        let mut open = Vec::new();
        for segment in held.segments().to_vec() {
            match absorbed(state.as_ref(), &segment) {
                None => open.push(segment),
                Some(Ok(())) => {
                    // Who committed it may not have synced it.
                    self.cold.opened()?.sync(series).await?;
                    report.freed_bytes += held.remove(&[segment.number]).await?;
                    report.resumed.push(segment);
                }
                Some(Err(error)) => report.refuse(segment, error),
            }
        }
        if !open.is_empty() {
            // The rows are durable where they are; so must be what they are added to.
            self.cold.opened()?.sync(series).await?;
        }
        for segment in open {
            if let Some(error) = not_rows(&segment) {
                report.refuse(segment, error);
                continue;
            }
            let cold = self.cold.opened()?;
            match self.take_over(cold, series, &held, &segment).await {
                Ok(()) => {
                    report.freed_bytes += held.remove(&[segment.number]).await?;
                    report.moved.push(segment);
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::SchemaMismatch | ErrorKind::Unsupported | ErrorKind::Corrupt
                    ) =>
                {
                    report.refuse(segment, error);
                }
                Err(error) => return Err(told(error, "compact", series)),
            }
        }
        Ok(())
    }

    /// Makes the rows of a segment rows of the Parquet series, durably.
    async fn take_over(
        &self,
        cold: &ParquetTimeSeriesRepository,
        series: &SeriesId,
        held: &SegmentHandover,
        segment: &SegmentInfo,
    ) -> Result<()> {
        let identity = identity(segment);
        let mut attempt = 1;
        loop {
            let state = self.cold_state(series).await?;
            let schema: Option<SchemaRef> = state.map(|state| state.summary.schema);
            let rows = held.read(segment.number, schema.as_ref()).await?;
            let rows = counted(rows, segment.clone());
            match cold.absorb(series, &identity, rows).await {
                Err(error) if error.kind() == ErrorKind::Conflict && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                Ok(receipt) if receipt.already => {
                    // Somebody else was first: with this very segment?
                    let state = self.cold_state(series).await?;
                    return absorbed(state.as_ref(), segment).unwrap_or(Ok(()));
                }
                done => return done.map(drop),
            }
        }
    }
}

type Batches = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// The batches, at whose end rows and times must be those that the segment is said to have. The column of lines is left out where it says nothing.
fn counted(batches: BatchStream, segment: SegmentInfo) -> Batches {
    struct Count {
        rows: u64,
        bounds: Option<(i64, i64)>,
    }
    let count = Count {
        rows: 0,
        bounds: None,
    };
    let segment = Arc::new(segment);
    stream::unfold(Some((batches, count)), move |state| {
        let segment = Arc::clone(&segment);
        async move {
            let (mut batches, mut count) = state?;
            match batches.next().await {
                Some(Ok(batch)) => {
                    count.rows += batch.num_rows() as u64;
                    let times = timestamps(&batch).map(|times| times.values().clone());
                    let times = match times {
                        Ok(times) => times,
                        Err(error) => return Some((Err(error), None)),
                    };
                    for time in times.iter().copied() {
                        let (min, max) = count.bounds.unwrap_or((time, time));
                        count.bounds = Some((min.min(time), max.max(time)));
                    }
                    Some((Ok(slim(batch)), Some((batches, count))))
                }
                Some(Err(error)) => Some((Err(error), None)),
                None => {
                    let nanos = |time: Option<_>| time.and_then(|time| to_nanos(time).ok());
                    let said = nanos(segment.first).zip(nanos(segment.last));
                    (count.rows != segment.rows || count.bounds != said).then(|| {
                        let why = "its rows or their times are not those that its statistics say";
                        let error = Error::new(ErrorKind::Corrupt, why);
                        (Err(error.with_resource(segment.path.display())), None)
                    })
                }
            }
        }
    })
    .boxed()
}

/// The batch without the column of lines, if that is empty.
fn slim(batch: RecordBatch) -> RecordBatch {
    let Ok(at) = batch.schema().index_of(LINE_COLUMN) else {
        return batch;
    };
    if batch.column(at).null_count() < batch.num_rows() {
        return batch;
    }
    let others: Vec<usize> = (0..batch.num_columns()).filter(|i| *i != at).collect();
    batch.project(&others).unwrap_or(batch)
}
