//! `minutebook bars`.

mod import;
mod info;
mod list;
mod read;

use clap::{Args, Subcommand};
use minutebook::{SeriesId, Symbol, Timeframe};

use crate::app::Context;
use crate::args::parsed;
use crate::failure::Outcome;

/// Import and read bars.
#[derive(Debug, Subcommand)]
pub(crate) enum Bars {
    /// Import bars from CSV, JSON Lines or Parquet, compressed or not
    Import(import::Import),
    /// Read bars
    Read(read::Read),
    /// List the series
    List(list::List),
    /// Show what is known of a series
    Info(info::Info),
}

impl Bars {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        match self {
            Self::Import(command) => command.run(context).await,
            Self::Read(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Info(command) => command.run(context).await,
        }
    }
}

/// A series of bars, as several commands name it.
#[derive(Debug, Args)]
struct Series {
    /// The symbol, in any case: BTCUSD, BTC/USD, BRK.B
    #[arg(value_parser = parsed::<Symbol>)]
    symbol: Symbol,
    /// The span of a bar: 1m, 15m, 1h, 4h, 1d, 1w, 1mo
    #[arg(value_parser = parsed::<Timeframe>)]
    timeframe: Timeframe,
}

impl Series {
    fn id(&self) -> SeriesId {
        SeriesId::bars(self.symbol.clone(), self.timeframe)
    }
}
