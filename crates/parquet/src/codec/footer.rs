//! The end of a Parquet file: what is where in it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder, RowGroupMetaData,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::thrift;

/// More uncompressed bytes than one column of one row group ever has.
const MAX_CHUNK: i64 = 2 << 30;
/// The length of the footer and the magic number.
const TAIL: u64 = 8;

/// A footer with its page index.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) arrow: ArrowReaderMetadata,
    /// The file's length.
    pub(crate) len: u64,
    /// Whether the index of pages was looked for.
    pub(crate) indexed: bool,
}

impl Footer {
    /// As [`read`](Self::read), of a file that nothing vouches for: before it is decoded, its lists are held against the bytes that there are.
    pub(crate) fn read_untrusted(
        len: u64,
        mut fetch: impl FnMut(&[Range<u64>]) -> Result<Vec<Bytes>>,
    ) -> Result<Self> {
        let wrong = |text: &str| ParquetError::General(text.to_owned());
        let mut get = |range: Range<u64>| -> Result<Bytes> {
            if range.start > range.end || range.end > len {
                return Err(wrong("the footer points outside the file"));
            }
            let got = fetch(std::slice::from_ref(&range))?;
            got.into_iter()
                .next()
                .ok_or_else(|| wrong("nothing was read"))
        };
        let tail = get(len.saturating_sub(TAIL)..len)?;
        let claim = tail
            .first_chunk::<4>()
            .map_or(0, |claim| u32::from_le_bytes(*claim));
        let end = len.saturating_sub(TAIL);
        let start = end
            .checked_sub(u64::from(claim))
            .ok_or_else(|| wrong("the footer claims to be longer than the file"))?;
        if !thrift::whole(&get(start..end)?) {
            return Err(wrong("the footer is cut or makes no sense"));
        }
        let metadata = decode(len, PageIndexPolicy::Skip, &mut |ranges| {
            ranges.iter().cloned().map(&mut get).collect()
        })?;
        let chunks = metadata
            .row_groups()
            .iter()
            .flat_map(RowGroupMetaData::columns);
        let indexes = chunks.flat_map(|chunk| {
            let column = chunk.column_index_offset().zip(chunk.column_index_length());
            let offset = chunk.offset_index_offset().zip(chunk.offset_index_length());
            [column, offset]
        });
        let ranges: Option<Vec<Range<u64>>> = indexes
            .flatten()
            .map(|(start, len)| {
                let start = u64::try_from(start).ok()?;
                Some(start..start.checked_add(u64::try_from(len).ok()?)?)
            })
            .collect();
        let ranges = ranges.ok_or_else(|| wrong("a page index has a negative place"))?;
        let (first, last) = (
            ranges.iter().map(|range| range.start).min(),
            ranges.iter().map(|range| range.end).max(),
        );
        if let Some((first, last)) = first.zip(last) {
            let all = get(first..last)?;
            for range in ranges {
                let place = |at: u64| usize::try_from(at - first).unwrap_or(usize::MAX);
                let index = all.get(place(range.start)..place(range.end));
                if !index.is_some_and(thrift::whole) {
                    return Err(wrong("a page index is cut or makes no sense"));
                }
            }
        }
        Self::read(len, fetch)
    }

    /// Reads the footer of a file of `len` bytes; `fetch` gets the bytes of ranges.
    pub(crate) fn read(
        len: u64,
        fetch: impl FnMut(&[Range<u64>]) -> Result<Vec<Bytes>>,
    ) -> Result<Self> {
        Self::with(len, PageIndexPolicy::Optional, fetch)
    }

    /// As [`read`](Self::read), without the index of pages.
    pub(crate) fn read_bare(
        len: u64,
        fetch: impl FnMut(&[Range<u64>]) -> Result<Vec<Bytes>>,
    ) -> Result<Self> {
        Self::with(len, PageIndexPolicy::Skip, fetch)
    }

    fn with(
        len: u64,
        pages: PageIndexPolicy,
        mut fetch: impl FnMut(&[Range<u64>]) -> Result<Vec<Bytes>>,
    ) -> Result<Self> {
        let metadata = decode(len, pages, &mut fetch)?;
        check(&metadata, len)?;
        let arrow = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())?;
        Ok(Self {
            arrow,
            len,
            indexed: pages != PageIndexPolicy::Skip,
        })
    }

    pub(crate) fn metadata(&self) -> &ParquetMetaData {
        self.arrow.metadata()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.metadata()
            .row_groups()
            .iter()
            .map(|group| rows_of(group.num_rows()))
            .sum()
    }

    /// The bytes, not compressed, of the row groups that have some of these rows.
    pub(crate) fn bytes_of(&self, rows: &[Range<u64>]) -> u64 {
        let touched = |group: &Range<u64>| {
            let at = rows.partition_point(|range| range.end <= group.start);
            rows.get(at).is_some_and(|range| range.start < group.end)
        };
        let groups = self.row_groups().zip(self.metadata().row_groups());
        groups
            .filter(|(rows, _)| touched(rows))
            .map(|(_, group)| rows_of(group.total_byte_size()))
            .sum()
    }

    /// Rows of the last row group.
    pub(crate) fn tail_rows(&self) -> u64 {
        let last = self.metadata().row_groups().last();
        last.map_or(0, |group| rows_of(group.num_rows()))
    }

    /// Nanoseconds in one unit of a column of times.
    pub(crate) fn nanos_per(&self, column: &str) -> Option<i64> {
        let field = self.arrow.schema().field_with_name(column).ok()?;
        crate::file::nanos_per(field.data_type())
    }

    /// The row ranges of the row groups.
    pub(crate) fn row_groups(&self) -> impl Iterator<Item = Range<u64>> {
        self.metadata().row_groups().iter().scan(0, |start, group| {
            let range = *start..*start + rows_of(group.num_rows());
            *start = range.end;
            Some(range)
        })
    }

    /// The first rows of the pages of the row group that has a row, ascending; empty if the file does not say.
    pub(crate) fn page_starts(&self, row: u64) -> Vec<u64> {
        let Some((i, group)) = self
            .row_groups()
            .enumerate()
            .find(|(_, group)| group.contains(&row))
        else {
            return Vec::new();
        };
        let pages = self
            .metadata()
            .offset_index()
            .and_then(|index| index.get(i)?.first());
        let locations = pages.iter().flat_map(|pages| pages.page_locations());
        locations
            .map(|location| group.start + rows_of(location.first_row_index))
            .collect()
    }

    /// Smallest and largest value of a 64-bit column in a row group, where the file says them.
    pub(crate) fn bounds(&self, group: usize, leaf: usize) -> Option<(i64, i64)> {
        match self
            .metadata()
            .row_groups()
            .get(group)?
            .columns()
            .get(leaf)?
            .statistics()?
        {
            Statistics::Int64(values) => values.min_opt().copied().zip(values.max_opt().copied()),
            _ => None,
        }
    }

    /// The pages of a 64-bit column in a row group: first row in the group, smallest and largest value.
    pub(crate) fn pages(&self, group: usize, leaf: usize) -> Option<Vec<(u64, i64, i64)>> {
        let index = self.metadata().column_index()?.get(group)?.get(leaf)?;
        let offsets = self.metadata().offset_index()?.get(group)?.get(leaf)?;
        let ColumnIndexMetaData::INT64(index) = index else {
            return None;
        };
        let (mins, maxs) = (index.min_values(), index.max_values());
        let locations = offsets.page_locations();
        if mins.len() != locations.len() || maxs.len() != locations.len() {
            return None;
        }
        let values = mins.iter().zip(maxs);
        Some(
            locations
                .iter()
                .zip(values)
                .map(|(location, (min, max))| (rows_of(location.first_row_index), *min, *max))
                .collect(),
        )
    }
}

/// Gets the bytes of ranges.
type Fetch<'a> = dyn FnMut(&[Range<u64>]) -> Result<Vec<Bytes>> + 'a;

fn decode(len: u64, policy: PageIndexPolicy, fetch: &mut Fetch<'_>) -> Result<ParquetMetaData> {
    let mut decoder = ParquetMetaDataPushDecoder::try_new(len)?.with_page_index_policy(policy);
    loop {
        match decoder.try_decode()? {
            DecodeResult::NeedsData(ranges) => {
                if ranges
                    .iter()
                    .any(|range| range.end > len || range.start > range.end)
                {
                    return Err(ParquetError::General(
                        "the footer points outside the file".into(),
                    ));
                }
                let data = fetch(&ranges)?;
                decoder.push_ranges(ranges, data)?;
            }
            DecodeResult::Data(metadata) => return Ok(metadata),
            DecodeResult::Finished => {
                return Err(ParquetError::General("the footer has no content".into()));
            }
        }
    }
}

/// Refuses numbers that no honest file has, before anything is allocated for them.
fn check(metadata: &ParquetMetaData, len: u64) -> Result<()> {
    let wrong = |text: &str| Err(ParquetError::General(text.to_owned()));
    let mut rows = 0_i64;
    for group in metadata.row_groups() {
        if group.num_rows() < 0 {
            return wrong("a row group has a negative number of rows");
        }
        let Some(sum) = rows.checked_add(group.num_rows()) else {
            return wrong("the row groups claim more rows than there can be");
        };
        rows = sum;
        for column in group.columns() {
            let start = column
                .dictionary_page_offset()
                .unwrap_or(column.data_page_offset());
            let end = start.checked_add(column.compressed_size());
            let inside = end.is_some_and(|end| u64::try_from(end).is_ok_and(|end| end <= len));
            if start < 0 || column.compressed_size() < 0 || !inside {
                return wrong("a column lies outside the file");
            }
            if !(0..=MAX_CHUNK).contains(&column.uncompressed_size()) {
                return wrong("a column claims an absurd size");
            }
        }
    }
    if rows != metadata.file_metadata().num_rows() {
        return wrong("the row groups and the file disagree about the number of rows");
    }
    Ok(())
}

fn rows_of(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
