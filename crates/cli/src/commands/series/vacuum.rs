//! `minutebook series vacuum`.

use chrono::TimeDelta;
use clap::Args;
use minutebook::parquet::{Retention, VacuumOptions};
use minutebook::{SeriesFilter, SeriesId};
use serde_json::json;

use super::group::files;
use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Failure, Outcome};
use crate::output::format;
use crate::output::table::{Align, Table};

/// Remove versions that are not to be kept, and files that no version and no snapshot names.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --keep-versions and --keep-days every version is kept, and only what failed writes left behind goes. With both, a version
stays if either keeps it. The newest always stays, and so does what is younger than an hour: a writer may build upon it.

Examples:
  minutebook series vacuum --keep-versions 10 --dry-run
  minutebook series vacuum AAPL@1d --keep-days 30")]
pub(crate) struct Vacuum {
    /// The series; without any, all bars and other series
    #[arg(value_parser = parsed::<SeriesId>)]
    series: Vec<SeriesId>,
    /// Keep so many of the newest versions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    keep_versions: Option<u64>,
    /// Keep what was the newest within so many days
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
}

impl Vacuum {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let Some(files) = files(&book)? else {
            return match self.series.first() {
                Some(id) => Err(Failure::not_found(format!("{id}: there is no such series"))),
                None => Ok(()),
            };
        };
        let mut retention = Retention::all();
        retention.versions = self.keep_versions;
        retention.age = self.keep_days.map(|days| TimeDelta::days(days.into()));
        let mut options = VacuumOptions::default().retention(retention);
        options.dry_run = self.dry_run;
        let ids = if self.series.is_empty() {
            book.series().list(&SeriesFilter::new()).await?
        } else {
            self.series
        };
        let mut table = Table::new(&[
            ("series", Align::Left),
            ("versions", Align::Right),
            ("files", Align::Right),
            ("size", Align::Right),
            ("too young", Align::Right),
        ]);
        let none = ids.is_empty();
        for id in ids {
            let report = files.vacuum(&id, &options).await?;
            if context.output.json {
                let versions: Vec<_> = report.versions;
                context.output.json_line(&json!({
                    "series": id.to_string(),
                    "dry_run": self.dry_run,
                    "versions": versions,
                    "files": report.files,
                    "bytes": report.bytes,
                    "spared": report.spared,
                }))?;
                continue;
            }
            table.row([
                id.to_string(),
                format::count(report.versions.len() as u64),
                format::count(report.files.len() as u64),
                format::size(report.bytes),
                format::count(report.spared),
            ]);
        }
        if context.output.json {
            return Ok(());
        }
        if none {
            context.output.note("no series");
            return Ok(());
        }
        table.print(&mut context.output)?;
        if self.dry_run {
            context.output.note("nothing was removed");
        }
        Ok(())
    }
}
