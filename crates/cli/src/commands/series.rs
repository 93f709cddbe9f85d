//! What reading and listing have in common for bars and ticks, and `minutebook series`.

mod adopt;
mod bars;
mod compact;
mod describe;
mod group;
mod key;
mod merge;
mod snapshots;
mod vacuum;
mod versions;

pub(crate) use group::Series;

use clap::Args;
use futures_util::StreamExt;
use minutebook::time::format_timestamp;
use minutebook::{
    Error, ErrorKind, Minutebook, ScanQuery, SeriesFilter, SeriesId, SeriesSummary, Snapshot,
    Version,
};
use serde_json::{Value, json};

use crate::app::Context;
use crate::args::Range;
use crate::failure::{Failure, Outcome};
use crate::output::table::{Align, Table};
use crate::output::{format, rows};

/// How many rows a table shows unless told otherwise.
const SHOWN: usize = 50;

/// Which rows and columns.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    #[command(flatten)]
    pub(crate) range: Range,
    /// Only the first so many rows
    #[arg(long, value_name = "N", conflicts_with_all = ["last", "all"])]
    pub(crate) first: Option<usize>,
    /// Only the last so many rows [default: 50 in a table, all with --json]
    #[arg(long, value_name = "N", conflicts_with = "all")]
    pub(crate) last: Option<usize>,
    /// Every row, also in a table
    #[arg(long)]
    pub(crate) all: bool,
    /// These columns only, after the timestamp
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) columns: Option<Vec<String>>,
    /// A row that cannot be read is an error
    #[arg(long)]
    pub(crate) strict: bool,
}

impl Selection {
    /// The question, and whether a table would show only the end of the answer.
    pub(crate) fn query(&self, json: bool) -> Outcome<(ScanQuery, bool)> {
        let mut query = ScanQuery::new().range(self.range.get()?);
        query.columns.clone_from(&self.columns);
        query.strict = self.strict;
        let cut = !json && !self.all && self.first.is_none() && self.last.is_none();
        if let Some(rows) = self.first {
            query = query.first(rows);
        } else if let Some(rows) = self.last {
            query = query.last(rows);
        } else if cut {
            query = query.last(SHOWN);
        }
        Ok((query, cut))
    }
}

/// Reads rows and writes them.
pub(crate) async fn read(
    context: &mut Context<'_>,
    book: &Minutebook,
    series: &SeriesId,
    selection: &Selection,
    as_of: Option<Version>,
) -> Outcome {
    let (mut query, cut) = selection.query(context.output.json)?;
    if let Some(version) = as_of {
        query = query.as_of(Snapshot::Version(version));
    }
    let mut stream = match book.repository_of(series).scan(series, &query).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(not_found(book, series, error).await);
        }
        Err(error) => return Err(usage_or(error)),
    };
    let mut shown = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        shown += batch.num_rows();
        rows::print(&mut context.output, &batch)?;
    }
    context.output.finish()?;
    context.output.report(&stream.report());
    if shown == 0 && !context.output.json {
        context.output.note("no rows in this range");
    } else if cut && shown == SHOWN {
        context.output.note(format!(
            "these are the last {SHOWN} rows; --all, --first N or --last N show others"
        ));
    }
    Ok(())
}

/// A column that there is not was named on the command line.
fn usage_or(error: Error) -> Failure {
    if error.kind() == ErrorKind::InvalidInput {
        return Failure::usage(error.message());
    }
    error.into()
}

/// Names what there is instead.
pub(crate) async fn not_found(book: &Minutebook, series: &SeriesId, error: Error) -> Failure {
    let summary = book.repository_of(series).summary(series).await;
    if !matches!(summary, Ok(None)) {
        return error.into();
    }
    let mut filter = SeriesFilter::new();
    filter.symbol = series.symbol().cloned();
    let others = book
        .repository_of(series)
        .list(&filter)
        .await
        .unwrap_or_default();
    let hint = if others.is_empty() {
        String::new()
    } else {
        let names: Vec<_> = others.iter().take(5).map(ToString::to_string).collect();
        format!("; there is {}", names.join(", "))
    };
    Failure::not_found(format!("{series}: there is no such series{hint}"))
}

/// A series' summary as `--json` shows it.
pub(crate) fn value(series: &SeriesId, summary: &SeriesSummary) -> Value {
    json!({
        "series": series.to_string(),
        "symbol": series.symbol().map(ToString::to_string),
        "timeframe": series.timeframe().as_ref().map(ToString::to_string),
        "rows": summary.rows,
        "first": summary.first.map(format_timestamp),
        "last": summary.last.map(format_timestamp),
        "bytes": summary.bytes,
        "version": summary.version.0,
    })
}

/// Lists the series of a repository with their summaries.
pub(crate) fn list(context: &mut Context<'_>, found: &[(SeriesId, SeriesSummary)]) -> Outcome {
    if context.output.json {
        for (series, summary) in found {
            context.output.json_line(&value(series, summary))?;
        }
        return Ok(());
    }
    if found.is_empty() {
        context.output.note("no series");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("series", Align::Left),
        ("rows", Align::Right),
        ("first", Align::Left),
        ("last", Align::Left),
        ("size", Align::Right),
    ]);
    for (series, summary) in found {
        table.row([
            series.to_string(),
            format::count(summary.rows),
            format::time_or_dash(summary.first),
            format::time_or_dash(summary.last),
            format::size(summary.bytes),
        ]);
    }
    table.print(&mut context.output)
}

/// Shows one series: its summary and its columns.
pub(crate) fn info(
    context: &mut Context<'_>,
    series: &SeriesId,
    summary: &SeriesSummary,
) -> Outcome {
    let columns = rows::columns(&summary.schema);
    if context.output.json {
        let mut value = value(series, summary);
        value["columns"] = columns
            .iter()
            .map(|(name, data_type)| json!({"name": name, "type": data_type}))
            .collect();
        return context.output.json_line(&value);
    }
    let columns: Vec<_> = columns
        .iter()
        .map(|(name, kind)| format!("{name} {kind}"))
        .collect();
    for (label, text) in [
        ("series", series.to_string()),
        ("rows", format::count(summary.rows)),
        ("first", format::time_or_dash(summary.first)),
        ("last", format::time_or_dash(summary.last)),
        ("size", format::size(summary.bytes)),
        ("version", summary.version.to_string()),
        ("columns", columns.join(", ")),
    ] {
        context.output.line(format!("{label:<9}{text}"))?;
    }
    Ok(())
}

/// The series that match, with their summaries.
pub(crate) async fn summaries(
    repository: &dyn minutebook::TimeSeriesRepository,
    filter: &SeriesFilter,
) -> Outcome<Vec<(SeriesId, SeriesSummary)>> {
    let mut found = Vec::new();
    for series in repository.list(filter).await? {
        // One that another process deletes in between is no longer there to be listed.
        if let Some(summary) = repository.summary(&series).await? {
            found.push((series, summary));
        }
    }
    Ok(found)
}
