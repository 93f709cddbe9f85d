//! `minutebook decision get`.

use clap::Args;
use minutebook::{DecisionId, DecisionRepositoryExt};

use super::Envelope;
use crate::app::Context;
use crate::args::parsed;
use crate::failure::Outcome;

/// Show one decision as its document.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --json it is the document itself, indented; with --json it is on one line with what the store knows of it: \
{\"id\", \"revision\", \"recorded_at\", \"decision\": {the document}}.

Examples:
  minutebook decision get d-1
  minutebook decision get d-1 --json | jq -r .revision")]
pub(crate) struct Get {
    /// The id, exactly
    #[arg(value_parser = parsed::<DecisionId>)]
    id: DecisionId,
}

impl Get {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let stored = book.decisions().require(&self.id).await?;
        if context.output.json {
            return context.output.json_line(&Envelope::new(&stored));
        }
        context.output.line(stored.decision.to_json_pretty())
    }
}
