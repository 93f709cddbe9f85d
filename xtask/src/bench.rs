//! `cargo xtask bench`: our workloads and the peers' on the same inputs in one run, then the table.

mod machine;
mod page;
mod peers;
mod report;
mod sizes;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::{cargo, root, run, target_dir};
use crate::python;
use peers::Peers;
use sizes::Sizes;

const SECTIONS: [&str; 6] = ["A", "B", "C1", "C2", "D", "E"];
/// The Python package against the originals' algorithms: a program of its own.
const PYTHON: &str = "P";

/// Time Minutebook beside its peers and the bare limits of this machine.
///
/// A decisions, B ticks, C1 one long series, C2 many short series, D catalog, E the machine alone;
/// P, alone and when asked for, the Python package.
/// Reads the variables of the peers' scripts: `BENCH_DIR` (scratch folder on the disk to be measured),
/// `BENCH_RUNS` (runs a case), `BENCH_ONLY` (parts of names of peers).
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// Small inputs and few peers: about a minute.
    #[arg(long)]
    quick: bool,
    /// Leave the peers out; no Python is needed.
    #[arg(long)]
    ours: bool,
    /// Only these sections, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "A,B,C1,C2,D,E,P")]
    section: Vec<String>,
    /// Where the result lines go; a file that is there is replaced.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The folder of the peers' scripts.
    #[arg(long, value_name = "DIR", env = "MINUTEBOOK_PEERS")]
    peers: Option<PathBuf>,
    /// Run nothing; make the table of result lines that are there.
    #[arg(long)]
    report: bool,
    /// Time the program as it was built last.
    #[arg(long)]
    no_build: bool,
    /// Put the command, the machine and the tables into docs/performance.md.
    #[arg(long)]
    docs: bool,
}

/// Where things are, and how much is done.
struct Plan {
    sizes: Sizes,
    inputs: PathBuf,
    scratch: PathBuf,
    out: PathBuf,
    runs: usize,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        let home = target_dir().join("bench");
        std::fs::create_dir_all(&home).with_context(|| home.display().to_string())?;
        let home = std::fs::canonicalize(home)?;
        let out = self
            .out
            .clone()
            .unwrap_or_else(|| home.join("results.jsonl"));
        if self.report {
            return self.show(&out, &home, &scratch_dir(&home));
        }
        if self.section.iter().any(|section| section == PYTHON) {
            return self.python(&home);
        }
        let sections = self.sections()?;
        let plan = self.plan(&home, &out)?;
        let peers = self.peers(&home)?;
        if !self.no_build {
            run(&mut cargo([
                "build",
                "--release",
                "--locked",
                "--package",
                "minutebook-bench",
            ]))?;
        }
        if let Some(peers) = &peers {
            peers.inputs(&plan)?;
        }
        // From here on everything is timed.
        std::fs::write(&out, "").with_context(|| out.display().to_string())?;
        let mut failures = Vec::new();
        for section in sections {
            println!("\n== {section}: ours");
            if let Err(error) = ours(&plan, section) {
                failures.push(format!("ours, {section}: {error:#}"));
            }
            if let Some(peers) = &peers
                && (section != "E" || !self.quick)
            {
                println!("== {section}: peers");
                if let Err(error) = peers.run(&plan, section) {
                    failures.push(format!("peers, {section}: {error:#}"));
                }
            }
        }
        self.show(&out, &home, &plan.scratch)?;
        if let Some(peers) = &peers {
            for missing in &peers.not_installed {
                println!("not installed, so not timed: {missing}");
            }
        }
        for failure in &failures {
            println!("failed: {failure}");
        }
        match failures.len() {
            0 => Ok(()),
            failed => bail!("{failed} parts failed; the table holds the others"),
        }
    }

    /// Prints the table and keeps it beside the results, and in the documentation if that is wanted.
    fn show(&self, out: &Path, home: &Path, scratch: &Path) -> Result<()> {
        let lines = std::fs::read_to_string(out).with_context(|| out.display().to_string())?;
        let results = report::Results::parse(&lines)?;
        let summary = results.summary();
        println!("\n{summary}");
        let file = home.join("report.md");
        std::fs::write(&file, format!("{summary}\n{}", results.details()))?;
        println!(
            "result lines: {}\ntables of every peer: {}",
            out.display(),
            file.display()
        );
        if self.docs {
            let path = root().join("docs/performance.md");
            let page =
                std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let measured = format!(
                "Command: `{}`\n\n{}\n{summary}",
                self.command(),
                machine::describe(scratch)
            );
            std::fs::write(&path, page::replaced(&page, &measured)?)?;
            println!("written: {}", path.display());
        }
        Ok(())
    }

    /// What to type to get this run again.
    fn command(&self) -> String {
        let mut words = vec!["cargo xtask bench".to_owned()];
        for (given, word) in [(self.quick, "--quick"), (self.ours, "--ours")] {
            if given {
                words.push(word.to_owned());
            }
        }
        if !self.section.is_empty() {
            words.push(format!("--section {}", self.section.join(",")));
        }
        words.join(" ")
    }

    /// Builds and installs the package as its users get it, and times it.
    fn python(&self, home: &Path) -> Result<()> {
        if self.section.len() > 1 || self.ours || self.docs {
            bail!("section {PYTHON} is run alone, and compares with the originals' algorithms");
        }
        let package = root().join("crates/python");
        let requirements = std::fs::read_to_string(package.join("tests/requirements.txt"))?;
        let python = python::ready(&home.join("package-venv"), &requirements)?;
        if !self.no_build {
            let wheel = python::wheel(&python, &package, &home.join("wheel"), "release")?;
            python::install_wheel(&python, &wheel)?;
        }
        let peers = self
            .peers
            .clone()
            .unwrap_or_else(|| root().join("../shared/peers"));
        let scratch = scratch_dir(home);
        std::fs::create_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
        let mut program = Command::new(&python);
        program
            .arg(package.join("benches/compat.py"))
            .arg(peers)
            .args(self.quick.then_some("--quick"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("TMPDIR", scratch)
            .stdin(Stdio::null());
        run(&mut program)
    }

    fn sections(&self) -> Result<Vec<&str>> {
        for section in &self.section {
            if !SECTIONS.contains(&section.as_str()) {
                bail!(
                    "there is no section {section}; there are {}, and {PYTHON} alone",
                    SECTIONS.join(", ")
                );
            }
        }
        let wanted = |section: &&str| {
            self.section.is_empty() || self.section.iter().any(|wanted| wanted == section)
        };
        Ok(SECTIONS.into_iter().filter(wanted).collect())
    }

    fn plan(&self, home: &Path, out: &Path) -> Result<Plan> {
        let sizes = if self.quick {
            Sizes::quick()
        } else {
            Sizes::full()
        };
        let runs = match std::env::var("BENCH_RUNS") {
            Ok(text) => text.parse().with_context(|| format!("BENCH_RUNS={text}"))?,
            Err(_) if self.quick => 3,
            Err(_) => 5,
        };
        let scratch = scratch_dir(home);
        std::fs::create_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
        // The values of the two generators differ, so their files must not mix.
        let inputs = home.join(if self.ours { "inputs-own" } else { "inputs" });
        std::fs::create_dir_all(&inputs)?;
        Ok(Plan {
            sizes,
            inputs,
            scratch,
            out: std::path::absolute(out)?,
            runs,
        })
    }

    fn peers(&self, home: &Path) -> Result<Option<Peers>> {
        if self.ours {
            return Ok(None);
        }
        let scripts = self
            .peers
            .clone()
            .unwrap_or_else(|| root().join("../shared/peers"));
        Peers::prepare(&scripts, &home.join("venv"), self.quick).map(Some)
    }
}

fn ours(plan: &Plan, section: &str) -> Result<()> {
    let mut command = std::process::Command::new(target_dir().join("release/minutebook-bench"));
    command
        .args(["run", "--section", section])
        .arg("--inputs")
        .arg(&plan.inputs)
        .arg("--dir")
        .arg(&plan.scratch)
        .arg("--out")
        .arg(&plan.out)
        .args(["--runs", &plan.runs.to_string()])
        .args(plan.sizes.ours());
    run(&mut command)
}

fn scratch_dir(home: &Path) -> PathBuf {
    std::env::var_os("BENCH_DIR").map_or_else(|| home.join("scratch"), PathBuf::from)
}
