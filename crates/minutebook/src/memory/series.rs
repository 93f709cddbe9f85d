//! Time series in memory.

mod keys;
mod state;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use minutebook_core::series::batch::{checked, timestamp_field};
use minutebook_core::{
    BatchStream, Capabilities, Capability, Clock, Error, ErrorKind, Result, ScanQuery,
    SeriesFilter, SeriesId, SeriesKey, SeriesSummary, Snapshot, SystemClock, TimeRange,
    TimeSeriesRepository, Version, WriteMode, WriteReceipt,
};

use self::state::{SeriesState, drop_rows, within};
use super::{BACKEND, Counter};

/// A [`TimeSeriesRepository`] in memory, for tests and for trying things out: the semantics of the stores on disk, earlier versions
/// included, gone when the last clone is dropped.
///
/// Clones share one store, as several handles on one directory do.
///
/// ```
/// use minutebook::memory::MemoryTimeSeriesRepository;
/// use minutebook_core::{Bar, SeriesId, TimeRange, TimeSeriesRepositoryExt, Timeframe, time::parse_timestamp};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let repo = MemoryTimeSeriesRepository::new();
/// let series = SeriesId::bars("BTCUSD".parse()?, Timeframe::HOUR);
/// let bar = Bar {
///     timestamp: parse_timestamp("2024-01-01")?,
///     open: 1.0, high: 2.0, low: 0.5, close: 1.5, volume: 10.0,
/// };
/// repo.append_bars(&series, &[bar]).await?;
/// assert_eq!(repo.clone().bars(&series, TimeRange::all()).await?, [bar]);
/// # Ok::<_, minutebook_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct MemoryTimeSeriesRepository {
    clock: Arc<dyn Clock>,
    kept_versions: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The kept versions of each series, the latest last; never empty.
    series: BTreeMap<SeriesId, VecDeque<Arc<SeriesState>>>,
    changes: Counter,
}

impl MemoryTimeSeriesRepository {
    /// How many versions of a series are kept, unless told otherwise.
    pub const KEPT_VERSIONS: usize = 100;

    /// An empty store after the system's clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty store after this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            kept_versions: Self::KEPT_VERSIONS,
            state: Arc::default(),
        }
    }

    /// Keeps so many versions of each series, the latest included; at least that one is kept. Older ones are `NotFound`.
    #[must_use]
    pub fn keeping_versions(mut self, versions: usize) -> Self {
        self.kept_versions = versions.max(1);
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A change replaces whole states, so a poisoned lock guards a sound one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state that a scan reads.
    fn snapshot(&self, series: &SeriesId, snapshot: Snapshot) -> Result<Arc<SeriesState>> {
        let state = self.state();
        let versions = state
            .series
            .get(series)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such series"))?;
        let found = match snapshot {
            Snapshot::Latest => versions.back(),
            Snapshot::Version(wanted) => versions.iter().find(|state| state.version == wanted),
            Snapshot::Time(time) => versions.iter().rfind(|state| state.at <= time),
            _ => {
                return Err(Error::unsupported(
                    "this kind of snapshot is not known here",
                ));
            }
        };
        found.cloned().ok_or_else(|| {
            let kept = versions.front().map_or_else(String::new, |first| {
                format!("; the oldest kept is {}, of {}", first.version, first.at)
            });
            Error::new(
                ErrorKind::NotFound,
                format!("that version of the series is not kept{kept}"),
            )
        })
    }

    fn apply(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt> {
        let batch = checked(batch)?;
        let mut state = self.state();
        let stored = state.series.get(series).and_then(VecDeque::back).cloned();
        let base = stored.as_deref().map_or_else(
            || Ok(SeriesState::empty(&batch)),
            |stored| stored.widened(&batch),
        )?;
        let change = base.write(batch, mode)?;
        let wrote = change.receipt.inserted > 0 || change.receipt.replaced > 0;
        // Without a row that is written nothing changes, whatever columns the batch has.
        if let (false, Some(stored)) = (wrote, &stored) {
            return Ok(WriteReceipt {
                version: stored.version,
                ..change.receipt
            });
        }
        let next = SeriesState {
            segments: change.segments,
            ..base
        };
        let version = self.commit(&mut state, series, next);
        Ok(WriteReceipt {
            version,
            ..change.receipt
        })
    }

    /// Makes the next version and forgets those that are beyond the limit.
    fn commit(&self, state: &mut State, series: &SeriesId, next: SeriesState) -> Version {
        let version = Version(state.changes.next());
        let versions = state.series.entry(series.clone()).or_default();
        versions.push_back(Arc::new(SeriesState {
            version,
            at: self.clock.now(),
            ..next
        }));
        while versions.len() > self.kept_versions {
            versions.pop_front();
        }
        version
    }
}

impl Default for MemoryTimeSeriesRepository {
    fn default() -> Self {
        Self::new()
    }
}

fn located(error: Error, operation: &'static str, series: &SeriesId) -> Error {
    error
        .with_backend(BACKEND)
        .with_operation(operation)
        .with_resource(series)
}

#[async_trait]
impl TimeSeriesRepository for MemoryTimeSeriesRepository {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Shared,
            Capability::Upsert,
            Capability::ReplaceRange,
            Capability::DeleteRange,
            Capability::TimeOrdered,
            Capability::AsOf,
            Capability::ExactTypes,
            Capability::NewestFirst,
            Capability::Key,
        ])
    }

    async fn write(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt> {
        self.apply(series, batch, mode)
            .map_err(|error| located(error, "write", series))
    }

    async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
        self.snapshot(series, query.snapshot)
            .and_then(|state| state.scan(query))
            .map_err(|error| located(error, "scan", series))
    }

    async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
        let latest = self
            .state()
            .series
            .get(series)
            .and_then(VecDeque::back)
            .cloned();
        latest
            .map(|state| {
                state
                    .summary()
                    .map_err(|error| located(error, "summary", series))
            })
            .transpose()
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        let state = self.state();
        Ok(state
            .series
            .keys()
            .filter(|series| filter.matches(series))
            .cloned()
            .collect())
    }

    async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
        let mut state = self.state();
        let Some(latest) = state.series.get(series).and_then(VecDeque::back).cloned() else {
            return Ok(0);
        };
        let Some(range) = range else {
            state.series.remove(series);
            return Ok(latest.rows() as u64);
        };
        let (segments, dropped) = drop_rows(&latest.segments, within(range))
            .map_err(|error| located(error, "delete", series))?;
        if dropped > 0 {
            let next = SeriesState {
                segments,
                ..SeriesState::clone(&latest)
            };
            self.commit(&mut state, series, next);
        }
        Ok(dropped)
    }

    async fn declare_key(&self, series: &SeriesId, key: Option<&SeriesKey>) -> Result<Version> {
        let mut state = self.state();
        let stored = state.series.get(series).and_then(VecDeque::back).cloned();
        let base = match stored.as_deref() {
            Some(stored) if stored.key.as_ref() == key => return Ok(stored.version),
            Some(stored) => stored.clone(),
            None if key.is_none() => {
                let error = Error::new(ErrorKind::NotFound, "there is no such series");
                return Err(located(error, "declare_key", series));
            }
            None => SeriesState::empty(&RecordBatch::new_empty(Arc::new(
                arrow_schema::Schema::new(vec![timestamp_field()]),
            ))),
        };
        if let Some(key) = key {
            base.check_key(key)
                .map_err(|error| located(error, "declare_key", series))?;
        }
        let next = SeriesState {
            key: key.cloned(),
            ..base
        };
        Ok(self.commit(&mut state, series, next))
    }
}
