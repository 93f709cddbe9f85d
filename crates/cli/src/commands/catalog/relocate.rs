//! `minutebook catalog relocate`.

use clap::Args;
use minutebook::{CatalogExt, DatasetName};
use serde_json::json;

use super::path::catalog_path;
use crate::app::Context;
use crate::args::parsed;
use crate::failure::Outcome;
use crate::output::format;

/// Tell where a dataset's data is now. The data is looked at there; it is not moved.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 3 if nothing is at the new place.

Examples:
  minutebook catalog relocate cdx_5y data/moved.parquet")]
pub(crate) struct Relocate {
    /// The dataset's name, exactly
    #[arg(value_parser = parsed::<DatasetName>)]
    name: DatasetName,
    /// A file, or a series of the store
    path: String,
}

impl Relocate {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let path = catalog_path(&book, &self.path)?;
        let revision = book.relocate(&self.name, &path).await?;
        let rows = book.catalog().require(&self.name).await?.entry.row_count;
        let counted = rows.map_or_else(String::new, |rows| {
            format!(": {}", format::plural(rows, "row"))
        });
        context.output.result(
            &json!({"name": self.name.as_str(), "revision": revision.as_str(), "file_path": path, "row_count": rows}),
            format!("{} is at {path}{counted}", self.name),
        )
    }
}
