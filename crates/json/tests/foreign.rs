//! Other programs in the same directory: what the original wrote, and what is changed behind our back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

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
async fn a_directory_of_the_original_opens_as_it_is_and_reading_changes_nothing() {
    let dir = original();
    let before = contents(dir.path());
    let times = fs::metadata(dir.path()).unwrap().modified().unwrap();
    let store = open(dir.path());
    assert_eq!(store.count(&DecisionFilter::new()).await.unwrap(), 3);
    let ids: Vec<_> = all(&store)
        .await
        .iter()
        .map(|stored| stored.decision.id().to_string())
        .collect();
    assert_eq!(
        ids,
        [
            "local-date",
            "6f1d7f0e-5a52-4a0e-9a55-1f6f0f6f8a11",
            "test-learn"
        ]
    );
    let newest = store.require(&id("test-learn")).await.unwrap();
    assert_eq!(
        (
            newest.decision.raw("entry_price"),
            newest.decision.raw("confidence")
        ),
        (Some("1.10"), Some("55"))
    );
    assert_eq!(
        kinds(&store).await,
        [
            ProblemKind::MissingId,
            ProblemKind::DuplicateId,
            ProblemKind::DuplicateId
        ]
    );
    assert_eq!(store.get(&id("no-id")).await.unwrap(), None);
    let strict = store
        .query(&DecisionQuery::new().strict())
        .await
        .unwrap_err();
    assert_eq!(strict.kind(), ErrorKind::Corrupt);
    assert!(
        strict.to_string().contains("2025-12-28_no-id.json"),
        "{strict}"
    );
    assert_eq!(store.recent(2, None).await.unwrap().len(), 2);
    assert!(store.checkpoint().await.is_ok());
    drop(store);
    assert_eq!(contents(dir.path()), before);
    assert_eq!(fs::metadata(dir.path()).unwrap().modified().unwrap(), times);
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_cannot_be_written_can_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = original();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let store = open(dir.path());
    assert_eq!(all(&store).await.len(), 3);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn saving_and_deleting_leave_one_file_or_none_and_keep_what_was_there() {
    let dir = original();
    let store = open(dir.path());
    let newest = store.require(&id("test-learn")).await.unwrap();
    let mut change = newest.decision.clone();
    change.set("executed", &true).unwrap();
    let receipt = store.update_from(&change, &newest.revision).await.unwrap();
    assert_eq!(receipt.outcome, SaveOutcome::Updated);
    let files: Vec<_> = contents(dir.path())
        .into_keys()
        .filter(|name| name.contains("test-learn"))
        .collect();
    assert_eq!(files, ["2025-11-29_test-learn.json"]);
    // All three states that were replaced are in the journal, byte for byte.
    let journal = fs::read_to_string(dir.path().join("decisions.journal.jsonl")).unwrap();
    let found: Vec<_> = journal
        .lines()
        .filter(|line| line.contains("\"op\":\"found\""))
        .collect();
    let of_it = found
        .iter()
        .filter(|line| line.contains("\"id\":\"test-learn\""));
    assert_eq!(of_it.count(), 3);
    for name in [
        "2025-01-01_test-learn.json",
        "2025-11-27_test-learn.json",
        "2025-11-29_test-learn.json",
    ] {
        let original = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/original")
            .join(name);
        let text = serde_json::to_string(&fs::read_to_string(original).unwrap()).unwrap();
        assert!(
            found
                .iter()
                .any(|line| line.contains(name) && line.contains(&text)),
            "{name}"
        );
    }
    assert_eq!(kinds(&store).await, [ProblemKind::MissingId]);
    assert!(store.delete(&id("test-learn")).await.unwrap());
    assert_eq!(store.wipe().await.unwrap(), 2);
    let left: Vec<_> = contents(dir.path())
        .into_keys()
        .filter(|name| !name.starts_with('.'))
        .collect();
    assert_eq!(
        left,
        [
            "2025-12-28_no-id.json",
            "decisions.journal.jsonl",
            "notes.txt"
        ]
    );
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
async fn what_cannot_be_read_is_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| fs::write(dir.path().join(name), text).unwrap();
    write("2025-01-01_bom.json", b"\xEF\xBB\xBF{\"id\":\"bom\"}");
    write("2025-01-01_utf8.json", b"{\"id\":\"\xff\"}");
    write(
        "2025-01-01_twice.json",
        b"{\"id\":\"twice\",\"id\":\"twice\"}",
    );
    write(
        "2025-01-01_deep.json",
        format!(
            "{{\"id\":\"deep\",\"a\":{}{}}}",
            "[".repeat(500),
            "]".repeat(500)
        )
        .as_bytes(),
    );
    write(
        "2025-01-01_large.json",
        format!("{{\"id\":\"large\",\"a\":\"{}\"}}", "x".repeat(5000)).as_bytes(),
    );
    write("2025-01-01_nan.json", b"{\"id\":\"nan\",\"a\":NaN}");
    write(
        "2025-01-01_when.json",
        b"{\"id\":\"when\",\"timestamp\":\"soon\"}",
    );
    write(
        "2025-01-01_good.json",
        b"{\"id\":\"good\",\"timestamp\":\"2025-01-01\"}",
    );
    fs::create_dir(dir.path().join("2025-01-01_dir.json")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(
        "2025-01-01_good.json",
        dir.path().join("2025-01-01_link.json"),
    )
    .unwrap();
    let config = JsonDecisionConfig::default().max_document_bytes(4000);
    let store = JsonDecisionRepository::open(dir.path(), config).unwrap();
    let page = store.query(&DecisionQuery::new()).await.unwrap();
    assert_eq!(page.decisions.len(), 1);
    assert_eq!(page.report.total(), 7);
    let page = store.query(&DecisionQuery::new().limit(5)).await.unwrap();
    assert_eq!((page.decisions.len(), page.report.total()), (1, 7));
    let report = store.problems().await.unwrap();
    let kind = |part: &str| {
        report
            .problems()
            .iter()
            .find(|problem| problem.resource.contains(part))
            .map(|problem| problem.kind)
    };
    assert_eq!(kind("large"), Some(ProblemKind::TooLarge));
    assert_eq!(kind("when"), Some(ProblemKind::BadTimestamp));
    assert_eq!(kind("deep"), Some(ProblemKind::Malformed));
    assert_eq!(kind("dir"), Some(ProblemKind::NotAFile));
    #[cfg(unix)]
    assert_eq!(kind("link"), Some(ProblemKind::NotAFile));
    // A document of ours that would be too large is refused.
    let large = decision(&format!(r#"{{"id":"x","a":"{}"}}"#, "x".repeat(5000)));
    assert_eq!(
        store.create(&large).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    // An id whose name is taken by a file that cannot be read gets another name; that file stays.
    let before = fs::read(dir.path().join("2025-01-01_nan.json")).unwrap();
    store
        .create(&decision(r#"{"id":"nan","timestamp":"2025-01-01"}"#))
        .await
        .unwrap();
    assert!(store.get(&id("nan")).await.unwrap().is_some());
    assert_eq!(store.wipe().await.unwrap(), 2);
    assert_eq!(
        fs::read(dir.path().join("2025-01-01_nan.json")).unwrap(),
        before
    );
}

#[tokio::test]
async fn a_damaged_file_is_served_from_the_journal_until_it_is_saved_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let receipt = store
        .create(&decision(r#"{"id":"a","timestamp":"2025-01-01","n":1}"#))
        .await
        .unwrap();
    let path = dir.path().join("2025-01-01_a.json");
    for damage in [&b""[..], b"{\"id\": \"a\"", b"\0\0\0\0"] {
        fs::write(&path, damage).unwrap();
        let stored = store.require(&id("a")).await.unwrap();
        assert_eq!(
            (stored.decision.raw("n"), &stored.revision),
            (Some("1"), &receipt.revision)
        );
        assert_eq!(kinds(&store).await, [ProblemKind::Malformed]);
        assert_eq!(all(&store).await.len(), 1);
    }
    store.upsert(&stored_again(&store).await).await.unwrap();
    assert_eq!(kinds(&store).await, []);
    // An object without an id is no damage: somebody wrote it so.
    fs::write(&path, b"{\"n\": 1}").unwrap();
    assert_eq!(store.get(&id("a")).await.unwrap(), None);
    assert_eq!(kinds(&store).await, [ProblemKind::MissingId]);
}

async fn stored_again(store: &JsonDecisionRepository) -> Decision {
    store.require(&id("a")).await.unwrap().decision
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
