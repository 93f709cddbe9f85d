//! A whole store on the simulated disk: nothing of it goes past the file system that was given.
#![cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minutebook::check::VerifyOptions;
use minutebook::config::{Config, Environment};
use minutebook::parquet::{SaveParquet, save_parquet};
use minutebook::{
    Bar, CatalogExt, Decision, DecisionRepositoryExt, ErrorKind, FindingKind, Minutebook, Row,
    SaveMode, SeriesId, Tick, TimeRange, TimeSeriesRepositoryExt, Timeframe, time::parse_timestamp,
};
use minutebook_fs::{Durability, Fs, Images, OpKind, SimFs, create_new};

fn options(fs: &Arc<dyn Fs>) -> minutebook::OpenOptions {
    Minutebook::options()
        .environment(Environment::empty())
        .fs(Arc::clone(fs))
}

#[tokio::test]
async fn a_store_lives_on_the_file_system_that_is_given() {
    let fs: Arc<dyn Fs> = Arc::new(SimFs::new());
    let path = Path::new("/minutebook-simulated/book");
    let missing = options(&fs).open(path).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);

    let book = options(&fs).create(path).unwrap();
    let days = SeriesId::bars("A".parse().unwrap(), Timeframe::DAY);
    let ticks = SeriesId::ticks("A".parse().unwrap());
    let bar = a_bar();
    let timestamp = bar.timestamp;
    let tick = Tick {
        timestamp,
        price: 1.5,
        size: None,
        side: None,
    };
    book.decisions()
        .create(&Decision::new("d".parse().unwrap()))
        .await
        .unwrap();
    book.series().append_bars(&days, &[bar]).await.unwrap();
    book.ticks().append_ticks(&ticks, &[tick]).await.unwrap();
    book.register_series(&"a".parse().unwrap(), &days)
        .await
        .unwrap();
    drop(book);

    assert!(!path.exists(), "something went to the real disk");
    let book = options(&fs).open(path).unwrap();
    assert_eq!(book.decisions().recent(10, None).await.unwrap().len(), 1);
    assert_eq!(
        book.series().bars(&days, TimeRange::all()).await.unwrap(),
        [bar]
    );
    assert_eq!(
        book.ticks().ticks(&ticks, TimeRange::all()).await.unwrap(),
        [tick]
    );
    let entry = book.catalog().require(&"a".parse().unwrap()).await.unwrap();
    assert_eq!(entry.entry.row_count, Some(1));
    let settings = minutebook_fs::read(&*fs, &path.join("minutebook.toml"), 1 << 20).unwrap();
    assert!(settings.is_some());
}

#[tokio::test]
async fn data_files_are_looked_at_on_the_file_system_that_is_given() {
    let fs: Arc<dyn Fs> = Arc::new(SimFs::new());
    let path = Path::new("/minutebook-simulated/data");
    let book = options(&fs).create(path).unwrap();
    let bar = a_bar();
    let real = tempfile::tempdir().unwrap();
    let file = real.path().join("vix.parquet");
    save_parquet(
        &[Bar::to_batch(&[bar]).unwrap()],
        &file,
        &SaveParquet::default(),
    )
    .unwrap();
    let line = b"{\"timestamp\": \"2025-01-02\", \"price\": 1.5}\n";
    for (name, bytes) in [
        ("vix.parquet", std::fs::read(&file).unwrap()),
        ("feed.jsonl", line.repeat(2)),
    ] {
        let _made = create_new(&*fs, &path.join(name), &bytes, Durability::Synced).unwrap();
    }
    let found = book.discover().await.unwrap();
    assert_eq!(found.len(), 2);
    for found in found {
        assert!(found.problem.is_none(), "{:?}", found.problem);
        let register = book.catalog().register(&found.entry, SaveMode::Create);
        register.await.unwrap();
    }
    for (name, rows) in [("vix", 1), ("feed", 2)] {
        let name = name.parse().unwrap();
        let entry = book.catalog().require(&name).await.unwrap().entry;
        assert_eq!(entry.row_count, Some(rows), "{name}");
        let whole = book.inspect_fully(&entry.file_path).await.unwrap().unwrap();
        assert!(whole.contents.is_of_all_bytes() && whole.contents.bytes > Some(0));
        book.refresh(&name).await.unwrap();
    }
    let report = book.verify(&VerifyOptions::new()).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    let gone = path.join("vix.parquet");
    minutebook_fs::remove(&*fs, &gone, Durability::Synced).unwrap();
    assert!(book.inspect("vix.parquet").await.unwrap().is_none());
}

fn a_bar() -> Bar {
    Bar {
        timestamp: parse_timestamp("2025-01-01").unwrap(),
        open: 1.0,
        high: 1.0,
        low: 1.0,
        close: 1.0,
        volume: 1.0,
    }
}

/// A store on a simulated disk with a registered Parquet file, of which this call gives the bytes.
async fn with_a_file(disk: &SimFs, path: &Path) -> (Minutebook, Vec<u8>) {
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let book = options(&fs).create(path).unwrap();
    let real = tempfile::tempdir().unwrap();
    let file = real.path().join("vix.parquet");
    let batch = Bar::to_batch(&[a_bar()]).unwrap();
    save_parquet(&[batch], &file, &SaveParquet::default()).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    disk.put(path.join("vix.parquet"), &bytes).unwrap();
    let found = book.discover().await.unwrap().remove(0);
    let register = book.catalog().register(&found.entry, SaveMode::Create);
    register.await.unwrap();
    (book, bytes)
}

#[tokio::test]
async fn damage_in_a_data_file_is_found_on_the_file_system_that_is_given() {
    let disk = SimFs::new();
    let path = Path::new("/minutebook-simulated/damaged");
    let (book, bytes) = with_a_file(&disk, path).await;
    let file = path.join("vix.parquet");
    disk.put(&file, &bytes[..bytes.len() / 2]).unwrap();
    let report = book.verify(&VerifyOptions::new()).await.unwrap();
    let kinds: Vec<_> = report.findings.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [FindingKind::DatasetDamaged]);
    let report = book.repair(&VerifyOptions::new()).await.unwrap();
    assert!(report.after.is_clean(), "{:?}", report.after.findings);
    assert!(disk.get(&file).is_none());
}

#[tokio::test]
async fn a_data_file_that_is_written_while_it_is_judged_is_judged_again() {
    let disk = SimFs::new();
    let path = Path::new("/minutebook-simulated/written");
    let (book, good) = with_a_file(&disk.new_process(), path).await;
    drop(book);
    let file = path.join("vix.parquet");
    disk.put(&file, &good[..good.len() / 2]).unwrap();
    let (process, other, once) = (disk.new_process(), disk.clone(), AtomicBool::new(false));
    let (again, written) = (file.clone(), good.clone());
    process.on_op(move |event| {
        let reads = event.kind == OpKind::Read && event.path == again;
        if reads && !once.swap(true, Ordering::SeqCst) {
            other.put(&again, &written).unwrap();
        }
    });
    let fs: Arc<dyn Fs> = Arc::new(process);
    let book = options(&fs).open(path).unwrap();
    let report = book.repair(&VerifyOptions::new()).await.unwrap();
    assert!(report.mended.is_empty(), "{:?}", report.mended);
    assert!(report.after.is_clean(), "{:?}", report.after.findings);
    assert_eq!(disk.get(&file), Some(good));
}

#[tokio::test]
async fn a_repair_takes_older_versions_away_when_the_newest_one_is_durable() {
    let disk = SimFs::new();
    let path = Path::new("/minutebook-simulated/settled");
    let days = SeriesId::bars("A".parse().unwrap(), Timeframe::DAY);
    let buffered = |disk: SimFs| {
        let fs: Arc<dyn Fs> = Arc::new(disk);
        options(&fs).config(Config::new().durability(minutebook::config::Durability::Buffered))
    };
    let book = buffered(disk.new_process()).create(path).unwrap();
    book.series().append_bars(&days, &[a_bar()]).await.unwrap();
    disk.settle();
    let tree = disk.tree();
    let is_data = |path: &&std::path::PathBuf| path.extension().is_some_and(|end| end == "parquet");
    let first = tree.keys().find(is_data).unwrap();
    disk.put(first, b"torn").unwrap();
    // Written without syncs, and nothing of the first version is in it.
    let mut bar = a_bar();
    bar.timestamp = parse_timestamp("2025-01-02").unwrap();
    let gone = book.series().delete(&days, Some(TimeRange::all())).await;
    assert_eq!(gone.unwrap(), 1);
    book.series().append_bars(&days, &[bar]).await.unwrap();
    drop(book);
    let book = buffered(disk.new_process()).open(path).unwrap();
    let report = book.repair(&VerifyOptions::new()).await.unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert!(disk.get(first).is_none(), "{:?}", report.after.findings);
    for image in disk.images_after_crash(&Images::default().max(256)) {
        let book = buffered(image.fs).open(path).unwrap();
        let found = book.series().bars(&days, TimeRange::all()).await;
        assert_eq!(found.as_deref().ok(), Some(&[bar][..]), "{}", image.what);
    }
}
