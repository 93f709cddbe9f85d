//! A store without a journal: documents alone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

#[path = "../common/mod.rs"]
mod common;
mod crash;
mod revisions;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use minutebook_core::{
    Capability, Clock, Decision, DecisionFilter, DecisionId, DecisionQuery, DecisionRepository,
    DecisionRepositoryExt, ErrorKind, ManualClock, Order, SaveMode, WatchFrom,
};
use minutebook_fs::crash::{Crashed, Options, enumerate};
use minutebook_fs::{Fault, Images, OpKind, SimFs};
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};

use common::{id, run};

fn open(disk: &SimFs, journal: bool) -> minutebook_core::Result<JsonDecisionRepository> {
    let config = JsonDecisionConfig::default()
        .fs(Arc::new(disk.clone()))
        .journal(journal);
    JsonDecisionRepository::open("/d", config)
}

fn decision(id: &str, date: &str, n: u32) -> Decision {
    let text = format!(r#"{{"id":"{id}","timestamp":"{date}T10:00:00Z","n":{n}}}"#);
    Decision::from_json(&text).unwrap()
}

/// The `n` of a decision, 0 if there is none.
fn n_of(store: &JsonDecisionRepository, name: &str) -> Result<u32, String> {
    let found = run(store.get(&id(name))).map_err(|error| error.to_string())?;
    let Some(found) = found else { return Ok(0) };
    let n = found.decision.raw("n").ok_or("it is not whole")?;
    n.parse().map_err(|_| format!("n is {n}"))
}

fn documents(disk: &SimFs) -> Vec<String> {
    let mut paths: Vec<_> = disk.tree().into_keys().collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
    let names = paths.iter();
    names.map(|path| path.display().to_string()).collect()
}

/// After a crash: `name` has one of these states, the queries say the same, nothing is torn, and work goes on.
fn intact(disk: &SimFs, name: &str, may: &[u32]) -> Result<(), String> {
    let store = open(disk, false).map_err(|error| error.to_string())?;
    let n = n_of(&store, name)?;
    if !may.contains(&n) {
        return Err(format!("{name} has n={n}, and not one of {may:?}"));
    }
    let all = run(store.query(&DecisionQuery::new())).map_err(|error| error.to_string())?;
    let same = all
        .decisions
        .iter()
        .filter(|found| found.decision.id() == &id(name));
    let queried: Vec<_> = same
        .map(|found| found.decision.raw("n").map(str::to_owned))
        .collect();
    let expected = (n > 0).then(|| Some(n.to_string()));
    if queried != expected.into_iter().collect::<Vec<_>>() {
        return Err(format!("a query gives {queried:?}, get n={n}"));
    }
    run(store.upsert(&decision(name, "2024-12-31", 99))).map_err(|error| error.to_string())?;
    let again = open(disk, false).map_err(|error| error.to_string())?;
    if n_of(&again, name)? != 99 {
        return Err("a save after the crash does not count".to_owned());
    }
    let end = format!("_{name}.json");
    let files = documents(disk);
    if files.iter().filter(|file| file.ends_with(&end)).count() != 1 {
        return Err(format!("files are left over: {files:?}"));
    }
    run(again.delete(&id(name))).map_err(|error| error.to_string())?;
    if n_of(&open(disk, false).map_err(|error| error.to_string())?, name)? != 0 {
        return Err("a deletion after the crash brings back another state".to_owned());
    }
    Ok(())
}

fn with_first(disk: &SimFs) -> Result<(), String> {
    let store = open(disk, false).map_err(|error| error.to_string())?;
    run(store.create(&decision("a", "2025-01-05", 1))).map_err(|error| error.to_string())?;
    Ok(())
}

#[tokio::test]
async fn there_are_documents_alone_and_what_needs_a_journal_is_refused() {
    let disk = SimFs::new();
    let store = open(&disk, false).unwrap();
    let first = store.create(&decision("a", "2025-01-01", 1)).await.unwrap();
    let expected = Some(first.revision.clone());
    let update = SaveMode::Update { expected };
    store
        .save(&decision("a", "2025-01-02", 2), update.clone())
        .await
        .unwrap();
    let error = store
        .save(&decision("a", "2025-01-03", 3), update)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let mut names: Vec<_> = disk
        .tree()
        .into_keys()
        .map(|path| path.display().to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["/d", "/d/.decisions.lock", "/d/2025-01-02_a.json"]);
    let can = store.capabilities();
    assert!(
        can.has(Capability::Revisions)
            && !can.has(Capability::History)
            && !can.has(Capability::Watch)
    );
    let id = DecisionId::new("a").unwrap();
    assert_eq!(
        store.history(&id).await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    let watched = store.watch(WatchFrom::Now).await;
    assert_eq!(
        watched.err().map(|error| error.kind()),
        Some(ErrorKind::Unsupported)
    );
    store.checkpoint().await.unwrap();
    assert!(!store.rotate().await.unwrap());
}

#[tokio::test]
async fn a_directory_with_a_journal_is_refused_and_one_without_gets_one() {
    let disk = SimFs::new();
    let plain = open(&disk, false).unwrap();
    plain.create(&decision("a", "2025-01-01", 1)).await.unwrap();
    let with = open(&disk, true).unwrap();
    assert_eq!(with.count(&DecisionFilter::new()).await.unwrap(), 1);
    with.create(&decision("b", "2025-01-01", 1)).await.unwrap();
    assert_eq!(
        open(&disk, false).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    // One that was open before notices too.
    let error = plain
        .create(&decision("c", "2025-01-01", 1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(with.count(&DecisionFilter::new()).await.unwrap(), 2);
}

#[test]
fn errors_say_what_may_have_been_applied_and_nothing_that_failed_is_acknowledged() {
    for (kind, errno, may) in [
        (OpKind::Append, 28, [1, 1]),
        (OpKind::SyncAll, 5, [1, 1]),
        (OpKind::Rename, 28, [1, 1]),
        (OpKind::SyncDir, 5, [1, 2]),
        (OpKind::RemoveFile, 13, [1, 2]),
    ] {
        let disk = SimFs::new();
        with_first(&disk).unwrap();
        let store = open(&disk, false).unwrap();
        disk.inject(Fault::on(kind).errno(errno));
        run(store.upsert(&decision("a", "2025-01-06", 2))).unwrap_err();
        disk.clear_faults();
        if kind == OpKind::SyncDir {
            // What the system says of a later sync need not be so.
            let error = run(store.upsert(&decision("a", "2025-01-06", 2))).unwrap_err();
            assert!(
                format!("{error:?}").contains("earlier sync failed"),
                "{error:?}"
            );
        }
        let n = n_of(&store, "a").unwrap();
        assert!(may.contains(&n), "{kind:?}: {n}");
        intact(&disk, "a", &may).unwrap();
    }
}

/// Where nobody tells of changes the directory is listed once for a batch, and not for each of its decisions.
#[test]
fn a_batch_lists_the_directory_as_often_as_one() {
    let listings = |count: usize| {
        let disk = SimFs::new();
        disk.set_watchable(false);
        let store = open(&disk, false).unwrap();
        let listed = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&listed);
        disk.on_op(move |event| {
            let is_listing = usize::from(event.kind == OpKind::ReadDir);
            counter.fetch_add(is_listing, Ordering::Relaxed);
        });
        let mut decisions: Vec<_> = (0..count)
            .map(|n| decision(&format!("d{n}"), "2025-01-01", 1))
            .collect();
        // An id that comes twice, and one that moves to another name.
        decisions.push(decision("d0", "2025-01-01", 2));
        decisions.push(decision("d1", "2025-01-02", 3));
        for saved in run(store.save_all(decisions, SaveMode::Upsert)) {
            saved.unwrap();
        }
        let of_batch = listed.load(Ordering::Relaxed);
        assert_eq!(
            run(store.count(&DecisionFilter::new())).unwrap(),
            count as u64
        );
        for (id, n) in [("d0", "2"), ("d1", "3"), ("d2", "1")] {
            let found = run(store.require(&id.parse().unwrap())).unwrap();
            assert_eq!(found.decision.raw("n"), Some(n));
        }
        let gone: Vec<_> = (0..count).map(|n| format!("d{n}")).collect();
        for id in &gone {
            assert!(run(store.delete(&id.parse().unwrap())).unwrap());
        }
        of_batch
    };
    assert_eq!(listings(4), listings(60));
}
