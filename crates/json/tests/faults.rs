//! A disk that fails: syncs, writes, no room, read-only.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod common;

use std::io;
use std::path::Path;
use std::sync::Arc;

use minutebook_core::{Catalog, DatasetEntry, DatasetFilter, DecisionFilter, DecisionQuery};
use minutebook_core::{DecisionRepository, DecisionRepositoryExt, ErrorKind, SaveMode};
use minutebook_fs::{Fault, Images, OpKind, SimFs};
use minutebook_json::{JsonCatalog, JsonCatalogConfig, JsonDecisionRepository};

use common::{decision, id, open};

async fn n(store: &JsonDecisionRepository, name: &str) -> Option<String> {
    let stored = store.get(&id(name)).await.unwrap();
    stored.and_then(|stored| stored.decision.raw("n").map(str::to_owned))
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_until_the_store_is_opened_again() {
    let disk = SimFs::new();
    let store = open(&disk);
    store.create(&decision("a", 1)).await.unwrap();
    disk.inject(Fault::on(OpKind::SyncData).at("journal").errno(5));
    let error = store.upsert(&decision("a", 2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        n(&store, "a").await.as_deref(),
        Some("1"),
        "the document is not touched before the journal is safe"
    );
    let error = store.upsert(&decision("b", 1)).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("earlier sync failed"),
        "{error:?}"
    );
    drop(store);
    let store = open(&disk);
    assert!(matches!(n(&store, "a").await.as_deref(), Some("1" | "2")));
    store.upsert(&decision("a", 3)).await.unwrap();
    assert_eq!(n(&open(&disk), "a").await.as_deref(), Some("3"));
}

#[tokio::test]
async fn a_journal_line_that_finds_no_room_changes_nothing() {
    let disk = SimFs::new();
    let store = open(&disk);
    store.create(&decision("a", 1)).await.unwrap();
    for fault in [
        Fault::on(OpKind::Append).at("journal").short(100),
        Fault::on(OpKind::Append)
            .at("journal")
            .error(io::ErrorKind::StorageFull),
    ] {
        let journal = disk.get("/d/decisions.journal.jsonl");
        disk.inject(fault);
        assert_eq!(
            store.upsert(&decision("a", 2)).await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        assert_eq!(disk.get("/d/decisions.journal.jsonl"), journal);
        assert_eq!(n(&store, "a").await.as_deref(), Some("1"));
    }
    store.upsert(&decision("a", 2)).await.unwrap();
    assert_eq!(n(&open(&disk), "a").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_document_that_finds_no_room_is_taken_back_in_the_journal() {
    let disk = SimFs::new();
    let store = open(&disk);
    store.create(&decision("a", 1)).await.unwrap();
    disk.inject(
        Fault::on(OpKind::Append)
            .at(".tmp")
            .error(io::ErrorKind::StorageFull),
    );
    let results = store
        .save_all(vec![decision("a", 2), decision("b", 1)], SaveMode::Upsert)
        .await;
    assert_eq!(
        results[0].as_ref().unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    assert!(results[1].is_ok());
    assert_eq!(n(&store, "a").await.as_deref(), Some("1"));
    assert_eq!(n(&store, "b").await.as_deref(), Some("1"));
    drop(store);
    let store = open(&disk);
    assert_eq!(
        n(&store, "a").await.as_deref(),
        Some("1"),
        "it does not come back later"
    );
    store.upsert(&decision("a", 3)).await.unwrap();
    assert!(store.problems().await.unwrap().is_clean());
    let files = disk
        .tree()
        .into_keys()
        .filter(|path| path.to_string_lossy().ends_with("_a.json"));
    assert_eq!(files.count(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_removed_is_not_deleted() {
    let disk = SimFs::new();
    let store = open(&disk);
    store.create(&decision("a", 1)).await.unwrap();
    disk.inject(
        Fault::on(OpKind::RemoveFile)
            .at("_a.json")
            .error(io::ErrorKind::PermissionDenied),
    );
    assert_eq!(
        store.delete(&id("a")).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    assert_eq!(n(&store, "a").await.as_deref(), Some("1"));
    assert_eq!(n(&open(&disk), "a").await.as_deref(), Some("1"));
    assert!(store.delete(&id("a")).await.unwrap());
    assert_eq!(store.count(&DecisionFilter::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_writes_go_on_when_there_is_room() {
    let disk = SimFs::new();
    let store = open(&disk);
    store.create(&decision("a", 1)).await.unwrap();
    let used: usize = disk
        .tree()
        .into_values()
        .flatten()
        .map(|bytes| bytes.len())
        .sum();
    for room in [0, 10, 200, 320, 400] {
        disk.set_capacity(Some((used + room) as u64));
        if store.upsert(&decision("a", 2)).await.is_ok() {
            break;
        }
        let found = n(&store, "a").await;
        assert_eq!(found.as_deref(), Some("1"), "{room}");
    }
    disk.set_capacity(None);
    store.upsert(&decision("a", 3)).await.unwrap();
    assert_eq!(n(&store, "a").await.as_deref(), Some("3"));
    let store = open(&disk);
    assert_eq!(n(&store, "a").await.as_deref(), Some("3"));
    assert_eq!(store.count(&DecisionFilter::new()).await.unwrap(), 1);
}

#[tokio::test]
async fn after_a_power_cut_a_medium_that_cannot_be_written_is_read_through_the_journal() {
    let disk = SimFs::new();
    let store = open(&disk);
    store.create(&decision("gone", 1)).await.unwrap();
    store.create(&decision("a", 1)).await.unwrap();
    disk.settle();
    store.upsert(&decision("a", 2)).await.unwrap();
    store.create(&decision("new", 3)).await.unwrap();
    store.delete(&id("gone")).await.unwrap();
    drop(store);
    let mut mended = 0;
    for image in disk.images_after_crash(&Images::default().max(100)) {
        let before = image.fs.tree();
        for kind in [
            OpKind::Create,
            OpKind::Append,
            OpKind::WriteAt,
            OpKind::Rename,
            OpKind::RemoveFile,
        ] {
            image.fs.inject(
                Fault::on(kind)
                    .error(io::ErrorKind::ReadOnlyFilesystem)
                    .forever(),
            );
        }
        let store = open(&image.fs);
        let found: Vec<_> = store
            .query(&DecisionQuery::new())
            .await
            .unwrap()
            .into_iter()
            .collect();
        let ids: Vec<_> = found
            .iter()
            .map(|stored| stored.decision.id().as_str())
            .collect();
        assert_eq!(ids, ["new", "a"]);
        for stored in &found {
            assert_eq!(
                store.get(stored.decision.id()).await.unwrap().as_ref(),
                Some(stored)
            );
        }
        assert_eq!(n(&store, "a").await.as_deref(), Some("2"));
        assert_eq!(n(&store, "gone").await, None);
        assert_eq!(image.fs.tree(), before);
        assert_eq!(
            store.upsert(&decision("a", 4)).await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        // Once it can be written, it is mended by the first write.
        image.fs.clear_faults();
        store.upsert(&decision("later", 5)).await.unwrap();
        let documents = image
            .fs
            .tree()
            .into_keys()
            .filter(|path| path.extension().is_some_and(|text| text == "json"));
        let mut names: Vec<_> = documents
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "2025-01-02_a.json",
                "2025-01-03_new.json",
                "2025-01-05_later.json"
            ]
        );
        assert_eq!(store.count(&DecisionFilter::new()).await.unwrap(), 3);
        mended += 1;
    }
    assert!(mended > 10);
}

#[tokio::test]
async fn a_registry_that_does_not_parse_is_never_overwritten() {
    let disk = SimFs::new();
    let catalog = || {
        JsonCatalog::open(
            "/r/registry.json",
            JsonCatalogConfig::default().fs(Arc::new(disk.clone())),
        )
        .unwrap()
    };
    let entry = DatasetEntry::new("a".parse().unwrap(), "A", "a.parquet");
    assert_eq!(catalog().list(&DatasetFilter::new()).await.unwrap(), []);
    assert_eq!(
        disk.get("/r/registry.json"),
        None,
        "reading creates nothing"
    );
    catalog().register(&entry, SaveMode::Create).await.unwrap();
    for text in [
        "",
        "{\n  \"a\": {\n    \"instrument\": }\n}",
        "[]",
        "{\"a\": {}, \"a\": {}}",
    ] {
        disk.put("/r/registry.json", text.as_bytes()).unwrap();
        let error = catalog()
            .register(&entry, SaveMode::Upsert)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{text}");
        assert!(error.to_string().contains("line "), "{error}");
        assert!(catalog().get(&entry.name).await.is_err());
        assert_eq!(
            disk.get("/r/registry.json").as_deref(),
            Some(text.as_bytes())
        );
    }
    let error = catalog().list(&DatasetFilter::new()).await.unwrap_err();
    assert!(error.to_string().contains("/r/registry.json"), "{error}");
}

#[tokio::test]
async fn a_registry_survives_failures_and_full_disks() {
    let disk = SimFs::new();
    let config = || JsonCatalogConfig::default().fs(Arc::new(disk.clone()));
    let catalog = JsonCatalog::open("/registry.json", config()).unwrap();
    let entry = |name: &str| DatasetEntry::new(name.parse().unwrap(), "A", "a.parquet");
    catalog
        .register(&entry("a"), SaveMode::Create)
        .await
        .unwrap();
    let before = disk.get("/registry.json");
    for kind in [OpKind::Append, OpKind::SyncAll, OpKind::Rename] {
        disk.inject(Fault::on(kind).at(".tmp").error(io::ErrorKind::StorageFull));
        disk.inject(
            Fault::on(kind)
                .at("registry.json")
                .error(io::ErrorKind::StorageFull),
        );
        assert_eq!(
            catalog
                .register(&entry("b"), SaveMode::Create)
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::Unavailable
        );
        assert_eq!(disk.get("/registry.json"), before);
        disk.clear_faults();
    }
    catalog
        .register(&entry("b"), SaveMode::Create)
        .await
        .unwrap();
    assert_eq!(catalog.list(&DatasetFilter::new()).await.unwrap().len(), 2);
    assert!(
        disk.tree()
            .keys()
            .all(|path| !path.to_string_lossy().ends_with(".tmp")),
        "{:?}",
        Path::new("/")
    );
}
