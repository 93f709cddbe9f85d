//! What other programs do enters the journal, once, and with it the change feed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use minutebook_core::{
    ChangeStream, Decision, DecisionId, DecisionQuery, DecisionRepository, DecisionRepositoryExt,
    DecisionState, ErrorKind, Order, SaveMode, StateContent, WatchFrom,
};
use minutebook_fs::{Durability, Fault, OpKind, SimFs};
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};

const ROLE: &str = "MINUTEBOOK_JSON_NOTED_DIR";
const NAME: &str = "MINUTEBOOK_JSON_NOTED_NAME";
const JOURNAL: &str = "/d/decisions.journal.jsonl";

fn id(text: &str) -> DecisionId {
    DecisionId::new(text).unwrap()
}

fn text(id: &str, day: u32, n: u32) -> String {
    format!(r#"{{"id":"{id}","timestamp":"2025-01-{day:02}","n":{n}}}"#)
}

fn decision(id: &str, day: u32, n: u32) -> Decision {
    Decision::from_json(&text(id, day, n)).unwrap()
}

fn config(disk: &SimFs) -> JsonDecisionConfig {
    JsonDecisionConfig::default()
        .fs(Arc::new(disk.new_process()))
        .watch_interval(Duration::from_millis(1))
}

fn open(disk: &SimFs) -> JsonDecisionRepository {
    JsonDecisionRepository::open("/d", config(disk)).unwrap()
}

/// The journal's lines, without marks: what happened to which decision.
fn lines(journal: &[u8]) -> Vec<(String, String)> {
    let text = std::str::from_utf8(journal).unwrap();
    let values = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    values
        .filter(|line| line.get("mark").is_none())
        .map(|line| {
            let field = |name: &str| line[name].as_str().unwrap().to_owned();
            (field("op"), field("id"))
        })
        .collect()
}

fn told(state: &DecisionState) -> (String, Option<String>) {
    let n = match &state.content {
        StateContent::Saved(decision) => decision.raw("n").map(str::to_owned),
        StateContent::Deleted => None,
        other => panic!("{other:?}"),
    };
    (state.id.to_string(), n)
}

async fn next(changes: &mut ChangeStream) -> (String, Option<String>) {
    told(&changes.next().await.unwrap().unwrap().state)
}

fn saved(id: &str, n: u32) -> (String, Option<String>) {
    (id.to_owned(), Some(n.to_string()))
}

async fn additions_edits_and_removals(watchable: bool) {
    let disk = SimFs::new();
    disk.set_watchable(watchable);
    disk.put("/d/2025-01-01_old.json", text("old", 1, 1).as_bytes())
        .unwrap();
    let store = open(&disk);
    let before = store.require(&id("old")).await.unwrap();
    store.create(&decision("a", 1, 1)).await.unwrap();
    // What was there before the journal was is in it, as it was known.
    let journal = || lines(&disk.get(JOURNAL).unwrap());
    let line = |op: &str, id: &str| (op.to_owned(), id.to_owned());
    assert_eq!(journal(), [line("found", "old"), line("put", "a")]);
    assert_eq!(store.require(&id("old")).await.unwrap(), before);
    let mut changes = store.watch(WatchFrom::Now).await.unwrap();
    let mut others = open(&disk).watch(WatchFrom::Now).await.unwrap();

    disk.put("/d/2025-01-02_b.json", text("b", 2, 1).as_bytes())
        .unwrap();
    assert_eq!(next(&mut changes).await, saved("b", 1));
    disk.put("/d/2025-01-01_a.json", text("a", 1, 2).as_bytes())
        .unwrap();
    assert_eq!(next(&mut changes).await, saved("a", 2));
    let path = Path::new("/d/2025-01-01_old.json");
    minutebook_fs::remove(&disk, path, Durability::Synced).unwrap();
    assert_eq!(next(&mut changes).await, ("old".to_owned(), None));
    assert_eq!(
        journal()[2..],
        [
            line("found", "b"),
            line("found", "a"),
            line("missing", "old")
        ]
    );
    // The other follower has the same, from the same lines.
    assert_eq!(next(&mut others).await, saved("b", 1));
    assert_eq!(next(&mut others).await, saved("a", 2));
    assert_eq!(next(&mut others).await, ("old".to_owned(), None));

    // Every way of asking agrees on what it is and when it was taken.
    for store in [store.clone(), open(&disk)] {
        let present = store.require(&id("a")).await.unwrap();
        let history = store.history(&id("a")).await.unwrap();
        assert_eq!(history.len(), 2);
        assert_eq!(history[1].revision.as_ref(), Some(&present.revision));
        assert_eq!(history[1].recorded_at, present.recorded_at);
        let query = DecisionQuery::new().order(Order::RecentlyWritten).limit(1);
        let page = store.query(&query).await.unwrap();
        assert_eq!(page.decisions, [present]);
    }
    // It is replaced and removed as every other, and not recorded again.
    store.upsert(&decision("b", 2, 2)).await.unwrap();
    assert!(store.delete(&id("a")).await.unwrap());
    assert_eq!(journal()[5..], [line("put", "b"), line("delete", "a")]);
    assert_eq!(next(&mut changes).await, saved("b", 2));
    assert_eq!(next(&mut changes).await, ("a".to_owned(), None));
    assert!(store.verify(None).await.unwrap().holds());
}

#[tokio::test]
async fn what_others_do_is_recorded_and_given() {
    additions_edits_and_removals(true).await;
}

#[tokio::test]
async fn and_where_nobody_tells_of_changes() {
    additions_edits_and_removals(false).await;
}

#[tokio::test]
async fn a_writer_records_what_it_has_met() {
    let disk = SimFs::new();
    disk.put("/proc/sys/kernel/random/boot_id", b"one\n")
        .unwrap();
    let store = open(&disk);
    store.create(&decision("a", 1, 1)).await.unwrap();
    disk.put("/d/2025-01-02_b.json", text("b", 2, 1).as_bytes())
        .unwrap();
    let path = Path::new("/d/2025-01-01_a.json");
    minutebook_fs::remove(&disk, path, Durability::Synced).unwrap();
    let other = open(&disk);
    other.create(&decision("c", 3, 1)).await.unwrap();
    let journal = lines(&disk.get(JOURNAL).unwrap());
    let ops: Vec<_> = journal
        .iter()
        .map(|(op, id)| format!("{op} {id}"))
        .collect();
    assert_eq!(ops, ["put a", "missing a", "found b", "put c"]);
    // A refused write in a directory without a journal leaves it so.
    let disk = SimFs::new();
    disk.put("/d/2025-01-02_b.json", text("b", 2, 1).as_bytes())
        .unwrap();
    let store = open(&disk);
    let refused = store.create(&decision("b", 2, 2)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert!(!store.delete(&id("nobody")).await.unwrap());
    assert!(disk.get(JOURNAL).is_none());
}

#[tokio::test]
async fn where_nothing_can_be_recorded_it_is_told_all_the_same() {
    let disk = SimFs::new();
    open(&disk).create(&decision("a", 1, 1)).await.unwrap();
    let journal = disk.get(JOURNAL).unwrap();
    let process = disk.new_process();
    let refuse = Fault::on(OpKind::Append).forever();
    process.inject(refuse.error(std::io::ErrorKind::ReadOnlyFilesystem));
    let config = config(&disk).fs(Arc::new(process.clone()));
    let reader = JsonDecisionRepository::open("/d", config).unwrap();
    let mut changes = reader.watch(WatchFrom::Start).await.unwrap();
    assert_eq!(next(&mut changes).await, saved("a", 1));
    disk.put("/d/2025-01-02_b.json", text("b", 2, 1).as_bytes())
        .unwrap();
    assert_eq!(next(&mut changes).await, saved("b", 1));
    disk.put("/d/2025-01-02_b.json", text("b", 2, 2).as_bytes())
        .unwrap();
    assert_eq!(next(&mut changes).await, saved("b", 2));
    let path = Path::new("/d/2025-01-01_a.json");
    minutebook_fs::remove(&disk, path, Durability::Synced).unwrap();
    assert_eq!(next(&mut changes).await, ("a".to_owned(), None));
    let path = Path::new("/d/2025-01-02_b.json");
    minutebook_fs::remove(&disk, path, Durability::Synced).unwrap();
    assert_eq!(next(&mut changes).await, ("b".to_owned(), None));
    assert_eq!(disk.get(JOURNAL).unwrap(), journal);
}

/// The part of another process: saves decisions of its own and follows the changes until it has seen the last one.
#[test]
fn child() {
    let Ok(dir) = std::env::var(ROLE) else { return };
    let name = std::env::var(NAME).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let config = JsonDecisionConfig::default().watch_interval(Duration::from_millis(2));
        let store = JsonDecisionRepository::open(&dir, config).unwrap();
        let mut changes = store.watch(WatchFrom::Start).await.unwrap();
        println!("ready");
        let mut seen = 0;
        let mut own = 0;
        loop {
            let (id, _) = next(&mut changes).await;
            if id == "last" {
                break;
            }
            seen += 1;
            if seen % 3 == 0 && own < 20 {
                own += 1;
                let id = format!("{name}-{own}");
                store
                    .save(&decision(&id, 1, own), SaveMode::Create)
                    .await
                    .unwrap();
            }
        }
    });
}

#[tokio::test]
async fn among_several_processes_each_change_is_recorded_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = JsonDecisionRepository::open(dir.path(), JsonDecisionConfig::default()).unwrap();
    store.create(&decision("first", 1, 1)).await.unwrap();
    let mut children: Vec<_> = (0..3)
        .map(|i| {
            Command::new(std::env::current_exe().unwrap())
                .args(["child", "--exact", "--nocapture"])
                .env(ROLE, dir.path())
                .env(NAME, format!("p{i}"))
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    // A foreign program: it knows nothing of locks or journals, and replaces, rewrites in place and removes.
    let mut expected: BTreeMap<String, u32> = BTreeMap::new();
    for n in 1..=60_u32 {
        let name = format!("f{}", n % 10);
        let path = dir.path().join(format!("2025-01-05_{name}.json"));
        if n % 7 == 0 && expected.remove(&name).is_some() {
            std::fs::remove_file(&path).unwrap();
        } else {
            let mut file = std::fs::File::create(dir.path().join("other.tmp")).unwrap();
            file.write_all(text(&name, 5, n).as_bytes()).unwrap();
            drop(file);
            std::fs::rename(dir.path().join("other.tmp"), &path).unwrap();
            expected.insert(name, n);
        }
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
    std::fs::write(dir.path().join("2025-01-06_last.json"), text("last", 6, 1)).unwrap();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let journal = std::fs::read(dir.path().join("decisions.journal.jsonl")).unwrap();
    let text = std::str::from_utf8(&journal).unwrap();
    let mut found = BTreeSet::new();
    for line in text
        .lines()
        .filter(|line| line.contains("\"op\":\"found\""))
    {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let document = Decision::from_json(line["text"].as_str().unwrap()).unwrap();
        let n: u32 = document.raw("n").unwrap().parse().unwrap();
        let key = (document.id().to_string(), n);
        assert!(found.insert(key), "recorded twice: {line}");
    }
    for (name, n) in &expected {
        let stored = store.require(&id(name)).await.unwrap();
        assert_eq!(stored.decision.raw("n"), Some(n.to_string().as_str()));
        assert!(found.contains(&(name.clone(), *n)), "{name} {n}");
        let history = store.history(&id(name)).await.unwrap();
        assert_eq!(
            history.last().unwrap().revision.as_ref(),
            Some(&stored.revision)
        );
    }
    assert!(store.verify(None).await.unwrap().holds());
    assert!(store.problems().await.unwrap().is_clean());
}
