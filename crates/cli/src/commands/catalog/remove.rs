//! `minutebook catalog remove`.

use clap::Args;
use minutebook::DatasetName;
use serde_json::json;

use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Failure, Outcome};

/// Remove a dataset's entry. The data stays.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 3 if there is no such dataset.

Examples:
  minutebook catalog remove cdx_5y")]
pub(crate) struct Remove {
    /// The dataset's name, exactly
    #[arg(value_parser = parsed::<DatasetName>)]
    name: DatasetName,
}

impl Remove {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        if !book.catalog().remove(&self.name).await? {
            return Err(Failure::not_found(format!(
                "{}: there is no such dataset in the catalog",
                self.name
            )));
        }
        context.output.result(
            &json!({"name": self.name.as_str(), "removed": true}),
            format!("removed {}; its data stays", self.name),
        )
    }
}
