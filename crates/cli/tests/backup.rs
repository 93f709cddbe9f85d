//! Backups from the command line.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod common;

use common::World;

#[test]
fn a_store_goes_into_a_backup_and_comes_back() {
    let world = World::new();
    let add = |id: &str| {
        let text = format!("{{\"id\": \"{id}\", \"timestamp\": \"2025-01-02T00:00:00Z\"}}");
        world.ok_with(&["decision", "add"], text);
    };
    add("a");
    let backups = world.dir().join("backups");
    let dir = backups.to_str().unwrap();
    let said = world.ok(&["backup", dir]);
    assert!(said.starts_with("generation 20"), "{said}");
    assert!(said.contains("journal head "), "{said}");
    add("b");
    let made = world.json(&["backup", dir]).remove(0);
    assert_eq!(made["skipped"], serde_json::json!([]));
    assert!(made["copied_files"].as_u64().unwrap() > 0);
    let head = made["journal_head"].as_str().unwrap();

    let listed = world.json(&["backup", dir, "--list"]);
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1]["generation"], made["generation"]);
    assert_eq!(listed[1]["journal_head"], made["journal_head"]);
    let first = listed[0]["generation"].as_str().unwrap();
    assert!(world.ok(&["backup", dir, "--list"]).contains(first));
    let check = world
        .json(&["backup", dir, "--verify", "--generation", "all"])
        .remove(0);
    assert_eq!(
        (&check["whole"], &check["damaged_files"]),
        (&true.into(), &0.into())
    );

    let again = world.dir().join("again");
    let again = again.to_str().unwrap();
    let restored = world.json(&["restore", dir, again]).remove(0);
    assert_eq!(restored["files"], made["files"]);
    world.ok(&["--store", again, "verify", "--strict", "--head", head]);
    assert_eq!(world.json(&["--store", again, "decision", "list"]).len(), 2);
    let old = world.dir().join("old");
    let old = old.to_str().unwrap();
    world.ok(&[
        "restore",
        dir,
        old,
        "--generation",
        first,
        "--part",
        "decisions",
    ]);
    assert_eq!(world.json(&["--store", old, "decision", "list"]).len(), 1);

    world.refused(&["restore", dir, again], "", 4, &["empty"]);
    world.refused(
        &["restore", dir, "x", "--generation", "1999"],
        "",
        3,
        &["1999"],
    );
    world.refused(&["restore", "nowhere", "x"], "", 3, &["no backup"]);
    world.refused(
        &["backup", world.store().to_str().unwrap()],
        "",
        5,
        &["outside"],
    );
    assert_eq!(world.run(&["backup", dir, "--prune"]).code, 2);

    let removed = world
        .json(&["backup", dir, "--prune", "--keep", "1"])
        .remove(0);
    assert_eq!(removed["removed"], serde_json::json!([first]));
    world.ok(&["backup", dir, "--verify"]);
    let object = std::fs::read_dir(backups.join("objects")).unwrap().next();
    let object = std::fs::read_dir(object.unwrap().unwrap().path())
        .unwrap()
        .next();
    std::fs::write(object.unwrap().unwrap().path(), "rot").unwrap();
    let ran = world.run(&["backup", dir, "--verify"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stdout.contains("damage: "), "{}", ran.stdout);
    let lost = world.dir().join("lost");
    let lost = lost.to_str().unwrap();
    let ran = world.run(&["restore", dir, lost]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("damaged"), "{}", ran.stderr);
    world.refused(
        &["--store", lost, "decision", "list"],
        "",
        6,
        &["not finished"],
    );
}
