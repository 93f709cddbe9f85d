//! `minutebook completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::app::Context;
use crate::args::Cli;
use crate::failure::Outcome;

/// Print a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minutebook completions bash > ~/.local/share/bash-completion/completions/minutebook
  minutebook completions zsh  > ~/.zfunc/_minutebook
  minutebook completions fish > ~/.config/fish/completions/minutebook.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Outcome {
        // Into memory first: the generator panics if it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "minutebook", &mut script);
        context.output.stdout.write_all(&script)?;
        Ok(())
    }
}
