//! `minutebook series compact`.

use clap::Args;
use minutebook::parquet::CompactionStep;
use minutebook::time::format_timestamp;
use serde_json::{Value, json};

use super::group::{Named, files_of, told};
use crate::app::Context;
use crate::failure::Outcome;
use crate::output::format::{self, plural};
use crate::output::table::{Align, Table};

/// Write small, overlapping and hollowed files anew as few full ones in order of time. The rows stay as they are.
#[derive(Debug, Args)]
#[command(after_help = "\
Writers and readers may go on meanwhile. The files of before stay as long as versions name them; vacuum takes them away.

Examples:
  minutebook series compact BTCUSD@1m --dry-run
  minutebook series compact BTCUSD@1m")]
pub(crate) struct Compact {
    #[command(flatten)]
    named: Named,
    /// Only say what would be done, and why
    #[arg(long)]
    dry_run: bool,
}

impl Compact {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = &self.named.series;
        let files = files_of(&book, id)?;
        if self.dry_run {
            let plan = match files.plan_compaction(id).await {
                Ok(plan) => plan,
                Err(error) => return Err(told(&book, id, error).await),
            };
            steps(context, &plan.steps)?;
            if !context.output.json {
                context.output.line(format!(
                    "{id}: {} would become {}; nothing was changed",
                    plural(plan.segments, "file"),
                    format::count(plan.segments_after())
                ))?;
            }
            return Ok(());
        }
        let report = match files.compact(id).await {
            Ok(report) => report,
            Err(error) => return Err(told(&book, id, error).await),
        };
        if context.output.json {
            return context.output.json_line(&json!({
                "series": id.to_string(),
                "version": report.version.0,
                "files_before": report.segments_before,
                "files_after": report.segments_after,
                "bytes_before": report.bytes_before,
                "bytes_after": report.bytes_after,
                "steps": report.steps.iter().map(value).collect::<Vec<_>>(),
            }));
        }
        if report.steps.is_empty() {
            return context.output.line(format!("{id} is compact already"));
        }
        steps(context, &report.steps)?;
        context.output.line(format!(
            "{id}: {} ({}) became {} ({})",
            plural(report.segments_before, "file"),
            format::size(report.bytes_before),
            format::count(report.segments_after),
            format::size(report.bytes_after)
        ))
    }
}

fn value(step: &CompactionStep) -> Value {
    json!({
        "reason": step.reason.to_string(),
        "files": step.files,
        "rows": step.rows,
        "dead_rows": step.dead_rows,
        "bytes": step.bytes,
        "first": format_timestamp(step.first),
        "last": format_timestamp(step.last),
        "into": step.into,
    })
}

fn steps(context: &mut Context<'_>, steps: &[CompactionStep]) -> Outcome {
    if context.output.json {
        for step in steps {
            context.output.json_line(&value(step))?;
        }
        return Ok(());
    }
    if steps.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&[
        ("why", Align::Left),
        ("files", Align::Right),
        ("become", Align::Right),
        ("rows", Align::Right),
        ("dead", Align::Right),
        ("size", Align::Right),
        ("first", Align::Left),
        ("last", Align::Left),
    ]);
    for step in steps {
        table.row([
            step.reason.to_string(),
            format::count(step.files.len() as u64),
            format::count(step.into),
            format::count(step.rows),
            format::count(step.dead_rows),
            format::size(step.bytes),
            format_timestamp(step.first),
            format_timestamp(step.last),
        ]);
    }
    table.print(&mut context.output)
}
