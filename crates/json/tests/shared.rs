//! Several handles, threads and processes on one directory.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::HashSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use minutebook_core::{
    Catalog, DatasetEntry, DatasetFilter, Decision, DecisionFilter, DecisionId, DecisionQuery,
    DecisionRepository, DecisionRepositoryExt, ErrorKind, SaveMode,
};
use minutebook_fs::Durability;
use minutebook_json::{JsonCatalog, JsonCatalogConfig, JsonDecisionConfig, JsonDecisionRepository};

const ROLE: &str = "MINUTEBOOK_JSON_TEST_DIR";
const NAME: &str = "MINUTEBOOK_JSON_TEST_NAME";

fn open(dir: &Path) -> JsonDecisionRepository {
    let config = JsonDecisionConfig::default()
        .durability(Durability::Buffered)
        .checkpoint_every(50);
    JsonDecisionRepository::open(dir, config).unwrap()
}

fn decision(id: &str, n: u64) -> Decision {
    let day = n % 28 + 1;
    Decision::from_json(&format!(
        r#"{{"id":"{id}","timestamp":"2025-01-{day:02}T00:00:00Z","n":{n}}}"#
    ))
    .unwrap()
}

fn number(decision: &Decision) -> u64 {
    decision.raw("n").unwrap().parse().unwrap()
}

/// Adds one to the counter, whoever else does.
async fn increment(store: &JsonDecisionRepository, id: &DecisionId) {
    loop {
        let stored = store.require(id).await.unwrap();
        let next = decision(id.as_str(), number(&stored.decision) + 1);
        match store.update_from(&next, &stored.revision).await {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_update_is_lost_between_threads_and_handles() {
    let dir = tempfile::tempdir().unwrap();
    let counter = DecisionId::new("counter").unwrap();
    open(dir.path())
        .create(&decision("counter", 0))
        .await
        .unwrap();
    let handles = [open(dir.path()), open(dir.path())];
    let mut tasks = Vec::new();
    for task in 0..6 {
        let (store, counter) = (handles[task % 2].clone(), counter.clone());
        tasks.push(tokio::spawn(async move {
            for i in 0..20 {
                increment(&store, &counter).await;
                let own = format!("t{task}-{i}");
                store.create(&decision(&own, i)).await.unwrap();
                assert!(
                    store
                        .get(&DecisionId::new(own).unwrap())
                        .await
                        .unwrap()
                        .is_some()
                );
            }
        }));
    }
    // A reader beside them sees the counter once and whole in every answer.
    let reader = open(dir.path());
    for _ in 0..30 {
        let page = reader
            .query(&DecisionQuery::new().limit(200))
            .await
            .unwrap();
        assert!(page.report.is_clean(), "{:?}", page.report);
        let ids: Vec<_> = page
            .decisions
            .iter()
            .map(|stored| stored.decision.id().clone())
            .collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        assert!(ids.contains(&counter));
        assert!(reader.get(&counter).await.unwrap().is_some());
    }
    for task in tasks {
        task.await.unwrap();
    }
    for store in &handles {
        assert_eq!(
            number(&store.require(&counter).await.unwrap().decision),
            120
        );
        assert_eq!(store.count(&DecisionFilter::new()).await.unwrap(), 121);
    }
    assert!(reader.problems().await.unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn savers_that_wait_together_are_all_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = JsonDecisionRepository::open(dir.path(), JsonDecisionConfig::default()).unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                // Half of them fight over one id: one creates it.
                let id = if task % 2 == 0 {
                    "same".to_owned()
                } else {
                    format!("d{task}")
                };
                store.create(&decision(&id, task)).await.is_ok()
            })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        created += usize::from(task.await.unwrap());
    }
    assert_eq!(created, 33);
    assert_eq!(store.count(&DecisionFilter::new()).await.unwrap(), 33);
}

/// Not a test by itself: what a child process of the tests below does.
#[tokio::test]
async fn child() {
    let (Ok(dir), Ok(name)) = (std::env::var(ROLE), std::env::var(NAME)) else {
        return;
    };
    let dir = Path::new(&dir);
    let store = open(dir);
    let catalog = JsonCatalog::open(
        dir.join("registry.json"),
        JsonCatalogConfig::default().durability(Durability::Buffered),
    );
    let catalog = catalog.unwrap();
    let counter = DecisionId::new("counter").unwrap();
    // One byte for each round: a kill between emptying and writing a file would take them all back.
    let mut acknowledged = std::fs::File::create(dir.join(format!("{name}.ack"))).unwrap();
    for i in 0..40 {
        increment(&store, &counter).await;
        let own = format!("{name}-{i}");
        store.create(&decision(&own, i)).await.unwrap();
        store.update(&decision(&own, i + 1)).await.unwrap();
        if i % 4 == 0 {
            assert!(store.delete(&DecisionId::new(&own).unwrap()).await.unwrap());
        }
        let entry = DatasetEntry::new(own.parse().unwrap(), "X", "x.parquet");
        catalog.register(&entry, SaveMode::Create).await.unwrap();
        acknowledged.write_all(b".").unwrap();
    }
}

fn spawn(dir: &Path, name: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(ROLE, dir)
        .env(NAME, name)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_killed_lose_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path())
        .create(&decision("counter", 0))
        .await
        .unwrap();
    let names: Vec<_> = (0..4).map(|i| format!("p{i}")).collect();
    let mut children: Vec<_> = names.iter().map(|name| spawn(dir.path(), name)).collect();
    let reader = open(dir.path());
    let counter = DecisionId::new("counter").unwrap();
    let mut last = 0;
    for round in 0..200 {
        let now = number(&reader.require(&counter).await.unwrap().decision);
        assert!(now >= last);
        last = now;
        if round == 20 {
            children[0].kill().unwrap();
            children[1].kill().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for (i, child) in children.iter_mut().enumerate() {
        assert_eq!(
            child.wait().unwrap().success(),
            i > 1 || acknowledged(dir.path(), &names[i]) == 40,
            "child {i}"
        );
    }
    let store = open(dir.path());
    let found: HashSet<_> = store
        .query(&DecisionQuery::new())
        .await
        .unwrap()
        .into_iter()
        .collect::<Vec<_>>()
        .iter()
        .map(|stored| stored.decision.id().to_string())
        .collect();
    let catalog = JsonCatalog::open(
        dir.path().join("registry.json"),
        JsonCatalogConfig::default(),
    )
    .unwrap();
    let entries: HashSet<_> = catalog
        .list(&DatasetFilter::new())
        .await
        .unwrap()
        .into_iter()
        .map(|stored| stored.entry.name.to_string())
        .collect();
    let mut increments = 0;
    for name in &names {
        let done = acknowledged(dir.path(), name);
        increments += done;
        for i in 0..done {
            let own = format!("{name}-{i}");
            assert_eq!(found.contains(&own), i % 4 != 0, "{own}");
            assert!(entries.contains(&own), "{own}");
        }
    }
    let counted = number(&store.require(&counter).await.unwrap().decision);
    // A child that was killed may have counted once without having told so.
    assert!(
        (increments..=increments + 2).contains(&counted),
        "{counted} of {increments}"
    );
    let problems = store.problems().await.unwrap();
    assert!(
        problems
            .problems()
            .iter()
            .all(|problem| problem.resource == "registry.json"),
        "{problems:?}"
    );
}

fn acknowledged(dir: &Path, name: &str) -> u64 {
    std::fs::metadata(dir.join(format!("{name}.ack"))).map_or(0, |file| file.len())
}

#[test]
fn it_works_without_a_runtime() {
    use std::task::{Context, Poll, Waker};
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let decision = decision("a", 1);
    let mut save = std::pin::pin!(store.create(&decision));
    assert!(matches!(
        save.as_mut().poll(&mut Context::from_waker(Waker::noop())),
        Poll::Ready(Ok(_))
    ));
}
