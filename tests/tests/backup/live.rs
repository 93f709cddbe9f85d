//! Backups of a store that other processes write to, while ticks are sealed and moved to Parquet: each that is restored is in order, and has
//! everything that was acknowledged before it began.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::TimeDelta;
use minutebook::backup::{BackupOptions, RestoreOptions, check_backup};
use minutebook::check::VerifyOptions;
use minutebook::config::{Config, Durability, Environment};
use minutebook::{
    Bar, DatasetEntry, Decision, DecisionRepositoryExt, ErrorKind, Minutebook, SaveMode, ScanQuery,
    SeriesFilter, SeriesId, TimeRange, TimeSeriesRepositoryExt, time::parse_timestamp,
};
use tempfile::TempDir;

const DIR: &str = "MINUTEBOOK_BACKUP_LIVE_DIR";
const NAME: &str = "MINUTEBOOK_BACKUP_LIVE_NAME";
const PROCESSES: usize = 3;
const BACKUPS: usize = 4;

fn open(dir: &Path) -> Minutebook {
    // A kill takes no power away, so what is not synced is as safe as what is; and there is more to meet.
    let config = Config::new()
        .durability(Durability::Buffered)
        .rotate_bytes(3_000)
        .tiered(true);
    Minutebook::options()
        .environment(Environment::empty())
        .config(config)
        .create(dir)
        .unwrap()
}

fn shared() -> SeriesId {
    "SHARED@ticks".parse().unwrap()
}

fn own_bars(name: &str) -> SeriesId {
    format!("{name}@1h").parse().unwrap()
}

fn entry(name: &str, round: u64) -> String {
    let time = parse_timestamp("2025-01-01").unwrap() + TimeDelta::seconds(round.cast_signed());
    format!(
        r#"{{"timestamp": "{}", "writer": "{name}", "round": {round}}}"#,
        time.format("%Y-%m-%dT%H:%M:%S")
    )
}

fn bar(round: u64) -> Bar {
    let hours = TimeDelta::hours(round.cast_signed());
    Bar {
        timestamp: parse_timestamp("2025-01-01").unwrap() + hours,
        open: 1.0,
        high: 2.0,
        low: 1.0,
        close: 2.0,
        volume: 1.0,
    }
}

/// One round: a decision created and one replaced, a tick, a bar, a document and a dataset.
async fn write(book: &Minutebook, name: &str, round: u64) {
    let mut decision = Decision::new(format!("{name}-{round}").parse().unwrap());
    decision.set("round", &round).unwrap();
    match book.decisions().create(&decision).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
    }
    let mut last = Decision::new(name.parse().unwrap());
    last.set("round", &round).unwrap();
    book.decisions().upsert(&last).await.unwrap();
    let log = book.tick_log().unwrap().unwrap();
    let text = entry(name, round);
    log.append_entries(&shared(), &[text.as_str()])
        .await
        .unwrap();
    book.series()
        .append_bars(&own_bars(name), &[bar(round)])
        .await
        .unwrap();
    let document = format!("runs/{name}/{round}").parse().unwrap();
    book.documents()
        .save(&document, &format!("[{round}]"))
        .await
        .unwrap();
    if round.is_multiple_of(5) {
        let dataset = format!("{name}-{round}").parse().unwrap();
        let file = format!("data/{name}-{round}.parquet");
        let dataset = DatasetEntry::new(dataset, "X", file);
        book.catalog()
            .register(&dataset, SaveMode::Upsert)
            .await
            .unwrap();
    }
}

/// Processes that write, until this is dropped: when the test fails too.
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that was killed already is only waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn acknowledged(dir: &Path, name: &str) -> u64 {
    std::fs::metadata(dir.join(format!("{name}.ack"))).map_or(0, |file| file.len())
}

/// Not a test by itself: what a child process does until it is killed.
#[tokio::test]
async fn child() {
    let (Ok(dir), Ok(name)) = (std::env::var(DIR), std::env::var(NAME)) else {
        return;
    };
    let dir = Path::new(&dir);
    let book = open(&dir.join("store"));
    let mut options = std::fs::OpenOptions::new();
    let path = dir.join(format!("{name}.ack"));
    let mut log = options.append(true).create(true).open(path).unwrap();
    for round in 0.. {
        write(&book, &name, round).await;
        log.write_all(b".").unwrap();
    }
}

fn spawn(dir: &Path, name: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "live::child", "--nocapture"])
        .env(DIR, dir)
        .env(NAME, name)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Everything of the first `rounds` rounds of each writer is there, ticks once.
async fn has_all(store: &Path, rounds: &HashMap<String, u64>) {
    let book = open(store);
    let mut ticks: HashMap<(String, u64), u32> = HashMap::new();
    let rows = book
        .ticks()
        .scan(&shared(), &ScanQuery::new())
        .await
        .unwrap();
    let (rows, report) = rows.collect().await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    for batch in rows {
        let column = |name: &str| batch.column_by_name(name).unwrap().clone();
        let (writers, numbers) = (column("writer"), column("round"));
        let writers = arrow_array::cast::AsArray::as_string::<i32>(&writers);
        let numbers =
            arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int64Type>(&numbers);
        for i in 0..batch.num_rows() {
            let key = (
                writers.value(i).to_owned(),
                numbers.value(i).cast_unsigned(),
            );
            *ticks.entry(key).or_default() += 1;
        }
    }
    assert!(
        ticks.values().all(|times| *times == 1),
        "a tick comes twice"
    );
    for (name, done) in rounds {
        let bars = book.series().bars(&own_bars(name), TimeRange::all()).await;
        let bars: Vec<_> = bars.unwrap().iter().map(|bar| bar.timestamp).collect();
        if *done > 0 {
            let last = book.decisions().require(&name.parse().unwrap()).await;
            let round: u64 = last
                .unwrap()
                .decision
                .raw("round")
                .unwrap()
                .parse()
                .unwrap();
            assert!(round + 1 >= *done, "{name}: {round} of {done}");
        }
        for round in 0..*done {
            let id = format!("{name}-{round}");
            assert!(
                book.decisions()
                    .contains(&id.parse().unwrap())
                    .await
                    .unwrap(),
                "no decision {id} of {done}"
            );
            assert!(
                ticks.contains_key(&(name.clone(), round)),
                "no tick {id} of {done}"
            );
            assert!(
                bars.contains(&bar(round).timestamp),
                "no bar {id} of {done}"
            );
            let document = format!("runs/{name}/{round}").parse().unwrap();
            let document = book.documents().get(&document).await.unwrap();
            assert!(document.is_some(), "no document {id} of {done}");
            if round.is_multiple_of(5) {
                let dataset = book.catalog().get(&id.parse().unwrap()).await.unwrap();
                assert!(dataset.is_some(), "no dataset {id} of {done}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_writers_is_in_order_and_has_all_that_was_acknowledged() {
    let dir = TempDir::new().unwrap();
    let (store, backups) = (dir.path().join("store"), dir.path().join("backups"));
    drop(open(&store));
    let names: Vec<_> = (0..PROCESSES).map(|i| format!("p{i}")).collect();
    let mut children = Children(names.iter().map(|name| spawn(dir.path(), name)).collect());

    let stop = Arc::new(AtomicBool::new(false));
    // A writer in this process, by another handle, and who moves ticks to Parquet.
    let own = Arc::new(AtomicU64::new(0));
    let writer = tokio::spawn({
        let (store, stop, own) = (store.clone(), Arc::clone(&stop), Arc::clone(&own));
        async move {
            let book = open(&store);
            for round in 0.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                write(&book, "own", round).await;
                own.store(round + 1, Ordering::SeqCst);
            }
        }
    });
    let mover = tokio::spawn({
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        async move {
            let (book, mut moved) = (open(&store), 0);
            while !stop.load(Ordering::SeqCst) {
                match book.compact_ticks(&SeriesFilter::new(), false).await {
                    Ok(done) => moved += done.iter().map(|done| done.moved.len()).sum::<usize>(),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Locked, "{error}"),
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            moved
        }
    });

    let book = open(&store);
    let mut made = Vec::new();
    for wanted in 1..=BACKUPS as u64 {
        // So that each backup has something new of everyone.
        while names
            .iter()
            .any(|name| acknowledged(dir.path(), name) < wanted * 15)
        {
            assert!(
                children
                    .0
                    .iter_mut()
                    .all(|child| child.try_wait().unwrap().is_none())
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let mut rounds: HashMap<String, u64> = names
            .iter()
            .map(|name| (name.clone(), acknowledged(dir.path(), name)))
            .collect();
        rounds.insert("own".to_owned(), own.load(Ordering::SeqCst));
        let report = book.backup(&backups, &BackupOptions::new()).await.unwrap();
        assert!(
            report.unsteady.is_empty() && report.missing.is_empty(),
            "{report:?}"
        );
        made.push((report, rounds));
        // A check beside writers takes none of what they are at for damage.
        let found = book.verify(&VerifyOptions::new()).await.unwrap();
        assert!(found.is_clean(), "{:#?}", found.findings);
    }
    // The last one is killed while it writes; that leaves nothing that a backup cannot take.
    children.0[0].kill().unwrap();
    let report = book.backup(&backups, &BackupOptions::new()).await.unwrap();
    made.push((report, HashMap::new()));
    stop.store(true, Ordering::SeqCst);
    drop(children);
    writer.await.unwrap();
    let moved = mover.await.unwrap();
    assert!(moved > 0, "nothing was moved to Parquet");

    let check = check_backup(&backups, Some("all"), None).await.unwrap();
    assert!(check.is_whole(), "{check:?}");
    for (report, rounds) in made {
        let into = dir.path().join(&report.generation);
        let options = RestoreOptions::new().generation(&report.generation);
        Minutebook::restore(&backups, &into, &options)
            .await
            .unwrap();
        let found = super::verify(&into, report.journal_head.as_deref()).await;
        // Half a line of the one that was killed stays half a line.
        let clean = found.is_clean() || (rounds.is_empty() && found.damage == 0);
        assert!(clean, "{rounds:?}: {:#?}", found.findings);
        has_all(&into, &rounds).await;
        // It is a store to go on with.
        write(&open(&into), "after", 0).await;
        assert_eq!(super::verify(&into, None).await.damage, 0);
    }
}
