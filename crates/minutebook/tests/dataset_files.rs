//! Datasets that are files: where they lie, what they are like, what is due, what is not registered, and how they go.
#![cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::path::Path;
use std::sync::Arc;

use minutebook::config::Environment;
use minutebook::parquet::{SaveParquet, save_parquet};
use minutebook::{
    Bar, CatalogExt, DatasetChange, DatasetEntry, DatasetFilter, DatasetName, ErrorKind,
    ManualClock, Minutebook, Place, Row, SaveMode, SeriesId, Stale, StaleReason,
    TimeSeriesRepositoryExt, time::parse_timestamp,
};

fn name(text: &str) -> DatasetName {
    text.parse().unwrap()
}

fn write(path: &Path, days: &[&str]) {
    let bars: Vec<_> = days
        .iter()
        .map(|day| Bar {
            timestamp: parse_timestamp(day).unwrap(),
            open: 1.0,
            high: 1.0,
            low: 1.0,
            close: 1.0,
            volume: 0.0,
        })
        .collect();
    save_parquet(
        &[Bar::to_batch(&bars).unwrap()],
        path,
        &SaveParquet::default(),
    )
    .unwrap();
}

struct World {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    book: Minutebook,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(parse_timestamp("2025-06-01").unwrap()));
        let book = Minutebook::options()
            .environment(Environment::empty())
            .clock(clock.clone())
            .create(dir.path().join("book"))
            .unwrap();
        Self { dir, clock, book }
    }

    fn path(&self, inside: &str) -> std::path::PathBuf {
        self.dir.path().join("book").join(inside)
    }

    fn day(&self, text: &str) {
        self.clock.set(parse_timestamp(text).unwrap());
    }

    async fn register(&self, dataset: &str, path: &str) -> DatasetEntry {
        let entry = DatasetEntry::new(name(dataset), "X", path);
        let registered = self.book.register_dataset(entry, SaveMode::Create).await;
        registered.unwrap();
        self.entry(dataset).await
    }

    async fn entry(&self, dataset: &str) -> DatasetEntry {
        let catalog = self.book.catalog();
        catalog.require(&name(dataset)).await.unwrap().entry
    }

    async fn stale(&self) -> Vec<String> {
        let stale = self.book.stale(&DatasetFilter::new()).await.unwrap();
        let shown = |stale: &Stale| {
            let reasons: Vec<_> = stale.reasons.iter().map(StaleReason::name).collect();
            format!("{}: {}", stale.entry.entry.name, reasons.join(" "))
        };
        stale.iter().map(shown).collect()
    }
}

#[tokio::test]
async fn what_a_file_is_like_is_registered_with_it() {
    let world = World::new();
    write(&world.path("data/a.parquet"), &["2025-01-02", "2025-01-03"]);
    let entry = world.register("a", "data/a.parquet").await;
    assert_eq!(entry.row_count, Some(2));
    let contents = entry.contents.unwrap();
    assert_eq!(
        contents.bytes,
        Some(
            std::fs::metadata(world.path("data/a.parquet"))
                .unwrap()
                .len()
        )
    );
    assert_eq!(contents.columns[0].name, "timestamp");
    assert_eq!(contents.columns.len(), 6);
    let digest = contents.digest.unwrap();
    assert!(digest.starts_with("footer-blake3:"), "{digest}");
    let full = world.book.inspect_fully("data/a.parquet").await.unwrap();
    let full = full.unwrap().contents.digest.unwrap();
    assert!(full.starts_with("file-blake3:"), "{full}");

    let entry = world.register("later", "data/later.parquet").await;
    assert_eq!((entry.row_count, entry.contents), (None, None));

    std::fs::write(
        world.path("data/t.jsonl"),
        "{\"timestamp\": \"2025-01-02T10:00:00Z\", \"p\": 1}\nnot json\n\n{\"p\": 2}\n{\"timestamp\": \"2025-01-01\"}",
    )
    .unwrap();
    let entry = world.register("t", "data/t.jsonl").await;
    assert_eq!(entry.row_count, Some(3));
    assert_eq!(
        entry.span(),
        Some((
            parse_timestamp("2025-01-01").unwrap(),
            parse_timestamp("2025-01-02T10:00:00Z").unwrap()
        ))
    );
    let entry = world.register("windows", r"C:\data\x.parquet").await;
    assert_eq!(entry.row_count, None);
}

#[tokio::test]
async fn paths_stay_inside_unless_the_entry_says_otherwise() {
    let world = World::new();
    let outside = world.dir.path().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    write(&outside.join("x.parquet"), &["2025-01-02"]);
    write(&world.path("data/real/in.parquet"), &["2025-01-02"]);
    let link = |to: &Path, at: &str| std::os::unix::fs::symlink(to, world.path(at)).unwrap();
    link(&outside, "data/out");
    link(&outside.join("x.parquet"), "data/x.parquet");
    link(&world.path("data/real"), "data/also");
    link(Path::new("nowhere"), "data/dangling.parquet");

    let located = |path: &str| world.book.locate(path);
    for path in [
        "data/out/x.parquet",
        "data/out/not/there.parquet",
        "data/x.parquet",
        "data/dangling.parquet",
        "../outside/x.parquet",
        "data/../../outside/x.parquet",
        r"data\..\..\outside\x.parquet",
    ] {
        assert_eq!(
            located(path).unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{path}"
        );
        assert!(world.book.inspect(path).await.is_err(), "{path}");
    }
    let real = std::fs::canonicalize(world.path("data/real/in.parquet")).unwrap();
    assert_eq!(
        located("data/also/in.parquet").unwrap(),
        Place::Inside(real.clone())
    );
    assert_eq!(
        located(real.to_str().unwrap()).unwrap(),
        Place::Inside(real.clone())
    );
    let absolute = std::fs::canonicalize(outside.join("x.parquet")).unwrap();
    assert_eq!(
        located(absolute.to_str().unwrap()).unwrap(),
        Place::Outside(absolute.clone())
    );
    assert!(matches!(located(r"D:\x").unwrap(), Place::Foreign(_)));

    // Deleting never leaves the directory.
    world.register("out", absolute.to_str().unwrap()).await;
    let sneak = absolute.parent().unwrap().join("x.parquet");
    for (dataset, path) in [
        ("link", "data/x.parquet"),
        ("through", "data/out/x.parquet"),
        ("dots", "../outside/x.parquet"),
        ("settings", "minutebook.toml"),
        ("windows", r"C:\x.parquet"),
    ] {
        let entry = DatasetEntry::new(name(dataset), "X", path);
        world.book.catalog().upsert(&entry).await.unwrap();
        let error = world.book.remove_with_data(&name(dataset)).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput, "{path}");
        world.entry(dataset).await;
    }
    let error = world.book.remove_with_data(&name("out")).await.unwrap_err();
    assert!(error.to_string().contains("outside"), "{error}");
    assert!(sneak.exists() && world.path("minutebook.toml").exists());

    world.register("one", "data/real/in.parquet").await;
    world.register("two", "data/also/in.parquet").await;
    let error = world.book.remove_with_data(&name("one")).await.unwrap_err();
    assert!(error.to_string().contains("two"), "{error}");
    world.book.catalog().remove(&name("one")).await.unwrap();
    assert!(real.exists(), "removing an entry alone leaves its data");
    assert!(
        world
            .book
            .remove_with_data(&name("two"))
            .await
            .unwrap()
            .data
    );
    assert!(!real.exists());
    assert_eq!(world.book.catalog().get(&name("two")).await.unwrap(), None);
    // A link inside that leads to a file inside is not followed for deleting either.
    write(&world.path("data/real/in.parquet"), &["2025-01-02"]);
    link(&world.path("data/real/in.parquet"), "data/inner.parquet");
    world.register("inner", "data/inner.parquet").await;
    let error = world
        .book
        .remove_with_data(&name("inner"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("symbolic link"), "{error}");
    assert!(real.exists());
}

/// Another thread keeps replacing a directory on the way by a link that leads out.
#[tokio::test]
async fn no_race_makes_a_removal_leave_the_directory() {
    let world = World::new();
    let outside = world.dir.path().join("outside");
    let (data, aside) = (world.path("data"), world.path("aside"));
    let files: Vec<_> = (0..150).map(|n| format!("file{n}.jsonl")).collect();
    for dir in [&outside, &data] {
        std::fs::create_dir_all(dir).unwrap();
        for file in &files {
            std::fs::write(dir.join(file), "{}\n").unwrap();
        }
    }
    for file in &files {
        let entry = DatasetEntry::new(name(file), "X", format!("data/{file}"));
        world.book.catalog().upsert(&entry).await.unwrap();
    }
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let swapping = std::thread::spawn({
        let (over, data, aside, outside) =
            (over.clone(), data.clone(), aside.clone(), outside.clone());
        move || {
            let mut swaps = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                std::fs::rename(&data, &aside).unwrap();
                std::os::unix::fs::symlink(&outside, &data).unwrap();
                std::fs::remove_file(&data).unwrap();
                std::fs::rename(&aside, &data).unwrap();
                swaps += 1;
                if swaps % 100 == 0 {
                    // So that some find it in its place.
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
        }
    });
    let (mut went, mut refused) = (0, 0);
    for (n, file) in files.iter().enumerate() {
        if n >= 40 && went > 0 && refused > 0 {
            break;
        }
        // Where the directory is away the data counts as absent, and the entry goes alone.
        loop {
            match world.book.remove_with_data(&name(file)).await {
                Ok(removed) => break went += u32::from(removed.data),
                Err(_) => refused += 1,
            }
        }
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    swapping.join().unwrap();
    assert!(
        went > 0 && refused > 0,
        "{went} went, {refused} were refused"
    );
    let left = |dir: &Path| std::fs::read_dir(dir).unwrap().count();
    assert_eq!(left(&outside), files.len());
    assert_eq!(left(&data), files.len() - went as usize);
}

#[tokio::test]
async fn what_is_due_is_listed_with_its_reasons() {
    let world = World::new();
    for file in ["raw", "made"] {
        write(&world.path(&format!("{file}.parquet")), &["2025-01-02"]);
        world.register(file, &format!("{file}.parquet")).await;
    }
    let update = async |dataset: &str, change: DatasetChange| {
        let catalog = world.book.catalog();
        catalog.update(&name(dataset), &change).await.unwrap();
    };
    update("made", DatasetChange::new().derived_from([name("raw")])).await;
    assert_eq!(world.stale().await, Vec::<String>::new());

    world.day("2025-06-02");
    write(&world.path("raw.parquet"), &["2025-01-02", "2025-01-03"]);
    assert_eq!(world.stale().await, ["raw: data_changed"]);
    let done = world
        .book
        .refresh_stale(&DatasetFilter::new())
        .await
        .unwrap();
    assert!(done.len() == 1 && done[0].result.is_ok(), "{done:?}");
    assert_eq!(world.entry("raw").await.row_count, Some(2));
    assert_eq!(world.stale().await, ["made: parent_newer"]);

    world.day("2025-06-03");
    write(&world.path("made.parquet"), &["2025-01-02", "2025-01-03"]);
    world.book.refresh(&name("made")).await.unwrap();
    assert_eq!(world.stale().await, Vec::<String>::new());
    // Statistics taken again of the same data make nothing newer.
    world.day("2025-06-04");
    world.book.refresh(&name("raw")).await.unwrap();
    assert_eq!(world.stale().await, Vec::<String>::new());

    update("raw", DatasetChange::new().ttl_seconds(Some(86_400))).await;
    assert_eq!(world.stale().await, ["raw: expired"]);
    let retrieved = Some(parse_timestamp("2025-06-04").unwrap().into());
    update("raw", DatasetChange::new().retrieved_at(retrieved)).await;
    assert_eq!(world.stale().await, ["made: parent_newer"]);
    std::fs::remove_file(world.path("raw.parquet")).unwrap();
    std::fs::write(world.path("made.parquet"), "PAR1 no more").unwrap();
    let late = DatasetEntry::new(name("late"), "X", "late.parquet");
    world.book.catalog().upsert(&late).await.unwrap();
    write(&world.path("late.parquet"), &["2025-01-02"]);
    world.register("windows", r"C:\x.parquet").await;
    assert_eq!(
        world.stale().await,
        [
            "late: no_statistics",
            "made: parent_newer data_unreadable",
            "raw: data_missing"
        ]
    );
    let all = world.book.refresh_all(&DatasetFilter::new()).await.unwrap();
    let failed: Vec<_> = all.iter().filter(|done| done.result.is_err()).collect();
    assert_eq!((all.len(), failed.len()), (4, 3));
}

#[tokio::test]
async fn what_is_not_registered_is_found() {
    let world = World::new();
    let days = SeriesId::bars("BTCUSD".parse().unwrap(), minutebook::Timeframe::DAY);
    let bar = Bar {
        timestamp: parse_timestamp("2025-01-02").unwrap(),
        open: 1.0,
        high: 1.0,
        low: 1.0,
        close: 1.0,
        volume: 0.0,
    };
    world
        .book
        .series()
        .append_bars(&days, &[bar])
        .await
        .unwrap();
    for file in ["data/a.parquet", "data/deep/a.parquet", "known.parquet"] {
        write(&world.path(file), &["2025-01-02"]);
    }
    std::fs::write(world.path("data/b.csv"), "a\n1\n").unwrap();
    std::fs::write(world.path("data/broken.parquet"), "no").unwrap();
    std::fs::write(world.path("data/notes.txt"), "no").unwrap();
    std::fs::write(world.path("data/.hidden.csv"), "no").unwrap();
    std::os::unix::fs::symlink(world.path("data"), world.path("again")).unwrap();
    world.register("known", "./known.parquet").await;

    let found = world.book.discover().await.unwrap();
    let shown: Vec<_> = found
        .iter()
        .map(|found| {
            let entry = &found.entry;
            let rows = entry
                .row_count
                .map_or(-1, |rows| i64::try_from(rows).unwrap());
            format!(
                "{} {} {rows} {}",
                entry.name,
                entry.file_path,
                found.problem.is_some()
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "a data/a.parquet 1 false",
            "b data/b.csv -1 false",
            "broken data/broken.parquet -1 true",
            "a_2 data/deep/a.parquet 1 false",
            "btcusd_1d series:BTCUSD@1d 1 false",
        ]
    );
    assert_eq!(
        world
            .book
            .catalog()
            .names(&DatasetFilter::new())
            .await
            .unwrap(),
        [name("known")],
        "nothing was written"
    );
    for found in found {
        let registered = world
            .book
            .register_dataset(found.entry, SaveMode::Create)
            .await;
        assert_eq!(registered.is_err(), found.problem.is_some());
    }
    assert_eq!(world.book.discover().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_dataset_moves_with_its_statistics_and_is_exported() {
    let world = World::new();
    write(&world.path("a.parquet"), &["2025-01-02"]);
    world.register("a", "a.parquet").await;
    world.register("w", r"C:\x.parquet").await;
    write(
        &world.path("moved/a.parquet"),
        &["2025-01-02", "2025-01-05"],
    );
    let error = world.book.relocate(&name("a"), "nope.parquet").await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    world
        .book
        .relocate(&name("a"), "moved/a.parquet")
        .await
        .unwrap();
    let entry = world.entry("a").await;
    assert_eq!(
        (entry.file_path.as_str(), entry.row_count),
        ("moved/a.parquet", Some(2))
    );
    let all = DatasetFilter::new();
    let text = world.book.export_registry(&all, true).await.unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let path = value["a"]["file_path"].as_str().unwrap();
    assert!(Path::new(path).is_absolute() && Path::new(path).exists());
    assert_eq!(value["w"]["file_path"], r"C:\x.parquet");
    let keys = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let plain = world.book.export_registry(&all, false).await.unwrap();
    assert_eq!(keys(&plain)["a"]["file_path"], "moved/a.parquet");
    assert_eq!(keys(&plain)["a"].as_object().unwrap().len(), 9);
}
