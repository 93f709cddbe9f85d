//! What a new process needs for its first answers, in time and memory, and for the next ones:
//! `cargo run --release -p minutebook-json --example cold DOCUMENTS DIRECTORY [QUESTION]`. The directory is filled if it is not there, and stays.
#![allow(
    clippy::print_stdout,
    reason = "a program that reports what it measured"
)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use minutebook_core::{Decision, DecisionId, DecisionRepository, DecisionRepositoryExt, SaveMode};
use minutebook_fs::Durability;
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// So many documents are saved at a time.
const BATCH: usize = 10_000;
const RUNS: usize = 3;
/// So many documents have ids that carry their time.
const TIMED: usize = 100;
/// So many answers are timed once the handle is warm.
const WARM: usize = 1_000;

/// About a kilobyte, of one of 20 pairs, a minute after the one before, with an id that carries no time.
fn document(n: usize) -> Outcome<Decision> {
    with_id(n, &id(n))
}

fn with_id(n: usize, id: &str) -> Outcome<Decision> {
    let start = minutebook_core::time::parse_timestamp("2020-01-01")?;
    let time = start + chrono::TimeDelta::minutes(i64::try_from(n)?);
    let text = format!(
        r#"{{"id":"{}","timestamp":"{}","asset_pair":"PAIR{}","action":"BUY","confidence":{},"reasoning":"{}"}}"#,
        id,
        time.to_rfc3339(),
        n % 20,
        n % 100,
        "because ".repeat(100),
    );
    Ok(Decision::from_json(&text)?)
}

fn id(n: usize) -> String {
    let hash = blake3::hash(&n.to_le_bytes()).to_hex();
    format!("{}-4{}", &hash[..8], &hash[9..28])
}

/// A UUID of version 7, of the time of the `n`th document.
fn timed_id(n: usize) -> Outcome<String> {
    let start = minutebook_core::time::parse_timestamp("2020-01-01")?;
    let millis = start.timestamp_millis() + i64::try_from(n)? * 60_000;
    let millis = format!("{millis:012x}");
    let hash = blake3::hash(&n.to_le_bytes()).to_hex();
    let (first, second) = millis.split_at(8);
    let (third, rest) = (&hash[..3], &hash[3..18]);
    Ok(format!(
        "{first}-{second}-7{third}-8{}-{}",
        &rest[..3],
        &rest[3..]
    ))
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    match arguments.as_slice() {
        [count, dir] => runtime.block_on(report(count.parse()?, Path::new(dir))),
        [count, dir, what] => runtime.block_on(once(count.parse()?, Path::new(dir), what)),
        _ => Err("give the number of documents and a directory".into()),
    }
}

async fn report(count: usize, dir: &Path) -> Outcome {
    if !dir.exists() {
        let config = JsonDecisionConfig::default().durability(Durability::Buffered);
        let store = JsonDecisionRepository::open(dir, config)?;
        let start = Instant::now();
        for first in (0..count).step_by(BATCH) {
            let last = (first + BATCH).min(count);
            let documents = (first..last).map(document).collect::<Outcome<_>>()?;
            for saved in store.save_all(documents, SaveMode::Upsert).await {
                saved?;
            }
        }
        let timed = (0..TIMED.min(count)).map(|n| with_id(n, &timed_id(n)?));
        let timed = timed.collect::<Outcome<_>>()?;
        for saved in store.save_all(timed, SaveMode::Upsert).await {
            saved?;
        }
        println!("saved in {:.1} s", start.elapsed().as_secs_f64());
    }
    for _ in 0..RUNS {
        for what in ["list", "look", "open", "get", "timed", "latest", "warm"] {
            let mut command = Command::new(std::env::current_exe()?);
            command.args([&count.to_string(), &dir.display().to_string(), what]);
            let output = command.output()?;
            print!("{}", String::from_utf8_lossy(&output.stdout));
        }
    }
    Ok(())
}

/// One of them, in this process.
async fn once(count: usize, dir: &Path, what: &str) -> Outcome {
    let start = Instant::now();
    if what == "list" {
        let entries = std::fs::read_dir(dir)?.count();
        tell(&format!("a bare listing of {entries}"), start.elapsed());
        return Ok(());
    }
    if what == "look" {
        let mut entries = 0;
        for entry in std::fs::read_dir(dir)? {
            entry?.metadata()?;
            entries += 1;
        }
        tell(&format!("a bare look at {entries}"), start.elapsed());
        return Ok(());
    }
    let store = JsonDecisionRepository::open(dir, JsonDecisionConfig::default())?;
    match what {
        "open" => {}
        "get" => {
            let id = DecisionId::new(id(count / 3))?;
            let _ = store.require(&id).await?;
        }
        "timed" => {
            let id = DecisionId::new(timed_id(TIMED / 2)?)?;
            let _ = store.require(&id).await?;
        }
        "warm" => return warm(count, &store).await,
        _ => {
            let _ = store.recent(10, None).await?;
        }
    }
    let time = start.elapsed();
    tell(&format!("open, {what}"), time);
    Ok(())
}

/// Answers of a handle that has been asked before.
async fn warm(count: usize, store: &JsonDecisionRepository) -> Outcome {
    let _ = store.recent(10, None).await?;
    let start = Instant::now();
    for n in 0..WARM {
        let id = DecisionId::new(id((n * 7_919) % count))?;
        let _ = store.require(&id).await?;
    }
    each("warm, get", start);
    for (what, pair) in [
        ("of all", None),
        ("of a pair", Some("PAIR7")),
        ("of none", Some("NONE")),
    ] {
        let pair = pair.map(str::parse).transpose()?;
        let start = Instant::now();
        for _ in 0..WARM {
            let found = store.recent(10, pair.as_ref()).await?;
            assert_eq!(found.is_empty(), what == "of none", "{what}");
        }
        each(&format!("warm, latest 10 {what}"), start);
    }
    Ok(())
}

fn each(what: &str, start: Instant) {
    let each = start.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(WARM).unwrap_or(1));
    println!("{what:<30} {each:>10.2} µs");
}

fn tell(what: &str, time: Duration) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap_or_default().trim();
    println!(
        "{what:<30} {:>10.2} ms, at most {peak}",
        time.as_secs_f64() * 1e3
    );
}
