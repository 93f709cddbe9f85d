//! `minutebook document`.

mod delete;
mod get;
mod list;
mod save;

use clap::Subcommand;

use crate::app::Context;
use crate::failure::Outcome;

/// Keep run logs, parameters and other JSON values under names.
#[derive(Debug, Subcommand)]
pub(crate) enum Document {
    /// Save a document from a file or standard input
    Save(save::Save),
    /// Show one document
    Get(get::Get),
    /// List documents by time
    List(list::List),
    /// Delete one document
    Delete(delete::Delete),
}

impl Document {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        match self {
            Self::Save(command) => command.run(context).await,
            Self::Get(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Delete(command) => command.run(context).await,
        }
    }
}
