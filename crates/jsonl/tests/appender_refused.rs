//! What one series refuses concerns no other series of an appender, and is told and given back.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::io::ErrorKind as Io;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use minutebook_core::{Error, ErrorKind, SeriesId};
use minutebook_fs::{Durability, Fs, LockMode, LockWait, OpKind, OsFs, SimFs};
use minutebook_jsonl::{
    Appender, AppenderOptions, EntryQuery, EpochUnit, JsonlConfig, JsonlTimeSeriesRepository,
    TimeField,
};

fn eth() -> SeriesId {
    id("ETHUSD@ticks")
}

/// A store whose numeric times are milliseconds, and which does not wait for locks.
fn config() -> JsonlConfig {
    JsonlConfig::default()
        .time(TimeField::timestamp().epoch(EpochUnit::Milliseconds))
        .durability(Durability::Buffered)
        .lock_wait(LockWait::Timeout(Duration::from_millis(20)))
}

/// Nothing is written before somebody asks for it.
fn slow(repo: &JsonlTimeSeriesRepository) -> Appender {
    let slow = AppenderOptions::new().linger(Duration::from_hours(1));
    repo.appender(slow).unwrap()
}

fn number(n: usize) -> String {
    format!("{{\"timestamp\":17356896000{n:02},\"n\":{n}}}")
}

fn numbers(entries: std::ops::Range<usize>) -> Vec<String> {
    entries.map(number).collect()
}

fn found(repo: &JsonlTimeSeriesRepository, id: &SeriesId) -> Vec<String> {
    let read = run(texts(repo, id, &EntryQuery::new()));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read.unwrap().0,
    }
}

/// Two entries for the series that refuses them and two for the one that does not: all that is promised of them.
fn refused(repo: &JsonlTimeSeriesRepository, kind: ErrorKind) -> Appender {
    let appender = slow(repo);
    let before = found(repo, &btc());
    let is = |error: &Error| error.kind() == kind && error.to_string().contains("BTCUSD@ticks");
    for n in 0..2 {
        appender.push_blocking(&btc(), &number(n)).unwrap();
        appender.push_blocking(&eth(), &number(n)).unwrap();
    }
    let error = appender.flush_blocking().unwrap_err();
    assert!(is(&error), "{error}");
    assert_eq!(found(repo, &eth()), numbers(0..2));
    assert_eq!(found(repo, &btc()), before);
    let status = appender.status();
    assert_eq!((status.accepted, status.written, status.refused), (4, 2, 2));
    assert!(!status.failed);
    // What comes after is refused at once, also without a number in it, and the other series goes on.
    for error in [
        appender.push_blocking(&btc(), &entry(9)).unwrap_err(),
        appender.try_push(&btc(), &number(9)).unwrap_err(),
        appender
            .append_blocking(&btc(), &number(9), Durability::Buffered)
            .unwrap_err(),
    ] {
        assert!(
            is(&error) && error.to_string().contains("refused"),
            "{error}"
        );
    }
    appender
        .append_blocking(&eth(), &number(2), Durability::Synced)
        .unwrap();
    assert_eq!(appender.status().durable, 3);
    for error in [
        run(appender.flush()).unwrap_err(),
        run(appender.sync()).unwrap_err(),
    ] {
        assert!(is(&error), "{error}");
    }
    let expected: Vec<_> = numbers(0..2)
        .into_iter()
        .map(|text| (btc(), text))
        .collect();
    assert_eq!(appender.take_unwritten(), expected);
    assert!(appender.take_unwritten().is_empty());
    appender.flush_blocking().unwrap();
    // Who waits for an entry of its own is told, with the others who wait.
    let error = appender.append_blocking(&btc(), &number(0), Durability::Buffered);
    assert!(is(&error.unwrap_err()));
    assert_eq!(appender.status().refused, 3);
    assert_eq!(appender.take_unwritten(), [(btc(), number(0))]);
    appender
}

/// After the reason is gone: everything can be pushed again.
fn goes_on(repo: &JsonlTimeSeriesRepository, appender: &Appender) {
    let before = found(repo, &btc());
    for text in numbers(0..2) {
        appender.push_blocking(&btc(), &text).unwrap();
    }
    appender.close_blocking().unwrap();
    assert_eq!(found(repo, &btc()), [before, numbers(0..2)].concat());
    assert_eq!(found(repo, &eth()), numbers(0..3));
}

#[test]
fn a_series_with_another_unit_stops_no_other() {
    let place = Place::with(config());
    let seconds = TimeField::timestamp().epoch(EpochUnit::Seconds);
    let old = ["{\"timestamp\":1735689600,\"n\":7}"];
    run(place.repo.append_entries_at(&btc(), &old, &seconds)).unwrap();
    let appender = refused(&place.repo, ErrorKind::InvalidInput);
    // Text has no unit.
    appender.push_blocking(&btc(), &entry(1)).unwrap();
    appender.close_blocking().unwrap();
    let all = [old[0].to_owned(), entry(1)];
    assert_eq!(found(&place.repo, &btc()), all);
}

#[test]
fn a_series_whose_types_are_damaged_stops_no_other() {
    let place = Place::with(config());
    run(place.repo.append_entries(&btc(), &[entry(1)])).unwrap();
    place.put(".btcusd.types", "{\"format\":");
    let appender = refused(&place.repo, ErrorKind::SchemaMismatch);
    std::fs::remove_file(place.file(".btcusd.types")).unwrap();
    goes_on(&place.repo, &appender);
}

#[test]
fn a_series_that_others_hold_stops_no_other() {
    for wait in [LockWait::Try, LockWait::Timeout(Duration::from_millis(20))] {
        let place = Place::with(config().lock_wait(wait));
        run(place.repo.append_entries(&btc(), &[entry(1)])).unwrap();
        let lock = place.file(".btcusd.lock");
        let held = OsFs.lock(&lock, LockMode::Exclusive, LockWait::Block);
        let appender = refused(&place.repo, ErrorKind::Locked);
        drop(held);
        goes_on(&place.repo, &appender);
    }
}

#[test]
fn what_is_pushed_while_entries_are_refused_is_refused_with_them() {
    let disk = SimFs::new();
    let repo = JsonlTimeSeriesRepository::open("/ticks", config().fs(Arc::new(disk.clone())));
    let repo = repo.unwrap();
    let seconds = TimeField::timestamp().epoch(EpochUnit::Seconds);
    let old = ["{\"timestamp\":1735689600,\"n\":7}"];
    run(repo.append_entries_at(&btc(), &old, &seconds)).unwrap();
    let appender = Arc::new(slow(&repo));
    let watched = Arc::downgrade(&appender);
    let once = std::sync::atomic::AtomicBool::new(false);
    disk.on_op(move |event| {
        let is_at_it = event.kind == OpKind::Lock && event.path.ends_with(".btcusd.lock");
        let appender = watched.upgrade().filter(|_| is_at_it);
        if let Some(appender) = appender
            && !once.swap(true, std::sync::atomic::Ordering::SeqCst)
        {
            appender.push_blocking(&eth(), &number(0)).unwrap();
            appender.push_blocking(&btc(), &number(1)).unwrap();
            appender
                .push_blocking(&id("SOLUSD@ticks"), &number(0))
                .unwrap();
            appender.push_blocking(&btc(), &entry(2)).unwrap();
        }
    });
    appender.push_blocking(&btc(), &number(0)).unwrap();
    let error = appender.flush_blocking().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(appender.flush_blocking().is_err());
    let status = appender.status();
    assert_eq!((status.accepted, status.written, status.refused), (5, 2, 3));
    let left: Vec<_> = appender.take_unwritten();
    let texts = [number(0), number(1), entry(2)];
    assert_eq!(left, texts.map(|text| (btc(), text)));
    appender.flush_blocking().unwrap();
    for other in [eth(), id("SOLUSD@ticks")] {
        assert_eq!(found(&repo, &other), [number(0)]);
    }
    // A disk that fails is another matter, and what was refused before is given back with the rest.
    appender.push_blocking(&btc(), &number(3)).unwrap();
    assert!(appender.flush_blocking().is_err());
    appender.push_blocking(&eth(), &number(4)).unwrap();
    disk.fail_next(OpKind::Append, Io::StorageFull);
    let error = appender.flush_blocking().unwrap_err();
    assert!(error.to_string().contains("stopped"), "{error}");
    let left = appender.take_unwritten();
    assert_eq!(left, [(btc(), number(3)), (eth(), number(4))]);
    assert!(appender.push_blocking(&eth(), &number(5)).is_err());
}

#[test]
fn a_close_tells_of_a_refusal_after_it_wrote_the_others() {
    let place = Place::with(config());
    run(place.repo.append_entries(&btc(), &[entry(1)])).unwrap();
    let lock = place.file(".btcusd.lock");
    let _held = OsFs.lock(&lock, LockMode::Exclusive, LockWait::Block);
    let appender = slow(&place.repo);
    for n in 0..3 {
        appender.push_blocking(&btc(), &number(n)).unwrap();
        appender.push_blocking(&eth(), &number(n)).unwrap();
    }
    let error = appender.close_blocking().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert_eq!(appender.status().durable, 3);
    assert_eq!(found(&place.repo, &eth()), numbers(0..3));
    assert_eq!(appender.take_unwritten().len(), 3);
}
