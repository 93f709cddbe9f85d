//! A repair stopped before each of its steps, by a kill and by a power cut: no bytes are lost, and the next repair finishes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook::check::VerifyOptions;
use minutebook::config::Environment;
use minutebook::repair::RepairReport;
use minutebook::{DatasetEntry, Decision, DecisionRepositoryExt, Minutebook, Result, SaveMode};
use minutebook_fs::crash::{self, Crashed, Options};
use minutebook_fs::{Durability, FileKind, Fs, SimFs, read, replace};
use minutebook_testkit::test_clock;

use super::runtime;

pub(crate) const STORE: &str = "/store";
const TORN: &str = "{\"torn\": [1, 2";
const MALFORMED: &str = "no entry at all";
const TAIL: &str = "{\"timestamp\": \"2025-02-03T00:00:00\", \"pri";

pub(crate) fn open(disk: &SimFs) -> Result<Minutebook> {
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    Minutebook::options()
        .environment(Environment::empty())
        .clock(test_clock())
        .fs(fs)
        .create(STORE)
}

async fn fill(disk: &SimFs) -> Result<()> {
    let book = open(disk)?;
    let decision = Decision::new("d".parse()?);
    book.decisions().create(&decision).await?;
    let log = book.tick_log()?.unwrap();
    let entry = r#"{"timestamp": "2025-02-01T00:00:00", "price": 1.5}"#;
    log.append_entries(&"BTCUSD@ticks".parse()?, &[entry, entry])
        .await?;
    for name in ["good", "torn"] {
        book.documents().save(&name.parse()?, "[1]").await?;
    }
    for name in ["good", "bad"] {
        let entry = DatasetEntry::new(name.parse()?, "X", format!("data/{name}.parquet"));
        book.catalog().register(&entry, SaveMode::Create).await?;
    }
    Ok(())
}

fn put(disk: &SimFs, file: &str, text: &str) {
    let path = Path::new(STORE).join(file);
    replace(disk, &path, text.as_bytes(), Durability::Synced).unwrap();
}

fn text(disk: &SimFs, file: &str) -> String {
    let bytes = read(disk, &Path::new(STORE).join(file), 1 << 20).unwrap();
    String::from_utf8(bytes.unwrap()).unwrap()
}

/// A decision, a document, lines of ticks and an entry of the catalog, all damaged.
fn damage(disk: &SimFs) -> std::result::Result<(), String> {
    runtime()
        .block_on(fill(disk))
        .map_err(|error| format!("{error:?}"))?;
    let decisions = disk.read_dir(&Path::new(STORE).join("decisions")).unwrap();
    let document = decisions
        .iter()
        .find_map(|entry| entry.name.to_str().filter(|name| name.ends_with("_d.json")))
        .unwrap();
    put(disk, &format!("decisions/{document}"), TORN);
    put(disk, "documents/torn.json", TORN);
    let ticks = "ticks/btcusd_timeseries.jsonl";
    let lines = text(disk, ticks);
    let (first, second) = lines.split_once('\n').unwrap();
    put(
        disk,
        ticks,
        &format!("{first}\n{MALFORMED}\n{second}{TAIL}"),
    );
    let registry = text(disk, "registry.json");
    let bad = registry.replace("\"data/bad.parquet\"", "7");
    assert_ne!(bad, registry);
    put(disk, "registry.json", &bad);
    Ok(())
}

/// Everything that is in the store, its quarantine included.
fn everything(disk: &SimFs) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(STORE)];
    while let Some(dir) = open.pop() {
        for entry in disk.read_dir(&dir).unwrap() {
            let path = dir.join(&entry.name);
            if entry.kind == FileKind::Dir {
                open.push(path);
            } else {
                let bytes = read(disk, &path, 1 << 20).unwrap().unwrap();
                found.push((path, String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    found
}

fn check(crashed: &Crashed<'_, Result<RepairReport>>) -> std::result::Result<(), String> {
    let disk = &crashed.disk;
    let kept = |when: &str| {
        let all = everything(disk);
        for (what, at_least) in [
            (TORN, 2),
            (MALFORMED, 1),
            (TAIL, 1),
            ("\"file_path\": 7", 1),
        ] {
            let times = all.iter().filter(|(_, text)| text.contains(what)).count();
            if times < at_least {
                return Err(format!("{when}: {what} is there {times} times"));
            }
        }
        Ok(())
    };
    kept("after the crash")?;
    runtime().block_on(async {
        let told = |error: minutebook::Error| format!("{error:?}");
        let options = VerifyOptions::new();
        let again = open(disk)
            .map_err(told)?
            .repair(&options)
            .await
            .map_err(told)?;
        if !again.failed.is_empty() || !again.after.is_clean() {
            return Err(format!(
                "not mended: {:?} {:?}",
                again.failed, again.after.findings
            ));
        }
        kept("after the second repair")?;
        let book = open(disk).map_err(told)?;
        let last = book.repair(&options).await.map_err(told)?;
        if !last.mended.is_empty() {
            return Err(format!(
                "a third repair has something to do: {:?}",
                last.mended
            ));
        }
        let decision = book.decisions().contains(&"d".parse().unwrap()).await;
        let document = book.documents().get(&"good".parse().unwrap()).await;
        let entry = book.catalog().get(&"good".parse().unwrap()).await;
        let lines = text(disk, "ticks/btcusd_timeseries.jsonl");
        let whole = decision.map_err(told)?
            && document.map_err(told)?.is_some()
            && entry.map_err(told)?.is_some()
            && lines.lines().count() == 2;
        whole
            .then_some(())
            .ok_or_else(|| format!("something else is gone: {lines}"))
    })
}

#[test]
fn a_repair_can_be_stopped_anywhere() {
    let report = crash::enumerate(
        &Options::default(),
        damage,
        |disk| {
            let options = VerifyOptions::new();
            runtime().block_on(async { open(disk)?.repair(&options).await })
        },
        check,
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.steps > 20 && report.states > 100, "{report:?}");
}
