//! A file of another program, looked at to become a segment.

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use minutebook_fs::Fs;
use parquet::file::metadata::ParquetMetaData;

use super::source::Source;
use super::time;
use crate::codec::{Wanted, scaled};
use crate::error::Result;

/// An open file.
pub(crate) struct Foreign(Source);

impl Foreign {
    pub(crate) fn open(fs: &Arc<dyn Fs>, path: &Path) -> Result<Self> {
        Source::open(fs, path).map(Self)
    }

    /// The column that is the time index, if its texts are times where it is of texts.
    pub(crate) fn time_column(&self) -> Option<String> {
        let schema = self.0.footer.arrow.schema();
        time::column(schema).or_else(|| time::text_column(schema))
    }

    /// How many rows its footer says.
    pub(crate) fn rows(&self) -> u64 {
        self.0.footer.rows()
    }

    /// Decodes all rows.
    pub(crate) fn batches(&self, mut take: impl FnMut(RecordBatch)) -> Result<()> {
        let wanted = Wanted {
            columns: None,
            rows: self.0.footer.row_groups().collect(),
            batch_size: 1 << 16,
        };
        self.0.guarded(|| {
            self.0.decode(&wanted, |batch| {
                take(batch);
                Ok(())
            })
        })
    }

    /// The place of a flat column among the leaves.
    pub(crate) fn leaf(&self, column: &str) -> Option<usize> {
        self.0.leaf(column)
    }

    /// Whether a column is of nanoseconds in UTC, as a series has it.
    pub(crate) fn is_series_time(&self, column: &str) -> bool {
        let field = self.0.footer.arrow.schema().field_with_name(column);
        field.is_ok_and(|field| {
            *field.data_type() == minutebook_core::series::batch::timestamp_type()
        })
    }

    /// Whether no row lies outside what the footer says of its row group and page: reads by time rely on it.
    pub(crate) fn bounds_hold(&self, leaf: usize, column: &str, times: &[i64]) -> bool {
        let footer = &self.0.footer;
        let nanos = footer.nanos_per(column).unwrap_or(0);
        let encloses = |min: i64, max: i64, times: &[i64]| {
            let inside = |time: &i64| min <= *time && *time <= max;
            times.first().is_none_or(inside) && times.last().is_none_or(inside)
        };
        let rows = |from: u64, to: u64| {
            let index = |row| usize::try_from(row).unwrap_or(usize::MAX);
            times.get(index(from)..index(to)).unwrap_or_default()
        };
        footer.row_groups().enumerate().all(|(i, group)| {
            let all = match footer.bounds(i, leaf) {
                Some((min, max)) => match (min.checked_mul(nanos), max.checked_mul(nanos)) {
                    (Some(min), Some(max)) => encloses(min, max, rows(group.start, group.end)),
                    _ => false,
                },
                None => true,
            };
            let pages = footer.pages(i, leaf).and_then(|pages| scaled(pages, nanos));
            all && pages.is_none_or(|pages| {
                pages.iter().enumerate().all(|(at, (first, min, max))| {
                    let next = pages.get(at + 1).map(|(next, ..)| group.start + next);
                    let page = rows(group.start + first, next.unwrap_or(group.end));
                    encloses(*min, *max, page)
                })
            })
        })
    }

    /// Every byte.
    pub(crate) fn bytes(&self) -> Result<Bytes> {
        self.0.bytes()
    }

    pub(crate) fn metadata(&self) -> &ParquetMetaData {
        self.0.footer.metadata()
    }
}
