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

/// What a page without a checksum is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unvouched {
    /// As good as any: other programs write none.
    Read,
    /// Damage: what decodes may be something else than what was written.
    Refuse,
}

/// Checks the pages in bytes that were fetched for decoding, which are of pages alone: each from its header on, to the end of the last.
pub(super) fn check(
    metadata: &ParquetMetaData,
    ranges: &[Range<u64>],
    data: &[Bytes],
    unvouched: Unvouched,
) -> Result<()> {
    for (range, bytes) in ranges.iter().zip(data) {
        // A file may say that several columns lie at one place.
        for chunk in chunks_at(metadata, range.start) {
            check_chunk(chunk, range.start, bytes, unvouched)?;
        }
    }
    Ok(())
}

/// The columns whose bytes have this place.
fn chunks_at(metadata: &ParquetMetaData, place: u64) -> impl Iterator<Item = &ColumnChunkMetaData> {
    let groups = metadata.row_groups().iter();
    let chunks = groups.flat_map(RowGroupMetaData::columns);
    chunks.filter(move |chunk| {
        let (start, len) = chunk.byte_range();
        (start..start.saturating_add(len)).contains(&place)
    })
}

fn check_chunk(
    chunk: &ColumnChunkMetaData,
    start: u64,
    bytes: &[u8],
    unvouched: Unvouched,
) -> Result<()> {
    let mut at = 0;
    while let Some(left) = bytes.get(at..).filter(|left| !left.is_empty()) {
        let place = start + at as u64;
        let Some(header) = Header::parse(left) else {
            return Err(wrong(chunk, place, "has no header that makes sense"));
        };
        if unvouched == Unvouched::Refuse && !header.checksum {
            return Err(wrong(chunk, place, "has no checksum"));
        }
        let claim = Claim::of(chunk, place, &header)?;
        let body = at + header.len;
        let Some(page) = bytes.get(body..body.saturating_add(claim.stored)) else {
            return Err(wrong(
                chunk,
                place,
                "is longer than what is left of the column",
            ));
        };
        claim.check(page)?;
        // Where an index says where pages are, the decoder takes all that it names for the body of one.
        match bytes.get(body..) {
            Some(all) if at == 0 && all.len() > page.len() => claim.check(all)?,
            _ => {}
        }
        at = body + claim.stored;
    }
    Ok(())
}

fn wrong(chunk: &ColumnChunkMetaData, place: u64, what: &str) -> ParquetError {
    let column = chunk.column_path().string();
    ParquetError::General(format!(
        "the page at byte {place} of the column \"{column}\" {what}"
    ))
}

/// What one page is said to become, by a column that it may belong to.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    chunk: &'a ColumnChunkMetaData,
    place: u64,
    /// Where its bytes begin, after the header.
    pub(crate) body: u64,
    stored: usize,
    /// Bytes that it becomes.
    unpacked: u64,
    levels: usize,
}

impl<'a> Claim<'a> {
    fn of(chunk: &'a ColumnChunkMetaData, place: u64, header: &Header) -> Result<Self> {
        let (Ok(unpacked), Ok(stored)) = (
            u64::try_from(header.uncompressed),
            usize::try_from(header.compressed),
        ) else {
            return Err(wrong(chunk, place, "has a negative size"));
        };
        let limit = u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
        if unpacked > limit.min(MAX_PAGE) {
            let text = format!("claims {unpacked} bytes, more than there can be");
            return Err(wrong(chunk, place, &text));
        }
        let levels = header.levels.iter().map(|levels| (*levels).max(0));
        Ok(Self {
            chunk,
            place,
            body: place + header.len as u64,
            stored,
            unpacked,
            levels: usize::try_from(levels.sum::<i64>()).unwrap_or(usize::MAX),
        })
    }

    /// Checks the bytes of the page.
    pub(crate) fn check(&self, page: &[u8]) -> Result<()> {
        let packed = page.get(self.levels..).unwrap_or_default();
        if grows_beyond(self.chunk.compression(), packed, self.unpacked) {
            let text = format!("claims {} bytes and has more", self.unpacked);
            return Err(wrong(self.chunk, self.place, &text));
        }
        Ok(())
    }
}

/// What the page at a place of the file claims, one claim for each column that says it lies there; `None` if its header does not
/// end within these bytes or makes no sense.
pub(crate) fn claims<'a>(
    metadata: &'a ParquetMetaData,
    place: u64,
    bytes: &[u8],
) -> Result<Option<Vec<Claim<'a>>>> {
    let Some(header) = Header::parse(bytes) else {
        return Ok(None);
    };
    let claims = chunks_at(metadata, place).map(|chunk| Claim::of(chunk, place, &header));
    claims.collect::<Result<_>>().map(Some)
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
    /// Bytes of levels before the compressed ones, in a page of the second form: of definition and of repetition.
    levels: [i64; 2],
    /// Whether it has a checksum.
    checksum: bool,
}

/// Whether the writer of a file gave pages checksums, by the first page of each column.
pub(crate) fn has_checksums(metadata: &ParquetMetaData, file: &[u8]) -> bool {
    let groups = metadata.row_groups().iter();
    let mut chunks = groups.flat_map(RowGroupMetaData::columns);
    chunks.any(|chunk| {
        let start = usize::try_from(chunk.byte_range().0).unwrap_or(usize::MAX);
        let header = file.get(start..).and_then(Header::parse);
        header.is_some_and(|header| header.checksum)
    })
}

/// Fields by number, with their types and what is in them if they are structs. The decoder takes a field that it knows for what it should be,
/// whatever type it is said to have: so one of another type is no header.
#[derive(Debug)]
struct Shape(&'static [(i64, u8, Option<&'static Shape>)]);

const NUMBER: u8 = 5;
const STRUCT: u8 = 12;
const STATISTICS: Shape = Shape(&[
    (1, 8, None),
    (2, 8, None),
    (3, 6, None),
    (4, 6, None),
    (5, 8, None),
    (6, 8, None),
    (7, 1, None),
    (8, 1, None),
]);
const DATA: Shape = Shape(&[
    (1, NUMBER, None),
    (2, NUMBER, None),
    (3, NUMBER, None),
    (4, NUMBER, None),
    (5, STRUCT, Some(&STATISTICS)),
]);
const DICTIONARY: Shape = Shape(&[(1, NUMBER, None), (2, NUMBER, None), (3, 1, None)]);
const SECOND_DATA: Shape = Shape(&[
    (1, NUMBER, None),
    (2, NUMBER, None),
    (3, NUMBER, None),
    (4, NUMBER, None),
    (5, NUMBER, None),
    (6, NUMBER, None),
    (7, 1, None),
    (8, STRUCT, Some(&STATISTICS)),
]);
const PAGE: Shape = Shape(&[
    (1, NUMBER, None),
    (2, NUMBER, None),
    (3, NUMBER, None),
    (4, NUMBER, None),
    (5, STRUCT, Some(&DATA)),
    (6, STRUCT, Some(&Shape(&[]))),
    (7, STRUCT, Some(&DICTIONARY)),
    (8, STRUCT, Some(&SECOND_DATA)),
]);

impl Shape {
    /// Goes through a struct of this shape, and gives its numbers and those of the structs in it, each with its field's.
    fn walk(
        &self,
        thrift: &mut Thrift<'_>,
        outer: i64,
        number: &mut dyn FnMut(i64, i64, i64) -> Option<()>,
    ) -> Option<()> {
        thrift.fields(|thrift, id, kind| {
            // Of a flag the type is the value.
            let plain = if kind == 2 { 1 } else { kind };
            match self.0.iter().find(|(known, ..)| *known == id) {
                Some((_, wanted, _)) if *wanted != plain => None,
                Some((_, _, Some(inner))) => inner.walk(thrift, id, number),
                Some((_, NUMBER, None)) => number(outer, id, thrift.zigzag()?),
                _ => thrift.skip(kind, false, 0),
            }
        })
    }
}

impl Header {
    /// Reads a header; `None` if the bytes do not begin with a whole one.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut thrift = Thrift::new(bytes);
        let mut header = Self::default();
        let mut seen = 0_u8;
        PAGE.walk(&mut thrift, 0, &mut |outer, id, value| {
            match (outer, id) {
                (0, 1) => {
                    seen |= 1;
                    if !(0..=3).contains(&value) {
                        return None;
                    }
                }
                (0, 2) => {
                    seen |= 2;
                    header.uncompressed = value;
                }
                (0, 3) => {
                    seen |= 4;
                    header.compressed = value;
                }
                (0, 4) => header.checksum = true,
                (8, 5) => header.levels[0] = value,
                (8, 6) => header.levels[1] = value,
                _ => {}
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
    const BYTES: [u8; 24] = [
        0x15, 0, 0x15, 200, 1, 0x15, 120, 0x15, 2, 0x1c, 0x15, 6, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c,
        0x18, 0, 0, 0, 0,
    ];

    #[test]
    fn headers_are_read_and_cut_ones_are_not() {
        let header = Header::parse(&BYTES).unwrap();
        assert_eq!((header.uncompressed, header.compressed), (100, 60));
        assert_eq!((header.len, header.checksum), (BYTES.len(), true));
        for len in 0..BYTES.len() {
            assert_eq!(Header::parse(&BYTES[..len]), None, "{len}");
        }
        assert_eq!(Header::parse(b"PAR1PAR1PAR1"), None);
        // A size that is said to be wider than it is, which the decoder would not mind, and a struct that is said to be a number.
        let mut wider = BYTES;
        wider[2] = 0x16;
        assert_eq!(Header::parse(&wider), None);
        let mut other = BYTES;
        other[9] = 0x15;
        assert_eq!(Header::parse(&other), None);
        // Field 65,538 is field 2 to whoever counts in 16 bits.
        let far = [0x15, 0, 0x05, 0x84, 0x80, 0x08, 200, 1, 0x15, 120, 0];
        assert_eq!(Header::parse(&far), None);
        // A list that claims to go on for ever ends with the bytes.
        assert_eq!(Header::parse(&[0x49, 0xfc, 0xff, 0xff, 0xff, 0x0f]), None);
    }
}
