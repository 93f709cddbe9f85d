//! Eight processes save, update and delete on one directory and are killed at random, beside a reader and a watcher: nothing that was
//! acknowledged is lost, nothing torn is seen, and the feed tells of every change once.
//!
//! `MINUTEBOOK_TORTURE_SECONDS` makes it longer than the 4 seconds of everyday runs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use minutebook_core::{
    Decision, DecisionId, DecisionQuery, DecisionRepository, DecisionRepositoryExt, DecisionState,
    ErrorKind, SaveMode, StateContent, WatchFrom,
};
use minutebook_fs::Durability;
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};

const DIR: &str = "MINUTEBOOK_JSON_TORTURE_DIR";
const NAME: &str = "MINUTEBOOK_JSON_TORTURE_NAME";
const PROCESSES: usize = 8;

fn open(dir: &Path) -> JsonDecisionRepository {
    // A kill takes no power away, so what is not synced is as safe as what is; and there are more kills a second.
    let config = JsonDecisionConfig::default()
        .durability(Durability::Buffered)
        .checkpoint_every(200);
    JsonDecisionRepository::open(dir, config).unwrap()
}

fn id(text: &str) -> DecisionId {
    text.parse().unwrap()
}

/// State `n` of a decision: long, and with `n` at both ends, so that a torn one would show. Its date changes now and then.
fn state(id: &str, n: u64) -> Decision {
    let day = n / 5 % 28 + 1;
    let text = format!(
        r#"{{"id":"{id}","n":{n},"timestamp":"2025-01-{day:02}T00:00:00Z","pad":"{}","end":{n}}}"#,
        "x".repeat(700)
    );
    Decision::from_json(&text).unwrap()
}

/// The number of a state, which must be whole.
fn number(decision: &Decision) -> u64 {
    let n = decision.raw("n").unwrap().parse().unwrap();
    assert_eq!(decision, &state(decision.id().as_str(), n), "a torn state");
    n
}

/// One byte for each acknowledged round: a kill between emptying and writing a file would take them all back.
fn acknowledged(dir: &Path, name: &str) -> u64 {
    std::fs::metadata(dir.join(format!("{name}.ack"))).map_or(0, |file| file.len())
}

/// Not a test by itself: what a child process does until it is killed.
///
/// Each round `r` saves `own` in state `r`, creates `{name}-{r}`, and deletes that of three rounds before. Acknowledged is a
/// round when all of it was.
#[tokio::test]
async fn child() {
    let (Ok(dir), Ok(name)) = (std::env::var(DIR), std::env::var(NAME)) else {
        return;
    };
    let dir = Path::new(&dir);
    let store = open(dir);
    let mut options = std::fs::OpenOptions::new();
    let path = dir.join(format!("{name}.ack"));
    let mut log = options.append(true).create(true).open(path).unwrap();
    let mut round = acknowledged(dir, &name);
    loop {
        store.upsert(&state(&name, round)).await.unwrap();
        // The round may have been done in part before a kill.
        let own = format!("{name}-{round}");
        match store.create(&state(&own, round)).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
        }
        if let Some(old) = round.checked_sub(3) {
            store.delete(&id(&format!("{name}-{old}"))).await.unwrap();
        }
        increment(&store).await;
        log.write_all(b".").unwrap();
        round += 1;
    }
}

/// Adds one to the counter that all share.
async fn increment(store: &JsonDecisionRepository) {
    loop {
        let stored = store.require(&id("counter")).await.unwrap();
        let next = state("counter", number(&stored.decision) + 1);
        match store.update_from(&next, &stored.revision).await {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
    }
}

fn spawn(dir: &Path, name: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIR, dir)
        .env(NAME, name)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads again and again; every answer is whole, and what does not go back does not.
async fn read(dir: &Path, stop: &AtomicBool) -> u64 {
    let store = open(dir);
    let mut last: HashMap<String, u64> = HashMap::new();
    let mut answers = 0;
    while !stop.load(Ordering::Relaxed) {
        let counter = number(&store.require(&id("counter")).await.unwrap().decision);
        assert!(counter >= *last.get("counter").unwrap_or(&0));
        last.insert("counter".to_owned(), counter);
        let page = store.query(&DecisionQuery::new()).await.unwrap();
        assert!(page.report.is_clean(), "{:?}", page.report);
        for stored in &page.decisions {
            let n = number(&stored.decision);
            let name = stored.decision.id().to_string();
            if !name.contains('-') {
                let before = last.insert(name.clone(), n).unwrap_or(0);
                assert!(n >= before, "{name} went back from {before} to {n}");
            }
        }
        answers += 1;
    }
    answers
}

/// Follows every change from the start until the last one, in two watches of which the second goes on where the first was given up.
async fn watch(dir: &Path) -> HashMap<String, Option<u64>> {
    let store = open(dir);
    let mut present: HashMap<String, Option<u64>> = HashMap::new();
    let mut changes = store.watch(WatchFrom::Start).await.unwrap();
    let mut counter = None;
    for seen in 1_u64.. {
        let change = changes.next().await.unwrap().unwrap();
        let name = change.state.id.to_string();
        let n = match &change.state.content {
            StateContent::Saved(decision) => Some(number(decision)),
            StateContent::Deleted => None,
            other => panic!("{name}: {other:?}"),
        };
        if name == "counter" {
            // Each increment is a change, so none may be missing and none come twice.
            assert_eq!(n, Some(counter.map_or(0, |n| n + 1)));
            counter = n;
        } else if name == "last" {
            return present;
        }
        present.insert(name, n);
        if seen % 50 == 0 {
            let position = changes.position().to_string();
            drop(changes);
            let from = WatchFrom::After(position.parse().unwrap());
            changes = open(dir).watch(from).await.unwrap();
        }
    }
    present
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_that_are_killed_lose_nothing() {
    let seconds = std::env::var("MINUTEBOOK_TORTURE_SECONDS").ok();
    let seconds = seconds.map_or(4, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).create(&state("counter", 0)).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (path, told) = (dir.path().to_owned(), Arc::clone(&stop));
    let reader = tokio::spawn(async move { read(&path, &told).await });
    let path = dir.path().to_owned();
    let watcher = tokio::spawn(async move { watch(&path).await });

    let names: Vec<_> = (0..PROCESSES).map(|i| format!("p{i}")).collect();
    let mut children: Vec<_> = names.iter().map(|name| spawn(dir.path(), name)).collect();
    let (start, mut kills, mut random) = (Instant::now(), 0_u64, 0x2545_F491_4F6C_DD1D_u64);
    while start.elapsed() < Duration::from_secs(seconds) {
        // xorshift: which one and when is of no importance, only that it differs.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        tokio::time::sleep(Duration::from_millis(random % 40)).await;
        let i = usize::try_from(random >> 32).unwrap() % PROCESSES;
        let ended = children[i].try_wait().unwrap();
        assert!(ended.is_none(), "{} ended by itself: {ended:?}", names[i]);
        // Some are killed while they start, most while they write.
        let done = acknowledged(dir.path(), &names[i]);
        if !done.is_multiple_of(3) || random.is_multiple_of(8) {
            children[i].kill().unwrap();
            children[i].wait().unwrap();
            children[i] = spawn(dir.path(), &names[i]);
            kills += 1;
        }
    }
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let store = open(dir.path());
    store.create(&state("last", 0)).await.unwrap();
    let told = watcher.await.unwrap();
    stop.store(true, Ordering::Relaxed);
    let answers = reader.await.unwrap();

    let mut rounds = 0;
    for name in &names {
        let done = acknowledged(dir.path(), name);
        rounds += done;
        let present = |id: &str| -> Option<u64> {
            let known = told.get(id).copied().flatten();
            known.filter(|_| told.contains_key(id))
        };
        // One round may be done, or half done, without having been acknowledged.
        if done > 0 {
            let n = number(&store.require(&id(name)).await.unwrap().decision);
            assert!(n + 1 == done || n == done, "{name}: {n} of {done}");
            assert_eq!(present(name), Some(n), "{name} in the feed");
        }
        for round in 0..done {
            let own = format!("{name}-{round}");
            let found = store.get(&id(&own)).await.unwrap();
            let found = found.map(|stored| number(&stored.decision));
            let expected = (round + 3 >= done).then_some(round);
            let may_be_gone = round + 3 == done;
            assert!(
                found == expected || (may_be_gone && found.is_none()),
                "{own} of {done}: {found:?}"
            );
            assert_eq!(present(&own), found, "{own} in the feed");
        }
        let history = store.history(&id(name)).await.unwrap();
        let states = history.iter().filter_map(DecisionState::stored);
        let numbers: Vec<_> = states.map(|stored| number(&stored.decision)).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{name}: {numbers:?}");
    }
    let counted = number(&store.require(&id("counter")).await.unwrap().decision);
    // Each kill may come between an increment and its being told.
    assert!(
        (rounds..=rounds + kills + PROCESSES as u64).contains(&counted),
        "{counted} increments, {rounds} told of, {kills} kills"
    );
    let problems = store.problems().await.unwrap();
    assert!(problems.is_clean(), "{problems:?}");
    assert!(
        rounds > 0 && kills > 0 && answers > 0,
        "{rounds} rounds, {kills} kills, {answers} answers"
    );
    // A save after all this is as on the first day.
    let mode = SaveMode::Create;
    store.save(&state("after", 1), mode).await.unwrap();
    assert!(store.contains(&id("after")).await.unwrap());
}
