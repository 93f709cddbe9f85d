//! Storage that refuses: no permission, no room. One clear line, a code that is not 0, and nothing changed.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::format_push_string,
    reason = "a test stops where something is not as it should be, and is plain before it is fast"
)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use common::World;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The same command without root's privilege to go past permissions.
fn unprivileged(world: &World, args: &[&str]) -> Command {
    let command = world.command();
    let mut wrapped = Command::new("setpriv");
    wrapped
        .args(["--bounding-set=-all", "--inh-caps=-all"])
        .arg(command.get_program())
        .args(args);
    wrapped
        .env("MINUTEBOOK_STORE", world.store())
        .current_dir(world.dir());
    wrapped
}

#[test]
fn no_permission() {
    let world = World::new();
    world.ok_with(&["decision", "add"], "{\"id\": \"a\"}");
    let decisions = world.store().join("decisions");
    set_mode(&decisions, 0o000);
    // Root reads everything, unless it gives that up.
    let privileged = std::fs::read_dir(&decisions).is_ok();
    let run = |args: &[&str], stdin: &[u8]| {
        let mut command = world.command();
        command.args(args);
        common::finish(
            if privileged {
                unprivileged(&world, args)
            } else {
                command
            },
            stdin,
        )
    };
    let list = run(&["decision", "list"], b"");
    set_mode(&decisions, 0o500);
    let add = run(&["decision", "add"], b"{\"id\": \"b\"}");
    set_mode(&decisions, 0o700);
    for ran in [list, add] {
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("decisions") && ran.stderr.contains("permission denied"),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
    assert_eq!(world.ok(&["decision", "count"]), "1\n");
}

/// Files may not grow beyond so many blocks, and the signal that would end the process is ignored, so that writes fail.
fn with_file_limit(world: &World, blocks: u32, args: &[&str]) -> Command {
    let inner = world.command();
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""
        ))
        .arg(inner.get_program())
        .args(args);
    command
        .env("MINUTEBOOK_STORE", world.store())
        .current_dir(world.dir());
    command
}

#[test]
fn a_write_that_does_not_fit() {
    let world = World::new();
    let big = "x".repeat(200_000);
    let document = world.file(
        "big.json",
        format!("{{\"id\": \"big\", \"text\": \"{big}\"}}"),
    );
    let ticks = world.file(
        "big.jsonl",
        format!("{{\"timestamp\": \"2025-01-01\", \"text\": \"{big}\"}}\n"),
    );
    let mut csv = String::from("date,open,high,low,close,volume\n");
    for n in 0..20_000 {
        csv.push_str(&format!(
            "{},1.{n},2.{n},0.{n},1.{n},{n}\n",
            1_700_000_000 + n * 60
        ));
    }
    let bars = world.file("big.csv", csv);
    for args in [
        &["decision", "add", &document][..],
        &["ticks", "append", "X", &ticks],
        &["bars", "import", "X", "1m", &bars],
    ] {
        let ran = common::finish(with_file_limit(&world, 64, args), b"");
        assert_eq!(ran.code, 1, "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("ulimit") || ran.stderr.contains("free some space"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(world.ok(&["decision", "count"]), "0\n");
    assert!(world.json(&["bars", "list"]).is_empty());
    assert!(world.json(&["catalog", "list"]).is_empty());
    let rows: u64 = world
        .json(&["ticks", "list"])
        .iter()
        .map(|series| series["rows"].as_u64().unwrap())
        .sum();
    assert_eq!(rows, 0);
    // And when there is room, everything works as if nothing had been.
    world.ok(&["decision", "add", &document]);
    world.ok(&["ticks", "append", "X", &ticks]);
    world.ok(&["bars", "import", "X", "1m", &bars]);
    assert_eq!(world.json(&["ticks", "read", "X"]).len(), 1);
    assert_eq!(world.json(&["bars", "list"])[0]["rows"], 20_000);
}

#[test]
#[ignore = "needs user namespaces (unshare -Urm)"]
fn a_full_disk() {
    let world = World::bare();
    let program = world.command().get_program().to_owned();
    let big = "x".repeat(400_000);
    let document = world.file(
        "big.json",
        format!("{{\"id\": \"big\", \"text\": \"{big}\"}}"),
    );
    std::fs::create_dir(world.store()).unwrap();
    let script = "set -e; mount -t tmpfs -o size=256k none \"$MINUTEBOOK_STORE\"; \"$0\" init >&2; echo '{\"id\": \"small\"}' | \"$0\" decision add >&2; \
                  set +e; \"$0\" decision add \"$1\" 2>message; echo $?; cat message; \"$0\" decision list --json --quiet";
    let mut command = Command::new("unshare");
    command
        .args(["-Urm", "sh", "-c", script])
        .arg(program)
        .arg(document);
    command
        .env("MINUTEBOOK_STORE", world.store())
        .current_dir(world.dir());
    let ran = common::finish(command, b"");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "1", "{}", ran.stdout);
    assert!(lines[1].contains("free some space"), "{}", ran.stdout);
    assert!(
        lines.len() == 3 && lines[2].contains("\"id\":\"small\""),
        "{}",
        ran.stdout
    );
}
