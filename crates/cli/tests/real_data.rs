//! Real files, which are not part of the repository: run with `--ignored` where they are.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod common;

use std::collections::BTreeMap;

use common::{World, contents, shared_data};

fn path(name: &str) -> String {
    shared_data().join(name).to_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs ../shared/data"]
fn shared_data_daily_stocks_of_five_symbols() {
    let world = World::new();
    let done = world.json(&[
        "bars",
        "import",
        "--symbol-column",
        "Ticker",
        "1d",
        &path("us_stocks_daily.csv.gz"),
        "--strict",
    ]);
    let rows: BTreeMap<_, _> = done
        .iter()
        .map(|one| {
            (
                one["series"].as_str().unwrap(),
                one["inserted"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("AAPL@1d", 3_270),
        ("FB@1d", 196),
        ("GOOG@1d", 2_148),
        ("IBM@1d", 3_270),
        ("MSFT@1d", 3_270),
    ];
    assert_eq!(rows, BTreeMap::from(expected));
    let first = &world.json(&["bars", "read", "AAPL", "1d", "--first", "1"])[0];
    assert_eq!(
        first.to_string(),
        r#"{"timestamp":"2000-03-01T00:00:00Z","open":118.56,"high":132.06,"low":118.5,"close":130.31,"volume":9616100.0,"adj_close":4.186662803811}"#
    );
    assert_eq!(world.json(&["catalog", "list"]).len(), 5);
}

#[test]
#[ignore = "needs ../shared/data"]
fn shared_data_hourly_bars_that_pandas_wrote() {
    let world = World::new();
    world.ok(&[
        "bars",
        "import",
        "BTC-USD",
        "1h",
        &path("ffe/BTC_USD_H1_2020_2023.parquet"),
        "--strict",
    ]);
    let info = &world.json(&["bars", "info", "BTC-USD", "1h"])[0];
    assert_eq!(info["rows"], 35_058);
    assert_eq!(
        (&info["first"], &info["last"]),
        (
            &"2020-01-01T00:00:00Z".into(),
            &"2023-12-31T23:00:00Z".into()
        )
    );
    let statistics = &world.json(&["catalog", "info", "btc-usd_1h"])[0];
    assert_eq!(statistics["row_count"], 35_058);
    world.ok(&[
        "catalog",
        "register",
        "raw",
        &path("ffe/BTC_USD_H1_2020_2023.parquet"),
        "--instrument",
        "BTC-USD",
        "--tenor",
        "1h",
    ]);
    assert_eq!(
        world.json(&["catalog", "info", "raw"])[0]["row_count"],
        35_058
    );
}

#[test]
#[ignore = "needs ../shared/data"]
fn shared_data_ticks_of_three_pairs_in_nested_lines() {
    let world = World::new();
    let file = path("binance_spot_ticks.jsonl.gz");
    let args = [
        "ticks",
        "append",
        "--symbol-field",
        "Item.instrument",
        "--symbol-map",
        "0=BTCUSDT,1=ETHUSDT,2=SOLUSDT",
        "--time-field",
        "Item.time_exchange",
        &file,
    ];
    let done = world.json(&args);
    let total: u64 = done
        .iter()
        .map(|one| one["appended"].as_u64().unwrap())
        .sum();
    assert_eq!((done.len(), total), (3, 50_000));
    let first = world.ok(&["ticks", "read", "ETHUSDT", "--json", "--first", "1"]);
    assert!(first.starts_with(r#"{"timestamp":"2025-03-25T23:07:00.773674205Z","Item":{"time_exchange":"2025-03-25T23:07:00.773674205Z","time_received":"2025-03-25T23:07:00.773684644Z""#), "{first}");
}

#[test]
#[ignore = "needs ../shared/data"]
fn shared_data_decisions_as_the_original_wrote_them() {
    let world = World::bare();
    let directory = shared_data().join("ffe/decisions");
    let store = directory.to_str().unwrap();
    let before = contents(&directory);
    assert_eq!(before.len(), 20);
    let decisions = world.json(&["--store", store, "decision", "list", "--quiet"]);
    assert_eq!(decisions.len(), 15);
    assert_eq!(
        decisions
            .iter()
            .filter(|line| line["id"] == "test-learn")
            .count(),
        1
    );
    let problems = world.json(&["--store", store, "decision", "list", "--problems"]);
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for problem in &problems {
        *kinds
            .entry(problem["problem"].as_str().unwrap())
            .or_default() += 1;
    }
    assert_eq!(
        kinds,
        BTreeMap::from([("duplicate_id", 2), ("missing_id", 3)])
    );
    let told = world.run(&["--store", store, "decision", "list"]);
    assert_eq!(
        told.stderr
            .lines()
            .filter(|line| line.starts_with("warning: "))
            .count(),
        5
    );
    for id in ["test-learn", "RECOVERED_BIP20DEC30CDE_1766601724_582be1c7"] {
        assert!(
            world
                .ok(&["--store", store, "decision", "get", id])
                .contains(id)
        );
    }
    assert_eq!(
        world.ok(&[
            "--store", store, "decision", "count", "--pair", "BTCUSD", "--quiet"
        ]),
        "5\n"
    );
    assert!(
        contents(&directory) == before,
        "reading has changed a file of the original"
    );

    // Adopted in place, they are a store like any other.
    let copy = world.store();
    std::fs::create_dir(copy).unwrap();
    for (path, bytes) in &before {
        std::fs::write(
            copy.join(path.file_name().unwrap()),
            bytes.as_ref().unwrap(),
        )
        .unwrap();
    }
    world.ok(&["init"]);
    world.ok_with(
        &["decision", "add"],
        "{\"id\": \"new\", \"timestamp\": \"2026-01-01T00:00:00\"}",
    );
    assert!(copy.join("2026-01-01_new.json").is_file());
    assert_eq!(world.run(&["decision", "count"]).stdout, "16\n");
}
