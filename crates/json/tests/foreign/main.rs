//! Other programs in the same directory: what the original wrote, and what is changed behind our back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod damaged;
mod original;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use minutebook_core::{
    Decision, DecisionFilter, DecisionId, DecisionQuery, DecisionRepository, DecisionRepositoryExt,
    ErrorKind, ProblemKind, SaveMode, SaveOutcome, StoredDecision,
};
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};

fn open(dir: &Path) -> JsonDecisionRepository {
    JsonDecisionRepository::open(dir, JsonDecisionConfig::default()).unwrap()
}

fn id(text: &str) -> DecisionId {
    DecisionId::new(text).unwrap()
}

fn decision(json: &str) -> Decision {
    Decision::from_json(json).unwrap()
}

/// A copy of a directory as the original writes it: duplicates of an id, a file without one, a date that is not UTC's.
fn original() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/original");
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    dir
}

fn contents(dir: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let one = |entry: fs::DirEntry| {
        let modified = entry.metadata().unwrap().modified().unwrap();
        (
            entry.file_name().into_string().unwrap(),
            (fs::read(entry.path()).unwrap(), modified),
        )
    };
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| one(entry.unwrap()))
        .collect()
}

async fn all(store: &JsonDecisionRepository) -> Vec<StoredDecision> {
    store.query(&DecisionQuery::new()).await.unwrap().decisions
}

async fn kinds(store: &JsonDecisionRepository) -> Vec<ProblemKind> {
    let mut kinds: Vec<_> = store
        .problems()
        .await
        .unwrap()
        .problems()
        .iter()
        .map(|problem| problem.kind)
        .collect();
    kinds.sort();
    kinds
}

#[tokio::test]
async fn an_unchanged_save_writes_nothing() {
    let dir = original();
    let store = open(dir.path());
    let before = contents(dir.path());
    let local = store.require(&id("local-date")).await.unwrap();
    let receipt = store.upsert(&local.decision).await.unwrap();
    assert_eq!(
        (receipt.outcome, &receipt.revision),
        (SaveOutcome::Unchanged, &local.revision)
    );
    let mut after = contents(dir.path());
    // The lock is a file, too.
    after.retain(|name, _| !name.starts_with('.'));
    assert_eq!(after, before);
    // A change puts it under its date in UTC.
    let mut changed = local.decision.clone();
    changed.set("note", &"x").unwrap();
    store.upsert(&changed).await.unwrap();
    assert!(dir.path().join("2025-12-04_local-date.json").exists());
    assert!(!dir.path().join("2025-12-03_local-date.json").exists());
}

#[tokio::test]
async fn edits_of_equal_size_and_time_are_seen_and_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = store
        .create(&decision(r#"{"id":"a","timestamp":"2025-01-01","n":1}"#))
        .await
        .unwrap();
    let path = dir.path().join("2025-01-01_a.json");
    for n in 2..20 {
        let before = store.require(&id("a")).await.unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let (old, new) = (format!("\"n\": {}", n - 1), format!("\"n\": {n}"));
        assert!(text.contains(&old), "{text}");
        let text = text.replace(&old, &new);
        fs::write(&path, text).unwrap();
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(modified)
            .unwrap();
        let stored = store.require(&id("a")).await.unwrap();
        assert_eq!(stored.decision.raw("n"), Some(n.to_string().as_str()));
        assert_ne!(stored.revision, before.revision);
        assert_eq!(
            stored.recorded_at, first.recorded_at,
            "who edited it and when is not known"
        );
        assert_eq!(all(&store).await, [stored]);
    }
    let error = store
        .update_from(&decision(r#"{"id":"a","n":0}"#), &first.revision)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let stored = store.require(&id("a")).await.unwrap();
    store
        .update_from(&decision(r#"{"id":"a","n":0}"#), &stored.revision)
        .await
        .unwrap();
}

#[tokio::test]
async fn files_that_come_and_go_are_seen_by_the_next_call() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for round in 0..50 {
        let name = format!("2025-01-01_f{round}.json");
        let path = dir.path().join(&name);
        let wanted = id(&format!("f{round}"));
        store
            .create(&decision(&format!(
                r#"{{"id":"own{round}","timestamp":"2025-01-02"}}"#
            )))
            .await
            .unwrap();
        assert_eq!(store.get(&wanted).await.unwrap(), None);
        fs::write(
            &path,
            format!(r#"{{"id":"f{round}","timestamp":"2025-01-01T00:00:00"}}"#),
        )
        .unwrap();
        if round % 2 == 0 {
            assert!(store.get(&wanted).await.unwrap().is_some(), "{round}");
        }
        assert_eq!(
            store.count(&DecisionFilter::new()).await.unwrap(),
            round + 2
        );
        let error = store
            .create(&decision(&format!(
                r#"{{"id":"f{round}","timestamp":"2025-01-01"}}"#
            )))
            .await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::remove_file(&path).unwrap();
        if round % 3 == 0 {
            assert_eq!(
                store.count(&DecisionFilter::new()).await.unwrap(),
                round + 1
            );
        }
        assert_eq!(store.get(&wanted).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_another_program_deletes_stays_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store
        .create(&decision(r#"{"id":"a","timestamp":"2025-01-01"}"#))
        .await
        .unwrap();
    fs::remove_file(dir.path().join("2025-01-01_a.json")).unwrap();
    assert_eq!(store.get(&id("a")).await.unwrap(), None);
    assert_eq!(all(&store).await, []);
    drop(store);
    // On a platform that does not tell one run of the machine from another a deletion may be taken for a crash's work.
    if Path::new("/proc/sys/kernel/random/boot_id").exists() {
        let store = open(dir.path());
        assert_eq!(store.get(&id("a")).await.unwrap(), None);
        assert!(!store.delete(&id("a")).await.unwrap());
        store
            .create(&decision(r#"{"id":"a","timestamp":"2025-01-01"}"#))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_id_inside_counts_whatever_the_file_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write(
        "2025-01-01_one.json",
        r#"{"id":"two","timestamp":"2025-01-01"}"#,
    );
    write(
        "anything.json",
        r#"{"id":"three","timestamp":"2025-01-02"}"#,
    );
    write(
        "2025-01-03_a b.json",
        r#"{"id":"a b","timestamp":"2025-01-03"}"#,
    );
    let store = open(dir.path());
    assert_eq!(store.get(&id("one")).await.unwrap(), None);
    for name in ["two", "three", "a b"] {
        assert!(store.get(&id(name)).await.unwrap().is_some(), "{name}");
    }
    assert_eq!(kinds(&store).await, [ProblemKind::NameMismatch]);
    // The name that "one" would have is taken by another decision, as on a disk that does not tell `One` from `one`.
    store
        .create(&decision(r#"{"id":"one","timestamp":"2025-01-01"}"#))
        .await
        .unwrap();
    assert_eq!(all(&store).await.len(), 4);
    assert_eq!(
        contents(dir.path())
            .keys()
            .filter(|name| name.starts_with("2025-01-01_one~"))
            .count(),
        1
    );
    assert!(store.delete(&id("two")).await.unwrap());
    assert!(store.get(&id("one")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_replaced_by_another_program_takes_its_new_place_in_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let batch = (1..=5).map(|n| {
        decision(&format!(
            r#"{{"id":"d{n}","timestamp":"2025-01-01T0{n}:00:00Z"}}"#
        ))
    });
    assert!(
        store
            .save_all(batch.collect(), SaveMode::Create)
            .await
            .iter()
            .all(Result::is_ok)
    );
    let other = dir.path().join("2025-01-01_f.json");
    fs::write(&other, r#"{"id":"f","timestamp":"2025-01-01T00:00:00Z"}"#).unwrap();
    let newest = async || {
        store
            .latest(None)
            .await
            .unwrap()
            .unwrap()
            .decision
            .id()
            .to_string()
    };
    assert_eq!(newest().await, "d5");
    let temporary = dir.path().join("tmp");
    fs::write(
        &temporary,
        r#"{"id":"f","timestamp":"2025-01-01T09:00:00Z"}"#,
    )
    .unwrap();
    fs::rename(&temporary, &other).unwrap();
    assert_eq!(newest().await, "f");
    std::thread::sleep(Duration::from_millis(1));
    fs::remove_file(&other).unwrap();
    assert_eq!(newest().await, "d5");
    assert_eq!(
        store
            .get(&id("d4"))
            .await
            .unwrap()
            .unwrap()
            .decision
            .id()
            .as_str(),
        "d4"
    );
    let revision = store.require(&id("d1")).await.unwrap().revision;
    let expected = Some(revision);
    store
        .save(
            &decision(r#"{"id":"d1","timestamp":"2025-01-01T08:00:00Z"}"#),
            SaveMode::Update { expected },
        )
        .await
        .unwrap();
    assert_eq!(newest().await, "d1");
}
