//! `minutebook series key`.

use clap::Args;
use minutebook::{SeriesKey, TimeSeriesRepository};
use serde_json::json;

use super::group::Named;
use crate::app::Context;
use crate::failure::{Failure, Outcome};

/// Show what tells the rows of a series apart, or declare it.
#[derive(Debug, Args)]
#[command(after_help = "\
The time is part of every key. With a key, no two rows have the same: appending one that is there fails, and an upsert goes by it.
Without one, every appended row is added, and an upsert goes by time.

Examples:
  minutebook series key @trades
  minutebook series key @trades --set timestamp,trade_id
  minutebook series key @trades --unset")]
pub(crate) struct Key {
    #[command(flatten)]
    named: Named,
    /// Declare these columns; the series is made if there is none
    #[arg(
        long,
        value_name = "COLUMN,…",
        value_delimiter = ',',
        conflicts_with = "unset"
    )]
    set: Option<Vec<String>>,
    /// Take the declaration back
    #[arg(long)]
    unset: bool,
}

impl Key {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = &self.named.series;
        let repository = book.repository_of(id);
        if let Some(columns) = self.set {
            let key = SeriesKey::new(columns)
                .map_err(|error| Failure::usage(error.message().to_owned()))?;
            repository.declare_key(id, Some(&key)).await?;
        } else if self.unset {
            repository.declare_key(id, None).await?;
        }
        let summary = repository.summary(id).await?;
        let summary =
            summary.ok_or_else(|| Failure::not_found(format!("{id}: there is no such series")))?;
        let key = summary.key.as_ref().map(SeriesKey::columns);
        if context.output.json {
            return context.output.json_line(&json!({
                "series": id.to_string(),
                "key": key,
                "version": summary.version.0,
            }));
        }
        if let Some(key) = &summary.key {
            return context.output.line(format!("{id}: {key}"));
        }
        context
            .output
            .note("no key is declared; an upsert goes by timestamp");
        Ok(())
    }
}
