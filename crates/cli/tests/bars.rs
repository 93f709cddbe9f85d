//! `minutebook bars`, from outside.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod common;

use common::World;
use minutebook::{Bar, Row, time::parse_timestamp};

const STOCKS: &str = "\
Ticker,Date,Open,High,Low,Close,Volume,Adj Close
AAPL,2000-03-01,10.0,12.0,9.0,11.0,1000,1.5
AAPL,2000-03-02,11.0,13.0,10.0,12.0,2000,
IBM,2000-03-01,100.0,101.0,99.0,100.5,300,7
";

#[test]
fn a_file_of_several_symbols_is_taken_apart_and_found_through_the_catalog() {
    let world = World::new();
    let file = world.file("stocks.csv", STOCKS);
    let done = world.json(&["bars", "import", "--symbol-column", "Ticker", "1d", &file]);
    assert_eq!(done.len(), 2);
    assert_eq!(
        (&done[0]["series"], &done[0]["inserted"]),
        (&"AAPL@1d".into(), &2.into())
    );
    assert_eq!(done[1]["dataset"], "ibm_1d");
    let bars = world.json(&["bars", "read", "aapl", "1d"]);
    assert_eq!(bars[0]["timestamp"], "2000-03-01T00:00:00Z");
    assert_eq!(bars[0]["adj_close"], 1.5);
    assert!(bars[1]["adj_close"].is_null());
    let entries = world.json(&["catalog", "list"]);
    assert_eq!(entries[0]["name"], "aapl_1d");
    assert_eq!(entries[0]["row_count"], 2);
    assert_eq!(entries[0]["file_path"], "series:AAPL@1d");
    assert_eq!(entries[0]["end_date"], "2000-03-02T00:00:00Z");
}

#[test]
fn one_symbol_is_picked_and_no_entry_made_when_asked() {
    let world = World::new();
    let file = world.file("stocks.csv", STOCKS);
    world.ok(&[
        "bars",
        "import",
        "ibm",
        "1d",
        &file,
        "--symbol-column",
        "ticker",
        "--no-register",
    ]);
    let series = world.json(&["bars", "list"]);
    assert_eq!((series.len(), &series[0]["series"]), (1, &"IBM@1d".into()));
    assert!(world.json(&["catalog", "list"]).is_empty());
    world.ok(&[
        "bars",
        "import",
        "IBM",
        "1d",
        &file,
        "--symbol-column",
        "ticker",
        "--register",
        "big blue",
    ]);
    assert_eq!(
        world.json(&["catalog", "info", "big blue"])[0]["instrument"],
        "IBM"
    );
}

#[test]
fn a_file_of_several_symbols_is_not_mixed_up_by_accident() {
    let world = World::new();
    let file = world.file("stocks.csv", STOCKS);
    let ran = world.run(&["bars", "import", "AAPL", "1d", &file]);
    assert_eq!(ran.code, 5);
    assert!(
        ran.stderr.contains("--symbol-column \"Ticker\""),
        "{}",
        ran.stderr
    );
    assert!(world.json(&["bars", "list"]).is_empty());
}

#[test]
fn every_format_gives_the_same_bars() {
    let csv = "time;low;high;open;close;volume\n1/31/2024 10:00;1;3;2;2.5;7\n1/31/2024 11:00;1;3;2;2.25;8\n";
    let json = "{\"t\": 1706695200000, \"o\": \"2\", \"h\": 3, \"l\": 1, \"c\": 2.5, \"v\": 7}\n\n{\"t\": 1706698800000, \"o\": 2, \"h\": 3, \"l\": 1, \"c\": 2.25, \"v\": \"8\"}\n";
    let bar = |time: &str, close: f64, volume: f64| Bar {
        timestamp: parse_timestamp(time).unwrap(),
        open: 2.0,
        high: 3.0,
        low: 1.0,
        close,
        volume,
    };
    let bars = [
        bar("2024-01-31T10:00", 2.5, 7.0),
        bar("2024-01-31T11:00", 2.25, 8.0),
    ];
    let dir = tempfile::tempdir().unwrap();
    let parquet = dir.path().join("bars");
    minutebook::parquet::save_parquet(
        &[Bar::to_batch(&bars).unwrap()],
        &parquet,
        &minutebook::parquet::SaveParquet::default(),
    )
    .unwrap();
    let world = World::new();
    let files = [
        ("CSV", world.file("a", csv), vec![]),
        (
            "GZIP",
            world.file("b.csv", common::gzip(csv.as_bytes())),
            vec![],
        ),
        ("JSON", world.file("c", json), vec!["--time-column", "t"]),
        ("PARQUET", parquet.to_str().unwrap().to_owned(), vec![]),
    ];
    for (symbol, file, options) in &files {
        let mut args = vec!["bars", "import", symbol, "1h", file];
        args.extend(options);
        world.ok(&args);
    }
    world.ok_with(&["bars", "import", "STDIN", "1h", "-"], csv);
    let expected = world.ok(&["bars", "read", "CSV", "1h", "--json"]);
    assert!(expected.contains("\"timestamp\":\"2024-01-31T11:00:00Z\",\"open\":2.0,\"high\":3.0,\"low\":1.0,\"close\":2.25,\"volume\":8.0"), "{expected}");
    for symbol in ["GZIP", "JSON", "PARQUET", "STDIN"] {
        assert_eq!(
            world.ok(&["bars", "read", symbol, "1h", "--json"]),
            expected,
            "{symbol}"
        );
    }
}

#[test]
fn times_are_read_as_the_user_says() {
    let world = World::new();
    let file = world.file(
        "f.csv",
        "day,open,high,low,close\n31.12.2023 18:00,1,1,1,1\n",
    );
    let args = [
        "bars",
        "import",
        "X",
        "1h",
        &file,
        "--time-column",
        "day",
        "--time-format",
        "%d.%m.%Y %H:%M",
        "--timezone",
        "-05:00",
        "--no-volume",
    ];
    world.ok(&args);
    let bars = world.json(&["bars", "read", "X", "1h"]);
    assert_eq!(bars[0]["timestamp"], "2023-12-31T23:00:00Z");
    assert_eq!(bars[0]["volume"], 0.0);
}

#[test]
fn what_contradicts_itself_is_told_with_its_line_and_strict_refuses() {
    let csv = "\
date,open,high,low,close,volume
2024-01-01,1,2,0.5,1.5,10
2024-01-02,1,0.4,0.5,1.5,10
2024-01-03,1,2,0.5,,10
2024-01-05,1,2,0.5,1.5,10
2024-01-04,1,2,0.5,1.5,10
2024-01-05,1,2,0.5,1.75,10
";
    let world = World::new();
    let file = world.file("bars.csv", csv);
    let strict = world.run(&["bars", "import", "X", "1d", &file, "--strict"]);
    assert_eq!(strict.code, 5);
    for line in ["line 3", "line 4", "line 6", "line 7"] {
        assert!(strict.stderr.contains(line), "{line}: {}", strict.stderr);
    }
    assert!(
        strict.stderr.contains("the high is below the low"),
        "{}",
        strict.stderr
    );
    assert!(
        world.json(&["bars", "list"]).is_empty() && world.json(&["catalog", "list"]).is_empty()
    );

    let ran = world.run(&["bars", "import", "X", "1d", &file, "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 4, "{}", ran.stderr);
    let bars = world.json(&["bars", "read", "X", "1d"]);
    let days: Vec<_> = bars
        .iter()
        .map(|bar| &bar["timestamp"].as_str().unwrap()[8..10])
        .collect();
    assert_eq!(days, ["01", "02", "03", "04", "05"]);
    // Of two bars at one time the later in the file counts.
    assert_eq!(bars[4]["close"], 1.75);
    assert_eq!(bars[2]["close"], "NaN");

    world.ok(&["bars", "import", "Y", "1d", &file, "--skip-faulty"]);
    assert_eq!(world.json(&["bars", "read", "Y", "1d"]).len(), 3);
    // Newest first is an order of its own.
    let newest = world.file(
        "newest.csv",
        "date,open,high,low,close,volume\n2024-01-02,1,1,1,1,1\n2024-01-01,1,1,1,1,1\n",
    );
    world.ok(&["bars", "import", "Z", "1d", &newest, "--strict"]);
}

#[test]
fn what_is_there_already_is_replaced_kept_or_refused() {
    let world = World::new();
    let import = |close: &str, options: &[&str]| {
        let csv = format!(
            "date,open,high,low,close,volume\n2024-01-01,1,9,0,{close},1\n2024-01-0{close},1,9,0,{close},1\n"
        );
        let file = world.file("f.csv", csv);
        let mut args = vec!["bars", "import", "X", "1d", &file, "--json"];
        args.extend(options);
        world.run(&args)
    };
    let closes = || {
        let bars = world.json(&["bars", "read", "X", "1d", "--columns", "close"]);
        bars.iter()
            .map(|bar| bar["close"].to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(import("2", &[]).code, 0);
    assert_eq!(closes(), "2.0 2.0");
    let replaced = import("3", &[]);
    assert!(
        replaced.stdout.contains("\"inserted\":1,\"replaced\":1"),
        "{}",
        replaced.stdout
    );
    assert_eq!(closes(), "3.0 2.0 3.0");
    assert_eq!(import("4", &["--on-conflict", "keep"]).code, 0);
    assert_eq!(closes(), "3.0 2.0 3.0 4.0");
    let refused = import("5", &["--on-conflict", "fail"]);
    assert_eq!(refused.code, 4);
    assert!(
        refused.stderr.contains("2024-01-01") && refused.stderr.contains("nothing was imported"),
        "{}",
        refused.stderr
    );
    assert_eq!(closes(), "3.0 2.0 3.0 4.0");
    assert_eq!(import("6", &["--append"]).code, 0);
    assert_eq!(closes(), "3.0 6.0 2.0 3.0 4.0 6.0");
}

#[test]
fn reading_selects_rows_columns_and_versions() {
    let world = World::new();
    let file = world.file("stocks.csv", STOCKS);
    world.ok(&["bars", "import", "--symbol-column", "Ticker", "1d", &file]);
    assert_eq!(
        world
            .json(&["bars", "read", "AAPL", "1d", "--first", "1"])
            .len(),
        1
    );
    let last = world.json(&[
        "bars",
        "read",
        "AAPL",
        "1d",
        "--last",
        "1",
        "--columns",
        "close,open",
    ]);
    let keys: Vec<_> = last[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["timestamp", "close", "open"]);
    assert_eq!(
        world
            .json(&["bars", "read", "AAPL", "1d", "--since", "2000-03-02"])
            .len(),
        1
    );
    assert_eq!(
        world
            .json(&["bars", "read", "AAPL", "1d", "--until", "2000-03-02"])
            .len(),
        1
    );
    let info = &world.json(&["bars", "info", "AAPL", "1d"])[0];
    assert_eq!(info["rows"], 2);
    assert_eq!(info["columns"][0]["name"], "timestamp");
    let version = info["version"].to_string();
    let more = world.file(
        "more.csv",
        "date,open,high,low,close,volume\n2000-03-03,1,1,1,1,1\n",
    );
    world.ok(&["bars", "import", "AAPL", "1d", &more]);
    assert_eq!(world.json(&["bars", "read", "AAPL", "1d"]).len(), 3);
    assert_eq!(
        world
            .json(&["bars", "read", "AAPL", "1d", "--as-of", &version])
            .len(),
        2
    );
    assert_eq!(
        world
            .run(&["bars", "read", "AAPL", "1d", "--as-of", "99"])
            .code,
        3
    );
    let table = world.ok(&["bars", "read", "AAPL", "1d"]);
    assert!(
        table.starts_with("TIMESTAMP ") && table.contains("2000-03-01"),
        "{table}"
    );
    let ran = world.run(&["bars", "read", "AAPL", "1h"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("there is AAPL@1d"), "{}", ran.stderr);
}
