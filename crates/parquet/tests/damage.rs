//! Damaged files are told, never read as something else.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Row, all, batch, inline, series};
use minutebook_core::{ErrorKind, TimeSeriesRepository, WriteMode};
use minutebook_parquet::{
    LoadParquet, Metadata, ParquetConfig, ParquetTimeSeriesRepository, SaveParquet, load_parquet,
    parquet_statistics, save_parquet,
};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

fn open(dir: &Path) -> ParquetTimeSeriesRepository {
    let config = ParquetConfig::default()
        .row_group_rows(1_024)
        .page_rows(256);
    ParquetTimeSeriesRepository::open(dir, config).unwrap()
}

fn stored(dir: &Path) -> Vec<Row> {
    let rows: Vec<Row> = (0..2_000).map(|i| (i * 60, i * 37 % 1_009)).collect();
    inline(open(dir).write(&series(), batch(&rows), WriteMode::Append)).unwrap();
    rows
}

/// The only file of a directory of the series.
fn only(dir: &Path, part: &str) -> PathBuf {
    let files: Vec<_> = fs::read_dir(dir.join("btcusd/1m").join(part))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// Reads, and wants the rows or an error that names the file.
fn honest(dir: &Path, file: &Path, rows: &[Row], what: &str) -> bool {
    match inline(all(&open(dir))) {
        Ok(found) => {
            assert_eq!(
                found.as_deref(),
                Some(rows),
                "{what}: other rows, and no error"
            );
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error:?}");
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(error.resource().unwrap().contains(name), "{what}: {error}");
            true
        }
    }
}

#[test]
fn a_segment_cut_anywhere_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let rows = stored(dir.path());
    let file = only(dir.path(), "data");
    let bytes = fs::read(&file).unwrap();
    let lengths = (0..bytes.len()).step_by(509).chain([
        1,
        4,
        8,
        bytes.len() - 8,
        bytes.len() - 4,
        bytes.len() - 1,
    ]);
    for len in lengths {
        fs::write(&file, &bytes[..len]).unwrap();
        assert!(
            honest(dir.path(), &file, &rows, &format!("cut to {len}")),
            "cut to {len} was not noticed"
        );
    }
    fs::remove_file(&file).unwrap();
    assert!(honest(dir.path(), &file, &rows, "removed"));
    let report = inline(open(dir.path()).verify(&series())).unwrap();
    assert_eq!(report.problems.total(), 1);
}

#[test]
fn a_flipped_bit_in_a_segment_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let rows = stored(dir.path());
    let file = only(dir.path(), "data");
    let bytes = fs::read(&file).unwrap();
    let bits = bytes.len() * 8;
    let (mut noticed, mut tried) = (0, 0);
    for bit in (0..bits).step_by(149) {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, &damaged).unwrap();
        tried += 1;
        noticed += usize::from(honest(
            dir.path(),
            &file,
            &rows,
            &format!("bit {bit} of {bits}"),
        ));
        if tried % 20 == 0 {
            let report = inline(open(dir.path()).verify(&series())).unwrap();
            assert_eq!(report.problems.total(), 1, "bit {bit} passed verification");
        }
    }
    // What is not noticed lies where nothing reads: the magic number, statistics in page headers.
    assert!(
        noticed * 100 >= tried * 97,
        "{noticed} of {tried} were noticed"
    );
}

#[test]
fn a_damaged_log_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let rows = stored(dir.path());
    let file = only(dir.path(), "log");
    let bytes = fs::read(&file).unwrap();
    for len in (0..bytes.len() - 1).step_by(17) {
        fs::write(&file, &bytes[..len]).unwrap();
        assert!(honest(dir.path(), &file, &rows, &format!("cut to {len}")));
    }
    for at in (0..bytes.len() - 1).step_by(3) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        fs::write(&file, &damaged).unwrap();
        assert!(honest(dir.path(), &file, &rows, &format!("byte {at}")));
    }
    let newer = String::from_utf8(bytes)
        .unwrap()
        .replace("\"format\":1", "\"format\":4");
    let commit = newer
        .split_once("\"commit\":")
        .unwrap()
        .1
        .trim_end()
        .strip_suffix('}')
        .unwrap()
        .to_owned();
    let digest = blake3::hash(commit.as_bytes()).to_hex();
    fs::write(
        &file,
        format!("{{\"blake3\":\"{digest}\",\"commit\":{commit}}}\n"),
    )
    .unwrap();
    assert_eq!(
        inline(all(&open(dir.path()))).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}

#[test]
fn a_damaged_single_file_is_damage_or_gives_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<Row> = (0..500).map(|i| (i * 60, i * 37 % 1_009)).collect();
    let path = save_parquet(
        &[batch(&rows)],
        dir.path().join("a.parquet"),
        &SaveParquet::default(),
    )
    .unwrap();
    let bytes = fs::read(&path).unwrap();
    let try_it = |damaged: &[u8], what: &str| {
        fs::write(&path, damaged).unwrap();
        let results = [
            load_parquet(&path, &LoadParquet::default()).map(drop),
            parquet_statistics(&path).map(drop),
        ];
        for error in results.into_iter().filter_map(Result::err) {
            assert!(
                matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::InvalidInput),
                "{what}: {error:?}"
            );
            assert!(
                error.resource().unwrap().contains("a.parquet"),
                "{what}: {error}"
            );
        }
    };
    for len in (0..bytes.len()).step_by(73) {
        fs::write(&path, &bytes[..len]).unwrap();
        assert_eq!(
            load_parquet(&path, &LoadParquet::default())
                .unwrap_err()
                .kind(),
            ErrorKind::Corrupt,
            "cut to {len}"
        );
        assert_eq!(
            parquet_statistics(&path).unwrap_err().kind(),
            ErrorKind::Corrupt,
            "cut to {len}"
        );
    }
    for bit in (0..bytes.len() * 8).step_by(29) {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        try_it(&damaged, &format!("bit {bit}"));
    }
    // A footer that claims more than there is, or nothing.
    for claim in [
        0_u32,
        1,
        7,
        u32::MAX,
        1 << 31,
        u32::try_from(bytes.len()).unwrap(),
    ] {
        let mut damaged = bytes.clone();
        let at = damaged.len() - 8;
        damaged[at..at + 4].copy_from_slice(&claim.to_le_bytes());
        fs::write(&path, &damaged).unwrap();
        assert_eq!(
            load_parquet(&path, &LoadParquet::default())
                .unwrap_err()
                .kind(),
            ErrorKind::Corrupt,
            "{claim}"
        );
    }
    for text in ["", "PAR1", "PAR1PAR1", "timestamp,open\n1,2\n"] {
        fs::write(&path, text).unwrap();
        assert_eq!(
            load_parquet(&path, &LoadParquet::default())
                .unwrap_err()
                .kind(),
            ErrorKind::Corrupt,
            "{text:?}"
        );
    }
}

#[test]
fn of_a_foreign_file_without_checksums_no_row_is_saved() {
    const ROWS: i64 = 100_000;
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<Row> = (0..ROWS).map(|n| (n, n)).collect();
    for checked in [false, true] {
        let path = dir.path().join(format!("{checked}.parquet"));
        if checked {
            save_parquet(&[batch(&rows)], &path, &SaveParquet::default()).unwrap();
        } else {
            let properties = WriterProperties::builder()
                .set_dictionary_enabled(false)
                .set_data_page_row_count_limit(500)
                .set_write_batch_size(500)
                .build();
            let file = fs::File::create(&path).unwrap();
            let schema = batch(&rows).schema();
            let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).unwrap();
            writer.write(&batch(&rows)).unwrap();
            writer.close().unwrap();
        }
        let root = dir.path().join(format!("store {checked}"));
        let repo = open(&root);
        let adopted = inline(repo.adopt(&series(), &[path], &Metadata::new())).unwrap();
        assert_eq!(adopted.rows, ROWS.unsigned_abs());
        let kept = only(&root, "data");
        let mut bytes = fs::read(&kept).unwrap();
        let middle = bytes.len() / 3;
        bytes[middle] ^= 1;
        fs::write(&kept, bytes).unwrap();
        let repo = open(&root);
        let problems = inline(repo.verify(&series())).unwrap().problems;
        assert!(!problems.is_clean());
        let name = kept.file_name().unwrap().to_str().unwrap().to_owned();
        let left = inline(repo.leave_out(&series(), &[name])).unwrap();
        assert_eq!(left.saved_rows + left.lost_rows, ROWS.unsigned_abs());
        let there = inline(all(&repo)).unwrap().unwrap();
        assert_eq!(there.len() as u64, left.saved_rows);
        let wrong = there.iter().find(|(time, number)| time != number);
        assert_eq!(wrong, None, "{left:?}");
        // Where there are checksums, rows of other pages are saved.
        assert_eq!(left.saved_rows > 0, checked, "{left:?}");
        assert!(left.lost_rows > 0);
    }
}

#[test]
fn a_damaged_sector_costs_the_rows_of_its_pages_alone() {
    const SECTOR: usize = 4_096;
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<Row> = (0..30_000).map(|n| (n, n * 7_919 % 1_009)).collect();
    inline(open(dir.path()).write(&series(), batch(&rows), WriteMode::Append)).unwrap();
    let kept = only(dir.path(), "data");
    let whole = fs::read(&kept).unwrap();
    let versions = |dir: &Path| fs::read_dir(dir.join("btcusd/1m/log")).unwrap().count();
    let name = kept.file_name().unwrap().to_str().unwrap().to_owned();
    let footer = whole.len() - {
        let entry = fs::read_to_string(only(dir.path(), "log")).unwrap();
        let (_, after) = entry.split_once("\"footer\":").unwrap();
        after.split_once(',').unwrap().0.parse::<usize>().unwrap()
    };
    let mut headers = 0;
    for start in (0..footer - SECTOR).step_by(SECTOR) {
        let mut bytes = whole.clone();
        bytes[start..start + SECTOR].fill(0);
        fs::write(&kept, bytes).unwrap();
        let repo = open(dir.path());
        let left = inline(repo.leave_out(&series(), std::slice::from_ref(&name))).unwrap();
        let there = inline(all(&repo)).unwrap().unwrap();
        assert_eq!(there.len() as u64, left.saved_rows);
        assert_eq!(left.saved_rows + left.lost_rows, rows.len() as u64);
        // A row group has 1,024 rows. A sector of zeros reaches into a few of them.
        assert!(
            left.lost_rows > 0 && left.lost_rows <= 4 * 1_024,
            "{start}: {left:?}"
        );
        assert!(there.iter().all(|row| rows.binary_search(row).is_ok()));
        headers += usize::from(left.lost_rows >= 1_024);
        // As it was before.
        let made = versions(dir.path());
        fs::remove_file(dir.path().join(format!("btcusd/1m/log/{made:020}.json"))).unwrap();
    }
    assert!(headers > 0);
}
