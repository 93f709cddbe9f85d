//! `minutebook bars list`.

use clap::Args;
use minutebook::{SeriesFilter, SeriesId, Symbol, Timeframe};

use crate::app::Context;
use crate::args::parsed;
use crate::commands::series;
use crate::failure::Outcome;

/// List the series of bars, and other series that are no ticks.
#[derive(Debug, Args)]
#[command(after_help = "\
With --json each line is {\"series\", \"symbol\", \"timeframe\", \"rows\", \"first\", \"last\", \"bytes\", \"version\"}.

Examples:
  minutebook bars list
  minutebook bars list --symbol BTCUSD --json")]
pub(crate) struct List {
    /// Of this symbol only
    #[arg(long, value_parser = parsed::<Symbol>)]
    symbol: Option<Symbol>,
    /// Of this timeframe only
    #[arg(long, value_parser = parsed::<Timeframe>)]
    timeframe: Option<Timeframe>,
}

impl List {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let mut filter = SeriesFilter::new();
        filter.symbol = self.symbol;
        filter.timeframe = self.timeframe;
        let mut found = series::summaries(&**book.series(), &filter).await?;
        found.retain(|(id, _)| !matches!(id, SeriesId::Ticks { .. }));
        series::list(context, &found)
    }
}
