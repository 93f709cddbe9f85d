//! A series of several hundred sealed segments: a read opens few of them at a time, and those that it has not come to yet are not taken away meanwhile.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use futures_util::StreamExt as _;
use minutebook_core::{BatchStream, ErrorKind, ScanQuery, TimeSeriesRepository};
use minutebook_fs::{Durability, LockWait, OsFs};
use minutebook_jsonl::{EntryQuery, JsonlConfig, JsonlTimeSeriesRepository};

const SEGMENTS: usize = 200;
/// Entries of each segment, and of the plain file.
const EACH: usize = 3;
const ENTRIES: usize = (SEGMENTS + 1) * EACH;

fn config() -> JsonlConfig {
    JsonlConfig::default()
        .fs(Arc::new(OsFs))
        .durability(Durability::Buffered)
        .lock_wait(LockWait::Timeout(Duration::from_millis(50)))
}

async fn filled() -> Place {
    let place = Place::with(config());
    for part in 0..=SEGMENTS {
        let entries = entries(part * EACH..part * EACH + EACH);
        place.repo.append_entries(&btc(), &entries).await.unwrap();
        if part < SEGMENTS {
            place.repo.rotate(&btc()).await.unwrap().unwrap();
        }
    }
    place
}

fn again(place: &Place, config: JsonlConfig) -> JsonlTimeSeriesRepository {
    JsonlTimeSeriesRepository::open(place.dir.path(), config).unwrap()
}

/// How many files of the directory this process has open.
#[cfg(target_os = "linux")]
fn open_files(place: &Place) -> usize {
    let dir = place.dir.path().canonicalize().unwrap();
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    all.filter(|entry| {
        let target = std::fs::read_link(entry.as_ref().unwrap().path());
        target.is_ok_and(|target| target.starts_with(&dir))
    })
    .count()
}

#[cfg(not(target_os = "linux"))]
fn open_files(_: &Place) -> usize {
    0
}

#[test]
fn a_read_of_many_segments_opens_few_at_a_time() {
    // Those of a read, and the log with its locks.
    const MOST: usize = 64 + 8;
    let all: Vec<_> = (0..i64::try_from(ENTRIES).unwrap()).map(Some).collect();
    run(async {
        let place = filled().await;
        // With the settings of the segments, and with others, so that each has to be looked at anew.
        for config in [config(), config().max_line_bytes(1 << 20)] {
            let repo = again(&place, config);
            let mut most = 0;
            let mut found = Vec::new();
            let query = ScanQuery::new().batch_size(10);
            let mut stream = repo.scan(&btc(), &query).await.unwrap();
            while let Some(batch) = stream.next().await {
                most = most.max(open_files(&place));
                found.extend(ints(&batch.unwrap(), "n"));
            }
            assert_eq!(found, all);
            assert!(most <= MOST, "{most} files are open");

            let snapshot = repo.snapshot(&btc()).await.unwrap().unwrap();
            let mut stream = snapshot.scan_in_time_order(&query, None).await.unwrap();
            let mut found = Vec::new();
            while let Some(batch) = stream.next().await {
                most = most.max(open_files(&place));
                found.extend(ints(&batch.unwrap(), "n"));
            }
            assert_eq!(found, all);
            assert!(most <= MOST, "{most} files are open");

            let ranged = range("2025-01-01T00:00:01", "2025-01-01T01:00:00");
            for (query, count) in [
                (EntryQuery::new(), ENTRIES),
                (EntryQuery::new().last(500), 500),
                (EntryQuery::new().range(ranged), ENTRIES - 1),
            ] {
                let mut stream = repo.entries(&btc(), &query).await.unwrap();
                let mut found = Vec::new();
                while let Some(entry) = stream.next().await {
                    most = most.max(open_files(&place));
                    found.push(entry.unwrap().into_text());
                }
                assert_eq!(found, entries(ENTRIES - count..ENTRIES));
                assert!(most <= MOST, "{most} files are open");
            }
            if cfg!(target_os = "linux") {
                assert!(most > 32, "only {most} files were seen open");
            }
        }
    });
}

fn sealed_files(place: &Place) -> usize {
    let names = names(&place.file("btcusd~sealed"));
    names
        .iter()
        .filter(|name| name.strip_suffix(".jsonl.zst").is_some())
        .count()
}

/// A read of many segments that has come to the first of them.
async fn begun(place: &Place) -> (BatchStream, Vec<Option<i64>>) {
    let query = ScanQuery::new().batch_size(10);
    let mut stream = place.repo.scan(&btc(), &query).await.unwrap();
    let found = ints(&stream.next().await.unwrap().unwrap(), "n");
    (stream, found)
}

#[test]
fn segments_that_a_read_has_not_come_to_are_not_taken_away() {
    run(async {
        let place = filled().await;
        let mover = again(&place, config());
        let (mut stream, mut found) = begun(&place).await;
        let mut held = mover.hand_over(&btc()).await.unwrap().unwrap();
        let numbers: Vec<_> = held.segments().iter().map(|one| one.number).collect();
        assert_eq!(numbers.len(), SEGMENTS);
        // They are no segments any more, and nobody waits for the read; their files stay as long as it may come to them.
        assert_eq!(held.remove(&numbers[..100]).await.unwrap(), 0);
        assert_eq!(held.remove(&numbers[100..]).await.unwrap(), 0);
        assert_eq!(held.segments().len(), 0);
        assert_eq!(sealed_files(&place), SEGMENTS);
        let left = mover.summary(&btc()).await.unwrap().unwrap();
        assert_eq!(left.rows, EACH as u64);
        drop(held);
        mover.append_entries(&btc(), &[entry(0)]).await.unwrap();
        mover.rotate(&btc()).await.unwrap().unwrap();
        assert_eq!(sealed_files(&place), SEGMENTS + 1);
        while let Some(batch) = stream.next().await {
            found.extend(ints(&batch.unwrap(), "n"));
        }
        let all: Vec<_> = (0..i64::try_from(ENTRIES).unwrap()).map(Some).collect();
        assert_eq!(found, all);
        drop(stream);
        // Whoever comes next removes them, in another process too.
        let other = again(&place, config());
        assert!(other.hand_over(&btc()).await.unwrap().is_some());
        assert_eq!(sealed_files(&place), 1);
        let left = place.repo.summary(&btc()).await.unwrap().unwrap();
        assert_eq!(left.rows, EACH as u64 + 1);
    });
}

#[test]
fn where_the_lock_of_reads_was_not_there_they_are_waited_for_once() {
    run(async {
        let place = filled().await;
        // As an earlier release, or a copy of the segments alone, leaves it.
        std::fs::remove_file(place.file(".btcusd~.lock")).unwrap();
        let (mut stream, mut found) = begun(&place).await;
        let mover = again(&place, config());
        let mut held = mover.hand_over(&btc()).await.unwrap().unwrap();
        let numbers: Vec<_> = held.segments().iter().map(|one| one.number).collect();
        assert_eq!(held.remove(&numbers).await.unwrap(), 0);
        while let Some(batch) = stream.next().await {
            found.extend(ints(&batch.unwrap(), "n"));
        }
        assert_eq!(found.len(), ENTRIES);
        assert_eq!(sealed_files(&place), SEGMENTS);
        drop(held);
        assert!(mover.hand_over(&btc()).await.unwrap().is_some());
        assert_eq!(sealed_files(&place), 0);
    });
}

#[test]
fn a_series_that_is_deleted_and_made_again_is_not_read_in_its_place() {
    run(async {
        let place = filled().await;
        let query = ScanQuery::new().batch_size(10);
        let mut stream = place.repo.scan(&btc(), &query).await.unwrap();
        stream.next().await.unwrap().unwrap();
        let other = again(&place, config());
        other.delete(&btc(), None).await.unwrap();
        for part in 0..SEGMENTS {
            let new = entries(2_000 + part * EACH..2_000 + part * EACH + EACH);
            other.append_entries(&btc(), &new).await.unwrap();
            other.rotate(&btc()).await.unwrap().unwrap();
        }
        let mut ended = None;
        while let Some(batch) = stream.next().await {
            match batch {
                Ok(batch) => {
                    let found = ints(&batch, "n").into_iter().flatten();
                    assert!(found.into_iter().all(|n| n < 2_000));
                }
                Err(error) => ended = Some(error),
            }
        }
        let error = ended.unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("read it again"), "{error}");
    });
}
