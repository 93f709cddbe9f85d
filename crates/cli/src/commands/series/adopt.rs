//! `minutebook series adopt`.

use std::path::{Path, PathBuf};

use clap::Args;
use minutebook::SeriesId;
use minutebook::parquet::{
    AdoptDirectory, AdoptReport, AdoptedSeries, Metadata, ParquetTimeSeriesRepository,
};
use minutebook::time::format_timestamp;
use serde_json::{Value, json};

use super::group::entry;
use crate::app::Context;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::format::{self, plural};

/// Make Parquet files of other programs part of series, byte for byte as they are, by one commit for each series.
#[derive(Debug, Args)]
#[command(after_help = "\
Rows of a later file replace those of the same time (of the same key, where one is declared). A file whose rows are not in order of
time is named and left out; bars import takes it. The files themselves stay where they are, and one that was adopted is not added again.

Of a directory every *.parquet goes to the series that its name says: BTCUSD_1h_2024-01-01_2024-02-01.parquet and BTCUSD_1h.parquet to
BTCUSD@1h, vix.parquet to @vix.

Exit code: 0 if every file is part of its series now, 3 if the directory has no *.parquet, 5 if no file could be adopted, 6 if some were
left out; each is named, and why. Where a series cannot be written the others are, and the code says what it failed for.

Examples:
  minutebook series adopt BTCUSD@1h BTCUSD_1h_*.parquet
  minutebook series adopt AAPL@1d aapl.parquet --note source=vendor
  minutebook series adopt ./frames --dry-run")]
pub(crate) struct Adopt {
    /// The series (SYMBOL@TIMEFRAME or @name), or a directory
    #[arg(value_name = "SERIES|DIR")]
    target: String,
    /// The files, the earlier first
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only say what would be done with a directory
    #[arg(long, conflicts_with = "files")]
    dry_run: bool,
    /// What to note with the new version
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    note: Vec<(String, String)>,
}

impl Adopt {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let made = book.series_files_made()?;
        let files = made.ok_or_else(|| Failure::usage("this store keeps no files".to_owned()))?;
        let note: Metadata = self.note.into_iter().collect();
        if self.files.is_empty() {
            let dir = Path::new(&self.target);
            if !dir.is_dir() {
                return Err(Failure::usage(format!(
                    "{}: name the files after the series, or a directory that is there",
                    self.target
                )));
            }
            return directory(context, files, dir, self.dry_run, note).await;
        }
        let id: SeriesId = self
            .target
            .parse()
            .map_err(|error: minutebook::Error| Failure::usage(error.to_string()))?;
        if matches!(id, SeriesId::Ticks { .. }) {
            return Err(Failure::usage(format!(
                "{id}: ticks are JSON Lines; this is for bars and other series"
            )));
        }
        let report = files.adopt(&id, &self.files, &note).await?;
        show(context, &id, &report)?;
        let taken = report.adopted.len() + report.already.len();
        left_out(context, taken, &report.skipped, "was")
    }
}

fn paths(files: &[PathBuf]) -> Vec<String> {
    files
        .iter()
        .map(|file| file.display().to_string())
        .collect()
}

fn value(id: &SeriesId, report: &AdoptReport) -> Value {
    let skipped = report.skipped.iter();
    let skipped: Vec<_> = skipped
        .map(|(file, why)| json!({"file": file.display().to_string(), "why": why}))
        .collect();
    json!({
        "series": id.to_string(),
        "version": report.version.0,
        "adopted": paths(&report.adopted),
        "already": paths(&report.already),
        "rows": report.rows,
        "replaced": report.replaced,
        "skipped": skipped,
    })
}

fn show(context: &mut Context<'_>, id: &SeriesId, report: &AdoptReport) -> Outcome {
    if context.output.json {
        return context.output.json_line(&value(id, report));
    }
    if report.adopted.is_empty() && report.already.is_empty() {
        return Ok(());
    }
    let already = match report.already.len() as u64 {
        0 => String::new(),
        count => format!(", {} there already", plural(count, "file")),
    };
    context.output.line(format!(
        "{id}: {} with {} adopted, {} replaced{already}",
        plural(report.adopted.len() as u64, "file"),
        plural(report.rows, "row"),
        format::count(report.replaced)
    ))
}

async fn directory(
    context: &mut Context<'_>,
    files: &ParquetTimeSeriesRepository,
    dir: &Path,
    dry_run: bool,
    note: Metadata,
) -> Outcome {
    let mut options = AdoptDirectory::default().note(note);
    options.dry_run = dry_run;
    let done = files.adopt_directory(dir, &options).await?;
    let (mut taken, mut failed) = (0, None);
    let mut skipped = done.unnamed;
    for mut series in done.series {
        taken += series.report.adopted.len() + series.report.already.len();
        if let Some(error) = series.error.take() {
            context.output.warn(format!("{}: {error}", series.series));
            failed.get_or_insert(error);
        } else if dry_run {
            planned(context, &series)?;
        } else {
            show(context, &series.series, &series.report)?;
        }
        skipped.append(&mut series.report.skipped);
    }
    let would = if dry_run { "would be" } else { "was" };
    let told = left_out(context, taken, &skipped, would);
    match failed {
        Some(error) => Err(error.into()),
        None if taken == 0 && skipped.is_empty() => Err(Failure::not_found(format!(
            "{}: there is no *.parquet in it",
            dir.display()
        ))),
        None => told,
    }
}

/// Names every file that was left out; then the command has not done all that it was asked for.
fn left_out(
    context: &mut Context<'_>,
    taken: usize,
    skipped: &[(PathBuf, String)],
    was: &str,
) -> Outcome {
    for (file, why) in skipped {
        let text = format!("{} {was} left out: {why}", file.display());
        context.output.warn(text);
    }
    let Some((first, _)) = skipped.first() else {
        return Ok(());
    };
    let more = match skipped.len() - 1 {
        0 => String::new(),
        more => format!(" and {} more", format::count(more as u64)),
    };
    let text = format!(
        "{}{more} {was} left out, {} {was} adopted or there already",
        first.display(),
        plural(taken as u64, "file")
    );
    let exit = if taken == 0 {
        Exit::InvalidData
    } else {
        Exit::Corrupt
    };
    Err(Failure::new(exit, text))
}

/// What a dry run found.
fn planned(context: &mut Context<'_>, series: &AdoptedSeries) -> Outcome {
    let (id, report) = (&series.series, &series.report);
    if context.output.json {
        let mut value = value(id, report);
        value["dry_run"] = true.into();
        value["first"] = series.first.map(format_timestamp).into();
        value["last"] = series.last.map(format_timestamp).into();
        return context.output.json_line(&value);
    }
    if report.adopted.is_empty() && report.already.is_empty() {
        return Ok(());
    }
    context.output.line(format!(
        "{id}: {} with {} would be adopted, {} to {}",
        plural(report.adopted.len() as u64, "file"),
        plural(report.rows, "row"),
        format::time_or_dash(series.first),
        format::time_or_dash(series.last)
    ))
}
