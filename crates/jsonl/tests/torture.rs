//! Processes that append to one series and are killed at any moment, while a reader follows.
//!
//! `MINUTEBOOK_TORTURE=full` makes it eight processes of 100,000 entries each, as `cargo xtask torture` does; else it is a few seconds.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::*;
use futures_util::StreamExt;
use minutebook_fs::Durability;
use minutebook_jsonl::{
    AppenderOptions, EntryQuery, FollowFrom, FollowQuery, JsonlConfig, JsonlTimeSeriesRepository,
};

const WRITERS: usize = 8;

/// So long the one that follows waits for the next entry once all are written.
const PATIENCE: Duration = Duration::from_secs(30);

fn open(dir: &Path) -> JsonlTimeSeriesRepository {
    let config = JsonlConfig::default().durability(Durability::Buffered);
    JsonlTimeSeriesRepository::open(dir, config).unwrap()
}

fn entry(writer: usize, life: usize, n: usize) -> String {
    // Some are longer than a page, some than a pipe.
    let pad = match n % 97 {
        0 => 70_000,
        1 => 9_000,
        few => few,
    };
    let pad = "x".repeat(pad);
    format!(
        "{{\"timestamp\":\"2025-01-01T00:00:00\",\"w\":{writer},\"l\":{life},\"n\":{n},\"p\":\"{pad}\"}}"
    )
}

/// Says in a file what was acknowledged: with one write, so that a kill leaves it or not.
fn acknowledge(file: &mut std::fs::File, entries: usize) {
    file.write_all(format!("{entries:08}\n").as_bytes())
        .unwrap();
}

fn acknowledged(dir: &Path, writer: usize, life: usize) -> usize {
    let text =
        std::fs::read_to_string(dir.join(format!("acks-{writer}-{life}"))).unwrap_or_default();
    text.lines().last().map_or(0, |line| line.parse().unwrap())
}

#[test]
#[ignore = "a process that the other test starts"]
fn one_writer() {
    let number = |name: &str| std::env::var(name).unwrap().parse::<usize>().unwrap();
    let (writer, life, count) = (number("WRITER"), number("LIFE"), number("COUNT"));
    let dir = std::env::var("WRITER_DIR").unwrap();
    let repo = open(&Path::new(&dir).join("ticks"));
    let path = Path::new(&dir).join(format!("acks-{writer}-{life}"));
    let mut acks = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    let appender = repo.appender(AppenderOptions::new()).unwrap();
    for n in 0..count {
        appender
            .push_blocking(&btc(), &entry(writer, life, n))
            .unwrap();
        // Now and then entry by entry, now and then to the device.
        if n % 500 == 499 {
            appender.sync_blocking().unwrap();
        } else if n % 23 == 0 || n % 100 < 5 {
            appender.flush_blocking().unwrap();
        } else {
            continue;
        }
        acknowledge(&mut acks, n + 1);
    }
    appender.close_blocking().unwrap();
    acknowledge(&mut acks, count);
}

fn start(dir: &Path, writer: usize, life: usize, count: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "one_writer", "--nocapture"])
        .env("WRITER_DIR", dir)
        .env("WRITER", writer.to_string())
        .env("LIFE", life.to_string())
        .env("COUNT", count.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_processes_lose_nothing_that_was_acknowledged() {
    let full = std::env::var("MINUTEBOOK_TORTURE").is_ok_and(|value| value == "full");
    let (wanted, kills_wanted) = if full { (100_000, 400) } else { (6_000, 24) };
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    std::fs::create_dir(dir.join("ticks")).unwrap();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<usize>();
    let reader = {
        let repo = open(&dir.join("ticks"));
        std::thread::spawn(move || {
            run(async move {
                let mut follow = repo.follow(&btc(), &FollowQuery::new().from(FollowFrom::Start));
                let mut seen = HashMap::<(u64, u64), u64>::new();
                let (mut count, mut total) = (0, None);
                while total.is_none_or(|total| count < total) {
                    tokio::select! {
                        given = &mut stopped, if total.is_none() => total = Some(given.unwrap()),
                        // All is written by then: what does not come now never does.
                        () = tokio::time::sleep(PATIENCE), if total.is_some() => {
                            assert_eq!(Some(count), total, "nothing came for {PATIENCE:?}");
                        }
                        entry = follow.next() => {
                            count += 1;
                            see(&mut seen, entry.unwrap().unwrap().text());
                        }
                    }
                }
                (seen, follow.report().total())
            })
        })
    };
    let mut next = random();
    let mut lives = [0; WRITERS];
    let mut done = [0; WRITERS];
    let mut children: Vec<Option<Child>> = (0..WRITERS)
        .map(|writer| Some(start(dir, writer, 0, wanted)))
        .collect();
    let began = Instant::now();
    let mut kills = 0;
    while children.iter().any(Option::is_some) {
        std::thread::sleep(Duration::from_millis(2 + next(if full { 60 } else { 15 })));
        // One of those that are still at work.
        let at_work: Vec<_> = (0..WRITERS).filter(|n| children[*n].is_some()).collect();
        let victim = at_work[usize::try_from(next(at_work.len() as u64)).unwrap()];
        for (writer, slot) in children.iter_mut().enumerate() {
            let Some(child) = slot else { continue };
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "writer {writer}: {status}");
                done[writer] += acknowledged(dir, writer, lives[writer]);
                *slot = None;
            } else if writer == victim && kills < kills_wanted {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
                done[writer] += acknowledged(dir, writer, lives[writer]);
                lives[writer] += 1;
                *slot = Some(start(dir, writer, lives[writer], wanted - done[writer]));
            }
        }
        assert!(began.elapsed() < Duration::from_mins(if full { 60 } else { 5 }));
    }
    let repo = open(&dir.join("ticks"));
    let (all, report) = run(texts(&repo, &btc(), &EntryQuery::new())).unwrap();
    stop.send(all.len()).unwrap();
    let mut found = HashMap::new();
    for text in &all {
        see(&mut found, text);
    }
    assert!(report.total() <= kills, "{report:?} after {kills} kills");
    for (writer, last) in lives.iter().enumerate() {
        for life in 0..=*last {
            let there = found
                .get(&(writer as u64, life as u64))
                .copied()
                .unwrap_or(0);
            let acknowledged = acknowledged(dir, writer, life) as u64;
            assert!(
                there >= acknowledged,
                "writer {writer}, life {life}: {there} of {acknowledged}"
            );
        }
        assert!(done[writer] >= wanted, "writer {writer}: {}", done[writer]);
    }
    // Who followed saw the same, and nothing in part.
    let (seen, damaged) = reader.join().unwrap();
    assert_eq!(seen, found);
    assert!(
        damaged <= kills,
        "{damaged} lines in part after {kills} kills"
    );
    // How many there is time for before all is written is up to the machine.
    assert!(
        kills >= kills_wanted / 2,
        "{kills} kills of {kills_wanted} that were wanted"
    );
    println!(
        "{} entries of {WRITERS} processes, {kills} kills, {damaged} lines in part, {:.1?}",
        all.len(),
        began.elapsed()
    );
}

/// A fixed sequence that looks like none: numbers below the one given.
fn random() -> impl FnMut(u64) -> u64 {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

/// That an entry is whole, and the next one of its writer: none is missing, none is there twice.
fn see(seen: &mut HashMap<(u64, u64), u64>, text: &str) {
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    let number = |key: &str| value[key].as_u64().unwrap();
    let (writer, life, n) = (number("w"), number("l"), number("n"));
    let next = seen.entry((writer, life)).or_default();
    assert_eq!(n, *next, "writer {writer}, life {life}");
    *next += 1;
    let size = |n| usize::try_from(n).unwrap();
    assert_eq!(text, entry(size(writer), size(life), size(n)));
}
