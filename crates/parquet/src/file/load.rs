//! Reading one file into memory.

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use chrono::{DateTime, Utc};
use minutebook_core::Result;
use minutebook_fs::{Fs, OsFs};

use super::pages;
use super::source::Source;
use super::time::{self, Span};
use crate::codec::Wanted;
use crate::error::Fault;

/// What [`load_parquet`] reads. The default is everything.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadParquet {
    /// These columns only, after the time index if there is one.
    pub columns: Option<Vec<String>>,
    /// From this instant on.
    pub start: Option<DateTime<Utc>>,
    /// Up to this instant, which is included.
    pub end: Option<DateTime<Utc>>,
    /// More bytes than this in memory are refused: a small file may decode to much.
    pub max_bytes: usize,
    /// The file system.
    pub fs: Arc<dyn Fs>,
}

impl Default for LoadParquet {
    fn default() -> Self {
        Self {
            columns: None,
            start: None,
            end: None,
            max_bytes: 8 << 30,
            fs: Arc::new(OsFs),
        }
    }
}

impl LoadParquet {
    /// These columns only, after the time index.
    #[must_use]
    pub fn columns<T: Into<String>>(mut self, columns: impl IntoIterator<Item = T>) -> Self {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// From this instant on.
    #[must_use]
    pub fn start(mut self, start: DateTime<Utc>) -> Self {
        self.start = Some(start);
        self
    }

    /// Up to this instant, which is included.
    #[must_use]
    pub fn end(mut self, end: DateTime<Utc>) -> Self {
        self.end = Some(end);
        self
    }

    /// Refuses to take more memory than this.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The file system.
    #[must_use]
    pub fn fs(mut self, fs: Arc<dyn Fs>) -> Self {
        self.fs = fs;
        self
    }

    pub(super) fn span(&self) -> crate::error::Result<Option<Span>> {
        if let (Some(start), Some(end)) = (self.start, self.end)
            && end < start
        {
            return Err(Fault::Invalid(
                "the end lies before the start; swap the two".into(),
            ));
        }
        let nanos = |time: DateTime<Utc>| {
            i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos())
        };
        Ok((self.start.is_some() || self.end.is_some()).then(|| Span {
            start: self.start.map_or(i128::MIN, nanos),
            end: self.end.map_or(i128::MAX, nanos),
        }))
    }
}

/// Reads a Parquet file, of any program, into one batch, with the columns and types as they are in it and in the order of the file.
///
/// The time index is the column that pandas calls the index if that is a time, else `timestamp`, `time`, `datetime` or `date`, of
/// any unit, or texts that are all times; without a zone it is UTC. [`batch::conform`](minutebook_core::series::batch::conform) makes of the answer what a series takes.
///
/// # Errors
/// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such file;
/// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) if a column is not there, dates are asked and there is no time index, or the
/// rows take more memory than allowed; [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if it is no Parquet or damaged.
pub fn load_parquet(path: impl AsRef<Path>, options: &LoadParquet) -> Result<RecordBatch> {
    let path = path.as_ref();
    load(path, options).map_err(|fault| fault.told("load", path.display()))
}

fn load(path: &Path, options: &LoadParquet) -> crate::error::Result<RecordBatch> {
    let span = options.span()?;
    let source = Source::open(&options.fs, path)?;
    source.guarded(|| read(&source, options, span))
}

pub(super) fn read(
    source: &Source,
    options: &LoadParquet,
    span: Option<Span>,
) -> crate::error::Result<RecordBatch> {
    let schema = Arc::clone(source.footer.arrow.schema());
    let index = match span {
        // Texts are looked at only where they are needed.
        Some(_) => time::column(&schema).or_else(|| time::text_column(&schema)),
        None => time::column(&schema),
    };
    let projected = projected(&schema, index.as_deref(), options.columns.as_deref())?;
    let span = match (&index, span) {
        (_, None) => None,
        (Some(index), Some(span)) => Some((index.as_str(), span)),
        (None, Some(_)) => {
            let names: Vec<_> = schema
                .fields()
                .iter()
                .map(|f| format!("{}: {}", f.name(), f.data_type()))
                .collect();
            return Err(Fault::Invalid(format!(
                "dates are asked and no column is a time index; the columns are {}",
                names.join(", ")
            )));
        }
    };
    let wanted = Wanted {
        columns: options.columns.is_some().then(|| {
            projected
                .fields()
                .iter()
                .map(|f| f.name().clone())
                .collect()
        }),
        rows: pages::rows(source, span),
        batch_size: 1 << 16,
    };
    let mut batches = Vec::new();
    let mut bytes = 0;
    source.decode(&wanted, |batch| {
        let batch = match span {
            Some((index, span)) => cut(source, &batch, index, span)?,
            None => batch,
        };
        bytes += batch.get_array_memory_size();
        if bytes > options.max_bytes {
            return Err(Fault::Invalid(format!(
                "the rows take more than {} bytes of memory; read a part, or raise max_bytes",
                options.max_bytes
            )));
        }
        // All columns are in place; and of two with one name each is itself.
        let order = match options.columns {
            None => Ok((0..batch.num_columns()).collect()),
            Some(_) => projected
                .fields()
                .iter()
                .map(|field| batch.schema_ref().index_of(field.name()))
                .collect::<std::result::Result<Vec<_>, _>>(),
        };
        let batch = order.and_then(|order| {
            RecordBatch::try_new(
                Arc::clone(&projected),
                batch.project(&order)?.columns().to_vec(),
            )
        });
        batches.push(
            batch.map_err(|e| {
                source.corrupt(format!("the columns are not as the footer says: {e}"))
            })?,
        );
        Ok(())
    })?;
    concat_batches(&projected, &batches).map_err(|e| {
        Fault::Invalid(format!(
            "the rows do not fit into one batch: {e}; read a part"
        ))
    })
}

fn cut(
    source: &Source,
    batch: &RecordBatch,
    index: &str,
    span: Span,
) -> crate::error::Result<RecordBatch> {
    let column = batch.column_by_name(index);
    let times = column.map(|column| time::readable(column, index));
    let inside = times.transpose()?.and_then(|times| span.rows(&times));
    let inside = inside
        .ok_or_else(|| source.corrupt("the time index has another type than the footer says"))?;
    filter_record_batch(batch, &inside)
        .map_err(|e| Fault::Invalid(format!("the rows cannot be filtered: {e}")))
}

/// The schema of the answer.
fn projected(
    schema: &SchemaRef,
    index: Option<&str>,
    columns: Option<&[String]>,
) -> crate::error::Result<SchemaRef> {
    let Some(columns) = columns else {
        return Ok(Arc::clone(schema));
    };
    let mut fields = Vec::new();
    let asked = columns
        .iter()
        .map(String::as_str)
        .filter(|name| Some(*name) != index);
    for name in index.into_iter().chain(asked) {
        let Some((_, field)) = schema.fields().find(name) else {
            let known: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Fault::Invalid(format!(
                "there is no column \"{name}\"; the file has {}",
                known.join(", ")
            )));
        };
        if fields.contains(field) {
            return Err(Fault::Invalid(format!(
                "the column \"{name}\" is asked for twice"
            )));
        }
        fields.push(Arc::clone(field));
    }
    Ok(Arc::new(Schema::new_with_metadata(
        fields,
        schema.metadata().clone(),
    )))
}
