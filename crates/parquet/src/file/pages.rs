//! Which rows of a file may lie in a span, without its values being decoded, and the file's bytes for a decoder that leaves pages out.
//!
//! Row groups are told apart by the footer. Within them pages are, by the page index; files of pandas have none, and groups of a million
//! rows: there the headers of the pages are looked at, which say the smallest and the largest value too.

use std::collections::HashMap;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use minutebook_fs::FsFile;
use parquet::basic::Compression;
use parquet::column::page::Page;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{ChunkReader, Length, SerializedPageReader};
use parquet::file::statistics::Statistics;

use super::source::Source;
use super::time::Span;
use crate::codec::{Claim, Footer, claims};

/// A page of a column of times: its first row in the group, and its smallest and largest value.
type Told = (u64, i64, i64);

/// The rows that may have times in the span, ascending and apart. All rows where the file tells nothing.
pub(super) fn rows(source: &Source, span: Option<(&str, Span)>) -> Vec<Range<u64>> {
    let footer = &source.footer;
    let Some((index, span)) = span else {
        return footer.row_groups().collect();
    };
    let leaf = source.leaf(index);
    let nanos = footer.nanos_per(index);
    let (Some(leaf), Some(nanos)) = (leaf, nanos) else {
        return footer.row_groups().collect();
    };
    let mut chosen: Vec<Range<u64>> = Vec::new();
    let mut choose = |rows: Range<u64>| match chosen.last_mut() {
        Some(last) if last.end == rows.start => last.end = rows.end,
        _ => chosen.push(rows),
    };
    for (group, rows) in footer.row_groups().enumerate() {
        let bounds = footer.bounds(group, leaf);
        if bounds.is_some_and(|bounds| !span.meets(bounds, nanos)) {
            continue;
        }
        // A page alone in its group has the bounds of the group.
        let pages = footer
            .pages(group, leaf)
            .or_else(|| headers(source, group, leaf));
        let Some(pages) = pages.filter(|_| bounds.is_some()) else {
            choose(rows);
            continue;
        };
        let ends = pages.iter().skip(1).map(|(first, ..)| rows.start + first);
        let ends = ends.chain([rows.end]);
        for ((first, min, max), end) in pages.iter().zip(ends) {
            if span.meets((*min, *max), nanos) {
                choose(rows.start + first..end);
            }
        }
    }
    chosen
}

/// What the headers of a column's pages say; `None` if they do not say it of every page.
fn headers(source: &Source, group: usize, leaf: usize) -> Option<Vec<Told>> {
    let group = source.footer.metadata().row_groups().get(group)?;
    let column = group.columns().get(leaf)?;
    if column.column_descr().max_rep_level() != 0 {
        return None;
    }
    // With no codec named, what is in the pages is left alone; and it is not read.
    let column = column.clone().into_builder();
    let column = column.set_compression(Compression::UNCOMPRESSED).build();
    let properties = ReaderProperties::builder().set_read_page_statistics(true);
    let pages = SerializedPageReader::new_with_properties(
        Arc::new(Headers(source.bytes_of())),
        &column.ok()?,
        usize::try_from(group.num_rows()).ok()?,
        None,
        Arc::new(properties.build()),
    );
    let mut told = Vec::new();
    let mut first = 0;
    for page in pages.ok()? {
        let page = page.ok()?;
        if matches!(page, Page::DictionaryPage { .. }) {
            continue;
        }
        let Some(Statistics::Int64(values)) = page.statistics() else {
            return None;
        };
        told.push((first, *values.min_opt()?, *values.max_opt()?));
        first += u64::from(page.num_values());
    }
    (i64::try_from(first).ok()? == group.num_rows()).then_some(told)
}

/// The bytes of an open file.
#[derive(Debug, Clone)]
pub(crate) struct FileBytes {
    pub(super) file: Arc<dyn FsFile>,
    pub(super) len: u64,
}

impl Length for FileBytes {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for FileBytes {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        // Headers of pages are read so: a few dozen bytes each.
        let from = From {
            bytes: self.clone(),
            at: start,
        };
        Ok(BufReader::with_capacity(1 << 10, from))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.saturating_add(u64::try_from(length)?);
        if end > self.len {
            return Err(ParquetError::EOF(format!(
                "the file ends before byte {end}"
            )));
        }
        let mut buffer = vec![0; length];
        let done = self
            .file
            .read_full_at(&mut buffer, start)
            .map_err(|e| ParquetError::External(Box::new(e)))?;
        if done < length {
            return Err(ParquetError::EOF(format!(
                "the file ends before byte {end}"
            )));
        }
        Ok(Bytes::from(buffer))
    }
}

/// Bytes of a header that are read at first, and at most.
const HEADER: (usize, usize) = (1 << 10, 1 << 20);

/// The bytes of a file that nothing vouches for, given to a decoder that reads page by page: what a header claims is held against what is
/// possible before the page is given out.
pub(crate) struct GuardedBytes {
    pub(super) bytes: FileBytes,
    pub(super) metadata: Arc<ParquetMetaData>,
    /// Pages whose headers were read: where their bytes begin, and where they themselves do.
    seen: Mutex<HashMap<u64, u64>>,
}

impl GuardedBytes {
    pub(super) fn new(bytes: FileBytes, metadata: &Arc<ParquetMetaData>) -> Self {
        Self {
            bytes,
            metadata: Arc::clone(metadata),
            seen: Mutex::default(),
        }
    }

    /// What the page at a place claims.
    fn claims(&self, place: u64) -> Result<Vec<Claim<'_>>> {
        let left = usize::try_from(self.bytes.len.saturating_sub(place))?;
        let mut len = HEADER.0;
        loop {
            let bytes = self.bytes.get_bytes(place, len.min(left))?;
            if let Some(claims) = claims(&self.metadata, place, &bytes)? {
                return Ok(claims);
            }
            if len >= left || len >= HEADER.1 {
                return Err(ParquetError::General(format!(
                    "the page at byte {place} has no header that makes sense"
                )));
            }
            len *= 4;
        }
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Length for GuardedBytes {
    fn len(&self) -> u64 {
        self.bytes.len
    }
}

impl ChunkReader for GuardedBytes {
    type T = BufReader<From>;

    /// The decoder reads headers so; of a page whose header it has looked at before it only asks for the place of the bytes.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        if !self.seen().contains_key(&start) {
            for claim in self.claims(start)? {
                self.seen().insert(claim.body, start);
            }
        }
        self.bytes.get_read(start)
    }

    /// The decoder reads the bytes of a page so, after its header.
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let place = self.seen().remove(&start);
        let bytes = self.bytes.get_bytes(start, length)?;
        let place = place.ok_or_else(|| {
            ParquetError::General(format!("the bytes at {start} are those of no page"))
        })?;
        for claim in self.claims(place)? {
            claim.check(&bytes)?;
        }
        Ok(bytes)
    }
}

/// The bytes from a place on.
#[derive(Debug)]
pub(crate) struct From {
    bytes: FileBytes,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let done = self.bytes.file.read_at(buf, self.at)?;
        self.at += done as u64;
        Ok(done)
    }
}

/// A file of which only the headers of pages are of interest.
struct Headers(FileBytes);

impl Length for Headers {
    fn len(&self) -> u64 {
        self.0.len
    }
}

impl ChunkReader for Headers {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.0.get_read(start)
    }

    fn get_bytes(&self, _: u64, _: usize) -> Result<Bytes> {
        Ok(Bytes::new())
    }
}

/// Whether some of the rows are wanted of a file without a page index: a decoder that is given whole columns would read what it leaves out.
pub(super) fn are_few(rows: &[Range<u64>], footer: &Footer) -> bool {
    let chosen: u64 = rows.iter().map(|range| range.end - range.start).sum();
    chosen < footer.rows() && footer.metadata().offset_index().is_none()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, TimestampNanosecondType};
    use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampNanosecondArray};
    use minutebook_core::time::from_nanos;
    use minutebook_fs::{Fs, OsFs};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
    use parquet::file::properties::{EnabledStatistics, WriterProperties};

    use super::super::load::read;
    use super::*;
    use crate::LoadParquet;

    /// A file whose pages say in their headers what they hold, or nowhere.
    fn write(path: &Path, times: &[i64], in_headers: bool) {
        let time: ArrayRef = Arc::new(TimestampNanosecondArray::from(times.to_vec()));
        let value: ArrayRef = Arc::new(Int64Array::from_iter_values(
            times.iter().map(|time| time * 3),
        ));
        let batch = RecordBatch::try_from_iter([("timestamp", time), ("value", value)]).unwrap();
        let statistics = if in_headers {
            EnabledStatistics::Page
        } else {
            EnabledStatistics::Chunk
        };
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(1_000))
            .set_data_page_row_count_limit(100)
            .set_write_batch_size(50)
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(statistics)
            .set_write_page_header_statistics(in_headers)
            .set_offset_index_disabled(true)
            .build();
        let file = File::create(path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    /// The file as one of pandas is: without an index of pages.
    fn open(path: &Path) -> Source {
        let mut source = Source::open(&(Arc::new(OsFs) as Arc<dyn Fs>), path).unwrap();
        let metadata = source.footer.metadata().clone().into_builder();
        let metadata = metadata.set_column_index(None).set_offset_index(None);
        source.footer.arrow =
            ArrowReaderMetadata::try_new(Arc::new(metadata.build()), ArrowReaderOptions::new())
                .unwrap();
        source
    }

    fn chosen(path: &Path, start: i64, end: i64) -> Vec<(u64, u64)> {
        let span = Span {
            start: i128::from(start),
            end: i128::from(end),
        };
        let rows = rows(&open(path), Some(("timestamp", span))).into_iter();
        rows.map(|range| (range.start, range.end)).collect()
    }

    fn loaded(path: &Path, start: i64, end: i64) -> Vec<i64> {
        let wanted = LoadParquet::default().start(from_nanos(start));
        let wanted = wanted.end(from_nanos(end));
        let batch = read(&open(path), &wanted, wanted.span().unwrap()).unwrap();
        let times = batch.column(0).as_primitive::<TimestampNanosecondType>();
        let times = times.values().to_vec();
        let values = batch.column(1).as_primitive::<Int64Type>();
        let expected: Vec<_> = times.iter().map(|time| time * 3).collect();
        assert_eq!(values.values().to_vec(), expected);
        times
    }

    #[test]
    fn pages_are_left_out_by_their_headers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        let times: Vec<i64> = (0..2_500).map(|i| i * 10).collect();
        write(&path, &times, true);
        assert_eq!(chosen(&path, 15_000, 15_400), [(1_500, 1_600)]);
        assert_eq!(chosen(&path, 9_950, 10_005), [(900, 1_100)]);
        assert_eq!(chosen(&path, 24_990, 99_999), [(2_400, 2_500)]);
        assert!(chosen(&path, 30_000, 99_999).is_empty());
        assert_eq!(loaded(&path, 15_000, 15_400), times[1_500..=1_540]);
        assert_eq!(loaded(&path, 9_950, 10_005), times[995..=1_000]);
        assert!(loaded(&path, 30_000, 40_000).is_empty());

        write(&path, &times, false);
        assert_eq!(chosen(&path, 15_000, 15_400), [(1_000, 2_000)]);
        assert_eq!(loaded(&path, 15_000, 15_400), times[1_500..=1_540]);
    }

    #[test]
    fn rows_in_any_order_are_all_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        let times: Vec<i64> = (0..2_500).map(|i| (i * 7_919) % 2_503).collect();
        for in_headers in [true, false] {
            write(&path, &times, in_headers);
            for (start, end) in [(0, 3), (700, 900), (2_000, 9_000)] {
                let inside = |time: &&i64| (start..=end).contains(*time);
                let expected: Vec<i64> = times.iter().filter(inside).copied().collect();
                assert_eq!(loaded(&path, start, end), expected);
            }
        }
    }
}
