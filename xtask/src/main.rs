//! The project's own tasks, run as `cargo xtask COMMAND`. One file a command; none depends on the
//! product's crates, so that this builds in seconds.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to the terminal"
)]

mod bench;
mod ci;
mod process;
mod python;
mod tidy;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything a change must pass after `cargo test`: format, lints, docs, structure, features, sample data, demo.
    Ci(ci::Ci),
    /// Check the structure: dependency arrows, module docs, file sizes, links, placeholders, features.
    Tidy,
    /// Kill writers at random for minutes: what was acknowledged must be there, once and whole.
    Torture,
    /// Time Minutebook beside its peers and the bare limits of this machine.
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let done = match Xtask::parse().command {
        Command::Ci(ci) => ci.run(),
        Command::Tidy => tidy::run(),
        Command::Torture => torture::run(),
        Command::Bench(bench) => bench.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
