//! What a new process has to read before it answers: nothing that did not change since somebody wrote a checkpoint.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minutebook_core::{
    Action, Clock, Decision, DecisionFilter, DecisionId, DecisionQuery, DecisionRepository,
    DecisionRepositoryExt, Order, SaveMode, StoredDecision, SystemClock,
};
use minutebook_fs::{Durability, OpKind, SimFs};
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};

const HEAD: &str = "/d/.decisions.checkpoint.jsonl";

fn decision(n: u32) -> Decision {
    Decision::from_json(&format!(
        r#"{{"id":"d{n:03}","timestamp":"2025-01-{:02}T00:00:00Z","asset_pair":"PAIR{}","action":"{}","confidence":{}}}"#,
        n % 28 + 1,
        n % 5,
        if n.is_multiple_of(2) { "BUY" } else { "SELL" },
        n % 100,
    ))
    .unwrap()
}

fn config(disk: &SimFs) -> JsonDecisionConfig {
    JsonDecisionConfig::default().fs(Arc::new(disk.clone()))
}

/// How often documents and runs are opened, and the directory listed.
#[derive(Clone, Default)]
struct Counted {
    documents: Arc<AtomicUsize>,
    listings: Arc<AtomicUsize>,
}

impl Counted {
    fn open(disk: &SimFs) -> (Self, JsonDecisionRepository) {
        let counted = Self::default();
        let process = disk.new_process();
        let count = counted.clone();
        process.on_op(move |event| {
            let path = event.path.to_string_lossy();
            let is_document = path.starts_with("/d/2025") && event.kind == OpKind::Open;
            count
                .documents
                .fetch_add(usize::from(is_document), Ordering::Relaxed);
            let is_listing = event.kind == OpKind::ReadDir;
            count
                .listings
                .fetch_add(usize::from(is_listing), Ordering::Relaxed);
        });
        let store = JsonDecisionRepository::open("/d", config(&process)).unwrap();
        (counted, store)
    }

    fn documents(&self) -> usize {
        self.documents.swap(0, Ordering::Relaxed)
    }

    fn listings(&self) -> usize {
        self.listings.swap(0, Ordering::Relaxed)
    }
}

/// Everything that can be asked without reading documents, and one page of them.
async fn answers(store: &JsonDecisionRepository) -> (Vec<u64>, Vec<StoredDecision>) {
    let filters = [
        DecisionFilter::new(),
        DecisionFilter::new().asset_pair("PAIR3".parse().unwrap()),
        DecisionFilter::new().action(Action::Sell),
        DecisionFilter::new().min_confidence(60.0),
    ];
    let mut counts = Vec::new();
    for filter in &filters {
        counts.push(store.count(filter).await.unwrap());
    }
    let query = DecisionQuery::new().order(Order::RecentlyWritten).limit(10);
    let page = store.query(&query).await.unwrap();
    (counts, page.decisions)
}

/// Sets the disk's clock to so many minutes from now.
fn later(disk: &SimFs, minutes: i64) {
    let time = SystemClock.now() + chrono::TimeDelta::minutes(minutes);
    disk.set_time(time.into());
}

/// A store of 200, its checkpoint, and a clock that went on.
async fn stored() -> SimFs {
    let disk = SimFs::new();
    let store = JsonDecisionRepository::open("/d", config(&disk)).unwrap();
    for saved in store
        .save_all(
            (0..200).map(decision).collect(),
            minutebook_core::SaveMode::Create,
        )
        .await
    {
        saved.unwrap();
    }
    later(&disk, 1);
    store.checkpoint().await.unwrap();
    disk
}

#[tokio::test]
async fn the_first_question_reads_what_changed_and_nothing_else() {
    let disk = stored().await;
    let (_, warm) = Counted::open(&disk);
    let expected = answers(&warm).await;
    let (counted, fresh) = Counted::open(&disk);
    let counts_before = fresh.count(&DecisionFilter::new()).await.unwrap();
    assert_eq!((counts_before, counted.documents()), (200, 0));
    assert_eq!(counted.listings(), 1);
    assert_eq!(answers(&fresh).await, expected);
    let why = "the documents of the answer, and one more that tells whether there are more";
    assert_eq!(counted.documents(), 11, "{why}");

    // An edit of equal length, an addition and a removal.
    let edited = decision(7).to_json_pretty();
    let path = "/d/2025-01-08_d007.json";
    assert_eq!(disk.get(path).unwrap(), edited.as_bytes());
    disk.put(path, edited.replace("PAIR2", "PAIR3").as_bytes())
        .unwrap();
    let added = decision(200).to_json();
    disk.put("/d/2025-01-05_d200.json", added.as_bytes())
        .unwrap();
    let removed = Path::new("/d/2025-01-01_d000.json");
    minutebook_fs::remove(&disk, removed, Durability::Synced).unwrap();
    let (counted, fresh) = Counted::open(&disk);
    let pair = DecisionFilter::new().asset_pair("PAIR3".parse().unwrap());
    assert_eq!(fresh.count(&pair).await.unwrap(), 41);
    assert_eq!(counted.documents(), 2);
    assert_eq!(fresh.count(&DecisionFilter::new()).await.unwrap(), 200);
    assert_eq!(counted.documents(), 0);
    // Whoever writes a checkpoint takes that over.
    let (_, writer) = Counted::open(&disk);
    writer.upsert(&decision(300)).await.unwrap();
    later(&disk, 2);
    writer.checkpoint().await.unwrap();
    let (counted, fresh) = Counted::open(&disk);
    assert_eq!(fresh.count(&pair).await.unwrap(), 41);
    assert_eq!(counted.documents(), 0);
}

#[tokio::test]
async fn a_document_is_found_by_its_id_with_a_listing_at_most() {
    let disk = stored().await;
    let foreign = br#"{"id":"plain","timestamp":"2025-02-01"}"#;
    disk.put("/d/2025-02-01_plain.json", foreign).unwrap();
    for (id, listings, documents) in [("d123", 0, 1), ("plain", 1, 1)] {
        let (counted, fresh) = Counted::open(&disk);
        let id = DecisionId::new(id).unwrap();
        assert_eq!(fresh.require(&id).await.unwrap().decision.id(), &id);
        assert_eq!(
            (counted.listings(), counted.documents()),
            (listings, documents),
            "{id}"
        );
    }
}

#[tokio::test]
async fn a_table_that_is_damaged_changes_no_answer() {
    let disk = stored().await;
    let (_, warm) = Counted::open(&disk);
    let expected = answers(&warm).await;
    let runs: Vec<_> = disk
        .tree()
        .into_keys()
        .filter(|path| path.extension().is_some_and(|end| end == "run"))
        .collect();
    assert!(!runs.is_empty());
    let whole = disk.get(&runs[0]).unwrap();
    for at in (0..whole.len()).step_by(1_501) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        disk.put(&runs[0], &damaged).unwrap();
        let (_, fresh) = Counted::open(&disk);
        for n in [0, 50, 199] {
            let id = DecisionId::new(format!("d{n:03}")).unwrap();
            assert!(fresh.get(&id).await.unwrap().is_some(), "{at}");
        }
        assert_eq!(answers(&fresh).await, expected, "{at}");
    }
    // The next checkpoint writes it anew; neither do runs stay that nobody needs.
    let (_, writer) = Counted::open(&disk);
    assert_eq!(answers(&writer).await, expected);
    disk.put("/d/.decisions.checkpoint.000000000001-0.run", b"x")
        .unwrap();
    let (_, other) = Counted::open(&disk);
    assert_eq!(answers(&other).await, expected);
    other.checkpoint().await.unwrap();
    writer.checkpoint().await.unwrap();
    let head = String::from_utf8(disk.get(HEAD).unwrap()).unwrap();
    for path in disk.tree().into_keys() {
        if path.extension().is_some_and(|end| end == "run") {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(head.contains(name), "{name}");
        }
    }
    let (counted, fresh) = Counted::open(&disk);
    assert_eq!(answers(&fresh).await, expected);
    assert_eq!(counted.documents(), 11);
}

/// A directory that no writer of ours has ever touched.
#[tokio::test]
async fn without_a_journal_too_the_files_name_is_enough() {
    let disk = SimFs::new();
    for n in 0..50 {
        let path = format!("/d/2025-02-{:02}_d{n:03}.json", n % 28 + 1);
        disk.put(&path, decision(n).to_json().as_bytes()).unwrap();
    }
    // Two that claim one id, and one that is not called as what it holds.
    disk.put(
        "/d/2025-03-01_d007.json",
        br#"{"id":"d007","timestamp":"2025-03-01"}"#,
    )
    .unwrap();
    disk.put("/d/x.json", br#"{"id":"hidden"}"#).unwrap();
    for (id, documents, time) in [("d012", 1, "2025-01-13"), ("d007", 2, "2025-03-01")] {
        let (counted, fresh) = Counted::open(&disk);
        let found = fresh.require(&DecisionId::new(id).unwrap()).await.unwrap();
        let time = minutebook_core::time::parse_timestamp(time).unwrap();
        assert_eq!(found.decision.timestamp(), Some(time));
        assert_eq!(
            (counted.listings(), counted.documents()),
            (1, documents),
            "{id}"
        );
    }
    let (_, fresh) = Counted::open(&disk);
    let hidden = DecisionId::new("hidden").unwrap();
    assert!(fresh.get(&hidden).await.unwrap().is_some());
    let nobody = DecisionId::new("nobody").unwrap();
    assert!(fresh.get(&nobody).await.unwrap().is_none());
}

#[tokio::test]
async fn a_large_batch_has_a_checkpoint_of_its_own() {
    for (count, has_one) in [(60, false), (300, true)] {
        let disk = SimFs::new();
        let store = JsonDecisionRepository::open("/d", config(&disk.new_process())).unwrap();
        for saved in store
            .save_all((0..count).map(decision).collect(), SaveMode::Create)
            .await
        {
            saved.unwrap();
        }
        assert_eq!(disk.get(HEAD).is_some(), has_one, "{count}");
    }
}

#[tokio::test]
async fn writers_of_checkpoints_build_on_each_others() {
    let disk = SimFs::new();
    let config = || config(&disk.new_process()).checkpoint_every(8);
    let stores = [
        JsonDecisionRepository::open("/d", config()).unwrap(),
        JsonDecisionRepository::open("/d", config()).unwrap(),
    ];
    for n in 0..120 {
        let store = &stores[(n as usize / 7) % 2];
        store.create(&decision(n)).await.unwrap();
        if n % 3 == 0 {
            let id = DecisionId::new(format!("d{:03}", n / 2)).unwrap();
            store.delete(&id).await.unwrap();
        }
        if n % 20 == 0 {
            let (_, fresh) = Counted::open(&disk);
            assert_eq!(answers(&fresh).await, answers(&stores[0]).await, "{n}");
        }
    }
    let (_, fresh) = Counted::open(&disk);
    let all = answers(&fresh).await;
    for store in &stores {
        assert_eq!(answers(store).await, all);
    }
}
