//! `minutebook series adopt`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::group::{Named, entry};
use crate::app::Context;
use crate::failure::{Failure, Outcome};
use crate::output::format::{self, plural};

/// Make Parquet files of other programs part of a series, byte for byte as they are, by one commit.
#[derive(Debug, Args)]
#[command(after_help = "\
Rows of a later file replace those of the same time. A file whose rows are not in order of time is told and left out; bars import
takes it. The files themselves stay where they are.

Examples:
  minutebook series adopt BTCUSD@1h BTCUSD_1h_*.parquet
  minutebook series adopt AAPL@1d aapl.parquet --note source=vendor")]
pub(crate) struct Adopt {
    #[command(flatten)]
    named: Named,
    /// The files, the earlier first
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// What to note with the new version
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    note: Vec<(String, String)>,
}

impl Adopt {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = &self.named.series;
        if matches!(id, minutebook::SeriesId::Ticks { .. }) {
            return Err(Failure::usage(format!(
                "{id}: ticks are JSON Lines; this is for bars and other series"
            )));
        }
        let files = book
            .series_files_made()?
            .ok_or_else(|| Failure::usage("this store keeps no files".to_owned()))?;
        let note = self.note.into_iter().collect();
        let report = files.adopt(id, &self.files, &note).await?;
        if context.output.json {
            let skipped = report.skipped.iter();
            let skipped: Vec<_> = skipped
                .map(|(file, why)| json!({"file": file.display().to_string(), "why": why}))
                .collect();
            let adopted: Vec<_> = report
                .adopted
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            context.output.json_line(&json!({
                "series": id.to_string(),
                "version": report.version.0,
                "adopted": adopted,
                "rows": report.rows,
                "replaced": report.replaced,
                "skipped": skipped,
            }))?;
        } else {
            for (file, why) in &report.skipped {
                context
                    .output
                    .note(format!("{} was left out: {why}", file.display()));
            }
            context.output.line(format!(
                "{id}: {} with {} adopted, {} replaced",
                plural(report.adopted.len() as u64, "file"),
                plural(report.rows, "row"),
                format::count(report.replaced)
            ))?;
        }
        if report.adopted.is_empty() {
            return Err(Failure::data(format!("{id}: no file could be adopted")));
        }
        Ok(())
    }
}
