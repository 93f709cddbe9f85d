//! Virtual environments for the programs in Python that Minutebook is compared and read with.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::process::{output, run};

/// Makes a virtual environment where there is none; gives back its interpreter.
///
/// # Errors
/// If there is no `python3`, or it cannot make one.
pub(crate) fn environment(folder: &Path) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    if !python.exists() {
        println!("making {}", folder.display());
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(folder)
            .stdin(Stdio::null()))?;
    }
    Ok(python)
}

/// What is installed, as `pip freeze` lists it.
pub(crate) fn freeze(python: &Path) -> Result<String> {
    output(Command::new(python).args(["-m", "pip", "freeze", "--all"]))
}

/// Installs one requirement.
///
/// # Errors
/// With the last line of what pip said.
pub(crate) fn install(python: &Path, requirement: &str) -> Result<()> {
    println!("installing {requirement}");
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        requirement,
    ])
    .stdin(Stdio::null());
    output(&mut pip).map(drop).map_err(|error| {
        let text = format!("{error:#}");
        let last = text.lines().last().unwrap_or_default();
        anyhow::anyhow!("{requirement} cannot be installed: {last}")
    })
}

/// An environment in which everything of a requirements file is installed.
pub(crate) fn ready(folder: &Path, requirements: &str) -> Result<PathBuf> {
    let python = environment(folder)?;
    let there = freeze(&python)?;
    for requirement in lines(requirements).filter(|line| !installed(&there, line)) {
        install(&python, requirement)?;
    }
    Ok(python)
}

/// Builds the wheel of a package of ours with a profile of cargo; gives its file.
///
/// # Errors
/// If it does not build.
pub(crate) fn wheel(
    python: &Path,
    package: &Path,
    folder: &Path,
    profile: &str,
) -> Result<PathBuf> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "wheel", "--quiet", "--no-deps"])
        .arg("--disable-pip-version-check")
        .arg("--wheel-dir")
        .arg(folder)
        .arg(package)
        .env(
            "MATURIN_PEP517_ARGS",
            format!("--profile {profile} --locked"),
        )
        .stdin(Stdio::null());
    run(&mut pip)?;
    let found = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|is| is == "whl"));
    found.ok_or_else(|| anyhow::anyhow!("pip left no wheel in {}", folder.display()))
}

/// Installs a wheel in the place of the one before.
///
/// # Errors
/// If pip refuses it.
pub(crate) fn install_wheel(python: &Path, wheel: &Path) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps"])
        .args(["--force-reinstall", "--disable-pip-version-check"])
        .arg(wheel)
        .stdin(Stdio::null());
    run(&mut pip)
}

/// The requirements of a file.
pub(crate) fn lines(requirements: &str) -> impl Iterator<Item = &str> {
    requirements
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The package that a requirement names.
pub(crate) fn package(requirement: &str) -> &str {
    requirement
        .split(|c: char| "=<>!~[; ".contains(c))
        .next()
        .unwrap_or(requirement)
}

/// Whether `pip freeze` lists the requirement, `-` and `_` and case aside.
pub(crate) fn installed(freeze: &str, requirement: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let (name, whole) = (plain(package(requirement)), plain(requirement));
    freeze.lines().map(plain).any(|line| {
        if whole.contains("==") {
            line == whole
        } else {
            package(&line) == name
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_read_and_recognised() {
        let text = "# versions\npandas==2.3.3\nnautilus_trader==1.2\n\n";
        assert_eq!(
            lines(text).collect::<Vec<_>>(),
            ["pandas==2.3.3", "nautilus_trader==1.2"]
        );
        let freeze = "Nautilus-Trader==1.2\npandas==2.3.2\n";
        assert!(installed(freeze, "nautilus_trader==1.2") && installed(freeze, "pandas"));
        assert!(!installed(freeze, "pandas==2.3.3") && !installed(freeze, "numpy"));
    }
}
