//! Files that cannot be read as decisions.

use super::*;

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
