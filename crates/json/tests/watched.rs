//! What other programs change is seen by the next question about contents, however little of it shows, with a watch and without.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minutebook_core::{
    Action, Decision, DecisionFilter, DecisionId, DecisionQuery, DecisionRepository,
    DecisionRepositoryExt, ErrorKind, Order,
};
use minutebook_fs::{OpKind, SimFs};
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};

fn decision(id: &str, day: u32, pair: &str, action: &str) -> Decision {
    Decision::from_json(&format!(
        r#"{{"id":"{id}","timestamp":"2025-01-{day:02}","asset_pair":"{pair}","action":"{action}","confidence":0.5}}"#
    ))
    .unwrap()
}

async fn of_pair(store: &JsonDecisionRepository, pair: &str) -> Vec<String> {
    let found = store
        .recent(10, Some(&pair.parse().unwrap()))
        .await
        .unwrap();
    found
        .iter()
        .map(|stored| stored.decision.id().to_string())
        .collect()
}

/// Writes into the file as it is, with the same length, and puts its modification time back.
fn edit_in_place(path: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let text = fs::read_to_string(path).unwrap().replace(from, to);
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_modified(modified).unwrap();
}

async fn edits_are_seen(watch: bool) {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let config = JsonDecisionConfig::default().watch_directory(watch);
        JsonDecisionRepository::open(dir.path(), config).unwrap()
    };
    let (store, other) = (open(), open());
    for (i, pair) in ["ETHUSD", "BTCUSD", "ETHUSD"].into_iter().enumerate() {
        let day = u32::try_from(i).unwrap() + 1;
        let id = format!("d{day}");
        store
            .create(&decision(&id, day, pair, "BUY"))
            .await
            .unwrap();
    }
    assert_eq!(of_pair(&store, "ethusd").await, ["d3", "d1"]);
    assert_eq!(of_pair(&other, "BTCUSD").await, ["d2"]);
    assert!(of_pair(&store, "XRPUSD").await.is_empty());
    let path = dir.path().join("2025-01-02_d2.json");
    for _ in 0..20 {
        edit_in_place(&path, "BTCUSD", "ETHUSD");
        for store in [&store, &other] {
            assert_eq!(of_pair(store, "ETHUSD").await, ["d3", "d2", "d1"]);
            assert!(of_pair(store, "BTCUSD").await.is_empty());
        }
        edit_in_place(&path, "ETHUSD", "BTCUSD");
        for store in [&store, &other] {
            assert_eq!(of_pair(store, "ETHUSD").await, ["d3", "d1"]);
            assert_eq!(of_pair(store, "BTCUSD").await, ["d2"]);
        }
    }
    // The order follows the content too.
    edit_in_place(&path, "2025-01-02", "2025-01-09");
    let newest = store.recent(1, None).await.unwrap();
    assert_eq!(newest[0].decision.id().as_str(), "d2");
    edit_in_place(&path, "BUY", "ABC");
    let buys = DecisionFilter::new().action(Action::Buy);
    assert_eq!(store.count(&buys).await.unwrap(), 2);
    fs::remove_file(&path).unwrap();
    assert_eq!(store.count(&DecisionFilter::new()).await.unwrap(), 2);
    fs::write(
        dir.path().join("x.json"),
        r#"{"id":"foreign","asset_pair":"BTCUSD"}"#,
    )
    .unwrap();
    assert_eq!(of_pair(&store, "BTCUSD").await, ["foreign"]);
    assert_eq!(store.count(&DecisionFilter::new()).await.unwrap(), 3);
    fs::write(dir.path().join("x.json"), "{").unwrap();
    let page = store.query(&DecisionQuery::new()).await.unwrap();
    assert_eq!((page.decisions.len(), page.report.problems().len()), (2, 1));
    let page = store.query(&DecisionQuery::new().limit(1)).await.unwrap();
    assert_eq!((page.decisions.len(), page.report.problems().len()), (1, 1));
}

#[tokio::test]
async fn edits_of_equal_length_and_time_are_seen() {
    edits_are_seen(true).await;
}

#[tokio::test]
async fn they_are_seen_without_a_watch() {
    edits_are_seen(false).await;
}

/// How a program changes a file.
#[derive(Clone, Copy, Debug)]
enum How {
    InPlace,
    RenameOver,
}

fn change(path: &Path, how: How, from: &str, to: &str) {
    match how {
        How::InPlace => edit_in_place(path, from, to),
        How::RenameOver => {
            let text = fs::read_to_string(path).unwrap().replace(from, to);
            let aside = path.with_extension("aside");
            fs::write(&aside, text).unwrap();
            fs::rename(aside, path).unwrap();
        }
    }
}

async fn has(store: &JsonDecisionRepository, id: &str) -> bool {
    let found = store.get(&DecisionId::new(id).unwrap()).await.unwrap();
    found.is_some_and(|found| found.decision.id().as_str() == id)
}

/// A file that is known gets another id, under the name that it has: each call is the first after that.
async fn another_id_is_seen(watch: bool, how: How) {
    let dir = tempfile::tempdir().unwrap();
    let config = JsonDecisionConfig::default().watch_directory(watch);
    let open = || JsonDecisionRepository::open(dir.path(), config.clone()).unwrap();
    let (store, other) = (open(), open());
    for (i, id) in ["d1", "d2", "d3"].into_iter().enumerate() {
        let day = u32::try_from(i).unwrap() + 1;
        store
            .create(&decision(id, day, "ETHUSD", "BUY"))
            .await
            .unwrap();
    }
    let path = dir.path().join("2025-01-02_d2.json");
    for store in [&store, &other] {
        assert_eq!(of_pair(store, "ETHUSD").await, ["d3", "d2", "d1"]);
        let (old, new) = (r#""d2""#, r#""e2""#);
        change(&path, how, old, new);
        assert!(has(store, "e2").await, "the new id");
        change(&path, how, new, old);
        assert!(has(store, "d2").await && !has(store, "e2").await);
        change(&path, how, old, new);
        assert!(!has(store, "d2").await, "the old id");
        assert!(has(store, "e2").await);
        change(&path, how, new, old);
        assert!(!has(store, "e2").await);
        change(&path, how, old, new);
        assert_eq!(of_pair(store, "ETHUSD").await, ["d3", "e2", "d1"]);
        change(&path, how, new, old);
        assert_eq!(store.count(&DecisionFilter::new()).await.unwrap(), 3);
        change(&path, how, old, new);
        assert!(store.history(&DecisionId::new("e2").unwrap()).await.is_ok());
        change(&path, how, new, old);
    }
    // Nor does a writer pass it over.
    change(&path, how, r#""d2""#, r#""e2""#);
    if watch {
        let taken = store.create(&decision("e2", 9, "ETHUSD", "SELL")).await;
        assert_eq!(taken.unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
    assert!(store.delete(&DecisionId::new("e2").unwrap()).await.unwrap());
    assert!(!path.exists());
    // A process that has asked for nothing yet.
    let path = dir.path().join("2025-01-01_d1.json");
    change(&path, how, r#""d1""#, r#""e1""#);
    assert!(has(&open(), "e1").await);
    assert!(!has(&open(), "d1").await);
    assert_eq!(of_pair(&open(), "ETHUSD").await, ["d3", "e1"]);
}

#[tokio::test]
async fn another_id_in_a_known_file_is_seen() {
    for how in [How::InPlace, How::RenameOver] {
        another_id_is_seen(true, how).await;
    }
}

#[tokio::test]
async fn another_id_in_a_known_file_is_seen_without_a_watch() {
    for how in [How::InPlace, How::RenameOver] {
        another_id_is_seen(false, how).await;
    }
}

/// The watch tells of a file that now claims the id of another one: the newer counts, for a `get` too.
#[tokio::test]
async fn an_id_that_another_file_takes_over_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let store = JsonDecisionRepository::open(dir.path(), JsonDecisionConfig::default()).unwrap();
    for (id, day) in [("d1", 1), ("d2", 2)] {
        store
            .create(&decision(id, day, "ETHUSD", "BUY"))
            .await
            .unwrap();
    }
    let first = DecisionId::new("d1").unwrap();
    assert_eq!(of_pair(&store, "ETHUSD").await, ["d2", "d1"]);
    assert!(has(&store, "d1").await);
    edit_in_place(&dir.path().join("2025-01-02_d2.json"), "\"d2\"", "\"d1\"");
    let found = store.require(&first).await.unwrap();
    assert_eq!(found.decision.raw("timestamp"), Some("\"2025-01-02\""));
    // So is a file whose name tells nothing.
    fs::write(
        dir.path().join("x.json"),
        decision("d1", 3, "ETHUSD", "BUY").to_json(),
    )
    .unwrap();
    let found = store.require(&first).await.unwrap();
    assert_eq!(found.decision.raw("timestamp"), Some("\"2025-01-03\""));
}

#[tokio::test]
async fn a_watch_that_missed_something_is_made_good() {
    let disk = SimFs::new();
    let config = || JsonDecisionConfig::default().fs(Arc::new(disk.new_process()));
    let store = JsonDecisionRepository::open("/d", config()).unwrap();
    store
        .create(&decision("a", 1, "ETHUSD", "BUY"))
        .await
        .unwrap();
    assert_eq!(of_pair(&store, "ETHUSD").await, ["a"]);
    for (i, watchable) in [true, false].into_iter().enumerate() {
        disk.lose_watches();
        disk.set_watchable(watchable);
        let name = format!("/d/2025-01-02_b{i}.json");
        let text = decision(&format!("b{i}"), 2, "ETHUSD", "SELL").to_json();
        disk.put(&name, text.as_bytes()).unwrap();
        assert_eq!(of_pair(&store, "ETHUSD").await.len(), 2 + i);
        disk.put(&name, text.replace("ETHUSD", "BTCUSD").as_bytes())
            .unwrap();
        assert_eq!(of_pair(&store, "BTCUSD").await.len(), 1);
        disk.put(&name, text.as_bytes()).unwrap();
    }
    let written = DecisionQuery::new().order(Order::RecentlyWritten).limit(1);
    assert_eq!(store.query(&written).await.unwrap().decisions.len(), 1);
}

#[tokio::test]
async fn a_new_process_gets_what_it_knows_by_name_without_a_listing() {
    let disk = SimFs::new();
    let config = |disk: &SimFs| JsonDecisionConfig::default().fs(Arc::new(disk.clone()));
    let store = JsonDecisionRepository::open("/d", config(&disk.new_process())).unwrap();
    store
        .create(&decision("a", 1, "ETHUSD", "BUY"))
        .await
        .unwrap();
    let timed = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    let text = format!(r#"{{"id":"{timed}","timestamp":"2022-02-22T19:22:22Z"}}"#);
    disk.put(format!("/d/2022-02-22_{timed}.json"), text.as_bytes())
        .unwrap();
    disk.put("/d/2022-02-22_plain.json", br#"{"id":"plain"}"#)
        .unwrap();
    let expected = store.query(&DecisionQuery::new()).await.unwrap().decisions;
    assert_eq!(expected.len(), 3);
    // That there is none is said when it is known what every file holds.
    for (id, most) in [("a", 0), (timed, 0), ("plain", 1), ("absent", 2)] {
        let process = disk.new_process();
        let listings = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&listings);
        process.on_op(move |event| {
            count.fetch_add(
                usize::from(event.kind == OpKind::ReadDir),
                Ordering::Relaxed,
            );
        });
        let fresh = JsonDecisionRepository::open("/d", config(&process)).unwrap();
        assert_eq!(listings.load(Ordering::Relaxed), 0, "opening lists nothing");
        let id = DecisionId::new(id).unwrap();
        let found = fresh.get(&id).await.unwrap();
        let same = expected.iter().find(|stored| *stored.decision.id() == id);
        assert_eq!(found.as_ref(), same);
        assert_eq!(listings.load(Ordering::Relaxed), most, "{id}");
    }
}
