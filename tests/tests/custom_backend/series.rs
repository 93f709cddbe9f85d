//! Series in a log: what JSON can hold, in the order written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampNanosecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use async_trait::async_trait;
use minutebook_core::series::batch::{
    align, bounds, checked, merge_schemas, timestamp_field, timestamps,
};
use minutebook_core::time::from_nanos;
use minutebook_core::{
    BatchStream, Capabilities, Capability, Direction, Error, ErrorKind, Result, ScanQuery,
    SeriesFilter, SeriesId, SeriesSummary, Snapshot, Take, TimeRange, TimeSeriesRepository,
    Version, WriteMode, WriteReceipt,
};
use serde_json::{Value, json};

use crate::log::{BACKEND, Log, damaged};

/// A [`TimeSeriesRepository`] over one file.
#[derive(Debug)]
pub(crate) struct LogSeries {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    log: Log,
    series: BTreeMap<SeriesId, Series>,
    /// Counts the changes; a series' version is the count at its last one.
    changes: u64,
}

/// One series. A scan works on a copy, which shares the rows, so nothing that is written meanwhile reaches it.
#[derive(Debug, Clone)]
struct Series {
    version: Version,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl LogSeries {
    /// Opens the store, and makes it if it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (log, lines) = Log::open(path)?;
        let mut state = State {
            log,
            series: BTreeMap::new(),
            changes: 0,
        };
        for (n, line) in lines.iter().enumerate() {
            state
                .replay(line)
                .map_err(|error| damaged(path, n, error))?;
        }
        Ok(Self {
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of the types that JSON can hold.
const TYPES: [(&str, DataType); 4] = [
    ("int", DataType::Int64),
    ("float", DataType::Float64),
    ("bool", DataType::Boolean),
    ("text", DataType::Utf8),
];

fn type_name(field: &Field) -> Result<&'static str> {
    let known = TYPES.iter().find(|(_, kind)| kind == field.data_type());
    known.map(|(name, _)| *name).ok_or_else(|| {
        Error::unsupported(format!(
            "the column \"{}\" is of {}; this store keeps Int64, Float64, Boolean and Utf8",
            field.name(),
            field.data_type()
        ))
    })
}

fn cell(column: &ArrayRef, row: usize) -> Result<Value> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    if let Some(column) = column.as_primitive_opt::<Int64Type>() {
        return Ok(column.value(row).into());
    }
    if let Some(column) = column.as_primitive_opt::<Float64Type>() {
        // JSON has no text for NaN and infinity, and `null` would be another value.
        let number = serde_json::Number::from_f64(column.value(row));
        let refused = || Error::invalid("the log cannot hold NaN or infinity");
        return number.map(Value::Number).ok_or_else(refused);
    }
    match column.as_boolean_opt() {
        Some(column) => Ok(column.value(row).into()),
        None => Ok(column.as_string::<i32>().value(row).into()),
    }
}

/// The line of a batch: its columns with their types, and its rows.
fn encode(series: &SeriesId, batch: &RecordBatch) -> Result<Value> {
    let mut columns = Vec::new();
    for field in &batch.schema().fields()[1..] {
        columns.push(json!([field.name(), type_name(field)?]));
    }
    let mut rows = Vec::new();
    for (row, time) in timestamps(batch)?.values().iter().enumerate() {
        let mut cells = vec![Value::from(*time)];
        for column in &batch.columns()[1..] {
            cells.push(cell(column, row)?);
        }
        rows.push(Value::Array(cells));
    }
    Ok(json!({ "write": series, "columns": columns, "rows": rows }))
}

fn decode(line: &Value) -> Result<RecordBatch> {
    let unreadable = || Error::new(ErrorKind::Corrupt, "not a write of this store");
    let rows = line["rows"].as_array().ok_or_else(unreadable)?;
    let times = rows
        .iter()
        .map(|row| row[0].as_i64())
        .collect::<Option<Vec<_>>>();
    let times = TimestampNanosecondArray::from(times.ok_or_else(unreadable)?).with_timezone("UTC");
    let mut fields = vec![timestamp_field()];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(times)];
    for (n, column) in line["columns"]
        .as_array()
        .ok_or_else(unreadable)?
        .iter()
        .enumerate()
    {
        let kind = TYPES.into_iter().find(|(name, _)| column[1] == *name);
        let (_, kind) = kind.ok_or_else(unreadable)?;
        let cells = rows.iter().map(|row| &row[n + 1]);
        columns.push(match kind {
            DataType::Int64 => Arc::new(cells.map(Value::as_i64).collect::<Int64Array>()),
            DataType::Float64 => Arc::new(cells.map(Value::as_f64).collect::<Float64Array>()),
            DataType::Boolean => Arc::new(cells.map(Value::as_bool).collect::<BooleanArray>()),
            _ => Arc::new(cells.map(Value::as_str).collect::<StringArray>()),
        });
        fields.push(Field::new(
            column[0].as_str().ok_or_else(unreadable)?,
            kind,
            true,
        ));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|e| unreadable().with_source(e))
}

/// The rows that lie in a range, or those that do not.
fn sifted(batch: &RecordBatch, range: TimeRange, inside: bool) -> Result<RecordBatch> {
    let times = timestamps(batch)?.values();
    let mask = times
        .iter()
        .map(|time| Some(range.contains(from_nanos(*time)) == inside));
    filter_record_batch(batch, &mask.collect::<BooleanArray>())
        .map_err(|error| Error::invalid("the rows cannot be sifted").with_source(error))
}

impl Series {
    fn rows(&self) -> u64 {
        self.batches
            .iter()
            .map(|batch| batch.num_rows() as u64)
            .sum()
    }

    fn scan(&self, query: &ScanQuery) -> Result<BatchStream> {
        if query.snapshot != Snapshot::Latest {
            return Err(Error::unsupported("this store keeps no earlier versions"));
        }
        if query.direction != Direction::OldestFirst {
            return Err(Error::unsupported("rows come the oldest first"));
        }
        let schema = query.project(&self.schema)?;
        let mut parts = Vec::new();
        for batch in &self.batches {
            parts.push(align(&sifted(batch, query.range, true)?, &schema)?);
        }
        let all = concat_batches(&schema, &parts)
            .map_err(|error| Error::invalid("too many rows for one answer").with_source(error))?;
        let (from, count) = match query.take {
            Take::All => (0, all.num_rows()),
            Take::First(n) => (0, n.min(all.num_rows())),
            Take::Last(n) => (all.num_rows().saturating_sub(n), n.min(all.num_rows())),
            _ => return Err(Error::unsupported("this way to cut is not known here")),
        };
        let all = all.slice(from, count);
        let starts = (0..count).step_by(query.batch_size);
        let batches = starts.map(|start| all.slice(start, query.batch_size.min(count - start)));
        Ok(BatchStream::from_batches(schema, batches.collect()))
    }

    fn summary(&self) -> Result<SeriesSummary> {
        let bounds = self
            .batches
            .iter()
            .map(bounds)
            .collect::<Result<Vec<_>>>()?;
        let size = |batch: &RecordBatch| batch.get_array_memory_size() as u64;
        Ok(SeriesSummary {
            rows: self.rows(),
            first: bounds.iter().flatten().map(|(first, _)| *first).min(),
            last: bounds.iter().flatten().map(|(_, last)| *last).max(),
            bytes: self.batches.iter().map(size).sum(),
            schema: Arc::clone(&self.schema),
            version: self.version,
            key: None,
        })
    }
}

impl State {
    fn replay(&mut self, line: &Value) -> Result<()> {
        self.changes += 1;
        let version = Version(self.changes);
        if let Some(id) = line["write"].as_str() {
            let batch = decode(line)?;
            let series = self.series.entry(id.parse()?).or_insert_with(|| Series {
                version,
                schema: batch.schema(),
                batches: Vec::new(),
            });
            series.schema = merge_schemas(&series.schema, batch.schema_ref())?;
            series.version = version;
            series.batches.push(batch);
            return Ok(());
        }
        let id: SeriesId = line["delete"].as_str().unwrap_or_default().parse()?;
        let bound = |name: &str| line[name].as_i64().map(from_nanos);
        if line["range"] != true {
            self.series.remove(&id);
        } else if let Some(series) = self.series.get_mut(&id) {
            let range = TimeRange::between(bound("start"), bound("end"))?;
            for batch in &mut series.batches {
                *batch = sifted(batch, range, false)?;
            }
            series.version = version;
        }
        Ok(())
    }

    /// Writes a change, and only then makes it visible.
    fn apply(&mut self, change: &Value) -> Result<Version> {
        self.log.append(change)?;
        self.replay(change)?;
        Ok(Version(self.changes))
    }

    fn write(
        &mut self,
        id: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt> {
        if mode != WriteMode::Append {
            return Err(Error::unsupported("this store only appends"));
        }
        // Everything that can be wrong is found before anything is written.
        let batch = checked(batch)?;
        let mut receipt = WriteReceipt {
            version: Version(0),
            inserted: batch.num_rows() as u64,
            replaced: 0,
            skipped: 0,
        };
        let line = encode(id, &batch)?;
        if let Some(series) = self.series.get(id) {
            let merged = merge_schemas(&series.schema, batch.schema_ref())?;
            if batch.num_rows() == 0 && merged == series.schema {
                receipt.version = series.version;
                return Ok(receipt);
            }
        }
        receipt.version = self.apply(&line)?;
        Ok(receipt)
    }

    fn delete(&mut self, id: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
        let Some(series) = self.series.get(id) else {
            return Ok(0);
        };
        let Some(range) = range else {
            let rows = series.rows();
            self.apply(&json!({ "delete": id }))?;
            return Ok(rows);
        };
        let mut gone = 0;
        for batch in &series.batches {
            gone += sifted(batch, range, true)?.num_rows() as u64;
        }
        if gone > 0 {
            let bound = |time: Option<chrono::DateTime<chrono::Utc>>| {
                time.and_then(|time| time.timestamp_nanos_opt())
            };
            let (start, end) = (bound(range.start()), bound(range.end()));
            self.apply(&json!({ "delete": id, "range": true, "start": start, "end": end }))?;
        }
        Ok(gone)
    }
}

fn located(error: Error, operation: &'static str, series: &SeriesId) -> Error {
    error
        .with_backend(BACKEND)
        .with_operation(operation)
        .with_resource(series)
}

#[async_trait]
impl TimeSeriesRepository for LogSeries {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Persistent, Capability::DeleteRange])
    }

    async fn write(
        &self,
        series: &SeriesId,
        batch: RecordBatch,
        mode: WriteMode,
    ) -> Result<WriteReceipt> {
        let written = self.state().write(series, batch, mode);
        written.map_err(|error| located(error, "write", series))
    }

    async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
        let found = self.state().series.get(series).cloned();
        found
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such series"))
            .and_then(|found| found.scan(query))
            .map_err(|error| located(error, "scan", series))
    }

    async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
        self.state()
            .series
            .get(series)
            .map(Series::summary)
            .transpose()
    }

    async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
        let state = self.state();
        Ok(state
            .series
            .keys()
            .filter(|id| filter.matches(id))
            .cloned()
            .collect())
    }

    async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
        let deleted = self.state().delete(series, range);
        deleted.map_err(|error| located(error, "delete", series))
    }
}
