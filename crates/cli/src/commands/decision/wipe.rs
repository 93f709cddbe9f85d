//! `minutebook decision wipe`.

use clap::Args;
use minutebook::{DecisionFilter, DecisionRepositoryExt};
use serde_json::json;

use crate::app::Context;
use crate::failure::Outcome;
use crate::output::format::plural;

/// Delete every decision. Files that are no decisions stay.
#[derive(Debug, Args)]
#[command(after_help = "\
Asks first; needs --yes when nobody can be asked.

Examples:
  minutebook --store scratch decision wipe --yes")]
pub(crate) struct Wipe {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Wipe {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let found = book.decisions().count(&DecisionFilter::new()).await?;
        let place = context.store_path()?.display().to_string();
        let question = format!("delete all {} in {place}", plural(found, "decision"));
        if found > 0 && !context.confirm(self.yes, &question)? {
            return Ok(());
        }
        let deleted = book.decisions().wipe().await?;
        context.output.result(
            &json!({"deleted": deleted}),
            format!("deleted {}", plural(deleted, "decision")),
        )
    }
}
