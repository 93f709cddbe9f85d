//! `minutebook catalog`, from outside.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod common;

use common::World;
use minutebook::parquet::{SaveParquet, save_parquet};
use minutebook::{Bar, Row, time::parse_timestamp};

fn parquet(world: &World, name: &str, days: &[&str]) -> String {
    let bars: Vec<_> = days
        .iter()
        .map(|day| Bar {
            timestamp: parse_timestamp(day).unwrap(),
            open: 1.0,
            high: 1.0,
            low: 1.0,
            close: 1.0,
            volume: 1.0,
        })
        .collect();
    let path = world.dir().join(name);
    save_parquet(
        &[Bar::to_batch(&bars).unwrap()],
        &path,
        &SaveParquet::default(),
    )
    .unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn files_are_registered_with_their_statistics() {
    let world = World::new();
    let inside = parquet(
        &world,
        "book/data/cdx.parquet",
        &["2024-01-01", "2024-01-05"],
    );
    let out = world.ok(&[
        "catalog",
        "register",
        "cdx",
        &inside,
        "--instrument",
        "CDX.NA.IG",
        "--tenor",
        "5Y",
        "--metadata",
        "source=markit",
        "--metadata",
        "fee=1.5",
    ]);
    assert_eq!(out, "registered cdx as data/cdx.parquet\n");
    let entry = &world.json(&["catalog", "info", "cdx"])[0];
    assert_eq!(entry["file_path"], "data/cdx.parquet");
    assert_eq!(entry["row_count"], 2);
    assert_eq!(entry["start_date"], "2024-01-01T00:00:00Z");
    assert_eq!(entry["metadata"]["fee"], 1.5);
    assert!(entry["registered_at"].is_string());

    let outside = parquet(&world, "vix.parquet", &["2014-01-03"]);
    world.ok(&[
        "catalog",
        "register",
        "vix",
        "vix.parquet",
        "--instrument",
        "VIX",
    ]);
    let path = world.json(&["catalog", "info", "vix"])[0]["file_path"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        std::fs::canonicalize(path).unwrap(),
        std::fs::canonicalize(&outside).unwrap()
    );

    let names = |args: &[&str]| {
        let mut all = vec!["catalog", "list"];
        all.extend(args);
        let found = world.json(&all);
        found
            .iter()
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(names(&[]), "cdx vix");
    assert_eq!(names(&["--instrument", "VIX"]), "vix");
    assert_eq!(names(&["--tenor", "5Y"]), "cdx");
    assert_eq!(names(&["--prefix", "v"]), "vix");
    assert_eq!(names(&["--metadata", "source=markit"]), "cdx");
    assert_eq!(names(&["--since", "2020-01-01"]), "cdx");
    assert_eq!(names(&["--until", "2020-01-01"]), "vix");
    assert!(world.ok(&["catalog", "list"]).contains("CDX.NA.IG"));
}

#[test]
fn a_name_is_taken_once_and_changed_by_update() {
    let world = World::new();
    parquet(&world, "book/a.parquet", &["2024-01-01"]);
    world.ok(&["catalog", "register", "a", "a.parquet", "--instrument", "A"]);
    world.refused(
        &["catalog", "register", "a", "a.parquet", "--instrument", "B"],
        "",
        4,
        &["catalog update", "--upsert"],
    );
    parquet(&world, "book/a.parquet", &["2024-01-01", "2024-01-02"]);
    assert_eq!(world.ok(&["catalog", "update", "a"]), "updated a: 2 rows\n");
    let before = world.json(&["catalog", "info", "a"])[0]["revision"]
        .as_str()
        .unwrap()
        .to_owned();
    world.ok(&[
        "catalog",
        "update",
        "a",
        "--instrument",
        "B",
        "--tenor",
        "1d",
        "--metadata",
        "x=1",
    ]);
    let entry = &world.json(&["catalog", "info", "a"])[0];
    assert_eq!(
        (&entry["instrument"], &entry["tenor"], &entry["row_count"]),
        (&"B".into(), &"1d".into(), &2.into())
    );
    assert_eq!(
        world
            .run(&["catalog", "update", "a", "--no-tenor", "--expect", &before])
            .code,
        4
    );
    world.ok(&[
        "catalog",
        "update",
        "a",
        "--no-tenor",
        "--metadata",
        "x=null",
    ]);
    let entry = &world.json(&["catalog", "info", "a"])[0];
    assert!(entry["tenor"].is_null() && entry["metadata"].as_object().unwrap().is_empty());
    world.ok(&[
        "catalog",
        "register",
        "a",
        "a.parquet",
        "--instrument",
        "C",
        "--upsert",
    ]);
    assert_eq!(world.json(&["catalog", "info", "a"])[0]["instrument"], "C");
    assert!(
        world
            .ok(&["catalog", "remove", "a"])
            .contains("its data stays")
    );
    assert!(world.store().join("a.parquet").exists());
    for args in [
        ["catalog", "remove", "a"],
        ["catalog", "info", "a"],
        ["catalog", "update", "a"],
    ] {
        assert_eq!(world.run(&args).code, 3, "{args:?}");
    }
}

#[test]
fn what_is_not_there_yet_and_what_has_no_statistics_is_registered_with_a_word() {
    let world = World::new();
    let ran = world.run(&[
        "catalog",
        "register",
        "later",
        "data/later.parquet",
        "--instrument",
        "X",
    ]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.stderr.contains("nothing is there yet"),
        "{}",
        ran.stderr
    );
    world.file("notes.csv", "a,b\n");
    let ran = world.run(&[
        "catalog",
        "register",
        "notes",
        "notes.csv",
        "--instrument",
        "X",
    ]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("without statistics"), "{}", ran.stderr);
    parquet(&world, "book/data/later.parquet", &["2024-01-01"]);
    assert_eq!(
        world.ok(&["catalog", "update", "later"]),
        "updated later: 1 row\n"
    );
    world.refused(
        &[
            "catalog",
            "register",
            "bad",
            "series:X@soon",
            "--instrument",
            "X",
        ],
        "",
        5,
        &["timeframe"],
    );
    world.refused(
        &[
            "catalog",
            "register",
            "bad",
            "../../etc/passwd.parquet",
            "--instrument",
            "X",
        ],
        "",
        5,
        &["passwd"],
    );
}
