//! `minutebook catalog rename`.

use clap::Args;
use minutebook::DatasetName;
use serde_json::json;

use crate::app::Context;
use crate::args::parsed;
use crate::failure::Outcome;

/// Give a dataset another name. Its data stays where it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Everything known of it stays, and datasets that were made from it name the new one. A name that is taken is refused with exit code 4.

Examples:
  minutebook catalog rename cdx_5y cdx_ig_5y")]
pub(crate) struct Rename {
    /// The dataset's name, exactly
    #[arg(value_parser = parsed::<DatasetName>)]
    name: DatasetName,
    /// The new name
    #[arg(value_parser = parsed::<DatasetName>)]
    to: DatasetName,
}

impl Rename {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let revision = book.catalog().rename(&self.name, &self.to).await?;
        context.output.result(
            &json!({"name": self.to.as_str(), "before": self.name.as_str(), "revision": revision.as_str()}),
            format!("renamed {} to {}", self.name, self.to),
        )
    }
}
