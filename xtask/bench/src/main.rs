//! Minutebook's own workloads, timed in the form of the peers' scripts, each beside the bare limit
//! of the machine. `cargo xtask bench` builds and runs this program together with the peers.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to the terminal"
)]

mod bare;
mod config;
mod inputs;
mod measure;
mod record;
mod sections;
mod store;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use config::Config;
use sections::Section;

/// Time Minutebook's workloads.
#[derive(Debug, Parser)]
#[command(name = "minutebook-bench")]
struct Bench {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the inputs that are missing, the same values every time.
    Generate(Config),
    /// Time the workloads of these sections.
    Run {
        /// Sections, separated by commas.
        #[arg(long, value_delimiter = ',', required = true)]
        section: Vec<Section>,
        #[command(flatten)]
        config: Config,
    },
    /// Time one workload in this process alone: its memory and its caches are its own.
    Case {
        /// The section.
        section: Section,
        /// The operation.
        op: String,
        /// What the operation needs beside the settings.
        args: Vec<String>,
        #[command(flatten)]
        config: Config,
    },
}

fn main() -> ExitCode {
    let run = || -> Result<()> {
        match Bench::parse().command {
            Command::Generate(config) => inputs::generate::missing(&config),
            Command::Run { section, config } => {
                inputs::generate::missing(&config)?;
                section
                    .into_iter()
                    .try_for_each(|section| section.run(&config))
            }
            Command::Case {
                section,
                op,
                args,
                config,
            } => {
                print!("{}", section.case(&op, &args, &config)?);
                Ok(())
            }
        }
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    /// Every section on tiny inputs, with all the checks that the workloads make, so that none of them rots.
    #[test]
    fn every_section_runs_and_leaves_well_formed_lines() {
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().join("results.jsonl");
        let config = Config {
            inputs: scratch.path().join("inputs"),
            dir: scratch.path().join("dir"),
            out: out.clone(),
            runs: 1,
            decisions: vec![200],
            ticks_append: 300,
            ticks_load: 2_000,
            years: 1,
            symbols: 2,
            datasets: 60,
            mib: 1,
        };
        inputs::generate::missing(&config).unwrap();
        for section in Section::value_variants() {
            section.run(&config).unwrap();
        }
        let lines = std::fs::read_to_string(out).unwrap();
        let mut seen = std::collections::HashSet::new();
        for line in lines.lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| record[key].as_str().unwrap().to_owned();
            assert!(record["n"].is_u64(), "{line}");
            if let Some(median) = record.get("median_s") {
                assert!(median.as_f64().unwrap() >= 0.0, "{line}");
                assert!(
                    record["min_s"].is_f64() && record["max_s"].is_f64() && record["runs"].is_u64()
                );
            }
            let key = (
                text("section"),
                text("op"),
                text("peer"),
                record["n"].as_u64(),
            );
            assert!(seen.insert(key), "twice: {line}");
        }
        assert!(seen.len() > 60, "only {} results", seen.len());
    }
}
