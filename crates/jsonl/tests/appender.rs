//! The appender: what a push, a flush, a close and a drop promise, also when the disk fails and the process dies.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::io::ErrorKind as Io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::*;
use minutebook_core::{Clock, ErrorKind, SeriesId, SystemClock};
use minutebook_fs::crash::{self, Crashed, Kind, Options};
use minutebook_fs::{Durability, Fs, Images, LockMode, LockWait, OpKind, OsFs, SimFs};
use minutebook_jsonl::{
    Appender, AppenderOptions, EntryQuery, JsonlConfig, JsonlTimeSeriesRepository, Rotation,
};

fn sim(disk: &SimFs, durability: Durability) -> JsonlTimeSeriesRepository {
    let config = JsonlConfig::default()
        .fs(Arc::new(disk.clone()))
        .durability(durability);
    JsonlTimeSeriesRepository::open("/ticks", config).unwrap()
}

fn found(repo: &JsonlTimeSeriesRepository, id: &SeriesId) -> Vec<String> {
    let read = run(texts(repo, id, &EntryQuery::new()));
    if read
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::NotFound)
    {
        return Vec::new();
    }
    read.unwrap().0
}

fn expected(entries: std::ops::Range<usize>) -> Vec<String> {
    entries.map(entry).collect()
}

#[test]
fn entries_of_many_series_stand_in_the_order_of_their_pushes() {
    let place = Place::new();
    let series = ["BTCUSD@ticks", "ETHUSD@ticks", "@notes"].map(id);
    run(async {
        let appender = place.repo.appender(AppenderOptions::new()).unwrap();
        for n in 0..5_000 {
            appender.push(&series[n % 3], &entry(n)).await.unwrap();
        }
        appender.flush().await.unwrap();
        let status = appender.status();
        assert_eq!((status.accepted, status.written), (5_000, 5_000));
        assert_eq!(status.queued_bytes, 0);
        appender.push(&series[0], &entry(7)).await.unwrap();
        appender.close().await.unwrap();
        assert_eq!(appender.status().durable, 5_001);
        appender.close().await.unwrap();
        let error = appender.push(&series[0], &entry(8)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
    for (i, series) in series.iter().enumerate() {
        let mut all: Vec<_> = (0..5_000).filter(|n| n % 3 == i).map(entry).collect();
        if i == 0 {
            all.push(entry(7));
        }
        assert_eq!(found(&place.repo, series), all);
    }
}

#[test]
fn what_is_no_entry_is_refused_at_once_and_disturbs_nothing() {
    let place = Place::new();
    let appender = place.repo.appender(AppenderOptions::new()).unwrap();
    appender.push_blocking(&btc(), &entry(0)).unwrap();
    for bad in ["", "[1]", "{\"n\":1}", "{\"timestamp\":\"x\"}"] {
        let error = appender.push_blocking(&btc(), bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad}");
    }
    let nan = std::collections::BTreeMap::from([("timestamp", f64::NAN)]);
    assert!(appender.push_value_blocking(&btc(), &nan).is_err());
    appender.push_blocking(&btc(), &entry(1)).unwrap();
    appender.close_blocking().unwrap();
    assert_eq!(found(&place.repo, &btc()), expected(0..2));
}

#[test]
fn dropping_it_loses_nothing() {
    let place = Place::new();
    let slow = AppenderOptions::new().linger(Duration::from_hours(1));
    let appender = place.repo.appender(slow).unwrap();
    for n in 0..100 {
        appender.push_blocking(&btc(), &entry(n)).unwrap();
    }
    assert_eq!(appender.status().written, 0);
    drop(appender);
    assert_eq!(found(&place.repo, &btc()), expected(0..100));
}

#[test]
fn an_entry_does_not_wait_longer_than_the_linger() {
    let place = Place::new();
    let appender = place.repo.appender(AppenderOptions::new()).unwrap();
    appender.push_blocking(&btc(), &entry(0)).unwrap();
    while appender.status().written == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    // Buffered and without an interval nothing is synced unless it is asked for.
    assert_eq!(appender.status().durable, 0);
    appender.sync_blocking().unwrap();
    assert_eq!(appender.status().durable, 1);
}

#[test]
fn the_interval_syncs_by_itself() {
    let disk = SimFs::new();
    let repo = sim(&disk, Durability::Buffered);
    let often = AppenderOptions::new().sync_interval(Duration::from_millis(2));
    let appender = repo.appender(often).unwrap();
    for n in 0..3 {
        appender.push_blocking(&btc(), &entry(n)).unwrap();
        while appender.status().durable < n as u64 + 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
        // What is told to be durable is, although nobody asked for a sync.
        let images = disk.images_after_crash(&Images::default());
        assert!(!images.is_empty());
        for image in images {
            let left = found(&sim(&image.fs, Durability::Buffered), &btc());
            assert_eq!(left, expected(0..n + 1), "{}", image.what);
        }
    }
}

/// While another process holds the series' lock, nothing can be written.
#[test]
fn a_full_queue_makes_pushes_wait() {
    let place = Place::new();
    let held = OsFs.lock(
        &place.file(".btcusd.lock"),
        LockMode::Exclusive,
        LockWait::Block,
    );
    let small = AppenderOptions::new()
        .linger(Duration::ZERO)
        .max_queued_bytes(200);
    let appender = place.repo.appender(small).unwrap();
    let text = entry(0);
    loop {
        let status = appender.status();
        let pushed = (text.len() + 1) * usize::try_from(status.accepted).unwrap();
        // Once the thread stands before the lock with the first ones, a queue that is then found full stays full.
        let is_at_the_lock = status.queued_bytes < pushed;
        if !appender.try_push(&btc(), &text).unwrap() && is_at_the_lock {
            break;
        }
    }
    assert!(appender.status().queued_bytes <= 200);
    let text = entry(1_000);
    let series = btc();
    {
        let mut push = pin!(appender.push(&series, &text));
        let mut context = Context::from_waker(Waker::noop());
        assert!(push.as_mut().poll(&mut context).is_pending());
        drop(held);
        run(push).unwrap();
    }
    run(appender.flush()).unwrap();
    let all = found(&place.repo, &btc());
    assert_eq!(all.last(), Some(&entry(1_000)));
    assert_eq!(all.len() as u64, appender.status().accepted);
}

#[test]
fn a_push_that_is_given_up_takes_nothing() {
    let place = Place::new();
    let held = OsFs.lock(
        &place.file(".btcusd.lock"),
        LockMode::Exclusive,
        LockWait::Block,
    );
    let small = AppenderOptions::new()
        .linger(Duration::from_hours(1))
        .max_queued_bytes(60);
    let appender = place.repo.appender(small).unwrap();
    appender.push_blocking(&btc(), &entry(0)).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    // Full, or emptied by the thread meanwhile: either way a push that did not say Ok is not there.
    let accepted = loop {
        let (series, text) = (btc(), entry(1));
        let mut push = pin!(appender.push(&series, &text));
        match push.as_mut().poll(&mut context) {
            Poll::Ready(result) => result.unwrap(),
            Poll::Pending => break appender.status().accepted,
        }
    };
    drop(held);
    appender.close_blocking().unwrap();
    assert_eq!(found(&place.repo, &btc()).len() as u64, accepted);
}

#[test]
fn threads_wait_for_their_own_entries_and_share_the_sync() {
    let place = Place::with(JsonlConfig::default());
    let appender = place.repo.appender(AppenderOptions::new()).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..16 {
            let appender = &appender;
            scope.spawn(move || {
                for n in 0..20 {
                    let text =
                        format!("{{\"timestamp\":\"2025-01-01\",\"writer\":{writer},\"n\":{n}}}");
                    appender
                        .append_blocking(&btc(), &text, Durability::Synced)
                        .unwrap();
                    let status = appender.status();
                    assert!(status.durable > n, "{status:?}");
                }
            });
        }
    });
    let all = found(&place.repo, &btc());
    assert_eq!(all.len(), 320);
    for writer in 0..16 {
        let own: Vec<_> = all
            .iter()
            .filter(|text| text.contains(&format!("\"writer\":{writer},")))
            .collect();
        for (n, text) in own.iter().enumerate() {
            assert!(text.ends_with(&format!("\"n\":{n}}}")), "{text}");
        }
        assert_eq!(own.len(), 20);
    }
}

#[test]
fn threads_that_wait_at_once_cost_two_syncs() {
    const THREADS: u64 = 32;
    let disk = SimFs::new();
    let repo = sim(&disk, Durability::Synced);
    let appender = Arc::new(repo.appender(AppenderOptions::new()).unwrap());
    appender
        .append_blocking(&btc(), &entry(0), Durability::Synced)
        .unwrap();
    // Whoever comes first is held in the sync until all others are queued.
    let watched = Arc::downgrade(&appender);
    let queued = move || {
        watched
            .upgrade()
            .is_none_or(|it| it.status().accepted > THREADS)
    };
    disk.on_op(move |event| {
        while event.kind == OpKind::SyncData && !queued() {
            std::thread::yield_now();
        }
    });
    std::thread::scope(|scope| {
        for n in 1..=THREADS {
            let appender = &appender;
            let text = entry(usize::try_from(n).unwrap());
            scope.spawn(move || {
                appender
                    .append_blocking(&btc(), &text, Durability::Synced)
                    .unwrap();
            });
        }
    });
    let syncs = disk.trace();
    let syncs = syncs.iter().filter(|event| event.kind == OpKind::SyncData);
    assert!((1..=2).contains(&syncs.count()));
    assert_eq!(found(&repo, &btc()).len(), 33);
}

#[test]
fn tasks_share_it_too() {
    let place = Place::with(JsonlConfig::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let appender = Arc::new(place.repo.appender(AppenderOptions::new()).unwrap());
    runtime.block_on(async {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let appender = Arc::clone(&appender);
                tokio::spawn(async move {
                    for n in 0..10 {
                        let text = entry(task * 10 + n);
                        appender
                            .append(&btc(), &text, Durability::Synced)
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        appender.close().await.unwrap();
    });
    let mut all = found(&place.repo, &btc());
    all.sort();
    let mut wanted = expected(0..640);
    wanted.sort();
    assert_eq!(all, wanted);
}

#[test]
fn a_failed_write_stops_it_and_gives_back_what_was_not_written() {
    let disk = SimFs::new();
    let repo = sim(&disk, Durability::Buffered);
    let slow = AppenderOptions::new().linger(Duration::from_hours(1));
    let appender = repo.appender(slow).unwrap();
    appender.push_blocking(&btc(), &entry(0)).unwrap();
    appender.flush_blocking().unwrap();
    for n in 1..4 {
        appender.push_blocking(&btc(), &entry(n)).unwrap();
    }
    disk.fail_next(OpKind::Append, Io::StorageFull);
    let error = appender.flush_blocking().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("BTCUSD@ticks"), "{error}");
    for error in [
        appender.push_blocking(&btc(), &entry(9)).unwrap_err(),
        appender.flush_blocking().unwrap_err(),
        appender.sync_blocking().unwrap_err(),
        appender.close_blocking().unwrap_err(),
    ] {
        assert!(error.to_string().contains("stopped"), "{error}");
    }
    assert!(appender.status().failed);
    let rest = appender.take_unwritten();
    let wanted: Vec<_> = (1..4).map(|n| (btc(), entry(n))).collect();
    assert_eq!(rest, wanted);
    assert!(appender.take_unwritten().is_empty());
    // The file is as it was, and another appender goes on.
    assert_eq!(found(&repo, &btc()), expected(0..1));
    let next = repo.appender(AppenderOptions::new()).unwrap();
    for (series, text) in rest {
        next.push_blocking(&series, &text).unwrap();
    }
    next.close_blocking().unwrap();
    assert_eq!(found(&repo, &btc()), expected(0..4));
}

#[test]
fn a_failed_sync_is_told_to_all_and_not_repeated() {
    let disk = SimFs::new();
    let repo = sim(&disk, Durability::Synced);
    let appender = repo.appender(AppenderOptions::new()).unwrap();
    appender
        .append_blocking(&btc(), &entry(0), Durability::Synced)
        .unwrap();
    disk.fail_next(OpKind::SyncData, Io::Other);
    let error = appender
        .append_blocking(&btc(), &entry(1), Durability::Synced)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(appender.status().durable, 1);
    assert!(appender.flush_blocking().is_err());
    assert!(appender.close_blocking().is_err());
    // The repository is poisoned as well: a new appender to it fails visibly.
    let next = repo.appender(AppenderOptions::new()).unwrap();
    assert!(
        next.append_blocking(&btc(), &entry(2), Durability::Synced)
            .is_err()
    );
}

/// Pushes and flushes; says how many were pushed and how many of them a flush acknowledged.
fn work(disk: &SimFs, durability: Durability) -> usize {
    let config = JsonlConfig::default()
        .fs(Arc::new(disk.clone()))
        .durability(durability);
    let Ok(repo) = JsonlTimeSeriesRepository::open("/ticks", config) else {
        return 0;
    };
    let slow = AppenderOptions::new().linger(Duration::from_hours(1));
    let appender: Appender = repo.appender(slow).unwrap();
    let mut flushed = 0;
    for n in 0..6 {
        if appender.push_blocking(&btc(), &entry(n)).is_err() {
            break;
        }
        if n % 2 == 1 {
            if appender.flush_blocking().is_err() {
                break;
            }
            flushed = n + 1;
        }
    }
    flushed
}

fn check(crashed: &Crashed<'_, usize>, durable: bool) -> Result<(), String> {
    let repo = sim(&crashed.disk, Durability::Synced);
    let all = found(&repo, &btc());
    let acknowledged = match crashed.kind {
        Kind::Process => *crashed.out,
        Kind::Power if durable => *crashed.out,
        Kind::Power => 0,
    };
    if all.len() < acknowledged {
        return Err(format!("{acknowledged} acknowledged entries, {all:?}"));
    }
    let mut rest = (0..6).map(entry);
    if !all.iter().all(|text| rest.any(|next| next == *text)) {
        return Err(format!("not in the order of the pushes: {all:?}"));
    }
    Ok(())
}

#[test]
fn what_a_flush_acknowledged_survives_every_crash() {
    for (durability, durable) in [(Durability::Synced, true), (Durability::Buffered, false)] {
        let report = crash::enumerate(
            &Options::default(),
            |_| Ok(()),
            |disk| work(disk, durability),
            |crashed| check(crashed, durable),
        )
        .unwrap();
        assert!(report.states > 50, "{report:?}");
    }
}

#[test]
fn a_flush_without_a_sync_is_caught() {
    let failure = crash::enumerate(
        &Options::default(),
        |_| Ok(()),
        |disk| work(disk, Durability::Buffered),
        |crashed| check(crashed, true),
    )
    .unwrap_err();
    assert!(failure.message.contains("acknowledged"), "{failure}");
}

#[test]
fn waits_may_be_as_long_as_there_is_time() {
    for linger in [Duration::ZERO, Duration::MAX] {
        let place = Place::new();
        let options = AppenderOptions::new()
            .durability(Durability::Buffered)
            .linger(linger)
            .sync_interval(Duration::MAX);
        let appender = place.repo.appender(options).unwrap();
        for n in 0..3 {
            appender.push_blocking(&btc(), &entry(n)).unwrap();
            appender.flush_blocking().unwrap();
        }
        appender.push_blocking(&btc(), &entry(3)).unwrap();
        appender.close_blocking().unwrap();
        assert_eq!(found(&place.repo, &btc()), expected(0..4));
    }
}

/// A clock that fails who asks it the third time.
#[derive(Debug, Default)]
struct Broken(AtomicUsize);

impl Clock for Broken {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) < 2, "the clock broke");
        SystemClock.now()
    }
}

#[test]
fn what_a_panicking_thread_had_in_hand_is_given_back() {
    let config = JsonlConfig::default()
        .durability(Durability::Buffered)
        .clock(Arc::new(Broken::default()))
        .rotation(Rotation::default().daily());
    let place = Place::with(config);
    let series: Vec<_> = (0..4).map(|n| id(&format!("S{n}@ticks"))).collect();
    let slow = AppenderOptions::new().linger(Duration::from_hours(1));
    let appender = place.repo.appender(slow).unwrap();
    for (n, series) in series.iter().enumerate() {
        appender.push_blocking(series, &entry(n)).unwrap();
    }
    assert!(appender.flush_blocking().is_err());
    assert!(appender.close_blocking().is_err());
    let rest = appender.take_unwritten();
    let wanted: Vec<_> = (2..4).map(|n| (series[n].clone(), entry(n))).collect();
    assert_eq!(rest, wanted);
    for (n, series) in series.iter().enumerate().take(2) {
        assert_eq!(found(&place.repo, series), [entry(n)]);
    }
}
