//! `minutebook document get`.

use clap::Args;
use minutebook::{DocumentName, DocumentRepositoryExt as _};
use serde_json::Value;

use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Failure, Outcome};

/// Show one document.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --json it is the document letter for letter, with --json on one line. Exit code 3 if there is no such document.

Examples:
  minutebook document get runs/2025-01-02/params")]
pub(crate) struct Get {
    /// The document's name, exactly
    #[arg(value_parser = parsed::<DocumentName>)]
    name: DocumentName,
}

impl Get {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let missing = || Failure::not_found(format!("{}: there is no such document", self.name));
        if context.output.json {
            let value: Option<Value> = book.documents().load(&self.name).await?;
            return context.output.json_line(&value.ok_or_else(missing)?);
        }
        let found = book
            .documents()
            .get(&self.name)
            .await?
            .ok_or_else(missing)?;
        context.output.line(found.text.trim_end_matches('\n'))
    }
}
