//! `minutebook series`, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::format_push_string,
    reason = "a test stops where something is not as it should be"
)]

mod common;

use common::World;

/// Hourly bars of a Friday and the Monday after it; the bar of Friday 22:00 is missing.
fn hours() -> String {
    let mut text = String::from("timestamp,open,high,low,close,volume\n");
    for day in ["2024-01-05", "2024-01-08"] {
        for hour in 0..24 {
            if (day, hour) != ("2024-01-05", 22) {
                text.push_str(&format!("{day}T{hour:02}:00:00Z,{hour},30,0,{hour}.5,2\n"));
            }
        }
    }
    text
}

fn world() -> World {
    let world = World::new();
    let file = world.file("hours.csv", hours());
    world.ok(&["bars", "import", "BTCUSD", "1h", &file]);
    world
}

#[test]
fn versions_are_listed_compared_and_restored() {
    let world = world();
    let changed = "timestamp,open,high,low,close,volume\n2024-01-05T03:00:00Z,1,2,0.5,1.5,9\n";
    let file = world.file("restated.csv", changed);
    world.ok(&["bars", "import", "BTCUSD", "1h", &file]);
    let versions = world.json(&["series", "versions", "BTCUSD@1h"]);
    assert_eq!(versions.len(), 2);
    assert_eq!(versions[1]["operation"], "upsert");
    let diff = world.json(&["series", "diff", "BTCUSD@1h", "1"]);
    assert_eq!(diff.len(), 1);
    assert_eq!(diff[0]["first"], "2024-01-05T03:00:00Z");
    assert_eq!(diff[0]["changed"], 1);
    let restored = world.json(&["series", "restore", "btcusd@1h", "1", "--note", "why=wrong"]);
    assert_eq!(restored[0]["version"], 3);
    let equal = world.ok(&["series", "diff", "BTCUSD@1h", "1", "latest"]);
    assert_eq!(equal, "versions 1 and 3 are equal\n");
    let versions = world.json(&["series", "versions", "BTCUSD@1h"]);
    assert_eq!(versions[2]["note"]["why"], "wrong");
    world.refused(
        &["series", "diff", "BTCUSD@1h", "77"],
        "",
        3,
        &["version 77"],
    );
    world.refused(&["series", "diff", "BTCUSD@1h", "soon"], "", 2, &["latest"]);
    world.refused(
        &["series", "versions", "BTCUSD@4h"],
        "",
        3,
        &["there is BTCUSD@1h"],
    );
    world.refused(
        &["series", "versions", "BTCUSD@ticks"],
        "",
        2,
        &["ticks have no versions"],
    );
}

#[test]
fn snapshots_are_made_listed_and_dropped() {
    let world = world();
    let made = world.json(&["series", "snapshot", "create", "Audit", "--note", "run=7"]);
    assert_eq!(made[0]["name"], "audit");
    assert_eq!(made[0]["series"]["BTCUSD@1h"], 1);
    world.refused(
        &["series", "snapshot", "create", "audit"],
        "",
        4,
        &["already"],
    );
    assert_eq!(world.json(&["series", "snapshot", "list"]).len(), 1);
    assert!(
        world
            .ok(&["series", "snapshot", "list"])
            .contains("BTCUSD@1h")
    );
    world.ok(&["series", "snapshot", "drop", "audit"]);
    world.refused(
        &["series", "snapshot", "drop", "audit"],
        "",
        3,
        &["no such snapshot"],
    );
    assert!(world.json(&["series", "snapshot", "list"]).is_empty());
}

#[test]
fn a_series_is_compacted_and_vacuumed() {
    let world = world();
    let late = "timestamp,open,high,low,close,volume\n2024-01-05T03:30:00Z,1,2,0.5,1.5,9\n";
    let file = world.file("late.csv", late);
    world.ok(&["bars", "import", "BTCUSD", "1h", &file, "--append"]);
    let planned = world.json(&["series", "compact", "BTCUSD@1h", "--dry-run"]);
    let done = world.json(&["series", "compact", "BTCUSD@1h"]);
    assert_eq!(done[0]["steps"].as_array().unwrap(), &planned);
    assert!(
        world
            .ok(&["series", "compact", "BTCUSD@1h"])
            .contains("compact already")
    );
    assert_eq!(world.json(&["bars", "read", "BTCUSD", "1h"]).len(), 48);
    let before = world.json(&["series", "versions", "BTCUSD@1h"]).len();
    // All is younger than the grace period.
    let gone = world.json(&["series", "vacuum", "--keep-versions", "1", "--dry-run"]);
    assert_eq!(gone[0]["versions"].as_array().unwrap().len(), 0);
    world.ok(&["series", "vacuum", "BTCUSD@1h", "--keep-days", "7"]);
    assert_eq!(
        world.json(&["series", "versions", "BTCUSD@1h"]).len(),
        before
    );
    world.refused(&["series", "vacuum", "--keep-versions", "0"], "", 2, &["0"]);
}

#[test]
fn what_is_said_of_a_series_is_kept() {
    let world = world();
    world.ok(&[
        "series",
        "describe",
        "BTCUSD@1h",
        "source=vendor",
        "adjusted=yes",
    ]);
    world.ok(&["series", "describe", "BTCUSD@1h", "--unset", "adjusted"]);
    assert_eq!(
        world.ok(&["series", "describe", "BTCUSD@1h"]),
        "source=vendor\n"
    );
    world.refused(
        &["series", "describe", "NONE@1h", "a=b"],
        "",
        3,
        &["no such series"],
    );
}

#[test]
fn gaps_are_found_and_marked() {
    let world = world();
    let weekdays = ["series", "coverage", "BTCUSD@1h", "--calendar", "weekdays"];
    let spans = world.json(&weekdays);
    let states: Vec<_> = spans
        .iter()
        .map(|span| {
            (
                span["state"].as_str().unwrap(),
                span["bars"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(states, [("data", 22), ("unknown", 1), ("data", 25)]);
    let always = world.json(&["series", "coverage", "BTCUSD@1h", "--gaps"]);
    assert_eq!(always.len(), 2);
    assert_eq!(always[1]["bars"], 48);
    let since = [
        "--since",
        "2024-01-05T22:00Z",
        "--until",
        "2024-01-05T23:00Z",
    ];
    let args: Vec<&str> = ["series", "complete", "BTCUSD@1h"]
        .into_iter()
        .chain(since)
        .collect();
    world.ok(&args);
    assert_eq!(world.json(&weekdays)[1]["state"], "empty");
    assert_eq!(world.json(&["series", "complete", "BTCUSD@1h"]).len(), 1);
    world.ok(&["series", "complete", "BTCUSD@1h", "--undo"]);
    assert_eq!(world.json(&weekdays)[1]["state"], "unknown");
    world.refused(
        &["series", "coverage", "BTCUSD@1h", "--calendar", "often"],
        "",
        2,
        &["mon-fri"],
    );
}

#[test]
fn bars_are_checked_resampled_and_merged() {
    let world = world();
    assert!(
        world
            .ok(&["series", "check", "BTCUSD@1h"])
            .contains("47 bars checked, nothing is wrong")
    );
    let bad = "timestamp,open,high,low,close,volume\n2024-01-06T03:30:00Z,1,0.2,0.5,1.5,9\n";
    let file = world.file("bad.csv", bad);
    world.ok(&["bars", "import", "ETHUSD", "1h", &file]);
    let args = ["series", "check", "ETHUSD@1h", "--calendar", "weekdays"];
    let issues = world.json(&args);
    let kinds: Vec<_> = issues
        .iter()
        .map(|issue| issue["issue"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["off_grid", "market_closed", "high_below_low"]);
    let strict: Vec<&str> = args.into_iter().chain(["--strict"]).collect();
    assert_eq!(world.run(&strict).code, 5);

    let days = world.json(&["series", "resample", "BTCUSD@1h", "1d"]);
    assert_eq!(days.len(), 2);
    assert_eq!(
        (&days[0]["open"], &days[0]["close"]),
        (&0.0.into(), &23.5.into())
    );
    assert_eq!(days[0]["volume"], 46.0);
    world.ok(&["series", "resample", "BTCUSD@1h", "1d", "--write"]);
    assert_eq!(world.json(&["bars", "read", "BTCUSD", "1d"]), days);
    world.refused(
        &["series", "resample", "BTCUSD@1h", "90m"],
        "",
        2,
        &["do not add up"],
    );

    let merged = world.json(&["series", "merge", "BTCUSD@1h", "ETHUSD@1h", "--last", "30"]);
    assert_eq!(merged.len(), 30);
    let times: Vec<_> = merged
        .iter()
        .map(|row| row["timestamp"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted());
    assert_eq!(merged[5]["series"], "ETHUSD@1h");
    world.refused(
        &["series", "merge", "BTCUSD@1h", "NONE@1h"],
        "",
        3,
        &["NONE@1h"],
    );
}

#[test]
fn files_of_other_programs_are_adopted() {
    use minutebook::{Bar, Row, time::parse_timestamp};
    let world = World::new();
    let bar = |time: &str| Bar {
        timestamp: parse_timestamp(time).unwrap(),
        open: 1.0,
        high: 2.0,
        low: 0.5,
        close: 1.5,
        volume: 3.0,
    };
    let file = world.dir().join("BTCUSD_1h_2024-01-01_2024-01-02.parquet");
    let batch = Bar::to_batch(&[bar("2024-01-01"), bar("2024-01-01T01:00Z")]).unwrap();
    minutebook::parquet::save_parquet(
        &[batch],
        &file,
        &minutebook::parquet::SaveParquet::default(),
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let done = world.json(&["series", "adopt", "BTCUSD@1h", file, "--note", "from=files"]);
    assert_eq!(
        (&done[0]["rows"], &done[0]["version"]),
        (&2.into(), &1.into())
    );
    assert_eq!(world.json(&["bars", "read", "BTCUSD", "1h"]).len(), 2);
    let again = world.json(&["series", "adopt", "BTCUSD@1h", file]);
    assert_eq!(again[0]["already"].as_array().unwrap().len(), 1);
    let other = world.file("x.parquet", "no parquet");
    world.refused(
        &["series", "adopt", "BTCUSD@1h", &other],
        "",
        6,
        &["x.parquet"],
    );
}

#[test]
fn a_directory_of_files_is_adopted_by_their_names() {
    use minutebook::{Bar, Row, time::parse_timestamp};
    let world = World::new();
    let frames = world.dir().join("frames");
    let save = |name: &str, time: &str| {
        let timestamp = parse_timestamp(time).unwrap();
        let bar = Bar {
            timestamp,
            open: 1.0,
            high: 2.0,
            low: 0.5,
            close: 1.5,
            volume: 3.0,
        };
        let batch = Bar::to_batch(&[bar]).unwrap();
        let options = minutebook::parquet::SaveParquet::default();
        minutebook::parquet::save_parquet(&[batch], frames.join(name), &options).unwrap();
    };
    save("BTCUSD_1h_2024-01-01_2024-01-02.parquet", "2024-01-01");
    save("BTCUSD_1h_2024-01-02_2024-01-03.parquet", "2024-01-02");
    save("vix.parquet", "2024-01-01");
    std::fs::write(frames.join("broken.parquet"), "no parquet").unwrap();
    let dir = frames.to_str().unwrap();
    // One file is left out, and said to be.
    let some = |args: &[&str]| {
        let ran = world.run(args);
        assert_eq!(ran.code, 6, "{}", ran.stderr);
        let warned = ran.stderr.lines().next().unwrap();
        assert!(warned.starts_with("warning: "), "{warned}");
        assert!(warned.contains("broken.parquet"), "{warned}");
        assert!(warned.contains("damaged"), "{warned}");
        let failed = ran.stderr.lines().next_back().unwrap();
        assert!(failed.starts_with("error: "), "{failed}");
        assert!(failed.contains("broken.parquet"), "{failed}");
        ran.stdout
    };
    let lines = |text: String| -> Vec<serde_json::Value> {
        let lines = text.lines().map(serde_json::from_str);
        lines.map(Result::unwrap).collect()
    };
    let planned = lines(some(&["series", "adopt", dir, "--dry-run", "--json"]));
    assert_eq!(planned.len(), 3);
    assert_eq!(
        (&planned[0]["series"], &planned[0]["rows"]),
        (&"BTCUSD@1h".into(), &2.into())
    );
    assert!(world.json(&["bars", "list"]).is_empty());
    let done = lines(some(&["series", "adopt", dir, "--json"]));
    let skipped = done
        .iter()
        .find(|line| line["series"] == "@broken")
        .unwrap();
    assert!(
        skipped["skipped"][0]["why"]
            .as_str()
            .unwrap()
            .contains("damaged")
    );
    assert_eq!(world.json(&["bars", "read", "BTCUSD", "1h"]).len(), 2);
    // In words only what was adopted has a line.
    let said = some(&["series", "adopt", dir]);
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("2 files there already"), "{said}");
    std::fs::remove_file(frames.join("broken.parquet")).unwrap();
    assert_eq!(world.json(&["series", "adopt", dir]).len(), 2);
    let hopeless = world.dir().join("hopeless");
    std::fs::create_dir(&hopeless).unwrap();
    let hopeless = hopeless.to_str().unwrap();
    world.refused(&["series", "adopt", hopeless], "", 3, &["no *.parquet"]);
    world.file("hopeless/broken.parquet", "no parquet");
    let ran = world.run(&["series", "adopt", hopeless]);
    assert_eq!((ran.code, ran.stdout.as_str()), (5, ""), "{}", ran.stderr);
    world.refused(
        &["series", "adopt", "BTCUSD@1h"],
        "",
        2,
        &["a directory that is there"],
    );
}

#[test]
fn keys_are_declared_and_shown() {
    let world = world();
    let none = world.json(&["series", "key", "BTCUSD@1h"]);
    assert_eq!(none[0]["key"], serde_json::Value::Null);
    let set = world.json(&["series", "key", "BTCUSD@1h", "--set", "timestamp"]);
    assert_eq!(
        (&set[0]["key"][0], &set[0]["version"]),
        (&"timestamp".into(), &2.into())
    );
    assert_eq!(
        world.ok(&["series", "key", "btcusd@1h"]),
        "BTCUSD@1h: timestamp\n"
    );
    let unset = world.json(&["series", "key", "BTCUSD@1h", "--unset"]);
    assert_eq!(
        (&unset[0]["key"], &unset[0]["version"]),
        (&serde_json::Value::Null, &3.into())
    );
    world.refused(&["series", "key", "NONE@1h"], "", 3, &["no such series"]);
    world.refused(
        &["series", "key", "BTCUSD@1h", "--set", "close"],
        "",
        5,
        &["close", "Float64"],
    );
}
