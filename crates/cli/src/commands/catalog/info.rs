//! `minutebook catalog info`.

use clap::Args;
use minutebook::{CatalogExt, DatasetName};

use super::list::written;
use crate::app::Context;
use crate::args::parsed;
use crate::failure::Outcome;
use crate::output::format;

/// Show one dataset.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minutebook catalog info btcusd_1h
  minutebook catalog info btcusd_1h --json | jq .row_count")]
pub(crate) struct Info {
    /// The dataset's name, exactly
    #[arg(value_parser = parsed::<DatasetName>)]
    name: DatasetName,
}

impl Info {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let stored = book.catalog().require(&self.name).await?;
        if context.output.json {
            let value = super::value(&stored)?;
            return context.output.json_line(&value);
        }
        let entry = &stored.entry;
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let mut lines = vec![
            ("name", entry.name.to_string()),
            ("instrument", entry.instrument.clone()),
            ("tenor", or_dash(entry.tenor.clone())),
            ("path", entry.file_path.clone()),
            ("rows", or_dash(entry.row_count.map(format::count))),
            ("first", written(entry.start_date.as_ref())),
            ("last", written(entry.end_date.as_ref())),
            ("registered", written(entry.registered_at.as_ref())),
            ("updated", written(entry.last_updated.as_ref())),
            ("revision", stored.revision.to_string()),
        ];
        if let Some(contents) = &entry.contents {
            lines.push(("bytes", or_dash(contents.bytes.map(format::size))));
            lines.push(("digest", or_dash(contents.digest.clone())));
            let columns: Vec<_> = contents
                .columns
                .iter()
                .map(|column| format!("{} {}", column.name, column.data_type))
                .collect();
            if !columns.is_empty() {
                lines.push(("columns", columns.join(", ")));
            }
        }
        if entry.retrieved_at.is_some() {
            lines.push(("retrieved", written(entry.retrieved_at.as_ref())));
        }
        if let Some(at) = entry.expires_at() {
            lines.push(("good until", format::time(at)));
        }
        if !entry.derived_from.is_empty() {
            let parents: Vec<_> = entry.derived_from.iter().map(DatasetName::as_str).collect();
            lines.push(("made from", parents.join(", ")));
        }
        let metadata: Vec<_> = entry.metadata.iter().chain(&entry.extra).collect();
        if !metadata.is_empty() {
            let fields: Vec<_> = metadata
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            lines.push(("metadata", fields.join(", ")));
        }
        for (label, text) in lines {
            context.output.line(format!("{label:<12}{text}"))?;
        }
        Ok(())
    }
}
