//! What people expect of a command: help, completions, streams, quiet, pipes.
#![allow(
    clippy::unwrap_used,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test stops where something is not as it should be, and is plain before it is fast"
)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::World;

const COMMANDS: &[&[&str]] = &[
    &["init"],
    &["decision", "add"],
    &["decision", "get"],
    &["decision", "list"],
    &["decision", "update"],
    &["decision", "delete"],
    &["decision", "cleanup"],
    &["decision", "wipe"],
    &["decision", "count"],
    &["decision", "history"],
    &["decision", "watch"],
    &["ticks", "append"],
    &["ticks", "follow"],
    &["ticks", "list"],
    &["ticks", "read"],
    &["bars", "import"],
    &["bars", "read"],
    &["bars", "list"],
    &["bars", "info"],
    &["series", "versions"],
    &["series", "diff"],
    &["series", "restore"],
    &["series", "compact"],
    &["series", "vacuum"],
    &["series", "describe"],
    &["series", "check"],
    &["series", "coverage"],
    &["series", "complete"],
    &["series", "resample"],
    &["series", "merge"],
    &["series", "adopt"],
    &["series", "snapshot", "create"],
    &["catalog", "register"],
    &["catalog", "list"],
    &["catalog", "info"],
    &["catalog", "update"],
    &["catalog", "remove"],
    &["catalog", "rename"],
    &["catalog", "relocate"],
    &["catalog", "stale"],
    &["catalog", "lineage"],
    &["catalog", "discover"],
    &["catalog", "export"],
    &["document", "save"],
    &["document", "get"],
    &["document", "list"],
    &["document", "delete"],
    &["demo"],
    &["completions"],
];

#[test]
fn every_command_has_help_with_examples() {
    let world = World::bare();
    for command in COMMANDS {
        let args: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let ran = world.run(&args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{command:?}");
        let example = format!("minutebook {}", command.join(" "));
        let examples = ran
            .stdout
            .split("Examples:")
            .nth(1)
            .unwrap_or_else(|| panic!("{command:?} has no examples"));
        assert!(
            examples.contains(&example) || examples.contains(command[command.len() - 1]),
            "{command:?}"
        );
        assert!(
            ran.stdout.contains("--store <DIR>") && ran.stdout.contains("--json"),
            "{command:?}"
        );
        assert!(
            !ran.stdout.contains('`') || ran.stdout.contains("Examples"),
            "{command:?}"
        );
    }
    let help = world.run(&["--help"]).stdout;
    for text in [
        "Exit codes:",
        "3  not found",
        "MINUTEBOOK_STORE",
        "NO_COLOR",
    ] {
        assert!(help.contains(text), "{text}");
    }
    assert_eq!(
        world.run(&["--version"]).stdout,
        format!("minutebook {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(world.run(&[]).code, 2);
    assert_eq!(world.run(&["decison"]).code, 2);
}

#[test]
fn completions_are_written_for_every_shell() {
    let world = World::bare();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = world.ok(&["completions", shell]);
        assert!(
            script.contains("minutebook") && script.contains("cleanup"),
            "{shell}"
        );
    }
}

#[test]
fn results_go_to_standard_output_and_everything_else_to_standard_error() {
    let world = World::new();
    let empty = world.run(&["decision", "list"]);
    assert_eq!(
        (empty.code, empty.stdout.as_str(), empty.stderr.as_str()),
        (0, "", "no decisions\n")
    );
    for args in [
        &["decision", "list"][..],
        &["bars", "list"],
        &["ticks", "list"],
        &["catalog", "list"],
    ] {
        let quiet: Vec<&str> = args.iter().copied().chain(["--quiet"]).collect();
        assert_eq!(world.run(&quiet).stderr, "");
        let json: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let ran = world.run(&json);
        assert_eq!(
            (ran.stdout.as_str(), ran.stderr.as_str()),
            ("", ""),
            "{args:?}"
        );
    }
    // No colour and no progress where nobody watches.
    let file = world.file(
        "b.csv",
        "date,open,high,low,close,volume\n2024-01-01,1,0.4,0.5,1.5,10\n",
    );
    let ran = world.run(&["bars", "import", "X", "1d", &file]);
    assert!(!ran.stderr.contains('\x1b') && !ran.stdout.contains('\x1b'));
    assert!(ran.stderr.starts_with("warning: "), "{}", ran.stderr);
    let verbose = world.run(&["-vvv", "bars", "read", "X", "1d"]);
    assert_eq!(verbose.code, 0);
    assert_eq!(verbose.stdout, world.ok(&["bars", "read", "X", "1d"]));
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let world = World::new();
    let mut documents = String::new();
    for n in 0..3_000 {
        documents.push_str(&format!(
            "{{\"timestamp\": \"2025-01-01T00:00:00Z\", \"n\": {n}, \"text\": \"{}\"}}\n",
            "x".repeat(100)
        ));
    }
    world.ok_with(&["ticks", "append", "X", "-"], &documents);
    let mut child = world
        .command()
        .args(["ticks", "read", "X", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert!(first.contains("\"n\": 0"));
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..])
    );
}

#[test]
fn the_store_is_named_by_option_environment_or_place() {
    let world = World::bare();
    let other = world.dir().join("other");
    let path = other.to_str().unwrap();
    assert!(
        world
            .ok(&["--store", path, "init"])
            .starts_with("made a store in ")
    );
    assert!(world.ok(&["init", path]).contains("already"));
    world.ok_with(&["--store", path, "decision", "add"], "{\"id\": \"a\"}");
    assert_eq!(world.ok(&["decision", "count", "--store", path]), "1\n");
    let mut command = world.command();
    command
        .env_remove("MINUTEBOOK_STORE")
        .current_dir(&other)
        .args(["decision", "count"]);
    assert_eq!(common::finish(command, b"").stdout, "1\n");
    assert!(!world.store().exists());
}

#[test]
fn settings_of_the_environment_go_over_the_file() {
    let world = World::new();
    std::fs::write(
        world.store().join("minutebook.toml"),
        "[decisions]\nstorage_path = \"here\"\n",
    )
    .unwrap();
    world.ok_with(
        &["decision", "add"],
        "{\"id\": \"a\", \"timestamp\": \"2025-01-01\"}",
    );
    assert!(world.store().join("here/2025-01-01_a.json").is_file());
    let mut command = world.command();
    command
        .env("MINUTEBOOK_DECISIONS_STORAGE_PATH", "there")
        .args(["decision", "count"]);
    assert_eq!(common::finish(command, b"").stdout, "0\n");
}
