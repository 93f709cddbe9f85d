//! The peers: Python scripts in a folder of their own, run in a virtual environment that we make.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Plan;
use super::sizes::Sizes;
use crate::process::run;
use crate::python;

/// Scripts that are ready to run.
pub(super) struct Peers {
    scripts: PathBuf,
    python: PathBuf,
    /// Requirements that could not be installed, and why.
    pub(super) not_installed: Vec<String>,
}

impl Peers {
    /// Makes the virtual environment where it is missing, and installs what is not there yet.
    pub(super) fn prepare(scripts: &Path, venv: &Path, quick: bool) -> Result<Self> {
        let requirements = scripts.join("requirements.txt");
        let Ok(text) = std::fs::read_to_string(&requirements) else {
            bail!(
                "the peers' scripts are not at {}; say where with --peers, or leave the peers out with --ours",
                scripts.display()
            );
        };
        let python = python::environment(Path::new(python::PYTHON), venv)?;
        let sizes = if quick { Sizes::quick() } else { Sizes::full() };
        let there = python::freeze(&python)?;
        let mut not_installed = Vec::new();
        for requirement in python::lines(&text).filter(|line| sizes.needs(line)) {
            if !python::installed(&there, requirement)
                && let Err(error) = python::install(&python, requirement)
            {
                println!("{error:#}");
                not_installed.push(format!("{error:#}"));
            }
        }
        Ok(Self {
            scripts: std::fs::canonicalize(scripts)?,
            python,
            not_installed,
        })
    }

    fn python(&self) -> Command {
        let mut command = Command::new(&self.python);
        command
            .env("PYTHONPATH", &self.scripts)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("BENCH_LOCK")
            .stdin(Stdio::null());
        command
    }

    /// Has the peers' generator write the inputs that are missing.
    pub(super) fn inputs(&self, plan: &Plan) -> Result<()> {
        let sizes = &plan.sizes;
        let (decisions, ticks) = (sizes.decisions_total(), sizes.ticks_total());
        let missing = |name: String| !plan.inputs.join(name).exists();
        let mut generate = self.python();
        generate.arg(self.scripts.join("gen.py"));
        let mut any = false;
        let mut ask = |flag: &str, name: String, value: usize| {
            let needed = missing(name);
            any |= needed;
            generate.arg(flag);
            // Without a value no decisions are written, with 0 nothing of the others.
            if needed || flag != "--decisions" {
                generate.arg(if needed { value } else { 0 }.to_string());
            }
        };
        ask(
            "--decisions",
            format!("decisions_{decisions}.jsonl"),
            decisions,
        );
        ask("--ticks", format!("ticks_{ticks}.jsonl"), ticks);
        ask(
            "--bars",
            format!("bars_1m_{}y.parquet", sizes.years),
            sizes.years,
        );
        let part = plan.inputs.join("part");
        if any {
            println!(
                "writing inputs with {}",
                self.scripts.join("gen.py").display()
            );
            into_place(&part, &plan.inputs, |folder| {
                run(generate.arg("--out").arg(folder))
            })?;
        }
        if missing(format!("symbols_{}.parquet", sizes.symbols))
            || missing("bars_1d_365.parquet".into())
        {
            into_place(&part, &plan.inputs, |folder| {
                let mut more = self.python();
                more.args(["-c", include_str!("inputs.py")])
                    .arg(folder)
                    .arg(sizes.symbols.to_string());
                run(&mut more)
            })?;
        }
        Ok(())
    }

    /// Runs the script of a section.
    pub(super) fn run(&self, plan: &Plan, section: &str) -> Result<()> {
        let (script, arguments) = plan.sizes.script(section);
        let scratch = plan.scratch.join("peers");
        std::fs::create_dir_all(&scratch)?;
        let mut command = self.python();
        command
            .arg(self.scripts.join(script))
            .args(arguments)
            .current_dir(&scratch)
            .env("BENCH_DIR", &scratch)
            .env("BENCH_OUT", &plan.out)
            .env("BENCH_RUNS", plan.runs.to_string());
        if std::env::var_os("BENCH_ONLY").is_none() {
            command.env("BENCH_ONLY", plan.sizes.only(section));
        }
        run(&mut command)
    }
}

/// Lets `write` fill a folder, then moves its files: an interrupted run leaves no half input.
fn into_place(part: &Path, place: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if part.exists() {
        std::fs::remove_dir_all(part)?;
    }
    std::fs::create_dir_all(part)?;
    write(part)?;
    for entry in std::fs::read_dir(part)? {
        let entry = entry?;
        std::fs::rename(entry.path(), place.join(entry.file_name()))
            .with_context(|| entry.path().display().to_string())?;
    }
    Ok(std::fs::remove_dir(part)?)
}
