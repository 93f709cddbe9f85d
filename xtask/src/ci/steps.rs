//! The steps of ci. Each says what it runs, so that it can be run alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Done, Step};
use crate::process::{cargo, output, root, run, target_dir, tee};
use crate::python;

/// The facade's features, each of which must build alone.
const FEATURES: [&str; 7] = ["memory", "json", "jsonl", "parquet", "s3", "gcs", "azure"];

/// In the order in which a mistake shows soonest.
pub(super) fn all(without: bool) -> Vec<Step> {
    vec![
        Step::cargo("fmt", || cargo(["fmt", "--all", "--check"])),
        Step::own("tidy", "cargo xtask tidy", || {
            crate::tidy::run().map(|()| Done::Passed)
        }),
        Step::cargo("clippy", || {
            cargo([
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ])
        }),
        Step::cargo("doc", || {
            let mut command = cargo(["doc", "--workspace", "--no-deps", "--locked"]);
            command.env("RUSTDOCFLAGS", "-D warnings");
            command
        }),
        Step::own(
            "features",
            "cargo check -p minutebook --no-default-features --features <each>; cargo test -p minutebook-parquet --features s3 --test s3",
            features,
        ),
        Step::own(
            "shared-data",
            "cargo test --tests shared_data -- --ignored",
            move || shared_data(without),
        ),
        // The workspace's features, so that nothing is built a second time.
        Step::cargo("bench-smoke", || {
            cargo([
                "test",
                "--workspace",
                "--locked",
                "--bin",
                "minutebook-bench",
            ])
        }),
        Step::own("deny", "cargo deny check bans licenses sources", deny),
        Step::own("demo", "cargo run --bin minutebook -- demo", demo),
        Step::own("python", "cargo test --tests python -- --ignored", readers),
        Step::own(
            "package",
            "cargo xtask ci --only package (a wheel of crates/python with the profile dev, mypy, stubtest, pytest)",
            move || super::package::package(without),
        ),
    ]
}

/// Checks the facade with no feature and with each alone, and tests the client of buckets against a server of the test's own.
fn features() -> Result<Done> {
    let base = [
        "check",
        "--quiet",
        "--locked",
        "--package",
        "minutebook",
        "--no-default-features",
    ];
    run(&mut cargo(base))?;
    for feature in FEATURES {
        println!("feature {feature}");
        run(&mut cargo(base.into_iter().chain(["--features", feature])))?;
    }
    let bucket = [
        "test",
        "--quiet",
        "--locked",
        "--package",
        "minutebook-parquet",
        "--features",
        "s3",
        "--test",
        "s3",
    ];
    run(&mut cargo(bucket))?;
    Ok(Done::Passed)
}

/// Where the sample data lies: beside the repository, or where `MINUTEBOOK_SHARED_DATA` says.
fn shared_data_dir() -> PathBuf {
    std::env::var_os("MINUTEBOOK_SHARED_DATA")
        .map_or_else(|| root().join("../shared/data"), PathBuf::from)
}

/// Runs the ignored tests whose path contains `shared_data`.
fn shared_data(without: bool) -> Result<Done> {
    if without {
        return Ok(Done::LeftOut("--without-shared-data was given".to_owned()));
    }
    let data = shared_data_dir();
    if !data.join("README.md").is_file() {
        bail!(
            "there is no sample data at {}; set MINUTEBOOK_SHARED_DATA, or leave these tests out with --without-shared-data",
            data.display()
        );
    }
    ignored_tests(
        "shared_data",
        "MINUTEBOOK_SHARED_DATA",
        &std::fs::canonicalize(&data)?,
    )
}

/// Runs the ignored tests whose path contains `part`, with a variable set. None at all is a failure.
fn ignored_tests(part: &str, variable: &str, value: &Path) -> Result<Done> {
    let mut tests = cargo(["test", "--locked", "--tests", part, "--", "--ignored"]);
    tests.env(variable, value);
    let ran = tests_run(&tee(&mut tests)?);
    if ran == 0 {
        bail!("no ignored test has `{part}` in its path");
    }
    println!("{ran} ignored tests with `{part}` in their path");
    Ok(Done::Passed)
}

/// How many tests passed according to the summaries of `cargo test`.
fn tests_run(output: &str) -> usize {
    output
        .lines()
        .filter_map(|line| line.strip_prefix("test result: ok. "))
        .filter_map(|rest| rest.split_once(" passed")?.0.parse::<usize>().ok())
        .sum()
}

fn deny() -> Result<Done> {
    if output(&mut cargo(["deny", "--version"])).is_err() {
        return Ok(Done::LeftOut(
            "cargo-deny is not installed (`cargo install cargo-deny --locked`)".to_owned(),
        ));
    }
    run(&mut cargo([
        "deny",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))?;
    Ok(Done::Passed)
}

/// Lets the programs that people use in Python read what the demo and the tests wrote.
fn readers() -> Result<Done> {
    let scripts = root().join("tests/python");
    let requirements = std::fs::read_to_string(scripts.join("requirements.txt"))?;
    let python = match std::env::var_os("MINUTEBOOK_PYTHON") {
        Some(python) => PathBuf::from(python),
        None => match python::needed(&target_dir().join("ci-venv"), &requirements)? {
            Ok(python) => python,
            Err(why) => return Ok(Done::LeftOut(why)),
        },
    };
    let mut script = Command::new(&python);
    script
        .arg(scripts.join("check_readers.py"))
        .arg(demo_store())
        .stdin(Stdio::null());
    run(&mut script)?;
    ignored_tests("python", "MINUTEBOOK_PYTHON", &python)
}

fn demo_store() -> PathBuf {
    target_dir().join("ci-demo")
}

/// Runs the demo in an empty directory and looks at what it left there.
fn demo() -> Result<Done> {
    let store = demo_store();
    if store.exists() {
        std::fs::remove_dir_all(&store).with_context(|| store.display().to_string())?;
    }
    let mut command = cargo([
        "run",
        "--quiet",
        "--locked",
        "--bin",
        "minutebook",
        "--",
        "demo",
    ]);
    command.arg(&store);
    let text = tee(&mut command)?;
    if text.trim().is_empty() {
        bail!("the demo printed nothing");
    }
    let files = std::fs::read_dir(&store)
        .with_context(|| format!("the demo left no {}", store.display()))?
        .count();
    if files == 0 {
        bail!("the demo left {} empty", store.display());
    }
    Ok(Done::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_over_all_binaries() {
        let output = "running 2 tests\n\
                      test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out\n\
                      test result: ok. 0 passed; 0 failed\n\
                      test result: ok. 11 passed; 0 failed\n";
        assert_eq!(tests_run(output), 13);
        assert_eq!(tests_run("nothing ran"), 0);
    }

    #[test]
    fn step_names_are_unique() {
        let mut names: Vec<_> = all(true).iter().map(|step| step.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
