//! What page headers claim, held against what is possible before anything is allocated for it: a few bytes can claim gigabytes.
//!
//! The decoder allocates what a header says, and for some codecs whatever the compressed bytes become. So the headers of the bytes that
//! were fetched are read first. A page that claims more than its column has, or more than any page needs, is damage; where a codec does not
//! keep to the claim, the bytes are decompressed once into nothing.

use std::io::Read;
use std::ops::Range;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::thrift::Thrift;

/// More bytes than an honest page has when it is decompressed.
const MAX_PAGE: u64 = 256 << 20;

/// Checks the pages in bytes that were fetched for decoding. Bytes that do not begin with a page are left to the decoder.
pub(super) fn check(
    metadata: &ParquetMetaData,
    ranges: &[Range<u64>],
    data: &[Bytes],
) -> Result<()> {
    for (range, bytes) in ranges.iter().zip(data) {
        let chunks = metadata
            .row_groups()
            .iter()
            .flat_map(RowGroupMetaData::columns);
        let mut chunks = chunks.filter(|chunk| {
            let (start, len) = chunk.byte_range();
            (start..start.saturating_add(len)).contains(&range.start)
        });
        if let Some(chunk) = chunks.next() {
            check_chunk(chunk, range.start, bytes)?;
        }
    }
    Ok(())
}

fn check_chunk(chunk: &ColumnChunkMetaData, start: u64, bytes: &[u8]) -> Result<()> {
    let limit = u64::try_from(chunk.uncompressed_size())
        .unwrap_or(0)
        .min(MAX_PAGE);
    let mut at = 0;
    while let Some(header) = bytes.get(at..).and_then(Header::parse) {
        let wrong = |what: &str| {
            let place = start + at as u64;
            let column = chunk.column_path().string();
            Err(ParquetError::General(format!(
                "the page at byte {place} of the column \"{column}\" {what}"
            )))
        };
        let (Ok(claim), Ok(stored)) = (
            u64::try_from(header.uncompressed),
            usize::try_from(header.compressed),
        ) else {
            return wrong("has a negative size");
        };
        if claim > limit {
            return wrong(&format!("claims {claim} bytes, more than there can be"));
        }
        let body = at + header.len;
        let Some(page) = bytes.get(body..body.saturating_add(stored)) else {
            return wrong("is longer than what is left of the column");
        };
        let levels = usize::try_from(header.levels).unwrap_or(usize::MAX);
        let packed = page.get(levels..).unwrap_or_default();
        if grows_beyond(chunk.compression(), packed, claim) {
            return wrong(&format!("claims {claim} bytes and has more"));
        }
        at = body + stored;
    }
    Ok(())
}

/// Whether bytes become more than was claimed, with a codec that does not mind the claim.
fn grows_beyond(codec: Compression, packed: &[u8], claim: u64) -> bool {
    let more = |unpacked: &mut dyn Read| {
        let copied = std::io::copy(&mut unpacked.take(claim + 1), &mut std::io::sink());
        // Bytes that do not decompress are the decoder's to refuse.
        copied.is_ok_and(|copied| copied > claim)
    };
    match codec {
        Compression::GZIP(_) => more(&mut flate2::read::MultiGzDecoder::new(packed)),
        Compression::BROTLI(_) => more(&mut brotli::Decompressor::new(packed, 1 << 12)),
        Compression::LZ4 => more(&mut lz4_flex::frame::FrameDecoder::new(packed)),
        _ => false,
    }
}

/// What of a page header is of interest.
#[derive(Debug, Default, PartialEq, Eq)]
struct Header {
    len: usize,
    uncompressed: i64,
    compressed: i64,
    /// Bytes of levels before the compressed ones, in a page of the second form.
    levels: i64,
}

impl Header {
    /// Reads a header; `None` if the bytes do not begin with a whole one.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut thrift = Thrift::new(bytes);
        let mut header = Self::default();
        let mut seen = 0_u8;
        thrift.fields(|thrift, id, kind| {
            match (id, kind) {
                (1, 5) => {
                    seen |= 1;
                    if !(0..=3).contains(&thrift.zigzag()?) {
                        return None;
                    }
                }
                (2, 5) => {
                    seen |= 2;
                    header.uncompressed = thrift.zigzag()?;
                }
                (3, 5) => {
                    seen |= 4;
                    header.compressed = thrift.zigzag()?;
                }
                (8, 12) => {
                    let levels = &mut header.levels;
                    thrift.fields(|thrift, id, kind| {
                        match (id, kind) {
                            (5 | 6, 5) => *levels += thrift.zigzag()?.max(0),
                            _ => thrift.skip(kind, false, 0)?,
                        }
                        Some(())
                    })?;
                }
                _ => thrift.skip(kind, false, 0)?,
            }
            Some(())
        })?;
        header.len = thrift.at();
        (seen == 7).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type 0, sizes 100 and 60, checksum 1, a data page header with statistics that have a text of two bytes.
    const PAGE: [u8; 24] = [
        0x15, 0, 0x15, 200, 1, 0x15, 120, 0x15, 2, 0x1c, 0x15, 6, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c,
        0x18, 0, 0, 0, 0,
    ];

    #[test]
    fn headers_are_read_and_cut_ones_are_not() {
        let header = Header::parse(&PAGE).unwrap();
        assert_eq!((header.uncompressed, header.compressed), (100, 60));
        assert_eq!(header.len, PAGE.len());
        for len in 0..PAGE.len() {
            assert_eq!(Header::parse(&PAGE[..len]), None, "{len}");
        }
        assert_eq!(Header::parse(b"PAR1PAR1PAR1"), None);
        // A list that claims to go on for ever ends with the bytes.
        assert_eq!(Header::parse(&[0x49, 0xfc, 0xff, 0xff, 0xff, 0x0f]), None);
    }
}
