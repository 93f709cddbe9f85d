//! A newest version that loses all its rows: what an earlier one still has is not left lying.

use std::collections::HashSet;
use std::path::Path;

use minutebook::check::{Finding, VerifyOptions};
use minutebook::config::{Config, Environment};
use minutebook::{
    Bar, FindingKind as Kind, Minutebook, SeriesFilter, SeriesId, Tick, TimeRange,
    TimeSeriesRepositoryExt,
};
use minutebook_parquet::{Operation, VersionInfo};
use minutebook_tests::copy_of;
use tempfile::TempDir;

use super::sample::{bars, open};
use super::{runtime, table};

const SERIES: &str = "AAPL@1h";
const DATA: &str = "series/aapl/1h/data";

fn series() -> SeriesId {
    SERIES.parse().unwrap()
}

async fn rows(book: &Minutebook) -> Vec<Bar> {
    let bars = book.series().bars(&series(), TimeRange::all()).await;
    bars.unwrap()
}

async fn versions(book: &Minutebook) -> Vec<VersionInfo> {
    let files = book.series_files().unwrap().unwrap();
    files.versions(&series()).await.unwrap()
}

/// Three commits, each so large that it is a file of its own.
async fn three(root: &Path) -> Minutebook {
    let book = Minutebook::create(root).unwrap();
    for (from, to) in [(0, 4_000), (4_000, 5_500), (5_500, 6_000)] {
        let bars = bars(from, to);
        book.series().append_bars(&series(), &bars).await.unwrap();
    }
    book
}

/// Removes the files that came since, and says what verify finds of them.
async fn lose(root: &Path, since: &[std::path::PathBuf]) -> Vec<Finding> {
    for file in table::files(root, DATA) {
        if !since.contains(&file) {
            std::fs::remove_file(file).unwrap();
        }
    }
    let report = open(root).verify(&VerifyOptions::new()).await.unwrap();
    let mut found = report.findings;
    found.retain(|finding| finding.kind == Kind::SegmentMissing);
    assert!(!found.is_empty());
    found
}

/// Mends, and checks that a second time nothing is found.
async fn mend(root: &Path) -> usize {
    let options = VerifyOptions::new();
    let report = open(root).repair(&options).await.unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    let lost = report.lost().count();
    // A file that takes two steps is one place that was mended.
    let places: HashSet<_> = report.mended.iter().map(|it| (it.kind, &it.path)).collect();
    assert_eq!(places.len(), report.mended.len(), "{:?}", report.mended);
    if let Some(folder) = &report.quarantine {
        let text = std::fs::read_to_string(folder.join("manifest.jsonl")).unwrap();
        assert_eq!(text.contains("\"lost\":true"), lost > 0, "{text}");
    }
    assert!(report.after.is_clean(), "{:?}", report.after.findings);
    assert!(open(root).repair(&options).await.unwrap().mended.is_empty());
    lost
}

#[test]
fn what_a_compaction_wrote_comes_back_from_what_it_read() {
    runtime().block_on(async {
        let dir = TempDir::new().unwrap();
        let book = three(dir.path()).await;
        let before = rows(&book).await;
        let read = table::files(dir.path(), DATA);
        let files = book.series_files().unwrap().unwrap();
        files.compact(&series()).await.unwrap();
        let said = [("source".to_owned(), Some("vendor".to_owned()))];
        files.describe(&series(), &said).await.unwrap();
        drop(book);
        let found = lose(dir.path(), &read).await;
        assert!(found.iter().all(|finding| !finding.lost), "{found:?}");
        assert!(found[0].cause.contains("version 3 of "), "{found:?}");
        assert!(found[0].cause.contains("the same rows"), "{found:?}");
        // The versions that named the lost file go; none of their rows does.
        assert_eq!(mend(dir.path()).await, 0);
        let book = open(dir.path());
        assert_eq!(rows(&book).await, before);
        let newest = versions(&book).await.pop().unwrap();
        assert_eq!(newest.operation, Operation::Repair);
        assert!(
            newest.note["repair"].contains("version 3 of "),
            "{newest:?}"
        );
        // What was said of the series since stays.
        let files = book.series_files().unwrap().unwrap();
        let said = files.metadata(&series()).await.unwrap();
        assert_eq!(said.get("source").map(String::as_str), Some("vendor"));
    });
}

#[test]
fn rows_written_anew_of_which_nothing_is_left_give_way_to_the_last_whole_ones() {
    runtime().block_on(async {
        let dir = TempDir::new().unwrap();
        let book = three(dir.path()).await;
        let read = table::files(dir.path(), DATA);
        let before = rows(&book).await;
        // Every row is corrected by one write.
        let mut corrected = before.clone();
        for bar in &mut corrected {
            bar.volume += 1.0;
        }
        book.series()
            .upsert_bars(&series(), &corrected)
            .await
            .unwrap();
        drop(book);
        let found = lose(dir.path(), &read).await;
        assert!(found.iter().all(|finding| finding.lost), "{found:?}");
        let says = "makes the 6000 rows of version 3 of ";
        assert!(found[0].cause.contains(says), "{found:?}");
        assert!(mend(dir.path()).await > 0);
        let book = open(dir.path());
        assert_eq!(rows(&book).await, before);
        let newest = versions(&book).await.pop().unwrap();
        assert_eq!((newest.operation, newest.rows), (Operation::Repair, 6_000));
        let said = &newest.note["repair"];
        assert!(
            said.contains("nothing of version 4 could be read"),
            "{said}"
        );
    });
}

#[test]
fn a_version_that_keeps_rows_is_not_given_up_for_an_earlier_one() {
    runtime().block_on(async {
        let dir = TempDir::new().unwrap();
        let book = three(dir.path()).await;
        let before = rows(&book).await;
        drop(book);
        let mut read = table::files(dir.path(), DATA);
        read.remove(0);
        let found = lose(dir.path(), &read).await;
        assert!(found.iter().all(|finding| finding.lost), "{found:?}");
        assert!(!found[0].cause.contains("version"), "{found:?}");
        mend(dir.path()).await;
        let left = rows(&open(dir.path())).await;
        assert!((500..6_000).contains(&left.len()), "{}", left.len());
        assert!(left.iter().all(|bar| before.contains(bar)));
    });
}

#[test]
fn where_no_version_is_whole_the_series_is_without_rows() {
    runtime().block_on(async {
        let dir = TempDir::new().unwrap();
        drop(three(dir.path()).await);
        let found = lose(dir.path(), &[]).await;
        assert!(!found[0].cause.contains("version"), "{found:?}");
        assert!(mend(dir.path()).await > 0);
        assert!(rows(&open(dir.path())).await.is_empty());
    });
}

fn tiered(root: &Path) -> Minutebook {
    let config = Config::new().tiered(true);
    let options = Minutebook::options().environment(Environment::empty());
    options.config(config).create(root).unwrap()
}

fn ticks() -> SeriesId {
    SeriesId::ticks("AAPL".parse().unwrap())
}

async fn add(book: &Minutebook, from: i64) {
    let ticks_of = |n| Tick {
        timestamp: bars(n, n + 1)[0].timestamp,
        price: 10.0,
        size: None,
        side: None,
    };
    let all: Vec<Tick> = (from..from + 300).map(ticks_of).collect();
    book.ticks().append_ticks(&ticks(), &all).await.unwrap();
    let log = book.tick_log().unwrap().unwrap();
    log.rotate(&ticks()).await.unwrap();
}

async fn moved(book: &Minutebook) -> usize {
    let done = book.compact_ticks(&SeriesFilter::new(), false).await;
    let done = done.unwrap();
    assert!(done.iter().all(|one| one.failed.is_none()), "{done:?}");
    done.iter().map(|one| one.moved.len()).sum()
}

async fn kept(book: &Minutebook) -> Vec<Tick> {
    let kept = book.ticks().ticks(&ticks(), TimeRange::all()).await;
    kept.unwrap()
}

/// A store whose last segment of ticks was moved and not yet removed, and of whose newest version the last file is gone. `before` segments were moved, and
/// removed, before that. Gives the ticks that it had.
async fn stopped_and_damaged(before: i64) -> (TempDir, Vec<Tick>) {
    let dir = TempDir::new().unwrap();
    let book = tiered(dir.path());
    for part in 0..before {
        add(&book, part * 300).await;
        assert_eq!(moved(&book).await, 1);
    }
    add(&book, before * 300).await;
    let all = kept(&book).await;
    // A copy of the ticks of before the move beside the series of after it.
    let copy = copy_of(dir.path());
    assert_eq!(moved(&book).await, 1);
    drop(book);
    let (from, to) = (dir.path().join("series"), copy.path().join("series"));
    if to.exists() {
        std::fs::remove_dir_all(&to).unwrap();
    }
    std::fs::rename(from, to).unwrap();
    let newest = table::files(copy.path(), "series/aapl/ticks/data").pop();
    std::fs::remove_file(newest.unwrap()).unwrap();
    (copy, all)
}

#[test]
fn ticks_that_were_moved_and_not_yet_removed_are_read_where_they_were() {
    runtime().block_on(async {
        for before in 0..2 {
            let (copy, all) = stopped_and_damaged(before).await;
            let book = tiered(copy.path());
            let options = VerifyOptions::new();
            let found = book.verify(&options).await.unwrap().findings;
            assert!(found.iter().all(|finding| !finding.lost), "{found:?}");
            let says = |finding: &Finding| finding.cause.contains("ticks that were moved");
            assert!(found.iter().any(says), "{found:?}");
            let report = book.repair(&options).await.unwrap();
            assert!(report.failed.is_empty(), "{:?}", report.failed);
            // Nothing is lost, and nothing is said to be.
            assert_eq!(report.lost().count(), 0, "{:?}", report.mended);
            let manifest = report.quarantine.map(|it| it.join("manifest.jsonl"));
            let text = manifest.map(|it| std::fs::read_to_string(it).unwrap());
            assert!(text.is_none_or(|text| !text.contains("\"lost\":true")));
            assert_eq!(kept(&book).await, all, "{before}");
            assert_eq!(moved(&book).await, 1);
            assert_eq!(kept(&book).await, all, "{before}");
        }
    });
}

#[test]
fn a_repair_waits_for_a_compaction_that_may_remove_them() {
    let (copy, all) = runtime().block_on(stopped_and_damaged(1));
    let root = copy.path().to_owned();
    let book = tiered(copy.path());
    let log = book.tick_log().unwrap().unwrap();
    let mut held = runtime()
        .block_on(log.hand_over(&ticks()))
        .unwrap()
        .unwrap();
    let (done, ended) = std::sync::mpsc::channel();
    let repair = std::thread::spawn(move || {
        let report = runtime().block_on(tiered(&root).repair(&VerifyOptions::new()));
        done.send(()).ok();
        report.unwrap()
    });
    // One that did not wait would be done by then, in whatever order they go on.
    ended
        .recv_timeout(std::time::Duration::from_secs(1))
        .unwrap_err();
    runtime().block_on(held.remove(&[2])).unwrap();
    drop(held);
    let report = repair.join().unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    // They were in the lost file alone by then, and that is said.
    let left = runtime().block_on(kept(&book));
    assert!(left.len() < all.len() && report.lost().count() > 0);
}

#[test]
fn a_segment_that_is_brought_back_is_not_removed_for_rows_that_are_lost() {
    runtime().block_on(async {
        let dir = TempDir::new().unwrap();
        let book = tiered(dir.path());
        for part in 0..3 {
            add(&book, part * 300).await;
        }
        let all = kept(&book).await;
        let backup = copy_of(dir.path());
        assert_eq!(moved(&book).await, 3);
        drop(book);
        for file in table::files(dir.path(), "series/aapl/ticks/data") {
            std::fs::remove_file(file).unwrap();
        }
        let book = tiered(dir.path());
        let report = book.repair(&VerifyOptions::new()).await.unwrap();
        assert!(report.lost().count() > 0 && kept(&book).await.is_empty());
        drop(book);
        let sealed = dir.path().join("ticks/aapl~sealed");
        for file in table::files(backup.path(), "ticks/aapl~sealed") {
            std::fs::copy(&file, sealed.join(file.file_name().unwrap())).unwrap();
        }
        let book = tiered(dir.path());
        assert_eq!(kept(&book).await, all);
        assert_eq!(moved(&book).await, 3);
        assert_eq!(kept(&book).await, all);
    });
}
