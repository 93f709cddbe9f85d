//! The answer of a scan: batches one after another, with a report of what was skipped.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures_core::Stream;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::error::Result;
use crate::report::{Problem, ReadReport};

/// The report of a running scan; clones share it.
#[derive(Debug, Clone, Default)]
pub struct ReportHandle(Arc<Mutex<ReadReport>>);

impl ReportHandle {
    /// Counts a problem.
    pub fn add(&self, problem: Problem) {
        self.lock().add(problem);
    }

    /// Adds another report's problems.
    pub fn merge(&self, report: ReadReport) {
        self.lock().merge(report);
    }

    /// The report as it stands.
    pub fn snapshot(&self) -> ReadReport {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ReadReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The batches of a scan, all of one schema, none of them empty.
///
/// What could not be read is in [`report`](Self::report), which is complete once the stream has ended.
pub struct BatchStream {
    schema: SchemaRef,
    report: ReportHandle,
    batches: Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>,
}

impl BatchStream {
    /// A stream of these batches. Empty batches are left out.
    pub fn new(
        schema: SchemaRef,
        batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    ) -> Self {
        Self::with_report(schema, ReportHandle::default(), batches)
    }

    /// A stream whose producer counts in `report` what it skips.
    pub fn with_report(
        schema: SchemaRef,
        report: ReportHandle,
        batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    ) -> Self {
        let filled = batches.try_filter(|batch| std::future::ready(batch.num_rows() > 0));
        Self {
            schema,
            report,
            batches: Box::pin(filled),
        }
    }

    /// A stream of batches that are at hand.
    pub fn from_batches(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self::new(schema, stream::iter(batches.into_iter().map(Ok)))
    }

    /// The schema of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What was skipped so far.
    pub fn report(&self) -> ReadReport {
        self.report.snapshot()
    }

    /// Reads to the end: the batches and the report.
    pub async fn collect(mut self) -> Result<(Vec<RecordBatch>, ReadReport)> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        Ok((batches, self.report.snapshot()))
    }

    /// Reads to the end into one batch, and hands over the report.
    ///
    /// # Errors
    /// What the scan met, or [`InvalidInput`](crate::ErrorKind::InvalidInput) if the rows do not fit into one batch.
    pub async fn concat(self) -> Result<(RecordBatch, ReadReport)> {
        let schema = Arc::clone(&self.schema);
        let (batches, report) = self.collect().await?;
        let batch = arrow_select::concat::concat_batches(&schema, &batches).map_err(|error| {
            crate::Error::invalid("the rows do not fit into one batch").with_source(error)
        })?;
        Ok((batch, report))
    }
}

impl Stream for BatchStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.poll_next_unpin(context)
    }
}

impl fmt::Debug for BatchStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchStream")
            .field("schema", &self.schema)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}
