//! `minutebook series merge`.

use clap::Args;
use futures_util::StreamExt;
use minutebook::{SeriesId, TimeSeriesRepositoryExt};

use super::Selection;
use super::group::told;
use crate::app::Context;
use crate::args::parsed;
use crate::failure::Outcome;
use crate::output::rows;

/// Read several series as one, in ascending order of time, with a column that names each row's series.
#[derive(Debug, Args)]
#[command(after_help = "\
A limit holds for all together. Columns are those of all series, null where one has no such column.

Examples:
  minutebook series merge BTCUSD@1h ETHUSD@1h --last 20
  minutebook series merge AAPL@1d MSFT@1d --columns close --json > closes.jsonl")]
pub(crate) struct Merge {
    /// The series: SYMBOL@TIMEFRAME or @name
    #[arg(required = true, value_parser = parsed::<SeriesId>)]
    series: Vec<SeriesId>,
    #[command(flatten)]
    selection: Selection,
}

impl Merge {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let (query, _) = self.selection.query(context.output.json)?;
        for id in &self.series {
            if book.series().summary(id).await?.is_none() {
                let error = minutebook::Error::new(
                    minutebook::ErrorKind::NotFound,
                    "there is no such series",
                );
                return Err(told(&book, id, error).await);
            }
        }
        let mut stream = book.series().scan_merged(&self.series, &query).await?;
        let mut shown = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            shown += batch.num_rows();
            rows::print(&mut context.output, &batch)?;
        }
        context.output.finish()?;
        context.output.report(&stream.report());
        if shown == 0 && !context.output.json {
            context.output.note("no rows in this range");
        }
        Ok(())
    }
}
