//! `minutebook ticks`.

mod append;
mod compact;
mod follow;
mod list;
mod read;
mod rotate;

use clap::Subcommand;

use crate::app::Context;
use crate::failure::Outcome;

/// Append and read ticks.
#[derive(Debug, Subcommand)]
pub(crate) enum Ticks {
    /// Append ticks from JSON Lines or CSV
    Append(append::Append),
    /// Follow the ticks as they come
    Follow(follow::Follow),
    /// List the tick series
    List(list::List),
    /// Read ticks as they were appended
    Read(read::Read),
    /// Seal and compress what the plain tick files hold
    Rotate(rotate::Rotate),
    /// Move sealed segments to Parquet
    Compact(compact::Compact),
}

impl Ticks {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        match self {
            Self::Append(command) => command.run(context).await,
            Self::Follow(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Read(command) => command.run(context).await,
            Self::Rotate(command) => command.run(context).await,
            Self::Compact(command) => command.run(context).await,
        }
    }
}
