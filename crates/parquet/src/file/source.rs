//! A file on disk as something to decode, and what its footer says.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::SchemaRef;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use minutebook_core::Result;
use minutebook_core::time::from_nanos;
use minutebook_fs::{Fs, FsError, FsFile, OpenMode, OsFs};
use parquet::errors::ParquetError;

use super::pages::{self, FileBytes, GuardedBytes};
use super::time;
use crate::codec::{Footer, Wanted, decode_from, decode_with};
use crate::error::Fault;

/// What the footer of a file says, without its rows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ParquetStatistics {
    /// The number of rows.
    pub rows: u64,
    /// The earliest time, UTC; `None` without a time column or rows.
    pub first: Option<DateTime<Utc>>,
    /// The latest time, UTC.
    pub last: Option<DateTime<Utc>>,
    /// The column with the times: what pandas calls the index, or `timestamp`, `time`, `datetime` or `date`. Texts count if all are times.
    pub time_column: Option<String>,
    /// The columns and their types.
    pub schema: SchemaRef,
    /// The file's length.
    pub bytes: u64,
}

/// Reads what the footer of a Parquet file says. Of the rows nothing is read, unless the file has no statistics of
/// its time column, or that is of texts: then that column is.
///
/// # Errors
/// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such file; [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if it is no
/// Parquet or damaged.
pub fn parquet_statistics(path: impl AsRef<Path>) -> Result<ParquetStatistics> {
    parquet_statistics_on(&(Arc::new(OsFs) as Arc<dyn Fs>), path)
}

/// As [`parquet_statistics`], of a file on another file system.
///
/// # Errors
/// As [`parquet_statistics`].
pub fn parquet_statistics_on(
    fs: &Arc<dyn Fs>,
    path: impl AsRef<Path>,
) -> Result<ParquetStatistics> {
    let path = path.as_ref();
    let read = || -> crate::error::Result<ParquetStatistics> {
        let source = Source::open(fs, path)?;
        source.guarded(|| statistics(&source))
    };
    read().map_err(|fault| fault.told("statistics", path.display()))
}

fn statistics(source: &Source) -> crate::error::Result<ParquetStatistics> {
    let schema = Arc::clone(source.footer.arrow.schema());
    let mut time_column = time::column(&schema);
    let bounds = match (&time_column, time::text_column(&schema)) {
        (Some(column), _) => bounds(source, column)?,
        // Texts are the index if all of them are times.
        (None, Some(texts)) => match read_bounds(source, &texts) {
            Ok(known) => {
                time_column = Some(texts);
                let first = known.iter().map(|(min, _)| *min).min();
                let last = known.iter().map(|(_, max)| *max).max();
                first.map(from_nanos).zip(last.map(from_nanos))
            }
            Err(Fault::Core(_)) => None,
            Err(fault) => return Err(fault),
        },
        (None, None) => None,
    };
    Ok(ParquetStatistics {
        rows: source.footer.rows(),
        first: bounds.map(|(first, _)| first),
        last: bounds.map(|(_, last)| last),
        time_column,
        bytes: source.footer.len,
        schema,
    })
}

fn bounds(
    source: &Source,
    column: &str,
) -> crate::error::Result<Option<(DateTime<Utc>, DateTime<Utc>)>> {
    let footer = &source.footer;
    let schema = footer.arrow.schema();
    let field = schema.field_with_name(column).ok();
    let Some(nanos) = field.and_then(|field| time::nanos_per(field.data_type())) else {
        return Ok(None);
    };
    // Dates are 32 bits wide in the file, so their statistics are none of 64-bit values: they are read.
    let leaf = source.leaf(column);
    let groups = footer
        .row_groups()
        .enumerate()
        .filter(|(_, rows)| !rows.is_empty());
    let known: Option<Vec<(i64, i64)>> = groups.map(|(i, _)| footer.bounds(i, leaf?)).collect();
    let known = match known {
        Some(known) => known,
        None => read_bounds(source, column)?,
    };
    let min = known.iter().map(|(min, _)| *min).min();
    let max = known.iter().map(|(_, max)| *max).max();
    let instant = |value: i64| {
        value.checked_mul(nanos).map(from_nanos).ok_or_else(|| {
            source.corrupt(format!(
                "a time in \"{column}\" lies outside 1677-09-21 to 2262-04-11"
            ))
        })
    };
    match min.zip(max) {
        Some((min, max)) => Ok(Some((instant(min)?, instant(max)?))),
        None => Ok(None),
    }
}

fn read_bounds(source: &Source, column: &str) -> crate::error::Result<Vec<(i64, i64)>> {
    let wanted = Wanted {
        columns: Some(vec![column.to_owned()]),
        rows: source.footer.row_groups().collect(),
        batch_size: 1 << 16,
    };
    let mut bounds = Vec::new();
    source.decode(&wanted, |batch| {
        let values = match batch.columns().first() {
            Some(times) => time::values(&time::readable(times, column)?).unwrap_or_default(),
            None => Vec::new(),
        };
        let (min, max) = (values.iter().flatten().min(), values.iter().flatten().max());
        bounds.extend(min.zip(max).map(|(min, max)| (*min, *max)));
        Ok(())
    })?;
    Ok(bounds)
}

/// An open Parquet file.
pub(super) struct Source {
    file: Arc<dyn FsFile>,
    path: PathBuf,
    pub(super) footer: Footer,
}

impl Source {
    pub(super) fn open(fs: &Arc<dyn Fs>, path: &Path) -> crate::error::Result<Self> {
        let failed = |step, e| Fault::Fs(FsError::not_applied("read", step, path, e));
        // Who names a link means what it leads to.
        let target = fs
            .canonicalize(path)
            .map_err(|e| failed("find the file", e))?;
        let file = fs
            .open(&target, OpenMode::Read)
            .map_err(|e| failed("open", e))?;
        let meta = file.metadata().map_err(|e| failed("look at the file", e))?;
        if !meta.is_file() {
            return Err(Fault::Invalid("it is not a regular file".into()));
        }
        let footer = guarded(path, || {
            Footer::read_untrusted(meta.len, |ranges| read_ranges(&*file, ranges))
                .map_err(|e| damaged(path, e))
        })?;
        Ok(Self {
            file: Arc::from(file),
            path: path.to_owned(),
            footer,
        })
    }

    /// Decodes rows, batch by batch.
    pub(super) fn decode(
        &self,
        wanted: &Wanted,
        mut take: impl FnMut(arrow_array::RecordBatch) -> crate::error::Result<()>,
    ) -> crate::error::Result<()> {
        let fetch = |ranges: &[Range<u64>]| read_ranges(&*self.file, ranges);
        let mut refused = None;
        let (mut got, expected) = (0_u64, wanted.rows.iter().map(|rows| rows.end - rows.start));
        let expected = expected.fold(0_u64, u64::saturating_add);
        let take = |batch: arrow_array::RecordBatch| {
            got += batch.num_rows() as u64;
            match take(batch) {
                Ok(()) => true,
                Err(fault) => {
                    refused = Some(fault);
                    false
                }
            }
        };
        let decoded = if pages::are_few(&wanted.rows, &self.footer) {
            let guarded = GuardedBytes::new(self.bytes_of(), self.footer.arrow.metadata());
            decode_from(guarded, &self.footer, wanted, take)
        } else {
            decode_with(&self.footer, wanted, fetch, take)
        };
        if let Some(fault) = refused {
            return Err(fault);
        }
        decoded.map_err(|e| damaged(&self.path, e))?;
        if got != expected {
            return Err(self.corrupt(format!("it gave {got} rows instead of {expected}")));
        }
        Ok(())
    }

    /// Runs work on the file's bytes; a panic in it is damage in them.
    pub(super) fn guarded<T>(
        &self,
        work: impl FnOnce() -> crate::error::Result<T>,
    ) -> crate::error::Result<T> {
        guarded(&self.path, work)
    }

    /// The file's bytes, to be read where they are wanted.
    pub(super) fn bytes_of(&self) -> FileBytes {
        FileBytes {
            file: Arc::clone(&self.file),
            len: self.footer.len,
        }
    }

    /// Every byte of the file.
    pub(super) fn bytes(&self) -> crate::error::Result<Bytes> {
        let all = 0..self.footer.len;
        let read = read_ranges(&*self.file, std::slice::from_ref(&all));
        let read = read.map_err(|e| damaged(&self.path, e))?;
        Ok(read.into_iter().next().unwrap_or_default())
    }

    /// The leaf of a flat column.
    pub(super) fn leaf(&self, column: &str) -> Option<usize> {
        let schema = self.footer.metadata().file_metadata().schema_descr();
        let mut leaves = schema.columns().iter();
        leaves.position(|leaf| matches!(leaf.path().parts(), [name] if name == column))
    }

    pub(super) fn corrupt(&self, message: impl Into<String>) -> Fault {
        Fault::corrupt(self.path.display(), message)
    }
}

fn guarded<T>(
    path: &Path,
    work: impl FnOnce() -> crate::error::Result<T>,
) -> crate::error::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Fault::corrupt(
            path.display(),
            "the bytes make no sense to the decoder",
        ))
    })
}

fn damaged(path: &Path, error: ParquetError) -> Fault {
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) if io.kind() != std::io::ErrorKind::UnexpectedEof => {
            let io = std::io::Error::new(io.kind(), io.to_string());
            Fault::Fs(FsError::not_applied("read", "read", path, io))
        }
        _ => Fault::corrupt_by(path.display(), error.to_string(), error),
    }
}

fn read_ranges(file: &dyn FsFile, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ParquetError> {
    ranges
        .iter()
        .map(|range| {
            let len = usize::try_from(range.end.saturating_sub(range.start))?;
            let mut buffer = vec![0; len];
            let done = file
                .read_full_at(&mut buffer, range.start)
                .map_err(|e| ParquetError::External(Box::new(e)))?;
            if done < len {
                return Err(ParquetError::EOF(format!(
                    "the file ends before byte {}",
                    range.end
                )));
            }
            Ok(Bytes::from(buffer))
        })
        .collect()
}
