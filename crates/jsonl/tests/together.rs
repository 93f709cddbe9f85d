//! Synced appends that wait at the same time are made together: each gets its own answer, whatever becomes of the others.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::collections::HashSet;
use std::sync::Arc;

use common::*;
use minutebook_core::{ErrorKind, Result, WriteReceipt};
use minutebook_fs::{Durability, Fault, OpKind, SimFs};
use minutebook_jsonl::{EntryQuery, EpochUnit, JsonlConfig, JsonlTimeSeriesRepository, TimeField};
use tokio::runtime::{Builder, Runtime};

fn synced() -> JsonlConfig {
    JsonlConfig::default().durability(Durability::Synced)
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
fn a_failed_sync_is_told_to_all_who_waited_for_it_and_a_failed_write_to_its_own() {
    for kind in [OpKind::SyncData, OpKind::Append] {
        for after in 0..12 {
            let (runtime, disk) = (many_threads(), SimFs::new());
            let config = synced().fs(Arc::new(disk.clone())).index_bytes(0);
            let repo = JsonlTimeSeriesRepository::open("/ticks", config).unwrap();
            let whole = |task| (entry(task, 0), TimeField::timestamp());
            disk.inject(Fault::on(kind).at("timeseries").after(after).errno(5));
            let outcomes = at_once(&runtime, &repo, whole, 20);
            let there: HashSet<_> = found(&repo).into_iter().collect();
            let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
            for (task, outcome) in outcomes.iter().enumerate() {
                match outcome {
                    Ok(_) => assert!(there.contains(&entry(task, 0)), "{kind:?} {after}: {task}"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
                }
            }
            // A write of several that fails and leaves nothing is made once more for each.
            if kind == OpKind::Append {
                assert!(failed <= 1, "{after}: {failed}");
                assert_eq!(there.len(), 20 - failed);
            }
        }
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
