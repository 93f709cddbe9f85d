//! Saving, reading, listing and deleting documents.

use std::sync::Arc;

use minutebook_core::time::parse_timestamp;
use minutebook_core::{
    Capability, DocumentFilter, DocumentName, DocumentRepository, DocumentRepositoryExt, ErrorKind,
    TimeRange,
};

use crate::case::Outcome;
use crate::check::{ensure, ensure_eq, joined, refused};
use crate::harness::Fixture;

pub(super) type Store = Fixture<dyn DocumentRepository>;
type Repo = Arc<dyn DocumentRepository>;

/// Names that a careless store mixes up.
const NAMES: [&str; 12] = [
    "a", "A", "a/b", "a/b/c", "a.json", "a b", "é", "e\u{301}", "a%2Fb", "con", "a*", "~",
];

fn name(text: &str) -> Outcome<DocumentName> {
    Ok(DocumentName::new(text)?)
}

async fn text(repo: &Repo, of: &str) -> Outcome<Option<String>> {
    Ok(repo.get(&name(of)?).await?.map(|found| found.text))
}

async fn listed(repo: &Repo, filter: &DocumentFilter) -> Outcome<Vec<String>> {
    let found = repo.list(filter).await?;
    Ok(found
        .into_iter()
        .map(|info| info.name.to_string())
        .collect())
}

pub(super) async fn a_saved_document_is_seen(store: Store) -> Outcome {
    let repo = store.open().await?;
    ensure_eq!(
        listed(&repo, &DocumentFilter::new()).await?,
        Vec::<String>::new(),
        "a new store is empty"
    );
    for given in [
        "{}",
        "null",
        " [1.10, 1e5, 12345678901234567890123]\n",
        "{\"b\": \"\\u00e9 é\", \"a\": {\"z\": 1}}",
    ] {
        repo.save(&name("runs/x")?, given).await?;
        let found = repo.get(&name("runs/x")?).await?;
        ensure_eq!(
            found.as_ref().map(|found| &*found.text),
            Some(given),
            "the text as it was given"
        );
        let list = repo.list(&DocumentFilter::new()).await?;
        ensure_eq!(
            list.first(),
            found.as_ref().map(|found| &found.info),
            "the list says what get says"
        );
        ensure_eq!(
            list.first().map(|info| info.bytes),
            Some(given.len() as u64),
            "the bytes"
        );
    }
    let value = serde_json::json!({"window": 20, "assets": ["BTCUSD"]});
    repo.save_value(&name("params")?, &value).await?;
    ensure_eq!(
        repo.load::<serde_json::Value>(&name("params")?).await?,
        Some(value),
        "a value comes back"
    );
    Ok(())
}

pub(super) async fn documents_of_any_name_do_not_mix(store: Store) -> Outcome {
    let repo = store.open().await?;
    for (n, of) in NAMES.iter().enumerate() {
        repo.save(&name(of)?, &n.to_string()).await?;
    }
    for (n, of) in NAMES.iter().enumerate() {
        ensure_eq!(
            text(&repo, of).await?,
            Some(n.to_string()),
            "the document {of:?}"
        );
    }
    let mut names = listed(&repo, &DocumentFilter::new()).await?;
    names.sort();
    let mut expected = NAMES.map(String::from);
    expected.sort();
    ensure_eq!(names, expected, "the names that are listed");
    Ok(())
}

pub(super) async fn saving_again_replaces_the_document_alone(store: Store) -> Outcome {
    let repo = store.open().await?;
    for of in ["a", "a/b", "ab"] {
        repo.save(
            &name(of)?,
            "\"a rather long text, of which nothing is left\"",
        )
        .await?;
    }
    repo.save(&name("a")?, "1").await?;
    ensure_eq!(
        text(&repo, "a").await?.as_deref(),
        Some("1"),
        "the new text"
    );
    for of in ["a/b", "ab"] {
        ensure!(
            text(&repo, of).await?.is_some_and(|text| text.len() > 9),
            "{of:?} stays"
        );
    }
    ensure_eq!(
        listed(&repo, &DocumentFilter::new()).await?.len(),
        3,
        "how many there are"
    );
    Ok(())
}

pub(super) async fn what_is_no_json_is_refused(store: Store) -> Outcome {
    let repo = store.open().await?;
    repo.save(&name("a")?, "1").await?;
    for given in ["", "{", "1 2", "NaN", "{\"a\": 1, \"a\": 2}"] {
        for of in ["a", "b/c"] {
            refused(
                repo.save(&name(of)?, given).await,
                ErrorKind::InvalidInput,
                &format!("saving {given:?}"),
            )?;
        }
    }
    refused(
        repo.save_value(&name("a")?, &f64::NAN).await,
        ErrorKind::InvalidInput,
        "saving a number without JSON text",
    )?;
    ensure_eq!(
        text(&repo, "a").await?.as_deref(),
        Some("1"),
        "the old text"
    );
    ensure_eq!(
        listed(&repo, &DocumentFilter::new()).await?,
        ["a"],
        "what is there after refused saves"
    );
    Ok(())
}

pub(super) async fn concurrent_readers_get_whole_documents(store: Store) -> Outcome {
    let repo = store.open().await?;
    let of = name("runs/log")?;
    repo.save(&of, "0").await?;
    let long = |n: usize| format!("[{}]", vec![n.to_string(); 5_000].join(","));
    let mut tasks = Vec::new();
    for writer in 0..2 {
        let (repo, of) = (Arc::clone(&repo), of.clone());
        tasks.push(tokio::spawn(async move {
            for n in 0..20 {
                repo.save(&of, &long(n * 2 + writer)).await?;
            }
            Outcome::Ok(())
        }));
    }
    for _ in 0..2 {
        let (repo, of) = (Arc::clone(&repo), of.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..40 {
                let found = repo.get(&of).await?;
                let text = found.map(|found| found.text).unwrap_or_default();
                let whole = text == "0" || (0..40).any(|n| text == long(n));
                ensure!(whole, "a reader got a text of {} bytes", text.len());
            }
            Ok(())
        }));
    }
    for result in joined(tasks).await? {
        result?;
    }
    Ok(())
}

pub(super) async fn a_missing_document_is_none(store: Store) -> Outcome {
    let repo = store.open().await?;
    ensure_eq!(text(&repo, "a").await?, None, "get in an empty store");
    repo.save(&name("runs/a")?, "1").await?;
    for of in [
        "a",
        "runs",
        "runs/A",
        "runs/a.json",
        "runs/a/a",
        "run/a",
        "runs/*",
    ] {
        ensure_eq!(text(&repo, of).await?, None, "get of {of:?}");
        ensure!(
            !repo.delete(&name(of)?).await?,
            "deleting {of:?} finds nothing"
        );
    }
    ensure!(text(&repo, "runs/a").await?.is_some(), "the other stays");
    Ok(())
}

async fn sample(repo: &Repo) -> Outcome {
    for of in [
        "runs/2025-01-02/params",
        "runs/2025-01-02/log",
        "runs/2025-01-10/params",
        "run",
        "other/2025-01-05_x",
        "runs/2024-12-31T10:00:00Z",
    ] {
        repo.save(&name(of)?, "1").await?;
    }
    Ok(())
}

pub(super) async fn each_condition_on_documents_filters(store: Store) -> Outcome {
    let repo = store.open().await?;
    sample(&repo).await?;
    let new = DocumentFilter::new;
    let range = |start: &str, end: &str| -> Outcome<TimeRange> {
        Ok(TimeRange::new(
            parse_timestamp(start)?,
            parse_timestamp(end)?,
        )?)
    };
    let expected: Vec<(DocumentFilter, &[&str])> = vec![
        (
            new().prefix("runs/2025-01-02/"),
            &["runs/2025-01-02/log", "runs/2025-01-02/params"],
        ),
        (new().prefix("runs/2025-01-1"), &["runs/2025-01-10/params"]),
        (new().prefix("run/"), &[]),
        (new().prefix("Run"), &[]),
        (
            new().range(range("2025-01-05", "2025-01-10")?),
            &["other/2025-01-05_x"],
        ),
        (
            new()
                .range(range("2024-12-31", "2025-01-03")?)
                .prefix("runs"),
            &[
                "runs/2024-12-31T10:00:00Z",
                "runs/2025-01-02/log",
                "runs/2025-01-02/params",
            ],
        ),
        (
            new().range(range("2024-12-31", "2025-01-03")?).prefix("o"),
            &[],
        ),
    ];
    for (filter, expected) in expected {
        ensure_eq!(
            listed(&repo, &filter).await?,
            expected,
            "what matches {filter:?}"
        );
    }
    Ok(())
}

pub(super) async fn documents_are_listed_by_time_and_name(store: Store) -> Outcome {
    let repo = store.open().await?;
    sample(&repo).await?;
    ensure_eq!(
        listed(&repo, &DocumentFilter::new().prefix("runs/")).await?,
        [
            "runs/2024-12-31T10:00:00Z",
            "runs/2025-01-02/log",
            "runs/2025-01-02/params",
            "runs/2025-01-10/params"
        ],
        "ascending times, then names"
    );
    Ok(())
}

pub(super) async fn a_deleted_document_is_gone(store: Store) -> Outcome {
    let repo = store.open().await?;
    sample(&repo).await?;
    ensure!(repo.delete(&name("run")?).await?, "it is found");
    ensure_eq!(text(&repo, "run").await?, None, "get of what was deleted");
    ensure!(!repo.delete(&name("run")?).await?, "and found once");
    ensure_eq!(
        listed(&repo, &DocumentFilter::new()).await?.len(),
        5,
        "how many are left"
    );
    repo.save(&name("run")?, "2").await?;
    ensure_eq!(
        text(&repo, "run").await?.as_deref(),
        Some("2"),
        "a document saved again"
    );
    Ok(())
}

pub(super) async fn documents_survive_reopening(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !repo.capabilities().has(Capability::Persistent) {
        return Ok(());
    }
    sample(&repo).await?;
    repo.delete(&name("run")?).await?;
    let before = repo.list(&DocumentFilter::new()).await?;
    let repo = store.reopen(repo).await?;
    ensure_eq!(
        repo.list(&DocumentFilter::new()).await?,
        before,
        "what is there after reopening"
    );
    ensure!(
        text(&repo, "runs/2025-01-02/params").await?.is_some(),
        "a document after reopening"
    );
    Ok(())
}

pub(super) async fn another_handle_sees_every_document(store: Store) -> Outcome {
    let first = store.open().await?;
    if !first.capabilities().has(Capability::Shared) {
        return Ok(());
    }
    let second = store.open().await?;
    for n in 0..4 {
        first.save(&name("a")?, &n.to_string()).await?;
        ensure_eq!(
            text(&second, "a").await?,
            Some(n.to_string()),
            "what the other handle wrote"
        );
    }
    second.delete(&name("a")?).await?;
    ensure_eq!(
        text(&first, "a").await?,
        None,
        "what the other handle deleted"
    );
    Ok(())
}
