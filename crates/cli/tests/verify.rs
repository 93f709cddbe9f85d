//! Checking and mending a store from the command line.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod common;

use std::path::PathBuf;

use common::{World, contents};

fn with_decisions() -> World {
    let world = World::new();
    for id in ["a", "b"] {
        let text = format!("{{\"id\": \"{id}\", \"timestamp\": \"2025-01-02T00:00:00Z\"}}");
        world.ok_with(&["decision", "add"], text);
    }
    world
}

fn document(world: &World, id: &str) -> PathBuf {
    world
        .store()
        .join("decisions")
        .join(format!("2025-01-02_{id}.json"))
}

#[test]
fn a_store_in_order_is_clean_and_says_its_head() {
    let world = with_decisions();
    let before = contents(world.dir());
    let said = world.ok(&["verify"]);
    assert!(said.starts_with("clean, 0 notes: 2 decisions"), "{said}");
    let report = world.json(&["verify"]).remove(0);
    assert_eq!(report["clean"], true);
    assert_eq!(report["findings"], serde_json::json!([]));
    let head = report["journal_head"].as_str().unwrap();
    world.ok(&["verify", "--head", head, "--strict"]);
    assert_eq!(contents(world.dir()), before);
    let other = "0".repeat(63) + "1";
    let ran = world.run(&["verify", "--head", &other]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("journal-head-missing"),
        "{}",
        ran.stdout
    );
    world.refused(
        &["verify", "--head", "12"],
        "",
        2,
        &["64 hexadecimal digits"],
    );
    world.refused(&["verify", "--part", "cellar"], "", 2, &["cellar"]);
}

#[test]
fn damage_is_told_with_its_place_and_mended_when_asked() {
    let world = with_decisions();
    let whole = std::fs::read(document(&world, "a")).unwrap();
    std::fs::write(document(&world, "a"), "{\"id\": ").unwrap();
    let ran = world.run(&["verify"]);
    assert_eq!(ran.code, 6);
    assert!(
        ran.stdout
            .starts_with("damage: decisions/2025-01-02_a.json"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("decision-torn") && ran.stdout.contains("mend: "));
    assert!(ran.stderr.contains("repair --dry-run"), "{}", ran.stderr);
    let report: serde_json::Value =
        serde_json::from_str(&world.run(&["verify", "--json"]).stdout).unwrap();
    assert_eq!(report["findings"][0]["kind"], "decision-torn");
    assert_eq!(report["findings"][0]["subject"], "a");
    // Another part has nothing to do with it.
    world.ok(&["verify", "--part", "catalog"]);

    let before = contents(world.dir());
    let plan = world.json(&["repair", "--dry-run"]);
    assert_eq!(plan.len(), 1);
    assert_eq!(plan[0]["mendable"], true);
    let ran = world.run(&["repair"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    assert_eq!(contents(world.dir()), before);

    let done = world.json(&["repair", "--yes"]).remove(0);
    assert_eq!((&done["clean"], &done["lost"]), (&true.into(), &0.into()));
    assert_eq!(std::fs::read(document(&world, "a")).unwrap(), whole);
    let quarantine = PathBuf::from(done["quarantine"].as_str().unwrap());
    let manifest = std::fs::read_to_string(quarantine.join("manifest.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(manifest.trim()).unwrap();
    assert_eq!(line["from"], "decisions/2025-01-02_a.json");
    assert_eq!(line["kind"], "decision-torn");
    let kept = quarantine.join(line["file"].as_str().unwrap());
    assert_eq!(std::fs::read(kept).unwrap(), b"{\"id\": ");

    world.ok(&["verify", "--strict"]);
    let again = world.json(&["repair", "--yes"]).remove(0);
    assert_eq!(again["mended"], serde_json::json!([]));
    assert_eq!(again["quarantine"], serde_json::Value::Null);
}

#[test]
fn what_is_lost_is_said() {
    let world = with_decisions();
    std::fs::write(document(&world, "x"), "{\"id\": ").unwrap();
    let ran = world.run(&["repair", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("data is lost"), "{}", ran.stderr);
    assert!(!document(&world, "x").exists());
}

#[test]
fn what_is_untidy_fails_only_when_asked_to() {
    let world = with_decisions();
    std::fs::copy(
        document(&world, "a"),
        world.store().join("decisions/2024-01-02_a.json"),
    )
    .unwrap();
    let said = world.ok(&["verify"]);
    assert!(
        said.starts_with("untidy: ") && said.contains("1 untidy"),
        "{said}"
    );
    assert_eq!(world.run(&["verify", "--strict"]).code, 6);
    world.ok(&["repair", "--yes"]);
    world.ok(&["verify", "--strict"]);
}

/// Nobody reads the findings (`| head`): what was asked for is done, and the exit code says what was found.
#[test]
fn the_verdict_counts_though_nobody_reads_to_the_end() {
    let world = World::new();
    world.ok_with(
        &["ticks", "append", "BTCUSD", "-"],
        "{\"timestamp\": \"2025-01-01T00:00:00Z\", \"price\": 1}\n",
    );
    let path = world.store().join("ticks/btcusd_timeseries.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str(&"no tick\n".repeat(2_000));
    std::fs::write(&path, text).unwrap();
    let unread = |args: &[&str]| {
        let mut command = world.command();
        command
            .args(args)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        child.wait().unwrap().code()
    };
    assert_eq!(unread(&["verify"]), Some(6));
    assert_eq!(unread(&["repair", "--yes"]), Some(0));
    world.ok(&["verify", "--strict"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
}
