//! `minutebook catalog export`.

use clap::{Args, ValueEnum};
use minutebook::{DatasetEntry, DatasetName, Minutebook};

use super::filter::Filter;
use crate::app::Context;
use crate::failure::{Exit, Failure, Outcome};

/// Write the catalog as a registry or as a table.
#[derive(Debug, Args)]
#[command(after_help = "\
json is a registry that the original system and Minutebook read; csv has a row for each dataset.

Examples:
  minutebook catalog export > registry.json
  minutebook catalog export --absolute --instrument CDX.NA.IG > cdx.json
  minutebook catalog export --format csv > datasets.csv")]
pub(crate) struct Export {
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// Name files by their whole paths
    #[arg(long)]
    absolute: bool,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Csv,
}

const COLUMNS: [&str; 14] = [
    "name",
    "instrument",
    "tenor",
    "file_path",
    "start_date",
    "end_date",
    "row_count",
    "registered_at",
    "last_updated",
    "retrieved_at",
    "ttl_seconds",
    "derived_from",
    "digest",
    "metadata",
];

impl Export {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let filter = self.filter.get()?;
        if self.format == Format::Json {
            let text = book.export_registry(&filter, self.absolute).await?;
            return context.output.line(text);
        }
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::Failure, format!("cannot write the table: {error}"))
        };
        let mut table = csv::Writer::from_writer(Vec::new());
        table
            .write_record(COLUMNS)
            .map_err(|error| failed(&error))?;
        for stored in book.catalog().list(&filter).await? {
            let row = row(&book, &stored.entry, self.absolute).map_err(|error| failed(&error))?;
            table.write_record(row).map_err(|error| failed(&error))?;
        }
        let bytes = table.into_inner().map_err(|error| failed(&error))?;
        context.output.stdout.write_all(&bytes)?;
        Ok(())
    }
}

fn row(
    book: &Minutebook,
    entry: &DatasetEntry,
    absolute: bool,
) -> Result<Vec<String>, serde_json::Error> {
    let text = |value: Option<String>| value.unwrap_or_default();
    let parents: Vec<_> = entry.derived_from.iter().map(DatasetName::as_str).collect();
    let contents = entry.contents.as_ref();
    Ok(vec![
        entry.name.to_string(),
        entry.instrument.clone(),
        text(entry.tenor.clone()),
        if absolute {
            book.absolute_path(entry)
        } else {
            entry.file_path.clone()
        },
        text(entry.start_date.as_ref().map(ToString::to_string)),
        text(entry.end_date.as_ref().map(ToString::to_string)),
        text(entry.row_count.map(|rows| rows.to_string())),
        text(entry.registered_at.as_ref().map(ToString::to_string)),
        text(entry.last_updated.as_ref().map(ToString::to_string)),
        text(entry.retrieved_at.as_ref().map(ToString::to_string)),
        text(entry.ttl_seconds.map(|seconds| seconds.to_string())),
        parents.join(";"),
        text(contents.and_then(|contents| contents.digest.clone())),
        serde_json::to_string(&entry.metadata)?,
    ])
}
