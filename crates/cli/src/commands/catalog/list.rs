//! `minutebook catalog list`.

use clap::Args;
use minutebook::time::WrittenTime;

use super::filter::Filter;
use crate::app::Context;
use crate::failure::Outcome;
use crate::output::format;
use crate::output::table::{Align, Table};

/// List datasets by name.
#[derive(Debug, Args)]
#[command(after_help = "\
--since and --until find the datasets that have data in that range (half-open) by their statistics, --covers those whose data \
reaches from the first time to the last, both included. \
With --json each line is an entry of the registry with its \"name\" and \"revision\".

Examples:
  minutebook catalog list
  minutebook catalog list --instrument CDX.NA.IG --tenor 5Y
  minutebook catalog list --pattern 'cdx_*' --covers 2024-01-01..2024-01-31
  minutebook catalog list --since 2020-01-01 --json | jq -r .name")]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
}

impl List {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let filter = self.filter.get()?;
        let found = book.catalog().list(&filter).await?;
        if context.output.json {
            for stored in &found {
                let value = super::value(stored)?;
                context.output.json_line(&value)?;
            }
            return Ok(());
        }
        if found.is_empty() {
            context.output.note("no datasets");
            return Ok(());
        }
        let mut table = Table::new(&[
            ("name", Align::Left),
            ("instrument", Align::Left),
            ("tenor", Align::Left),
            ("rows", Align::Right),
            ("first", Align::Left),
            ("last", Align::Left),
            ("path", Align::Left),
        ]);
        for stored in &found {
            let entry = &stored.entry;
            table.row([
                entry.name.to_string(),
                entry.instrument.clone(),
                entry.tenor.clone().unwrap_or_else(|| "-".to_owned()),
                entry
                    .row_count
                    .map_or_else(|| "-".to_owned(), format::count),
                written(entry.start_date.as_ref()),
                written(entry.end_date.as_ref()),
                entry.file_path.clone(),
            ]);
        }
        table.print(&mut context.output)
    }
}

/// A time as its author wrote it, or shorter where that says the same.
pub(super) fn written(time: Option<&WrittenTime>) -> String {
    match time {
        None => "-".to_owned(),
        Some(time) => match time.instant() {
            Some(instant) => format::time(instant),
            None => time.text().to_owned(),
        },
    }
}
