//! Opening stores on disk: what is made, what is not, and which settings count.
#![cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minutebook::config::{Config, Durability, Environment};
use minutebook::{
    Bar, Catalog, CatalogExt, DatasetEntry, DatasetFilter, Decision, DecisionFilter, DecisionQuery,
    DecisionRepository, DecisionRepositoryExt, ErrorKind, Minutebook, SaveMode, SeriesFilter,
    SeriesId, Tick, TimeRange, TimeSeriesRepository, TimeSeriesRepositoryExt, Timeframe,
    time::parse_timestamp,
};

/// Every file below a directory with its bytes, and every directory.
fn contents(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.insert(path.clone(), None);
                waiting.push(path);
            } else {
                found.insert(path.clone(), Some(std::fs::read(&path).unwrap()));
            }
        }
    }
    found
}

fn open(path: &Path) -> minutebook::Result<Minutebook> {
    Minutebook::options()
        .environment(Environment::empty())
        .open(path)
}

fn days() -> SeriesId {
    SeriesId::bars("AAPL".parse().unwrap(), Timeframe::DAY)
}

fn bar(date: &str) -> Bar {
    Bar {
        timestamp: parse_timestamp(date).unwrap(),
        open: 1.0,
        high: 2.0,
        low: 0.5,
        close: 1.5,
        volume: 10.0,
    }
}

fn tick(time: &str) -> Tick {
    Tick {
        timestamp: parse_timestamp(time).unwrap(),
        price: 1.0,
        size: None,
        side: None,
    }
}

fn decision(id: &str) -> Decision {
    Decision::from_json(&format!(
        r#"{{"id":"{id}","timestamp":"2025-01-01T00:00:00Z"}}"#
    ))
    .unwrap()
}

/// Asks everything that can be asked.
async fn read_everything(book: &Minutebook) {
    book.decisions().query(&DecisionQuery::new()).await.unwrap();
    book.decisions()
        .count(&DecisionFilter::new())
        .await
        .unwrap();
    book.decisions()
        .get(&"nope".parse().unwrap())
        .await
        .unwrap();
    for repository in [book.ticks(), book.series()] {
        repository.list(&SeriesFilter::new()).await.unwrap();
        repository.summary(&days()).await.unwrap();
        repository.bars(&days(), TimeRange::all()).await.unwrap();
    }
    book.catalog().list(&DatasetFilter::new()).await.unwrap();
    book.catalog().get(&"nope".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn opening_and_reading_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let book = open(dir.path()).unwrap();
    read_everything(&book).await;
    assert_eq!(contents(dir.path()), BTreeMap::new());
    // What fails or finds nothing to do makes nothing either.
    let missing = decision("x");
    let updated = book.decisions().update(&missing).await.unwrap_err();
    assert_eq!(updated.kind(), ErrorKind::NotFound);
    assert!(!book.decisions().delete(missing.id()).await.unwrap());
    assert_eq!(book.series().delete(&days(), None).await.unwrap(), 0);
    let scanned = book
        .series()
        .scan(&days(), &minutebook::ScanQuery::new())
        .await
        .unwrap_err();
    assert_eq!(scanned.kind(), ErrorKind::NotFound);
    assert!(!book.catalog().remove(&"x".parse().unwrap()).await.unwrap());
    assert_eq!(contents(dir.path()), BTreeMap::new());
}

#[tokio::test]
async fn the_first_write_makes_its_part_alone() {
    let dir = tempfile::tempdir().unwrap();
    let book = open(dir.path()).unwrap();
    book.ticks()
        .append_ticks(
            &SeriesId::ticks("A".parse().unwrap()),
            &[tick("2025-01-01")],
        )
        .await
        .unwrap();
    assert!(dir.path().join("ticks/a_timeseries.jsonl").is_file());
    for part in ["decisions", "series", "registry.json"] {
        assert!(!dir.path().join(part).exists(), "{part}");
    }
    book.decisions().create(&decision("d")).await.unwrap();
    assert!(dir.path().join("decisions/2025-01-01_d.json").is_file());
    book.series()
        .append_bars(&days(), &[bar("2025-01-01")])
        .await
        .unwrap();
    assert!(dir.path().join("series").is_dir());
    let entry = DatasetEntry::new("a".parse().unwrap(), "A", "a.parquet");
    book.catalog().upsert(&entry).await.unwrap();
    assert!(dir.path().join("registry.json").is_file());
}

#[tokio::test]
async fn reading_a_store_changes_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let book = open(dir.path()).unwrap();
    book.decisions().create(&decision("d")).await.unwrap();
    book.series()
        .append_bars(&days(), &[bar("2025-01-01")])
        .await
        .unwrap();
    book.ticks()
        .append_ticks(
            &SeriesId::ticks("A".parse().unwrap()),
            &[tick("2025-01-01")],
        )
        .await
        .unwrap();
    book.register_series(&"aapl".parse().unwrap(), &days())
        .await
        .unwrap();
    drop(book);
    let before = contents(dir.path());
    let book = open(dir.path()).unwrap();
    read_everything(&book).await;
    drop(book);
    assert!(before == contents(dir.path()), "a file has changed");
}

#[tokio::test]
async fn create_makes_a_store_and_leaves_one_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    let options = || Minutebook::options().environment(Environment::empty());
    let book = options().create(&path).unwrap();
    for part in ["decisions", "ticks", "series", "minutebook.toml"] {
        assert!(path.join(part).exists(), "{part}");
    }
    book.decisions().create(&decision("d")).await.unwrap();
    std::fs::write(path.join("minutebook.toml"), "durability = \"buffered\"\n").unwrap();
    let before = contents(&path);
    let again = options().create(&path).unwrap();
    assert!(
        again
            .decisions()
            .contains(&"d".parse().unwrap())
            .await
            .unwrap()
    );
    assert_eq!(
        again.config().unwrap().durability,
        Some(Durability::Buffered)
    );
    assert!(before == contents(&path), "a file has changed");
}

#[test]
fn what_is_no_store_is_refused_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let error = open(&dir.path().join("nope")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("minutebook init"), "{error}");
    std::fs::write(dir.path().join("letter.txt"), "dear sir").unwrap();
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("minutebook init"), "{error}");
    // Who says where the parts are need not show it.
    let config = Config::new().decisions_path("d");
    let options = Minutebook::options().environment(Environment::empty());
    assert!(options.config(config).open(dir.path()).is_ok());
}

#[tokio::test]
async fn directories_of_the_original_systems_open_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let document = "{\n  \"id\": \"test-exec\",\n  \"timestamp\": \"2025-01-01T00:00:00Z\",\n  \"action\": \"BUY\"\n}";
    std::fs::write(dir.path().join("2025-01-01_test-exec.json"), document).unwrap();
    let before = contents(dir.path());
    let book = open(dir.path()).unwrap();
    read_everything(&book).await;
    let found = book
        .decisions()
        .require(&"test-exec".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(found.decision.to_json_pretty(), document);
    drop(book);
    assert!(before == contents(dir.path()), "a file has changed");

    // What is begun beside them does not hide them.
    let book = open(dir.path()).unwrap();
    book.ticks()
        .append_ticks(
            &SeriesId::ticks("A".parse().unwrap()),
            &[tick("2025-01-01")],
        )
        .await
        .unwrap();
    book.series()
        .append_bars(&days(), &[bar("2025-01-01")])
        .await
        .unwrap();
    let book = open(dir.path()).unwrap();
    assert!(
        book.decisions()
            .contains(&"test-exec".parse().unwrap())
            .await
            .unwrap()
    );
    assert_eq!(
        book.ticks().list(&SeriesFilter::new()).await.unwrap().len(),
        1
    );

    let ticks = tempfile::tempdir().unwrap();
    let line = "{\"timestamp\": \"2025-01-01T00:00:00\", \"price\": 1.5}\n";
    std::fs::write(ticks.path().join("btcusd_timeseries.jsonl"), line).unwrap();
    let before = contents(ticks.path());
    let book = open(ticks.path()).unwrap();
    let id = SeriesId::ticks("BTCUSD".parse().unwrap());
    let found = book.ticks().ticks(&id, TimeRange::all()).await.unwrap();
    assert_eq!(
        found,
        [Tick {
            price: 1.5,
            ..tick("2025-01-01")
        }]
    );
    assert!(before == contents(ticks.path()), "a file has changed");
}

#[tokio::test]
async fn code_goes_over_environment_over_file_over_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = "durability = \"buffered\"\n[decisions]\nstorage_path = \"from_file\"\nmax_decisions = 1\n[ticks]\nstorage_path = \"from_file_too\"\n";
    std::fs::write(dir.path().join("minutebook.toml"), file).unwrap();
    let environment = Environment::from_iter([
        ("MINUTEBOOK_DECISIONS_STORAGE_PATH", "from_environment"),
        ("MINUTEBOOK_DECISIONS_MAX_DECISIONS", "2"),
    ]);
    let book = Minutebook::options()
        .config(Config::new().max_decisions(3))
        .environment(environment)
        .open(dir.path())
        .unwrap();
    let config = book.config().unwrap();
    assert_eq!(config.decisions.max_decisions, Some(3));
    assert_eq!(config.durability, Some(Durability::Buffered));
    let layout = book.layout().unwrap();
    let root = book.root().unwrap();
    assert_eq!(layout.decisions, root.join("from_environment"));
    assert_eq!(layout.ticks, root.join("from_file_too"));
    assert_eq!(layout.series, root.join("series"));
    book.decisions().create(&decision("d")).await.unwrap();
    assert!(root.join("from_environment/2025-01-01_d.json").is_file());
}

#[test]
fn wrong_settings_are_refused_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("minutebook.toml");
    std::fs::write(&file, "\n[decisions]\nstorage = \"x\"\n").unwrap();
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(
        text.contains("minutebook.toml") && text.contains("line 3") && text.contains("storage"),
        "{text}"
    );
    std::fs::write(&file, "").unwrap();
    let environment = Environment::from_iter([("MINUTEBOOK_DURABILITY", "none")]);
    let error = Minutebook::options()
        .environment(environment)
        .open(dir.path())
        .unwrap_err();
    assert!(
        error.to_string().contains("MINUTEBOOK_DURABILITY"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_said_before_opening_is_true_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let book = open(dir.path()).unwrap();
    let said = (
        book.decisions().capabilities(),
        book.ticks().capabilities(),
        book.series().capabilities(),
        book.catalog().capabilities(),
    );
    book.decisions().create(&decision("d")).await.unwrap();
    book.series()
        .append_bars(&days(), &[bar("2025-01-01")])
        .await
        .unwrap();
    book.ticks()
        .append_ticks(
            &SeriesId::ticks("A".parse().unwrap()),
            &[tick("2025-01-01")],
        )
        .await
        .unwrap();
    book.catalog()
        .register(
            &DatasetEntry::new("a".parse().unwrap(), "A", "a"),
            SaveMode::Upsert,
        )
        .await
        .unwrap();
    let is = (
        book.decisions().capabilities(),
        book.ticks().capabilities(),
        book.series().capabilities(),
        book.catalog().capabilities(),
    );
    assert_eq!(said, is);
}

#[tokio::test]
async fn a_store_keeps_its_place_when_the_program_moves() {
    let dir = tempfile::tempdir().unwrap();
    let book = open(dir.path()).unwrap();
    assert!(book.root().unwrap().is_absolute());
    assert!(book.layout().unwrap().registry.is_absolute());
}
