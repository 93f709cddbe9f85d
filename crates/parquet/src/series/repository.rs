//! The trait of a store of time series.

use arrow_array::RecordBatch;
use async_trait::async_trait;
use futures_util::TryStreamExt;
use minutebook_core::series::batch::TIMESTAMP;
use minutebook_core::{
    BatchStream, Capabilities, Capability, Result, ScanQuery, SeriesFilter, SeriesId, SeriesKey,
    SeriesSummary, TimeRange, TimeSeriesRepository, Version, WriteMode, WriteReceipt,
};

use super::snapshot::summary;
use super::stream::Shape;
use super::{Inner, ParquetTimeSeriesRepository, plan, stream};
use crate::error::Fault;
use crate::layout::{series_of, symbol_dir};
use crate::log::{Log, Metadata};

#[async_trait]
impl TimeSeriesRepository for ParquetTimeSeriesRepository {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Persistent,
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
        let written = self
            .inner
            .write(series, batch, mode, &Metadata::new())
            .await;
        self.inner.explained(series, "write", written).await
    }

    async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
        let scanned = self.scan_inner(series, query).await;
        self.inner.explained(series, "scan", scanned).await
    }

    async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
        let current = self.inner.current(&self.inner.log(series)).await;
        match current {
            Ok(commit) => Ok(commit.map(|commit| summary(&commit))),
            Err(fault) => Err(fault.told("summary", series)),
        }
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        let listed = self.inner.list(filter).await;
        listed.map_err(|fault| fault.told("list", "series"))
    }

    async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
        let deleted = match range {
            Some(range) => self.inner.delete_range(series, range).await,
            None => self.inner.delete_series(series).await,
        };
        self.inner.explained(series, "delete", deleted).await
    }

    async fn declare_key(&self, series: &SeriesId, key: Option<&SeriesKey>) -> Result<Version> {
        let declared = self.declare(series, key).await;
        self.inner.explained(series, "declare_key", declared).await
    }
}

impl ParquetTimeSeriesRepository {
    async fn scan_inner(
        &self,
        series: &SeriesId,
        query: &ScanQuery,
    ) -> crate::error::Result<BatchStream> {
        let inner = &self.inner;
        let log = inner.log(series);
        let commit = inner.snapshot(&log, query.snapshot).await?;
        let schema = query.project(&commit.schema)?;
        let range = query.range.nanos();
        let segments = if query.range.is_empty() {
            Vec::new()
        } else {
            inner.overlapping(&log, &commit, range, query.take).await?
        };
        let reader = inner.segments(&log);
        let parts = plan::parts(&reader, segments, range).await?;
        let pieces = plan::pieces(parts, query.take);
        let columns = query.columns.is_some().then(|| {
            let names = schema.fields().iter().map(|field| field.name().clone());
            names
                .filter(|name| name != TIMESTAMP)
                .chain([TIMESTAMP.to_owned()])
                .collect()
        });
        let shape = Shape {
            reader,
            schema: std::sync::Arc::clone(&schema),
            columns,
            batch_size: query.batch_size.max(1),
            read_ahead: inner.config.read_ahead,
        };
        let (repository, series) = (self.clone(), series.clone());
        let batches = stream::batches(pieces, shape, query.direction).or_else(move |fault| {
            let (repository, series) = (repository.clone(), series.clone());
            async move {
                repository
                    .inner
                    .explained(&series, "scan", Err(fault))
                    .await
            }
        });
        Ok(BatchStream::new(schema, batches))
    }
}

impl Inner {
    /// A fault as the caller sees it. A file that has gone is damage if the newest version still names it.
    pub(super) async fn explained<T>(
        &self,
        series: &SeriesId,
        operation: &'static str,
        result: crate::error::Result<T>,
    ) -> Result<T> {
        let fault = match result {
            Ok(value) => return Ok(value),
            Err(Fault::Vanished { path }) => {
                let log = self.log(series);
                match self.names(&log, &path).await {
                    Ok(true) => Fault::corrupt(&path, "the file is missing"),
                    _ => Fault::Vanished { path },
                }
            }
            Err(fault) => fault,
        };
        Err(fault.told(operation, series))
    }

    /// Whether the newest version names a file.
    async fn names(&self, log: &Log, path: &str) -> crate::error::Result<bool> {
        let Some(commit) = self.current(log).await? else {
            return Ok(false);
        };
        if commit
            .segments
            .iter()
            .any(|segment| log.dir.data(&segment.file).as_ref() == path)
        {
            return Ok(true);
        }
        for group in &commit.groups {
            if log.dir.group(&group.file).as_ref() == path {
                return Ok(true);
            }
            let segments = self.group(log, group).await?;
            if segments
                .iter()
                .any(|segment| log.dir.data(&segment.file).as_ref() == path)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn list(&self, filter: &SeriesFilter) -> crate::error::Result<Vec<SeriesId>> {
        let outer = match &filter.symbol {
            Some(symbol) => vec![symbol_dir(symbol)],
            None => self.storage.level(None).await?.common_prefixes,
        };
        let mut found = Vec::new();
        for outer in outer {
            for inner in self.storage.level(Some(&outer)).await?.common_prefixes {
                let name = inner.filename().unwrap_or_default();
                let Some(series) = series_of(outer.as_ref(), name) else {
                    tracing::debug!(directory = %inner, "is no series");
                    continue;
                };
                if filter.matches(&series) && self.current(&self.log(&series)).await?.is_some() {
                    found.push(series);
                }
            }
        }
        found.sort();
        Ok(found)
    }
}
