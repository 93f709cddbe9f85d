//! The store with a bug: each of [`Bug`] is one.

mod batches;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::Schema;
use async_trait::async_trait;
use chrono::TimeDelta;
use futures_util::{StreamExt, stream};
use minutebook::memory::MemoryTimeSeriesRepository;
use minutebook_core::series::batch::timestamps;
use minutebook_core::{
    BatchStream, Capabilities, Capability, Error, ErrorKind, ManualClock, OnConflict, Result,
    ScanQuery, SeriesFilter, SeriesId, SeriesKey, SeriesName, SeriesSummary, Snapshot, Symbol,
    Take, TimeRange, TimeSeriesRepository, Version, WriteMode, WriteReceipt,
};
use minutebook_testkit::{Harness, test_clock};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    KeyForgetsColumns,
    OrderReversed,
    OrderOfWriting,
    LastRowLost,
    RangeEndClosed,
    RangeStartOpen,
    FirstOffByOne,
    LastIsFirst,
    TakeBeforeRange,
    EqualRowsMerged,
    TiesReversed,
    UpsertKeepsOld,
    UpsertAppends,
    FailWritesTheRest,
    DuplicatesInBatchTaken,
    ReplaceRangeClosed,
    ReplaceRangeUnchecked,
    EmptyReplaceIgnored,
    ReceiptWithoutReplaced,
    VersionStands,
    VersionAlwaysGrows,
    Microseconds,
    NanBecomesNull,
    FloatsRounded,
    LargeIntegersThroughFloats,
    EmptyTextBecomesNull,
    WrongTimeAccepted,
    ColumnNotNamed,
    MismatchAppliesFirst,
    NewColumnDropped,
    BatchSizeIgnored,
    ScanLooksAgain,
    SummaryStale,
    SummaryOfWritingOrder,
    DeleteRangeClosed,
    DeleteRangeWipesSeries,
    DeleteTakesNeighbour,
    DeletedStaysListed,
    AsOfIgnored,
    AsOfUnknownIsLatest,
    AsOfWorksThoughUnclaimed,
    UpsertRefusedThoughClaimed,
    DeleteRangeWorksThoughUnclaimed,
    TimeframeFilterIgnored,
    ListUnordered,
    SlashBecomesDash,
    TimeframeForgotten,
    ColumnsInStoredOrder,
    UnknownColumnIgnored,
    MissingIsEmpty,
    AppendRaces,
    HandleCachesSummary,
    ReopeningLosesTheLast,
    TypesNarrowed,
}

#[derive(Debug)]
struct Buggy {
    bug: Bug,
    inner: MemoryTimeSeriesRepository,
    seen: Mutex<HashMap<SeriesId, Option<SeriesSummary>>>,
}

pub(super) struct BuggyHarness {
    bug: Bug,
    clock: Arc<ManualClock>,
    inner: MemoryTimeSeriesRepository,
    opened: Mutex<bool>,
}

impl BuggyHarness {
    pub(super) fn with(bug: Bug) -> Self {
        let clock = test_clock();
        Self {
            bug,
            inner: MemoryTimeSeriesRepository::with_clock(clock.clone()),
            clock,
            opened: Mutex::default(),
        }
    }
}

#[async_trait]
impl Harness<dyn TimeSeriesRepository> for BuggyHarness {
    fn new() -> Self {
        Self::with(Bug::None)
    }

    async fn open(&self) -> Result<Arc<dyn TimeSeriesRepository>> {
        let again = std::mem::replace(&mut *self.opened.lock().unwrap(), true);
        if again && self.bug == Bug::ReopeningLosesTheLast {
            for series in self.inner.list(&SeriesFilter::new()).await? {
                if let Some(last) = self
                    .inner
                    .summary(&series)
                    .await?
                    .and_then(|summary| summary.last)
                {
                    self.inner
                        .delete(&series, Some(TimeRange::since(last)))
                        .await?;
                }
            }
        }
        Ok(Arc::new(Buggy {
            bug: self.bug,
            inner: self.inner.clone(),
            seen: Mutex::default(),
        }))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(self.clock.clone())
    }
}

fn pick(batch: &RecordBatch, rows: &[usize]) -> RecordBatch {
    let parts: Vec<_> = rows.iter().map(|row| batch.slice(*row, 1)).collect();
    arrow_select::concat::concat_batches(&batch.schema(), &parts).unwrap()
}

fn widened(range: TimeRange, start: i64, end: i64) -> TimeRange {
    let by = TimeDelta::nanoseconds;
    let start = range.start().map(|time| time + by(start));
    let end = range.end().map(|time| time + by(end));
    TimeRange::between(start, end).unwrap_or(range)
}

impl Buggy {
    /// The series as a careless mapping to a file name would have it.
    fn series(&self, series: &SeriesId) -> SeriesId {
        match (self.bug, series) {
            (Bug::SlashBecomesDash, SeriesId::Ticks { symbol }) => {
                SeriesId::ticks(Symbol::new(symbol.as_str().replace(['/', ':', ' '], "-")).unwrap())
            }
            (Bug::TimeframeForgotten, SeriesId::Bars { symbol, .. }) => {
                SeriesId::bars(symbol.clone(), minutebook_core::Timeframe::HOUR)
            }
            _ => series.clone(),
        }
    }

    fn mode(&self, batch: &RecordBatch, mode: WriteMode) -> Result<WriteMode> {
        Ok(match (self.bug, mode) {
            (Bug::UpsertRefusedThoughClaimed, WriteMode::Upsert { .. }) => {
                return Err(Error::unsupported("no upserts here"));
            }
            (
                Bug::UpsertKeepsOld,
                WriteMode::Upsert {
                    on_conflict: OnConflict::Replace,
                },
            )
            | (
                Bug::FailWritesTheRest,
                WriteMode::Upsert {
                    on_conflict: OnConflict::Fail,
                },
            ) => WriteMode::Upsert {
                on_conflict: OnConflict::Keep,
            },
            (
                Bug::UpsertAppends,
                WriteMode::Upsert {
                    on_conflict: OnConflict::Replace,
                },
            ) => WriteMode::Append,
            (Bug::ReplaceRangeClosed, WriteMode::ReplaceRange(range)) => {
                WriteMode::ReplaceRange(widened(range, 0, 1))
            }
            (Bug::ReplaceRangeUnchecked, WriteMode::ReplaceRange(range)) => {
                let outside = timestamps(batch)?
                    .values()
                    .iter()
                    .any(|time| !range.contains(minutebook_core::time::from_nanos(*time)));
                if outside {
                    WriteMode::ReplaceRange(TimeRange::all())
                } else {
                    mode
                }
            }
            _ => mode,
        })
    }

    async fn collected(&self, series: &SeriesId, query: &ScanQuery) -> Result<RecordBatch> {
        Ok(self.inner.scan(series, query).await?.concat().await?.0)
    }
}

#[allow(clippy::too_many_lines, reason = "an arm for each bug")]
#[async_trait]
impl TimeSeriesRepository for Buggy {
    fn capabilities(&self) -> Capabilities {
        let without = |missing: Capability| {
            let left: Vec<_> = self
                .inner
                .capabilities()
                .iter()
                .filter(|claimed| *claimed != missing)
                .collect();
            Capabilities::of(&left)
        };
        match self.bug {
            Bug::AsOfWorksThoughUnclaimed => without(Capability::AsOf),
            Bug::DeleteRangeWorksThoughUnclaimed => without(Capability::DeleteRange),
            Bug::ReopeningLosesTheLast => Capabilities::of(&[
                Capability::Persistent,
                Capability::Upsert,
                Capability::TimeOrdered,
            ]),
            _ => self.inner.capabilities(),
        }
    }

    async fn write(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt> {
        let series = &self.series(series);
        let mode = self.mode(&batch, mode)?;
        let batch = self.mangled(series, batch).await?;
        let before = self.inner.summary(series).await?;
        let nothing = WriteReceipt {
            version: before
                .as_ref()
                .map_or(Version(0), |summary| summary.version),
            inserted: 0,
            replaced: 0,
            skipped: 0,
        };
        match self.bug {
            Bug::EmptyReplaceIgnored if batch.num_rows() == 0 => return Ok(nothing),
            Bug::DuplicatesInBatchTaken if matches!(mode, WriteMode::Upsert { .. }) => {
                let times = timestamps(&batch)?.values();
                let last: Vec<usize> = (0..times.len())
                    .filter(|row| !times[row + 1..].contains(&times[*row]))
                    .collect();
                return self.inner.write(series, pick(&batch, &last), mode).await;
            }
            Bug::MismatchAppliesFirst => {
                // The columns that fit are written before the one that does not is met.
                let written = self.inner.write(series, batch.clone(), mode).await;
                if let Err(error) = &written
                    && error.kind() == ErrorKind::SchemaMismatch
                    && before.is_some()
                    && timestamps(&batch).is_ok()
                {
                    let times = batch.project(&[0]).unwrap();
                    self.inner.write(series, times, mode).await?;
                }
                return written;
            }
            Bug::AppendRaces if mode == WriteMode::Append && before.is_some() => {
                let all = self.collected(series, &ScanQuery::new()).await?;
                tokio::task::yield_now().await;
                if all.schema() == batch.schema() {
                    let joined =
                        arrow_select::concat::concat_batches(&all.schema(), [&all, &batch])
                            .unwrap();
                    return self
                        .inner
                        .write(series, joined, WriteMode::ReplaceRange(TimeRange::all()))
                        .await;
                }
            }
            _ => {}
        }
        let written = self.inner.write(series, batch, mode).await;
        let mut receipt = match written {
            Err(error) if self.bug == Bug::ColumnNotNamed => {
                return Err(Error::new(error.kind(), "the types do not fit"));
            }
            written => written?,
        };
        match self.bug {
            Bug::ReceiptWithoutReplaced => receipt.replaced = 0,
            Bug::VersionStands => {
                receipt.version = before.map_or(receipt.version, |summary| summary.version);
            }
            Bug::VersionAlwaysGrows => receipt.version = Version(receipt.version.0 + 1),
            _ => {}
        }
        Ok(receipt)
    }

    async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
        let series = &self.series(series);
        let mut asked = query.clone();
        match self.bug {
            Bug::RangeEndClosed => asked.range = widened(query.range, 0, 1),
            Bug::RangeStartOpen => asked.range = widened(query.range, 1, 0),
            Bug::FirstOffByOne => {
                if let Take::First(rows) = query.take {
                    asked.take = Take::First(rows + 1);
                }
            }
            Bug::LastIsFirst => {
                if let Take::Last(rows) = query.take {
                    asked.take = Take::First(rows);
                }
            }
            Bug::TakeBeforeRange if query.take != Take::All => {
                let mut cut = query.clone();
                cut.range = TimeRange::all();
                let cut = self.collected(series, &cut).await?;
                let inside: Vec<usize> = timestamps(&cut)?
                    .values()
                    .iter()
                    .enumerate()
                    .filter(|(_, time)| {
                        query
                            .range
                            .contains(minutebook_core::time::from_nanos(**time))
                    })
                    .map(|(row, _)| row)
                    .collect();
                let batches = inside
                    .chunks(query.batch_size)
                    .map(|rows| pick(&cut, rows))
                    .collect();
                return Ok(BatchStream::from_batches(cut.schema(), batches));
            }
            Bug::AsOfIgnored => asked.snapshot = Snapshot::Latest,
            Bug::AsOfUnknownIsLatest if self.inner.scan(series, query).await.is_err() => {
                asked.snapshot = Snapshot::Latest;
            }
            Bug::BatchSizeIgnored => asked.batch_size = ScanQuery::BATCH_SIZE,
            Bug::UnknownColumnIgnored => {
                if let (Some(columns), Some(summary)) =
                    (&mut asked.columns, self.inner.summary(series).await?)
                {
                    columns.retain(|name| summary.schema.field_with_name(name).is_ok());
                }
            }
            Bug::ColumnsInStoredOrder => {
                if let (Some(columns), Some(summary)) =
                    (&mut asked.columns, self.inner.summary(series).await?)
                {
                    columns.sort_by_key(|name| summary.schema.index_of(name).ok());
                }
            }
            Bug::ScanLooksAgain => {
                let schema = self.inner.scan(series, query).await?.schema().clone();
                let (inner, series, query) = (self.inner.clone(), series.clone(), query.clone());
                let batches = stream::unfold(0, move |place| {
                    let (inner, series, query) = (inner.clone(), series.clone(), query.clone());
                    async move {
                        let mut scan = inner.scan(&series, &query).await.ok()?.skip(place);
                        scan.next().await.map(|batch| (batch, place + 1))
                    }
                });
                return Ok(BatchStream::new(schema, batches));
            }
            Bug::MissingIsEmpty if self.inner.summary(series).await?.is_none() => {
                return Ok(BatchStream::from_batches(
                    Arc::new(Schema::empty()),
                    Vec::new(),
                ));
            }
            Bug::OrderReversed | Bug::TiesReversed | Bug::OrderOfWriting => {
                let all = self.collected(series, &asked).await?;
                let times = timestamps(&all)?.values().clone();
                let mut rows: Vec<usize> = (0..all.num_rows()).rev().collect();
                if self.bug == Bug::TiesReversed {
                    rows.sort_by_key(|row| times[*row]);
                }
                let n = all
                    .column_by_name("n")
                    .and_then(|column| column.as_primitive_opt::<Int64Type>().cloned());
                if let (Bug::OrderOfWriting, Some(n)) = (self.bug, n) {
                    // The rows of the suite are numbered as they are written.
                    rows.sort_by_key(|row| n.value(*row));
                }
                let batches = rows
                    .chunks(query.batch_size)
                    .map(|rows| pick(&all, rows))
                    .collect();
                return Ok(BatchStream::from_batches(all.schema(), batches));
            }
            _ => {}
        }
        self.inner.scan(series, &asked).await
    }

    async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
        let series = &self.series(series);
        let mut summary = self.inner.summary(series).await?;
        match self.bug {
            Bug::SummaryStale | Bug::HandleCachesSummary => {
                let mut seen = self.seen.lock().unwrap();
                if self.bug == Bug::SummaryStale {
                    // One write behind.
                    let before = seen.insert(series.clone(), summary.clone()).flatten();
                    return Ok(before.or(summary));
                }
                let cached = seen
                    .entry(series.clone())
                    .or_insert_with(|| summary.clone());
                return Ok(cached.clone());
            }
            Bug::SummaryOfWritingOrder => {
                if let Some(summary) = &mut summary {
                    summary.last = summary.first;
                }
            }
            Bug::VersionStands => {
                if let Some(summary) = &mut summary {
                    summary.version = Version(1);
                }
            }
            _ => {}
        }
        Ok(summary)
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        let mut filter = filter.clone();
        if self.bug == Bug::TimeframeFilterIgnored {
            filter.timeframe = None;
        }
        let mut listed = self.inner.list(&filter).await?;
        match self.bug {
            Bug::ListUnordered => listed.sort_by_key(ToString::to_string),
            Bug::DeletedStaysListed => {
                let ghost = SeriesId::named(SeriesName::new("ghost").unwrap());
                if listed.is_empty() {
                    listed.push(ghost);
                }
            }
            _ => {}
        }
        Ok(listed)
    }

    async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
        let series = &self.series(series);
        let range = match (self.bug, range) {
            (Bug::DeleteRangeClosed, Some(range)) => Some(widened(range, 0, 1)),
            (Bug::DeleteRangeWipesSeries, Some(_)) => None,
            (Bug::ReopeningLosesTheLast, Some(_)) => {
                return Err(Error::unsupported("no ranges here"));
            }
            (_, range) => range,
        };
        if self.bug == Bug::DeleteTakesNeighbour && range.is_none() {
            let prefix = series
                .to_string()
                .split('@')
                .next()
                .unwrap_or_default()
                .to_owned();
            for neighbour in self.inner.list(&SeriesFilter::new().prefix(prefix)).await? {
                if neighbour != *series {
                    self.inner.delete(&neighbour, None).await?;
                }
            }
        }
        self.inner.delete(series, range).await
    }

    async fn declare_key(&self, series: &SeriesId, key: Option<&SeriesKey>) -> Result<Version> {
        let series = &self.series(series);
        let key = match self.bug {
            // The time alone is kept.
            Bug::KeyForgetsColumns => key.map(|_| SeriesKey::timestamp()),
            _ => key.cloned(),
        };
        self.inner.declare_key(series, key.as_ref()).await
    }
}
