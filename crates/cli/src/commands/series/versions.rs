//! `minutebook series versions`, `diff` and `restore`.

use clap::Args;
use minutebook::Snapshot;
use minutebook::parquet::VersionDiff;
use minutebook::time::format_timestamp;
use serde_json::json;

use super::group::{Named, entry, files_of, snapshot, told};
use crate::app::Context;
use crate::failure::Outcome;
use crate::output::format;
use crate::output::table::{Align, Table};

/// List the versions of a series that are kept, the oldest first.
#[derive(Debug, Args)]
#[command(after_help = "\
With --json each line is {\"version\", \"committed_at\", \"operation\", \"rows\", \"bytes\", \"files\", \"note\"}.

Examples:
  minutebook series versions BTCUSD@1h
  minutebook bars read BTCUSD 1h --as-of 12")]
pub(crate) struct Versions {
    #[command(flatten)]
    named: Named,
}

impl Versions {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = &self.named.series;
        let versions = files_of(&book, id)?.versions(id).await?;
        if versions.is_empty() {
            let error =
                minutebook::Error::new(minutebook::ErrorKind::NotFound, "there is no such series");
            return Err(told(&book, id, error).await);
        }
        if context.output.json {
            for one in &versions {
                context.output.json_line(&json!({
                    "version": one.version.0,
                    "committed_at": format_timestamp(one.committed_at),
                    "operation": one.operation,
                    "rows": one.rows,
                    "bytes": one.bytes,
                    "files": one.segments,
                    "note": one.note,
                }))?;
            }
            return Ok(());
        }
        let mut table = Table::new(&[
            ("version", Align::Right),
            ("committed", Align::Left),
            ("operation", Align::Left),
            ("rows", Align::Right),
            ("files", Align::Right),
            ("size", Align::Right),
            ("note", Align::Left),
        ]);
        for one in &versions {
            let note: Vec<_> = one.note.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let operation = serde_json::to_value(one.operation).unwrap_or_default();
            table.row([
                one.version.to_string(),
                format_timestamp(one.committed_at),
                operation.as_str().unwrap_or_default().to_owned(),
                format::count(one.rows),
                format::count(one.segments),
                format::size(one.bytes),
                note.join(" "),
            ]);
        }
        table.print(&mut context.output)
    }
}

/// Show which ranges of time differ between two versions, and by how many rows.
#[derive(Debug, Args)]
#[command(after_help = "\
A version is its number, a time at which it was the newest, or latest. With --json each line is
{\"first\", \"last\", \"inserted\", \"removed\", \"changed\"}.

Examples:
  minutebook series diff AAPL@1d 3
  minutebook series diff AAPL@1d 2025-01-01 latest")]
pub(crate) struct Diff {
    #[command(flatten)]
    named: Named,
    /// The one version
    #[arg(value_parser = snapshot)]
    from: Snapshot,
    /// The other
    #[arg(value_parser = snapshot, default_value = "latest")]
    to: Snapshot,
}

impl Diff {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = &self.named.series;
        let diff = match files_of(&book, id)?.diff(id, self.from, self.to).await {
            Ok(diff) => diff,
            Err(error) => return Err(told(&book, id, error).await),
        };
        show(context, &diff)
    }
}

fn show(context: &mut Context<'_>, diff: &VersionDiff) -> Outcome {
    for column in &diff.columns {
        context
            .output
            .note(format!("the column {column:?} differs"));
    }
    for key in &diff.metadata {
        context.output.note(format!("the metadata {key:?} differ"));
    }
    if context.output.json {
        for range in &diff.ranges {
            context.output.json_line(&json!({
                "first": format_timestamp(range.first),
                "last": format_timestamp(range.last),
                "inserted": range.inserted,
                "removed": range.removed,
                "changed": range.changed,
            }))?;
        }
        return Ok(());
    }
    if diff.is_empty() {
        return context
            .output
            .line(format!("versions {} and {} are equal", diff.from, diff.to));
    }
    let mut table = Table::new(&[
        ("first", Align::Left),
        ("last", Align::Left),
        ("inserted", Align::Right),
        ("removed", Align::Right),
        ("changed", Align::Right),
    ]);
    for range in &diff.ranges {
        table.row([
            format_timestamp(range.first),
            format_timestamp(range.last),
            format::count(range.inserted),
            format::count(range.removed),
            format::count(range.changed),
        ]);
    }
    table.print(&mut context.output)
}

/// Make rows, columns and metadata as they were in an earlier version, by a new version.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is lost: the versions in between stay readable.

Examples:
  minutebook series restore AAPL@1d 3
  minutebook series restore AAPL@1d 2025-01-01 --note why=\"bad vendor data\"")]
pub(crate) struct Restore {
    #[command(flatten)]
    named: Named,
    /// Its number, or a time at which it was the newest
    #[arg(value_parser = snapshot)]
    version: Snapshot,
    /// What to note with the new version
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    note: Vec<(String, String)>,
}

impl Restore {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = &self.named.series;
        let note = self.note.into_iter().collect();
        let version = match files_of(&book, id)?.restore(id, self.version, &note).await {
            Ok(version) => version,
            Err(error) => return Err(told(&book, id, error).await),
        };
        if context.output.json {
            let series = id.to_string();
            return context
                .output
                .json_line(&json!({"series": series, "version": version.0}));
        }
        context
            .output
            .line(format!("{id} is restored as version {version}"))
    }
}
