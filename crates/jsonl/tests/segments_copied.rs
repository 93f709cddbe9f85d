//! Directories of segments as copies, repairs and other programs leave them: nothing is read that is not there, and no segment is written over.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test program")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::*;
use minutebook_core::{ErrorKind, ProblemKind, ScanQuery, TimeSeriesRepository};
use minutebook_fs::{Fs, OpKind, SimFs};
use minutebook_jsonl::{EntryQuery, EpochUnit, JsonlConfig, JsonlTimeSeriesRepository, TimeField};

const MANIFEST: &str = "btcusd~sealed/manifest.json";
const THIRD: &str = "btcusd~sealed/00000003.jsonl.zst";

/// Three segments, a plain file, and the manifest as it was before the third segment.
async fn with_an_older_manifest() -> (Place, Vec<u8>) {
    let place = Place::new();
    let mut older = Vec::new();
    for part in 0..4 {
        let entries = entries(part * 10..part * 10 + 10);
        place.repo.append_entries(&btc(), &entries).await.unwrap();
        if part == 2 {
            older = place.bytes(MANIFEST);
        }
        if part < 3 {
            place.repo.rotate(&btc()).await.unwrap().unwrap();
        }
    }
    (place, older)
}

#[test]
fn an_older_manifest_hides_no_segment() {
    run(async {
        let (place, older) = with_an_older_manifest().await;
        place.put(MANIFEST, older);
        let repo = fresh(&place);
        let (found, report) = texts(&repo, &btc(), &EntryQuery::new()).await.unwrap();
        assert_eq!(found, entries(0..40));
        assert_eq!(report.problems()[0].kind, ProblemKind::DigestMismatch);
        assert!(report.problems()[0].message.contains("older"), "{report:?}");
        let (rows, report) = scan(&repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!((rows.num_rows(), report.is_clean()), (40, false));
        // The next rotation names all of them.
        assert_eq!(repo.rotate(&btc()).await.unwrap().unwrap().number, 4);
        let (found, report) = texts(&fresh(&place), &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!((found, report.is_clean()), (entries(0..40), true));
    });
}

#[test]
fn a_segment_that_came_after_the_look_is_not_written_over() {
    run(async {
        let (place, older) = with_an_older_manifest().await;
        let third = place.bytes(THIRD);
        std::fs::remove_file(place.file(THIRD)).unwrap();
        place.put(MANIFEST, older);
        // A copy that is still going on.
        let repo = fresh(&place);
        let (found, _) = texts(&repo, &btc(), &EntryQuery::new()).await.unwrap();
        assert_eq!(found, [entries(0..20), entries(30..40)].concat());
        place.put(THIRD, &third);
        let sealed = repo.rotate(&btc()).await.unwrap().unwrap();
        assert_eq!(sealed.number, 4);
        assert!(place.bytes(THIRD) == third, "it was written over");
        let (found, _) = texts(&fresh(&place), &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(found, entries(0..40));
    });
}

#[test]
fn what_an_interrupted_compression_left_is_told_from_another_segment() {
    run(async {
        // The plain segment beside another one of its number, which has other lines.
        let (place, older) = with_an_older_manifest().await;
        let third = place.bytes(THIRD);
        place.put(MANIFEST, older);
        place.put("btcusd~sealed/00000003.jsonl", entry(99) + "\n");
        let repo = fresh(&place);
        let error = repo.rotate(&btc()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().contains("00000003.jsonl.zst"), "{error}");
        assert!(place.bytes(THIRD) == third, "it was written over");
        // With the same lines, and some that a program without the lock has added.
        let lines = entries(20..31).join("\n") + "\n";
        place.put("btcusd~sealed/00000003.jsonl", &lines);
        assert_eq!(repo.rotate(&btc()).await.unwrap().unwrap().number, 4);
        let (found, _) = texts(&fresh(&place), &btc(), &EntryQuery::new())
            .await
            .unwrap();
        assert_eq!(found, [entries(0..31), entries(30..40)].concat());
    });
}

/// Enough that some frames are whole, and of lengths that differ.
fn long(n: usize) -> String {
    let noise = blake3::hash(&n.to_le_bytes()).to_hex();
    entry(n % 3_600).replace('}', &format!(",\"noise\":\"{}\"}}", &noise[..n % 60]))
}

#[test]
fn a_segment_that_another_process_has_mended_is_read_as_it_is_now() {
    for limit in [64 << 20, 1 << 20] {
        run(async {
            let place = Place::new();
            for part in 0..2 {
                let all: Vec<_> = (part * 9_000..part * 9_000 + 9_000).map(long).collect();
                place.repo.append_entries(&btc(), &all).await.unwrap();
                place.repo.rotate(&btc()).await.unwrap().unwrap();
            }
            let config = JsonlConfig::default().max_line_bytes(limit);
            let reader = JsonlTimeSeriesRepository::open(place.dir.path(), config).unwrap();
            let (before, _) = scan(&reader, &btc(), &ScanQuery::new()).await.unwrap();
            let name = "00000001.jsonl.zst";
            let path = place.file("btcusd~sealed").join(name);
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            std::fs::write(&path, bytes).unwrap();
            let other = fresh(&place);
            other
                .mend_segments(&btc(), &[name.to_owned()])
                .await
                .unwrap();
            let query = ScanQuery::new().range(range("2025-01-01T00:20:00", "2025-01-01T00:40:00"));
            for query in [ScanQuery::new(), query, ScanQuery::new().last(10_000)] {
                let (now, report) = scan(&reader, &btc(), &query).await.unwrap();
                let (new, _) = scan(&fresh(&place), &btc(), &query).await.unwrap();
                assert!(now.num_rows() < before.num_rows() && report.is_clean());
                assert!(
                    now == new,
                    "{} rows, not {}",
                    now.num_rows(),
                    new.num_rows()
                );
            }
        });
    }
}

#[test]
fn a_mended_segment_keeps_the_name_by_which_others_know_it() {
    run(async {
        let place = Place::new();
        four(&place).await;
        let before = place.repo.segments(&btc()).await.unwrap();
        // The list of segments is lost, and written again under another id.
        std::fs::remove_file(place.file(MANIFEST)).unwrap();
        let repo = fresh(&place);
        assert_eq!(repo.rotate(&btc()).await.unwrap().unwrap().number, 4);
        let path = place.file("btcusd~sealed/00000002.jsonl.zst");
        let bytes = std::fs::read(&path).unwrap();
        // The index is gone, and every line is there still.
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let files = ["00000002.jsonl.zst".to_owned()];
        repo.mend_segments(&btc(), &files).await.unwrap();
        let after = fresh(&place).segments(&btc()).await.unwrap();
        assert_eq!(after[1].log_id, before[1].log_id);
        assert_ne!(after[3].log_id, before[1].log_id);
        assert_eq!(after[1].rows, 10);
    });
}

#[test]
fn a_last_line_that_was_not_completed_is_a_flaw_of_its_segment() {
    run(async {
        let place = Place::new();
        four(&place).await;
        // A program that takes no lock had the file open when it was sealed, and has written the half of a line.
        place.put(
            "btcusd~sealed/00000004.jsonl",
            entry(40) + "\n{\"timestamp\":\"20",
        );
        let repo = fresh(&place);
        repo.rotate(&btc()).await.unwrap().unwrap();
        let segments = repo.segments(&btc()).await.unwrap();
        let flaws: Vec<_> = segments.iter().map(|segment| segment.flaws).collect();
        assert_eq!(flaws, [0, 0, 0, 1, 0]);
        let (rows, report) = scan(&fresh(&place), &btc(), &ScanQuery::new())
            .await
            .unwrap();
        assert_eq!((rows.num_rows(), report.total()), (41, 1));
        let problem = &report.problems()[0];
        assert!(
            problem.message.contains("16 bytes after the last newline"),
            "{problem}"
        );
        let held = repo.hand_over(&btc()).await.unwrap().unwrap();
        let error = held.read(4, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    });
}

fn open(disk: &SimFs) -> JsonlTimeSeriesRepository {
    let config = JsonlConfig::default().fs(Arc::new(disk.clone()));
    JsonlTimeSeriesRepository::open("/ticks", config).unwrap()
}

#[test]
fn a_version_counts_a_segment_that_is_compressed_meanwhile() {
    let disk = SimFs::new();
    run(async {
        let first = open(&disk);
        first.append_entries(&btc(), &entries(0..10)).await.unwrap();
        first.rotate(&btc()).await.unwrap().unwrap();
        first
            .append_entries(&btc(), &entries(10..20))
            .await
            .unwrap();
    });
    // Sealed, and not compressed yet.
    let plain = Path::new("/ticks/btcusd_timeseries.jsonl");
    let raw = Path::new("/ticks/btcusd~sealed/00000002.jsonl");
    disk.rename(plain, raw).unwrap();
    let (process, other) = (disk.new_process(), disk.new_process());
    let once = AtomicBool::new(false);
    process.on_op(move |event| {
        let looks = event.kind == OpKind::Metadata && event.path == raw;
        if looks && !once.swap(true, Ordering::SeqCst) {
            let other = other.clone();
            let work = std::thread::spawn(move || {
                run(open(&other).hand_over(&btc())).unwrap().unwrap();
            });
            work.join().unwrap();
        }
    });
    let repo = open(&process);
    let receipt = run(repo.append_entries(&btc(), &entries(20..30))).unwrap();
    let summary = run(open(&disk).summary(&btc())).unwrap().unwrap();
    assert_eq!(summary.rows, 30);
    assert_eq!(receipt.version, summary.version);
}

#[test]
fn an_append_does_not_wait_for_the_reading_of_an_index() {
    let disk = SimFs::new();
    run(open(&disk).append_entries(&btc(), &entries(0..1_000))).unwrap();
    let process = disk.new_process();
    let repo = open(&process);
    let (writer, once) = (repo.clone(), AtomicBool::new(false));
    let (done, finished) = std::sync::mpsc::channel();
    let finished = std::sync::Mutex::new(finished);
    process.on_op(move |event| {
        let reads = event.kind == OpKind::Read && event.path.ends_with("btcusd_timeseries.jsonl");
        if !reads || once.swap(true, Ordering::SeqCst) {
            return;
        }
        let (writer, done) = (writer.clone(), done.clone());
        std::thread::spawn(move || {
            // A time in numbers is declared, for which what is known of the series is needed.
            let time = TimeField::timestamp().epoch(EpochUnit::Seconds);
            let entry = ["{\"timestamp\":1735689600}"];
            let id = btc();
            let append = writer.append_entries_at(&id, &entry, &time);
            done.send(run(append).is_ok()).unwrap();
        });
        let appended = finished
            .lock()
            .unwrap()
            .recv_timeout(Duration::from_secs(20));
        assert_eq!(appended, Ok(true), "the append waits");
    });
    run(repo.write_index(&btc())).unwrap();
    assert_eq!(run(repo.summary(&btc())).unwrap().unwrap().rows, 1_001);
}

#[test]
fn all_rows_may_be_asked_for_in_one_batch() {
    let place = Place::new();
    run(async {
        place
            .repo
            .append_entries(&btc(), &entries(0..3))
            .await
            .unwrap();
        for size in [usize::MAX, 1 << 40, 1 << 33] {
            let query = ScanQuery::new().batch_size(size);
            let (rows, _) = scan(&fresh(&place), &btc(), &query).await.unwrap();
            assert_eq!(rows.num_rows(), 3);
            let snapshot = fresh(&place).snapshot(&btc()).await.unwrap().unwrap();
            let ordered = snapshot.scan_in_time_order(&query, None).await.unwrap();
            assert_eq!(ordered.concat().await.unwrap().0.num_rows(), 3);
        }
        place.repo.rotate(&btc()).await.unwrap();
        let query = ScanQuery::new().batch_size(usize::MAX);
        let (rows, _) = scan(&fresh(&place), &btc(), &query).await.unwrap();
        assert_eq!(rows.num_rows(), 3);
    });
}
