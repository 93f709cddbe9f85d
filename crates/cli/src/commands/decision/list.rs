//! `minutebook decision list`.

use clap::{Args, ValueEnum};
use minutebook::{Cursor, DecisionPage, DecisionQuery, Order, StoredDecision};
use serde_json::json;

use super::Envelope;
use super::filter::Filter;
use crate::app::Context;
use crate::args::parsed;
use crate::failure::Outcome;
use crate::output::format;
use crate::output::table::{Align, Table};

/// How many decisions a table shows unless told otherwise.
const SHOWN: usize = 50;

/// List decisions, the newest first.
#[derive(Debug, Args)]
#[command(after_help = "\
A decision's time is its own timestamp, or when it was recorded if it has none. Ranges are half-open: --since belongs \
to the range, --until does not. Files that cannot be read as decisions, duplicate ids and the like are told on \
standard error; --problems lists them instead of the decisions, --strict makes them an error. \
With --json each line is {\"id\", \"revision\", \"recorded_at\", \"decision\", \"cursor\"}; the last line's cursor continues \
the list with --after.

Examples:
  minutebook decision list --pair BTCUSD --limit 10
  minutebook decision list --action BUY --since 2025-12-01 --until 2026-01-01 --min-confidence 0.7
  minutebook decision list --field /executed=true --json | jq .decision.confidence
  minutebook --store ~/ffe/data/decisions decision list --problems")]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// At most so many [default: 50 in a table, all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// In which order
    #[arg(long, value_enum, default_value_t = Sort::Newest)]
    order: Sort,
    /// Only those after this place: the cursor that an earlier list ended with
    #[arg(long, value_name = "CURSOR", value_parser = parsed::<Cursor>)]
    after: Option<Cursor>,
    /// Only what is wrong with the files, instead of the decisions
    #[arg(long, conflicts_with_all = ["limit", "after"])]
    problems: bool,
    /// A document that cannot be read is an error
    #[arg(long)]
    strict: bool,
}

/// The orders.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    /// By the decision's own time, the newest first
    Newest,
    /// By the decision's own time, the oldest first
    Oldest,
    /// By when the store took it, the latest first
    Written,
}

impl From<Sort> for Order {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Newest => Self::Newest,
            Sort::Oldest => Self::Oldest,
            Sort::Written => Self::RecentlyWritten,
        }
    }
}

impl List {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let order = Order::from(self.order);
        let mut query = DecisionQuery::new().filter(self.filter.get()?).order(order);
        query.after = self.after;
        query.strict = self.strict;
        query.limit = match (self.limit, context.output.json || self.problems) {
            (None, false) => Some(SHOWN),
            (limit, _) => limit,
        };
        let page = book.decisions().query(&query).await?;
        if self.problems {
            return problems(context, &page);
        }
        if context.output.json {
            for stored in &page.decisions {
                let mut envelope = Envelope::new(stored);
                envelope.cursor = Some(Cursor::at(order, stored).to_string());
                context.output.json_line(&envelope)?;
            }
        } else if page.decisions.is_empty() {
            context.output.note("no decisions");
        } else {
            table(context, &page.decisions)?;
        }
        context.output.finish()?;
        context.output.report(&page.report);
        if let (Some(next), false) = (&page.next, context.output.json) {
            context.output.note(format!(
                "{} shown; the list goes on with --after '{next}'",
                format::count(page.decisions.len() as u64)
            ));
        }
        Ok(())
    }
}

fn table(context: &mut Context<'_>, decisions: &[StoredDecision]) -> Outcome {
    let mut table = Table::new(&[
        ("time", Align::Left),
        ("id", Align::Left),
        ("pair", Align::Left),
        ("action", Align::Left),
        ("confidence", Align::Right),
    ]);
    for stored in decisions {
        let decision = &stored.decision;
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row([
            // A time that is not the decision's own is marked: it is when the store took it.
            match decision.timestamp() {
                Some(time) => format::time(time),
                None => format!("({})", format::time(stored.recorded_at)),
            },
            decision.id().to_string(),
            or_dash(decision.asset_pair()),
            or_dash(decision.action().map(|action| action.to_string())),
            or_dash(
                decision
                    .raw("confidence")
                    .map(|text| format::shorten(text, 12)),
            ),
        ]);
    }
    table.print(&mut context.output)
}

fn problems(context: &mut Context<'_>, page: &DecisionPage) -> Outcome {
    let report = &page.report;
    if context.output.json {
        for problem in report.problems() {
            context.output.json_line(&json!({
                "problem": problem.kind.name(),
                "resource": problem.resource,
                "line": problem.location.line,
                "byte": problem.location.byte,
                "message": problem.message,
            }))?;
        }
    } else if report.is_clean() {
        context.output.note("no problems");
    } else {
        let mut table = Table::new(&[
            ("problem", Align::Left),
            ("where", Align::Left),
            ("what", Align::Left),
        ]);
        for problem in report.problems() {
            let line = problem.location.line.map(|line| format!(", line {line}"));
            table.row([
                problem.kind.name().to_owned(),
                format!("{}{}", problem.resource, line.unwrap_or_default()),
                problem.message.clone(),
            ]);
        }
        table.print(&mut context.output)?;
    }
    let more = report.total() - report.problems().len() as u64;
    if more > 0 {
        context
            .output
            .note(format!("and {} more", format::count(more)));
    }
    Ok(())
}
