//! A store whose Parquet files are damaged while the segment that was moved last is, or is not, still among the tick files.

use std::path::{Path, PathBuf};

use minutebook::check::{Part, VerifyOptions};
use minutebook::config::{Config, Environment};
use minutebook::{Finding, Minutebook, ScanQuery, SeriesFilter};

use crate::{btc, entry, numbers};

/// The files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let (dirs, mut found): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    found.extend(dirs.iter().flat_map(|dir| files(dir)));
    found
}

/// Ten rows of which five were moved and not yet removed, where the Parquet file is gone; and the path of the segment.
async fn half_moved(dir: &Path) -> (Minutebook, PathBuf) {
    let options = || {
        let options = Minutebook::options().environment(Environment::empty());
        options.config(Config::new().tiered(true))
    };
    let book = options().create(dir).unwrap();
    let log = book.tick_log().unwrap().unwrap();
    let lines: Vec<_> = (0..5).map(entry).collect();
    log.append_entries(&btc(), &lines).await.unwrap();
    let segment = log.rotate(&btc()).await.unwrap().unwrap();
    let sealed = segment.path.parent().unwrap();
    let kept: Vec<(PathBuf, Vec<u8>)> = files(sealed)
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    let moved = book.compact_ticks(&SeriesFilter::new(), false).await;
    assert_eq!(moved.unwrap()[0].moved.len(), 1);
    for (path, bytes) in kept {
        std::fs::write(path, bytes).unwrap();
    }
    let lines: Vec<_> = (5..10).map(entry).collect();
    log.append_entries(&btc(), &lines).await.unwrap();
    let mut lost = files(dir);
    lost.retain(|path| path.extension().is_some_and(|end| end == "parquet"));
    assert_eq!(lost.len(), 1);
    std::fs::remove_file(&lost[0]).unwrap();
    // As another process finds it.
    (options().open(dir).unwrap(), segment.path)
}

/// What a check says of the Parquet file, and what a repair does: the same of both, as `lost`; and which rows there are then.
async fn mended(book: &Minutebook, lost: bool) -> Vec<i64> {
    let of_series = |findings: &[Finding]| -> Vec<bool> {
        let of_it = |finding: &&Finding| finding.kind.part() == Part::Series;
        let found = findings.iter().filter(of_it);
        found.map(|finding| finding.lost).collect()
    };
    let options = VerifyOptions::new();
    let told = book.verify(&options).await.unwrap();
    assert_eq!(of_series(&told.findings), [lost], "{:?}", told.findings);
    let report = book.repair(&options).await.unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert!(report.after.is_clean(), "{:?}", report.after.findings);
    let mended = of_series(&report.mended);
    assert!(mended.iter().all(|it| *it == lost), "{:?}", report.mended);
    numbers(&**book.ticks(), &ScanQuery::new()).await.unwrap()
}

#[tokio::test]
async fn ticks_that_are_still_there_are_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (book, _) = half_moved(dir.path()).await;
    let expected: Vec<i64> = (0..10).collect();
    assert_eq!(mended(&book, false).await, expected);
}

#[tokio::test]
async fn a_column_that_parquet_cannot_take_over_does_not_keep_rows_from_being_mended() {
    let dir = tempfile::tempdir().unwrap();
    let (book, _) = half_moved(dir.path()).await;
    let line = r#"{"timestamp":"2025-01-01T01:00:00","n":10,"@line":"x"}"#;
    let log = book.tick_log().unwrap().unwrap();
    log.append_entries(&btc(), &[line]).await.unwrap();
    let expected: Vec<i64> = (0..11).collect();
    assert_eq!(mended(&book, false).await, expected);
}

#[tokio::test]
async fn a_check_says_of_ticks_that_are_damaged_too_that_they_are_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (book, segment) = half_moved(dir.path()).await;
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let left = mended(&book, true).await;
    assert!(left.ends_with(&[5, 6, 7, 8, 9]), "{left:?}");
}

#[tokio::test]
async fn a_check_says_of_ticks_that_are_missing_too_that_they_are_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (book, segment) = half_moved(dir.path()).await;
    std::fs::remove_file(&segment).unwrap();
    assert_eq!(mended(&book, true).await, [5, 6, 7, 8, 9]);
}
