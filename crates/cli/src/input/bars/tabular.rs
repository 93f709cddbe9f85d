//! Bars from Parquet.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, TimestampNanosecondArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::SchemaRef;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use minutebook::parquet::{parquet_batches, parquet_statistics};
use minutebook::series::batch::timestamp_field;
use minutebook::{Error, Symbol};
use tokio::sync::mpsc;

use super::plan::{BAR_COLUMNS, Roles};
use super::{BarsOptions, CHUNK, Chunk};
use crate::failure::{Failure, Outcome};
use crate::input::source::Source;
use crate::output::progress::Progress;

/// One way through a Parquet file.
pub(crate) struct Tabular<'a> {
    /// Batches come from a thread of their own, two ahead at most.
    batches: mpsc::Receiver<minutebook::Result<RecordBatch>>,
    schema: SchemaRef,
    roles: Roles,
    others: Vec<(usize, String)>,
    options: &'a BarsOptions,
    name: String,
    row: u64,
    bytes: u64,
    progress: Progress,
}

impl<'a> Tabular<'a> {
    pub(super) fn open(
        source: &Source,
        options: &'a BarsOptions,
        progress: &Progress,
    ) -> Outcome<Self> {
        let name = source.name.clone();
        let Some(path) = &source.path else {
            return Err(Failure::usage(format!(
                "{name}: Parquet cannot be read from a stream; name a file"
            )));
        };
        let schema = parquet_statistics(path)?.schema;
        let columns: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        let roles = Roles::find(&columns, options, &name)?;
        let (send, batches) = mpsc::channel(2);
        let path = path.clone();
        tokio::task::spawn_blocking(move || {
            let read = parquet_batches(&path, CHUNK, |batch| {
                send.blocking_send(Ok(batch))
                    .map_err(|_| Error::invalid("nobody reads on"))
            });
            if let Err(error) = read {
                // Nobody is left to tell when the reader has gone, which is then the error.
                let _ = send.blocking_send(Err(error));
            }
        });
        Ok(Self {
            others: roles.others(&columns),
            roles,
            batches,
            schema,
            options,
            name,
            row: 0,
            bytes: source.bytes,
            progress: progress.clone(),
        })
    }

    pub(super) async fn next(&mut self) -> Outcome<Option<Chunk>> {
        let Some(batch) = self.batches.recv().await else {
            self.progress.add(self.bytes);
            return Ok(None);
        };
        let batch = batch?;
        let mut fields = vec![timestamp_field()];
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.times(&batch)?)];
        let at = self
            .roles
            .prices
            .map(Some)
            .into_iter()
            .chain([self.roles.volume]);
        for (at, name) in at.zip(&BAR_COLUMNS[1..]) {
            fields.push(Field::new(*name, DataType::Float64, false));
            columns.push(match at {
                Some(at) => Arc::new(self.numbers(batch.column(at), name)?),
                None => Arc::new(Float64Array::from(vec![0.0; batch.num_rows()])),
            });
        }
        for (at, name) in &self.others {
            fields.push(Field::new(
                name,
                batch.column(*at).data_type().clone(),
                true,
            ));
            columns.push(Arc::clone(batch.column(*at)));
        }
        let symbols = match self.roles.symbol {
            Some(at) => Some(self.symbols(batch.column(at))?),
            None => None,
        };
        let rows = batch.num_rows() as u64;
        let places = (self.row + 1..=self.row + rows).collect();
        self.row += rows;
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            .map_err(|error| Failure::data(format!("{}: {error}", self.name)))?;
        Ok(Some(Chunk {
            batch,
            places,
            symbols,
        }))
    }

    fn times(&self, batch: &RecordBatch) -> Outcome<TimestampNanosecondArray> {
        let column = batch.column(self.roles.time);
        if column.null_count() > 0 {
            let row = (0..column.len()).find(|i| column.is_null(*i)).unwrap_or(0) as u64;
            return Err(self.bad(self.row + row + 1, "the time is empty"));
        }
        let date = matches!(column.data_type(), DataType::Date32 | DataType::Date64);
        if date || matches!(column.data_type(), DataType::Timestamp(..)) {
            let nanos = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
            let cast = arrow_cast::cast(column, &nanos)
                .map_err(|error| self.bad_column(self.roles.time, &error))?;
            // A cast gives null where nanoseconds in 64 bits do not reach.
            if let Some(row) = (0..cast.len()).find(|i| cast.is_null(*i)) {
                return Err(self.bad(
                    self.row + row as u64 + 1,
                    "the time lies outside 1677-09-21 to 2262-04-11",
                ));
            }
            return Ok(cast.as_primitive::<TimestampNanosecondType>().clone());
        }
        let format = FormatOptions::new();
        let text = ArrayFormatter::try_new(column.as_ref(), &format)
            .map_err(|error| self.bad_column(self.roles.time, &error))?;
        let nanos = (0..column.len())
            .map(|i| {
                let text = text.value(i).to_string();
                self.options
                    .times
                    .nanos(&text)
                    .map_err(|what| self.bad(self.row + i as u64 + 1, &what))
            })
            .collect::<Outcome<Vec<_>>>()?;
        Ok(TimestampNanosecondArray::from(nanos).with_timezone("UTC"))
    }

    /// Numbers of any type as floating point; a null is NaN, which the check of the bar reports.
    fn numbers(&self, column: &ArrayRef, name: &str) -> Outcome<Float64Array> {
        if !column.data_type().is_numeric()
            && !matches!(column.data_type(), DataType::Utf8 | DataType::LargeUtf8)
        {
            return Err(Failure::data(format!(
                "{}: the column \"{name}\" has the type {}, which is no number",
                self.name,
                column.data_type()
            )));
        }
        let cast = arrow_cast::cast(column, &DataType::Float64).map_err(|error| {
            Failure::data(format!(
                "{}: the column \"{name}\" holds no numbers: {error}",
                self.name
            ))
        })?;
        let cast = cast.as_primitive::<Float64Type>();
        Ok(cast.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
    }

    fn symbols(&self, column: &ArrayRef) -> Outcome<Vec<Symbol>> {
        let at = self.roles.symbol.unwrap_or(0);
        let text = arrow_cast::cast(column, &DataType::Utf8)
            .map_err(|error| self.bad_column(at, &error))?;
        let text = text.as_string::<i32>();
        let mut symbols: Vec<Symbol> = Vec::with_capacity(text.len());
        for i in 0..text.len() {
            let name = if text.is_null(i) { "" } else { text.value(i) };
            match symbols.last() {
                Some(last) if last.as_str() == name => symbols.push(last.clone()),
                _ => symbols.push(
                    Symbol::new(name)
                        .map_err(|e| self.bad(self.row + i as u64 + 1, e.message()))?,
                ),
            }
        }
        Ok(symbols)
    }

    fn bad(&self, row: u64, what: &str) -> Failure {
        Failure::data(format!("{}, row {row}: {what}", self.name))
    }

    fn bad_column(&self, at: usize, error: &arrow_schema::ArrowError) -> Failure {
        let name = self.schema.field(at).name();
        Failure::data(format!(
            "{}: the column \"{name}\" cannot be used so: {error}",
            self.name
        ))
    }
}
