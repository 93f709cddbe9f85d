//! `minutebook catalog remove`.

use clap::Args;
use minutebook::{CatalogExt, DatasetName, Revision};
use serde_json::json;

use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Failure, Outcome};

/// Remove a dataset's entry, and its data if asked to.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --delete-data the data stays. With it, a file inside the store or a series of it is deleted; what lies outside the store, a \
symbolic link, and data that another dataset stands for too are refused. Exit code 3 if there is no such dataset.

Examples:
  minutebook catalog remove cdx_5y
  minutebook catalog remove cdx_old --delete-data --yes")]
pub(crate) struct Remove {
    /// The dataset's name, exactly
    #[arg(value_parser = parsed::<DatasetName>)]
    name: DatasetName,
    /// Delete the data too
    #[arg(long)]
    delete_data: bool,
    /// Do not ask
    #[arg(long, short, requires = "delete_data")]
    yes: bool,
    /// Only while the entry has this revision
    #[arg(long, value_name = "REVISION", value_parser = parsed::<Revision>, conflicts_with = "delete_data")]
    expect: Option<Revision>,
}

impl Remove {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        if self.delete_data {
            let path = book.catalog().require(&self.name).await?.entry.file_path;
            let question = format!("delete {} and its data at {path}", self.name);
            if !context.confirm(self.yes, &question)? {
                return Ok(());
            }
            let removed = book.remove_with_data(&self.name).await?;
            let data = if removed.data {
                "and its data"
            } else {
                "; there was no data"
            };
            return context.output.result(
                &json!({"name": self.name.as_str(), "removed": true, "data": removed.data}),
                format!("removed {} {data}", self.name).replace(" ;", ";"),
            );
        }
        let catalog = book.catalog();
        let removed = match &self.expect {
            Some(seen) => catalog.remove_seen(&self.name, seen).await,
            None => catalog.remove(&self.name).await,
        };
        if !removed? {
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
