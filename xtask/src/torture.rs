//! `cargo xtask torture`: the tests that kill processes, in their full length.

use anyhow::Result;

use crate::process::{self, cargo};

/// The packages, and the tests in them, that the variables make long.
const TESTS: [(&str, &str); 3] = [
    ("minutebook-jsonl", "torture"),
    ("minutebook", "tiered_torture"),
    ("minutebook-json", "torture"),
];

/// How long the documents of decisions are written and killed.
const SECONDS: &str = "60";

/// Runs each to its end, in release: minutes, and some gigabytes of temporary files.
pub(crate) fn run() -> Result<()> {
    for (package, test) in TESTS {
        run_one(package, test)?;
    }
    Ok(())
}

fn run_one(package: &str, test: &str) -> Result<()> {
    let mut command = cargo([
        "test",
        "--release",
        "--locked",
        "--all-features",
        "--package",
        package,
        "--test",
        test,
        "--",
        "--nocapture",
    ]);
    command
        .env("MINUTEBOOK_TORTURE", "full")
        .env("MINUTEBOOK_TORTURE_SECONDS", SECONDS);
    process::run(&mut command)
}
