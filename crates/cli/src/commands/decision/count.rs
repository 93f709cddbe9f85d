//! `minutebook decision count`.

use clap::Args;
use serde_json::json;

use super::filter::Filter;
use crate::app::Context;
use crate::failure::Outcome;

/// Count decisions.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minutebook decision count
  minutebook decision count --pair BTCUSD --action BUY --json")]
pub(crate) struct Count {
    #[command(flatten)]
    filter: Filter,
}

impl Count {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let count = book.decisions().count(&self.filter.get()?).await?;
        context
            .output
            .result(&json!({"count": count}), count.to_string())
    }
}
