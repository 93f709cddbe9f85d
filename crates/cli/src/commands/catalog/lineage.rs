//! `minutebook catalog lineage`.

use clap::Args;
use minutebook::{CatalogExt, DatasetName};
use serde_json::json;

use crate::app::Context;
use crate::args::parsed;
use crate::failure::Outcome;

/// Show what a dataset was made from, and what was made from it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minutebook catalog lineage signals
  minutebook catalog lineage cdx_raw --json | jq -r '.descendants[]'")]
pub(crate) struct Lineage {
    /// The dataset's name, exactly
    #[arg(value_parser = parsed::<DatasetName>)]
    name: DatasetName,
}

impl Lineage {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let name = &self.name;
        book.catalog().require(name).await?;
        let lineage = book.catalog().lineage().await?;
        let lists = [
            ("parents", lineage.parents(name)),
            ("ancestors", lineage.ancestors(name)),
            ("children", lineage.children(name)),
            ("descendants", lineage.descendants(name)),
        ];
        if context.output.json {
            let mut value = json!({"name": name.as_str()});
            for (label, names) in &lists {
                value[*label] = json!(names);
            }
            return context.output.json_line(&value);
        }
        for (label, names) in lists {
            let names: Vec<_> = names.iter().map(DatasetName::as_str).collect();
            let names = if names.is_empty() {
                "-".to_owned()
            } else {
                names.join(", ")
            };
            context.output.line(format!("{label:<12}{names}"))?;
        }
        Ok(())
    }
}
