//! Synced appends that wait at the same time are made together: each gets its own answer, whatever becomes of the others.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use minutebook_core::{ErrorKind, Result, WriteReceipt};
use minutebook_fs::{Durability, Fault, Images, OpKind, SimFs};
use minutebook_jsonl::{EntryQuery, EpochUnit, JsonlConfig, JsonlTimeSeriesRepository, TimeField};
use tokio::runtime::{Builder, Runtime};

fn synced() -> JsonlConfig {
    JsonlConfig::default().durability(Durability::Synced)
}

/// A store on a simulated disk that keeps no index aside.
fn on(disk: &SimFs) -> JsonlTimeSeriesRepository {
    let config = synced().fs(Arc::new(disk.clone())).index_bytes(0);
    JsonlTimeSeriesRepository::open("/ticks", config).unwrap()
}

fn many_threads() -> Runtime {
    Builder::new_multi_thread().enable_all().build().unwrap()
}

fn entry(task: usize, n: usize) -> String {
    format!("{{\"timestamp\":\"2025-01-01\",\"task\":{task},\"n\":{n}}}")
}

/// Appends as many entries as there are tasks, at once.
fn at_once(
    runtime: &Runtime,
    repo: &JsonlTimeSeriesRepository,
    entry: impl Fn(usize) -> (String, TimeField),
    tasks: usize,
) -> Vec<Result<WriteReceipt>> {
    let started: Vec<_> = (0..tasks)
        .map(|task| {
            let (repo, (text, time)) = (repo.clone(), entry(task));
            runtime.spawn(async move { repo.append_entries_at(&btc(), &[text], &time).await })
        })
        .collect();
    let ended = async {
        let mut ended = Vec::new();
        for task in started {
            ended.push(task.await.unwrap());
        }
        ended
    };
    runtime.block_on(ended)
}

fn found(repo: &JsonlTimeSeriesRepository) -> Vec<String> {
    run(texts(repo, &btc(), &EntryQuery::new())).unwrap().0
}

#[test]
fn every_entry_is_there_once_and_has_its_own_version() {
    for runtime in [
        many_threads(),
        Builder::new_current_thread().build().unwrap(),
    ] {
        let place = Place::with(synced());
        let (tasks, each) = (64, 20);
        let started: Vec<_> = (0..tasks)
            .map(|task| {
                let repo = place.repo.clone();
                runtime.spawn(async move {
                    let mut versions = Vec::new();
                    for n in 0..each {
                        let receipt = repo.append_entries(&btc(), &[entry(task, n)]).await;
                        versions.push(receipt.unwrap().version);
                    }
                    versions
                })
            })
            .collect();
        let mut versions = HashSet::new();
        runtime.block_on(async {
            for task in started {
                let own = task.await.unwrap();
                assert!(own.is_sorted());
                versions.extend(own);
            }
        });
        assert_eq!(versions.len(), tasks * each);
        let mut all = found(&place.repo);
        // Those of a task stand in the order of its calls.
        for task in 0..tasks {
            let own = format!("\"task\":{task},");
            let own: Vec<_> = all.iter().filter(|text| text.contains(&own)).collect();
            let expected: Vec<_> = (0..each).map(|n| entry(task, n)).collect();
            assert!(own.into_iter().eq(&expected), "{task}");
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), tasks * each);
    }
}

#[test]
fn an_entry_that_is_refused_takes_no_other_with_it() {
    let (runtime, place) = (many_threads(), Place::with(synced()));
    let time = |unit| TimeField::timestamp().epoch(unit);
    let first = vec!["{\"timestamp\":1735689600,\"n\":0}".to_owned()];
    run(place
        .repo
        .append_entries_at(&btc(), &first, &time(EpochUnit::Seconds)))
    .unwrap();
    // Every fifth has another unit than the series.
    let outcomes = at_once(
        &runtime,
        &place.repo,
        |task| {
            let unit = match task % 5 {
                0 => EpochUnit::Milliseconds,
                _ => EpochUnit::Seconds,
            };
            (
                format!("{{\"timestamp\":1735689600,\"n\":{task}}}"),
                time(unit),
            )
        },
        100,
    );
    for (task, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(receipt) => assert!(task % 5 != 0 && receipt.inserted == 1, "{task}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert_eq!(task % 5, 0);
            }
        }
    }
    assert_eq!(found(&place.repo).len(), 81);
}

#[test]
fn tasks_that_wait_share_a_sync() {
    const TASKS: usize = 64;
    let (runtime, disk) = (many_threads(), SimFs::new());
    let repo = on(&disk);
    run(repo.append_entries(&btc(), &[entry(0, 0)])).unwrap();
    let waiting = Arc::new(AtomicUsize::new(0));
    // Whoever comes first is held in the sync until all others wait.
    let all = Arc::clone(&waiting);
    disk.on_op(move |event| {
        while event.kind == OpKind::SyncData && all.load(Ordering::Acquire) < TASKS {
            std::thread::yield_now();
        }
    });
    let started: Vec<_> = (1..=TASKS)
        .map(|task| {
            let (repo, waiting) = (repo.clone(), Arc::clone(&waiting));
            runtime.spawn(async move {
                let series = btc();
                let entries = [entry(task, 0)];
                let mut append = std::pin::pin!(repo.append_entries(&series, &entries));
                let first = futures_util::poll!(append.as_mut());
                assert!(first.is_pending());
                waiting.fetch_add(1, Ordering::AcqRel);
                append.await
            })
        })
        .collect();
    runtime.block_on(async {
        for task in started {
            task.await.unwrap().unwrap();
        }
    });
    let syncs = disk.trace();
    let syncs = syncs.iter().filter(|event| event.kind == OpKind::SyncData);
    assert!((1..=2).contains(&syncs.count()));
    assert_eq!(found(&repo).len(), TASKS + 1);
}

#[test]
fn a_failed_sync_is_told_to_all_who_waited_for_it() {
    for after in 0..4 {
        let (runtime, disk) = (many_threads(), SimFs::new());
        let repo = on(&disk);
        run(repo.append_entries(&btc(), &[entry(99, 0)])).unwrap();
        let syncs = || {
            let all = disk.trace().into_iter();
            all.filter(|event| event.kind == OpKind::SyncData).count() as u64
        };
        let before = syncs();
        disk.inject(
            Fault::on(OpKind::SyncData)
                .at("timeseries")
                .after(after)
                .errno(5),
        );
        let whole = |task| (entry(task, 0), TimeField::timestamp());
        let outcomes = at_once(&runtime, &repo, whole, 20);
        // Which of them are together is up to the threads, but somebody waits for each sync: also for the one that fails, if there are so many.
        let fired = syncs() - before > after;
        assert_eq!(outcomes.iter().any(Result::is_err), fired, "{after}");
        assert!(after > 0 || fired);
        let images = disk.images_after_crash(&Images::default().max(30));
        assert!(!images.is_empty());
        for image in &images {
            let there: HashSet<_> = found(&on(&image.fs)).into_iter().collect();
            for (task, outcome) in outcomes.iter().enumerate() {
                match outcome {
                    Ok(_) => assert!(there.contains(&entry(task, 0)), "{after}: {task}"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
                }
            }
        }
    }
}

#[test]
fn a_failed_write_is_told_to_its_own() {
    for after in 0..12 {
        let (runtime, disk) = (many_threads(), SimFs::new());
        let repo = on(&disk);
        disk.inject(
            Fault::on(OpKind::Append)
                .at("timeseries")
                .after(after)
                .errno(5),
        );
        let whole = |task| (entry(task, 0), TimeField::timestamp());
        let outcomes = at_once(&runtime, &repo, whole, 20);
        let there: HashSet<_> = found(&repo).into_iter().collect();
        for (task, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Ok(_) => assert!(there.contains(&entry(task, 0)), "{after}: {task}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
        }
        // A write of several that fails and leaves nothing is made once more for each.
        let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        assert!(failed <= 1, "{after}: {failed}");
        assert_eq!(there.len(), 20 - failed);
    }
}

#[test]
fn a_runtime_that_ends_leaves_the_series_to_the_next() {
    let place = Place::with(synced());
    for round in 0..20 {
        let runtime = many_threads();
        for task in 0..16 {
            let repo = place.repo.clone();
            runtime.spawn(async move {
                for n in 0.. {
                    if repo
                        .append_entries(&btc(), &[entry(task, n)])
                        .await
                        .is_err()
                    {
                        break;
                    }
                }
            });
        }
        std::thread::sleep(std::time::Duration::from_millis(round % 5));
        runtime.shutdown_background();
        let receipt = run(place.repo.append_entries(&btc(), &[entry(99, 0)])).unwrap();
        assert_eq!(receipt.inserted, 1);
    }
    let last = format!("\"task\":{},", 99);
    let own = found(&place.repo);
    assert_eq!(own.iter().filter(|text| text.contains(&last)).count(), 20);
}
