//! Two repositories as one: what is written goes to the hot one, and what was moved to the cold one is read with it.

#[cfg(all(feature = "jsonl", feature = "parquet"))]
mod compact;
#[cfg(all(feature = "jsonl", feature = "parquet"))]
mod files;
#[cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
mod held;
mod merge;
mod plain;
mod sides;
mod unify;

use std::sync::Arc;

use arrow_array::RecordBatch;
use async_trait::async_trait;

use self::merge::{Merge, Order};
use self::sides::{Look, Side, Sides};
use crate::series::ReportHandle;
use crate::{
    BatchStream, Capabilities, Direction, Error, ErrorKind, Result, ScanQuery, SeriesFilter,
    SeriesId, SeriesSummary, Snapshot, TimeRange, TimeSeriesRepository, Version, WriteMode,
    WriteReceipt,
};

#[cfg(all(feature = "jsonl", feature = "parquet"))]
pub use compact::{CompactedSeries, RefusedSegment};
#[cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
pub(crate) use held::Held;

/// A hot and a cold repository as one series store.
///
/// Appends go to the hot one. A read takes the rows of both, in the order of time where either has the capability
/// [`TimeOrdered`](crate::Capability::TimeOrdered) (rows of the cold one come first where times are equal), else those of the cold one and then those of
/// the hot one. Columns are those of both. One that has two types is read as one type that holds the values of both: `Int64` and `Float64` as `Float64` if floats hold
/// each integer, other numbers, booleans, instants and text as text, which the report of the read says: numbers in their shortest form, from tick files as the line has
/// them. For types without such a text (lists, bytes) it is [`SchemaMismatch`](ErrorKind::SchemaMismatch), which names the column. Rows cannot be replaced and earlier versions not
/// read, as [`capabilities`](TimeSeriesRepository::capabilities) say.
///
/// A read holds a bounded part of the rows: over tick files about as much as `JsonlConfig::sort_bytes` says and a few batches, however the times
/// lie in them; `last(n)` holds the rows that it gives. Over two other repositories of which one alone is in the order of time, the other's rows of the range are held.
///
/// Over any two repositories ([`new`](Self::new)) whoever moves rows from one to the other has to see to it that no read meets them in both
/// or in neither. Over tick files and Parquet files (`Tiered::over_files`) that is done: `compact` moves sealed segments, and no read sees it.
///
/// ```
/// # #[cfg(feature = "memory")] {
/// use minutebook::{SeriesId, Tick, Tiered, TimeRange, TimeSeriesRepositoryExt, memory::MemoryTimeSeriesRepository, time::parse_timestamp};
///
/// # tokio::runtime::Builder::new_current_thread().build().map_err(|e| minutebook::Error::invalid(e.to_string()))?.block_on(async {
/// let btc = SeriesId::ticks("BTCUSD".parse()?);
/// let tick = |text, price| Ok::<_, minutebook::Error>(Tick { timestamp: parse_timestamp(text)?, price, size: None, side: None });
/// let cold = MemoryTimeSeriesRepository::new();
/// cold.append_ticks(&btc, &[tick("2025-01-01", 1.0)?]).await?;
/// let ticks = Tiered::new(MemoryTimeSeriesRepository::new(), cold);
/// ticks.append_ticks(&btc, &[tick("2025-01-02", 2.0)?]).await?;
/// assert_eq!(ticks.ticks(&btc, TimeRange::all()).await?.len(), 2);
/// # Ok::<(), minutebook::Error>(())
/// # })?;
/// # }
/// # Ok::<(), minutebook::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tiered {
    sides: Arc<dyn Sides>,
    #[cfg(all(feature = "jsonl", feature = "parquet"))]
    files: Option<Arc<files::Files>>,
}

/// So often a read begins anew if a segment was moved between the look at the series and the read.
const ATTEMPTS: usize = 8;

impl Tiered {
    /// Over any two repositories.
    pub fn new(hot: impl TimeSeriesRepository, cold: impl TimeSeriesRepository) -> Self {
        Self {
            sides: Arc::new(plain::Plain::new(Arc::new(hot), Arc::new(cold))),
            #[cfg(all(feature = "jsonl", feature = "parquet"))]
            files: None,
        }
    }

    async fn scan_once(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
        let look = self.sides.look(series).await?;
        let Look { hot, cold, .. } = look;
        let (schema, texts) = match (&hot, &cold) {
            (None, None) => {
                return Err(Error::new(ErrorKind::NotFound, "there is no such series"));
            }
            (Some(one), None) | (None, Some(one)) => (Arc::clone(&one.summary.schema), Vec::new()),
            (Some(hot), Some(cold)) => {
                let columns = unify::columns(series, cold, hot).await?;
                (columns.schema, columns.texts)
            }
        };
        let projected = query.project(&schema)?;
        let report = ReportHandle::default();
        let mut names = Vec::new();
        for (name, problem) in texts {
            if let Some((_, field)) = projected.fields().find(&name) {
                names.push(field.name().as_str());
                report.add(problem);
            }
        }
        let open = async |side: Option<Side>| match side {
            None => Ok(None),
            Some(side) => {
                let there = &side.summary.schema;
                let wanted = projected.fields().iter().skip(1).map(|field| field.name());
                let wanted = wanted.filter(|name| there.fields().find(name).is_some());
                let query = query.clone().columns(wanted.map(String::as_str));
                side.scan.scan(&query, &names).await.map(Some)
            }
        };
        let hot = open(hot).await?;
        let cold = open(cold).await?;
        let order = if self
            .sides
            .capabilities()
            .has(crate::Capability::TimeOrdered)
        {
            Order::Time
        } else {
            Order::Written
        };
        let merge = Merge::new(
            cold,
            hot,
            Arc::clone(&projected),
            query,
            order,
            report.clone(),
        );
        Ok(BatchStream::with_report(projected, report, merge.batches()))
    }
}

fn told(error: Error, operation: &'static str, series: &SeriesId) -> Error {
    error
        .with_backend("tiered")
        .with_operation(operation)
        .with_resource(series)
}

#[async_trait]
impl TimeSeriesRepository for Tiered {
    fn capabilities(&self) -> Capabilities {
        self.sides.capabilities()
    }

    async fn write(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt> {
        if mode != WriteMode::Append {
            let why = "rows of tiered series cannot be replaced: they may be in either of the two stores; use Append";
            return Err(told(Error::unsupported(why), "write", series));
        }
        let cold = self.sides.cold(series).await?;
        if let Some((_, schema)) = &cold {
            let exact = self.sides.keeps_types();
            unify::check(schema, &batch, exact).map_err(|error| told(error, "write", series))?;
        }
        let mut receipt = self.sides.append(series, batch).await?;
        receipt.version = Version(receipt.version.0 + cold.map_or(0, |(version, _)| version));
        Ok(receipt)
    }

    async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
        if query.snapshot != Snapshot::Latest {
            let why = "tiered series keep no versions; read the latest state";
            return Err(told(Error::unsupported(why), "scan", series));
        }
        if query.direction != Direction::OldestFirst {
            let why = "tiered series are read the earliest row first; last(n) takes the last rows";
            return Err(told(Error::unsupported(why), "scan", series));
        }
        let mut attempt = 1;
        loop {
            match self.scan_once(series, query).await {
                // What was looked at may be elsewhere by now.
                Err(error) if error.kind() == ErrorKind::Unavailable && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                Err(error) => return Err(told(error, "scan", series)),
                Ok(stream) => return Ok(stream),
            }
        }
    }

    async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
        let mut attempt = 1;
        let Look { hot, cold, version } = loop {
            match self.sides.look(series).await {
                // A segment moved while it was looked at.
                Err(error) if error.kind() == ErrorKind::Unavailable && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                looked => break looked?,
            }
        };
        let mut summary = match (hot, cold) {
            (None, None) => return Ok(None),
            (Some(one), None) | (None, Some(one)) => one.summary,
            (Some(hot), Some(cold)) => {
                let columns = unify::columns(series, &cold, &hot)
                    .await
                    .map_err(|error| told(error, "summary", series))?;
                let (hot, cold) = (hot.summary, cold.summary);
                let pick = |a: Option<_>, b: Option<_>, first: bool| match (a, b) {
                    (Some(a), Some(b)) if first => Some(std::cmp::min(a, b)),
                    (Some(a), Some(b)) => Some(std::cmp::max(a, b)),
                    (a, b) => a.or(b),
                };
                SeriesSummary {
                    rows: hot.rows + cold.rows,
                    first: pick(hot.first, cold.first, true),
                    last: pick(hot.last, cold.last, false),
                    bytes: hot.bytes + cold.bytes,
                    schema: columns.schema,
                    version,
                    key: None,
                }
            }
        };
        summary.version = version;
        Ok(Some(summary))
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        self.sides.list(filter).await
    }

    async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
        if range.is_some() {
            let why = "a range of a tiered series cannot be deleted, only the whole series";
            return Err(told(Error::unsupported(why), "delete", series));
        }
        self.sides.delete(series).await
    }
}
