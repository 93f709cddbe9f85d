//! `minutebook ticks rotate`, `compact` and `follow` over several segments, from outside.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::World;
use serde_json::{Value, json};

fn line(n: usize) -> String {
    format!("{{\"timestamp\":\"2025-01-01T00:00:{n:02}\",\"n\":{n}}}\n")
}

fn append(world: &World, symbol: &str, numbers: std::ops::Range<usize>) {
    let lines: String = numbers.map(line).collect();
    let file = world.file("more.jsonl", lines);
    world.ok(&["ticks", "append", symbol, &file]);
}

fn numbers(lines: &[Value]) -> Vec<u64> {
    lines
        .iter()
        .map(|line| line["n"].as_u64().unwrap())
        .collect()
}

/// A store whose ticks are tiered.
fn tiered() -> World {
    let world = World::new();
    let settings = world.store().join("minutebook.toml");
    let mut text = std::fs::read_to_string(&settings).unwrap();
    text = text.replace("[ticks]\n", "[ticks]\ntiered = true\n");
    assert!(text.contains("\ntiered = true"), "{text}");
    std::fs::write(settings, text).unwrap();
    world
}

#[test]
fn what_was_rotated_is_told_and_read_as_before() {
    let world = World::new();
    append(&world, "X", 0..3);
    append(&world, "Y", 3..5);
    let before = world.ok(&["ticks", "read", "X", "--json"]);
    let said = world.json(&["ticks", "rotate", "x"]);
    assert_eq!(said.len(), 1);
    let bytes: usize = (0..3).map(|n| line(n).len()).sum();
    let path = world.store().join("ticks/x~sealed/00000001.jsonl.zst");
    let stored = std::fs::metadata(&path).unwrap().len();
    assert_eq!(
        said[0],
        json!({
            "series": "X@ticks", "segment": 1, "rows": 3, "lines": 3, "bytes": bytes, "stored_bytes": stored,
            "first": "2025-01-01T00:00:00Z", "last": "2025-01-01T00:00:02Z", "path": path.to_str().unwrap(),
        })
    );
    assert_eq!(world.ok(&["ticks", "read", "X", "--json"]), before);
    append(&world, "X", 5..6);
    // All of them, in a table.
    let table = world.ok(&["ticks", "rotate"]);
    assert!(
        table.contains("X@ticks") && table.contains("Y@ticks"),
        "{table}"
    );
    assert_eq!(numbers(&world.json(&["ticks", "read", "X"])), [0, 1, 2, 5]);
    let ran = world.run(&["ticks", "rotate", "X"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("nothing to seal"), "{}", ran.stderr);
    let rows = &world.json(&["ticks", "list"])[0];
    assert_eq!(
        (&rows["series"], &rows["rows"]),
        (&json!("X@ticks"), &json!(4))
    );
    world.refused(&["ticks", "rotate", "Z"], "", 3, &["Z@ticks"]);
    assert_eq!(world.run(&["ticks", "rotate", "X", "Y"]).code, 2);
    assert_eq!(World::new().run(&["ticks", "rotate"]).code, 0);
    World::new().refused(&["ticks", "rotate", "X"], "", 3, &["X@ticks"]);
}

#[test]
fn a_series_that_cannot_be_sealed_does_not_keep_the_others_from_it() {
    for json in [false, true] {
        let world = World::new();
        for symbol in ["W", "X", "Y", "Z"] {
            append(&world, symbol, 0..3);
        }
        for bad in ["w", "y"] {
            let path = world.store().join(format!("ticks/{bad}~sealed"));
            std::fs::write(path, "in the way").unwrap();
        }
        // Told even where hints are not wanted.
        let mut args = vec!["ticks", "rotate", "--quiet"];
        args.extend(json.then_some("--json"));
        let ran = world.run(&args);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        for (symbol, sealed) in [("W", false), ("X", true), ("Y", false), ("Z", true)] {
            let id = format!("{symbol}@ticks");
            assert_eq!(ran.stdout.contains(&id), sealed, "{}", ran.stdout);
            let dir = format!("{}~sealed", symbol.to_lowercase());
            let path = world.store().join("ticks").join(&dir);
            assert_eq!(path.is_dir(), sealed, "{symbol}");
            let told: Vec<_> = ran.stderr.lines().filter(|l| l.contains(&dir)).collect();
            assert_eq!(told.len(), usize::from(!sealed), "{}", ran.stderr);
            assert!(told.iter().all(|line| line.starts_with("error: ")));
        }
    }
}

#[test]
fn a_series_that_cannot_be_compacted_does_not_keep_the_others_from_it() {
    let world = tiered();
    for symbol in ["W", "X", "Y", "Z"] {
        append(&world, symbol, 0..3);
    }
    world.ok(&["ticks", "rotate"]);
    // Two whose lock cannot be taken, and one with a segment that is refused.
    for bad in ["w", "y"] {
        let path = world.store().join("ticks").join(format!(".{bad}.seal"));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
    }
    let plain = world.store().join("ticks/z_timeseries.jsonl");
    std::fs::write(plain, line(3) + "nonsense\n").unwrap();
    world.ok(&["ticks", "rotate", "Z"]);
    let ran = world.run(&["ticks", "compact", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let lines = ran.stdout.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| value[key].as_str().unwrap().to_owned();
        (text("series"), text("outcome"))
    });
    let told = |series: &str, outcome: &str| (series.to_owned(), outcome.to_owned());
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            told("X@ticks", "moved"),
            told("Z@ticks", "moved"),
            told("Z@ticks", "refused")
        ]
    );
    for bad in [".w.seal", ".y.seal"] {
        let told: Vec<_> = ran.stderr.lines().filter(|l| l.contains(bad)).collect();
        assert_eq!(told.len(), 1, "{}", ran.stderr);
        assert!(told[0].starts_with("error: "), "{}", ran.stderr);
    }
    assert!(
        ran.stderr.contains("1 segment stays among the tick files"),
        "{}",
        ran.stderr
    );
    for symbol in ["W", "X", "Y", "Z"] {
        let rows = world.json(&["ticks", "read", symbol]).len();
        assert_eq!(rows, if symbol == "Z" { 4 } else { 3 });
    }
}

#[test]
fn a_damaged_segment_is_an_error_that_names_it() {
    let world = World::new();
    append(&world, "X", 0..3);
    world.ok(&["ticks", "rotate", "X"]);
    append(&world, "X", 3..4);
    let path = world.store().join("ticks/x~sealed/00000001.jsonl.zst");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let ran = world.run(&["ticks", "read", "X", "--json"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("00000001.jsonl.zst"), "{}", ran.stderr);
    let ran = world.run(&["verify", "--json"]);
    assert_eq!(ran.code, 6);
    assert!(
        ran.stdout.contains("sealed-segment-damaged"),
        "{}",
        ran.stdout
    );
    let done = world.json(&["repair", "--yes"]).remove(0);
    assert_eq!(done["clean"], true, "{done}");
    assert_eq!(numbers(&world.json(&["ticks", "read", "X"])), [3]);
}

#[test]
fn segments_are_moved_and_what_is_refused_stays() {
    let world = tiered();
    append(&world, "X", 0..3);
    let ran = world.run(&["ticks", "compact", "--json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("ticks rotate"), "{}", ran.stderr);
    world.ok(&["ticks", "rotate", "X"]);
    // A line that is no row.
    let plain = world.store().join("ticks/x_timeseries.jsonl");
    std::fs::write(plain, line(3) + "nonsense\n").unwrap();
    world.ok(&["ticks", "rotate", "X"]);
    append(&world, "X", 4..6);
    world.ok(&["ticks", "rotate", "X"]);
    append(&world, "X", 6..7);
    let outcomes = |lines: &[Value]| -> Vec<(u64, String)> {
        let of = |line: &Value| {
            let outcome = line["outcome"].as_str().unwrap().to_owned();
            (line["segment"].as_u64().unwrap(), outcome)
        };
        lines.iter().map(of).collect()
    };
    let before = common::contents(world.store());
    let plan = world.json(&["ticks", "compact", "X", "--dry-run"]);
    assert_eq!(
        outcomes(&plan),
        [
            (1, "planned".to_owned()),
            (3, "planned".to_owned()),
            (2, "refused".to_owned())
        ]
    );
    assert!(
        common::contents(world.store()) == before,
        "a dry run has changed a file"
    );
    let all = [0, 1, 2, 3, 4, 5, 6];
    assert_eq!(numbers(&world.json(&["ticks", "read", "X"])), all);
    let ran = world.run(&["ticks", "compact", "X", "--json"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("00000002.jsonl.zst"), "{}", ran.stderr);
    let lines: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        outcomes(&lines),
        [
            (1, "moved".to_owned()),
            (3, "moved".to_owned()),
            (2, "refused".to_owned())
        ]
    );
    assert!(
        lines[2]["why"].as_str().unwrap().contains("1 lines"),
        "{}",
        lines[2]
    );
    assert_eq!(numbers(&world.json(&["ticks", "read", "X"])), all);
    assert_eq!(world.json(&["ticks", "list"])[0]["rows"], 7);
    // A repair takes the line out, and then the segment is moved too.
    assert_eq!(world.run(&["verify"]).code, 6);
    assert_eq!(world.json(&["repair", "--yes"]).remove(0)["clean"], true);
    let done = world.json(&["ticks", "compact"]);
    assert_eq!(outcomes(&done), [(2, "moved".to_owned())]);
    assert_eq!(numbers(&world.json(&["ticks", "read", "X"])), all);
    world.ok(&["verify", "--strict"]);
}

#[test]
fn compaction_needs_its_setting() {
    let world = World::new();
    append(&world, "X", 0..1);
    world.ok(&["ticks", "rotate", "X"]);
    world.refused(&["ticks", "compact"], "", 8, &["tiered = true"]);
    assert_eq!(world.run(&["ticks", "compact", "X", "Y"]).code, 2);
    assert_eq!(tiered().run(&["ticks", "compact"]).code, 0);
}

#[test]
fn segments_are_followed_and_a_position_in_one_is_taken_up_again() {
    let world = World::new();
    for part in 0..4 {
        append(&world, "X", part * 3..part * 3 + 3);
        if part < 3 {
            world.ok(&["ticks", "rotate", "X"]);
        }
    }
    let ok =
        |rest: &[&str]| world.json(&[&["ticks", "follow", "X", "--idle", "0.3"], rest].concat());
    let of = |lines: &[Value]| -> Vec<u64> {
        let entries = lines
            .iter()
            .map(|line| line["entry"]["n"].as_u64().unwrap());
        entries.collect()
    };
    let all: Vec<u64> = (0..12).collect();
    assert_eq!(of(&ok(&["--from-start"])), all);
    assert_eq!(of(&ok(&["--last", "7"])), all[5..]);
    // Interrupted in any segment, and between two.
    for seen in 1..12 {
        let lines = ok(&["--from-start", "--limit", &seen.to_string()]);
        assert_eq!(of(&lines), all[..seen]);
        let position = lines.last().unwrap()["position"].as_str().unwrap();
        assert_eq!(of(&ok(&["--after", position])), all[seen..]);
    }
    // A position of a segment that was sealed since it was given.
    let live = ok(&["--from-start", "--limit", "11"]);
    world.ok(&["ticks", "rotate", "X"]);
    append(&world, "X", 12..13);
    let position = live.last().unwrap()["position"].as_str().unwrap();
    assert_eq!(of(&ok(&["--after", position])), [11, 12]);
}

#[test]
fn a_follower_that_is_killed_has_given_every_line_whole() {
    let world = World::new();
    append(&world, "X", 0..1);
    let mut child = world
        .command()
        .args(["ticks", "follow", "X", "--from-start", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut seen = Vec::new();
    let mut next = |out: &mut BufReader<_>| {
        let mut text = String::new();
        out.read_line(&mut text).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        seen.push(value["entry"]["n"].as_u64().unwrap());
        value["position"].as_str().unwrap().to_owned()
    };
    next(&mut out);
    // It goes on through a rotation.
    world.ok(&["ticks", "rotate", "X"]);
    append(&world, "X", 1..3);
    next(&mut out);
    let position = next(&mut out);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen, [0, 1, 2]);
    append(&world, "X", 3..4);
    let rest = world.json(&["ticks", "follow", "X", "--after", &position, "--limit", "1"]);
    assert_eq!(rest[0]["entry"]["n"], 3);
}

#[test]
fn wrong_input_to_a_follower_is_refused() {
    let world = World::new();
    append(&world, "X", 0..1);
    for bad in ["nonsense", "1:2", "0:1:00000001"] {
        world.refused(&["ticks", "follow", "X", "--after", bad], "", 2, &[bad]);
    }
    for rest in [
        ["--after", "1:0:00000001", "--from-start"].as_slice(),
        &["--last", "2", "--from-start"],
        &["--last", "-1"],
        &["--idle", "soon"],
        &["--limit", "few"],
    ] {
        let args = [&["ticks", "follow", "X"], rest].concat();
        assert_eq!(world.run(&args).code, 2, "{args:?}");
    }
    // Strict: damage ends it, after what came before.
    let plain = world.store().join("ticks/x_timeseries.jsonl");
    std::fs::write(plain, line(0) + "nonsense\n" + &line(1)).unwrap();
    let ran = world.run(&[
        "ticks",
        "follow",
        "X",
        "--from-start",
        "--strict",
        "--idle",
        "1",
    ]);
    assert_eq!((ran.code, ran.stdout), (6, line(0)));
    let ran = world.run(&["ticks", "follow", "X", "--from-start", "--idle", "0.3"]);
    assert_eq!((ran.code, ran.stdout), (0, line(0) + &line(1)));
    assert!(ran.stderr.contains("byte 42"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--after "), "{}", ran.stderr);
}
