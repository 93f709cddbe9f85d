//! `minutebook decision`, from outside.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod common;

use common::World;
use serde_json::Value;

const THREE: &str = r#"{"id": "a", "timestamp": "2025-01-01T00:00:00Z", "asset_pair": "BTCUSD", "action": "BUY", "confidence": 0.9, "market_data": {"close": 50500.0}}
{"id": "b", "timestamp": "2025-01-02T00:00:00Z", "asset_pair": "ETHUSD", "action": "SELL", "confidence": 0.4}
{"id": "c", "timestamp": "2025-01-03T12:00:00", "asset_pair": "btcusd", "action": "HOLD", "price": 1.10}
"#;

fn three() -> World {
    let world = World::new();
    assert_eq!(
        world.ok_with(&["decision", "add"], THREE),
        "recorded 3 decisions\n"
    );
    world
}

fn ids(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["id"].as_str().unwrap())
        .collect()
}

#[test]
fn documents_of_every_form_are_recorded() {
    let world = World::new();
    let object = world.file("one.json", "{\n  \"id\": \"x\",\n  \"price\": 1.10\n}\n");
    assert_eq!(world.ok(&["decision", "add", &object]), "recorded x\n");
    let array = world.file("many.json", "[{\"id\": \"y\"},\n {\"id\": \"z\"}]");
    world.ok(&["decision", "add", &array]);
    let packed = world.file(
        "packed",
        common::gzip(b"{\"id\": \"p\"}\n{\"id\": \"q\"}\n"),
    );
    world.ok(&["decision", "add", &packed]);
    assert_eq!(world.ok(&["decision", "count"]), "5\n");
    // What was written is what comes back, digits included.
    assert_eq!(
        world.ok(&["decision", "get", "x"]),
        "{\n  \"id\": \"x\",\n  \"price\": 1.10\n}\n"
    );
    assert!(
        world
            .ok(&["decision", "get", "x", "--json"])
            .contains("\"price\":1.10")
    );
}

#[test]
fn a_document_without_id_gets_one_when_asked() {
    let world = World::new();
    let out = world.ok_with(
        &["decision", "add", "--generate-id", "--json"],
        "{\"action\": \"BUY\"}",
    );
    let receipt: Value = serde_json::from_str(&out).unwrap();
    let id = receipt["id"].as_str().unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "7"));
    assert_eq!(receipt["outcome"], "created");
    assert!(world.ok(&["decision", "get", id]).contains("BUY"));
}

#[test]
fn lists_are_filtered_ordered_and_continued() {
    let world = three();
    let list = |args: &[&str]| {
        let mut all = vec!["decision", "list"];
        all.extend(args);
        ids(&world.json(&all)).join(" ")
    };
    assert_eq!(list(&[]), "c b a");
    assert_eq!(list(&["--order", "oldest"]), "a b c");
    assert_eq!(list(&["--pair", "BTCUSD"]), "c a");
    assert_eq!(list(&["--action", "sell"]), "b");
    // Half-open: the start belongs to the range, the end does not.
    assert_eq!(
        list(&["--since", "2025-01-01", "--until", "2025-01-02"]),
        "a"
    );
    assert_eq!(list(&["--min-confidence", "0.4"]), "b a");
    assert_eq!(list(&["--field", "/market_data/close=50500"]), "a");
    assert_eq!(list(&["--field", "/action=HOLD"]), "c");
    assert_eq!(list(&["--where", "/action=HOLD"]), "c");
    assert_eq!(list(&["--id-prefix", "b"]), "b");
    assert_eq!(list(&["--limit", "2"]), "c b");
    assert_eq!(list(&["--limit", "0"]), "");
    let page = world.json(&["decision", "list", "--limit", "2"]);
    let cursor = page[1]["cursor"].as_str().unwrap();
    assert_eq!(list(&["--after", cursor]), "a");
    assert_eq!(
        world.json(&["decision", "count", "--pair", "BTCUSD"])[0]["count"],
        2
    );

    let table = world.ok(&["decision", "list"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("TIME") && lines[0].ends_with("CONFIDENCE"));
    assert_eq!(lines.len(), 4);
    // Numbers end where their heading does.
    assert_eq!(lines[2].len(), lines[0].len());
    let ran = world.run(&["decision", "list", "--limit", "1"]);
    assert!(
        ran.stderr
            .contains("--after 'newest|2025-01-03T12:00:00Z|c'"),
        "{}",
        ran.stderr
    );
}

#[test]
fn updates_change_fields_and_compare_revisions() {
    let world = three();
    let revision = || {
        world.json(&["decision", "get", "a"])[0]["revision"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let before = revision();
    world.ok(&[
        "decision",
        "update",
        "a",
        "--set",
        "executed=true",
        "--set",
        "note=as planned",
        "--unset",
        "confidence",
    ]);
    let found = &world.json(&["decision", "get", "a"])[0]["decision"];
    assert_eq!(found["executed"], true);
    assert_eq!(found["note"], "as planned");
    assert_eq!(found["asset_pair"], "BTCUSD");
    assert!(found.get("confidence").is_none());

    let ran = world.run(&[
        "decision", "update", "a", "--set", "x=1", "--expect", &before,
    ]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(
        world.json(&["decision", "get", "a"])[0]["decision"]
            .get("x")
            .is_none()
    );
    world.ok_with(
        &["decision", "update", "a", "-", "--expect", &revision()],
        "{\"x\": 1.50}",
    );
    assert!(world.ok(&["decision", "get", "a"]).contains("\"x\": 1.50"));
    let out = world.ok(&["decision", "update", "a", "--set", "x=1.50"]);
    assert!(out.starts_with("unchanged a"), "{out}");

    // As in the original, an unknown id becomes a new decision, unless that is refused.
    assert_eq!(
        world
            .run(&["decision", "update", "new", "--set", "x=1", "--must-exist"])
            .code,
        3
    );
    assert!(
        world
            .ok(&["decision", "update", "new", "--set", "x=1"])
            .starts_with("created new")
    );
    assert_eq!(
        world
            .run(&["decision", "update", "a", "--set", "id=\"b\""])
            .code,
        5
    );
    assert_eq!(world.run(&["decision", "update", "a"]).code, 2);
}

#[test]
fn deleting_is_exact_and_wiping_asks() {
    let world = three();
    assert_eq!(world.run(&["decision", "delete", "*"]).code, 3);
    assert_eq!(world.ok(&["decision", "delete", "a"]), "deleted a\n");
    assert_eq!(world.run(&["decision", "delete", "a"]).code, 3);
    world.refused(
        &["decision", "wipe"],
        "yes\n",
        2,
        &["delete all 2 decisions", "--yes"],
    );
    assert_eq!(
        world.ok(&["decision", "wipe", "--yes"]),
        "deleted 2 decisions\n"
    );
    assert_eq!(world.ok(&["decision", "wipe"]), "deleted 0 decisions\n");
}

#[test]
fn clean_up_goes_by_the_decisions_own_time() {
    let world = three();
    // The files are new, the decisions of January 2025 are old; one is from far ahead.
    world.ok_with(
        &["decision", "add"],
        r#"{"id": "future", "timestamp": "2999-01-01"}"#,
    );
    let out = world.ok(&["decision", "cleanup", "--days", "30", "--dry-run"]);
    assert!(
        out.starts_with("would delete 3 decisions from before "),
        "{out}"
    );
    assert_eq!(world.run(&["decision", "cleanup", "--days", "30"]).code, 2);
    world.ok(&["decision", "cleanup", "--days", "30", "--yes"]);
    assert_eq!(ids(&world.json(&["decision", "list"])), ["future"]);
}

#[test]
fn a_policy_keeps_the_newest_and_what_has_an_outcome() {
    let world = three();
    world.ok_with(
        &["decision", "add"],
        "{\"id\": \"d\", \"timestamp\": \"2024-12-01\", \"asset_pair\": \"BTCUSD\", \"outcome\": {\"pnl\": 1}}",
    );
    let before = common::contents(world.store());
    let policy = [
        "decision",
        "cleanup",
        "--keep",
        "1",
        "--per-pair",
        "--keep-with",
        "/outcome",
    ];
    let dry = |args: &[&'static str]| [&policy[..], &["--dry-run"], args].concat();
    let plan = &world.json(&dry(&[]))[0];
    assert_eq!(
        (&plan["would_delete"], &plan["kept"]),
        (&1.into(), &1.into())
    );
    assert_eq!(plan["decisions"][0]["id"], "a");
    assert_eq!(plan["decisions"][0]["reason"], "count");
    assert_eq!(plan["before"], Value::Null);
    let out = world.ok(&dry(&["--pair", "ETHUSD"]));
    assert_eq!(out, "would delete 0 decisions beyond the newest\n");
    assert!(
        common::contents(world.store()) == before,
        "a dry run has changed a file"
    );
    let done = &world.json(&[&policy[..], &["--yes"]].concat())[0];
    assert_eq!((&done["deleted"], &done["changed"]), (&1.into(), &0.into()));
    assert_eq!(ids(&world.json(&["decision", "list"])), ["c", "b", "d"]);
    for wrong in [
        &["decision", "cleanup"][..],
        &["decision", "cleanup", "--days", "1", "--per-pair"],
        &[
            "decision",
            "cleanup",
            "--days",
            "1",
            "--keep-with",
            "outcome",
        ],
    ] {
        assert_eq!(world.run(wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn counts_by_group() {
    let world = three();
    let by = |by: &str| {
        let groups = world.json(&["decision", "count", "--by", by]);
        let shown = groups
            .iter()
            .map(|group| format!("{}={}", group["key"], group["count"]));
        shown.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(by("pair"), "\"BTCUSD\"=2 \"ETHUSD\"=1");
    assert_eq!(by("action"), "\"BUY\"=1 \"HOLD\"=1 \"SELL\"=1");
    assert_eq!(by("day").matches("2025-01-0").count(), 3);
    assert_eq!(by("/market_data/close"), "50500=1 null=2");
    let table = world.ok(&["decision", "count", "--by", "pair", "--action", "BUY"]);
    assert_eq!(
        table
            .lines()
            .nth(1)
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["BTCUSD", "1"]
    );
    assert_eq!(
        world.run(&["decision", "count", "--by", "asset_pair"]).code,
        2
    );
}

#[test]
fn the_history_and_what_was_known_then() {
    let world = three();
    let first = world.json(&["decision", "get", "a"])[0].clone();
    world.ok(&["decision", "update", "a", "--set", "confidence=0.5"]);
    world.ok(&["decision", "delete", "a"]);
    let history = world.json(&["decision", "history", "a"]);
    let changes: Vec<_> = history
        .iter()
        .map(|state| state["change"].as_str().unwrap())
        .collect();
    assert_eq!(changes, ["saved", "saved", "deleted"]);
    assert_eq!(history[0]["revision"], first["revision"]);
    assert_eq!(history[1]["decision"]["confidence"], 0.5);
    assert_eq!(history[2]["decision"], Value::Null);
    let at = |at: &str| world.run(&["decision", "get", "a", "--at", at, "--json"]);
    for text in ["revision", "recorded_at"] {
        let ran = at(first[text].as_str().unwrap());
        let found: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(found["decision"], first["decision"], "{text}");
    }
    assert_eq!(at("2999-01-01").code, 3);
    assert_eq!(at("1999-01-01").code, 3);
    assert_eq!(at("9-0000000000000000").code, 3);
    assert_eq!(world.run(&["decision", "history", "never"]).code, 3);
    let table = world.ok(&["decision", "history", "a"]);
    assert_eq!(table.lines().count(), 4, "{table}");
}

#[test]
fn changes_are_followed_and_gone_on_with() {
    let world = three();
    world.ok(&["decision", "delete", "b"]);
    let shown = |lines: &[Value]| {
        let shown = lines.iter().map(|line| {
            format!(
                "{} {}",
                line["change"].as_str().unwrap(),
                line["id"].as_str().unwrap()
            )
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    let all = world.json(&["decision", "watch", "--from-start", "--idle", "1"]);
    assert_eq!(shown(&all), "saved a, saved b, saved c, deleted b");
    let two = world.json(&["decision", "watch", "--from-start", "--limit", "2"]);
    assert_eq!(shown(&two), "saved a, saved b");
    let position = two[1]["position"].as_str().unwrap();
    let rest = world.json(&["decision", "watch", "--after", position, "--limit", "2"]);
    assert_eq!(shown(&rest), "saved c, deleted b");
    assert_eq!(
        world
            .run(&["decision", "watch", "--after", "1-0000000000000000"])
            .code,
        3
    );

    // One that waits is told what another process does.
    let mut command = world.command();
    command.args([
        "decision",
        "watch",
        "--limit",
        "2",
        "--after",
        rest[1]["position"].as_str().unwrap(),
    ]);
    let waiting = std::thread::spawn(move || common::finish(command, b""));
    world.ok(&["decision", "update", "c", "--set", "executed=true"]);
    world.ok(&["decision", "delete", "c"]);
    let ran = waiting.join().unwrap();
    let words: Vec<Vec<&str>> = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().skip(1).collect())
        .collect();
    assert_eq!(words, [["saved", "c"], ["deleted", "c"]], "{}", ran.stderr);
    assert!(ran.stderr.contains("--after '"), "{}", ran.stderr);
}

#[test]
fn raw_text_is_kept_letter_for_letter() {
    let world = three();
    let text = "{\"id\": \"py\",  \"timestamp\": \"2025-01-04\", \"confidence\": NaN, \"s\": \"\\ud800\"}\n\n";
    world.refused(&["decision", "add"], text, 5, &["line 1"]);
    assert_eq!(
        world.ok_with(&["decision", "add", "--raw"], text),
        "created py as raw text\n"
    );
    assert_eq!(world.run_with(&["decision", "add", "--raw"], text).code, 4);
    assert_eq!(world.ok(&["decision", "get", "py", "--raw"]), text);
    let shown = &world.json(&["decision", "get", "2025-01-04_py.json", "--raw"])[0];
    assert_eq!(
        (shown["text"].as_str(), shown["file"].as_str()),
        (Some(text), Some("2025-01-04_py.json"))
    );
    let ran = world.run(&["decision", "get", "py"]);
    assert_eq!(ran.code, 8, "{}", ran.stderr);
    assert!(ran.stderr.contains("raw"), "{}", ran.stderr);
    let problems = world.json(&["decision", "list", "--problems"]);
    assert_eq!(
        (problems.len(), &problems[0]["problem"]),
        (1, &"raw_only".into())
    );
    assert_eq!(ids(&world.json(&["decision", "list"])), ["c", "b", "a"]);
    assert_eq!(
        world.json(&["decision", "history", "py"])[0]["change"],
        "raw"
    );
    let fine = world.ok_with(
        &["decision", "add", "--raw", "--upsert"],
        text.replace("NaN", "1.0"),
    );
    assert_eq!(fine, "updated py as raw text\n");
    assert_eq!(world.ok(&["decision", "delete", "py"]), "deleted py\n");
    assert_eq!(world.run(&["decision", "get", "py", "--raw"]).code, 3);
    world.refused(
        &["decision", "add", "--raw"],
        "{\"id\": \"x\", ",
        5,
        &["byte"],
    );
}

#[test]
fn files_that_are_no_decisions_are_told_and_stay() {
    let world = three();
    let decisions = world.store().join("decisions");
    std::fs::write(
        decisions.join("2025-01-05_placeholder.json"),
        "{\"note\": \"nothing\"}",
    )
    .unwrap();
    std::fs::write(
        decisions.join("2025-01-06_torn.json"),
        "{\"id\": \"torn\", ",
    )
    .unwrap();
    let before = common::contents(world.store());
    let ran = world.run(&["decision", "list", "--json"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 3));
    assert_eq!(
        ran.stderr
            .lines()
            .filter(|line| line.starts_with("warning: "))
            .count(),
        2,
        "{}",
        ran.stderr
    );
    assert_eq!(world.run(&["decision", "list", "--quiet"]).stderr, "");
    let problems = world.json(&["decision", "list", "--problems"]);
    let kinds: Vec<_> = problems
        .iter()
        .map(|line| line["problem"].as_str().unwrap())
        .collect();
    assert!(
        kinds.contains(&"missing_id") && kinds.contains(&"malformed"),
        "{kinds:?}"
    );
    assert_eq!(world.run(&["decision", "list", "--strict"]).code, 6);
    assert!(
        common::contents(world.store()) == before,
        "reading has changed a file"
    );
    world.ok(&["decision", "wipe", "--yes"]);
    assert!(decisions.join("2025-01-05_placeholder.json").exists());
}
