//! `minutebook ticks read`.

use clap::Args;
use futures_util::StreamExt;
use minutebook::jsonl::EntryQuery;
use minutebook::{Error, ErrorKind, SeriesId, Symbol};

use crate::app::Context;
use crate::args::parsed;
use crate::commands::series::{self, Selection};
use crate::failure::Outcome;

/// Read ticks in the order in which they were appended.
#[derive(Debug, Args)]
#[command(after_help = "\
With --json each line is an entry as it stands in the file, letter for letter; with --json and --columns it is a row of \
these columns. Where the setting ticks.tiered is on, rows come in the order of time, and with --json as rows. Ranges are half-open: --since belongs to the range, --until does not. A feed's times are often not in the \
order of its lines; lines that cannot be read are told on standard error, --strict makes them an error.

Examples:
  minutebook ticks read BTCUSDT --last 3 --json
  minutebook ticks read BTCUSD --since 2025-03-25T23:07:00Z --until 2025-03-25T23:08:00Z --columns price,size")]
pub(crate) struct Read {
    /// The symbol, in any case
    #[arg(value_parser = parsed::<Symbol>)]
    symbol: Symbol,
    #[command(flatten)]
    selection: Selection,
}

impl Read {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = SeriesId::ticks(self.symbol.clone());
        // Rows that were moved to Parquet are no lines any more.
        let tiered = book.tiered_ticks().is_some();
        if !context.output.json || self.selection.columns.is_some() || tiered {
            return series::read(context, &book, &id, &self.selection, None).await;
        }
        let nothing =
            || Error::new(ErrorKind::NotFound, "there is no such series").with_resource(&id);
        let Some(log) = book.existing_tick_log()? else {
            return Err(series::not_found(&book, &id, nothing()).await);
        };
        let mut query = EntryQuery::new().range(self.selection.range.get()?);
        query.strict = self.selection.strict;
        if let Some(entries) = self.selection.first {
            query = query.first(entries);
        } else if let Some(entries) = self.selection.last {
            query = query.last(entries);
        }
        let mut entries = match log.entries(&id, &query).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(series::not_found(&book, &id, error).await);
            }
            Err(error) => return Err(error.into()),
        };
        while let Some(entry) = entries.next().await {
            context.output.line(entry?.text())?;
        }
        context.output.finish()?;
        context.output.report(&entries.report());
        Ok(())
    }
}
