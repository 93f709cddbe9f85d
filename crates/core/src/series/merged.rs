//! Several series as one stream in order of time.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::interleave::interleave_record_batch;
use futures_util::{StreamExt, stream};

use super::batch::{TIMESTAMP, align, arrow_mismatch, merge_schemas, mismatch, timestamps};
use super::query::{Direction, Take};
use super::{BatchStream, ReportHandle, ScanQuery, SeriesId, TimeSeriesRepository};
use crate::error::{Error, Result};

/// The column that names the series of a row.
pub const SERIES: &str = "series";

/// Reads several series as one stream in ascending order of time: `timestamp`, then `series` (a dictionary of text) and the columns of all, null
/// where a series has no such column. At equal times the order given decides. Memory holds one batch of each series.
///
/// # Errors
/// What the scans answer; [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) if a column has types in two series that have none in common;
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) if a series has a column of the name `series`, or the newest rows are asked first.
pub(super) async fn scan_merged(
    repository: &(impl TimeSeriesRepository + ?Sized),
    series: &[SeriesId],
    query: &ScanQuery,
) -> Result<BatchStream> {
    if query.direction != Direction::OldestFirst {
        return Err(Error::unsupported(
            "several series come the oldest row first",
        ));
    }
    let mut streams = Vec::with_capacity(series.len());
    for id in series {
        let stream = repository.scan(id, query).await;
        streams.push(stream.map_err(|error| error.with_resource(id))?);
    }
    let schema = common(series, &streams)?;
    let report = ReportHandle::default();
    let merge = Merge {
        schema: tagged(&schema),
        columns: schema,
        names: Arc::new(StringArray::from_iter_values(
            series.iter().map(ToString::to_string),
        )),
        sources: streams
            .into_iter()
            .map(|stream| Source {
                stream,
                batch: None,
                at: 0,
            })
            .collect(),
        waiting: BTreeSet::new(),
        started: false,
        size: query.batch_size.max(1),
        left: match query.take {
            Take::First(rows) => rows,
            _ => usize::MAX,
        },
        report: report.clone(),
    };
    let answer = Arc::clone(&merge.schema);
    let batches = stream::try_unfold(merge, |mut merge| async move {
        Ok(merge.next().await?.map(|batch| (batch, merge)))
    });
    Ok(match query.take {
        // Each gave its last rows; the last of all are among them.
        Take::Last(rows) => {
            let mut kept: VecDeque<RecordBatch> = VecDeque::new();
            let mut batches = std::pin::pin!(batches);
            let mut total = 0;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                total += batch.num_rows();
                kept.push_back(batch);
                while let Some(first) = kept.front().map(RecordBatch::num_rows)
                    && total - first >= rows
                {
                    total -= first;
                    kept.pop_front();
                }
            }
            if let Some(first) = kept.front_mut() {
                let skip = total.saturating_sub(rows);
                *first = first.slice(skip, first.num_rows() - skip);
            }
            BatchStream::with_report(answer, report, stream::iter(kept.into_iter().map(Ok)))
        }
        _ => BatchStream::with_report(answer, report, batches),
    })
}

/// The columns of all series.
fn common(series: &[SeriesId], streams: &[BatchStream]) -> Result<SchemaRef> {
    let mut schema: Option<SchemaRef> = None;
    for (id, stream) in series.iter().zip(streams) {
        if stream.schema().index_of(SERIES).is_ok() {
            return Err(
                mismatch(format!("there is a column \"{SERIES}\" already")).with_resource(id)
            );
        }
        schema = Some(match schema {
            None => Arc::clone(stream.schema()),
            Some(schema) => {
                merge_schemas(&schema, stream.schema()).map_err(|error| error.with_resource(id))?
            }
        });
    }
    let schema = schema.ok_or_else(|| Error::invalid("there is no series to read"))?;
    // A column that one of them does not have is null there.
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| {
            let everywhere = streams
                .iter()
                .all(|stream| stream.schema().index_of(field.name()).is_ok());
            let nullable = field.is_nullable() || !everywhere;
            field.as_ref().clone().with_nullable(nullable)
        })
        .collect();
    Ok(Arc::new(Schema::new(fields)))
}

fn tagged(schema: &Schema) -> SchemaRef {
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let mut fields: Vec<_> = schema.fields().iter().map(Arc::clone).collect();
    let at = usize::from(schema.index_of(TIMESTAMP).is_ok());
    fields.insert(at, Arc::new(Field::new(SERIES, kind, false)));
    Arc::new(Schema::new(fields))
}

struct Source {
    stream: BatchStream,
    batch: Option<RecordBatch>,
    at: usize,
}

struct Merge {
    schema: SchemaRef,
    columns: SchemaRef,
    names: Arc<StringArray>,
    sources: Vec<Source>,
    /// The next row of each source that has one: by time, then by the order given.
    waiting: BTreeSet<(i64, usize)>,
    started: bool,
    size: usize,
    left: usize,
    report: ReportHandle,
}

impl Merge {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if !self.started {
            self.started = true;
            for i in 0..self.sources.len() {
                self.fill(i).await?;
            }
        }
        let mut batches: Vec<RecordBatch> = Vec::new();
        // For each source, where its batch at hand stands in `batches`.
        let mut places = vec![None; self.sources.len()];
        let (mut rows, mut tags) = (Vec::new(), Vec::new());
        while rows.len() < self.size.min(self.left) {
            let Some((_, i)) = self.waiting.pop_first() else {
                break;
            };
            let rival = self.waiting.first().copied();
            let room = self.size.min(self.left) - rows.len();
            let Some(source) = self.sources.get_mut(i) else {
                break;
            };
            let Some(batch) = &source.batch else {
                continue;
            };
            let place = *places[i].get_or_insert_with(|| {
                batches.push(batch.clone());
                batches.len() - 1
            });
            let times = timestamps(batch)?.values();
            let from = source.at;
            let ahead = times.iter().skip(from).take(room);
            let run = ahead
                .take_while(|time| rival.is_none_or(|rival| (**time, i) < rival))
                .count()
                .max(1);
            source.at += run;
            rows.extend((from..source.at).map(|row| (place, row)));
            let tag = i32::try_from(i).unwrap_or(i32::MAX);
            tags.extend(std::iter::repeat_n(tag, run));
            if let Some(time) = times.get(source.at) {
                self.waiting.insert((*time, i));
            } else {
                places[i] = None;
                self.fill(i).await?;
            }
        }
        self.left -= rows.len();
        if rows.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        let joined = interleave_record_batch(&batches, &rows).map_err(arrow_mismatch)?;
        let names: ArrayRef = Arc::clone(&self.names) as ArrayRef;
        let tags =
            DictionaryArray::try_new(Int32Array::from(tags), names).map_err(arrow_mismatch)?;
        let mut columns = joined.columns().to_vec();
        columns.insert(1.min(columns.len()), Arc::new(tags));
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map(Some)
            .map_err(arrow_mismatch)
    }

    /// The next batch of a source that is used up.
    async fn fill(&mut self, i: usize) -> Result<()> {
        let Some(source) = self.sources.get_mut(i) else {
            return Ok(());
        };
        let Some(batch) = source.stream.next().await else {
            source.batch = None;
            self.report.merge(source.stream.report());
            return Ok(());
        };
        let batch = align(&batch?, &self.columns)?;
        let first = timestamps(&batch)?.values().first().copied();
        source.batch = Some(batch);
        source.at = 0;
        if let Some(time) = first {
            self.waiting.insert((time, i));
        }
        Ok(())
    }
}
