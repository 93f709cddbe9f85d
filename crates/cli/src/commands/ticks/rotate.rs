//! `minutebook ticks rotate`.

use clap::Args;
use minutebook::{Error, ErrorKind, SeriesFilter, SeriesId, Symbol};
use serde_json::json;

use crate::app::Context;
use crate::args::parsed;
use crate::commands::series;
use crate::failure::{Failure, Outcome};
use crate::output::format;
use crate::output::table::{Align, Table};

/// Seal and compress what the plain tick files hold.
#[derive(Debug, Args)]
#[command(after_help = "\
The lines go, as they are, into a numbered segment beside the plain file (btcusd~sealed/00000001.jsonl.zst; zstdcat shows them), and the next \
append begins a new plain file. Reads see segments and plain file as one series; programs that write meanwhile go on. What an interrupted \
rotation left is finished first. A series that cannot be sealed is told and stays as it is; the others are sealed. The settings ticks.rotate_bytes and ticks.rotate_daily do this on the way of an append.

With --json each line is {\"series\", \"segment\", \"rows\", \"lines\", \"bytes\", \"stored_bytes\", \"first\", \"last\", \"path\"}.

Examples:
  minutebook ticks rotate BTCUSD
  minutebook ticks rotate")]
pub(crate) struct Rotate {
    /// The symbol, in any case; all of them if left out
    #[arg(value_parser = parsed::<Symbol>)]
    symbol: Option<Symbol>,
}

impl Rotate {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let nothing = |id: &SeriesId| {
            Error::new(ErrorKind::NotFound, "there is no such series").with_resource(id)
        };
        let log = book.existing_tick_log()?;
        let wanted = match (&self.symbol, log) {
            (Some(symbol), Some(_)) => vec![SeriesId::ticks(symbol.clone())],
            (Some(symbol), None) => {
                let id = SeriesId::ticks(symbol.clone());
                return Err(series::not_found(&book, &id, nothing(&id)).await);
            }
            (None, Some(log)) => {
                use minutebook::TimeSeriesRepository as _;
                log.list(&SeriesFilter::new()).await?
            }
            (None, None) => Vec::new(),
        };
        let mut table = Table::new(&[
            ("series", Align::Left),
            ("segment", Align::Right),
            ("rows", Align::Right),
            ("bytes", Align::Right),
            ("compressed", Align::Right),
            ("first", Align::Left),
            ("last", Align::Left),
        ]);
        let mut sealed = 0;
        let mut failed = Vec::new();
        for id in wanted {
            let Some(log) = log else { break };
            let segment = match log.rotate(&id).await {
                Ok(segment) => segment,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    failed.push(series::not_found(&book, &id, error).await);
                    continue;
                }
                Err(error) => {
                    failed.push(error.into());
                    continue;
                }
            };
            let Some(segment) = segment else { continue };
            sealed += 1;
            if context.output.json {
                context.output.json_line(&json!({
                    "series": id.to_string(),
                    "segment": segment.number,
                    "rows": segment.rows,
                    "lines": segment.lines,
                    "bytes": segment.bytes,
                    "stored_bytes": segment.stored_bytes,
                    "first": segment.first.map(minutebook::time::format_timestamp),
                    "last": segment.last.map(minutebook::time::format_timestamp),
                    "path": segment.path.display().to_string(),
                }))?;
                continue;
            }
            table.row([
                id.to_string(),
                segment.number.to_string(),
                format::count(segment.rows),
                format::count(segment.bytes),
                format::count(segment.stored_bytes),
                format::time_or_dash(segment.first),
                format::time_or_dash(segment.last),
            ]);
        }
        if sealed > 0 && !context.output.json {
            table.print(&mut context.output)?;
        }
        // What was sealed stays sealed, and is said first.
        context.output.finish()?;
        if sealed == 0 && failed.is_empty() {
            context.output.note("nothing to seal");
        }
        Failure::together(failed, &mut context.output)
    }
}
