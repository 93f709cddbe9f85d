//! Tick files and Parquet files as the sides of a tiered store.
//!
//! Which segments of the tick files have become rows of the Parquet series is said by the newest version of that series, and by nothing else:
//! the commit that brought the rows names the segment. So a read looks at the tick files first and at the Parquet series second, and leaves out
//! of the former what the latter names. A segment that the first look did not meet any more was named before it was removed.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use minutebook_jsonl::{JsonlTimeSeriesRepository, LINE_COLUMN, SeriesSnapshot};
use minutebook_parquet::{AbsorbedState, ParquetTimeSeriesRepository};

use super::Tiered;
use super::sides::{Look, Scan, Side, Sides, all_fit};
use crate::lazy::Lazy;
use crate::{
    BatchStream, Capabilities, Capability, Result, ScanQuery, SeriesFilter, SeriesId, Snapshot,
    TimeSeriesRepository, Version, WriteMode, WriteReceipt,
};

/// What the two together can do.
pub(crate) const CAPABILITIES: Capabilities = Capabilities::of(&[
    Capability::Persistent,
    Capability::Shared,
    Capability::TimeOrdered,
]);

#[derive(Debug)]
pub(super) struct Files {
    pub(super) hot: Arc<Lazy<JsonlTimeSeriesRepository>>,
    pub(super) cold: Arc<Lazy<ParquetTimeSeriesRepository>>,
    fits: Arc<Fits>,
}

impl Tiered {
    /// Over tick files and Parquet files: sealed segments of the former are moved to the latter by [`compact`](Self::compact), and reads see each row
    /// once all the while, in this and in other processes.
    ///
    /// Of the Parquet repository it takes the tick series alone; what the tick files hold besides is read from there only.
    pub fn over_files(hot: JsonlTimeSeriesRepository, cold: ParquetTimeSeriesRepository) -> Self {
        Self::over_lazy(Arc::new(Lazy::ready(hot)), Arc::new(Lazy::ready(cold)))
    }

    pub(crate) fn over_lazy(
        hot: Arc<Lazy<JsonlTimeSeriesRepository>>,
        cold: Arc<Lazy<ParquetTimeSeriesRepository>>,
    ) -> Self {
        let files = Arc::new(Files {
            hot,
            cold,
            fits: Arc::default(),
        });
        Self {
            sides: Arc::clone(&files) as _,
            files: Some(files),
        }
    }
}

impl Files {
    /// The Parquet side of a series, as its newest version says.
    pub(super) async fn cold_state(&self, series: &SeriesId) -> Result<Option<AbsorbedState>> {
        if !matches!(series, SeriesId::Ticks { .. }) {
            return Ok(None);
        }
        match self.cold.existing()? {
            Some(cold) => cold.absorbed(series).await,
            None => Ok(None),
        }
    }
}

/// The schema without the column of lines.
fn without_lines(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields = fields.filter(|field| field.name() != LINE_COLUMN);
    Arc::new(Schema::new_with_metadata(
        fields.cloned().collect::<Vec<_>>(),
        schema.metadata().clone(),
    ))
}

#[async_trait]
impl Sides for Files {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn keeps_types(&self) -> bool {
        false
    }

    async fn look(&self, series: &SeriesId) -> Result<Look> {
        // In this order.
        let hot = match self.hot.existing()? {
            Some(hot) => hot.snapshot(series).await?,
            None => None,
        };
        let cold = self.cold_state(series).await?;
        let hot = match hot {
            None => None,
            Some(hot) => {
                let moved = |id: &str, number| {
                    let absorbed = cold.as_ref().map(|cold| &cold.absorbed);
                    absorbed.is_some_and(|absorbed| absorbed.has(id, number))
                };
                let hot = hot.without(moved).await?;
                let types = hot.column_types().await?;
                let untyped = types.into_iter().filter(|(_, known)| known.is_none());
                Some(Side {
                    summary: hot.summary().await?,
                    untyped: untyped.map(|(name, _)| name).collect(),
                    scan: Box::new(OfLog(hot)),
                })
            }
        };
        let own = cold.as_ref().map_or(0, |cold| cold.own_commits);
        let version = Version(own + hot.as_ref().map_or(0, |hot| hot.summary.version.0));
        let cold = match (cold, self.cold.existing()?) {
            (Some(state), Some(repository)) => {
                let mut summary = state.summary;
                let scan = OfVersion {
                    repository: Arc::clone(repository),
                    series: series.clone(),
                    version: summary.version,
                    fits: Arc::clone(&self.fits),
                };
                summary.schema = without_lines(&summary.schema);
                Some(Side {
                    summary,
                    untyped: Vec::new(),
                    scan: Box::new(scan),
                })
            }
            _ => None,
        };
        Ok(Look { hot, cold, version })
    }

    async fn cold(&self, series: &SeriesId) -> Result<Option<(u64, SchemaRef)>> {
        let state = self.cold_state(series).await?;
        Ok(state.map(|state| (state.own_commits, state.summary.schema)))
    }

    async fn append(&self, series: &SeriesId, batch: RecordBatch) -> Result<WriteReceipt> {
        self.hot.write(series, batch, WriteMode::Append).await
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        let mut all: BTreeSet<SeriesId> = self.hot.list(filter).await?.into_iter().collect();
        let cold = self.cold.list(filter).await?.into_iter();
        all.extend(cold.filter(|series| matches!(series, SeriesId::Ticks { .. })));
        Ok(all.into_iter().collect())
    }

    async fn delete(&self, series: &SeriesId) -> Result<u64> {
        let mut rows = 0;
        if let Some(hot) = self.hot.existing()? {
            // What has become rows of the other side must not be counted, nor come back once the other side is gone.
            if let Some(mut held) = hot.hand_over(series).await? {
                let cold = self.cold_state(series).await?;
                let segments = held.segments().iter();
                let moved = segments.filter(|segment| {
                    let absorbed = cold.as_ref().map(|cold| &cold.absorbed);
                    absorbed.is_some_and(|absorbed| absorbed.has(&segment.log_id, segment.number))
                });
                let numbers: Vec<u64> = moved.map(|segment| segment.number).collect();
                held.remove(&numbers).await?;
            }
            rows += hot.delete(series, None).await?;
        }
        if self.cold_state(series).await?.is_some()
            && let Some(cold) = self.cold.existing()?
        {
            rows += cold.delete(series, None).await?;
        }
        Ok(rows)
    }
}

/// Reads the tick files as they were looked at.
#[derive(Debug)]
struct OfLog(SeriesSnapshot);

#[async_trait]
impl Scan for OfLog {
    async fn scan(&self, query: &ScanQuery, texts: &[&str]) -> Result<BatchStream> {
        // As their lines have them: `1.10` stays `1.10`.
        let texts = texts
            .iter()
            .map(|name| Field::new(*name, DataType::Utf8, true));
        let texts: SchemaRef = Arc::new(Schema::new(texts.collect::<Vec<_>>()));
        self.0.scan_in_time_order(query, Some(&texts)).await
    }

    async fn fits_floats(&self, column: &str) -> Result<bool> {
        self.0.fits_floats(column).await
    }
}

/// Reads the version of the Parquet series that was looked at.
#[derive(Debug)]
struct OfVersion {
    repository: Arc<ParquetTimeSeriesRepository>,
    series: SeriesId,
    version: Version,
    fits: Arc<Fits>,
}

/// Of columns that were asked for: up to which version of the series that was, and whether a float holds each of their integers.
type Fits = Mutex<HashMap<(SeriesId, String), (Version, bool)>>;

#[async_trait]
impl Scan for OfVersion {
    async fn scan(&self, query: &ScanQuery, _texts: &[&str]) -> Result<BatchStream> {
        let query = query.clone().as_of(Snapshot::Version(self.version));
        self.repository.scan(&self.series, &query).await
    }

    async fn fits_floats(&self, column: &str) -> Result<bool> {
        let key = (self.series.clone(), column.to_owned());
        let known = lock(&self.fits).get(&key).copied();
        if let Some((_, fits)) = known.filter(|(version, _)| *version == self.version) {
            return Ok(fits);
        }
        let fits = all_fit(self, column).await?;
        lock(&self.fits).insert(key, (self.version, fits));
        Ok(fits)
    }
}

fn lock(fits: &Fits) -> MutexGuard<'_, HashMap<(SeriesId, String), (Version, bool)>> {
    // Nothing here is left half-done by a panic.
    fits.lock().unwrap_or_else(PoisonError::into_inner)
}
