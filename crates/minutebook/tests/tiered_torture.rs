//! Processes that append to one tiered series, seal it and move it to Parquet, and are killed at any moment, while others read it all the time.
//!
//! `MINUTEBOOK_TORTURE=full` makes it some minutes and some thousand kills; else it is a few seconds.
#![cfg(all(feature = "jsonl", feature = "parquet"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test program"
)]

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use minutebook::jsonl::{AppenderOptions, JsonlConfig, JsonlTimeSeriesRepository};
use minutebook::parquet::{ParquetConfig, ParquetTimeSeriesRepository};
use minutebook::{ErrorKind, ScanQuery, SeriesId, Tiered, TimeSeriesRepository};
use minutebook_fs::Durability;

const WRITERS: usize = 3;
const MOVERS: usize = 2;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn btc() -> SeriesId {
    "BTCUSD@ticks".parse().unwrap()
}

fn open(dir: &Path) -> (JsonlTimeSeriesRepository, Tiered) {
    let hot = JsonlConfig::default().durability(Durability::Buffered);
    let hot = JsonlTimeSeriesRepository::open(dir.join("ticks"), hot).unwrap();
    let cold = ParquetConfig::default().durability(Durability::Buffered);
    let cold = ParquetTimeSeriesRepository::open(dir.join("series"), cold).unwrap();
    (hot.clone(), Tiered::over_files(hot, cold))
}

/// What an entry carries beside its numbers: the more the longer, and none like another's.
fn pad(writer: i64, life: i64, n: i64) -> String {
    let times = if n % 211 == 0 { 3_000 } else { 1 + n % 13 };
    format!("{writer}.{life}.{n};").repeat(usize::try_from(times).unwrap())
}

fn entry(writer: i64, life: i64, n: i64) -> String {
    let pad = pad(writer, life, n);
    let (minute, second) = (n / 60 % 60, n % 60);
    format!(
        "{{\"timestamp\":\"2025-01-01T00:{minute:02}:{second:02}\",\"w\":{writer},\"l\":{life},\"n\":{n},\"p\":\"{pad}\"}}"
    )
}

fn acks(dir: &Path, writer: usize, life: usize) -> PathBuf {
    dir.join(format!("acks-{writer}-{life}"))
}

fn acknowledged(dir: &Path, writer: usize, life: usize) -> usize {
    let text = std::fs::read_to_string(acks(dir, writer, life)).unwrap_or_default();
    // Each line was one write: it is there or not.
    text.lines().last().map_or(0, |line| line.parse().unwrap())
}

#[test]
#[ignore = "a process that the other test starts"]
fn one_process() {
    let text = |name: &str| std::env::var(name).unwrap();
    let number = |name: &str| text(name).parse::<usize>().unwrap();
    let dir = PathBuf::from(text("TORTURE_DIR"));
    match text("TORTURE_ROLE").as_str() {
        "writer" => write(&dir, number("WRITER"), number("LIFE")),
        _ => move_on(&dir),
    }
}

/// Appends, in part through an appender, and says in a file what was acknowledged; until it is enough.
fn write(dir: &Path, writer: usize, life: usize) {
    let (hot, _) = open(dir);
    let mut said = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(acks(dir, writer, life))
        .unwrap();
    let of = |n: usize| {
        let number = |n| i64::try_from(n).unwrap();
        entry(number(writer), number(life), number(n))
    };
    let appender = hot.appender(AppenderOptions::new()).unwrap();
    let mut n = 0;
    while !dir.join("enough").exists() {
        let batch = 1 + n % 17;
        let entries: Vec<_> = (n..n + batch).map(of).collect();
        if n % 3 == 0 {
            run(hot.append_entries(&btc(), &entries)).unwrap();
        } else {
            for entry in &entries {
                appender.push_blocking(&btc(), entry).unwrap();
            }
            appender.flush_blocking().unwrap();
        }
        n += batch;
        said.write_all(format!("{n:08}\n").as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(8));
    }
    appender.close_blocking().unwrap();
}

/// Seals and compacts until it is killed.
fn move_on(dir: &Path) {
    let (hot, tiered) = open(dir);
    run(async {
        loop {
            match hot.rotate(&btc()).await {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => panic!("{error}"),
            }
            let report = tiered.compact(&btc(), false).await.unwrap();
            for refused in &report.refused {
                // Only what a killed writer has torn.
                assert!(refused.segment.flaws > 0, "{refused:?}");
            }
        }
    });
}

fn start(dir: &Path, role: &str, number: usize, life: usize) -> Child {
    let told = std::fs::File::options()
        .create(true)
        .append(true)
        .open(dir.join("told"))
        .unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "one_process", "--nocapture"])
        .env("TORTURE_DIR", dir)
        .env("TORTURE_ROLE", role)
        .env("WRITER", number.to_string())
        .env("LIFE", life.to_string())
        .stdout(Stdio::null())
        .stderr(told)
        .spawn()
        .unwrap()
}

/// How many entries of each life of each writer a read finds: from the first on, each once, each whole.
async fn read(tiered: &Tiered, most_torn: usize) -> HashMap<(usize, usize), usize> {
    let mut lives: HashMap<(usize, usize), Vec<i64>> = HashMap::new();
    let stream = match tiered.scan(&btc(), &ScanQuery::new()).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::NotFound => return HashMap::new(),
        Err(error) => panic!("{error}"),
    };
    let (batch, report) = stream.concat().await.unwrap();
    let of = |name: &str| batch.column_by_name(name).unwrap();
    let ints = |name: &str| of(name).as_primitive::<Int64Type>().values();
    let (writers, of_life, numbers) = (ints("w"), ints("l"), ints("n"));
    let pads = of("p").as_string::<i32>();
    for row in 0..batch.num_rows() {
        let (writer, life, n) = (writers[row], of_life[row], numbers[row]);
        assert_eq!(pads.value(row), pad(writer, life, n));
        let key = (
            usize::try_from(writer).unwrap(),
            usize::try_from(life).unwrap(),
        );
        lives.entry(key).or_default().push(n);
    }
    assert!(
        usize::try_from(report.total()).unwrap() <= most_torn,
        "{report:?}"
    );
    lives
        .into_iter()
        .map(|(life, mut numbers)| {
            numbers.sort_unstable();
            let all: Vec<i64> = (0..).take(numbers.len()).collect();
            assert_eq!(numbers, all, "writer and life {life:?}");
            (life, numbers.len())
        })
        .collect()
}

/// Ends the readers and the processes, also if the test stops half way.
struct Stop<'a>(&'a AtomicBool, Vec<Option<Child>>);
impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        for child in self.1.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn killed_writers_and_movers_lose_and_double_nothing() {
    let full = std::env::var("MINUTEBOOK_TORTURE").is_ok_and(|value| value == "full");
    let kills_wanted = if full { 1_500 } else { 40 };
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    std::fs::create_dir(dir.join("ticks")).unwrap();
    let lives: Vec<AtomicUsize> = (0..WRITERS).map(|_| AtomicUsize::new(0)).collect();
    let (done, kills, reads) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let (lives, done, kills, reads) = (&lives, &done, &kills, &reads);
    // What was acknowledged before a read has to be in it.
    let least = || {
        let mut least = Vec::new();
        for (writer, last) in lives.iter().enumerate() {
            for life in 0..=last.load(Ordering::SeqCst) {
                least.push(((writer, life), acknowledged(dir, writer, life)));
            }
        }
        least
    };
    let check = |least: Vec<((usize, usize), usize)>, found: &HashMap<(usize, usize), usize>| {
        for (life, least) in least {
            let there = found.get(&life).copied().unwrap_or(0);
            assert!(
                there >= least,
                "writer and life {life:?}: {there} of {least}"
            );
        }
    };
    std::thread::scope(|scope| {
        for keeps_open in [true, false] {
            scope.spawn(move || {
                let mut opened = open(dir).1;
                while !done.load(Ordering::SeqCst) {
                    if !keeps_open {
                        opened = open(dir).1;
                    }
                    let least = least();
                    let found = run(read(&opened, kills_wanted));
                    check(least, &found);
                    let rows = run(opened.summary(&btc())).unwrap().map_or(0, |s| s.rows);
                    let before: usize = found.values().sum();
                    assert!(rows >= before as u64, "{rows} rows after {before}");
                    reads.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        // A fixed sequence that looks like none.
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut stop = Stop(done, Vec::new());
        for number in 0..WRITERS + MOVERS {
            let role = if number < WRITERS { "writer" } else { "mover" };
            stop.1.push(Some(start(dir, role, number, 0)));
        }
        let began = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(5 + next(90)));
            let victim = usize::try_from(next((WRITERS + MOVERS) as u64)).unwrap();
            for (number, slot) in stop.1.iter_mut().enumerate() {
                let Some(child) = slot else { continue };
                let ended = child.try_wait().unwrap();
                if let Some(status) = ended {
                    let told = std::fs::read_to_string(dir.join("told")).unwrap_or_default();
                    assert!(
                        status.success() && number < WRITERS,
                        "{number}: {status}: {told}"
                    );
                    *slot = None;
                } else if number == victim && kills.load(Ordering::SeqCst) < kills_wanted {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    kills.fetch_add(1, Ordering::SeqCst);
                    *slot = Some(if number < WRITERS {
                        let life = lives[number].fetch_add(1, Ordering::SeqCst) + 1;
                        start(dir, "writer", number, life)
                    } else {
                        start(dir, "mover", number, 0)
                    });
                }
            }
            if stop.1.iter().take(WRITERS).all(Option::is_none) {
                break;
            }
            if kills.load(Ordering::SeqCst) == kills_wanted && reads.load(Ordering::SeqCst) > 10 {
                std::fs::write(dir.join("enough"), "").unwrap();
            }
            assert!(began.elapsed() < Duration::from_mins(if full { 60 } else { 5 }));
        }
    });
    let (hot, tiered) = open(dir);
    run(async {
        hot.rotate(&btc()).await.unwrap();
        for _ in 0..2 {
            let report = tiered.compact(&btc(), false).await.unwrap();
            assert!(
                report.refused.iter().all(|r| r.segment.flaws > 0),
                "{report:?}"
            );
            let found = read(&tiered, kills_wanted).await;
            check(least(), &found);
            let all: usize = found.values().sum();
            let rows = tiered.summary(&btc()).await.unwrap().unwrap().rows;
            assert_eq!(rows, all as u64);
        }
    });
    // Most of it was moved meanwhile, not at the end.
    let cold = ParquetTimeSeriesRepository::open(dir.join("series"), ParquetConfig::default());
    let moved = run(cold.unwrap().absorbed(&btc())).unwrap().unwrap();
    assert!(moved.absorbed.commits > 10, "{moved:?}");
}
