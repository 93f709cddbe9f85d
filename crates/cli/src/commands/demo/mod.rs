//! `minutebook demo`.

mod bot;
mod sample;
mod show;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use minutebook::config::{Config, Durability, Environment};
use minutebook::{DirectoryKind, ErrorKind, ManualClock, Minutebook};
use serde_json::json;

use self::bot::Bot;
use crate::app::Context;
use crate::failure::{Exit, Failure, Outcome};

/// Record a trading bot's run on bundled sample data, and show what is then on disk.
#[derive(Debug, Args)]
#[command(after_help = "\
The bot follows two moving averages of AAPL and MSFT through the year 2012. Each evening it looks at the bars that have \
closed by then, and at no other, and records what it decides; when a position is closed, the decision that opened it gets \
its outcome. The data is real and old; the bot is no advice.

Examples:
  minutebook demo
  minutebook demo /tmp/book && minutebook --store /tmp/book decision list")]
pub(crate) struct Demo {
    /// Where to record it: a directory that is empty or not there [default: a new one for temporary files]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Demo {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let path = match self.directory {
            Some(path) => free(path)?,
            None => tempfile::Builder::new()
                .prefix("minutebook-demo-")
                .tempdir()
                .map(tempfile::TempDir::keep)
                .map_err(|error| {
                    Failure::file(
                        "make a directory",
                        "the directory for temporary files",
                        &error,
                    )
                })?,
        };
        let sample = sample::read()?;
        // The demo is its own world: its clock goes through 2012, the environment's settings are left aside, and a power cut
        // may take its last second.
        let clock = Arc::new(ManualClock::at(sample.start()));
        let book = Minutebook::options()
            .config(Config::new().durability(Durability::Buffered))
            .environment(Environment::empty())
            .clock(Arc::clone(&clock) as _)
            .create(&path)?;
        context.output.note(format!(
            "recording a run of a small trading bot in {} …",
            path.display()
        ));
        let run = Bot::new(&book, &clock).run(&sample).await?;
        if context.output.json {
            return context.output.json_line(&json!({
                "store": path.display().to_string(),
                "decisions": run.decisions,
                "bars": run.bars,
                "ticks": run.ticks,
                "datasets": run.datasets,
            }));
        }
        show::show(context, &book, &path, &run).await
    }
}

fn free(path: PathBuf) -> Outcome<PathBuf> {
    match DirectoryKind::of(&path) {
        Ok(DirectoryKind::Empty) => Ok(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(path),
        Ok(_) => Err(Failure::new(
            Exit::Conflict,
            format!(
                "{}: the directory is not empty; name another one, or none for a new one",
                path.display()
            ),
        )),
        Err(error) => Err(error.into()),
    }
}
