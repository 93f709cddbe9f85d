//! How much is timed, and where.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum as _};

use crate::sections::Section;

/// Documents beside the largest store, for saves one by one.
const FRESH_DECISIONS: usize = 20_000;

/// Sizes and places. The sizes are those of the peers' scripts.
#[derive(Debug, Clone, Args)]
pub(crate) struct Config {
    /// Folder of the inputs.
    #[arg(long)]
    pub(crate) inputs: PathBuf,
    /// Scratch folder for the stores, on the disk that is to be measured.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// File that the results are appended to.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Timed runs of each case; the median counts.
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
    /// A: documents in the store.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    pub(crate) decisions: Vec<usize>,
    /// B: ticks to append.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) ticks_append: usize,
    /// B: ticks to load.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) ticks_load: usize,
    /// C1, D: years of minute bars.
    #[arg(long, default_value_t = 10)]
    pub(crate) years: usize,
    /// C2: symbols.
    #[arg(long, default_value_t = 100)]
    pub(crate) symbols: usize,
    /// D: datasets in the catalog.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) datasets: usize,
    /// E: megabytes of the files for bandwidth.
    #[arg(long, default_value_t = 512)]
    pub(crate) mib: usize,
}

impl Config {
    /// How many decisions the input file has.
    pub(crate) fn decisions_total(&self) -> usize {
        self.decisions.iter().max().copied().unwrap_or(0) + FRESH_DECISIONS
    }

    pub(crate) fn decisions_file(&self) -> PathBuf {
        self.inputs
            .join(format!("decisions_{}.jsonl", self.decisions_total()))
    }

    /// How many ticks the input file has.
    pub(crate) fn ticks_total(&self) -> usize {
        self.ticks_load.max(self.ticks_append)
    }

    pub(crate) fn ticks_file(&self) -> PathBuf {
        self.inputs
            .join(format!("ticks_{}.jsonl", self.ticks_total()))
    }

    pub(crate) fn bars_file(&self) -> PathBuf {
        self.inputs.join(format!("bars_1m_{}y.parquet", self.years))
    }

    pub(crate) fn symbols_file(&self) -> PathBuf {
        self.inputs
            .join(format!("symbols_{}.parquet", self.symbols))
    }

    pub(crate) fn daily_file(&self) -> PathBuf {
        self.inputs.join("bars_1d_365.parquet")
    }

    /// An empty folder of this name in the scratch folder.
    pub(crate) fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join("ours").join(name);
        wipe(&path)?;
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// Times one workload in a process of its own and gives back what it printed.
    pub(crate) fn child(&self, section: Section, op: &str, args: &[&str]) -> Result<String> {
        // The program that runs the tests knows no cases, so there they run in its own process.
        if cfg!(test) {
            let args: Vec<_> = args.iter().map(ToString::to_string).collect();
            return section.case(op, &args, self);
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("case").args(["--runs", &self.runs.to_string()]);
        for (flag, path) in [
            ("--inputs", &self.inputs),
            ("--dir", &self.dir),
            ("--out", &self.out),
        ] {
            command.arg(flag).arg(path);
        }
        let decisions: Vec<_> = self.decisions.iter().map(ToString::to_string).collect();
        command.args(["--decisions", &decisions.join(",")]);
        for (flag, value) in [
            ("--ticks-append", self.ticks_append),
            ("--ticks-load", self.ticks_load),
            ("--years", self.years),
            ("--symbols", self.symbols),
            ("--datasets", self.datasets),
            ("--mib", self.mib),
        ] {
            command.args([flag, &value.to_string()]);
        }
        let name = section
            .to_possible_value()
            .context("a section has a name")?;
        command.args([name.get_name(), op]).args(args);
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!(
                "{section:?} {op} in its own process ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(text)
    }
}

/// Takes a folder away, if it is there.
pub(crate) fn wipe(path: &Path) -> Result<()> {
    if path.exists() {
        std::fs::remove_dir_all(path).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// The bytes of the files below a folder: their lengths, and what the disk gives them.
pub(crate) fn disk_bytes(path: &Path) -> Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let (mut length, mut allocated) = (0, 0);
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            let (a, b) = disk_bytes(&entry.path())?;
            length += a;
            allocated += b;
        } else {
            length += metadata.len();
            allocated += metadata.blocks() * 512;
        }
    }
    Ok((length, allocated))
}
