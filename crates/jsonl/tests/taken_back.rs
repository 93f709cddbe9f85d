//! Readers beside a batch that is taken back: who follows, who reads entries and who scans come upon whole lines, and miss none that was acknowledged.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::io::Write;
use std::num::NonZeroUsize;
use std::time::Duration;

use common::*;
use futures_util::StreamExt;
use minutebook_core::{ErrorKind, ScanQuery, TimeSeriesRepository};
use minutebook_fs::Durability;
use minutebook_jsonl::{EntryQuery, Follow, FollowFrom, FollowQuery, JsonlConfig};

const FILE: &str = "btcusd_timeseries.jsonl";

/// A call that is at work: it holds the lock, as a process that appends a batch does.
struct Call<'a> {
    place: &'a Place,
    lock: std::fs::File,
    start: u64,
}

impl<'a> Call<'a> {
    fn new(place: &'a Place) -> Self {
        let lock = std::fs::File::options()
            .write(true)
            .open(place.file(".btcusd@ticks.lock"))
            .or_else(|_| {
                std::fs::File::options()
                    .write(true)
                    .open(place.file(".btcusd.lock"))
            })
            .unwrap();
        lock.lock().unwrap();
        let start = place.bytes(FILE).len() as u64;
        Self { place, lock, start }
    }

    fn write(&self, entries: &[String]) {
        let text = entries.join("\n") + "\n";
        self.file().write_all(text.as_bytes()).unwrap();
    }

    fn take_back(self) {
        self.file().set_len(self.start).unwrap();
        self.lock.unlock().unwrap();
    }

    fn file(&self) -> std::fs::File {
        std::fs::File::options()
            .append(true)
            .open(self.place.file(FILE))
            .unwrap()
    }
}

/// Longer ones, that no later entry equals.
fn lost(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers
        .map(|n| format!("{{\"timestamp\":\"2025-01-01T00:00:00\",\"lost\":\"{n:09}\"}}"))
        .collect()
}

fn query(from: FollowFrom) -> FollowQuery {
    FollowQuery::new()
        .from(from)
        .poll_interval(Duration::from_millis(1))
}

async fn add(place: &Place, numbers: std::ops::Range<usize>) {
    let entries = entries(numbers);
    place.repo.append_entries(&btc(), &entries).await.unwrap();
}

async fn next(follow: &mut Follow, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        let entry = tokio::time::timeout(Duration::from_mins(1), follow.next());
        found.push(entry.await.unwrap().unwrap().unwrap().into_text());
    }
    found
}

async fn quiet(follow: &mut Follow) {
    let waited = tokio::time::timeout(Duration::from_millis(30), follow.next()).await;
    assert!(waited.is_err(), "{waited:?}");
}

/// Repositories whose followers keep the file open, and close it between two looks.
fn places() -> [Place; 2] {
    let config = || JsonlConfig::default().durability(Durability::Buffered);
    [
        Place::with(config()),
        Place::with(config().max_open_series(NonZeroUsize::MIN)),
    ]
}

/// Takes the place of the one that may keep its file open.
async fn other(place: &Place) -> Follow {
    let series = id("OTHER@ticks");
    place
        .repo
        .append_entries(&series, &[entry(0)])
        .await
        .unwrap();
    let mut follow = place.repo.follow(&series, &query(FollowFrom::Start));
    next(&mut follow, 1).await;
    follow
}

#[test]
fn who_follows_goes_on_behind_the_last_line_that_is_there() {
    for place in places() {
        run(async {
            let _other = other(&place).await;
            add(&place, 0..30).await;
            place.repo.rotate(&btc()).await.unwrap().unwrap();
            add(&place, 30..100).await;
            let mut follow = place.repo.follow(&btc(), &query(FollowFrom::Start));
            assert_eq!(next(&mut follow, 100).await, entries(0..100));
            let mut at = 100;
            // As many bytes as were read appear before the next look, fewer, and none.
            for (round, more) in [2_000, 3, 0, 500].into_iter().enumerate() {
                let call = Call::new(&place);
                call.write(&lost(0..1_000));
                assert_eq!(next(&mut follow, 1_000).await, lost(0..1_000));
                call.take_back();
                if more == 0 {
                    quiet(&mut follow).await;
                }
                add(&place, at..at + more).await;
                assert_eq!(next(&mut follow, more).await, entries(at..at + more));
                at += more;
                add(&place, at..at + 5).await;
                assert_eq!(next(&mut follow, 5).await, entries(at..at + 5));
                at += 5;
                quiet(&mut follow).await;
                let report = follow.report();
                assert_eq!(report.total(), round as u64 + 1, "{report:?}");
                let told = report.problems()[round].to_string();
                assert!(
                    told.contains("1000 lines that were read were taken back"),
                    "{told}"
                );
            }
        });
    }
}

#[test]
fn who_follows_from_within_a_call_misses_nothing_either() {
    for place in places() {
        run(async {
            let _other = other(&place).await;
            add(&place, 0..100).await;
            let call = Call::new(&place);
            call.write(&lost(0..1_000));
            let mut end = place.repo.follow(&btc(), &query(FollowFrom::End));
            let mut last = place.repo.follow(&btc(), &query(FollowFrom::Last(3)));
            let mut polled = place.repo.follow(&btc(), &query(FollowFrom::End));
            quiet(&mut polled).await;
            call.write(&lost(1_000..1_010));
            assert_eq!(next(&mut polled, 10).await, lost(1_000..1_010));
            call.take_back();
            add(&place, 100..3_000).await;
            for follow in [&mut end, &mut polled] {
                assert_eq!(next(follow, 2_900).await, entries(100..3_000));
            }
            // What were the last three at the call is not there any more.
            assert_eq!(next(&mut last, 2_903).await, entries(97..3_000));
        });
    }
}

#[test]
fn of_very_many_lines_those_that_stay_are_let_go_of() {
    let place = Place::new();
    run(async {
        add(&place, 0..20_000).await;
        let mut follow = place.repo.follow(&btc(), &query(FollowFrom::Start));
        assert_eq!(next(&mut follow, 20_000).await, entries(0..20_000));
        quiet(&mut follow).await;
        let call = Call::new(&place);
        call.write(&lost(0..40_000));
        assert_eq!(next(&mut follow, 40_000).await, lost(0..40_000));
        call.take_back();
        add(&place, 20_000..70_000).await;
        assert_eq!(next(&mut follow, 50_000).await, entries(20_000..70_000));
        assert_eq!(follow.report().total(), 1);
    });
}

#[test]
fn who_reads_entries_stops_where_lines_were_taken_back() {
    let place = Place::new();
    run(async {
        add(&place, 0..10_000).await;
        let call = Call::new(&place);
        call.write(&lost(0..40_000));
        let mut read = place
            .repo
            .entries(&btc(), &EntryQuery::new())
            .await
            .unwrap();
        let mut found = Vec::new();
        for _ in 0..10_500 {
            found.push(read.next().await.unwrap().unwrap().into_text());
        }
        call.take_back();
        add(&place, 10_000..60_000).await;
        while let Some(entry) = read.next().await {
            found.push(entry.unwrap().into_text());
        }
        assert_eq!(found[..10_000], entries(0..10_000));
        let rest = found.len() - 10_000;
        assert!((500..40_000).contains(&rest), "{rest}");
        assert_eq!(found[10_000..], lost(0..rest));
        assert_eq!(read.report().total(), 1);
    });
}

#[test]
fn a_scan_of_lines_that_were_taken_back_says_so() {
    let place = Place::new();
    run(async {
        add(&place, 0..10_000).await;
        let call = Call::new(&place);
        call.write(&lost(0..100_000));
        // What is known of the file does not keep its rows.
        place.repo.summary(&btc()).await.unwrap();
        let mut read = place.repo.scan(&btc(), &ScanQuery::new()).await.unwrap();
        call.take_back();
        add(&place, 10_000..150_000).await;
        let mut failed = None;
        while let Some(batch) = read.next().await {
            match batch {
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        }
        let failed = failed.unwrap();
        assert_eq!(failed.kind(), ErrorKind::Unavailable, "{failed}");
        let (rows, report) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!((rows.num_rows(), report.is_clean()), (150_000, true));
    });
}
