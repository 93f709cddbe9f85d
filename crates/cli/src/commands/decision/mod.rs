//! `minutebook decision`.

mod add;
mod cleanup;
mod count;
mod delete;
mod filter;
mod get;
mod history;
mod list;
mod update;
mod watch;
mod wipe;

use clap::Subcommand;
use minutebook::StoredDecision;
use minutebook::time::format_timestamp;
use serde::Serialize;

use crate::app::Context;
use crate::failure::Outcome;

/// Record and read decisions.
#[derive(Debug, Subcommand)]
pub(crate) enum Decision {
    /// Record decisions from a file or standard input
    Add(add::Add),
    /// Show one decision
    Get(get::Get),
    /// List decisions
    List(list::List),
    /// Change fields of a decision
    Update(update::Update),
    /// Delete one decision
    Delete(delete::Delete),
    /// Show the states that a decision went through
    History(history::History),
    /// Follow the changes as they come
    Watch(watch::Watch),
    /// Delete decisions by age or number
    Cleanup(cleanup::Cleanup),
    /// Delete every decision
    Wipe(wipe::Wipe),
    /// Count decisions, in all or by group
    Count(count::Count),
}

impl Decision {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        match self {
            Self::Add(command) => command.run(context).await,
            Self::Get(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Update(command) => command.run(context).await,
            Self::Delete(command) => command.run(context).await,
            Self::History(command) => command.run(context).await,
            Self::Watch(command) => command.run(context).await,
            Self::Cleanup(command) => command.run(context).await,
            Self::Wipe(command) => command.run(context).await,
            Self::Count(command) => command.run(context).await,
        }
    }
}

/// A decision as `--json` shows it: the document as it was written, and what the store knows of it.
#[derive(Debug, Serialize)]
struct Envelope<'a> {
    id: &'a str,
    revision: &'a str,
    recorded_at: String,
    decision: &'a minutebook::Decision,
    /// Where a list goes on after this decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl<'a> Envelope<'a> {
    fn new(stored: &'a StoredDecision) -> Self {
        Self {
            id: stored.decision.id().as_str(),
            revision: stored.revision.as_str(),
            recorded_at: format_timestamp(stored.recorded_at),
            decision: &stored.decision,
            cursor: None,
        }
    }
}
