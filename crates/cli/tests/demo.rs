//! `minutebook demo`, from outside.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod common;

use common::World;
use serde_json::Value;

#[test]
fn the_demo_leaves_a_store_that_all_commands_read() {
    let world = World::bare();
    let path = world.store().to_str().unwrap();
    let shown = world.ok(&["demo", path]);
    for text in [
        "What it decided",
        "What is on disk",
        "minutebook.toml",
        "\"outcome\"",
        "aapl_1d",
        "Try next",
        "decision get ",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let decisions = world.json(&["decision", "list"]);
    assert!(decisions.len() >= 10);
    assert!(
        decisions
            .iter()
            .any(|line| line["decision"]["outcome"].is_object())
    );
    assert_eq!(world.json(&["bars", "list"]).len(), 2);
    assert_eq!(world.json(&["bars", "info", "AAPL", "1d"])[0]["rows"], 502);
    assert_eq!(
        world.json(&["ticks", "read", "MSFT", "--last", "3"]).len(),
        3
    );
    assert_eq!(world.json(&["catalog", "list"]).len(), 4);
    let ran = world.run(&["decision", "list", "--json"]);
    assert_eq!(
        ran.stderr, "",
        "nothing in the demo's store is out of order"
    );
    // The command that it says to try next is one.
    let get = shown
        .lines()
        .find(|line| line.contains("decision get "))
        .unwrap()
        .trim();
    let args: Vec<&str> = get.split_whitespace().skip(1).collect();
    assert!(world.ok(&args).contains("\"outcome\""));
}

#[test]
fn the_demo_writes_over_nothing_and_can_be_repeated() {
    let world = World::new();
    let path = world.store().to_str().unwrap();
    world.refused(&["demo", path], "", 4, &["not empty", "another"]);
    let temporary = world.dir().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut stores = Vec::new();
    for _ in 0..2 {
        let mut command = world.command();
        command
            .args(["demo", "--json", "--quiet"])
            .env("TMPDIR", &temporary);
        let ran = common::finish(command, b"");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        let value: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(
            (&value["bars"], &value["ticks"]),
            (&1_004.into(), &500.into())
        );
        stores.push(value["store"].as_str().unwrap().to_owned());
    }
    assert_ne!(stores[0], stores[1]);
}
