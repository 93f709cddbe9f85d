//! Many processes register datasets in one registry, some of them are killed, and nothing that was acknowledged is lost.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use minutebook_core::{Catalog, CatalogExt, DatasetEntry, DatasetFilter, DatasetName};
use minutebook_fs::{Durability, LockWait};
use minutebook_json::{JsonCatalog, JsonCatalogConfig};

const DIR: &str = "MINUTEBOOK_TEST_REGISTRY";
const NAME: &str = "MINUTEBOOK_TEST_NAME";
const COUNT: &str = "MINUTEBOOK_TEST_COUNT";
const BUFFERED: &str = "MINUTEBOOK_TEST_BUFFERED";

fn open(dir: &Path, durability: Durability) -> JsonCatalog {
    let config = JsonCatalogConfig::default()
        .durability(durability)
        // Seven others may be before it, on a machine that has other things to do.
        .lock_wait(LockWait::Timeout(Duration::from_mins(2)));
    JsonCatalog::open(dir.join("registry.json"), config).unwrap()
}

fn acknowledged(dir: &Path, name: &str) -> u64 {
    std::fs::metadata(dir.join(format!("{name}.ack"))).map_or(0, |file| file.len())
}

/// Not a test by itself: what a child process does.
#[tokio::test]
async fn child() {
    let (Ok(dir), Ok(name), Ok(count)) = (
        std::env::var(DIR),
        std::env::var(NAME),
        std::env::var(COUNT),
    ) else {
        return;
    };
    let dir = Path::new(&dir);
    let durability = match std::env::var(BUFFERED) {
        Ok(_) => Durability::Buffered,
        Err(_) => Durability::Synced,
    };
    let catalog = open(dir, durability);
    let mut ack = std::fs::File::options()
        .append(true)
        .create(true)
        .open(dir.join(format!("{name}.ack")))
        .unwrap();
    for n in acknowledged(dir, &name)..count.parse().unwrap() {
        let dataset = DatasetName::new(format!("{name}-{n:04}")).unwrap();
        let entry = DatasetEntry::new(dataset, "VIX", format!("data/{name}/{n}.parquet"))
            .with_tenor("5Y")
            .with_metadata("n", n);
        catalog.upsert(&entry).await.unwrap();
        ack.write_all(b".").unwrap();
    }
}

fn spawn(dir: &Path, name: &str, count: u64, durability: Durability) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    if durability == Durability::Buffered {
        command.env(BUFFERED, "1");
    }
    command
        .args(["--exact", "child", "--nocapture"])
        .env(DIR, dir)
        .env(NAME, name)
        .env(COUNT, count.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// So many processes register so many datasets each, while one of them is killed and started again so many times.
async fn torture(processes: usize, each: u64, kills: u64, durability: Durability) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let names: Vec<String> = (0..processes).map(|n| format!("p{n}")).collect();
    let mut children: Vec<Child> = names
        .iter()
        .map(|name| spawn(dir, name, each, durability))
        .collect();
    let reader = open(dir, durability);
    let all = processes as u64 * each;
    let (mut seen, mut killed, mut victim) = (0, 0, 0);
    loop {
        let acknowledged: u64 = names.iter().map(|name| acknowledged(dir, name)).sum();
        let found = reader.list(&DatasetFilter::new()).await.unwrap().len() as u64;
        assert!(
            found >= seen.max(acknowledged),
            "{found} datasets, {seen} before, {acknowledged} acknowledged"
        );
        seen = found;
        if acknowledged == all {
            break;
        }
        // Spread over the run, at steps of the work and not of the clock, so that slow machines see them all.
        if killed < kills && acknowledged >= (killed + 1) * all / (kills + 1) {
            killed += 1;
            victim = (victim + 3) % processes;
            children[victim].kill().unwrap();
            children[victim].wait().unwrap();
            children[victim] = spawn(dir, &names[victim], each, durability);
        }
        for child in &mut children {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "a child failed: {status}");
            }
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(killed, kills);
    let found: BTreeSet<String> = open(dir, durability)
        .names(&DatasetFilter::new())
        .await
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    let expected: BTreeSet<String> = names
        .iter()
        .flat_map(|name| (0..each).map(move |n| format!("{name}-{n:04}")))
        .collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn processes_that_are_killed_lose_no_registration() {
    torture(4, 40, 3, Durability::Synced).await;
}

/// A kill takes no power away, so what is not synced is as safe as what is.
#[tokio::test]
async fn eight_processes_with_500_registrations_each_lose_none() {
    torture(8, 500, 40, Durability::Buffered).await;
}
