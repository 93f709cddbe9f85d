//! The end of a Parquet file: what is where in it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

/// More uncompressed bytes than one column of one row group ever has.
const MAX_CHUNK: i64 = 2 << 30;

/// A footer with its page index.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) arrow: ArrowReaderMetadata,
    /// The file's length.
    pub(crate) len: u64,
}

impl Footer {
    /// Reads the footer of a file of `len` bytes; `fetch` gets the bytes of ranges.
    pub(crate) fn read(
        len: u64,
        mut fetch: impl FnMut(&[Range<u64>]) -> Result<Vec<Bytes>>,
    ) -> Result<Self> {
        let mut decoder = ParquetMetaDataPushDecoder::try_new(len)?
            .with_page_index_policy(PageIndexPolicy::Optional);
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
                DecodeResult::Data(metadata) => {
                    check(&metadata, len)?;
                    let arrow = ArrowReaderMetadata::try_new(
                        Arc::new(metadata),
                        ArrowReaderOptions::new(),
                    )?;
                    return Ok(Self { arrow, len });
                }
                DecodeResult::Finished => {
                    return Err(ParquetError::General("the footer has no content".into()));
                }
            }
        }
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

/// Refuses numbers that no honest file has, before anything is allocated for them.
fn check(metadata: &ParquetMetaData, len: u64) -> Result<()> {
    let wrong = |text: &str| Err(ParquetError::General(text.to_owned()));
    let mut rows = 0_i64;
    for group in metadata.row_groups() {
        if group.num_rows() < 0 {
            return wrong("a row group has a negative number of rows");
        }
        rows = rows.saturating_add(group.num_rows());
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
