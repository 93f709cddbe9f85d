//! `minutebook bars read`.

use clap::Args;
use minutebook::Version;

use super::Series;
use crate::app::Context;
use crate::commands::series::{self, Selection};
use crate::failure::Outcome;

/// Read bars in ascending order of time.
#[derive(Debug, Args)]
#[command(after_help = "\
A bar is stamped with its open and is known once it has closed. Ranges are half-open: --since belongs to the range, \
--until does not. With --json each line is a bar: {\"timestamp\", \"open\", \"high\", \"low\", \"close\", \"volume\", …}.

Examples:
  minutebook bars read BTCUSD 1h --last 5
  minutebook bars read AAPL 1d --since 2012-01-01 --until 2012-02-01
  minutebook bars read AAPL 1d --columns close,volume --json > aapl.jsonl")]
pub(crate) struct Read {
    #[command(flatten)]
    series: Series,
    #[command(flatten)]
    selection: Selection,
    /// As of this version of the series
    #[arg(long, value_name = "VERSION")]
    as_of: Option<u64>,
}

impl Read {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let as_of = self.as_of.map(Version);
        series::read(context, &book, &self.series.id(), &self.selection, as_of).await
    }
}
