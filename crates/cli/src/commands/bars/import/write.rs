//! The second way through a file: its bars into the store.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use minutebook::series::batch::timestamps;
use minutebook::{
    Bar, DatasetName, Minutebook, OnConflict, Row, SeriesId, Symbol, Timeframe, Version, WriteMode,
};

use super::survey::{Survey, runs};
use crate::failure::{Exit, Failure, Outcome};
use crate::input::bars::BarsInput;
use crate::output::format::plural;
use crate::output::progress::Progress;

/// How many rows are collected before they are written: what bounds the memory, and what one commit has.
const COLLECTED: usize = 1 << 20;

/// What is to be done with the bars.
pub(super) struct Job<'a> {
    pub(super) book: &'a Minutebook,
    pub(super) timeframe: Timeframe,
    pub(super) symbol: Option<&'a Symbol>,
    pub(super) mode: WriteMode,
    pub(super) skip_faulty: bool,
    pub(super) register: bool,
    pub(super) name: Option<&'a DatasetName>,
}

/// What was done with one series.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) series: SeriesId,
    pub(super) inserted: u64,
    pub(super) replaced: u64,
    pub(super) skipped: u64,
    pub(super) first: Option<DateTime<Utc>>,
    pub(super) last: Option<DateTime<Utc>>,
    pub(super) version: Version,
    pub(super) dataset: Option<DatasetName>,
    schema: Option<SchemaRef>,
}

impl Job<'_> {
    pub(super) async fn run(
        &self,
        input: &mut BarsInput,
        survey: &Survey,
        progress: &Progress,
    ) -> Outcome<Vec<Written>> {
        let mut series: IndexMap<Symbol, Written> = IndexMap::new();
        for symbol in survey.symbols.keys() {
            let id = SeriesId::bars(symbol.clone(), self.timeframe);
            let summary = self.book.series().summary(&id).await?;
            series.insert(
                symbol.clone(),
                Written {
                    series: id,
                    inserted: 0,
                    replaced: 0,
                    skipped: 0,
                    first: None,
                    last: None,
                    version: summary
                        .as_ref()
                        .map(|summary| summary.version)
                        .unwrap_or_default(),
                    dataset: None,
                    schema: summary.map(|summary| summary.schema),
                },
            );
        }
        let mut collected: IndexMap<Symbol, Vec<RecordBatch>> = IndexMap::new();
        let mut rows = 0;
        let mut pass = input.pass(progress)?;
        while let Some(chunk) = pass.next().await? {
            let bars = if self.skip_faulty {
                Bar::from_batch(&chunk.batch)?
            } else {
                Vec::new()
            };
            runs(&chunk, self.symbol, |symbol, start, end| {
                let mut part = chunk.batch.slice(start, end - start);
                if let Some(bars) = bars.get(start..end) {
                    let good = (0_u64..).zip(bars).filter(|(_, bar)| bar.fault().is_none());
                    let good: UInt64Array = good.map(|(row, _)| row).collect();
                    let faulty = part.num_rows() - good.len();
                    if faulty > 0 {
                        part = take(&part, &good)?;
                        if let Some(written) = series.get_mut(symbol) {
                            written.skipped += faulty as u64;
                        }
                    }
                }
                rows += part.num_rows();
                collected.entry(symbol.clone()).or_default().push(part);
                Ok(())
            })?;
            if rows >= COLLECTED {
                self.flush(&mut collected, &mut series).await?;
                rows = 0;
            }
        }
        self.flush(&mut collected, &mut series).await?;
        let mut written: Vec<Written> = series.into_values().collect();
        for one in &mut written {
            self.finish(one).await?;
        }
        Ok(written)
    }

    async fn flush(
        &self,
        collected: &mut IndexMap<Symbol, Vec<RecordBatch>>,
        series: &mut IndexMap<Symbol, Written>,
    ) -> Outcome {
        for (symbol, batches) in collected.drain(..) {
            let Some((schema, written)) = batches
                .first()
                .map(RecordBatch::schema)
                .zip(series.get_mut(&symbol))
            else {
                continue;
            };
            let batch = arrow_select::concat::concat_batches(&schema, &batches)
                .map_err(|error| Failure::new(Exit::Failure, format!("{symbol}: {error}")))?;
            if batch.num_rows() == 0 {
                continue;
            }
            let batch = fit(&batch, written.schema.as_ref())?;
            if let Err(failure) = self.write(written, batch).await {
                let before: u64 = series.values().map(|one| one.inserted + one.replaced).sum();
                return Err(match before {
                    0 => failure,
                    _ => failure.with_note(&format!(
                        "{} written before; the import can be repeated",
                        plural(before, "bar")
                    )),
                });
            }
        }
        Ok(())
    }

    async fn write(&self, written: &mut Written, batch: RecordBatch) -> Outcome {
        let rows = batch.num_rows() as u64;
        let batch = match self.mode {
            WriteMode::Upsert { on_conflict } => once_each(batch, on_conflict)?,
            WriteMode::Append | WriteMode::ReplaceRange(_) => batch,
        };
        let dropped = rows - batch.num_rows() as u64;
        let receipt = self
            .book
            .series()
            .write(&written.series, batch, self.mode)
            .await
            .map_err(|error| error.with_resource(&written.series))?;
        written.inserted += receipt.inserted;
        written.replaced += receipt.replaced;
        written.skipped += receipt.skipped + dropped;
        written.version = receipt.version;
        Ok(())
    }

    async fn finish(&self, written: &mut Written) -> Outcome {
        let Some(summary) = self.book.series().summary(&written.series).await? else {
            return Ok(());
        };
        (written.first, written.last) = (summary.first, summary.last);
        if self.register {
            let name = match self.name {
                Some(name) => name.clone(),
                None => Minutebook::default_name(&written.series)?,
            };
            self.book
                .register_series(&name, &written.series)
                .await
                .map_err(|error| {
                    Failure::from(error)
                        .with_note("the bars are imported; --register NAME or --no-register")
                })?;
            written.dataset = Some(name);
        }
        Ok(())
    }
}

fn take(batch: &RecordBatch, rows: &UInt64Array) -> Outcome<RecordBatch> {
    arrow_select::take::take_record_batch(batch, rows)
        .map_err(|error| Failure::new(Exit::Failure, error.to_string()))
}

/// Leaves one bar at each time: the last in the file if new bars replace old ones, else the first.
fn once_each(batch: RecordBatch, on_conflict: OnConflict) -> Outcome<RecordBatch> {
    let nanos = timestamps(&batch)?.values();
    if nanos.windows(2).all(|pair| pair[0] < pair[1]) {
        return Ok(batch);
    }
    let mut chosen: HashMap<i64, u64> = HashMap::with_capacity(nanos.len());
    for (row, nanos) in (0_u64..).zip(nanos) {
        match on_conflict {
            OnConflict::Replace => {
                chosen.insert(*nanos, row);
            }
            OnConflict::Keep | OnConflict::Fail => {
                chosen.entry(*nanos).or_insert(row);
            }
        }
    }
    if chosen.len() == nanos.len() {
        return Ok(batch);
    }
    let mut rows: Vec<u64> = chosen.into_values().collect();
    rows.sort_unstable();
    take(&batch, &UInt64Array::from(rows))
}

/// Fits columns to the types that the series has already where nothing is lost: whole numbers into floating point, anything into text.
fn fit(batch: &RecordBatch, stored: Option<&SchemaRef>) -> Outcome<RecordBatch> {
    let Some(stored) = stored else {
        return Ok(batch.clone());
    };
    let schema = batch.schema();
    let mut fields = Vec::with_capacity(schema.fields().len());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let wanted = stored
            .fields()
            .find(field.name())
            .map(|(_, field)| field.data_type());
        match (field.data_type(), wanted) {
            (DataType::Int64, Some(wanted @ DataType::Float64))
            | (_, Some(wanted @ DataType::Utf8))
                if field.data_type() != wanted =>
            {
                let cast = arrow_cast::cast(column, wanted).map_err(|error| {
                    Failure::data(format!("the column {:?}: {error}", field.name()))
                })?;
                fields.push(Arc::new(Field::new(field.name(), wanted.clone(), true)));
                columns.push(cast);
            }
            _ => {
                fields.push(Arc::clone(field));
                columns.push(Arc::clone(column));
            }
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|error| Failure::data(error.to_string()))
}
