//! What a new process needs for its first answers, in time and memory:
//! `cargo run --release -p minutebook-json --example cold DOCUMENTS DIRECTORY`. The directory is filled if it is not there, and stays.
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

/// About a kilobyte, of one of 20 pairs, a minute after the one before, with an id that carries no time.
fn document(n: usize) -> Outcome<Decision> {
    let start = minutebook_core::time::parse_timestamp("2020-01-01")?;
    let time = start + chrono::TimeDelta::minutes(i64::try_from(n)?);
    let text = format!(
        r#"{{"id":"{}","timestamp":"{}","asset_pair":"PAIR{}","action":"BUY","confidence":{},"reasoning":"{}"}}"#,
        id(n),
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
        println!("saved in {:.1} s", start.elapsed().as_secs_f64());
    }
    for _ in 0..RUNS {
        for what in ["list", "open", "get", "latest", "latest"] {
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
    let store = JsonDecisionRepository::open(dir, JsonDecisionConfig::default())?;
    match what {
        "open" => {}
        "get" => {
            let id = DecisionId::new(id(count / 3))?;
            let _ = store.require(&id).await?;
        }
        _ => {
            let _ = store.recent(10, None).await?;
        }
    }
    let time = start.elapsed();
    tell(&format!("open, {what}"), time);
    Ok(())
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
