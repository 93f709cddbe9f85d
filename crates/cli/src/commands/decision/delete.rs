//! `minutebook decision delete`.

use clap::Args;
use minutebook::DecisionId;
use serde_json::json;

use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Failure, Outcome};

/// Delete one decision. The id is compared exactly: no character is a pattern.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 3 if there is no such decision.

Examples:
  minutebook decision delete d-1")]
pub(crate) struct Delete {
    /// The id, exactly
    #[arg(value_parser = parsed::<DecisionId>)]
    id: DecisionId,
}

impl Delete {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        if !book.decisions().delete(&self.id).await? {
            return Err(Failure::not_found(format!(
                "{}: there is no such decision",
                self.id
            )));
        }
        context.output.result(
            &json!({"id": self.id.as_str(), "deleted": true}),
            format!("deleted {}", self.id),
        )
    }
}
