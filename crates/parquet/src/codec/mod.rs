//! Between Arrow batches and Parquet bytes.

mod cache;
mod crc;
mod encoding;
mod footer;
mod pages;
pub(crate) mod pandas;
mod reader;
mod segments;
mod thrift;
mod writer;

pub(crate) use cache::SegmentCache;
pub(crate) use encoding::Choices;
pub(crate) use footer::Footer;
pub(crate) use pages::{Claim, claims, has_checksums};
pub(crate) use reader::{Wanted, decode_from, decode_with};
pub(crate) use segments::{Segments, scaled, without};
pub(crate) use writer::{
    WriteOptions, segment, segment_of_file, segment_options, table, unwritable,
};
