//! `minutebook decision get`.

use clap::Args;
use minutebook::{At, DecisionId, DecisionRepositoryExt, Minutebook, Revision, StoredDecision};

use super::Envelope;
use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Failure, Outcome};

/// Show one decision as its document.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --json it is the document itself, indented; with --json it is on one line with what the store knows of it: \
{\"id\", \"revision\", \"recorded_at\", \"decision\": {the document}}. --at takes a time (what was known then) or a revision; exit code 3 if \
there was no such decision then.

Examples:
  minutebook decision get d-1
  minutebook decision get d-1 --json | jq -r .revision
  minutebook decision get d-1 --at 2025-06-01T12:00:00Z")]
pub(crate) struct Get {
    /// The id, exactly
    #[arg(value_parser = parsed::<DecisionId>)]
    id: DecisionId,
    /// As it was at this time, or in this revision
    #[arg(long, value_name = "TIME|REVISION", value_parser = at)]
    at: Option<At>,
}

/// What reads as a time is one; revisions do not.
fn at(text: &str) -> Result<At, String> {
    match minutebook::time::parse_timestamp(text) {
        Ok(time) => Ok(At::Time(time)),
        Err(_) => parsed::<Revision>(text).map(At::Revision),
    }
}

impl Get {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let stored = self.read(&book).await?;
        if context.output.json {
            return context.output.json_line(&Envelope::new(&stored));
        }
        context.output.line(stored.decision.to_json_pretty())
    }

    async fn read(&self, book: &Minutebook) -> Outcome<StoredDecision> {
        let Some(at) = &self.at else {
            return Ok(book.decisions().require(&self.id).await?);
        };
        let found = book.decisions().get_at(&self.id, at).await?;
        found.ok_or_else(|| {
            let when = match at {
                At::Time(time) => format!("at {}", minutebook::time::format_timestamp(*time)),
                At::Revision(revision) => format!("of revision {revision}"),
            };
            Failure::not_found(format!("{}: there is no such decision {when}", self.id))
        })
    }
}
