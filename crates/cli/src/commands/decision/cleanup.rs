//! `minutebook decision cleanup`.

use chrono::TimeDelta;
use clap::Args;
use minutebook::{DecisionRepositoryExt, ErrorKind, ExpiryReason, RetentionPlan, RetentionPolicy};
use serde_json::{Value, json};

use super::filter::Filter;
use crate::app::Context;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::format::{count, plural, time};
use crate::output::table::{Align, Table};

/// How many decisions a dry run shows in a table.
const SHOWN: usize = 50;

/// Delete decisions by a policy: those older than so many days, or all but so many of the newest.
#[derive(Debug, Args)]
#[command(after_help = "\
A decision's age goes by its own timestamp, never by the file's date. A decision goes if --days or --keep says so; what has something else \
than null at a --keep-with pointer stays. Conditions (--pair, --since, ...) say which decisions are looked at; all others stay. Asks first; \
needs --yes when nobody can be asked. What is changed between the question and the deletion stays.

Examples:
  minutebook decision cleanup --days 30 --dry-run
  minutebook decision cleanup --days 365 --keep-with /outcome --yes
  minutebook decision cleanup --keep 1000 --per-pair --dry-run --json")]
pub(crate) struct Cleanup {
    /// Delete what is older than this
    #[arg(long, value_name = "N", required_unless_present = "keep")]
    days: Option<u32>,
    /// Delete all but so many of the newest
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Count the newest of each pair by itself
    #[arg(long, requires = "keep")]
    per_pair: bool,
    /// Keep what has something at this JSON pointer; may be given several times
    #[arg(long, value_name = "/POINTER", value_parser = pointer)]
    keep_with: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

fn pointer(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("write it as a JSON pointer, for example /outcome".to_owned())
    }
}

impl Cleanup {
    fn policy(&self) -> Outcome<RetentionPolicy> {
        let mut policy = RetentionPolicy::new().filter(self.filter.get()?);
        policy.max_age = match self.days {
            Some(days) => Some(TimeDelta::try_days(i64::from(days)).ok_or_else(|| too_old(days))?),
            None => None,
        };
        policy.newest = self.keep;
        policy.per_pair = self.per_pair;
        policy.keep_with.clone_from(&self.keep_with);
        Ok(policy)
    }

    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let policy = self.policy()?;
        let plan = book.decisions().plan_retention(&policy, book.now()).await;
        let plan = plan.map_err(|error| match self.days {
            Some(days) if error.kind() == ErrorKind::InvalidInput => too_old(days),
            _ => error.into(),
        })?;
        context.output.report(&plan.report);
        let found = plan.expired.len() as u64;
        let what = what(found, &plan);
        if self.dry_run {
            return show(context, &plan, &what);
        }
        if found > 0 && !context.confirm(self.yes, &format!("delete {what}"))? {
            return Ok(());
        }
        let done = book.decisions().apply_retention(&plan).await?;
        if let Some((id, error)) = done.failed.into_iter().next() {
            let failure = Failure::from(error.with_resource(id));
            return Err(failure.with_note(&format!("{} deleted", plural(done.deleted, "decision"))));
        }
        let mut sentence = format!("deleted {}", self::what(done.deleted, &plan));
        if !done.changed.is_empty() {
            let changed = plural(done.changed.len() as u64, "decision");
            sentence = format!("{sentence}; {changed} changed meanwhile and stayed");
        }
        let mut object = json!({"deleted": done.deleted});
        describe(&mut object, &plan);
        object["changed"] = json!(done.changed.len());
        context.output.result(&object, sentence)
    }
}

fn too_old(days: u32) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("--days {days}: that is before the beginning of time"),
    )
}

/// How many decisions of which kind.
fn what(number: u64, plan: &RetentionPlan) -> String {
    let decisions = plural(number, "decision");
    let by_count = plan
        .expired
        .iter()
        .any(|item| item.reason == ExpiryReason::Count);
    match plan.cutoff {
        Some(cutoff) if by_count => format!(
            "{decisions} from before {} or beyond the newest",
            time(cutoff)
        ),
        Some(cutoff) => format!("{decisions} from before {}", time(cutoff)),
        None => format!("{decisions} beyond the newest"),
    }
}

fn describe(object: &mut Value, plan: &RetentionPlan) {
    object["before"] = plan.cutoff.map(time).into();
    object["examined"] = plan.examined.into();
    object["kept"] = plan.kept.into();
}

fn show(context: &mut Context<'_>, plan: &RetentionPlan, what: &str) -> Outcome {
    if context.output.json {
        let mut object = json!({"would_delete": plan.expired.len()});
        describe(&mut object, plan);
        let decisions = plan.expired.iter().map(|item| {
            json!({
                "id": item.id.as_str(),
                "revision": item.revision.as_str(),
                "time": minutebook::time::format_timestamp(item.time),
                "pair": item.asset_pair,
                "reason": item.reason.name(),
            })
        });
        object["decisions"] = decisions.collect();
        return context.output.json_line(&object);
    }
    context.output.line(format!("would delete {what}"))?;
    if !plan.expired.is_empty() {
        let mut table = Table::new(&[
            ("time", Align::Left),
            ("id", Align::Left),
            ("pair", Align::Left),
            ("why", Align::Left),
        ]);
        for item in plan.expired.iter().take(SHOWN) {
            table.row([
                time(item.time),
                item.id.to_string(),
                item.asset_pair.clone().unwrap_or_else(|| "-".to_owned()),
                item.reason.name().to_owned(),
            ]);
        }
        table.print(&mut context.output)?;
        let more = plan.expired.len().saturating_sub(SHOWN) as u64;
        if more > 0 {
            context
                .output
                .note(format!("and {} more; --json lists all", count(more)));
        }
    }
    if plan.kept > 0 {
        let kept = plural(plan.kept, "decision");
        context
            .output
            .note(format!("{kept} would go, but a field keeps them"));
    }
    Ok(())
}
