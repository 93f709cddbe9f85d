//! What a tiered store needs of its two sides.

use std::fmt::Debug;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use async_trait::async_trait;
use futures_util::StreamExt;

use crate::{
    BatchStream, Capabilities, Result, ScanQuery, SeriesFilter, SeriesId, SeriesSummary, Version,
    WriteReceipt,
};

/// A series as both sides have it at one moment: no row is in both, and none in neither.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) hot: Option<Side>,
    pub(super) cold: Option<Side>,
    pub(super) version: Version,
}

/// One side of a series.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) summary: SeriesSummary,
    /// Columns of which no value says what type they have.
    pub(super) untyped: Vec<String>,
    pub(super) scan: Box<dyn Scan>,
}

impl Side {
    /// The type of a column, if there is such a column and its type is known.
    pub(super) fn type_of(&self, name: &str) -> Option<&DataType> {
        let (_, field) = self.summary.schema.fields().find(name)?;
        let typed = !self.untyped.iter().any(|untyped| untyped == name);
        typed.then(|| field.data_type())
    }
}

/// Reads a side as it was looked at, in the order in which the tiered store needs it.
#[async_trait]
pub(super) trait Scan: Debug + Send + Sync {
    /// Columns of `texts` are read as text where that tells more than the values as they are.
    async fn scan(&self, query: &ScanQuery, texts: &[&str]) -> Result<BatchStream>;

    /// Whether a float holds each integer of a column exactly.
    async fn fits_floats(&self, column: &str) -> Result<bool>;
}

/// As [`fits_floats`](Scan::fits_floats), by reading the whole column.
pub(super) async fn all_fit(scan: &dyn Scan, column: &str) -> Result<bool> {
    let query = ScanQuery::new().columns([column]);
    let mut rows = scan.scan(&query, &[]).await?;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let ints = batch
            .column_by_name(column)
            .and_then(|column| column.as_primitive_opt::<Int64Type>());
        if !ints.is_some_and(are_floats) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a float holds each of these integers: up to 2^53 it does.
pub(super) fn are_floats(ints: &Int64Array) -> bool {
    ints.iter()
        .flatten()
        .all(|int| int.unsigned_abs() <= 1 << 53)
}

/// The two sides.
#[async_trait]
pub(super) trait Sides: Debug + Send + Sync {
    fn capabilities(&self) -> Capabilities;

    /// Whether the hot side keeps every Arrow type.
    fn keeps_types(&self) -> bool;

    async fn look(&self, series: &SeriesId) -> Result<Look>;

    /// What of the version is the cold side's, and its schema.
    async fn cold(&self, series: &SeriesId) -> Result<Option<(u64, SchemaRef)>>;

    /// Appends to the hot side.
    async fn append(&self, series: &SeriesId, batch: RecordBatch) -> Result<WriteReceipt>;

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>>;

    async fn delete(&self, series: &SeriesId) -> Result<u64>;
}
