//! `minutebook catalog register`.

use clap::Args;
use minutebook::{DatasetEntry, DatasetName, ErrorKind, SaveMode};
use serde_json::{Value, json};

use super::path::{catalog_path, without_statistics};
use super::provenance::Provenance;
use crate::app::Context;
use crate::args::{key_value, parsed};
use crate::failure::{Failure, Outcome};

/// Register a file or a series of the store as a dataset, with rows and first and last time.
#[derive(Debug, Args)]
#[command(after_help = "\
PATH is a file, or a series of the store: series:BTCUSD@1h, ticks:BTCUSD@ticks. A file inside the store is kept relative \
to it, any other with its whole path. Statistics come from the Parquet footer or the series' summary; no row is read.

Examples:
  minutebook catalog register cdx_5y data/cdx_ig_5y.parquet --instrument CDX.NA.IG --tenor 5Y
  minutebook catalog register cdx_daily data/daily.parquet --instrument CDX.NA.IG --derived-from cdx_5y --ttl 1d
  minutebook catalog register btc_hours series:BTCUSD@1h --instrument BTCUSD --metadata source=kraken")]
pub(crate) struct Register {
    /// The dataset's name
    #[arg(value_parser = parsed::<DatasetName>)]
    name: DatasetName,
    /// A file, or a series of the store
    path: String,
    /// What it is of
    #[arg(long, value_name = "INSTRUMENT")]
    instrument: String,
    /// Its tenor or timeframe
    #[arg(long, value_name = "TENOR")]
    tenor: Option<String>,
    /// A field of metadata; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    metadata: Vec<(String, Value)>,
    #[command(flatten)]
    provenance: Provenance,
    /// Take a digest of all bytes of the file, and not of a Parquet file's footer alone
    #[arg(long)]
    digest: bool,
    /// Replace an entry of this name, instead of refusing
    #[arg(long)]
    upsert: bool,
}

impl Register {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let path = catalog_path(&book, &self.path)?;
        let mut entry = DatasetEntry::new(self.name.clone(), self.instrument, &*path);
        entry.tenor = self.tenor;
        entry.metadata.extend(self.metadata);
        entry = self.provenance.describe(&book, entry);
        if self.digest {
            // The kind of digest that an entry has is the one that it gets.
            let found = book.inspect_fully(&path).await?;
            entry.contents = found.map(|found| found.contents);
        }
        let mode = if self.upsert {
            SaveMode::Upsert
        } else {
            SaveMode::Create
        };
        let (revision, found) = book.register_dataset(entry, mode).await.map_err(|error| {
            let exists = error.kind() == ErrorKind::AlreadyExists;
            let failure = Failure::from(error);
            if exists {
                return failure.with_note("`catalog update` changes it, --upsert replaces it");
            }
            failure
        })?;
        let rows = found.as_ref().and_then(|found| found.statistics);
        without_statistics(context, &path, found.as_ref());
        context.output.result(
            &json!({"name": self.name.as_str(), "revision": revision.as_str(), "file_path": path, "row_count": rows.map(|it| it.rows)}),
            format!("registered {} as {path}", self.name),
        )
    }
}
