//! `minutebook bars info`.

use clap::Args;
use minutebook::{Error, ErrorKind};

use super::Series;
use crate::app::Context;
use crate::commands::series;
use crate::failure::Outcome;

/// Show what is known of a series, without reading its rows.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minutebook bars info BTCUSD 1h
  minutebook bars info BTCUSD 1h --json | jq '.columns[].name'")]
pub(crate) struct Info {
    #[command(flatten)]
    series: Series,
}

impl Info {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = self.series.id();
        if let Some(summary) = book.series().summary(&id).await? {
            return series::info(context, &id, &summary);
        }
        let error = Error::new(ErrorKind::NotFound, "there is no such series");
        Err(series::not_found(&book, &id, error).await)
    }
}
