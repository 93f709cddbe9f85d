//! `minutebook ticks`, from outside.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use common::World;

const NESTED: &str = r#"{"Item":{"time":"2025-03-25T23:07:00.773674205Z","instrument":1,"price":"2059.10000000"}}
{"Item":{"time":"2025-03-25T23:07:00.5Z","instrument":0,"price":87232.00}}
{"Item":{"time":"2025-03-25T23:07:01Z","instrument":1,"price":"2059.2"}}
"#;

#[test]
fn entries_are_kept_letter_for_letter() {
    let world = World::new();
    let lines = "{\"timestamp\": \"2025-01-01T00:00:00.123456789\", \"price\": 1.10, \"u\": \"caf\\u00e9\"}\n{\"price\":2,\"timestamp\":\"2024-12-31T23:59:59Z\"}\n";
    let file = world.file("ticks.jsonl", lines);
    let done = world.json(&["ticks", "append", "btcusd", &file]);
    assert_eq!(
        (&done[0]["series"], &done[0]["appended"]),
        (&"BTCUSD@ticks".into(), &2.into())
    );
    assert_eq!(world.ok(&["ticks", "read", "BTCUSD", "--json"]), lines);
    assert_eq!(
        world.ok(&["ticks", "read", "BTCUSD", "--json", "--last", "1"]),
        lines.lines().last().unwrap().to_owned() + "\n"
    );
    assert_eq!(
        world
            .json(&["ticks", "read", "BTCUSD", "--since", "2025-01-01"])
            .len(),
        1
    );
    let rows = world.json(&["ticks", "read", "BTCUSD", "--columns", "price"]);
    assert_eq!(rows[0]["timestamp"], "2025-01-01T00:00:00.123456789Z");
    let list = &world.json(&["ticks", "list"])[0];
    assert_eq!(
        (&list["rows"], &list["first"]),
        (&2.into(), &"2024-12-31T23:59:59Z".into())
    );
    let entry = &world.json(&["catalog", "info", "btcusd_ticks"])[0];
    assert_eq!(
        (&entry["row_count"], &entry["file_path"]),
        (&2.into(), &"ticks:BTCUSD@ticks".into())
    );
}

#[test]
fn nested_lines_of_several_symbols_are_taken_apart() {
    let world = World::new();
    let file = world.file("feed", common::gzip(NESTED.as_bytes()));
    let options = [
        "--symbol-field",
        "Item.instrument",
        "--symbol-map",
        "0=BTCUSDT,1=ETHUSDT",
        "--time-field",
        "/Item/time",
    ];
    let mut args = vec!["ticks", "append", &file];
    args.extend(options);
    world.ok(&args);
    let expected = "{\"timestamp\":\"2025-03-25T23:07:00.773674205Z\",\"Item\":{\"time\":\"2025-03-25T23:07:00.773674205Z\",\"instrument\":1,\"price\":\"2059.10000000\"}}\n";
    assert_eq!(
        world.ok(&["ticks", "read", "ETHUSDT", "--first", "1", "--json"]),
        expected
    );
    assert_eq!(world.json(&["ticks", "read", "BTCUSDT"]).len(), 1);
    // With a symbol only its lines are taken.
    let other = World::new();
    let mut args = vec!["ticks", "append", "ETHUSDT", &file];
    args.extend(options);
    other.ok(&args);
    assert_eq!(other.json(&["ticks", "list"]).len(), 1);
}

#[test]
fn numbers_are_times_when_their_unit_is_said() {
    let world = World::new();
    let line = "{\"T\": 1735689600123, \"p\": 1}\n";
    world.refused(
        &["ticks", "append", "X", "-", "--time-field", "T"],
        line,
        5,
        &["line 1", "--time-unit"],
    );
    world.ok_with(
        &[
            "ticks",
            "append",
            "X",
            "-",
            "--time-field",
            "T",
            "--time-unit",
            "ms",
        ],
        line,
    );
    assert_eq!(
        world.json(&["ticks", "read", "X"])[0]["timestamp"],
        "2025-01-01T00:00:00.123Z"
    );
}

#[test]
fn csv_becomes_entries() {
    let world = World::new();
    let file = world.file(
        "t.csv",
        "Date,Last Price,Side\n3/1/2000 10:00,1.5,buy\n3/1/2000 10:01,2,sell\n",
    );
    world.ok(&["ticks", "append", "X", &file]);
    let expected = "{\"timestamp\":\"2000-03-01T10:00:00Z\",\"last_price\":1.5,\"side\":\"buy\"}\n{\"timestamp\":\"2000-03-01T10:01:00Z\",\"last_price\":2,\"side\":\"sell\"}\n";
    assert_eq!(world.ok(&["ticks", "read", "X", "--json"]), expected);
    let again = std::fs::read(&file).unwrap();
    world.ok_with(&["ticks", "append", "Y", "-"], &again);
    assert_eq!(world.ok(&["ticks", "read", "Y", "--json"]), expected);
}

#[test]
fn a_malformed_line_stops_a_file_before_anything_is_written() {
    let world = World::new();
    let good = r#"{"timestamp": "2025-01-01"}"#;
    for (bad, says) in [
        ("{\"timestamp\": ", "not a JSON object"),
        ("{\"price\": 1}", "no time"),
        ("{\"timestamp\": \"soon\"}", "soon"),
    ] {
        let file = world.file("t.jsonl", format!("{good}\n\n{bad}\n{good}\n"));
        world.refused(
            &["ticks", "append", "X", &file],
            "",
            5,
            &["t.jsonl, line 3", says, "--skip-malformed"],
        );
        let ran = world.run(&["ticks", "append", "X", &file, "--skip-malformed", "--json"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("line 3") && ran.stderr.lines().count() == 1,
            "{}",
            ran.stderr
        );
    }
    assert_eq!(world.json(&["ticks", "read", "X"]).len(), 6);
}

#[test]
fn a_feed_on_standard_input_is_appended_as_it_comes() {
    let world = World::new();
    let mut child = world
        .command()
        .args(["ticks", "append", "X", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut feed = child.stdin.take().unwrap();
    for n in 1..=3 {
        writeln!(
            feed,
            "{{\"timestamp\": \"2025-01-01T00:00:0{n}Z\", \"n\": {n}}}"
        )
        .unwrap();
        feed.flush().unwrap();
        // Another process sees the line while the feed goes on.
        while world
            .run(&["ticks", "read", "X", "--json"])
            .stdout
            .lines()
            .count()
            < n
        {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the command ended early"
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    // A line that is torn apart by the pipe is one line; one that is malformed ends the command, and what came before stays.
    write!(feed, "{{\"timestamp\": \"2025-01-01T00:00:04Z\",").unwrap();
    feed.flush().unwrap();
    writeln!(
        feed,
        " \"n\": 4}}\nnonsense\n{{\"timestamp\": \"2025-01-01T00:00:05Z\"}}"
    )
    .unwrap();
    drop(feed);
    let mut message = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut message)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(
        message.contains("standard input, line 5")
            && message.contains("4 entries before were appended"),
        "{message}"
    );
    let kept = world.json(&["ticks", "read", "X"]);
    assert_eq!(
        kept.iter()
            .map(|line| line["n"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
}

#[test]
fn damage_in_a_tick_file_is_told_and_strict_refuses() {
    let world = World::new();
    world.ok_with(
        &["ticks", "append", "X", "-"],
        "{\"timestamp\": \"2025-01-01\", \"n\": 1}\n",
    );
    let file = world.store().join("ticks/x_timeseries.jsonl");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("garbage\n{\"timestamp\": \"2025-01-02\", \"n\": 2}\n");
    std::fs::write(&file, &text).unwrap();
    let before = common::contents(world.store());
    for args in [
        ["ticks", "read", "X", "--json"],
        ["ticks", "read", "X", "--all"],
    ] {
        let ran = world.run(&args);
        assert_eq!(ran.code, 0);
        assert!(ran.stderr.contains("line 2"), "{}", ran.stderr);
    }
    assert_eq!(
        world
            .run(&["ticks", "read", "X", "--json", "--strict"])
            .code,
        6
    );
    assert!(
        common::contents(world.store()) == before,
        "reading has changed a file"
    );
}

#[test]
fn ticks_are_followed_from_where_one_was() {
    let world = World::new();
    let line = |n| format!("{{\"timestamp\":\"2025-01-01T00:00:0{n}\",\"n\":{n}}}\n");
    let file = world.file("a.jsonl", line(1) + &line(2) + &line(3));
    world.ok(&["ticks", "append", "X", &file]);
    let follow = |rest: &[&str]| {
        let args = ["ticks", "follow", "x", "--idle", "0.3"];
        [&args, rest]
            .concat()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let ok = |rest: &[&str]| {
        let args = follow(rest);
        world.ok(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(ok(&["--from-start"]), line(1) + &line(2) + &line(3));
    assert_eq!(ok(&["--last", "1"]), line(3));
    assert_eq!(ok(&["--from-start", "--limit", "2"]), line(1) + &line(2));
    assert_eq!(ok(&[]), "");
    let seen = ok(&["--from-start", "--limit", "2", "--json"]);
    let last: serde_json::Value = serde_json::from_str(seen.lines().last().unwrap()).unwrap();
    assert_eq!(last["entry"]["n"], 2);
    let position = last["position"].as_str().unwrap();
    assert_eq!(ok(&["--after", position]), line(3));
}

#[test]
fn a_follower_sees_what_another_process_appends() {
    let world = World::new();
    world.ok(&[
        "ticks",
        "append",
        "Y",
        &world.file("y.jsonl", "{\"timestamp\":\"2025-01-01\"}\n"),
    ]);
    let mut child = world
        .command()
        .args(["ticks", "follow", "X", "--from-start", "--limit", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let entry = "{\"timestamp\":\"2025-01-01T00:00:01\",\"price\":1.50}\n";
    world.ok(&["ticks", "append", "X", &world.file("x.jsonl", entry)]);
    let mut text = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut text)
        .unwrap();
    assert_eq!(text, entry);
    assert!(child.wait().unwrap().success());
}
