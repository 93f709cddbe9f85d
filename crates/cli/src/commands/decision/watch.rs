//! `minutebook decision watch`.

use std::time::Duration;

use clap::Args;
use minutebook::{ChangeStream, DecisionChange, Position, WatchFrom};

use super::history::{Shown, change};
use crate::app::Context;
use crate::args::{parsed, seconds};
use crate::failure::Outcome;
use crate::output::format;

/// Follow the changes: each save and each deletion, as it comes, until interrupted.
#[derive(Debug, Args)]
#[command(after_help = "\
It starts with the next change, with the first that is kept (--from-start), or after a position that an earlier watch gave (--after): \
then nothing is missed and nothing comes twice. With --json each line is \
{\"id\", \"change\", \"revision\", \"recorded_at\", \"decision\", \"position\"}; change is saved, deleted, raw or dropped.

Examples:
  minutebook decision watch --json | ./execute-orders
  minutebook decision watch --from-start --idle 1 --json > changes.jsonl
  minutebook decision watch --json --after \"$(tail -1 changes.jsonl | jq -r .position)\"")]
pub(crate) struct Watch {
    /// Start after this position
    #[arg(long, value_name = "POSITION", value_parser = parsed::<Position>, conflicts_with = "from_start")]
    after: Option<Position>,
    /// Start with the first change that is kept
    #[arg(long)]
    from_start: bool,
    /// End after so many changes
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// End when nothing has come for so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    idle: Option<Duration>,
}

impl Watch {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let from = match (&self.after, self.from_start) {
            (Some(position), _) => WatchFrom::After(position.clone()),
            (None, true) => WatchFrom::Start,
            (None, false) => WatchFrom::Now,
        };
        let mut changes = book.decisions().watch(from).await?;
        let mut given = 0;
        while self.limit.is_none_or(|limit| given < limit) {
            let Some(change) = self.next(&mut changes).await? else {
                break;
            };
            show(context, &change)?;
            given += 1;
        }
        context.output.finish()?;
        if !context.output.json {
            let position = changes.position();
            context
                .output
                .note(format!("the feed goes on with --after '{position}'"));
        }
        Ok(())
    }

    /// The next change; `None` when it is time to end.
    async fn next(&self, changes: &mut ChangeStream) -> Outcome<Option<DecisionChange>> {
        let change = match self.idle {
            None => changes.next().await,
            Some(idle) => match tokio::time::timeout(idle, changes.next()).await {
                Ok(change) => change,
                Err(_) => return Ok(None),
            },
        };
        Ok(change.transpose()?)
    }
}

fn show(context: &mut Context<'_>, given: &DecisionChange) -> Outcome {
    let state = &given.state;
    if context.output.json {
        let mut shown = Shown::new(state);
        shown.position = Some(given.position.to_string());
        context.output.json_line(&shown)?;
    } else {
        let time = format::time(state.recorded_at);
        context
            .output
            .line(format!("{time}  {:<7}  {}", change(state), state.id))?;
    }
    // Whoever reads this acts on it, so it does not wait for more.
    context.output.finish()
}
