//! Files that no writer makes: a few bytes that claim, or become, gigabytes.

use std::sync::Arc;

use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaDataBuilder, ParquetMetaDataWriter,
    RowGroupMetaData,
};
use parquet::file::statistics::Statistics;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::SchemaDescriptor;

fn varint(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    to.push(u8::try_from(value).unwrap());
}

fn i32_field(head: u8, value: i32, to: &mut Vec<u8>) {
    to.push(head);
    varint(u64::from((value << 1 ^ value >> 31).cast_unsigned()), to);
}

/// A page: its type, what it claims, its bytes, and the fields of its own header (number 5 or 7) after the first three.
fn page(kind: i32, claim: i32, body: &[u8], head: u8, fields: &[i32]) -> Vec<u8> {
    let mut made = Vec::new();
    i32_field(0x15, kind, &mut made);
    i32_field(0x15, claim, &mut made);
    i32_field(0x15, i32::try_from(body.len()).unwrap(), &mut made);
    made.push(head);
    for field in fields {
        i32_field(0x15, *field, &mut made);
    }
    made.extend([0, 0]);
    made.extend_from_slice(body);
    made
}

const DATA: (i32, u8) = (0, 0x2c);
const DICTIONARY: (i32, u8) = (2, 0x4c);
const RLE_DICTIONARY: i32 = 8;

/// A file of one column of times whose chunk is these bytes.
fn forged(chunk: &[u8], dictionary: usize, rows: i64, claim: i64, codec: Compression) -> Vec<u8> {
    let schema = "message schema { required int64 timestamp (TIMESTAMP(NANOS,true)); }";
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(
        parse_message_type(schema).unwrap(),
    )));
    let mut column = ColumnChunkMetaData::builder(schema.column(0))
        .set_compression(codec)
        .set_num_values(rows)
        .set_total_compressed_size(i64::try_from(chunk.len()).unwrap())
        .set_total_uncompressed_size(claim)
        .set_data_page_offset(4 + i64::try_from(dictionary).unwrap());
    if dictionary > 0 {
        column = column.set_dictionary_page_offset(Some(4));
    }
    let group = RowGroupMetaData::builder(Arc::clone(&schema))
        .set_num_rows(rows)
        .set_total_byte_size(claim)
        .set_column_metadata(vec![column.build().unwrap()])
        .build()
        .unwrap();
    let file = FileMetaData::new(2, rows, None, None, schema, None);
    let metadata = ParquetMetaDataBuilder::new(file)
        .add_row_group(group)
        .build();
    let mut footer = Vec::new();
    ParquetMetaDataWriter::new(&mut footer, &metadata)
        .finish()
        .unwrap();
    let mut bytes = b"PAR1".to_vec();
    bytes.extend_from_slice(chunk);
    // The writer begins with nothing of its own but the footer, its length and the magic number.
    let magic = usize::from(footer.starts_with(b"PAR1")) * 4;
    bytes.extend_from_slice(&footer[magic..]);
    bytes
}

/// A chunk of a forged file: where in the body it lies, what it claims, its codec, and the bounds that the footer says.
struct Part {
    at: std::ops::Range<usize>,
    claim: i64,
    codec: Compression,
    bounds: Option<(i64, i64)>,
}

/// A file of the column `timestamp` and columns of doubles, with row groups of a thousand rows.
fn forged_table(body: &[u8], groups: Vec<Vec<Part>>) -> Vec<u8> {
    let columns = groups[0].len();
    let time = "required int64 timestamp (TIMESTAMP(NANOS,true));".to_owned();
    let doubles = (1..columns).map(|i| format!("required double v{i};"));
    let fields: Vec<String> = std::iter::once(time).chain(doubles).collect();
    let schema = format!("message schema {{ {} }}", fields.join(" "));
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(
        parse_message_type(&schema).unwrap(),
    )));
    let rows = 1_000;
    let count = i64::try_from(groups.len()).unwrap();
    let file = FileMetaData::new(2, rows * count, None, None, Arc::clone(&schema), None);
    let mut metadata = ParquetMetaDataBuilder::new(file);
    for parts in groups {
        let claim = parts.iter().map(|part| part.claim).sum();
        let chunks = parts.into_iter().enumerate().map(|(i, part)| {
            let mut column = ColumnChunkMetaData::builder(schema.column(i))
                .set_compression(part.codec)
                .set_num_values(rows)
                .set_total_compressed_size(i64::try_from(part.at.len()).unwrap())
                .set_total_uncompressed_size(part.claim)
                .set_data_page_offset(4 + i64::try_from(part.at.start).unwrap());
            if let Some((min, max)) = part.bounds {
                let bounds = Statistics::int64(Some(min), Some(max), None, Some(0), false);
                column = column.set_statistics(bounds);
            }
            column.build().unwrap()
        });
        let group = RowGroupMetaData::builder(Arc::clone(&schema))
            .set_num_rows(rows)
            .set_total_byte_size(claim)
            .set_column_metadata(chunks.collect());
        metadata = metadata.add_row_group(group.build().unwrap());
    }
    let mut footer = Vec::new();
    ParquetMetaDataWriter::new(&mut footer, &metadata.build())
        .finish()
        .unwrap();
    let magic = usize::from(footer.starts_with(b"PAR1")) * 4;
    [b"PAR1", body, &footer[magic..]].concat()
}

/// Two groups of honest times, and of columns of doubles that are all this one page, each in a codec of its own.
fn beside_times(page_of_doubles: &[u8], codecs: &[Compression]) -> Vec<u8> {
    let mut body = Vec::new();
    let times = [0..1_000_i64, 1_000..2_000].map(|times| {
        let values: Vec<u8> = times.clone().flat_map(i64::to_le_bytes).collect();
        let start = body.len();
        body.extend(page(DATA.0, 8_000, &values, DATA.1, &[1_000, 0, 3, 3]));
        (start..body.len(), (times.start, times.end - 1))
    });
    let doubles = body.len()..body.len() + page_of_doubles.len();
    body.extend_from_slice(page_of_doubles);
    let groups = times.map(|(at, bounds)| {
        let time = Part {
            at,
            claim: 8_100,
            codec: Compression::UNCOMPRESSED,
            bounds: Some(bounds),
        };
        let doubles = codecs.iter().map(|codec| Part {
            at: doubles.clone(),
            claim: i64::try_from(page_of_doubles.len()).unwrap() + 8_100,
            codec: *codec,
            bounds: None,
        });
        std::iter::once(time).chain(doubles).collect()
    });
    forged_table(&body, groups.into())
}

/// The bombs, by name; whether they are damage, or honest rows too many to be taken.
pub(crate) fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let snappy = Compression::SNAPPY;
    let claim = i32::MAX;
    let claims = page(DATA.0, claim, &[0xff; 40], DATA.1, &[250_000_000, 0, 3, 3]);
    let mut member = Vec::new();
    {
        use std::io::Write as _;
        let mut gzip = flate2::write::GzEncoder::new(&mut member, flate2::Compression::best());
        gzip.write_all(&vec![0; 1 << 20]).unwrap();
        gzip.finish().unwrap();
    }
    let grown = page(
        DATA.0,
        8_000,
        &member.repeat(600),
        DATA.1,
        &[1_000, 0, 3, 3],
    );
    // The decoder does not mind that the size is said to be a wider number.
    let mut wider = grown.clone();
    wider[2] = 0x16;
    let zeros = zstd::bulk::compress(&vec![0; 8 << 20], 1).unwrap();
    let zeros = page(DATA.0, 8_000, &zeros, DATA.1, &[1_000, 0, 3, 3]);
    // One value in a dictionary, and one run of forty million of it.
    let rows = 40_000_000;
    let mut run = page(DICTIONARY.0, 8, &0_i64.to_le_bytes(), DICTIONARY.1, &[1, 0]);
    let dictionary = run.len();
    let mut body = vec![1];
    varint(u64::try_from(rows).unwrap() << 1, &mut body);
    body.push(0);
    let len = i32::try_from(body.len()).unwrap();
    run.extend(page(
        DATA.0,
        len,
        &body,
        DATA.1,
        &[rows, RLE_DICTIONARY, 3, 3],
    ));
    let gzip = Compression::GZIP(GzipLevel::default());
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let raw = Compression::UNCOMPRESSED;
    vec![
        (
            "a page of 2 GiB",
            forged(&claims, 0, 250_000_000, 2_000_000_000, snappy),
        ),
        (
            "a page beyond its column",
            forged(&claims, 0, 1_000, 8_000, snappy),
        ),
        ("600 MiB of gzip", forged(&grown, 0, 1_000, 8_100, gzip)),
        (
            "600 MiB of gzip, said in another type",
            forged(&wider, 0, 1_000, 8_100, gzip),
        ),
        (
            "600 MiB of gzip beside honest times",
            beside_times(&grown, &[gzip]),
        ),
        (
            "600 MiB of gzip where another column says it has plain values",
            beside_times(&grown, &[raw, gzip]),
        ),
        ("zstd that grows", forged(&zeros, 0, 1_000, 8_100, zstd)),
        (
            "a run of rows",
            forged(&run, dictionary, i64::from(rows), 100, raw),
        ),
        (
            "rows without end",
            forged(&run, dictionary, i64::MAX, 100, raw),
        ),
        ("rows below zero", forged(&run, dictionary, -5, 100, raw)),
        (
            "a column of no end",
            forged(&run, dictionary, 10, i64::MAX, raw),
        ),
    ]
}
