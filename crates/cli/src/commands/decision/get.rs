//! `minutebook decision get`.

use clap::Args;
use minutebook::json::RawDocument;
use minutebook::{At, DecisionId, DecisionRepositoryExt, Minutebook, Revision, StoredDecision};
use serde_json::json;

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
  minutebook decision get d-1 --at 2025-06-01T12:00:00Z
  minutebook decision get --raw d-1 > d-1.json
  minutebook decision get --raw 2025-06-01_torn.json

With --raw it is the bytes of the document's file, whether they can be read as a decision or not; a file that \
`decision list --problems` names is shown by its name. With --json: {\"file\", \"revision\", \"recorded_at\", \"text\"}, text being null for \
what is no UTF-8.")]
pub(crate) struct Get {
    /// The id, exactly
    #[arg(value_parser = parsed::<DecisionId>)]
    id: DecisionId,
    /// As it was at this time, or in this revision
    #[arg(long, value_name = "TIME|REVISION", value_parser = at)]
    at: Option<At>,
    /// The bytes of its file, as they are
    #[arg(long, conflicts_with = "at")]
    raw: bool,
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
        if self.raw {
            return self.run_raw(&book, context).await;
        }
        let stored = self.read(&book).await?;
        if context.output.json {
            return context.output.json_line(&Envelope::new(&stored));
        }
        context.output.line(stored.decision.to_json_pretty())
    }

    async fn run_raw(&self, book: &Minutebook, context: &mut Context<'_>) -> Outcome {
        let missing = || Failure::not_found(format!("{}: there is no such document", self.id));
        let files = book.decision_files()?.ok_or_else(missing)?;
        let raw = match files.get_raw(&self.id).await? {
            Some(raw) => raw,
            None if self.id.as_str().rsplit('.').next() == Some("json") => {
                let bytes = files.get_raw_file(self.id.as_str()).await?;
                RawDocument {
                    file: self.id.to_string(),
                    bytes: bytes.ok_or_else(missing)?,
                    revision: None,
                    recorded_at: None,
                }
            }
            None => return Err(missing()),
        };
        if context.output.json {
            return context.output.json_line(&json!({
                "file": raw.file,
                "revision": raw.revision.as_ref().map(Revision::as_str),
                "recorded_at": raw.recorded_at.map(minutebook::time::format_timestamp),
                "text": std::str::from_utf8(&raw.bytes).ok(),
            }));
        }
        context.output.stdout.write_all(&raw.bytes)?;
        Ok(())
    }

    async fn read(&self, book: &Minutebook) -> Outcome<StoredDecision> {
        let Some(at) = &self.at else {
            return Ok(book.decisions().require(&self.id).await?);
        };
        if let Some(found) = book.decisions().get_at(&self.id, at).await? {
            return Ok(found);
        }
        let id = &self.id;
        let message = match at {
            At::Time(time) => {
                let time = minutebook::time::format_timestamp(*time);
                format!("{id}: there is no such decision at {time}")
            }
            At::Revision(_) if book.decisions().history(id).await?.is_empty() => {
                format!("{id}: there is no such decision")
            }
            At::Revision(text) => format!(
                "{id}: \"{text}\" is neither a time nor a revision of it; `minutebook decision history {id}` lists those"
            ),
        };
        Err(Failure::not_found(message))
    }
}
