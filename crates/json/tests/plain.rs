//! A store without a journal: documents alone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chrono::TimeDelta;
use minutebook_core::{
    Capability, Clock, Decision, DecisionFilter, DecisionId, DecisionQuery, DecisionRepository,
    DecisionRepositoryExt, ErrorKind, ManualClock, Order, SaveMode, WatchFrom,
};
use minutebook_fs::crash::{Crashed, Options, enumerate};
use minutebook_fs::{Fault, Images, OpKind, SimFs};
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};

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

/// Without a runtime everything runs inline, so that each run takes the same steps.
fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for something"),
    }
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

fn id(text: &str) -> DecisionId {
    DecisionId::new(text).unwrap()
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

/// Each of these steps leads from one state to the next; what a step that was acknowledged led to is there after any crash.
fn survives(states: &[(&str, u32)], setup: impl Fn(&SimFs) -> Result<(), String>) {
    let report = enumerate(
        &Options::default().images(Images::default().max(120)),
        setup,
        |disk| {
            let Ok(store) = open(disk, false) else {
                return 0;
            };
            let step = |(date, n): &(&str, u32)| {
                if *n == 0 {
                    run(store.delete(&id("a"))).is_ok()
                } else {
                    run(store.upsert(&decision("a", date, *n))).is_ok()
                }
            };
            states
                .iter()
                .skip(1)
                .take_while(|state| step(state))
                .count()
        },
        |crashed: &Crashed<'_, usize>| {
            let may: Vec<u32> = states
                .iter()
                .skip(*crashed.out)
                .take(2)
                .map(|state| state.1)
                .collect();
            intact(&crashed.disk, "a", &may)
        },
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.states > 15, "{report:?}");
}

fn with_first(disk: &SimFs) -> Result<(), String> {
    let store = open(disk, false).map_err(|error| error.to_string())?;
    run(store.create(&decision("a", "2025-01-05", 1))).map_err(|error| error.to_string())?;
    Ok(())
}

#[test]
fn what_was_acknowledged_survives_every_crash_of_saves() {
    survives(&[("", 0), ("2025-01-05", 1), ("2025-01-05", 2)], |_| Ok(()));
    survives(&[("", 1), ("2025-01-05", 2), ("2025-01-05", 3)], with_first);
}

#[test]
fn what_was_acknowledged_survives_every_crash_of_saves_under_other_dates() {
    survives(&[("", 1), ("2025-01-06", 2), ("2025-01-07", 3)], with_first);
    survives(&[("", 1), ("2025-01-04", 2), ("2025-01-03", 3)], with_first);
    survives(&[("", 1), ("2025-01-04", 2), ("2025-01-05", 3)], with_first);
}

#[test]
fn what_was_acknowledged_survives_every_crash_of_deletions() {
    survives(&[("", 1), ("", 0), ("2025-01-04", 2)], with_first);
    // Files that an earlier crash has left are not what a deletion or a save brings back.
    let left_over = |disk: &SimFs| -> Result<(), String> {
        with_first(disk)?;
        for (date, n) in [("2025-01-03", 7), ("2025-01-04", 8)] {
            let text = decision("a", date, n).to_json_pretty();
            let path = format!("/d/{date}_a.json");
            disk.put(path, text.as_bytes())
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    survives(&[("", 1), ("", 0)], left_over);
    survives(&[("", 1), ("2025-01-02", 2)], left_over);
    survives(&[("", 1), ("2025-01-04", 2)], left_over);
    survives(&[("", 1), ("2025-01-06", 2)], left_over);
}

#[test]
fn a_batch_that_was_acknowledged_survives_every_crash_and_is_whole_or_not_by_document() {
    let report = enumerate(
        &Options::default().images(Images::default().max(120)),
        with_first,
        |disk| {
            let Ok(store) = open(disk, false) else {
                return false;
            };
            let batch = vec![
                decision("a", "2025-01-04", 2),
                decision("b", "2025-01-04", 1),
                decision("c", "2025-01-04", 1),
            ];
            let results = run(store.save_all(batch, SaveMode::Upsert));
            results.iter().all(Result::is_ok)
        },
        |crashed: &Crashed<'_, bool>| {
            let may = |before: u32, after: u32| {
                if *crashed.out {
                    vec![after]
                } else {
                    vec![before, after]
                }
            };
            intact(&crashed.disk, "a", &may(1, 2))?;
            intact(&crashed.disk, "b", &may(0, 1))?;
            intact(&crashed.disk, "c", &may(0, 1))
        },
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.states > 15, "{report:?}");
}

#[test]
fn what_is_acknowledged_as_unchanged_or_gone_survives_too() {
    // A process that died before it had synced leaves what the next one finds, and has to make durable before it says so.
    for deletes in [false, true] {
        for step in 0..6 {
            let disk = SimFs::new();
            with_first(&disk).unwrap();
            disk.settle();
            let change = |store: &JsonDecisionRepository| {
                if deletes {
                    run(store.delete(&id("a"))).is_ok()
                } else {
                    run(store.upsert(&decision("a", "2025-01-05", 2))).is_ok()
                }
            };
            let other = disk.new_process();
            let store = open(&other, false).unwrap();
            other.crash_after(step);
            change(&store);
            let disk = other.process_crash();
            assert!(change(&open(&disk, false).unwrap()));
            for image in disk.images_after_crash(&Images::default().max(60)) {
                intact(&image.fs, "a", if deletes { &[0] } else { &[2] }).unwrap();
            }
        }
    }
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

#[tokio::test]
async fn no_two_states_have_one_revision_while_the_clock_stands_or_goes_back() {
    for step in [1, 1_000, 1_000_000_000, 2_000_000_000] {
        revisions_differ(Duration::from_nanos(step)).await;
    }
}

/// On a disk whose files keep times in such steps.
async fn revisions_differ(step: Duration) {
    let disk = SimFs::new();
    disk.set_time_step(step);
    let clock = Arc::new(ManualClock::at("2025-06-01T12:00:00Z".parse().unwrap()));
    let open = || {
        let config = JsonDecisionConfig::default()
            .fs(Arc::new(disk.clone()))
            .clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .journal(false);
        JsonDecisionRepository::open("/d", config).unwrap()
    };
    let (one, two) = (open(), open());
    let mut seen = BTreeSet::new();
    let (a, b) = (
        decision("a", "2025-01-01", 1),
        decision("a", "2025-01-01", 2),
    );
    for round in 0..3 {
        for (store, state) in [(&one, &a), (&two, &b), (&one, &a), (&two, &b)] {
            let receipt = store.upsert(state).await.unwrap();
            assert!(seen.insert(receipt.revision.to_string()), "{receipt:?}");
            let stored = open().get(&id("a")).await.unwrap().unwrap();
            assert_eq!(
                (stored.revision, stored.recorded_at),
                (receipt.revision, receipt.recorded_at)
            );
        }
        assert!(two.delete(&id("a")).await.unwrap());
        if round == 1 {
            clock.advance(TimeDelta::seconds(-1));
        }
    }
    // As soon as the clock goes on, its time is what counts.
    clock.advance(TimeDelta::seconds(61));
    let receipt = one.upsert(&a).await.unwrap();
    assert_eq!(receipt.recorded_at, clock.now());
}

#[tokio::test]
async fn an_edit_by_another_program_is_another_revision() {
    let disk = SimFs::new();
    let store = open(&disk, false).unwrap();
    let first = store.create(&decision("a", "2025-01-01", 1)).await.unwrap();
    let text = decision("a", "2025-01-01", 5).to_json_pretty();
    disk.put("/d/2025-01-01_a.json", text.as_bytes()).unwrap();
    let update = SaveMode::Update {
        expected: Some(first.revision.clone()),
    };
    let error = store
        .save(&decision("a", "2025-01-01", 2), update)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    // So is the same document again.
    let text = decision("a", "2025-01-01", 1).to_json_pretty();
    disk.put("/d/2025-01-01_a.json", text.as_bytes()).unwrap();
    assert_ne!(
        store.get(&id("a")).await.unwrap().unwrap().revision,
        first.revision
    );
    // And one in a file of another name counts by its time.
    let text = decision("a", "2025-02-01", 6).to_json_pretty();
    disk.put("/d/mine.json", text.as_bytes()).unwrap();
    store.upsert(&decision("a", "2025-01-15", 7)).await.unwrap();
    assert_eq!(documents(&disk), ["/d/2025-01-15_a.json"]);
}

#[tokio::test]
async fn what_was_written_last_comes_first_across_reopening() {
    let disk = SimFs::new();
    let store = open(&disk, false).unwrap();
    for (name, n) in [("a", 1), ("b", 1), ("c", 1), ("a", 2)] {
        store
            .upsert(&decision(name, "2025-01-01", n))
            .await
            .unwrap();
    }
    for store in [store, open(&disk, false).unwrap()] {
        let query = DecisionQuery::new().order(Order::RecentlyWritten);
        let page = store.query(&query).await.unwrap();
        let ids: Vec<_> = page
            .decisions
            .iter()
            .map(|found| found.decision.id().to_string())
            .collect();
        assert_eq!(ids, ["a", "c", "b"]);
    }
}

#[test]
fn of_many_handles_on_a_disk_one_update_of_a_state_wins() {
    const ROUNDS: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let open = |watch: bool| {
        let config = JsonDecisionConfig::default()
            .journal(false)
            .watch_directory(watch);
        JsonDecisionRepository::open(dir.path(), config).unwrap()
    };
    let count = |store: &JsonDecisionRepository| {
        let found = wait(store.get(&id("a"))).unwrap().unwrap();
        let n: usize = found.decision.raw("n").unwrap().parse().unwrap();
        (n, found.revision)
    };
    wait(open(true).create(&decision("a", "2025-01-01", 0))).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = open(thread % 2 == 0);
            scope.spawn(move || {
                let mut done = 0;
                while done < ROUNDS {
                    let (n, revision) = count(&store);
                    // Under another name each time.
                    let date = format!("2025-01-{:02}", n * 7 % 28 + 1);
                    let next = decision("a", &date, u32::try_from(n + 1).unwrap());
                    let mode = SaveMode::Update {
                        expected: Some(revision),
                    };
                    match wait(store.save(&next, mode)) {
                        Ok(_) => done += 1,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(count(&open(true)).0, 4 * ROUNDS);
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, 2, "the document and the lock");
    assert!(
        !Path::new(dir.path())
            .join("decisions.journal.jsonl")
            .exists()
    );
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
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
