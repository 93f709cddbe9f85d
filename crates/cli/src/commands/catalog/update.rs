//! `minutebook catalog update`.

use clap::Args;
use minutebook::{CatalogExt, DatasetChange, DatasetName, Revision};
use serde_json::{Value, json};

use super::path::{catalog_path, statistics};
use crate::app::Context;
use crate::args::{key_value, parsed};
use crate::failure::Outcome;
use crate::output::format;

/// Change a dataset's entry, or bring its statistics up to date.
#[derive(Debug, Args)]
#[command(after_help = "\
Without options, or with a new --path, the statistics are taken anew from the Parquet footer or the series' summary. What \
no option names stays as it is. A metadata value of null takes the field away.

Examples:
  minutebook catalog update btcusd_1h
  minutebook catalog update cdx_5y --path data/moved.parquet
  minutebook catalog update cdx_5y --metadata source=markit --metadata note=null")]
pub(crate) struct Update {
    /// The dataset's name, exactly
    #[arg(value_parser = parsed::<DatasetName>)]
    name: DatasetName,
    /// A new place
    #[arg(long)]
    path: Option<String>,
    /// A new instrument
    #[arg(long)]
    instrument: Option<String>,
    /// A new tenor
    #[arg(long)]
    tenor: Option<String>,
    /// Take the tenor away
    #[arg(long, conflicts_with = "tenor")]
    no_tenor: bool,
    /// A field of metadata to set; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    metadata: Vec<(String, Value)>,
    /// Take the statistics anew, beside other changes
    #[arg(long)]
    refresh: bool,
    /// Only while the entry has this revision
    #[arg(long, value_name = "REVISION", value_parser = parsed::<Revision>)]
    expect: Option<Revision>,
}

impl Update {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let stored = book.catalog().require(&self.name).await?;
        let named = self.instrument.is_some()
            || self.tenor.is_some()
            || self.no_tenor
            || !self.metadata.is_empty();
        let fresh = self.refresh || self.path.is_some() || !named;

        let mut change = DatasetChange::new();
        change.instrument = self.instrument;
        change.tenor = match (self.tenor, self.no_tenor) {
            (Some(tenor), _) => Some(Some(tenor)),
            (None, true) => Some(None),
            (None, false) => None,
        };
        change.metadata.extend(self.metadata);
        change.expected = self.expect;
        if let Some(path) = &self.path {
            change.file_path = Some(catalog_path(&book, path)?);
        }
        if fresh {
            let path = change.file_path.as_ref().unwrap_or(&stored.entry.file_path);
            change.statistics = statistics(context, &book, path).await?;
        }
        let revision = book.catalog().update(&self.name, &change).await?;
        let rows = change.statistics.map(|statistics| statistics.rows);
        let sentence = match rows {
            Some(rows) => format!("updated {}: {}", self.name, format::plural(rows, "row")),
            None => format!("updated {}", self.name),
        };
        context.output.result(
            &json!({"name": self.name.as_str(), "revision": revision.as_str(), "row_count": rows}),
            sentence,
        )
    }
}
