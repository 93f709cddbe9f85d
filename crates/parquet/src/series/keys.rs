//! Rows by their key: which stored rows the rows of a batch are the same as, and declaring what tells rows apart.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use futures_util::StreamExt;
use minutebook_core::series::KeyEncoder;
use minutebook_core::series::batch::{align, timestamps};
use minutebook_core::time::{format_timestamp, from_nanos};
use minutebook_core::{ScanQuery, SeriesId, SeriesKey, Snapshot, TimeSeriesRepository, Version};

use super::draft::Draft;
use super::write::{ATTEMPTS, Committed, Patience};
use super::{ParquetTimeSeriesRepository, rows};
use crate::codec::{Segments, Wanted};
use crate::error::{Fault, Result};
use crate::log::{Operation, Segment};

/// The keys of the rows of a batch, each once. The time is part of every key, so stored rows are looked for where the times are.
pub(super) struct Keys {
    /// Ascending, each once. Of a key that is the time alone, one for each row of the batch.
    times: Vec<i64>,
    /// What is in the key beside the time.
    columns: Option<Columns>,
}

struct Columns {
    encoder: KeyEncoder,
    /// The columns of the key, with the types of the series.
    schema: SchemaRef,
    /// The row of the batch that has a key.
    rows: HashMap<Box<[u8]>, usize>,
}

impl Keys {
    /// Of a batch that is in order of time and has the columns of the series.
    pub(super) fn of(
        key: Option<&SeriesKey>,
        schema: &SchemaRef,
        batch: &RecordBatch,
    ) -> Result<Self> {
        let Some(key) = key.filter(|key| !key.is_timestamp()) else {
            rows::distinct(batch)?;
            return Ok(Self::at(timestamps(batch)?.values().to_vec()));
        };
        let encoder = KeyEncoder::new(key, schema)?;
        let keys = encoder.keys(batch)?;
        keys.distinct(&encoder, batch)?;
        let found = keys.iter().enumerate();
        let rows = found.map(|(row, key)| (key.into(), row)).collect();
        let mut times = timestamps(batch)?.values().to_vec();
        times.dedup();
        let fields = key.columns().iter();
        let fields = fields.filter_map(|name| Some(Arc::clone(schema.fields().find(name)?.1)));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Self {
            times,
            columns: Some(Columns {
                encoder,
                schema,
                rows,
            }),
        })
    }

    /// These times, ascending and each once.
    pub(super) fn at(times: Vec<i64>) -> Self {
        Self {
            times,
            columns: None,
        }
    }

    /// First and last time.
    pub(super) fn span(&self) -> Option<(i64, i64)> {
        self.times.first().copied().zip(self.times.last().copied())
    }

    /// Whether there is a time from `min` to `max`.
    pub(super) fn touch(&self, min: i64, max: i64) -> bool {
        let at = self.times.partition_point(|time| *time < min);
        self.times.get(at).is_some_and(|time| *time <= max)
    }

    /// Those that are marked, by the rows of the batch. Keys of several columns stay all.
    pub(super) fn only(self, marked: &[bool]) -> Self {
        if self.columns.is_some() {
            return self;
        }
        let times = self.times.iter().zip(marked);
        Self::at(
            times
                .filter_map(|(time, marked)| marked.then_some(*time))
                .collect(),
        )
    }

    /// The rows of a segment that count and have one of the keys, as row ranges; and which rows of the batch those are.
    pub(super) async fn matching(
        &self,
        reader: &Segments,
        segment: &Segment,
    ) -> Result<(Vec<Range<u64>>, Vec<usize>)> {
        let from = self.times.partition_point(|time| *time < segment.min);
        let to = self.times.partition_point(|time| *time <= segment.max);
        let wanted = self.times.get(from..to).unwrap_or_default();
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else {
            return Ok((Vec::new(), Vec::new()));
        };
        let rows = reader.live(segment, *first, last.checked_add(1)).await?;
        let (mut ranges, mut hits) = (Vec::new(), Vec::new());
        let Some(columns) = &self.columns else {
            let stored = reader.times(segment, rows.clone()).await?;
            let mut at = 0;
            for (row, time) in rows.into_iter().flatten().zip(stored) {
                while wanted.get(at).is_some_and(|wanted| *wanted < time) {
                    at += 1;
                }
                if wanted.get(at) == Some(&time) {
                    if hits.last() != Some(&(from + at)) {
                        hits.push(from + at);
                    }
                    push(&mut ranges, row);
                }
            }
            return Ok((ranges, hits));
        };
        let names = columns.schema.fields().iter();
        let wanted = Wanted {
            columns: Some(names.map(|field| field.name().clone()).collect()),
            rows: rows.clone(),
            batch_size: 1 << 16,
        };
        let mut places = rows.into_iter().flatten();
        for batch in reader.rows(segment, wanted).await? {
            let keys = columns.encoder.keys(&align(&batch, &columns.schema)?)?;
            for (key, row) in keys.iter().zip(&mut places) {
                if let Some(hit) = columns.rows.get(key) {
                    hits.push(*hit);
                    push(&mut ranges, row);
                }
            }
        }
        Ok((ranges, hits))
    }
}

/// Adds the next row.
fn push(ranges: &mut Vec<Range<u64>>, row: u64) {
    match ranges.last_mut() {
        Some(range) if range.end == row => range.end += 1,
        _ => ranges.push(row..row + 1),
    }
}

/// Says which row it is that is there already.
pub(super) fn described(key: Option<&SeriesKey>, batch: &RecordBatch, row: usize) -> String {
    let encoder = key.and_then(|key| KeyEncoder::new(key, &batch.schema()).ok());
    if let Some(encoder) = encoder {
        return format!("with {}", encoder.describe(batch, row));
    }
    let times = timestamps(batch).ok();
    let time = times.and_then(|times| times.values().get(row)).copied();
    format!("at {}", format_timestamp(from_nanos(time.unwrap_or(0))))
}

impl ParquetTimeSeriesRepository {
    pub(super) async fn declare(
        &self,
        series: &SeriesId,
        key: Option<&SeriesKey>,
    ) -> Result<Version> {
        let inner = &self.inner;
        let log = inner.log(series);
        let turn = inner
            .state()
            .entry(series.clone())
            .or_default()
            .turn
            .clone();
        let _turn = turn.lock().await;
        let mut patience = Patience::default();
        for _ in 0..ATTEMPTS {
            let mut draft = inner.draft(&log).await?;
            if draft.exists() && draft.key.as_ref() == key {
                return Ok(Version(draft.base_version()));
            }
            match key {
                Some(key) => self.check_key(series, &draft, key).await?,
                None if !draft.exists() => return Err(Fault::NoSeries),
                None => {}
            }
            draft.key = key.cloned();
            let version = Version(draft.version());
            match inner.commit(&log, draft, Operation::DeclareKey).await? {
                Committed::Done => return Ok(version),
                missed => patience.again(missed)?,
            }
        }
        Err(Fault::Conflict { attempts: ATTEMPTS })
    }

    /// Refuses a key that the rows of a version break. Rows come in order of time, and the time is in the key: so only those of one time
    /// are held.
    async fn check_key(&self, series: &SeriesId, draft: &Draft, key: &SeriesKey) -> Result<()> {
        KeyEncoder::new(key, &draft.schema)?;
        if draft.groups.is_empty() && draft.segments.is_empty() {
            return Ok(());
        }
        let query = ScanQuery::new()
            .columns(key.columns())
            .as_of(Snapshot::Version(Version(draft.base_version())));
        let mut stream = self.scan(series, &query).await?;
        let encoder = KeyEncoder::new(key, stream.schema())?;
        let (mut now, mut seen) = (i64::MIN, HashSet::<Box<[u8]>>::new());
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let keys = encoder.keys(&batch)?;
            let times = timestamps(&batch)?.values();
            for (row, (key, time)) in keys.iter().zip(times).enumerate() {
                if *time != now {
                    now = *time;
                    seen.clear();
                }
                if !seen.insert(key.into()) {
                    return Err(Fault::Exists(format!(
                        "two rows with {} are there; a key is of one row",
                        encoder.describe(&batch, row)
                    )));
                }
            }
        }
        Ok(())
    }
}
