//! `minutebook series describe`.

use clap::Args;
use serde_json::json;

use super::group::{Named, entry, files_of, told};
use crate::app::Context;
use crate::failure::Outcome;

/// Show what is said of a series, or change it. Every operation on the series keeps it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minutebook series describe AAPL@1d
  minutebook series describe AAPL@1d source=vendor adjusted=yes
  minutebook series describe AAPL@1d --unset adjusted")]
pub(crate) struct Describe {
    #[command(flatten)]
    named: Named,
    /// Set these entries
    #[arg(value_name = "KEY=VALUE", value_parser = entry)]
    set: Vec<(String, String)>,
    /// Remove these entries
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
}

impl Describe {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = &self.named.series;
        let files = files_of(&book, id)?;
        let set = self.set.into_iter().map(|(key, value)| (key, Some(value)));
        let unset = self.unset.into_iter().map(|key| (key, None));
        let changes: Vec<_> = set.chain(unset).collect();
        // Without changes too: it says whether the series is there.
        if let Err(error) = files.describe(id, &changes).await {
            return Err(told(&book, id, error).await);
        }
        let metadata = files.metadata(id).await?;
        if context.output.json {
            return context.output.json_line(&json!(metadata));
        }
        if metadata.is_empty() {
            context.output.note("nothing is said of the series");
        }
        for (key, value) in &metadata {
            context.output.line(format!("{key}={value}"))?;
        }
        Ok(())
    }
}
