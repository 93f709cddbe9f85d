//! The step of ci for the Python package: one wheel, its types, and its tests with each interpreter and pandas that there are.
//!
//! An interpreter from 3.11 on and all requirements for it must be there; only a machine without a package index leaves the step out. Further
//! interpreters are used where they are installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use super::Done;
use crate::process::{output, root, run, target_dir};
use crate::python;

/// The variable that tells the tests that everything is installed.
const HAS_ALL: &str = "MINUTEBOOK_TESTS_HAVE_ALL";

/// What a test ran with, in a line.
const TOLD: &str = "\
import platform, pandas
print(f'Python {platform.python_version()} with pandas {pandas.__version__}')";

/// Builds the package, holds its stubs against it, and runs its tests with each pandas that it is for, and with other interpreters where there are any;
/// `without` those that want the sample data and what lies beside it.
pub(super) fn package(without: bool) -> Result<Done> {
    let crate_dir = root().join("crates/python");
    let tests = crate_dir.join("tests");
    let requirements = |name: &str| std::fs::read_to_string(tests.join(name));
    let mut pythons = Vec::new();
    for (name, file) in [
        ("ci-package-pandas3", "requirements.txt"),
        ("ci-package-pandas2", "requirements-pandas2.txt"),
    ] {
        match python::needed(&target_dir().join(name), &requirements(file)?)? {
            Ok(python) => pythons.push(python),
            Err(why) => return Ok(Done::LeftOut(why)),
        }
    }
    let wheel = python::wheel(
        &pythons[0],
        &crate_dir,
        &target_dir().join("ci-wheel"),
        "dev",
    )?;
    for python in &pythons {
        python::install_wheel(python, &wheel)?;
    }
    types(&pythons[0], &tests)?;
    for ((major, minor), with) in python::others() {
        let folder = target_dir().join(format!("ci-package-{major}.{minor}"));
        match python::ready_with(&with, &folder, &requirements("requirements-others.txt")?) {
            Ok(python) => {
                python::install_wheel(&python, &wheel)?;
                pythons.push(python);
            }
            Err(error) => println!("Python {major}.{minor} is there, but not used: {error:#}"),
        }
    }
    let mut ran = Vec::new();
    for (number, python) in pythons.iter().enumerate() {
        let with = output(Command::new(python).args(["-c", TOLD]))?;
        println!("{}", with.trim());
        pytest(python, &crate_dir, &tests, number == 0, without)?;
        ran.push(with.trim().to_owned());
    }
    Ok(Done::With(ran.join(", ")))
}

/// Holds the stubs against what is installed, and a program that uses them against what a type checker makes of it.
fn types(python: &Path, tests: &Path) -> Result<()> {
    let mut checked = Command::new(python);
    checked
        .args([
            "-m",
            "mypy",
            "--strict",
            "--no-incremental",
            "--config-file",
        ])
        .arg(tests.join("mypy.ini"))
        .arg(tests.join("typed.py"))
        .current_dir(target_dir())
        .stdin(Stdio::null());
    run(&mut checked)?;
    let mut stubtest = Command::new(python);
    stubtest
        .args(["-m", "mypy.stubtest"])
        .args(["minutebook._native", "minutebook.aio"])
        .arg("--mypy-config-file")
        .arg(tests.join("mypy.ini"))
        .arg("--allowlist")
        .arg(tests.join("stubtest.txt"))
        .current_dir(target_dir())
        .stdin(Stdio::null());
    run(&mut stubtest)
}

/// Runs the tests; `has_all` if everything that they can use is installed, so that a test that leaves itself out fails.
fn pytest(
    python: &PathBuf,
    crate_dir: &Path,
    tests: &Path,
    has_all: bool,
    without: bool,
) -> Result<()> {
    let mut pytest = Command::new(python);
    pytest
        .args(["-m", "pytest", "-p", "no:cacheprovider"])
        .arg(tests)
        .current_dir(crate_dir)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("PYTHONPATH")
        .env_remove(HAS_ALL)
        .stdin(Stdio::null());
    if without {
        pytest.args(["-m", "not shared_data"]);
    }
    if has_all {
        pytest.env(HAS_ALL, "1");
    }
    run(&mut pytest)
}
