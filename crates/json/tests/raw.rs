//! Documents that are wider than JSON: what Python writes and our parser refuses.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::path::Path;

use minutebook_core::{
    Decision, DecisionFilter, DecisionId, DecisionQuery, DecisionRepository, DecisionRepositoryExt,
    ErrorKind, ProblemKind, SaveMode, SaveOutcome, StateContent, WatchFrom,
};
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository, raw_fields};

fn open(dir: &Path) -> JsonDecisionRepository {
    JsonDecisionRepository::open(dir, JsonDecisionConfig::default()).unwrap()
}

fn id(text: &str) -> DecisionId {
    text.parse().unwrap()
}

/// Texts that `json.dumps` writes and that are no JSON for us.
fn wide(id: &str) -> Vec<String> {
    let digits = "9".repeat(5_000);
    let deep = format!("{}1{}", "[".repeat(900), "]".repeat(900));
    [
        r#""confidence": NaN, "pnl": [Infinity, -Infinity]"#.to_owned(),
        r#""note": "a lone \ud800 and \udfff", "\udc80": 1"#.to_owned(),
        format!(r#""deep": {deep}"#),
        format!(r#""again": 1, "again": 2, "int": {digits}"#),
    ]
    .map(|fields| {
        format!("{{\n    \"id\": \"{id}\",  \"timestamp\": \"2025-12-02T10:00:00\", {fields}}}\n\n")
    })
    .into()
}

#[tokio::test]
async fn wide_text_comes_back_letter_for_letter() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (i, text) in wide("d").into_iter().enumerate() {
        let known = raw_fields(&text).unwrap();
        let saved = store
            .save_raw(&known, text.as_str(), SaveMode::Upsert)
            .await
            .unwrap();
        let expected = if i == 0 {
            SaveOutcome::Created
        } else {
            SaveOutcome::Updated
        };
        assert_eq!(saved.outcome, expected);
        let again = store
            .save_raw(&known, text.as_str(), SaveMode::Upsert)
            .await
            .unwrap();
        assert_eq!(
            (again.outcome, &again.revision),
            (SaveOutcome::Unchanged, &saved.revision)
        );
        for store in [&store, &open(dir.path())] {
            let raw = store.get_raw(&id("d")).await.unwrap().unwrap();
            assert_eq!(String::from_utf8(raw.bytes).unwrap(), text);
            assert_eq!(raw.file, "2025-12-02_d.json");
            assert_eq!(raw.revision, Some(saved.revision.clone()));
            assert_eq!(raw.recorded_at, Some(saved.recorded_at));
            // Some of it reads as JSON that is a decision; then it is one like any other.
            let readable = Decision::from_json(&text).ok();
            match store.get(&id("d")).await {
                Ok(found) => assert_eq!(found.map(|stored| stored.decision), readable),
                Err(error) => {
                    assert_eq!((error.kind(), readable), (ErrorKind::Unsupported, None));
                    let page = store.query(&DecisionQuery::new()).await.unwrap();
                    assert!(page.decisions.is_empty());
                    let problems: Vec<_> =
                        page.report.problems().iter().map(|one| one.kind).collect();
                    assert_eq!(problems, [ProblemKind::RawOnly]);
                    let listed = store.raw_documents().await.unwrap();
                    assert_eq!(listed.len(), 1);
                    assert_eq!(
                        (listed[0].0.to_json(), listed[0].1.bytes.as_slice()),
                        (known.to_json(), text.as_bytes())
                    );
                }
            }
        }
    }
    let files = std::fs::read_dir(dir.path()).unwrap();
    let documents = files.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        Path::new(&name)
            .extension()
            .is_some_and(|extension| extension == "json")
    });
    assert_eq!(documents.count(), 1);
    store.checkpoint().await.unwrap();
    assert!(open(dir.path()).delete(&id("d")).await.unwrap());
    assert_eq!(store.get_raw(&id("d")).await.unwrap(), None);
    assert_eq!(store.get(&id("d")).await.unwrap(), None);
    assert!(store.problems().await.unwrap().is_clean());
    assert!(!store.delete(&id("d")).await.unwrap());
}

#[tokio::test]
async fn text_that_reads_as_a_decision_is_one_and_keeps_its_letters() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let text =
        "{\"id\":\"d\",\t\"timestamp\": \"2025-12-02\",\r\n \"n\": 1.10, \"s\": \"caf\\u00e9\"}\n";
    let known = Decision::new(id("d"));
    store
        .save_raw(&known, text, SaveMode::Create)
        .await
        .unwrap();
    let stored = store.require(&id("d")).await.unwrap();
    assert_eq!(stored.decision.raw("n"), Some("1.10"));
    let path = dir.path().join("2025-12-02_d.json");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(store.count(&DecisionFilter::new()).await.unwrap(), 1);
    // Another layout of the same document is another text.
    let laid_out = stored.decision.to_json_pretty();
    let saved = store
        .save_raw(&known, laid_out.as_str(), SaveMode::Upsert)
        .await
        .unwrap();
    assert_eq!(saved.outcome, SaveOutcome::Updated);
    // For a plain save it is the same document, whatever its layout.
    store
        .save_raw(&known, text, SaveMode::Upsert)
        .await
        .unwrap();
    let same = store.upsert(&stored.decision).await.unwrap();
    assert_eq!(same.outcome, SaveOutcome::Unchanged);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn revisions_and_modes_are_those_of_every_save() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let [first, second, ..] = &wide("d")[..] else {
        panic!()
    };
    let known = raw_fields(first).unwrap();
    let update = |expected| SaveMode::Update { expected };
    let kind = |result: minutebook_core::Result<_>| {
        result
            .map(|_: minutebook_core::SaveReceipt| ())
            .unwrap_err()
            .kind()
    };
    assert_eq!(
        kind(store.save_raw(&known, first.as_str(), update(None)).await),
        ErrorKind::NotFound
    );
    let one = store
        .save_raw(&known, first.as_str(), SaveMode::Create)
        .await
        .unwrap();
    assert_eq!(
        kind(
            store
                .save_raw(&known, second.as_str(), SaveMode::Create)
                .await
        ),
        ErrorKind::AlreadyExists
    );
    assert_eq!(kind(store.create(&known).await), ErrorKind::AlreadyExists);
    // From raw text to a plain document and back, each over what was seen.
    let two = store
        .save(&known, update(Some(one.revision.clone())))
        .await
        .unwrap();
    assert_eq!(
        store.require(&id("d")).await.unwrap().revision,
        two.revision
    );
    assert_eq!(
        kind(
            store
                .save_raw(&known, second.as_str(), update(Some(one.revision.clone())))
                .await
        ),
        ErrorKind::Conflict
    );
    let three = store
        .save_raw(&known, second.as_str(), update(Some(two.revision.clone())))
        .await
        .unwrap();
    let moved = known
        .clone()
        .with_timestamp("2024-01-01T00:00:00Z".parse().unwrap());
    let four = store
        .save_raw(
            &moved,
            second.replace("2025-12", "2024-01"),
            update(Some(three.revision.clone())),
        )
        .await
        .unwrap();
    assert_eq!(
        store.get_raw(&id("d")).await.unwrap().unwrap().file,
        "2024-01-01_d.json"
    );
    assert!(!dir.path().join("2025-12-02_d.json").exists());
    let seen = vec![(id("d"), three.revision.clone())];
    assert_eq!(
        store
            .delete_seen(seen)
            .await
            .pop()
            .unwrap()
            .unwrap_err()
            .kind(),
        ErrorKind::Conflict
    );
    let seen = vec![(id("d"), four.revision.clone())];
    assert!(store.delete_seen(seen).await.pop().unwrap().unwrap());

    let revisions = [one, two, three, four].map(|receipt| Some(receipt.revision));
    let history = store.history(&id("d")).await.unwrap();
    let kept: Vec<_> = history.iter().map(|state| state.revision.clone()).collect();
    assert_eq!(kept[..4], revisions);
    assert!(
        matches!(history[0].content, StateContent::Raw(_)),
        "{history:?}"
    );
    assert!(matches!(history[1].content, StateContent::Saved(_)) && history[4].is_deletion());
    let mut changes = store.watch(WatchFrom::Start).await.unwrap();
    for state in &history {
        assert_eq!(&changes.next().await.unwrap().unwrap().state, state);
    }
}

#[tokio::test]
async fn text_that_is_nothing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = JsonDecisionConfig::default().max_document_bytes(1_000);
    let store = JsonDecisionRepository::open(dir.path(), config).unwrap();
    let known = Decision::new(id("d"));
    for text in [
        "",
        "NaN",
        "[1]",
        "{\"id\": \"d\", \"a\": nan}",
        "{\"id\": \"d\", \"a\": NaN",
        "{\"id\": \"e\"}",
        &format!("{{\"id\": \"d\", \"a\": [NaN, \"{}\"]}}", "x".repeat(1_000)),
    ] {
        let error = store
            .save_raw(&known, text, SaveMode::Upsert)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.resource()),
            (ErrorKind::InvalidInput, Some("d")),
            "{text}: {error}"
        );
    }
    assert_eq!(
        std::fs::read_dir(dir.path())
            .unwrap()
            .filter(|entry| entry
                .as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|it| it == "json"))
            .count(),
        0
    );
    for name in [
        "../x.json",
        "a/b.json",
        "decisions.journal.jsonl",
        ".x.json",
        "x",
    ] {
        let error = store.get_raw_file(name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
    }
    assert_eq!(store.get_raw_file("x.json").await.unwrap(), None);
}

#[tokio::test]
async fn what_other_programs_wrote_is_reachable_as_bytes_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let texts = [
        (
            "2025-01-01_nan.json",
            &b"{\"id\": \"nan\", \"confidence\": NaN}"[..],
        ),
        ("2025-01-01_torn.json", b"{\"id\": \"torn\", \"a"),
        (
            "2025-01-01_latin.json",
            b"{\"id\": \"latin\", \"s\": \"\xe9\"}",
        ),
        ("2025-01-01_bom.json", b"\xEF\xBB\xBF{\"id\": \"bom\"}"),
        (
            "2025-01-01_twice.json",
            b"{\"id\": \"twice\", \"id\": \"other\"}",
        ),
    ];
    for (name, bytes) in texts {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    std::fs::write(
        dir.path().join("2025-01-01_fine.json"),
        "{ \"id\":\"fine\" }",
    )
    .unwrap();
    let store = open(dir.path());
    for (name, bytes) in texts {
        let of = name[11..].trim_end_matches(".json");
        let raw = store.get_raw(&id(of)).await.unwrap().unwrap();
        assert_eq!(
            (raw.file.as_str(), raw.bytes.as_slice(), raw.revision),
            (name, bytes, None)
        );
        assert_eq!(store.get_raw_file(name).await.unwrap().unwrap(), bytes);
        let problems = store.problems().await.unwrap();
        assert!(
            problems
                .problems()
                .iter()
                .any(|problem| problem.resource == name),
            "{name}"
        );
        assert!(!store.delete(&id(of)).await.unwrap());
    }
    assert_eq!(
        store.get_raw(&id("fine")).await.unwrap().unwrap().bytes,
        b"{ \"id\":\"fine\" }"
    );
    assert_eq!(store.wipe().await.unwrap(), 1);
    for (name, bytes) in texts {
        assert_eq!(
            std::fs::read(dir.path().join(name)).unwrap(),
            bytes,
            "{name}"
        );
    }
}

/// Another program rewrites a raw document of ours, and a plain one becomes wide.
#[tokio::test]
async fn an_edit_by_others_is_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let text = &wide("d")[0];
    let known = raw_fields(text).unwrap();
    let first = store
        .save_raw(&known, text.as_str(), SaveMode::Create)
        .await
        .unwrap();
    let path = dir.path().join("2025-12-02_d.json");
    let theirs = text.replace("NaN", "-Infinity");
    std::fs::write(&path, &theirs).unwrap();
    let raw = store.get_raw(&id("d")).await.unwrap().unwrap();
    assert_eq!(raw.bytes, theirs.as_bytes());
    assert_ne!(raw.revision, Some(first.revision.clone()));
    let stale = SaveMode::Update {
        expected: Some(first.revision),
    };
    let error = store
        .save_raw(&known, text.as_str(), stale)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let fresh = SaveMode::Update {
        expected: raw.revision.clone(),
    };
    store.save_raw(&known, text.as_str(), fresh).await.unwrap();
    let history = open(dir.path()).history(&id("d")).await.unwrap();
    assert_eq!(history.len(), 3, "{history:?}");
    assert_eq!(history[1].revision, raw.revision);

    store
        .upsert(&Decision::from_json(r#"{"id":"p","timestamp":"2025-01-01"}"#).unwrap())
        .await
        .unwrap();
    let theirs = "{\"id\": \"p\", \"timestamp\": \"2025-01-01\", \"n\": NaN}";
    std::fs::write(dir.path().join("2025-01-01_p.json"), theirs).unwrap();
    assert_eq!(
        open(dir.path())
            .get_raw(&id("p"))
            .await
            .unwrap()
            .unwrap()
            .bytes,
        theirs.as_bytes()
    );
    std::fs::remove_file(&path).unwrap();
    assert_eq!(store.get_raw(&id("d")).await.unwrap(), None);
}
