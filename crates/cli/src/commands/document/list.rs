//! `minutebook document list`.

use clap::Args;
use minutebook::time::format_timestamp;
use minutebook::{DocumentFilter, TimeRange};
use serde_json::json;

use crate::app::Context;
use crate::args::Range;
use crate::failure::Outcome;
use crate::output::format;
use crate::output::table::{Align, Table};

/// List documents by time.
#[derive(Debug, Args)]
#[command(after_help = "\
A document belongs to the time in its name (runs/2025-01-02/params), or to when it was saved.

Examples:
  minutebook document list runs/
  minutebook document list --since 2025-01-01 --json | jq -r .name")]
pub(crate) struct List {
    /// Whose name begins so
    prefix: Option<String>,
    #[command(flatten)]
    range: Range,
}

impl List {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let mut filter = DocumentFilter::new();
        filter.prefix = self.prefix;
        filter.range = Some(self.range.get()?).filter(|range| *range != TimeRange::all());
        let found = book.documents().list(&filter).await?;
        if context.output.json {
            for info in &found {
                context.output.json_line(&json!({
                    "name": info.name.as_str(),
                    "time": format_timestamp(info.time()),
                    "saved_at": format_timestamp(info.saved_at),
                    "bytes": info.bytes,
                }))?;
            }
            return Ok(());
        }
        if found.is_empty() {
            context.output.note("no documents");
            return Ok(());
        }
        let mut table = Table::new(&[
            ("name", Align::Left),
            ("time", Align::Left),
            ("size", Align::Right),
        ]);
        for info in &found {
            table.row([
                info.name.to_string(),
                format::time(info.time()),
                format::size(info.bytes),
            ]);
        }
        table.print(&mut context.output)
    }
}
