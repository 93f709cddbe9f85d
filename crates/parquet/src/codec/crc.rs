//! Page checksums: the Parquet writer leaves none, so pages are recorded on their way and get theirs here.
//!
//! A page header is a Thrift struct in compact form whose first fields are type (1), uncompressed size (2) and
//! compressed size (3); the checksum is field 4. It covers the page's bytes as they are stored.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::arrow::arrow_writer::{PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};

/// Compact Thrift: a 32-bit integer, one field after the last.
const NEXT_I32: u8 = 0x15;
/// The zigzag form of page type 2.
const DICTIONARY_PAGE: u8 = 4;

/// Records the pages of every column chunk, in the order in which column writers are made.
#[derive(Debug, Default, Clone)]
pub(super) struct Recorder(Arc<Mutex<Vec<Recording>>>);

/// The blobs of one chunk: header, page, header, page, ...
type Recording = Arc<Mutex<Vec<Bytes>>>;

impl Recorder {
    /// The recordings since the last call.
    pub(super) fn take(&self) -> Vec<Recording> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl PageStoreFactory for Recorder {
    fn create(&self, _: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        let recording = Recording::default();
        lock(&self.0).push(Arc::clone(&recording));
        Ok(Box::new(Pages(recording)))
    }
}

struct Pages(Recording);

impl PageStore for Pages {
    fn put(&mut self, value: Bytes) -> Result<PageKey> {
        let mut blobs = lock(&self.0);
        blobs.push(value);
        Ok(PageKey::new(blobs.len() as u64 - 1))
    }

    fn take(&mut self, key: PageKey) -> Result<Bytes> {
        let at = usize::try_from(key.get()).unwrap_or(usize::MAX);
        let blob = lock(&self.0).get(at).cloned();
        blob.ok_or_else(|| ParquetError::General("no such page".into()))
    }

    fn memory_size(&self) -> usize {
        lock(&self.0).iter().map(Bytes::len).sum()
    }
}

/// The chunk with a checksum in each page header, its dictionary first, and the numbers that go with it.
pub(super) fn checksummed(
    recording: &Recording,
    close: &ColumnCloseResult,
) -> Result<(Bytes, ColumnCloseResult)> {
    let blobs = std::mem::take(&mut *lock(recording));
    let (mut dictionary, mut pages) = (Vec::new(), Vec::with_capacity(blobs.len() / 2));
    let mut growth = 0;
    for pair in blobs.chunks(2) {
        let [header, body] = pair else {
            return Err(unknown());
        };
        let made = with_crc(header, crc32fast::hash(body)).ok_or_else(unknown)?;
        growth += made.len() - header.len();
        if header.get(1) == Some(&DICTIONARY_PAGE) {
            dictionary.push((made, body));
        } else {
            pages.push((made, body));
        }
    }
    let size = |(header, body): &(Vec<u8>, &Bytes)| header.len() + body.len();
    let dictionary_size: usize = dictionary.iter().map(size).sum();
    let sizes: Vec<usize> = pages.iter().map(size).collect();
    let mut bytes = Vec::with_capacity(dictionary_size + sizes.iter().sum::<usize>());
    for (header, body) in dictionary.into_iter().chain(pages) {
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(body);
    }

    let number = |n: usize| i64::try_from(n).map_err(|_| unknown());
    let metadata = close.metadata.clone();
    let (compressed, uncompressed) = (metadata.compressed_size(), metadata.uncompressed_size());
    let metadata = metadata
        .into_builder()
        .set_total_compressed_size(compressed + number(growth)?)
        .set_total_uncompressed_size(uncompressed + number(growth)?)
        .set_dictionary_page_offset((dictionary_size > 0).then_some(0))
        .set_data_page_offset(number(dictionary_size)?)
        .build()?;
    let mut offset_index = close.offset_index.clone();
    if let Some(index) = &mut offset_index {
        if index.page_locations.len() != sizes.len() {
            return Err(unknown());
        }
        let mut offset = dictionary_size;
        for (location, size) in index.page_locations.iter_mut().zip(sizes) {
            location.offset = number(offset)?;
            location.compressed_page_size = i32::try_from(size).map_err(|_| unknown())?;
            offset += size;
        }
    }
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: close.rows_written,
        metadata,
        bloom_filter: close.bloom_filter.clone(),
        column_index: close.column_index.clone(),
        offset_index,
    };
    Ok((bytes.into(), close))
}

/// The header with field 4 set; `None` if it does not look as the writer writes it.
fn with_crc(header: &[u8], crc: u32) -> Option<Vec<u8>> {
    let mut at = 0;
    for _ in 0..3 {
        if *header.get(at)? != NEXT_I32 {
            return None;
        }
        at += 1;
        while *header.get(at)? & 0x80 != 0 {
            at += 1;
        }
        at += 1;
    }
    let next = *header.get(at)?;
    // A field after the third comes with its distance; it is now one closer.
    let closer = match next >> 4 {
        2.. => next - 0x10,
        _ => return None,
    };
    let mut made = Vec::with_capacity(header.len() + 6);
    made.extend_from_slice(header.get(..at)?);
    made.push(NEXT_I32);
    let signed = crc.cast_signed();
    let mut zigzag = (signed << 1 ^ signed >> 31).cast_unsigned();
    while zigzag >= 0x80 {
        made.push((zigzag & 0x7f) as u8 | 0x80);
        zigzag >>= 7;
    }
    made.push((zigzag & 0x7f) as u8);
    made.push(closer);
    made.extend_from_slice(header.get(at + 1..)?);
    Some(made)
}

fn unknown() -> ParquetError {
    ParquetError::General("the writer's pages have an unknown form".into())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
