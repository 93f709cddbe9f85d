//! What changes between the check and the step of a repair: good bytes in the place of damaged ones stay.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use minutebook::check::{Part, Progress, VerifyOptions};
use minutebook::repair::RepairReport;
use minutebook::{CatalogExt, ErrorKind, FindingKind};
use minutebook_fs::{Fs, LockMode, LockWait, OsFs};
use minutebook_tests::copy_of;
use tempfile::TempDir;

use super::{runtime, sample, whole};

const TICKS: &str = "ticks/btcusd_timeseries.jsonl";

/// Damages a copy of the sample, and repairs it; when the check has come to the documents, the last part, something else happens.
fn repaired(
    damage: impl FnOnce(&Path),
    then: impl Fn(PathBuf) + Send + Sync + 'static,
) -> (TempDir, RepairReport) {
    let copy = copy_of(whole().0.path());
    damage(copy.path());
    let (root, once) = (copy.path().to_owned(), AtomicBool::new(false));
    let options = VerifyOptions::new().progress(move |progress: Progress| {
        if progress.part == Part::Documents && !once.swap(true, Ordering::SeqCst) {
            then(root.clone());
        }
    });
    let report = runtime()
        .block_on(sample::open(copy.path()).repair(&options))
        .unwrap();
    assert!(report.after.is_clean(), "{:?}", report.after.findings);
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    (copy, report)
}

fn text(root: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(root.join(TICKS)).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn write(root: &Path, lines: &[String]) {
    std::fs::write(root.join(TICKS), lines.join("\n") + "\n").unwrap();
}

#[test]
fn a_good_line_in_the_place_of_a_damaged_one_is_not_taken_out() {
    let good = text(whole().0.path());
    let (copy, report) = repaired(
        |root| {
            let mut lines = text(root);
            lines[3] = "x".repeat(lines[3].len());
            write(root, &lines);
        },
        // Another repair was faster; the lines are of one length.
        |root| {
            let mut lines = text(&root);
            lines.remove(3);
            write(&root, &lines);
        },
    );
    assert!(good.iter().all(|line| line.len() == good[0].len()));
    let mut left = good;
    left.remove(3);
    assert_eq!(text(copy.path()), left);
    let ticks = |kind: FindingKind| kind.part() == Part::Ticks;
    assert!(!report.mended.iter().any(|found| ticks(found.kind)));
}

#[test]
fn a_file_that_is_whole_by_then_is_not_moved_away() {
    const FILE: &str = "data/vix.parquet";
    let good = std::fs::read(whole().0.path().join(FILE)).unwrap();
    let again = good.clone();
    let (copy, report) = repaired(
        |root| {
            let half = &good[..good.len() / 2];
            std::fs::write(root.join(FILE), half).unwrap();
        },
        move |root| std::fs::write(root.join(FILE), &again).unwrap(),
    );
    assert_eq!(std::fs::read(copy.path().join(FILE)).unwrap(), good);
    assert!(report.mended.is_empty(), "{:?}", report.mended);
}

#[test]
fn an_entry_whose_data_is_there_by_then_stays_in_the_registry() {
    const FILE: &str = "data/vix.parquet";
    let (copy, report) = repaired(
        |root| std::fs::rename(root.join(FILE), root.join("data/vix.new")).unwrap(),
        |root| std::fs::rename(root.join("data/vix.new"), root.join(FILE)).unwrap(),
    );
    let book = sample::open(copy.path());
    let entry = runtime().block_on(book.catalog().require(&"vix".parse().unwrap()));
    assert_eq!(entry.unwrap().entry.row_count, Some(3_000));
    assert!(report.mended.is_empty(), "{:?}", report.mended);
}

#[test]
fn what_somebody_else_has_mended_has_not_failed() {
    let (_copy, report) = repaired(
        |root| {
            let mut bytes = std::fs::read(root.join(TICKS)).unwrap();
            bytes.extend_from_slice(b"{\"timestamp\": \"2025");
            std::fs::write(root.join(TICKS), bytes).unwrap();
        },
        |root| write(&root, &text(&root)[..40]),
    );
    assert!(report.mended.is_empty(), "{:?}", report.mended);
}

#[test]
fn one_repair_goes_on_at_a_time() {
    let copy = copy_of(whole().0.path());
    let root = copy.path();
    let options = VerifyOptions::new();
    std::fs::remove_file(root.join("data/vix.parquet")).unwrap();
    std::fs::create_dir_all(root.join("quarantine")).unwrap();
    let lock = root.join("quarantine/.lock");
    let other = OsFs
        .lock(&lock, LockMode::Exclusive, LockWait::Try)
        .unwrap();
    let book = sample::open(root);
    let error = runtime().block_on(book.repair(&options)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    drop(other);
    let report = runtime().block_on(book.repair(&options)).unwrap();
    assert!(report.after.is_clean() && report.mended.len() == 1);
}
