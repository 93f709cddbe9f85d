//! `minutebook catalog stale`.

use clap::Args;
use serde_json::json;

use super::filter::Filter;
use crate::app::Context;
use crate::failure::Outcome;
use crate::output::table::{Align, Table};

/// List the datasets that are due, and why.
#[derive(Debug, Args)]
#[command(after_help = "\
A dataset is due if its time to live is over, if a dataset that it was made from has newer data, or if its data is not what the \
statistics were taken of (`catalog update --stale` takes them anew). With --json each reason is one of expired, parent_newer, \
data_changed, no_statistics, data_missing, data_unreadable.

Examples:
  minutebook catalog stale
  minutebook catalog stale --instrument CDX.NA.IG --json | jq -r .name")]
pub(crate) struct Stale {
    #[command(flatten)]
    filter: Filter,
}

impl Stale {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let found = book.stale(&self.filter.get()?).await?;
        if context.output.json {
            for stale in &found {
                let reasons: Vec<_> = stale
                    .reasons
                    .iter()
                    .map(|reason| json!({"reason": reason.name(), "text": reason.to_string()}))
                    .collect();
                let entry = &stale.entry.entry;
                context.output.json_line(&json!({"name": entry.name.as_str(), "file_path": entry.file_path, "reasons": reasons}))?;
            }
            return Ok(());
        }
        if found.is_empty() {
            context.output.note("nothing is due");
            return Ok(());
        }
        let mut table = Table::new(&[("name", Align::Left), ("why", Align::Left)]);
        for stale in &found {
            for reason in &stale.reasons {
                table.row([stale.entry.entry.name.to_string(), reason.to_string()]);
            }
        }
        table.print(&mut context.output)
    }
}
