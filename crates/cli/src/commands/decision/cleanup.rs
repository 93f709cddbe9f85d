//! `minutebook decision cleanup`.

use chrono::TimeDelta;
use clap::Args;
use minutebook::{DecisionFilter, TimeRange};
use serde_json::json;

use crate::app::Context;
use crate::failure::{Failure, Outcome};
use crate::output::format::{plural, time};

/// Delete the decisions that are older than so many days, by their own timestamps.
#[derive(Debug, Args)]
#[command(after_help = "\
A decision's age goes by its own timestamp, never by the file's date. Asks first; needs --yes when nobody can be asked.

Examples:
  minutebook decision cleanup --days 30 --dry-run
  minutebook decision cleanup --days 365 --yes")]
pub(crate) struct Cleanup {
    /// Delete what is older than this
    #[arg(long, value_name = "N")]
    days: u32,
    /// Only count them
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Cleanup {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let cutoff = TimeDelta::try_days(i64::from(self.days))
            .and_then(|age| book.now().checked_sub_signed(age))
            .ok_or_else(|| {
                Failure::usage(format!(
                    "--days {}: that is before the beginning of time",
                    self.days
                ))
            })?;
        let filter = DecisionFilter::new().time(TimeRange::before(cutoff));
        let found = book.decisions().count(&filter).await?;
        let what = format!("{} from before {}", plural(found, "decision"), time(cutoff));
        if self.dry_run {
            return context.output.result(
                &json!({"would_delete": found, "before": time(cutoff)}),
                format!("would delete {what}"),
            );
        }
        if found > 0 && !context.confirm(self.yes, &format!("delete {what}"))? {
            return Ok(());
        }
        let deleted = book.decisions().delete_matching(&filter).await?;
        context.output.result(
            &json!({"deleted": deleted, "before": time(cutoff)}),
            format!(
                "deleted {} from before {}",
                plural(deleted, "decision"),
                time(cutoff)
            ),
        )
    }
}
