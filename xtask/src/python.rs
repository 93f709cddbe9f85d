//! Virtual environments for the programs in Python that Minutebook is compared and read with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::process::{output, run};

/// The interpreter that virtual environments are made with where none is named.
pub(crate) const PYTHON: &str = "python3";

/// The first and the last minor version of Python 3 that is looked for.
const MINORS: std::ops::RangeInclusive<u32> = 11..=19;

/// Says `3.12`, if it is an interpreter that our wheels are for and that can make environments.
const USABLE: &str = "\
import ensurepip, sys, sysconfig, venv
usable = sys.implementation.name == 'cpython' and sys.version_info.releaselevel == 'final' and not sysconfig.get_config_var('Py_GIL_DISABLED')
print('%d.%d' % sys.version_info[:2] if usable else '')";

/// Makes a virtual environment where there is none; gives back its interpreter.
///
/// # Errors
/// If there is no such interpreter, or it cannot make one.
pub(crate) fn environment(with: &Path, folder: &Path) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    if !python.exists() {
        println!("making {}", folder.display());
        run(Command::new(with)
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
    install_with(python, requirement, &[])
}

fn install_with(python: &Path, requirement: &str, options: &[&str]) -> Result<()> {
    println!("installing {requirement}");
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ])
    .args(options)
    .arg(requirement)
    .stdin(Stdio::null());
    output(&mut pip).map(drop).map_err(|error| {
        let text = format!("{error:#}");
        let last = text.lines().last().unwrap_or_default();
        anyhow::anyhow!("{requirement} cannot be installed: {last}")
    })
}

/// The interpreters that there are beside `python3`, by version: those on the path, and those that pyenv has installed.
pub(crate) fn others() -> BTreeMap<(u32, u32), PathBuf> {
    let on_path = MINORS.map(|minor| PathBuf::from(format!("python3.{minor}")));
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| std::env::home_dir().map(|home| home.join(".pyenv")));
    let installed = pyenv.and_then(|pyenv| std::fs::read_dir(pyenv.join("versions")).ok());
    let installed = installed.into_iter().flatten().flatten();
    let installed = installed.map(|version| version.path().join("bin/python"));
    let mut found = BTreeMap::new();
    for python in on_path.chain(installed) {
        if let Some(version) = usable(&python) {
            found.entry(version).or_insert(python);
        }
    }
    if let Some(own) = usable(Path::new(PYTHON)) {
        found.remove(&own);
    }
    found
}

/// The version of an interpreter that our wheels are for.
fn usable(python: &Path) -> Option<(u32, u32)> {
    let said = output(Command::new(python).args(["-c", USABLE])).ok()?;
    let (major, minor) = said.trim().split_once('.')?;
    let version: (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    (version.0 == 3 && MINORS.contains(&version.1)).then_some(version)
}

/// An environment for what must be tested wherever it can be: with `python3`, or another interpreter that our wheels are for. The inner error says why
/// it is left out: there is no package index here, and not everything was installed before.
///
/// # Errors
/// If there is no such interpreter, or an index that answers does not give a requirement.
pub(crate) fn needed(
    folder: &Path,
    requirements: &str,
) -> Result<std::result::Result<PathBuf, String>> {
    let with = if usable(Path::new(PYTHON)).is_some() {
        PathBuf::from(PYTHON)
    } else {
        let mut others = others().into_values();
        others.next().ok_or_else(|| {
            anyhow::anyhow!(
                "there is no CPython 3.{} or later with venv",
                MINORS.start()
            )
        })?
    };
    filled_or_why(&with, folder, requirements)
}

/// An environment that cannot be made, or is broken, is an error: what it lacks says nothing of an index.
fn filled_or_why(
    with: &Path,
    folder: &Path,
    requirements: &str,
) -> Result<std::result::Result<PathBuf, String>> {
    let python = environment(with, folder)?;
    let Err(error) = fill(&python, &freeze(&python)?, requirements, &[]) else {
        return Ok(Ok(python));
    };
    let downloads = folder.join("index");
    let answers = has_index(&python, &downloads);
    if downloads.exists() {
        std::fs::remove_dir_all(&downloads)?;
    }
    if answers {
        return Err(error);
    }
    Ok(Err(format!("no package index answers: {error:#}")))
}

/// Whether pip reaches an index, which has itself. What it gives is in `downloads` then.
fn has_index(python: &Path, downloads: &Path) -> bool {
    let asked = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-cache-dir",
    ];
    let asked = output(
        Command::new(python)
            .args(asked)
            .args(["--disable-pip-version-check", "--retries=1", "--timeout=15"])
            .args(["--only-binary=:all:", "--dest"])
            .arg(downloads)
            .arg("pip")
            .stdin(Stdio::null()),
    );
    asked.is_ok()
}

/// An environment in which everything of a requirements file is installed.
pub(crate) fn ready(folder: &Path, requirements: &str) -> Result<PathBuf> {
    filled(Path::new(PYTHON), folder, requirements, &[])
}

/// The same made with another interpreter, of wheels alone: nothing is compiled, and a registry that does not answer is not waited for.
pub(crate) fn ready_with(with: &Path, folder: &Path, requirements: &str) -> Result<PathBuf> {
    let options = ["--only-binary=:all:", "--retries=1", "--timeout=15"];
    filled(with, folder, requirements, &options)
}

fn filled(with: &Path, folder: &Path, requirements: &str, options: &[&str]) -> Result<PathBuf> {
    let python = environment(with, folder)?;
    fill(&python, &freeze(&python)?, requirements, options)?;
    Ok(python)
}

/// Installs what is not there of a requirements file.
fn fill(python: &Path, there: &str, requirements: &str, options: &[&str]) -> Result<()> {
    for requirement in lines(requirements).filter(|line| !installed(there, line)) {
        install_with(python, requirement, options)?;
    }
    Ok(())
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

    /// An environment whose interpreter is this script.
    #[cfg(unix)]
    fn scripted(script: &str) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let python = folder.path().join("bin/python");
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        std::fs::write(&python, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    #[cfg(unix)]
    #[test]
    fn only_a_missing_index_leaves_a_step_out() {
        let asked = |script: &str| {
            let folder = scripted(script);
            let found = filled_or_why(Path::new(PYTHON), folder.path(), "pandas==2.3.3\n");
            assert!(!folder.path().join("index").exists());
            found
        };
        // What is broken is not left out for ever after.
        asked("exit 1").unwrap_err();
        // `$3` is what pip is to do.
        let offline = r#"case "$3" in freeze) exit 0;; *) exit 1;; esac"#;
        let why = asked(offline).unwrap().unwrap_err();
        assert!(why.contains("no package index"), "{why}");
        let refuses = r#"case "$3" in freeze) ;; install) exit 1;; *) mkdir "$(dirname "$0")/../index";; esac"#;
        let error = asked(refuses).unwrap_err();
        assert!(error.to_string().contains("pandas==2.3.3"), "{error:#}");
        let there = r#"case "$3" in freeze) echo pandas==2.3.3;; *) exit 1;; esac"#;
        asked(there).unwrap().unwrap();
    }

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
