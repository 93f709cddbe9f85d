//! Measures appends and reads on a file of ticks: `cargo run --release --example measure -- TICKS.jsonl [SCRATCH [stream]]`.
//!
//! With a third argument `stream`, only one streamed read is done, and the peak memory of the process is shown.
//! Each figure is the median of several runs, beside the bare system calls on the same bytes. Nothing is asserted.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::too_many_lines,
    reason = "a program that measures and prints"
)]

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use minutebook_core::time::from_nanos;
use minutebook_core::{
    ScanQuery, SeriesId, TimeRange, TimeSeriesRepository, WriteMode, series::batch::timestamps,
};
use minutebook_fs::Durability;
use minutebook_jsonl::{AppenderOptions, EntryQuery, JsonlConfig, JsonlTimeSeriesRepository};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let ticks = PathBuf::from(arguments.next().unwrap());
    let scratch = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(scratch).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    if arguments.next().as_deref() == Some("stream") {
        runtime.block_on(streamed(&ticks, dir.path()));
    } else {
        runtime.block_on(run(&ticks, dir.path()));
    }
}

async fn streamed(ticks: &Path, dir: &Path) {
    let id: SeriesId = "BTCUSD@ticks".parse().unwrap();
    std::fs::hard_link(ticks, dir.join("btcusd_timeseries.jsonl")).unwrap();
    let repo = repo(dir, Durability::Buffered);
    let start = Instant::now();
    let rows = drain(&repo, &id, &ScanQuery::new()).await;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    println!("{rows} rows in {:?}, {}", start.elapsed(), peak.unwrap());
}

async fn run(ticks: &Path, dir: &Path) {
    reads(ticks, dir).await;
    appends(ticks, dir).await;
}

fn repo(dir: &Path, durability: Durability) -> JsonlTimeSeriesRepository {
    JsonlTimeSeriesRepository::open(dir, JsonlConfig::default().durability(durability)).unwrap()
}

async fn median<F: Future<Output = Duration>>(runs: usize, mut once: impl FnMut() -> F) -> f64 {
    let mut times = Vec::new();
    for _ in 0..runs {
        times.push(once().await.as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn show(what: &str, seconds: f64, bytes: u64) {
    let rate = bytes as f64 / seconds / 1e6;
    println!("{what:<46} {:>10.2} ms {rate:>8.0} MB/s", seconds * 1e3);
}

async fn drain(repo: &JsonlTimeSeriesRepository, id: &SeriesId, query: &ScanQuery) -> usize {
    let mut stream = repo.scan(id, query).await.unwrap();
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        rows += batch.unwrap().num_rows();
    }
    rows
}

async fn reads(ticks: &Path, dir: &Path) {
    let id: SeriesId = "BTCUSD@ticks".parse().unwrap();
    let path = dir.join("btcusd_timeseries.jsonl");
    std::fs::copy(ticks, &path).unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();

    let bare = median(7, async || {
        let start = Instant::now();
        let mut buffer = vec![0; 1 << 20];
        let mut file = File::open(&path).unwrap();
        while file.read(&mut buffer).unwrap() > 0 {}
        start.elapsed()
    })
    .await;
    show("bare read", bare, bytes);

    let all = ScanQuery::new();
    let fresh = median(7, async || {
        let repo = repo(dir, Durability::Buffered);
        let start = Instant::now();
        drain(&repo, &id, &all).await;
        start.elapsed()
    })
    .await;
    show("full load to Arrow, first scan of a process", fresh, bytes);

    repo(dir, Durability::Buffered)
        .write_index(&id)
        .await
        .unwrap();
    let indexed = median(7, async || {
        let repo = repo(dir, Durability::Buffered);
        let start = Instant::now();
        repo.summary(&id).await.unwrap();
        start.elapsed()
    })
    .await;
    show("  the same, with the index beside the file", indexed, bytes);
    std::fs::remove_file(dir.join(".btcusd.index")).unwrap();

    let index = median(7, async || {
        let repo = repo(dir, Durability::Buffered);
        let start = Instant::now();
        repo.summary(&id).await.unwrap();
        start.elapsed()
    })
    .await;
    show("  of it finding out schema and times", index, bytes);

    let warm = repo(dir, Durability::Buffered);
    let summary = warm.summary(&id).await.unwrap().unwrap();
    let again = median(7, async || {
        let start = Instant::now();
        drain(&warm, &id, &all).await;
        start.elapsed()
    })
    .await;
    show("full load to Arrow, later scans", again, bytes);

    let column = all.clone().columns(["price"]);
    let one = median(7, async || {
        let start = Instant::now();
        drain(&warm, &id, &column).await;
        start.elapsed()
    })
    .await;
    show("one column, later scans", one, bytes);

    let (first, last) = (summary.first.unwrap(), summary.last.unwrap());
    let middle = first + (last - first) / 2;
    let range = TimeRange::new(middle, middle + (last - first) / 100).unwrap();
    let percent = all.clone().range(range);
    let rows = drain(&warm, &id, &percent).await;
    let part = median(15, async || {
        let start = Instant::now();
        drain(&warm, &id, &percent).await;
        start.elapsed()
    })
    .await;
    println!(
        "{:<46} {:>10.2} ms  ({rows} rows)",
        "1 % range, later scans",
        part * 1e3
    );
    let last = median(15, async || {
        let start = Instant::now();
        drain(&warm, &id, &all.clone().last(100)).await;
        start.elapsed()
    })
    .await;
    println!("{:<46} {:>10.2} ms", "last 100, later scans", last * 1e3);

    let entries = median(5, async || {
        let start = Instant::now();
        let mut stream = warm.entries(&id, &EntryQuery::new()).await.unwrap();
        while let Some(entry) = stream.next().await {
            entry.unwrap();
        }
        start.elapsed()
    })
    .await;
    show("every entry as text", entries, bytes);
}

async fn appends(ticks: &Path, dir: &Path) {
    let text = std::fs::read_to_string(ticks).unwrap();
    let lines: Vec<&str> = text.lines().take(100_000).collect();
    let id: SeriesId = "APPEND@ticks".parse().unwrap();
    let count = lines.len() as f64;

    let bare = median(5, async || {
        let mut file = open(&dir.join("bare"));
        let start = Instant::now();
        for line in &lines {
            file.write_all(line.as_bytes()).unwrap();
        }
        start.elapsed()
    })
    .await;
    println!(
        "{:<46} {:>10.2} µs each",
        "bare append, one by one",
        bare * 1e6 / count
    );
    let buffered = median(5, async || {
        let repo = repo(dir, Durability::Buffered);
        repo.delete(&id, None).await.unwrap();
        let start = Instant::now();
        for line in &lines {
            repo.append_entries(&id, &[line]).await.unwrap();
        }
        start.elapsed()
    })
    .await;
    println!(
        "{:<46} {:>10.2} µs each",
        "append one by one, Buffered",
        buffered * 1e6 / count
    );
    let pushed = median(5, async || {
        let repo = repo(dir, Durability::Buffered);
        repo.delete(&id, None).await.unwrap();
        let appender = repo.appender(AppenderOptions::new()).unwrap();
        let start = Instant::now();
        for line in &lines {
            appender.push_blocking(&id, line).unwrap();
        }
        appender.flush_blocking().unwrap();
        start.elapsed()
    })
    .await;
    println!(
        "{:<46} {:>10.2} µs each",
        "push to an appender, Buffered, and flush",
        pushed * 1e6 / count
    );
    let tasks = 64;
    let waited = median(3, async || {
        let repo = repo(dir, Durability::Synced);
        repo.delete(&id, None).await.unwrap();
        let appender = Arc::new(repo.appender(AppenderOptions::new()).unwrap());
        let start = Instant::now();
        let running: Vec<_> = (0..tasks)
            .map(|task| {
                let (appender, id, line) =
                    (Arc::clone(&appender), id.clone(), lines[task].to_owned());
                tokio::spawn(async move {
                    for _ in 0..50 {
                        let done = appender.append(&id, &line, Durability::Synced);
                        done.await.unwrap();
                    }
                })
            })
            .collect();
        for task in running {
            task.await.unwrap();
        }
        start.elapsed()
    })
    .await;
    println!(
        "{:<46} {:>10.2} µs each",
        "64 at a time, by an appender, Synced",
        waited * 1e6 / 3_200.0
    );

    let few = 500;
    let synced = median(3, async || {
        let mut file = open(&dir.join("bare"));
        let start = Instant::now();
        for line in lines.iter().take(few) {
            file.write_all(line.as_bytes()).unwrap();
            file.sync_data().unwrap();
        }
        start.elapsed()
    })
    .await;
    println!(
        "{:<46} {:>10.2} µs each",
        "bare append + fdatasync",
        synced * 1e6 / few as f64
    );
    let synced = median(3, async || {
        let repo = repo(dir, Durability::Synced);
        let start = Instant::now();
        for line in lines.iter().take(few) {
            repo.append_entries(&id, &[line]).await.unwrap();
        }
        start.elapsed()
    })
    .await;
    println!(
        "{:<46} {:>10.2} µs each",
        "append one by one, Synced",
        synced * 1e6 / few as f64
    );
    let grouped = median(3, async || {
        let repo = repo(dir, Durability::Synced);
        let start = Instant::now();
        let lines: Arc<Vec<String>> =
            Arc::new(lines.iter().take(6_400).map(|l| (*l).to_owned()).collect());
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let (repo, id, lines) = (repo.clone(), id.clone(), Arc::clone(&lines));
                tokio::spawn(async move {
                    for line in lines.iter().skip(task * 100).take(100) {
                        repo.append_entries(&id, &[line]).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        start.elapsed()
    })
    .await;
    println!(
        "{:<46} {:>10.2} µs each",
        "64 at a time, Synced",
        grouped * 1e6 / 6_400.0
    );

    batches(ticks, dir).await;
}

async fn batches(ticks: &Path, dir: &Path) {
    let source: SeriesId = "BTCUSD@ticks".parse().unwrap();
    let id: SeriesId = "BATCH@ticks".parse().unwrap();
    let reader = repo(dir, Durability::Buffered);
    let (batch, _) = reader
        .scan(&source, &ScanQuery::new())
        .await
        .unwrap()
        .concat()
        .await
        .unwrap();
    println!(
        "{} rows from {} on",
        batch.num_rows(),
        from_nanos(timestamps(&batch).unwrap().value(0))
    );
    let written = Cell::new(0);
    for (name, durability) in [
        ("Buffered", Durability::Buffered),
        ("Synced", Durability::Synced),
    ] {
        let ours = median(5, async || {
            let repo = repo(dir, durability);
            repo.delete(&id, None).await.unwrap();
            let start = Instant::now();
            let receipt = repo
                .write(&id, batch.clone(), WriteMode::Append)
                .await
                .unwrap();
            written.set(receipt.version.0);
            start.elapsed()
        })
        .await;
        show(&format!("batch of Arrow rows, {name}"), ours, written.get());
    }
    let lines: Vec<String> = std::fs::read_to_string(ticks)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    let bytes = std::fs::metadata(ticks).unwrap().len();
    let ours = median(5, async || {
        let repo = repo(dir, Durability::Buffered);
        repo.delete(&id, None).await.unwrap();
        let start = Instant::now();
        repo.append_entries(&id, &lines).await.unwrap();
        start.elapsed()
    })
    .await;
    show("batch of entries, Buffered", ours, bytes);
    let content = std::fs::read(ticks).unwrap();
    for synced in [false, true] {
        let bare = median(5, async || {
            let mut file = open(&dir.join("bare"));
            let start = Instant::now();
            file.write_all(&content).unwrap();
            if synced {
                file.sync_all().unwrap();
            }
            start.elapsed()
        })
        .await;
        let what = if synced {
            "bare write + fsync"
        } else {
            "bare write"
        };
        show(what, bare, bytes);
    }
}

fn open(path: &Path) -> File {
    let _ = std::fs::remove_file(path);
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
}
