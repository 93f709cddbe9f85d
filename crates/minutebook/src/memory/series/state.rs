//! One version of a series, and what a write makes of it.

use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use arrow_select::interleave::interleave_record_batch;
use chrono::{DateTime, Utc};
use futures_util::stream;
use minutebook_core::SeriesKey;
use minutebook_core::series::batch::{align, bounds, merge_schemas, timestamps};
use minutebook_core::time::{format_timestamp, from_nanos};
use minutebook_core::{
    BatchStream, Direction, Error, ErrorKind, OnConflict, Result, ScanQuery, SeriesSummary, Take,
    TimeRange, Version, WriteMode, WriteReceipt,
};

use super::keys::Keys;
use crate::memory::BACKEND;

/// One version of a series. It never changes: a write makes the next one, which shares what stayed.
#[derive(Debug, Clone)]
pub(super) struct SeriesState {
    pub(super) version: Version,
    pub(super) at: DateTime<Utc>,
    pub(super) schema: SchemaRef,
    /// What tells rows apart, if that was declared.
    pub(super) key: Option<SeriesKey>,
    /// The rows in the order written, none empty. A segment may lack columns that came later.
    pub(super) segments: Vec<RecordBatch>,
}

/// What a write makes of a state; the receipt's version is still the old one.
pub(super) struct Change {
    pub(super) segments: Vec<RecordBatch>,
    pub(super) receipt: WriteReceipt,
}

impl SeriesState {
    pub(super) fn empty(batch: &RecordBatch) -> Self {
        Self {
            version: Version(0),
            at: DateTime::UNIX_EPOCH,
            schema: batch.schema(),
            key: None,
            segments: Vec::new(),
        }
    }

    /// The same rows with the columns that the batch needs as well.
    pub(super) fn widened(&self, batch: &RecordBatch) -> Result<Self> {
        if self.segments.is_empty() && self.schema.fields().len() == 1 {
            // A series that only had its key declared.
            return Ok(Self {
                schema: batch.schema(),
                ..self.clone()
            });
        }
        Ok(Self {
            schema: merge_schemas(&self.schema, batch.schema_ref())?,
            ..self.clone()
        })
    }

    pub(super) fn write(&self, batch: RecordBatch, mode: WriteMode) -> Result<Change> {
        let (mut inserted, mut replaced, mut skipped) = (batch.num_rows() as u64, 0, 0);
        let mut batch = batch;
        let mut segments = self.segments.clone();
        if self.key.is_some() {
            // Whatever the mode, a batch brings a key once.
            self.keys()?.unique(&batch)?;
        }
        let mode = match mode {
            // What is unique cannot be added twice.
            WriteMode::Append if self.key.is_some() => WriteMode::Upsert {
                on_conflict: OnConflict::Fail,
            },
            mode => mode,
        };
        match mode {
            WriteMode::Append => {}
            WriteMode::Upsert { on_conflict } => {
                let keys = self.keys()?;
                let new = keys.unique(&batch)?;
                let there = keys.among(&self.segments, &new)?;
                let known = there.len() as u64;
                inserted -= known;
                match on_conflict {
                    OnConflict::Fail if known > 0 => {
                        return Err(Error::new(
                            ErrorKind::AlreadyExists,
                            format!("{known} of the rows have a key that is there already"),
                        ));
                    }
                    OnConflict::Fail => {}
                    OnConflict::Keep => {
                        batch = keys.without(&batch, &there)?;
                        skipped = known;
                    }
                    OnConflict::Replace => {
                        for segment in &mut segments {
                            let rest = keys.without(segment, &there)?;
                            replaced += (segment.num_rows() - rest.num_rows()) as u64;
                            *segment = rest;
                        }
                        segments.retain(|segment| segment.num_rows() > 0);
                    }
                }
            }
            WriteMode::ReplaceRange(range) => {
                let inside = within(range);
                if let Some(time) = timestamps(&batch)?
                    .values()
                    .iter()
                    .find(|time| !inside(**time))
                {
                    return Err(Error::invalid(format!(
                        "a row at {} lies outside the range {range} that is to be replaced",
                        format_timestamp(from_nanos(*time))
                    )));
                }
                (segments, replaced) = drop_rows(&segments, inside)?;
            }
        }
        if batch.num_rows() > 0 {
            segments.push(batch);
        }
        Ok(Change {
            segments: settled(segments, &self.schema)?,
            receipt: WriteReceipt {
                version: self.version,
                inserted,
                replaced,
                skipped,
            },
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.segments.iter().map(RecordBatch::num_rows).sum()
    }

    fn keys(&self) -> Result<Keys> {
        Keys::new(self.key.as_ref(), &self.schema)
    }

    /// Refuses a key that the rows break.
    pub(super) fn check_key(&self, key: &SeriesKey) -> Result<()> {
        let keys = Keys::new(Some(key), &self.schema)?;
        if self.segments.is_empty() {
            return Ok(());
        }
        let aligned = self
            .segments
            .iter()
            .map(|segment| align(segment, &self.schema));
        let aligned = aligned.collect::<Result<Vec<_>>>()?;
        let all = concat_batches(&self.schema, &aligned).map_err(failed)?;
        let unique = keys.unique(&all).map_err(|error| match error.kind() {
            ErrorKind::InvalidInput if keys.complete(&all) => {
                Error::new(ErrorKind::AlreadyExists, "there are rows with the same key")
                    .with_source(error)
            }
            _ => error,
        });
        unique.map(drop)
    }

    /// Where the rows in the range are, as (segment, row), in ascending time and equal times in the order written.
    fn order(&self, range: TimeRange, take: Take) -> Result<Vec<(usize, usize)>> {
        let inside = within(range);
        let mut places = Vec::with_capacity(self.rows());
        for (segment, batch) in self.segments.iter().enumerate() {
            for (row, time) in timestamps(batch)?.values().iter().enumerate() {
                if inside(*time) {
                    places.push((*time, (segment, row)));
                }
            }
        }
        places.sort_by_key(|(time, _)| *time);
        let (skipped, taken) = match take {
            Take::All => (0, places.len()),
            Take::First(rows) => (0, rows),
            Take::Last(rows) => (places.len().saturating_sub(rows), rows),
            _ => return Err(Error::unsupported("this kind of cut is not known here")),
        };
        Ok(places
            .into_iter()
            .map(|(_, place)| place)
            .skip(skipped)
            .take(taken)
            .collect())
    }

    pub(super) fn scan(&self, query: &ScanQuery) -> Result<BatchStream> {
        let schema = query.project(&self.schema)?;
        let mut places = self.order(query.range, query.take)?;
        match query.direction {
            Direction::OldestFirst => {}
            Direction::NewestFirst => places.reverse(),
            _ => return Err(Error::unsupported("this order is not known here")),
        }
        let segments = self
            .segments
            .iter()
            .map(|segment| align(segment, &schema))
            .collect::<Result<Vec<_>>>()?;
        // The rows are put together batch by batch, as they are asked for, from segments that nothing changes any more.
        let size = query.batch_size.max(1);
        let batches = (0..places.len().div_ceil(size)).map(move |n| {
            let places = &places[n * size..((n + 1) * size).min(places.len())];
            let segments: Vec<&RecordBatch> = segments.iter().collect();
            interleave_record_batch(&segments, places)
                .map_err(|error| failed(error).with_operation("scan"))
        });
        Ok(BatchStream::new(schema, stream::iter(batches)))
    }

    pub(super) fn summary(&self) -> Result<SeriesSummary> {
        let (mut first, mut last) = (None, None);
        for segment in &self.segments {
            if let Some((min, max)) = bounds(segment)? {
                first = Some(first.map_or(min, |first: DateTime<Utc>| first.min(min)));
                last = Some(last.map_or(max, |last: DateTime<Utc>| last.max(max)));
            }
        }
        Ok(SeriesSummary {
            rows: self.rows() as u64,
            first,
            last,
            bytes: self
                .segments
                .iter()
                .map(|segment| segment.get_array_memory_size() as u64)
                .sum(),
            schema: Arc::clone(&self.schema),
            version: self.version,
            key: self.key.clone(),
        })
    }
}

pub(super) fn within(range: TimeRange) -> impl Fn(i64) -> bool {
    let (start, end) = range.nanos();
    move |time| start <= time && end.is_none_or(|end| time < end)
}

fn retain(batch: &RecordBatch, keep: impl Fn(i64) -> bool) -> Result<RecordBatch> {
    let mask: BooleanArray = timestamps(batch)?
        .values()
        .iter()
        .map(|time| Some(keep(*time)))
        .collect();
    filter_record_batch(batch, &mask).map_err(failed)
}

/// The segments without the rows of these times, and how many rows went.
pub(super) fn drop_rows(
    segments: &[RecordBatch],
    doomed: impl Fn(i64) -> bool,
) -> Result<(Vec<RecordBatch>, u64)> {
    let mut kept = Vec::with_capacity(segments.len());
    let mut dropped = 0;
    for segment in segments {
        if timestamps(segment)?
            .values()
            .iter()
            .any(|time| doomed(*time))
        {
            let rest = retain(segment, |time| !doomed(time))?;
            dropped += (segment.num_rows() - rest.num_rows()) as u64;
            if rest.num_rows() > 0 {
                kept.push(rest);
            }
        } else {
            kept.push(segment.clone());
        }
    }
    Ok((kept, dropped))
}

/// Joins the last segments while the one before is not twice as long, so that many small writes leave few segments and a row is
/// copied a few times only.
fn settled(mut segments: Vec<RecordBatch>, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    while let [.., before, last] = segments.as_slice() {
        if before.num_rows() >= last.num_rows() * 2 {
            break;
        }
        let joined = concat_batches(schema, &[align(before, schema)?, align(last, schema)?])
            .map_err(failed)?;
        segments.truncate(segments.len() - 2);
        segments.push(joined);
    }
    Ok(segments)
}

pub(super) fn failed(error: ArrowError) -> Error {
    Error::invalid("the rows cannot be put together")
        .with_source(error)
        .with_backend(BACKEND)
}

#[cfg(test)]
mod tests {
    use minutebook_core::{Bar, Row};

    use super::*;

    #[test]
    fn many_small_appends_leave_few_segments() {
        let bars: Vec<Bar> = (0..2_000)
            .map(|minute| Bar {
                timestamp: from_nanos(minute * 60_000_000_000),
                open: 1.0,
                high: 2.0,
                low: 0.5,
                close: 1.5,
                volume: 10.0,
            })
            .collect();
        let all = Bar::to_batch(&bars).unwrap();
        let mut state = SeriesState::empty(&all);
        for row in 0..all.num_rows() {
            let change = state.write(all.slice(row, 1), WriteMode::Append).unwrap();
            state.segments = change.segments;
        }
        assert_eq!(state.rows(), 2_000);
        assert!(state.segments.len() <= 12, "{}", state.segments.len());
    }
}
