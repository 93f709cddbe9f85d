//! `minutebook decision count`.

use clap::Args;
use minutebook::GroupBy;
use serde_json::{Value, json};

use super::filter::Filter;
use crate::app::Context;
use crate::failure::Outcome;
use crate::output::format;
use crate::output::table::{Align, Table};

/// Count decisions, in all or by group.
#[derive(Debug, Args)]
#[command(after_help = "\
With --by --json each group is a line, {\"key\", \"count\"}; key is null for decisions that have no such field.

Examples:
  minutebook decision count
  minutebook decision count --pair BTCUSD --action BUY --json
  minutebook decision count --by action --since 2025-01-01
  minutebook decision count --by /market_data/type")]
pub(crate) struct Count {
    #[command(flatten)]
    filter: Filter,
    /// Count by pair, action, day (UTC), or the field at a JSON pointer
    #[arg(long, value_name = "pair|action|day|/POINTER", value_parser = by)]
    by: Option<GroupBy>,
}

fn by(text: &str) -> Result<GroupBy, String> {
    let by = match text {
        "pair" => GroupBy::Pair,
        "action" => GroupBy::Action,
        "day" => GroupBy::Day,
        pointer => GroupBy::Field(pointer.to_owned()),
    };
    by.check().map(|()| by).map_err(|_| {
        "write pair, action, day or a JSON pointer such as /market_data/type".to_owned()
    })
}

impl Count {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let filter = self.filter.get()?;
        let Some(by) = &self.by else {
            let count = book.decisions().count(&filter).await?;
            return context
                .output
                .result(&json!({"count": count}), count.to_string());
        };
        let groups = book.decisions().count_by(&filter, by).await?;
        if context.output.json {
            for group in groups {
                context
                    .output
                    .json_line(&json!({"key": group.key, "count": group.count}))?;
            }
            return Ok(());
        }
        if groups.is_empty() {
            context.output.note("no decisions");
            return Ok(());
        }
        let heading = match by {
            GroupBy::Pair => "pair",
            GroupBy::Action => "action",
            GroupBy::Day => "day",
            GroupBy::Field(pointer) => pointer,
            _ => "group",
        };
        let mut table = Table::new(&[(heading, Align::Left), ("count", Align::Right)]);
        for group in &groups {
            let key = match &group.key {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => "-".to_owned(),
            };
            table.row([key, format::count(group.count)]);
        }
        table.print(&mut context.output)
    }
}
