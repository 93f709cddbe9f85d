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
    let now = world.json(&["catalog", "info", "a"]).remove(0);
    assert_eq!(now["instrument"], "C");
    let revision = now["revision"].as_str().unwrap();
    world.refused(
        &["catalog", "remove", "a", "--expect", "another"],
        "",
        4,
        &["revision"],
    );
    assert!(
        world
            .ok(&["catalog", "remove", "a", "--expect", revision])
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

#[test]
fn datasets_are_renamed_moved_found_and_exported() {
    let world = World::new();
    parquet(&world, "book/data/a.parquet", &["2024-01-01", "2024-01-31"]);
    parquet(&world, "book/data/b.parquet", &["2024-02-01"]);
    let found = world.ok(&["catalog", "discover"]);
    assert!(found.contains("data/a.parquet") && found.contains("data/b.parquet"));
    assert_eq!(world.json(&["catalog", "list"]).len(), 0);
    world.ok(&["catalog", "discover", "--register"]);
    assert_eq!(world.json(&["catalog", "discover"]).len(), 0);
    world.ok(&[
        "catalog",
        "update",
        "b",
        "--derived-from",
        "a",
        "--ttl",
        "1d",
        "--source",
        "desk",
    ]);
    assert_eq!(
        world.ok(&["catalog", "rename", "a", "raw"]),
        "renamed a to raw\n"
    );
    world.refused(&["catalog", "rename", "raw", "b"], "", 4, &["b"]);
    world.refused(&["catalog", "rename", "a", "c"], "", 3, &["a"]);
    let b = &world.json(&["catalog", "info", "b"])[0];
    assert_eq!(b["derived_from"][0], "raw");
    assert_eq!(
        (&b["ttl_seconds"], &b["metadata"]["source"]),
        (&86_400.into(), &"desk".into())
    );
    assert_eq!(
        world.json(&["catalog", "lineage", "raw"])[0]["descendants"][0],
        "b"
    );
    assert_eq!(
        world.json(&["catalog", "list", "--pattern", "r?w"]).len(),
        1
    );
    for (covers, count) in [("2024-01-01..2024-01-31", 1), ("2024-01-01..2024-02-01", 0)] {
        assert_eq!(
            world.json(&["catalog", "list", "--covers", covers]).len(),
            count
        );
    }
    world.refused(
        &["catalog", "list", "--covers", "2024"],
        "",
        2,
        &["FIRST..LAST"],
    );

    parquet(
        &world,
        "book/data/moved.parquet",
        &["2024-01-01", "2024-01-02", "2024-01-31"],
    );
    assert_eq!(
        world.ok(&["catalog", "relocate", "raw", "data/moved.parquet"]),
        "raw is at data/moved.parquet: 3 rows\n"
    );
    world.refused(
        &["catalog", "relocate", "raw", "data/no.parquet"],
        "",
        3,
        &["no data"],
    );

    let exported = world.ok(&["catalog", "export", "--absolute"]);
    let registry: serde_json::Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(registry["raw"].as_object().unwrap().len(), 9);
    assert!(std::path::Path::new(registry["raw"]["file_path"].as_str().unwrap()).is_absolute());
    let table = world.ok(&["catalog", "export", "--format", "csv", "--prefix", "b"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("name,instrument,tenor,file_path") && lines.len() == 2);
    assert!(
        lines[1].starts_with("b,b,,data/b.parquet,2024-02-01"),
        "{table}"
    );
}

#[test]
fn what_is_due_is_listed_and_brought_up_to_date() {
    let world = World::new();
    parquet(&world, "book/a.parquet", &["2024-01-01"]);
    parquet(&world, "book/b.parquet", &["2024-01-01"]);
    world.ok(&["catalog", "discover", "--register"]);
    assert_eq!(world.json(&["catalog", "stale"]).len(), 0);
    parquet(&world, "book/a.parquet", &["2024-01-01", "2024-01-02"]);
    world.ok(&[
        "catalog",
        "update",
        "b",
        "--retrieved-at",
        "2024-01-01",
        "--ttl",
        "90s",
    ]);
    let due: Vec<_> = world
        .json(&["catalog", "stale"])
        .iter()
        .map(|due| {
            format!(
                "{} {}",
                due["name"].as_str().unwrap(),
                due["reasons"][0]["reason"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(due, ["a data_changed", "b expired"]);
    assert_eq!(
        world.ok(&["catalog", "update", "--stale"]),
        "updated 1 dataset\n"
    );
    world.ok(&["catalog", "update", "b", "--no-ttl"]);
    assert_eq!(world.json(&["catalog", "stale"]).len(), 0);
    assert_eq!(
        world.ok(&["catalog", "update", "--all"]),
        "updated 2 datasets\n"
    );
    world.refused(
        &["catalog", "update", "--all", "--instrument", "X"],
        "",
        2,
        &["name one dataset"],
    );
    assert_eq!(world.run(&["catalog", "update"]).code, 2);
    world.ok(&["catalog", "update", "a", "--digest"]);
    let digest = world.json(&["catalog", "info", "a"])[0]["contents"]["digest"].clone();
    assert!(digest.as_str().unwrap().starts_with("file-blake3:"));
    std::fs::remove_file(world.store().join("b.parquet")).unwrap();
    let ran = world.run(&["catalog", "update", "--all"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "updated 1 dataset\n"));
    assert_eq!(
        world.json(&["catalog", "info", "a"])[0]["contents"]["digest"],
        digest
    );
}

#[test]
fn data_is_deleted_only_when_asked_and_inside() {
    let world = World::new();
    parquet(&world, "book/a.parquet", &["2024-01-01"]);
    let outside = parquet(&world, "out.parquet", &["2024-01-01"]);
    world.ok(&["catalog", "register", "a", "a.parquet", "--instrument", "A"]);
    world.ok(&["catalog", "register", "out", &outside, "--instrument", "A"]);
    world.refused(
        &["catalog", "remove", "a", "--delete-data"],
        "",
        2,
        &["--yes"],
    );
    world.refused(
        &["catalog", "remove", "out", "--delete-data", "--yes"],
        "",
        5,
        &["outside"],
    );
    assert!(std::path::Path::new(&outside).exists());
    assert_eq!(
        world.ok(&["catalog", "remove", "a", "--delete-data", "--yes"]),
        "removed a and its data\n"
    );
    assert!(!world.store().join("a.parquet").exists());
    world.refused(
        &["catalog", "remove", "a", "--delete-data", "--yes"],
        "",
        3,
        &["a"],
    );
}

#[test]
fn documents_are_kept_under_names() {
    let world = World::new();
    let params = "runs/2025-01-02/params";
    assert_eq!(
        world.ok_with(
            &["document", "save", params],
            "{\"window\": 20, \"assets\": []}"
        ),
        format!("saved {params}\n")
    );
    let file = world.store().join("documents/runs/2025-01-02/params.json");
    assert_eq!(
        std::fs::read_to_string(file).unwrap(),
        "{\n  \"assets\": [],\n  \"window\": 20\n}"
    );
    assert!(
        world
            .ok(&["document", "get", params])
            .starts_with("{\n  \"assets\"")
    );
    assert_eq!(world.json(&["document", "get", params])[0]["window"], 20);
    world.ok_with(
        &["document", "save", "runs/2025-02-01/log", "--as-is"],
        "[1.10]",
    );
    let names = |args: &[&str]| {
        world
            .json(args)
            .iter()
            .map(|info| info["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&["document", "list"]),
        [params, "runs/2025-02-01/log"]
    );
    assert_eq!(
        names(&["document", "list", "--since", "2025-01-15"]),
        ["runs/2025-02-01/log"]
    );
    assert_eq!(names(&["document", "list", "runs/2025-01"]), [params]);
    world.refused(&["document", "save", "../x"], "1", 2, &[".."]);
    world.refused(&["document", "save", "x"], "{\"a\": }", 5, &["line 1"]);
    world.refused(&["document", "get", "nope"], "", 3, &["nope"]);
    assert_eq!(
        world.ok(&["document", "delete", params]),
        format!("deleted {params}\n")
    );
    world.refused(
        &["document", "delete", params],
        "",
        3,
        &["no such document"],
    );
}
