//! The `minutebook` command.
#![allow(
    clippy::doc_markdown,
    reason = "the doc comments of arguments are the text of --help, where backticks would show"
)]

mod app;
mod args;
mod commands;
mod failure;
mod input;
mod output;

use std::io::{self, BufWriter, IsTerminal};
use std::process::ExitCode;

use minutebook::config::Environment;

fn main() -> ExitCode {
    let mut stdin = io::stdin();
    let mut stdout = BufWriter::with_capacity(64 * 1024, io::stdout());
    let mut stderr = io::stderr();
    let mut streams = app::Streams {
        stdin_is_terminal: stdin.is_terminal(),
        stdout_is_terminal: io::stdout().is_terminal(),
        stderr_is_terminal: stderr.is_terminal(),
        stdin: &mut stdin,
        stdout: &mut stdout,
        stderr: &mut stderr,
    };
    let exit = app::run(
        std::env::args_os(),
        &Environment::of_process(),
        &mut streams,
    );
    ExitCode::from(exit as u8)
}
