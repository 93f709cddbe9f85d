//! `minutebook ticks follow`.

use std::time::Duration;

use clap::Args;
use futures_util::StreamExt;
use minutebook::jsonl::{Entry, Follow as Feed, FollowFrom, FollowQuery, Position};
use minutebook::{Error, ErrorKind, SeriesId, Symbol};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::app::Context;
use crate::args::{parsed, seconds};
use crate::commands::series;
use crate::failure::{Exit, Failure, Outcome};

/// Follow a symbol's ticks: each entry as it is appended, by whatever process, until interrupted.
#[derive(Debug, Args)]
#[command(after_help = "\
It starts with the next entry, with the first (--from-start), with the last so many (--last), or after a position that an earlier run \
gave (--after). Each line is an entry as it stands in the file, letter for letter; with --json it is {\"position\", \"entry\"}. The symbol need not have ticks yet; \
a series that is deleted and begun again is followed from its first entry. Rows that `ticks compact` has moved to Parquet are no entries any more: ticks read shows them.

Examples:
  minutebook ticks follow BTCUSD | ./strategy
  minutebook ticks follow BTCUSD --last 10 --idle 5
  minutebook ticks follow BTCUSD --json --after \"$(tail -1 seen.jsonl | jq -r .position)\"")]
pub(crate) struct Follow {
    /// The symbol, in any case
    #[arg(value_parser = parsed::<Symbol>)]
    symbol: Symbol,
    /// Start after this position
    #[arg(long, value_name = "POSITION", value_parser = parsed::<Position>, conflicts_with_all = ["from_start", "last"])]
    after: Option<Position>,
    /// Start with the first entry
    #[arg(long, conflicts_with = "last")]
    from_start: bool,
    /// Start with the last so many entries
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// A line that cannot be read is an error
    #[arg(long)]
    strict: bool,
    /// End after so many entries
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// End when nothing has come for so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    idle: Option<Duration>,
}

#[derive(Serialize)]
struct Shown<'a> {
    position: Option<String>,
    entry: &'a RawValue,
}

impl Follow {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = SeriesId::ticks(self.symbol.clone());
        let Some(log) = book.existing_tick_log()? else {
            let nothing =
                Error::new(ErrorKind::NotFound, "there is no such series").with_resource(&id);
            return Err(series::not_found(&book, &id, nothing).await);
        };
        let from = match (self.after, self.last, self.from_start) {
            (Some(position), ..) => FollowFrom::At(position),
            (None, Some(entries), _) => FollowFrom::Last(entries),
            (None, None, true) => FollowFrom::Start,
            (None, None, false) => FollowFrom::End,
        };
        let mut query = FollowQuery::new().from(from);
        query.strict = self.strict;
        let mut feed = log.follow(&id, &query);
        let mut given = 0;
        while self.limit.is_none_or(|limit| given < limit) {
            let Some(entry) = self.next(&mut feed).await? else {
                break;
            };
            if context.output.json {
                let entry = serde_json::from_str(entry.text()).map_err(|error| {
                    Failure::new(Exit::Failure, format!("cannot write the output: {error}"))
                })?;
                let position = feed.position().map(|position| position.to_string());
                context.output.json_line(&Shown { position, entry })?;
            } else {
                context.output.line(entry.text())?;
            }
            // Whoever reads this acts on it, so it does not wait for more.
            context.output.finish()?;
            given += 1;
        }
        context.output.report(&feed.report());
        if let Some(position) = feed.position().filter(|_| !context.output.json) {
            context
                .output
                .note(format!("the feed goes on with --after {position}"));
        }
        Ok(())
    }

    /// The next entry; `None` when it is time to end.
    async fn next(&self, feed: &mut Feed) -> Outcome<Option<Entry>> {
        let entry = match self.idle {
            None => feed.next().await,
            Some(idle) => match tokio::time::timeout(idle, feed.next()).await {
                Ok(entry) => entry,
                Err(_) => return Ok(None),
            },
        };
        Ok(entry.transpose()?)
    }
}
