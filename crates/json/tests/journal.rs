//! The journal: what it says of a run of the machine, checkpoints, damage, and that its chain holds.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod common;

use std::path::Path;

use minutebook_core::{
    DecisionFilter, DecisionQuery, DecisionRepository, DecisionRepositoryExt, Order, ProblemKind,
};
use minutebook_fs::{Images, SimFs};
use minutebook_json::JsonDecisionRepository;

use common::{BOOT, JOURNAL, config, decision, id, open};

const CHECKPOINT: &str = "/d/.decisions.checkpoint.jsonl";

fn remove(disk: &SimFs, path: &str) {
    minutebook_fs::remove(disk, Path::new(path), minutebook_fs::Durability::Synced).unwrap();
}

fn lines(disk: &SimFs) -> Vec<serde_json::Value> {
    let text = String::from_utf8(disk.get(JOURNAL).unwrap()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn in_one_run_of_the_machine_deletions_and_restorations_of_others_stay() {
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    let store = open(&disk);
    store.create(&decision("a", 1)).await.unwrap();
    let first = disk.get("/d/2025-01-01_a.json").unwrap();
    store.create(&decision("b", 2)).await.unwrap();
    let mut changed = decision("a", 1);
    changed.set("note", &1).unwrap();
    store.update(&changed).await.unwrap();
    drop(store);
    remove(&disk, "/d/2025-01-02_b.json");
    disk.put("/d/2025-01-01_a.json", &first).unwrap();
    let before = disk.tree();
    let store = open(&disk);
    assert_eq!(store.get(&id("b")).await.unwrap(), None);
    assert_eq!(
        store.require(&id("a")).await.unwrap().decision,
        decision("a", 1)
    );
    assert_eq!(disk.tree(), before, "nothing to mend, nothing written");
    drop(store);
    // Nor is it undone after the machine was started anew: the directory was changed after all that the journal tells of.
    disk.put(BOOT, b"two\n").unwrap();
    let store = open(&disk);
    assert_eq!(store.get(&id("b")).await.unwrap(), None);
    assert_eq!(
        store.require(&id("a")).await.unwrap().decision,
        decision("a", 1)
    );
    // Nor if the journal went on since: the next writer has noted it.
    store.create(&decision("c", 3)).await.unwrap();
    assert!(
        lines(&disk)
            .iter()
            .any(|line| line["op"] == "missing" && line["id"] == "b")
    );
    drop(store);
    disk.put(BOOT, b"three\n").unwrap();
    assert_eq!(open(&disk).get(&id("b")).await.unwrap(), None);
}

/// Where the platform does not tell one run of the machine from another, a checkpoint settles what was there.
#[tokio::test]
async fn after_a_checkpoint_deletions_of_others_stay() {
    let disk = SimFs::new();
    let store = open(&disk);
    store.create(&decision("a", 1)).await.unwrap();
    store.create(&decision("b", 2)).await.unwrap();
    store.checkpoint().await.unwrap();
    store.create(&decision("c", 3)).await.unwrap();
    drop(store);
    for name in ["2025-01-01_a", "2025-01-03_c"] {
        remove(&disk, &format!("/d/{name}.json"));
    }
    let store = open(&disk);
    assert_eq!(store.get(&id("a")).await.unwrap(), None);
    assert!(store.get(&id("b")).await.unwrap().is_some());
    assert!(
        store.get(&id("c")).await.unwrap().is_some(),
        "it may have been a crash"
    );
}

/// After a power cut and on a platform that tells, what is lost comes back, also of before a checkpoint without a sync.
#[tokio::test]
async fn what_a_power_cut_took_comes_back() {
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    disk.settle();
    let store = JsonDecisionRepository::open("/d", config(&disk).checkpoint_every(3)).unwrap();
    for n in 1..=5 {
        store.create(&decision(&format!("d{n}"), n)).await.unwrap();
    }
    drop(store);
    let mut images = 0;
    for image in disk.images_after_crash(&Images::default().max(300)) {
        image.fs.put(BOOT, b"two\n").unwrap();
        let store = open(&image.fs);
        assert_eq!(
            store.count(&DecisionFilter::new()).await.unwrap(),
            5,
            "{}",
            image.what
        );
        assert!(
            store
                .problems()
                .await
                .unwrap()
                .problems()
                .iter()
                .all(|problem| problem.resource.contains("journal"))
        );
        images += 1;
    }
    assert!(images > 100);
}

#[tokio::test]
async fn a_checkpoint_and_the_whole_journal_tell_the_same() {
    let disk = SimFs::new();
    let store = JsonDecisionRepository::open("/d", config(&disk).checkpoint_every(7)).unwrap();
    for n in 1..=9 {
        store.create(&decision(&format!("d{n}"), n)).await.unwrap();
    }
    store.delete(&id("d3")).await.unwrap();
    store.upsert(&decision("d4", 5)).await.unwrap();
    let long = "é".repeat(100);
    store.create(&decision(&long, 1)).await.unwrap();
    drop(store);
    assert!(disk.get(CHECKPOINT).is_some());
    let all = async |disk: &SimFs| {
        let store = open(disk);
        let query = DecisionQuery::new().order(Order::RecentlyWritten);
        let page = store.query(&query).await.unwrap();
        assert!(page.report.is_clean());
        assert!(store.get(&id(&long)).await.unwrap().is_some());
        page.decisions
    };
    let with = all(&disk).await;
    assert_eq!(with.len(), 9);
    let whole = disk.get(CHECKPOINT).unwrap();
    disk.put(CHECKPOINT, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(all(&disk).await, with);
    remove(&disk, CHECKPOINT);
    assert_eq!(all(&disk).await, with);
    // Of another journal: the lines before it are not those that it was made from.
    let mut journal = disk.get(JOURNAL).unwrap();
    let seq = journal
        .windows(7)
        .position(|bytes| bytes == b"\"seq\":1")
        .unwrap();
    journal[seq + 6] = b'9';
    disk.put(CHECKPOINT, &whole).unwrap();
    disk.put(JOURNAL, &journal).unwrap();
    let store = open(&disk);
    assert_eq!(store.count(&DecisionFilter::new()).await.unwrap(), 9);
    assert!(
        store
            .problems()
            .await
            .unwrap()
            .problems()
            .iter()
            .any(|problem| problem.kind == ProblemKind::DigestMismatch)
    );
}

#[tokio::test]
async fn the_chain_holds_and_a_change_to_it_is_named() {
    let disk = SimFs::new();
    let store = open(&disk);
    store.create(&decision("a", 1)).await.unwrap();
    store.upsert(&decision("a", 2)).await.unwrap();
    store.delete(&id("a")).await.unwrap();
    store.create(&decision("b", 1)).await.unwrap();
    let mut head = "0".repeat(64);
    let records: Vec<_> = lines(&disk)
        .into_iter()
        .filter(|line| line.get("mark").is_none())
        .collect();
    for (i, record) in records.iter().enumerate() {
        assert_eq!(
            (record["prev"].as_str(), record["seq"].as_u64()),
            (Some(head.as_str()), Some(i as u64 + 1))
        );
        head = record["hash"].as_str().unwrap().to_owned();
    }
    let ops: Vec<_> = records
        .iter()
        .map(|record| record["op"].as_str().unwrap())
        .collect();
    assert_eq!(ops, ["put", "put", "delete", "put"]);
    assert!(store.problems().await.unwrap().is_clean());
    drop(store);
    let journal = disk.get(JOURNAL).unwrap();
    let text = String::from_utf8(journal.clone()).unwrap();
    // A changed line, and a line that is cut out.
    let changed = text.replacen("\"n\":2", "\"n\":3", 1);
    let kept: Vec<_> = text
        .lines()
        .filter(|line| !line.contains("\"seq\":2"))
        .collect();
    let cut = kept.join("\n") + "\n";
    for text in [changed, cut] {
        disk.put(JOURNAL, text.as_bytes()).unwrap();
        let store = open(&disk);
        let report = store.problems().await.unwrap();
        assert!(report.total() > 0, "{text}");
        assert!(
            report
                .problems()
                .iter()
                .all(|problem| problem.location.byte.is_some()),
            "{report:?}"
        );
        assert!(store.get(&id("b")).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_store_goes_on_when_its_journal_is_taken_away() {
    let disk = SimFs::new();
    let store = open(&disk);
    let old = store.create(&decision("a", 1)).await.unwrap();
    remove(&disk, JOURNAL);
    let stored = store.require(&id("a")).await.unwrap();
    assert_ne!(stored.revision, old.revision);
    store
        .update_from(&decision("a", 2), &stored.revision)
        .await
        .unwrap();
    assert_eq!(store.count(&DecisionFilter::new()).await.unwrap(), 1);
    assert_eq!(lines(&disk)[0]["op"], "found");
    assert_eq!(
        open(&disk).require(&id("a")).await.unwrap().decision,
        decision("a", 2)
    );
}
