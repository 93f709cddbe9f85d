//! Any two repositories as the sides of a tiered store.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use async_trait::async_trait;

use super::merge::sorted;
use super::sides::{Look, Scan, Side, Sides, all_fit};
use crate::{
    BatchStream, Capabilities, Capability, Result, ScanQuery, SeriesFilter, SeriesId, Take,
    TimeSeriesRepository, Version, WriteMode, WriteReceipt,
};

/// What both must be able to do for the two together to be able to.
const OF_BOTH: [Capability; 3] = [
    Capability::Persistent,
    Capability::Shared,
    Capability::ExactTypes,
];

#[derive(Debug)]
pub(super) struct Plain {
    hot: Arc<dyn TimeSeriesRepository>,
    cold: Arc<dyn TimeSeriesRepository>,
    capabilities: Capabilities,
}

impl Plain {
    pub(super) fn new(
        hot: Arc<dyn TimeSeriesRepository>,
        cold: Arc<dyn TimeSeriesRepository>,
    ) -> Self {
        let (of_hot, of_cold) = (hot.capabilities(), cold.capabilities());
        let both = |capability: &Capability| of_hot.has(*capability) && of_cold.has(*capability);
        let mut all: Vec<Capability> = OF_BOTH.into_iter().filter(both).collect();
        if of_hot.has(Capability::TimeOrdered) || of_cold.has(Capability::TimeOrdered) {
            all.push(Capability::TimeOrdered);
        }
        Self {
            hot,
            cold,
            capabilities: Capabilities::of(&all),
        }
    }

    async fn side(
        &self,
        repository: &Arc<dyn TimeSeriesRepository>,
        series: &SeriesId,
    ) -> Result<Option<Side>> {
        let Some(summary) = repository.summary(series).await? else {
            return Ok(None);
        };
        let has_order = repository.capabilities().has(Capability::TimeOrdered);
        let scan = OfRepository {
            repository: Arc::clone(repository),
            series: series.clone(),
            sorts: self.capabilities.has(Capability::TimeOrdered) && !has_order,
        };
        Ok(Some(Side {
            summary,
            untyped: Vec::new(),
            scan: Box::new(scan),
        }))
    }
}

#[async_trait]
impl Sides for Plain {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn keeps_types(&self) -> bool {
        self.hot.capabilities().has(Capability::ExactTypes)
    }

    async fn look(&self, series: &SeriesId) -> Result<Look> {
        let hot = self.side(&self.hot, series).await?;
        let cold = self.side(&self.cold, series).await?;
        let version = |side: &Option<Side>| side.as_ref().map_or(0, |side| side.summary.version.0);
        Ok(Look {
            version: Version(version(&hot) + version(&cold)),
            hot,
            cold,
        })
    }

    async fn cold(&self, series: &SeriesId) -> Result<Option<(u64, SchemaRef)>> {
        let summary = self.cold.summary(series).await?;
        Ok(summary.map(|summary| (summary.version.0, summary.schema)))
    }

    async fn append(&self, series: &SeriesId, batch: RecordBatch) -> Result<WriteReceipt> {
        self.hot.write(series, batch, WriteMode::Append).await
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        let mut all: BTreeSet<SeriesId> = self.hot.list(filter).await?.into_iter().collect();
        all.extend(self.cold.list(filter).await?);
        Ok(all.into_iter().collect())
    }

    async fn delete(&self, series: &SeriesId) -> Result<u64> {
        let hot = self.hot.delete(series, None).await?;
        Ok(hot + self.cold.delete(series, None).await?)
    }
}

/// Reads one repository.
#[derive(Debug)]
struct OfRepository {
    repository: Arc<dyn TimeSeriesRepository>,
    series: SeriesId,
    /// Whether its rows have to be put in the order of time here: then those of the range are held in memory.
    sorts: bool,
}

#[async_trait]
impl Scan for OfRepository {
    async fn scan(&self, query: &ScanQuery, _texts: &[&str]) -> Result<BatchStream> {
        if !self.sorts {
            return self.repository.scan(&self.series, query).await;
        }
        let mut all = query.clone();
        all.take = Take::All;
        let stream = self.repository.scan(&self.series, &all).await?;
        let schema = Arc::clone(stream.schema());
        let (batch, report) = stream.concat().await?;
        let batch = sorted(batch)?;
        let rows = batch.num_rows();
        let batch = match query.take {
            Take::First(count) => batch.slice(0, count.min(rows)),
            Take::Last(count) => batch.slice(rows - count.min(rows), count.min(rows)),
            _ => batch,
        };
        let handle = crate::series::ReportHandle::default();
        handle.merge(report);
        let batches = futures_util::stream::iter([Ok(batch)]);
        Ok(BatchStream::with_report(schema, handle, batches))
    }

    async fn fits_floats(&self, column: &str) -> Result<bool> {
        all_fit(self, column).await
    }
}
