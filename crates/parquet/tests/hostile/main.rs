//! Parquet made to harm: damage at every place, absurd numbers, and a few bytes that claim to be gigabytes. Every reader answers `Corrupt` (or
//! refuses what is asked) and names the file, and none takes much memory.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

#[path = "../common/mod.rs"]
mod common;
mod forged;

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use common::{Row, batch, inline, series};
use forged::bombs;
use minutebook_core::{Error, ErrorKind, ScanQuery, TimeSeriesRepository, WriteMode};
use minutebook_parquet::{
    LoadParquet, Metadata, ParquetConfig, ParquetTimeSeriesRepository, SaveParquet, load_parquet,
    parquet_batches, parquet_statistics, save_parquet,
};

/// Every way of reading a file that somebody handed over; the errors, with what was called.
fn readers(path: &Path) -> Vec<(&'static str, Error)> {
    let options = LoadParquet::default().max_bytes(64 << 20);
    let dated = options.clone().start(minutebook_core::time::from_nanos(0));
    let late = dated
        .clone()
        .start(minutebook_core::time::from_nanos(1_500));
    let store = tempfile::tempdir().unwrap();
    let repo = ParquetTimeSeriesRepository::open(store.path(), ParquetConfig::default()).unwrap();
    let files = [path.to_owned()];
    let mut rows = 0_u64;
    let results = [
        ("load", load_parquet(path, &options).map(drop)),
        ("load dates", load_parquet(path, &dated).map(drop)),
        ("load late dates", load_parquet(path, &late).map(drop)),
        ("statistics", parquet_statistics(path).map(drop)),
        (
            "batches",
            parquet_batches(path, 1 << 13, |batch| {
                rows += batch.num_rows() as u64;
                Ok(())
            })
            .map(drop),
        ),
        (
            "adopt",
            inline(repo.adopt(&series(), &files, &Metadata::new())).map(drop),
        ),
    ];
    let failed = results.into_iter();
    failed
        .filter_map(|(what, result)| Some((what, result.err()?)))
        .collect()
}

fn honest(path: &Path, what: &str) -> usize {
    let errors = readers(path);
    for (reader, error) in &errors {
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Corrupt | ErrorKind::InvalidInput | ErrorKind::SchemaMismatch
            ),
            "{what}, {reader}: {error:?}"
        );
        let text = format!("{error} {:?}", error.resource());
        assert!(text.contains("x.parquet"), "{what}, {reader}: {error}");
    }
    errors.len()
}

fn rows() -> Vec<Row> {
    (0..300).map(|i| (i * 60, i * 37 % 101)).collect()
}

fn file(dir: &Path) -> (PathBuf, Vec<u8>) {
    let path = dir.join("x.parquet");
    save_parquet(&[batch(&rows())], &path, &SaveParquet::default()).unwrap();
    let bytes = fs::read(&path).unwrap();
    (path, bytes)
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

#[test]
fn files_cut_at_every_64th_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes) = file(dir.path());
    for len in (0..bytes.len()).step_by(64) {
        fs::write(&path, &bytes[..len]).unwrap();
        assert_eq!(honest(&path, &format!("cut to {len}")), 6, "cut to {len}");
    }
}

#[test]
fn bits_flipped_at_random() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes) = file(dir.path());
    let mut random = Random(20_240_101);
    let mut refused = 0;
    for round in 0..250 {
        let mut damaged = bytes.clone();
        for _ in 0..=random.below(4) {
            let bit = random.below(bytes.len() * 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
        fs::write(&path, &damaged).unwrap();
        refused += honest(&path, &format!("round {round}"));
    }
    assert!(refused > 500, "{refused} of 1,250 readings were refused");
}

/// The same on segments of a series: nothing is read that was not written, by scan, latest or verification.
#[test]
fn segments_cut_and_flipped() {
    let dir = tempfile::tempdir().unwrap();
    let open = || ParquetTimeSeriesRepository::open(dir.path(), ParquetConfig::default()).unwrap();
    inline(open().write(&series(), batch(&rows()), WriteMode::Append)).unwrap();
    let data = dir.path().join("btcusd/1m/data");
    let path = fs::read_dir(data).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&path).unwrap();
    let check = |damaged: &[u8], what: &str| {
        fs::write(&path, damaged).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        for query in [ScanQuery::new(), ScanQuery::new().last(1)] {
            let read = inline(async { open().scan(&series(), &query).await?.collect().await });
            match read {
                Ok((batches, _)) => {
                    let found: Vec<Row> = batches.iter().flat_map(common::rows).collect();
                    let all = rows();
                    assert_eq!(found, all[all.len() - found.len()..], "{what}");
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error:?}");
                    assert!(error.resource().unwrap().contains(name), "{what}: {error}");
                }
            }
        }
        let report = inline(open().verify(&series())).unwrap();
        assert_eq!(report.problems.total(), 1, "{what} passed verification");
    };
    for len in (0..bytes.len()).step_by(64) {
        check(&bytes[..len], &format!("cut to {len}"));
    }
    let mut random = Random(7);
    for _ in 0..120 {
        let bit = random.below(bytes.len() * 8);
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        check(&damaged, &format!("bit {bit}"));
    }
}

#[test]
fn footers_with_wrong_lengths_and_absurd_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes) = file(dir.path());
    let end = bytes.len();
    for claim in [
        0_u32,
        1,
        7,
        8,
        1 << 20,
        1 << 31,
        u32::MAX,
        u32::try_from(end).unwrap(),
    ] {
        let mut damaged = bytes.clone();
        damaged[end - 8..end - 4].copy_from_slice(&claim.to_le_bytes());
        fs::write(&path, &damaged).unwrap();
        assert_eq!(honest(&path, &format!("a footer of {claim}")), 6, "{claim}");
    }
    // Every list and text of the footer, in turn, claims to have two thousand million elements or bytes.
    let len = u32::from_le_bytes(bytes[end - 8..end - 4].try_into().unwrap());
    let start = end - 8 - usize::try_from(len).unwrap();
    let mut refused = 0;
    for at in start..end - 8 {
        for huge in [
            &[0xfc, 0xff, 0xff, 0xff, 0xff, 0x07][..],
            &[0xff, 0xff, 0xff, 0xff, 0x07],
        ] {
            let mut damaged = bytes[..at].to_vec();
            damaged.extend_from_slice(huge);
            damaged.extend_from_slice(&bytes[at + 1..end - 8]);
            let footer = u32::try_from(damaged.len() - start).unwrap();
            damaged.extend_from_slice(&footer.to_le_bytes());
            damaged.extend_from_slice(b"PAR1");
            fs::write(&path, &damaged).unwrap();
            if at % 16 == 0 {
                refused += honest(&path, &format!("byte {at} is huge"));
            } else if let Err(error) = parquet_statistics(&path) {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 300, "{refused}");
}

// Files that no writer makes, byte by byte.

/// Resident memory at its highest, in KiB.
fn high_water() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs in a process of its own, so that its memory can be told.
#[test]
#[ignore = "run by bombs_take_no_memory, in a process of its own"]
fn child_reads_a_bomb() {
    let Some(path) = std::env::var_os("MINUTEBOOK_BOMB").map(PathBuf::from) else {
        return;
    };
    let before = high_water();
    let errors = readers(&path);
    println!("refused {}", errors.len());
    println!("took {}", high_water() - before);
}

#[test]
#[cfg(target_os = "linux")]
fn bombs_take_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    for (name, bytes) in bombs() {
        assert!(bytes.len() < 1 << 20, "{name} has {} bytes", bytes.len());
        fs::write(&path, &bytes).unwrap();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["child_reads_a_bomb", "--exact", "--ignored", "--nocapture"])
            .env("MINUTEBOOK_BOMB", &path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&child.stdout).into_owned();
        assert!(child.status.success(), "{name}: {text}");
        let number = |key: &str| -> u64 {
            let mut words = text.split_whitespace().skip_while(|word| *word != key);
            words.nth(1).unwrap().parse().unwrap()
        };
        let (refused, took) = (number("refused"), number("took"));
        println!("{name}: refused by {refused} of 6, {took} KiB");
        assert!(took < 300 << 10, "{name} took {took} KiB");
        // Forty million honest rows: too many to load or adopt, and each can be streamed.
        let least = match name {
            "a run of rows" => 2,
            _ if name.starts_with("600") => 5,
            _ => 3,
        };
        assert!(refused >= least, "{name}: refused by {refused} of 6");
        honest_but_for_rows(&path, name);
    }
}

fn honest_but_for_rows(path: &Path, name: &str) {
    if name != "a run of rows" {
        honest(path, name);
    }
}

/// What only one of the two checks sees: the checksum of a page, the digest of the file.
#[test]
fn checksums_and_digests_are_both_checked() {
    let dir = tempfile::tempdir().unwrap();
    let open = || ParquetTimeSeriesRepository::open(dir.path(), ParquetConfig::default()).unwrap();
    inline(open().write(&series(), batch(&rows()), WriteMode::Append)).unwrap();
    let entry = dir.path().join("btcusd/1m/log/00000000000000000001.json");
    let data = dir.path().join("btcusd/1m/data");
    let path = fs::read_dir(data).unwrap().next().unwrap().unwrap().path();
    let bytes = Bytes::from(fs::read(&path).unwrap());
    let text = fs::read_to_string(&entry).unwrap();
    let problems = || inline(open().verify(&series())).unwrap().problems;
    assert!(problems().is_clean());

    // The magic number at the start is in no page, and nobody reads it: the digest alone sees it.
    let mut damaged = bytes.to_vec();
    damaged[3] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert_eq!(inline(common::all(&open())).unwrap(), Some(rows()));
    assert_eq!(problems().total(), 1);

    // A page whose bytes differ, in a log that was made to agree: the checksum alone sees it.
    let page = bytes.len() / 3;
    let mut damaged = bytes.to_vec();
    damaged[page] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let digest = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
    let forged = text.replace(&digest(&bytes), &digest(&damaged));
    assert_ne!(forged, text);
    let commit = forged.split_once("\"commit\":").unwrap().1;
    let commit = commit.trim_end().strip_suffix('}').unwrap();
    let sealed = digest(commit.as_bytes());
    fs::write(
        &entry,
        format!("{{\"blake3\":\"{sealed}\",\"commit\":{commit}}}\n"),
    )
    .unwrap();
    let found = problems();
    assert_eq!(found.total(), 1);
    let error = inline(common::all(&open())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}
