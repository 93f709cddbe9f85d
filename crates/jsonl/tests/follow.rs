//! Following a series: what is there and what comes, through rotation, deletion and restarts.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::io::Write;
use std::time::Duration;

use common::*;
use futures_util::StreamExt;
use minutebook_core::{ErrorKind, TimeSeriesRepository};
use minutebook_jsonl::{Follow, FollowFrom, FollowQuery, JsonlConfig, Position};

fn query(from: FollowFrom) -> FollowQuery {
    FollowQuery::new()
        .from(from)
        .poll_interval(Duration::from_millis(1))
}

/// A repository where whoever follows keeps the file open, or one where another one does.
struct Followed {
    place: Place,
    _other: Option<Follow>,
}

impl std::ops::Deref for Followed {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

impl Followed {
    async fn new(keeps_open: bool) -> Self {
        if keeps_open {
            return Self {
                place: Place::new(),
                _other: None,
            };
        }
        let config = JsonlConfig::default()
            .durability(minutebook_fs::Durability::Buffered)
            .max_open_series(std::num::NonZeroUsize::MIN);
        let place = Place::with(config);
        let other = id("OTHER@ticks");
        let entry = entry(0);
        place.repo.append_entries(&other, &[entry]).await.unwrap();
        let mut follow = place.repo.follow(&other, &query(FollowFrom::Start));
        next(&mut follow, 1).await;
        Self {
            place,
            _other: Some(follow),
        }
    }
}

/// Either with these entries.
async fn with(keeps_open: bool, numbers: std::ops::Range<usize>) -> Followed {
    let place = Followed::new(keeps_open).await;
    add(&place, numbers).await;
    place
}

async fn add(place: &Place, numbers: std::ops::Range<usize>) {
    let entries = entries(numbers);
    place.repo.append_entries(&btc(), &entries).await.unwrap();
}

/// The next so many entries.
async fn next(follow: &mut Follow, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        found.push(follow.next().await.unwrap().unwrap().into_text());
    }
    found
}

/// That nothing comes for a while.
async fn quiet(follow: &mut Follow) {
    let waited = tokio::time::timeout(Duration::from_millis(30), follow.next()).await;
    assert!(waited.is_err(), "{waited:?}");
}

fn append(place: &Place, bytes: &str) {
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(place.file("btcusd_timeseries.jsonl"))
        .unwrap();
    file.write_all(bytes.as_bytes()).unwrap();
}

#[test]
fn what_is_there_and_what_comes() {
    what_is_there_and_what_comes_with(true);
    what_is_there_and_what_comes_with(false);
}

fn what_is_there_and_what_comes_with(keeps_open: bool) {
    run(async {
        let place = with(keeps_open, 0..5).await;
        let mut start = place.repo.follow(&btc(), &query(FollowFrom::Start));
        let mut end = place.repo.follow(&btc(), &query(FollowFrom::End));
        let mut last = place.repo.follow(&btc(), &query(FollowFrom::Last(2)));
        assert_eq!(next(&mut start, 5).await, entries(0..5));
        assert_eq!(next(&mut last, 2).await, entries(3..5));
        quiet(&mut end).await;
        add(&place, 5..7).await;
        for follow in [&mut start, &mut end, &mut last] {
            assert_eq!(next(follow, 2).await, entries(5..7));
            assert!(follow.report().is_clean());
        }
    });
}

#[test]
fn only_complete_lines_are_seen() {
    only_complete_lines_are_seen_with(true);
    only_complete_lines_are_seen_with(false);
}

fn only_complete_lines_are_seen_with(keeps_open: bool) {
    run(async {
        let place = Followed::new(keeps_open).await;
        let mut follow = place.repo.follow(&btc(), &query(FollowFrom::End));
        quiet(&mut follow).await;
        // The series comes later than who follows it; so all of it is new.
        let text = entry(0);
        append(&place, &text[..10]);
        quiet(&mut follow).await;
        append(&place, &text[10..]);
        quiet(&mut follow).await;
        append(&place, "\n\nnonsense\r\n");
        append(&place, &(entry(1) + "\r\n"));
        assert_eq!(next(&mut follow, 2).await, entries(0..2));
        assert_eq!(follow.report().total(), 1);
        let strict = query(FollowFrom::Start).strict();
        let mut strict = place.repo.follow(&btc(), &strict);
        next(&mut strict, 1).await;
        let error = strict.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(strict.next().await.is_none());
    });
}

#[test]
fn a_position_is_taken_up_again() {
    a_position_is_taken_up_again_with(true);
    a_position_is_taken_up_again_with(false);
}

fn a_position_is_taken_up_again_with(keeps_open: bool) {
    run(async {
        let place = with(keeps_open, 0..5).await;
        let mut follow = place.repo.follow(&btc(), &query(FollowFrom::Start));
        assert_eq!(follow.position(), None);
        next(&mut follow, 3).await;
        let text = follow.position().unwrap().to_string();
        drop(follow);
        let position: Position = text.parse().unwrap();
        let at = query(FollowFrom::At(position));
        let mut follow = place.repo.follow(&btc(), &at);
        assert_eq!(next(&mut follow, 2).await, entries(3..5));
        // Sealed meanwhile: the position is in the segment now.
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        add(&place, 5..6).await;
        let mut follow = place.repo.follow(&btc(), &at);
        assert_eq!(next(&mut follow, 3).await, entries(3..6));
        // Another series of the same name: from its first entry.
        place.repo.delete(&btc(), None).await.unwrap();
        add(&place, 20..30).await;
        let mut follow = place.repo.follow(&btc(), &at);
        assert_eq!(next(&mut follow, 10).await, entries(20..30));
        for bad in ["", "1", "1:2", "0:1:00000001", "x:1:1", "1:2:3:4"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    });
}

#[test]
fn rotation_and_deletion_are_followed() {
    rotation_and_deletion_are_followed_with(true);
    rotation_and_deletion_are_followed_with(false);
}

fn rotation_and_deletion_are_followed_with(keeps_open: bool) {
    run(async {
        let place = with(keeps_open, 0..2).await;
        let mut follow = place.repo.follow(&btc(), &query(FollowFrom::Start));
        assert_eq!(next(&mut follow, 1).await, entries(0..1));
        // Several rotations while nobody looks.
        for n in 2..6 {
            place.repo.rotate(&btc()).await.unwrap().unwrap();
            add(&place, n..n + 1).await;
        }
        assert_eq!(next(&mut follow, 5).await, entries(1..6));
        quiet(&mut follow).await;
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        quiet(&mut follow).await;
        let mut last = place.repo.follow(&btc(), &query(FollowFrom::Last(3)));
        let mut end = place.repo.follow(&btc(), &query(FollowFrom::End));
        assert_eq!(next(&mut last, 3).await, entries(3..6));
        quiet(&mut end).await;
        add(&place, 6..8).await;
        for follow in [&mut follow, &mut last, &mut end] {
            assert_eq!(next(follow, 2).await, entries(6..8));
        }
        place.repo.delete(&btc(), None).await.unwrap();
        quiet(&mut follow).await;
        add(&place, 40..42).await;
        for follow in [&mut follow, &mut last, &mut end] {
            assert_eq!(next(follow, 2).await, entries(40..42));
        }
    });
}

#[test]
fn a_file_that_is_replaced_is_read_from_its_start() {
    a_file_that_is_replaced_is_read_from_its_start_with(true);
    a_file_that_is_replaced_is_read_from_its_start_with(false);
}

fn a_file_that_is_replaced_is_read_from_its_start_with(keeps_open: bool) {
    run(async {
        let place = Followed::new(keeps_open).await;
        append(&place, &(entries(0..4).join("\n") + "\n"));
        let mut follow = place.repo.follow(&btc(), &query(FollowFrom::Start));
        next(&mut follow, 4).await;
        // By another file, and by a shorter content.
        place.put("other", entries(10..12).join("\n") + "\n");
        std::fs::rename(place.file("other"), place.file("btcusd_timeseries.jsonl")).unwrap();
        assert_eq!(next(&mut follow, 2).await, entries(10..12));
        place.put("btcusd_timeseries.jsonl", entry(20) + "\n");
        assert_eq!(next(&mut follow, 1).await, entries(20..21));
    });
}

#[test]
fn a_file_that_was_closed_goes_on_where_it_was() {
    run(async {
        let place = with(false, 0..3).await;
        let mut follow = place.repo.follow(&btc(), &query(FollowFrom::Start));
        assert_eq!(next(&mut follow, 3).await, entries(0..3));
        // A line that is not complete yet, looked at more than once.
        append(&place, &entry(3));
        quiet(&mut follow).await;
        append(&place, "\n");
        assert_eq!(next(&mut follow, 1).await, entries(3..4));
        // Sealed with more than was seen, and more behind it.
        add(&place, 4..5).await;
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        add(&place, 5..6).await;
        assert_eq!(next(&mut follow, 2).await, entries(4..6));
        assert!(follow.report().is_clean());
    });
}

#[test]
fn another_file_of_the_same_first_line_is_another() {
    run(async {
        let place = with(false, 0..3).await;
        let mut follow = place.repo.follow(&btc(), &query(FollowFrom::Start));
        assert_eq!(next(&mut follow, 3).await, entries(0..3));
        place.put("other", entries(0..5).join("\n") + "\n");
        std::fs::rename(place.file("other"), place.file("btcusd_timeseries.jsonl")).unwrap();
        assert_eq!(next(&mut follow, 5).await, entries(0..5));
    });
}

#[test]
fn it_works_without_a_runtime_and_with_rotation_by_size() {
    let rotation = minutebook_jsonl::Rotation::at_bytes(2_000);
    let config = JsonlConfig::default()
        .durability(minutebook_fs::Durability::Buffered)
        .rotation(rotation);
    let place = Place::with(config);
    let repo = place.repo.clone();
    let writer = std::thread::spawn(move || {
        run(async {
            for n in 0..400 {
                repo.append_entries(&btc(), &[entry(n)]).await.unwrap();
            }
        });
    });
    let mut follow = place.repo.follow(&btc(), &query(FollowFrom::Start));
    let found = block_on(next(&mut follow, 400));
    writer.join().unwrap();
    assert_eq!(found, entries(0..400));
}

#[test]
fn from_the_end_is_from_the_call_on() {
    from_the_end_is_from_the_call_on_with(true);
    from_the_end_is_from_the_call_on_with(false);
}

fn from_the_end_is_from_the_call_on_with(keeps_open: bool) {
    run(async {
        let place = Followed::new(keeps_open).await;
        let mut none = place.repo.follow(&btc(), &query(FollowFrom::End));
        let mut last_of_none = place.repo.follow(&btc(), &query(FollowFrom::Last(2)));
        add(&place, 0..5).await;
        let mut end = place.repo.follow(&btc(), &query(FollowFrom::End));
        let mut last = place.repo.follow(&btc(), &query(FollowFrom::Last(2)));
        add(&place, 5..8).await;
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        let mut sealed = place.repo.follow(&btc(), &query(FollowFrom::End));
        let mut last_sealed = place.repo.follow(&btc(), &query(FollowFrom::Last(2)));
        add(&place, 8..10).await;
        for (follow, from) in [
            (&mut none, 0),
            (&mut last_of_none, 0),
            (&mut end, 5),
            (&mut last, 3),
            (&mut sealed, 8),
            (&mut last_sealed, 6),
        ] {
            assert_eq!(next(follow, 10 - from).await, entries(from..10));
            quiet(follow).await;
            assert!(follow.report().is_clean());
        }
        // Another series of the same name by the first look.
        let mut end = place.repo.follow(&btc(), &query(FollowFrom::End));
        let mut last = place.repo.follow(&btc(), &query(FollowFrom::Last(2)));
        place.repo.delete(&btc(), None).await.unwrap();
        add(&place, 20..23).await;
        for follow in [&mut end, &mut last] {
            assert_eq!(next(follow, 3).await, entries(20..23));
        }
    });
}

/// The least of an executor.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
