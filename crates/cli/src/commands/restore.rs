//! `minutebook restore`.

use std::path::PathBuf;

use clap::Args;
use minutebook::Minutebook;
use minutebook::backup::RestoreOptions;
use minutebook::check::Part;
use serde_json::json;

use super::verify::follow;
use crate::app::Context;
use crate::args::parsed;
use crate::failure::Outcome;
use crate::output::format::{plural, size};
use crate::output::progress::Progress as Bar;

/// Bring a store back from a backup, into a directory that is empty or not there.
#[derive(Debug, Args)]
#[command(after_help = "\
Every file is compared with the digest that it had. Until all of them are there and durable the directory says that it is not complete, and is \
not opened as a store; a restore that was interrupted is done again by the same command. A store that is there is never written over.

Exit code: 0 if all of it is there, 3 if there is no such generation, 4 if the directory has something in it, 6 if the backup is damaged, 7 if \
another restore into it goes on.

Examples:
  minutebook restore /mnt/backups/book ./book
  minutebook restore /mnt/backups/book ./book --generation 2025-06-01T020000.000Z
  minutebook restore /mnt/backups/book ./look --part decisions --part documents
  minutebook --store ./book verify --head $(cat head.txt)")]
pub(crate) struct Restore {
    /// The directory of backups
    #[arg(value_name = "DIR")]
    target: PathBuf,
    /// The directory for the store
    #[arg(value_name = "INTO")]
    into: PathBuf,
    /// This generation instead of the newest, as `minutebook backup DIR --list` names it
    #[arg(long, value_name = "NAME")]
    generation: Option<String>,
    /// This part only (decisions, ticks, series, catalog, documents; store for all other files), with the settings; may be given several times
    #[arg(long, value_name = "PART", value_parser = parsed::<Part>)]
    part: Vec<Part>,
}

impl Restore {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let bar = Bar::new(context.output.watched, "restoring", 0);
        let mut options = RestoreOptions::new().progress(follow(&bar));
        if let Some(generation) = &self.generation {
            options = options.generation(generation);
        }
        if !self.part.is_empty() {
            options = options.parts(self.part.iter().copied());
        }
        let report = Minutebook::restore(&self.target, &self.into, &options).await?;
        bar.finish();
        context.output.result(
            &json!({
                "generation": report.generation,
                "at": report.at,
                "store": self.into.display().to_string(),
                "files": report.files,
                "bytes": report.bytes,
                "journal_head": report.journal_head,
            }),
            format!(
                "generation {} is in {}: {} of {}",
                report.generation,
                self.into.display(),
                plural(report.files, "file"),
                size(report.bytes)
            ),
        )
    }
}
