//! `minutebook decision history`.

use clap::Args;
use minutebook::time::format_timestamp;
use minutebook::{DecisionId, DecisionState, StateContent};
use serde::Serialize;

use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Failure, Outcome};
use crate::output::format;
use crate::output::table::{Align, Table};

/// Show every state that a decision went through, the oldest first.
#[derive(Debug, Args)]
#[command(after_help = "\
Each save that changed something and each deletion is a line. What was known at a time, or in a revision, is shown by \
`decision get ID --at`. With --json each line is {\"id\", \"change\", \"revision\", \"recorded_at\", \"decision\"}.

Examples:
  minutebook decision history d-1
  minutebook decision history d-1 --json | jq -r .recorded_at")]
pub(crate) struct History {
    /// The id, exactly
    #[arg(value_parser = parsed::<DecisionId>)]
    id: DecisionId,
}

impl History {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let states = book.decisions().history(&self.id).await?;
        if states.is_empty() {
            return Err(Failure::not_found(format!(
                "{}: there never was such a decision",
                self.id
            )));
        }
        if context.output.json {
            for state in &states {
                context.output.json_line(&Shown::new(state))?;
            }
            return Ok(());
        }
        let mut table = Table::new(&[
            ("recorded", Align::Left),
            ("change", Align::Left),
            ("revision", Align::Left),
            ("pair", Align::Left),
            ("action", Align::Left),
            ("confidence", Align::Right),
        ]);
        for state in &states {
            let decision = document(state);
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            table.row([
                format::time(state.recorded_at),
                change(state).to_owned(),
                or_dash(state.revision.as_ref().map(ToString::to_string)),
                or_dash(decision.and_then(minutebook::Decision::asset_pair)),
                or_dash(decision.and_then(|one| Some(one.action()?.to_string()))),
                or_dash(decision.and_then(|one| Some(format::shorten(one.raw("confidence")?, 12)))),
            ]);
        }
        table.print(&mut context.output)
    }
}

/// What became of the decision, in one word.
pub(super) fn change(state: &DecisionState) -> &'static str {
    match state.content {
        StateContent::Saved(_) => "saved",
        StateContent::Deleted => "deleted",
        StateContent::Raw(_) => "raw",
        // Saved too, but nothing is left to show.
        _ => "dropped",
    }
}

fn document(state: &DecisionState) -> Option<&minutebook::Decision> {
    match &state.content {
        StateContent::Saved(decision) | StateContent::Raw(decision) => Some(decision),
        _ => None,
    }
}

/// A state as `--json` shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    id: &'a str,
    change: &'static str,
    revision: Option<&'a str>,
    recorded_at: String,
    decision: Option<&'a minutebook::Decision>,
    /// Where a watch goes on after this change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<String>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(state: &'a DecisionState) -> Self {
        Self {
            id: state.id.as_str(),
            change: change(state),
            revision: state.revision.as_ref().map(minutebook::Revision::as_str),
            recorded_at: format_timestamp(state.recorded_at),
            decision: document(state),
            position: None,
        }
    }
}
