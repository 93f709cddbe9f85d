//! `minutebook series snapshot`.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use minutebook::parquet::NamedSnapshot;
use minutebook::time::format_timestamp;
use minutebook::{SeriesFilter, SeriesId, Snapshot};
use serde_json::{Value, json};

use super::group::{entry, files};
use crate::app::Context;
use crate::args::{instant, parsed};
use crate::failure::{Failure, Outcome};
use crate::output::table::{Align, Table};

/// Versions of several series under one name, kept until the name is dropped.
#[derive(Debug, Subcommand)]
pub(crate) enum Snapshots {
    /// Name the newest versions of series, or those of a moment
    Create(Create),
    /// List the snapshots
    List(List),
    /// Forget a snapshot; what only it kept goes with the next vacuum
    Drop(Drop),
}

impl Snapshots {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        match self {
            Self::Create(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Drop(command) => command.run(context).await,
        }
    }
}

/// Name versions of series.
#[derive(Debug, Args)]
#[command(after_help = "\
Without SERIES all bars and other series are named. Retention keeps what a snapshot names.

Examples:
  minutebook series snapshot create backtest-7
  minutebook series snapshot create audit AAPL@1d MSFT@1d --at 2025-01-01
  minutebook bars read AAPL 1d --as-of 3     a version that the snapshot names")]
pub(crate) struct Create {
    /// The name of the snapshot
    name: String,
    /// The series: SYMBOL@TIMEFRAME or @name
    #[arg(value_parser = parsed::<SeriesId>)]
    series: Vec<SeriesId>,
    /// The versions that were the newest at this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<DateTime<Utc>>,
    /// What to note with it
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    note: Vec<(String, String)>,
}

impl Create {
    async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let files = files(&book)?.ok_or_else(|| Failure::not_found("there are no series"))?;
        let ids = if self.series.is_empty() {
            book.series().list(&SeriesFilter::new()).await?
        } else {
            self.series
        };
        let at = self.at.map_or(Snapshot::Latest, Snapshot::Time);
        let series: Vec<_> = ids.into_iter().map(|id| (id, at)).collect();
        let note = self.note.into_iter().collect();
        let made = files.create_snapshot(&self.name, &series, &note).await?;
        show(context, &[made])
    }
}

/// List the snapshots.
#[derive(Debug, Args)]
pub(crate) struct List {}

impl List {
    async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let found = match files(&book)? {
            Some(files) => files.snapshots().await?,
            None => Vec::new(),
        };
        show(context, &found)
    }
}

fn value(one: &NamedSnapshot) -> Value {
    let series = one.series.iter();
    let series: serde_json::Map<String, Value> = series
        .map(|(id, version)| (id.to_string(), version.0.into()))
        .collect();
    json!({
        "name": one.name,
        "created_at": format_timestamp(one.created_at),
        "series": series,
        "note": one.note,
    })
}

fn show(context: &mut Context<'_>, found: &[NamedSnapshot]) -> Outcome {
    if context.output.json {
        for one in found {
            context.output.json_line(&value(one))?;
        }
        return Ok(());
    }
    if found.is_empty() {
        context.output.note("no snapshots");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("snapshot", Align::Left),
        ("made", Align::Left),
        ("series", Align::Left),
        ("version", Align::Right),
    ]);
    for one in found {
        for (id, version) in &one.series {
            table.row([
                one.name.clone(),
                format_timestamp(one.created_at),
                id.to_string(),
                version.to_string(),
            ]);
        }
    }
    table.print(&mut context.output)
}

/// Forget a snapshot.
#[derive(Debug, Args)]
pub(crate) struct Drop {
    /// The name of the snapshot
    name: String,
}

impl Drop {
    async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let dropped = match files(&book)? {
            Some(files) => files.drop_snapshot(&self.name).await?,
            None => false,
        };
        if !dropped {
            return Err(Failure::not_found(format!(
                "{}: there is no such snapshot; series snapshot list shows them",
                self.name
            )));
        }
        if context.output.json {
            return context.output.json_line(&json!({"dropped": self.name}));
        }
        context
            .output
            .line(format!("the snapshot {} is dropped", self.name))
    }
}
