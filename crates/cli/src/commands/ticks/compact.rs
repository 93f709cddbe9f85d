//! `minutebook ticks compact`.

use clap::Args;
use minutebook::jsonl::SegmentInfo;
use minutebook::{SeriesFilter, SeriesId, Symbol};
use serde_json::json;

use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Failure, Outcome};
use crate::output::format;
use crate::output::table::{Align, Table};

/// Move sealed segments to Parquet.
#[derive(Debug, Args)]
#[command(after_help = "\
The rows of each segment that `ticks rotate` or the settings have sealed are appended to the Parquet series of the same name, read back there, and the \
segment is removed. No read meets a row twice or misses one; interrupted anywhere, the next call goes on. This needs the setting ticks.tiered, \
for every program that opens the store.

What columns cannot hold exactly (nested objects, numbers of many digits) goes with its row as the text of its line. A segment with lines that are \
no rows, or with a value of another type than its column has in Parquet, is refused: it stays, and is read where it is. Then the exit code \
is 5. A series at which the storage fails is told, and the others are compacted all the same.

With --json each line is {\"series\", \"segment\", \"rows\", \"outcome\", \"why\"}; outcome is moved, resumed, refused or, with --dry-run, planned.

Examples:
  minutebook ticks compact --dry-run
  minutebook ticks compact BTCUSD")]
pub(crate) struct Compact {
    /// The symbol, in any case; all of them if left out
    #[arg(value_parser = parsed::<Symbol>)]
    symbol: Option<Symbol>,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Compact {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let mut filter = SeriesFilter::new();
        filter.symbol = self.symbol;
        let done = book.compact_ticks(&filter, self.dry_run).await?;
        let mut table = Table::new(&[
            ("series", Align::Left),
            ("segment", Align::Right),
            ("rows", Align::Right),
            ("outcome", Align::Left),
        ]);
        let (mut count, mut refused) = (0, 0);
        let mut show = |context: &mut Context<'_>,
                        series: &SeriesId,
                        segment: &SegmentInfo,
                        outcome: &str,
                        why: Option<String>|
         -> Outcome {
            count += 1;
            if context.output.json {
                return context.output.json_line(&json!({
                    "series": series.to_string(),
                    "segment": segment.number,
                    "rows": segment.rows,
                    "outcome": outcome,
                    "why": why,
                }));
            }
            table.row([
                series.to_string(),
                segment.number.to_string(),
                format::count(segment.rows),
                outcome.to_owned(),
            ]);
            Ok(())
        };
        let moved = if self.dry_run { "planned" } else { "moved" };
        let mut warnings = Vec::new();
        let mut failed = Vec::new();
        for done in done {
            for segment in &done.resumed {
                show(context, &done.series, segment, "resumed", None)?;
            }
            for segment in &done.moved {
                show(context, &done.series, segment, moved, None)?;
            }
            for left in &done.refused {
                refused += 1;
                let why = left.error.to_string();
                show(
                    context,
                    &done.series,
                    &left.segment,
                    "refused",
                    Some(why.clone()),
                )?;
                warnings.push(format!("{}: {why}", left.segment.path.display()));
            }
            failed.extend(done.failed.map(Failure::from));
        }
        if count == 0 && failed.is_empty() {
            context
                .output
                .note("no sealed segment to move; see minutebook ticks rotate");
        } else if count > 0 && !context.output.json {
            table.print(&mut context.output)?;
        }
        context.output.finish()?;
        for warning in warnings {
            context.output.warn(warning);
        }
        if refused > 0 && !self.dry_run {
            let segments = format::plural_of(refused, "segment stays", "segments stay");
            failed.push(Failure::data(format!("{segments} among the tick files")));
        }
        Failure::together(failed, &mut context.output)
    }
}
