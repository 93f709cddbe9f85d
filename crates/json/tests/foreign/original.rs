//! What the original wrote.

use super::*;

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
