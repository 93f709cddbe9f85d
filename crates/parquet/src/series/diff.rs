//! What changed between two versions: which ranges of time, and how many rows.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use minutebook_core::series::batch::{align, merge_schemas, timestamps};
use minutebook_core::time::from_nanos;
use minutebook_core::{Direction, SeriesId, Snapshot, Take, Version};

use super::stream::{self, Shape};
use super::{Inner, ParquetTimeSeriesRepository, plan};
use crate::error::{Fault, Result};
use crate::log::{Commit, Log, Segment};

/// A stretch of time in which every row differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangedRange {
    /// The time of the first row that differs.
    pub first: DateTime<Utc>,
    /// The time of the last.
    pub last: DateTime<Utc>,
    /// Rows at times at which there were none.
    pub inserted: u64,
    /// Rows that are gone from times at which there are none now.
    pub removed: u64,
    /// Times at which there were rows and are others now.
    pub changed: u64,
}

/// What differs between two versions of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionDiff {
    /// The one version.
    pub from: Version,
    /// The other.
    pub to: Version,
    /// Columns that only the one or only the other has, and those whose type differs.
    pub columns: Vec<String>,
    /// Keys of the series' metadata whose value differs.
    pub metadata: Vec<String>,
    /// Where rows differ, ascending. Unchanged rows lie between.
    pub ranges: Vec<ChangedRange>,
}

impl VersionDiff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.metadata.is_empty() && self.ranges.is_empty()
    }
}

impl ParquetTimeSeriesRepository {
    /// Says what differs between two versions of a series. Only files that one of them has and the other has not are read, so a comparison
    /// with the version before costs what that commit wrote.
    ///
    /// # Errors
    /// [`NotFound`](minutebook_core::ErrorKind::NotFound) if the series is not there or a version is not kept.
    pub async fn diff(
        &self,
        series: &SeriesId,
        from: Snapshot,
        to: Snapshot,
    ) -> minutebook_core::Result<VersionDiff> {
        let found = self.inner.diff(series, from, to).await;
        self.inner.explained(series, "diff", found).await
    }
}

impl Inner {
    async fn diff(&self, series: &SeriesId, from: Snapshot, to: Snapshot) -> Result<VersionDiff> {
        let log = self.log(series);
        let (old, new) = (
            self.snapshot(&log, from).await?,
            self.snapshot(&log, to).await?,
        );
        let mut ranges = Vec::new();
        let schema = merge_schemas(&old.schema, &new.schema);
        // Columns that have no type in common are told as such; rows are then compared by the others.
        let schema = match schema {
            Ok(schema) => schema,
            Err(_) => common_columns(&old.schema, &new.schema),
        };
        for span in self.touched(&log, &old, &new).await? {
            let mut rows = Rows {
                old: Side::new(self.span(&log, &old, &schema, span).await?, &schema),
                new: Side::new(self.span(&log, &new, &schema, span).await?, &schema),
                found: Found::default(),
            };
            rows.compare().await?;
            ranges.append(&mut rows.found.ranges);
        }
        Ok(VersionDiff {
            from: Version(old.version),
            to: Version(new.version),
            columns: differing_columns(&old.schema, &new.schema),
            metadata: differing_keys(&old, &new),
            ranges,
        })
    }

    /// The closed spans of time in which the versions consist of different segments, ascending and apart.
    async fn touched(&self, log: &Log, old: &Commit, new: &Commit) -> Result<Vec<(i64, i64)>> {
        let (old, new) = (
            self.outside(log, old, new).await?,
            self.outside(log, new, old).await?,
        );
        let keys: HashSet<_> = old.iter().collect();
        let same: HashSet<_> = new
            .iter()
            .filter(|segment| keys.contains(segment))
            .collect();
        let differing = old.iter().chain(&new).filter(|s| !same.contains(s));
        let mut spans: Vec<(i64, i64)> = differing.map(|s| (s.min, s.max)).collect();
        spans.sort_unstable();
        spans.dedup_by(|next, before| {
            let joins = next.0 <= before.1;
            if joins {
                before.1 = before.1.max(next.1);
            }
            joins
        });
        Ok(spans)
    }

    /// The segments of a version but for those in groups that the other has too.
    async fn outside(&self, log: &Log, commit: &Commit, other: &Commit) -> Result<Vec<Segment>> {
        let mut segments = Vec::new();
        for group in &commit.groups {
            if !other.groups.contains(group) {
                segments.extend(self.group(log, group).await?.iter().cloned());
            }
        }
        segments.extend(commit.segments.iter().cloned());
        Ok(segments)
    }

    /// The rows of a version in a closed span, ascending.
    async fn span(
        &self,
        log: &Log,
        commit: &Commit,
        schema: &SchemaRef,
        (first, last): (i64, i64),
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let range = (first, last.checked_add(1));
        let segments = self.overlapping(log, commit, range, Take::All).await?;
        let reader = self.segments(log);
        let parts = plan::parts(&reader, segments, range).await?;
        let names = schema.fields().iter().map(|field| field.name().clone());
        let columns: Vec<String> = names
            .filter(|name| commit.schema.index_of(name).is_ok())
            .collect();
        let fields: Vec<_> = columns
            .iter()
            .filter_map(|name| commit.schema.field_with_name(name).ok().cloned())
            .collect();
        let shape = Shape {
            reader,
            schema: Arc::new(arrow_schema::Schema::new(fields)),
            columns: Some(columns),
            batch_size: 1 << 14,
            read_ahead: 1,
        };
        let pieces = plan::pieces(parts, Take::All);
        Ok(stream::batches(pieces, shape, Direction::OldestFirst))
    }
}

/// One of the two versions.
struct Side {
    batches: BoxStream<'static, Result<RecordBatch>>,
    schema: SchemaRef,
    batch: RecordBatch,
    at: usize,
}

impl Side {
    fn new(batches: BoxStream<'static, Result<RecordBatch>>, schema: &SchemaRef) -> Self {
        // A column that one of the versions does not have is null there.
        let fields = schema.fields().iter().enumerate();
        let fields: Vec<_> = fields
            .map(|(i, field)| field.as_ref().clone().with_nullable(i > 0))
            .collect();
        let schema: SchemaRef = Arc::new(arrow_schema::Schema::new(fields));
        Self {
            batches,
            batch: RecordBatch::new_empty(Arc::clone(&schema)),
            schema,
            at: 0,
        }
    }

    /// Makes sure that there are rows at hand; `false` at the end.
    async fn fill(&mut self) -> Result<bool> {
        while self.at >= self.batch.num_rows() {
            let Some(batch) = self.batches.try_next().await? else {
                return Ok(false);
            };
            self.batch = align(&batch, &self.schema)?;
            self.at = 0;
        }
        Ok(true)
    }

    fn times(&self) -> Result<&[i64]> {
        let times: &[i64] = timestamps(&self.batch)?.values();
        Ok(times.get(self.at..).unwrap_or_default())
    }

    /// Takes all rows of the time at hand.
    async fn take_time(&mut self, time: i64) -> Result<Vec<RecordBatch>> {
        let mut taken = Vec::new();
        while self.fill().await? {
            let count = self.times()?.iter().take_while(|t| **t == time).count();
            if count == 0 {
                break;
            }
            taken.push(self.batch.slice(self.at, count));
            self.at += count;
        }
        Ok(taken)
    }
}

#[derive(Default)]
struct Found {
    ranges: Vec<ChangedRange>,
    /// Whether an unchanged row came after the last range.
    apart: bool,
}

impl Found {
    fn add(&mut self, time: i64, (inserted, removed, changed): (u64, u64, u64)) {
        let time = from_nanos(time);
        match self.ranges.last_mut().filter(|_| !self.apart) {
            Some(range) => {
                range.last = time;
                range.inserted += inserted;
                range.removed += removed;
                range.changed += changed;
            }
            None => self.ranges.push(ChangedRange {
                first: time,
                last: time,
                inserted,
                removed,
                changed,
            }),
        }
        self.apart = false;
    }
}

struct Rows {
    old: Side,
    new: Side,
    found: Found,
}

impl Rows {
    async fn compare(&mut self) -> Result<()> {
        loop {
            let (old, new) = (self.old.fill().await?, self.new.fill().await?);
            if !old && !new {
                return Ok(());
            }
            if old && new && self.skip_equal()? {
                continue;
            }
            let old = old.then(|| self.old.times()).transpose()?;
            let new = new.then(|| self.new.times()).transpose()?;
            let next = |times: Option<&[i64]>| times.and_then(|times| times.first().copied());
            let Some(time) = next(old).into_iter().chain(next(new)).min() else {
                return Ok(());
            };
            let (old, new) = (
                self.old.take_time(time).await?,
                self.new.take_time(time).await?,
            );
            let count = |batches: &[RecordBatch]| -> u64 {
                batches.iter().map(|batch| batch.num_rows() as u64).sum()
            };
            match (count(&old), count(&new)) {
                (0, inserted) => self.found.add(time, (inserted, 0, 0)),
                (removed, 0) => self.found.add(time, (0, removed, 0)),
                (a, b) if a == b && equal(&self.old.schema, &old, &new)? => self.found.apart = true,
                _ => self.found.add(time, (0, 0, 1)),
            }
        }
    }

    /// Skips rows that are equal on both sides, many at once; `false` if there are none.
    fn skip_equal(&mut self) -> Result<bool> {
        let rows = self.old.times()?.len().min(self.new.times()?.len());
        // Halve until the first part is equal.
        let mut len = rows;
        while len > 0 {
            let old = self.old.batch.slice(self.old.at, len);
            let new = self.new.batch.slice(self.new.at, len);
            if old.columns() == new.columns() {
                // The rows of the last time may go on, and differ there: they are compared as a whole.
                let times = self.old.times()?;
                let last = len.checked_sub(1).and_then(|last| times.get(last));
                let whole = times.iter().take(len).take_while(|t| Some(*t) != last);
                len = whole.count();
                if len == 0 {
                    return Ok(false);
                }
                self.old.at += len;
                self.new.at += len;
                self.found.apart = true;
                return Ok(true);
            }
            len /= 2;
        }
        Ok(false)
    }
}

fn equal(schema: &SchemaRef, old: &[RecordBatch], new: &[RecordBatch]) -> Result<bool> {
    let joined = |batches: &[RecordBatch]| {
        arrow_select::concat::concat_batches(schema, batches)
            .map_err(|e| Fault::Invalid(format!("the rows cannot be compared: {e}")))
    };
    Ok(joined(old)?.columns() == joined(new)?.columns())
}

fn differing_columns(old: &SchemaRef, new: &SchemaRef) -> Vec<String> {
    let fields = old.fields().iter().chain(new.fields());
    let mut names: Vec<String> = fields
        .filter(|field| {
            let of = |schema: &SchemaRef| {
                let field = schema.field_with_name(field.name()).ok()?;
                Some(field.data_type().clone())
            };
            of(old) != of(new)
        })
        .map(|field| field.name().clone())
        .collect();
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn differing_keys(old: &Commit, new: &Commit) -> Vec<String> {
    let keys = old.metadata.keys().chain(new.metadata.keys());
    let mut keys: Vec<String> = keys
        .filter(|key| old.metadata.get(*key) != new.metadata.get(*key))
        .cloned()
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

/// The columns that both have with one type.
fn common_columns(old: &SchemaRef, new: &SchemaRef) -> SchemaRef {
    let fields = old.fields().iter().filter(|field| {
        let other = new.field_with_name(field.name());
        other.is_ok_and(|other| other.data_type() == field.data_type())
    });
    Arc::new(arrow_schema::Schema::new(
        fields.map(Arc::clone).collect::<Vec<_>>(),
    ))
}
