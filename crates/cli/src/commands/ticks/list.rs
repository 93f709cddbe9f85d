//! `minutebook ticks list`.

use clap::Args;
use minutebook::{SeriesFilter, Symbol};

use crate::app::Context;
use crate::args::parsed;
use crate::commands::series;
use crate::failure::Outcome;

/// List the tick series.
#[derive(Debug, Args)]
#[command(after_help = "\
With --json each line is {\"series\", \"symbol\", \"timeframe\", \"rows\", \"first\", \"last\", \"bytes\", \"version\"}.

Examples:
  minutebook ticks list
  minutebook ticks list --json | jq -r .symbol")]
pub(crate) struct List {
    /// Of this symbol only
    #[arg(long, value_parser = parsed::<Symbol>)]
    symbol: Option<Symbol>,
}

impl List {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let mut filter = SeriesFilter::new();
        filter.symbol = self.symbol;
        let found = series::summaries(&**book.ticks(), &filter).await?;
        series::list(context, &found)
    }
}
